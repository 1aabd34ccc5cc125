"""The parts of the ZKTeco driver by themselves, with a clock that a test moves."""

import asyncio
import itertools
import math
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.access.config import Reader
from edge.access.drivers.interface import (
    DeviceDecided,
    DoorOpenedByDevice,
    DriverEvent,
    InputsReported,
    OutputDone,
    ReaderDown,
    ReaderUp,
    Roster,
    RosterEntry,
)
from edge.access.drivers.zkteco.commands import ANSWER_S, FETCH_S, MAX_COMMANDS, OutputCommands
from edge.access.drivers.zkteco.config import ZktecoDevice
from edge.access.drivers.zkteco.device import PushDevice
from edge.access.drivers.zkteco.meaning import MEANINGS, Kind, card_of, decided_by, meaning_of, method_of, number_of
from edge.access.drivers.zkteco.roster import (
    ANSWER_S as ROSTER_ANSWER_S,
)
from edge.access.drivers.zkteco.roster import (
    MAX_RUNNING,
    RETRY_S,
    Layout,
    RosterPlanner,
    RosterSync,
    merged_days,
)
from edge.access.drivers.zkteco.standing import SILENT_S, STRANGER_EVERY_S
from edge.access.drivers.zkteco.state import FIRST_PIN, MAX_SEEN, DeviceState
from edge.counters import Counters
from protocols.access_events import BIOMETRIC_METHODS, AccessMethod, DecidedBy, ReaderOfflineReason
from protocols.cards import CardFormat, CardNumber, parse_text
from protocols.zk_push import Dialect, parse_request
from protocols.zk_push_records import decode_time
from tests.support.gateways import SetClock

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2030, 6, 5, 12, 0, tzinfo=ZONE)
ALWAYS = tuple((day, 0, 1440) for day in range(7))


class Play:
    """A device object on a clock, spoken to in requests."""

    def __init__(self, folder: Path, readers: int = 2, **keys: Any) -> None:
        self.clock = SetClock(wall=NOON.timestamp())
        self.counters = Counters()
        self.seen: list[DriverEvent] = []
        keys = {"serial": "S123", "dialect": "access", **keys}
        config = ZktecoDevice.model_validate({"id": "b", "kind": "zkteco", **keys})
        made = tuple(Reader(id=f"r{number}", device="b", channel=number) for number in range(1, readers + 1))
        self.state = DeviceState(folder / "zkteco.db", self.counters)
        self.device = PushDevice(
            config, made, self.state, ZONE, self.clock, self.counters, self.seen.append, encrypted=False
        )

    def say(self, method: str, rest: str, *lines: str) -> str:
        request = parse_request(method, f"/iclock/{rest}{'&' if '?' in rest else '?'}SN=S123")
        return asyncio.run(self.device.answer(request, list(lines), len(lines)))

    def poll(self) -> str:
        return self.say("GET", "getrequest")

    def pass_time(self, seconds: float, step_s: float = 1.0) -> None:
        for _ in range(math.ceil(seconds / step_s)):
            self.clock.advance(step_s)
            self.device.tick()

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]

    def event(self, code: int, at: datetime, index: int, **fields: str) -> str:
        extra = "".join(f"\t{key}={value}" for key, value in fields.items())
        line = f"time={at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}\teventaddr=1\tevent={code}\tindex={index}{extra}"
        return self.say("POST", "cdata?table=rtlog", line)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


class TestUpAndDown:
    def test_a_device_that_never_calls_is_told_once(self, play: Play) -> None:
        play.pass_time(SILENT_S)
        assert not play.seen
        play.pass_time(500)
        assert [(event.reader, event.reason) for event in play.seen] == [
            ("r1", ReaderOfflineReason.NO_ANSWER),
            ("r2", ReaderOfflineReason.NO_ANSWER),
        ]

    def test_it_is_up_when_it_calls_and_down_after_three_missed_periods(self, play: Play) -> None:
        play.poll()
        for _ in range(20):
            play.pass_time(SILENT_S - 1)
            play.poll()
        assert (len(play.of(ReaderUp)), len(play.of(ReaderDown))) == (2, 0)

        play.pass_time(SILENT_S + 1)
        assert len(play.of(ReaderDown)) == 2
        play.poll()
        assert len(play.of(ReaderUp)) == 4

    def test_made_up_serial_numbers_do_not_fill_the_event_log(self, play: Play) -> None:
        for number in range(1000):
            play.device.standing.tell_stranger(f"stranger {number}")
            play.pass_time(0.1, 0.1)
        assert len(play.of(ReaderDown)) == 2 * math.ceil(100 / STRANGER_EVERY_S)
        play.poll()
        play.device.standing.tell_stranger("another")
        assert play.device.standing.is_up


class TestTimes:
    def test_an_event_of_a_wrong_clock_in_the_far_future_has_no_time(self, play: Play) -> None:
        play.event(0, NOON + timedelta(days=400), 1, pin="5")
        assert play.of(DeviceDecided)[0].at is None
        assert play.counters["times_unusable"] == 1

    def test_a_clock_that_is_behind_is_allowed_for_when_it_shows_in_the_doors_states(self, play: Play) -> None:
        late = NOON - timedelta(hours=1)
        play.event(202, late, 1)
        assert not play.of(DoorOpenedByDevice)
        play.say("POST", "cdata?table=rtstate", f"time={late:%Y-%m-%d %H:%M:%S}\tsensor=01\trelay=00\talarm=00")
        play.event(202, late, 2)
        assert play.of(DoorOpenedByDevice) == [DoorOpenedByDevice("r1")]
        assert play.of(InputsReported) == [InputsReported("r1", (False,))]

    def test_a_local_time_that_does_not_exist_is_a_time_all_the_same(self, tmp_path: Path) -> None:
        play = Play(tmp_path, time_zone="Europe/Berlin")
        play.say("POST", "cdata?table=rtlog", "time=2024-03-31 02:30:00\tpin=5\teventaddr=1\tevent=0\tindex=1")
        assert play.of(DeviceDecided)[0].at.astimezone(UTC) == datetime(2024, 3, 31, 1, 30, tzinfo=UTC)


class TestOddUploads:
    def test_a_line_that_cannot_be_read_is_counted_and_acknowledged(self, play: Play) -> None:
        assert play.say("POST", "cdata?table=rtlog", "rubbish", "time=x\tevent=0") == "OK"
        assert play.counters["records_malformed"] == 2

    def test_unknown_events_tables_and_requests_are_counted_and_acknowledged(self, play: Play) -> None:
        assert play.event(4711, NOON, 1) == "OK"
        assert play.say("POST", "cdata?table=newtable", "x") == "OK"
        assert play.say("POST", "cdata?table=tabledata&tablename=new_table&count=3", "x", "y", "z") == "new_table=3"
        assert play.say("POST", "cdata?table=tabledata&tablename=new_table", "x", "y") == "new_table=2"
        assert play.say("POST", "querydata?tablename=user&count=9") == "user=9"
        assert play.say("GET", "ping") == "OK"
        assert play.say("POST", "exchange?type=publickey", "PublicKey=x") == "OK"
        assert play.say("POST", "cdata?AuthType=device", "pin=1") == "AUTH=TIMEOUT\r\npin=1\r\n"
        assert play.counters["records_unknown"] == 1
        assert play.counters["uploads_thrown_away"] == 3
        assert not play.of(DeviceDecided)

    def test_an_event_at_a_door_that_is_not_configured_is_counted(self, play: Play) -> None:
        play.say("POST", "cdata?table=rtlog", f"time={NOON:%Y-%m-%d %H:%M:%S}\tpin=5\teventaddr=9\tevent=0\tindex=1")
        assert (play.counters["records_of_no_door"], play.of(DeviceDecided)) == (1, [])

    def test_the_time_is_told(self, play: Play) -> None:
        text = play.say("GET", "rtdata?type=time")
        seconds, zone = text.split(",")
        assert decode_time(int(seconds.removeprefix("DateTime="))) == NOON.astimezone(UTC).replace(tzinfo=None)
        assert zone == "ServerTZ=+0800"

    @given(st.lists(st.text(max_size=60), max_size=5), st.sampled_from(["rtlog", "rtstate", "ATTLOG", "OPERLOG", "x"]))
    def test_any_lines_are_acknowledged(self, lines: list[str], table: str) -> None:
        play = Play(Path("/nonexistent"))
        assert play.say("POST", f"cdata?table={table}", *lines).startswith("OK")
        assert play.say("POST", "devicecmd", *lines) == "OK"
        assert play.say("POST", "registry", *lines).startswith("RegistryCode=")


class TestOutputs:
    def test_a_command_that_is_not_fetched_fails_and_never_opens_a_door_late(self, play: Play) -> None:
        play.poll()
        assert play.device.set_output("r1", 0, 3.0, 1)
        play.pass_time(FETCH_S)
        assert play.of(OutputDone) == [OutputDone(1, False, "the device did not fetch the command", None)]
        assert play.poll() == "OK"

    def test_a_command_that_is_not_answered_fails(self, play: Play) -> None:
        play.poll()
        play.device.set_output("r2", 0, 3.0, 1)
        assert play.poll().endswith(":CONTROL DEVICE 01020103\n")
        play.pass_time(ANSWER_S)
        done = play.of(OutputDone)[0]
        assert (done.done, done.detail) == (False, "the device did not answer the command")

    def test_a_result_counts_once_and_a_strangers_not_at_all(self, play: Play) -> None:
        play.poll()
        play.device.set_output("r1", 0, 3.0, 1)
        number = play.poll().split(":")[1]
        play.say("POST", "devicecmd", f"ID={number}&Return=0&CMD=CONTROL", f"ID={number}&Return=-1", "ID=1&Return=0")
        assert [(done.ticket, done.done) for done in play.of(OutputDone)] == [(1, True)]

    def test_the_queue_is_bounded(self, play: Play) -> None:
        play.poll()
        taken = [play.device.set_output("r1", 0, 3.0, ticket) for ticket in range(MAX_COMMANDS + 3)]
        assert taken == [True] * MAX_COMMANDS + [False] * 3

    def test_an_output_that_is_none_is_refused(self, play: Play) -> None:
        play.poll()
        assert not play.device.set_output("r1", 2, 3.0, 1)
        assert not play.device.set_output("elsewhere", 0, 3.0, 1)

    def test_a_long_opening_is_prolonged_until_its_end_and_not_beyond(self, play: Play) -> None:
        play.poll()
        play.device.set_output("r1", 0, 600.0, 1)
        began_s, shut_s = play.clock.monotonic, 0.0
        for _ in range(1000):
            for line in play.poll().splitlines():
                if ":" in line:
                    number, text = line.split(":")[1:]
                    shut_s = play.clock.monotonic + int(text[-2:], 16)
                    play.say("POST", "devicecmd", f"ID={number}&Return=0")
            if play.clock.monotonic - began_s < 600:
                assert shut_s > play.clock.monotonic, "shut too early"
            play.pass_time(1)
        assert shut_s - began_s == pytest.approx(600, abs=3)
        assert len(play.of(OutputDone)) == 1

    def test_a_long_opening_that_is_ended_is_not_prolonged(self, play: Play) -> None:
        play.poll()
        play.device.set_output("r1", 0, 600.0, 1)
        play.device.set_output("r1", 0, None, 2)
        play.poll()
        play.pass_time(400)
        assert play.poll() == "OK"


def roster_of(*cards: str, until: datetime | None = None) -> Roster:
    entries = [
        RosterEntry(UUID(int=place + 1), parse_text(card), None, until, (("r1", "always"),))
        for place, card in enumerate(cards)
    ]
    return Roster(entries, {"always": ALWAYS})


class TestRoster:
    def carry_out(self, play: Play, value: int = 0) -> list[str]:
        """Poll until nothing more comes, and answer everything so."""
        texts = []
        while (answer := play.poll()) != "OK":
            lines = [line.split(":", 2)[1:] for line in answer.splitlines()]
            texts += [text for _, text in lines]
            play.say("POST", "devicecmd", *[f"ID={number}&Return={value}" for number, _ in lines])
        return texts

    def test_it_comes_after_outputs_and_in_batches(self, play: Play) -> None:
        play.device.set_roster(roster_of(*[f"w26:1:{number}" for number in range(100)]))
        play.poll()
        play.device.tick()
        number = play.poll().split(":")[1]
        play.say("POST", "devicecmd", f"ID={number}&Return=0")
        play.device.set_output("r1", 0, 3.0, 1)
        assert play.poll().count("\n") == 1
        batch = play.poll().splitlines()
        assert MAX_RUNNING <= len(batch) <= MAX_RUNNING + 2
        assert play.poll() == "OK", "nothing more until these are answered"

    def test_revocations_go_first(self, play: Play) -> None:
        play.device.set_roster(roster_of("w26:1:1", "w26:1:2"))
        play.device.tick()
        self.carry_out(play)
        play.device.set_roster(
            Roster(
                [RosterEntry(UUID(int=9), parse_text("w26:1:1"), None, None, (("r2", "always"),))], {"always": ALWAYS}
            )
        )
        play.device.tick()
        texts = self.carry_out(play)
        kinds = [tuple(text.split(" ")[1:3]) for text in texts]
        assert kinds == [("DELETE", "userauthorize")] * 2 + [("DELETE", "user")] * 2 + [
            ("UPDATE", "user"),
            ("UPDATE", "userauthorize"),
        ]

    def test_what_is_not_answered_comes_again(self, play: Play) -> None:
        play.device.set_roster(roster_of("w26:1:1"))
        play.device.tick()
        assert play.poll().endswith(":DATA DELETE userauthorize *\n"), "nothing else before it is confirmed"
        assert play.poll() == "OK"
        play.pass_time(ROSTER_ANSWER_S)
        again = self.carry_out(play)
        assert [text.split(" ")[2] for text in again] == ["userauthorize", "timezone", "user", "userauthorize"]
        assert play.device.roster_is_settled

    def test_what_is_refused_is_tried_again_later_and_later(self, play: Play) -> None:
        play.device.set_roster(roster_of("w26:1:1"))
        play.device.tick()
        self.carry_out(play, value=-18)
        tries = []
        began_s = play.clock.monotonic
        for _ in range(int(sum(RETRY_S)) + 60):
            play.pass_time(1)
            if self.carry_out(play, value=-18):
                tries.append(play.clock.monotonic - began_s)
        assert [round(each) for each in tries] == pytest.approx([60, 360, 3960], abs=5)

    def test_a_schedule_of_many_intervals_takes_several_time_zones(self, tmp_path: Path) -> None:
        state = DeviceState(None, Counters())
        layout = Layout(Dialect.ACCESS, {"r1": 1}, ZONE, to_the_second=True)
        hours = tuple((0, start, start + 60) for start in range(0, 600, 120))
        entry = RosterEntry(UUID(int=1), parse_text("w26:1:1"), None, None, (("r1", "many"),))
        wanted = RosterPlanner(state, layout).plan(Roster([entry], {"many": hours}), NOON)
        assert [key for key in wanted.entries if key.startswith("z:")] == ["z:2", "z:3"]
        assert wanted.entries[f"r:{FIRST_PIN}"].count("\n") == 1

    def test_two_credentials_of_one_card_are_one_user_the_longest_valid(self) -> None:
        state = DeviceState(None, Counters())
        layout = Layout(Dialect.ACCESS, {"r1": 1}, ZONE, to_the_second=True)
        entries = [
            RosterEntry(UUID(int=number), parse_text("w26:1:1"), None, until, (("r1", "always"),))
            for number, until in ((1, NOON + timedelta(days=1)), (2, None), (3, NOON + timedelta(days=2)))
        ]
        wanted = RosterPlanner(state, layout).plan(Roster(entries, {"always": ALWAYS}), NOON)
        assert wanted.left_out == 2
        assert state.credential_of(str(FIRST_PIN)) == UUID(int=2)

    def test_who_is_not_valid_yet_waits_where_the_device_knows_no_seconds(self) -> None:
        tomorrow = NOON + timedelta(days=1)
        entry = RosterEntry(UUID(int=1), parse_text("w26:1:1"), tomorrow, None, (("r1", "always"),))
        for exact, there in ((True, True), (False, False)):
            layout = Layout(Dialect.ACCESS, {"r1": 1}, ZONE, to_the_second=exact)
            planner = RosterPlanner(DeviceState(None, Counters()), layout)
            wanted = planner.plan(Roster([entry], {"always": ALWAYS}), NOON)
            assert any(key.startswith("u:") for key in wanted.entries) is there
            assert wanted.changes_at == (None if exact else tomorrow)

    def test_an_attendance_terminal_has_three_hours_a_user(self) -> None:
        layout = Layout(Dialect.ATTENDANCE, {"r1": 1}, ZONE, to_the_second=False)
        hours = tuple((0, start, start + 60) for start in range(0, 600, 120))
        entry = RosterEntry(UUID(int=1), parse_text("w26:1:1"), None, None, (("r1", "many"),))
        wanted = RosterPlanner(DeviceState(None, Counters()), layout).plan(Roster([entry], {"many": hours}), NOON)
        assert wanted.left_out == 1
        assert not any(key.startswith("u:") for key in wanted.entries)

    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440)), max_size=12))
    def test_merged_days_open_at_the_very_same_minutes(self, intervals: list[tuple[int, int, int]]) -> None:
        days = merged_days(intervals)
        for weekday in range(7):
            wanted = {minute for day, since, until in intervals if day == weekday for minute in range(since, until)}
            day = days[(weekday + 1) % 7]
            assert {minute for since, until in day for minute in range(since, until)} == wanted
            assert all(earlier[1] < later[0] for earlier, later in itertools.pairwise(day))

    @given(
        st.lists(
            st.dictionaries(st.integers(FIRST_PIN, FIRST_PIN + 4), st.sets(st.integers(2, 4), min_size=1), max_size=5),
            max_size=5,
        ),
        st.randoms(use_true_random=False),
    )
    def test_whatever_is_lost_the_device_ends_up_with_what_is_wanted(
        self, stages: Sequence[dict[int, set[int]]], chance: Any
    ) -> None:
        state = DeviceState(None, Counters())
        numbers = itertools.count()
        sync = RosterSync(state, Dialect.ACCESS, lambda: str(next(numbers)), Counters())
        users: set[int] = set()
        rights: set[tuple[int, int]] = set()
        now_s = 0.0
        for stage in stages:
            wanted = {f"u:{pin}": f"Pin={pin}" for pin in stage}
            wanted |= {
                f"r:{pin}": "\n".join(sorted(f"Pin={pin}\tAuthorizeTimezoneId={zone}" for zone in zones))
                for pin, zones in stage.items()
            }
            sync.aim(wanted)
            for turn in range(60):
                now_s += 100.0
                sync.tick(now_s)
                careful = turn > 20
                for number, text in sync.take(now_s):
                    if careful or chance.random() < 0.7:
                        apply(text, users, rights)
                        if careful or chance.random() < 0.7:
                            sync.answered([(number, 0)], now_s)
                if careful and sync.is_settled:
                    break
            assert sync.is_settled
            assert users == set(stage)
            assert rights == {(pin, zone) for pin, zones in stage.items() for zone in zones}


def apply(text: str, users: set[int], rights: set[tuple[int, int]]) -> None:
    _, verb, table, record = text.split(" ", 3)
    fields = dict(part.split("=") for part in record.split("\t") if "=" in part)
    pin = int(fields.get("Pin", 0))
    if table == "user":
        (users.add if verb == "UPDATE" else users.discard)(pin)
    elif record == "*":
        rights.clear()
    elif verb == "DELETE":
        rights -= {right for right in rights if right[0] == pin}
    else:
        rights.add((pin, int(fields["AuthorizeTimezoneId"])))


class TestState:
    def test_it_survives_a_restart(self, tmp_path: Path) -> None:
        path = tmp_path / "zkteco.db"
        state = DeviceState(path, Counters())
        with state.writing():
            state.remember(["a", "b"])
            state.give_pins([UUID(int=1), UUID(int=2)])
            state.hold({"u:1": "x", "u:2": "y"})
            state.hold({"u:2": None})
            state.learn({"dialect": "access"})
        mark = state.mark_of("text")
        state.close()

        again = DeviceState(path, Counters())
        assert (again.is_new("a"), again.is_new("c")) == (False, True)
        assert again.pin_of(UUID(int=2)) == FIRST_PIN + 1
        assert dict(again.held) == {"u:1": "x"}
        assert again.fact("dialect") == "access"
        assert again.mark_of("text") == mark

    def test_a_damaged_file_is_moved_aside(self, tmp_path: Path) -> None:
        path, counters = tmp_path / "zkteco.db", Counters()
        path.write_bytes(b"this is no database, and long enough to be looked at" * 100)
        state = DeviceState(path, counters)
        state.give_pins([UUID(int=1)])
        assert counters["state_moved_aside"] == 1
        assert path.with_suffix(".bad").exists()

    def test_without_a_disk_memory_remembers(self, tmp_path: Path) -> None:
        counters = Counters()
        state = DeviceState(tmp_path / "none" / "zkteco.db", counters)
        with state.writing():
            state.remember(["a"])
        assert not state.is_new("a")
        assert counters["state_not_written"] == 1

    def test_a_disk_that_refuses_later_is_counted_and_forgets_nothing(self, tmp_path: Path) -> None:
        counters = Counters()
        state = DeviceState(tmp_path / "zkteco.db", counters)
        other = sqlite3.connect(tmp_path / "zkteco.db", isolation_level=None)
        other.execute("DROP TABLE seen")
        with state.writing():
            state.remember(["a"])
        assert counters["state_not_written"] >= 1
        assert not state.is_new("a")

    def test_the_ledger_is_bounded(self) -> None:
        state = DeviceState(None, Counters())
        with state.writing():
            state.remember(str(number) for number in range(MAX_SEEN + 1500))
        assert state.is_new("0")
        assert not state.is_new(str(MAX_SEEN + 1499))
        assert not state.is_new("1500")


class TestMeaning:
    def test_bands(self) -> None:
        assert meaning_of(0, has_person=False).kind is Kind.GRANTED
        assert meaning_of(95, has_person=True).kind is Kind.DENIED
        assert meaning_of(95, has_person=False).kind is Kind.UNKNOWN
        assert meaning_of(150, has_person=True).kind is Kind.UNKNOWN
        assert all(20 <= code < 100 or code == 104 for code, each in MEANINGS.items() if each.kind is Kind.DENIED)
        assert all(
            code < 20 or 200 <= code <= 253 or each.reason == "duress"
            for code, each in MEANINGS.items()
            if each.kind is Kind.GRANTED
        )

    @pytest.mark.parametrize(
        ("verify", "has_card", "method"),
        [
            ("15", False, AccessMethod.FACE),
            ("1", False, AccessMethod.FINGERPRINT),
            ("6", True, AccessMethod.CARD),
            ("6", False, AccessMethod.FINGERPRINT),
            ("10", True, AccessMethod.CARD),
            ("12", False, AccessMethod.FINGERPRINT),
            ("16", False, AccessMethod.FACE),
            ("21", False, AccessMethod.VEIN),
            ("24", False, AccessMethod.VEIN),
            ("25", False, AccessMethod.PALM),
            ("28", False, AccessMethod.PALM),
            ("29", False, AccessMethod.FACE),
            ("30", False, AccessMethod.CARD),
            ("0000000000000100", False, AccessMethod.PALM),
            ("0000000000001000", False, AccessMethod.VEIN),
            ("0000000000010001", False, AccessMethod.FINGERPRINT),
            ("0000000000010010", False, AccessMethod.FACE),
            ("0000000000100000", False, AccessMethod.VEIN),
            ("0000000001000000", False, AccessMethod.FACE),
            ("7", False, AccessMethod.PIN),
            ("11", True, AccessMethod.CARD_PIN),
            ("0", True, AccessMethod.CARD),
            ("200", False, AccessMethod.CARD),
            ("", False, AccessMethod.CARD),
            ("0000000000000010", False, AccessMethod.FACE),
            ("0000101000000000", True, AccessMethod.CARD_PIN),
            ("0000100000000000", True, AccessMethod.CARD),
            ("0000001000000000", False, AccessMethod.PIN),
        ],
    )
    def test_methods(self, verify: str, has_card: bool, method: AccessMethod) -> None:
        assert method_of(verify, 0, has_card=has_card) is method

    def test_only_a_terminal_judges_a_body(self) -> None:
        told = {method: decided_by(method) for method in AccessMethod}
        assert {method for method, by in told.items() if by is DecidedBy.TERMINAL} == BIOMETRIC_METHODS

    @given(st.integers(0, 255), st.integers(0, 65535))
    def test_a_number_is_the_card_it_came_from(self, facility: int, number: int) -> None:
        for kind in ("w26", "w34", "w37"):
            card = parse_text(f"{kind}:{facility}:{number}")
            assert card_of(number_of(card), card.format) == card

    def test_raw_cards_and_numbers_that_are_too_large(self) -> None:
        raw = CardNumber(CardFormat.RAW, 0, 0x0BADCAFE, 32)
        assert card_of(number_of(raw), CardFormat.RAW) == raw
        assert card_of(1 << 24, CardFormat.W26) is None


def test_output_commands_from_many_threads_are_numbered_apart() -> None:
    numbers = itertools.count()
    commands = OutputCommands(lambda: str(next(numbers)))
    assert all(commands.put("x", ticket, 0.0) for ticket in range(5))
    taken = commands.take(1.0)
    assert len({number for number, _ in taken}) == 5
    assert not commands.wait_until_idle(0.01)
    for number, _ in taken:
        commands.answered(number, 0)
    assert commands.wait_until_idle(0.01)
