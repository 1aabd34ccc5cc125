"""The doors without their thread, on a clock that the test moves: what is presented, ordered, decided and told."""

import math
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.access.config import AccessConfig
from edge.access.control import DoorControl
from edge.access.counts import Counts
from edge.access.door import DoorState
from edge.access.drivers.interface import (
    CardPresented,
    CodePresented,
    DeviceDecided,
    DoorOpenedByDevice,
    DriverEvent,
    Feedback,
    InputsReported,
    KeysPressed,
    NumberPresented,
    OutputDone,
    OutputsForgotten,
    PlatePresented,
    PowerReported,
    ReaderDown,
    ReaderUp,
)
from edge.access.kept_modes import FILE_NAME, ModeFile
from edge.access.orders import ForgiveOrder, LockdownOrder, LookAgain, ModeOrder, ReleaseOrder
from edge.access.status import Outcome
from edge.access.telling import Own, Teller
from protocols.access_events import (
    AccessDenied,
    AccessDuress,
    AccessGranted,
    AccessMethod,
    DecidedBy,
    DenialReason,
    DoorClosed,
    DoorForced,
    DoorMode,
    DoorModeChanged,
    DoorOpened,
    DoorReleased,
    FireInput,
    GrantReason,
    LockdownChanged,
    ModeCause,
    PolicyStale,
    ReaderLockedOut,
    ReaderOfflineReason,
    ReaderPower,
    ReleaseCause,
)
from protocols.cards import encode_bytes, parse_text
from protocols.commands import FailureCode
from protocols.credentials import CredentialRow
from protocols.rules import AntiPassback, Area, DoorRule, Interval, ReaderArea, Rules, Schedule
from tests.support.deciding import MONDAY_0930, Deciding, card_row, code, holder, pass_row, pin_row, plate_row, token
from tests.support.doors import Recording, rules_for

CARD, OTHER = "w26:12:345", "w26:12:346"
MORNING = Schedule(id="morning", intervals=tuple(Interval(weekday=day, since=540, until=600) for day in range(5)))
"""Nine to ten; MONDAY_0930 is in it."""
EVENING = Schedule(id="evening", intervals=tuple(Interval(weekday=day, since=1080, until=1200) for day in range(7)))


def door(number: int, **fields: Any) -> dict[str, Any]:
    reader = f"r{number}"
    return {
        "id": f"d{number}",
        "place": f"gate-{number}",
        "readers": [reader],
        "strike": {"reader": reader, "output": 0},
        "contact": {"reader": reader, "input": 0},
        "request_to_exit": {"reader": reader, "input": 1},
        "fire": {"reader": reader, "input": 2},
        **fields,
    }


class PlayedOutputs:
    """Remembers in one list what the readers were told; confirms at once, unless it is told not to."""

    def __init__(self, log: list[object]) -> None:
        self.log = log
        self.done: list[OutputDone] = []
        self.takes_commands = True

    def set_output(self, line: str, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        self.log.append((reader, for_s))
        self.done.append(OutputDone(ticket, True, "", 0))
        return self.takes_commands

    def feedback(self, line: str, reader: str, feedback: Feedback) -> None:
        self.log.append((reader, feedback))


class Doors:
    """Two doors of one gateway. `again` is a restart."""

    def __init__(self, folder: Path, **fields: Any) -> None:
        self.folder = folder
        self.config = AccessConfig.model_validate(
            {
                "reader_bus": [{"id": "bus1", "port": "/dev/null"}],
                "reader": [
                    {"id": f"r{number}", "bus": "bus1", "address": number, "scbk_file": "none.key"} for number in (1, 2)
                ],
                "door": [door(1, **fields), door(2)],
            }
        )
        self.deciding = Deciding(folder)
        self.clock = self.deciding.clock
        self.log: list[object] = []
        self.recording = Recording()
        self.outputs = PlayedOutputs(self.log)
        self.answers: list[Outcome] = []
        self._begin()

    def _begin(self) -> None:
        self.counts = Counts()
        self.file = ModeFile(self.folder)
        teller = Teller(self._record, self.clock, Own("gw-test", "site"))
        decider, store = self.deciding.decider, self.deciding.store
        self.control = DoorControl(
            self.config, decider, store, self.outputs, teller, self.file, self.clock, self.counts
        )
        for number in (1, 2):
            self.give(ReaderUp(f"r{number}", secure_channel=True))
            self.inputs(number)
        self.log.clear()

    def _record(self, observation: Any) -> None:
        self.log.append(observation.data)
        self.recording(observation)

    def again(self) -> None:
        self.file.stop()
        self.control.stopped()
        self.deciding.again()
        self._begin()

    def close(self) -> None:
        self.file.stop()
        self.deciding.close()

    def permit(self, *rows: CredentialRow, doors: tuple[DoorRule, ...] = (), areas: tuple[Area, ...] = ()) -> None:
        plain = rules_for("d1", "d2")
        schedules = (*plain.schedules, MORNING, EVENING)
        self.deciding.permit(Rules(schedules=schedules, groups=plain.groups, doors=doors, areas=areas), *rows)
        self.wait(1.0)
        self.log.clear()

    def give(self, *given: DriverEvent | Any) -> None:
        for each in given:
            self.control.take(each)
            self._settle()
            self.control.run_timers()
            self._settle()

    def _settle(self) -> None:
        while self.outputs.done:
            self.control.take(self.outputs.done.pop(0))

    def wait(self, seconds: float) -> None:
        """Let time pass as the thread would: awake at each deadline."""
        end_s = self.clock.monotonic_s() + seconds
        while self.clock.monotonic_s() < end_s:
            step_s = min(end_s, self.control.deadline_s) - self.clock.monotonic_s()
            self.clock.advance(seconds=max(step_s, 0.001))
            self.control.run_timers()
            self._settle()

    def inputs(self, number: int = 1, *, is_open: bool = False, button: bool = False, fire: bool = False) -> None:
        self.give(InputsReported(f"r{number}", (is_open, button, fire)))

    def card(self, text: str = CARD, number: int = 1) -> None:
        card = parse_text(text)
        self.give(CardPresented(f"r{number}", encode_bytes(card), card.bit_count, 0))

    def keys(self, keys: str, number: int = 1) -> None:
        self.give(KeysPressed(f"r{number}", keys, 0))

    def mode(self, mode: DoorMode, number: int = 1, until_s: float | None = None) -> Outcome:
        self.give(ModeOrder(f"d{number}", mode, until_s, uuid.uuid4(), self.answers.append))
        return self.answers[-1]

    def lock_down(self, *, active: bool = True) -> Outcome:
        self.give(LockdownOrder(active, uuid.uuid4(), self.answers.append))
        return self.answers[-1]

    def told(self, kind: type[Any]) -> list[Any]:
        return [entry for entry in self.log if isinstance(entry, kind)]

    def strikes(self, number: int = 1) -> list[float | None]:
        entries = (entry for entry in self.log if isinstance(entry, tuple) and not isinstance(entry[1], Feedback))
        return [for_s for reader, for_s in entries if reader == f"r{number}"]

    def shown(self, number: int = 1) -> list[Feedback]:
        entries = (entry for entry in self.log if isinstance(entry, tuple) and isinstance(entry[1], Feedback))
        return [feedback for reader, feedback in entries if reader == f"r{number}"]

    def state(self, number: int = 1) -> DoorState:
        return self.control.doors()[number - 1].state


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    made = Doors(tmp_path)
    made.permit(card_row(CARD, "all"))
    yield made
    made.close()


# --- what is presented -----------------------------------------------------------------------------------------------


def test_the_strike_comes_first_then_the_light_then_the_record(doors: Doors) -> None:
    doors.card()

    assert doors.log[:2] == [("r1", 5.0), ("r1", Feedback.GRANTED)]
    assert isinstance(doors.log[2], AccessGranted)


def test_a_number_a_code_and_a_sure_plate_open(doors: Doors) -> None:
    made = token()
    doors.permit(card_row(CARD, "all"), plate_row("京A12345", "all"), pass_row(made.ref))
    doors.give(
        NumberPresented("r1", parse_text(CARD), 0),
        CodePresented("r1", code(made).text, 0),
        PlatePresented("r1", "京A12345", 0.9, 0),
    )

    methods = [granted.method for granted in doors.told(AccessGranted)]
    assert methods == [AccessMethod.CARD, AccessMethod.QR, AccessMethod.PLATE]
    presented = doors.counts.frozen().presented
    assert (presented["number"], presented["code"], presented["plate"], presented["card"]) == (1, 1, 1, 0)


def test_a_plate_that_was_read_with_too_little_confidence_is_no_presentation(doors: Doors) -> None:
    doors.permit(plate_row("京A12345", "all"))

    doors.give(PlatePresented("r1", "京A12345", 0.79, 0))

    assert doors.log == []
    assert doors.counts.frozen().unsure_plates == 1


def test_a_pin_opens_and_a_card_that_needs_one_waits_for_it(doors: Doors) -> None:
    both = DoorRule(door="d1", methods=(AccessMethod.CARD_PIN, AccessMethod.PIN))
    doors.permit(card_row(CARD, "all", pin="2468"), pin_row("13579", "all"), doors=(both,))

    doors.keys("135")
    doors.keys("79#")
    doors.card()
    assert doors.shown() == [Feedback.GRANTED, Feedback.WAIT]
    assert len(doors.told(AccessGranted)) == 1
    doors.wait(9.0)
    doors.keys("2468#")

    assert [granted.method for granted in doors.told(AccessGranted)] == [AccessMethod.PIN, AccessMethod.CARD_PIN]
    assert doors.shown()[-1] is Feedback.GRANTED


def test_a_card_whose_pin_does_not_come_or_is_wrong_is_denied_and_tells_why(doors: Doors) -> None:
    doors.permit(card_row(CARD, "all", pin="2468"), doors=(DoorRule(door="d1", methods=(AccessMethod.CARD_PIN,)),))

    doors.card()
    doors.wait(10.0)
    doors.card()
    doors.keys("1111#")
    doors.card()
    doors.card()  # the first of the two got no PIN

    reasons = [denied.reason for denied in doors.told(AccessDenied)]
    assert reasons == [DenialReason.PIN_MISSING, DenialReason.WRONG_PIN, DenialReason.PIN_MISSING]
    assert doors.strikes() == []


def test_too_many_wrong_pins_lock_the_reader_out_which_is_told_once(doors: Doors) -> None:
    doors.permit(pin_row("13579", "all"))

    for wrong in range(6):
        doors.keys(f"000{wrong}#")

    (locked_out,) = doors.told(ReaderLockedOut)
    assert locked_out.for_s > 0
    assert doors.told(AccessDenied)[-1].reason is DenialReason.LOCKED_OUT
    assert doors.counts.frozen().lock_outs == 1


def test_a_duress_pin_opens_like_any_other_and_raises_an_alarm_that_nobody_at_the_door_sees(doors: Doors) -> None:
    row = card_row(CARD, "all", pin="2468", duress_pin="8642")
    doors.permit(row, doors=(DoorRule(door="d1", methods=(AccessMethod.CARD_PIN,)),))

    doors.card()
    doors.keys("2468#")
    as_usual = doors.strikes() + doors.shown()
    doors.wait(20.0)
    doors.log.clear()
    doors.card()
    doors.keys("8642#")

    assert doors.strikes() + doors.shown() == as_usual
    assert doors.told(AccessDuress) == [AccessDuress(reader="r1", credential=row.ref)]
    assert doors.told(AccessGranted)[0].reason is GrantReason.VALID


def test_a_door_for_two_asks_the_first_to_wait_and_opens_to_the_second(doors: Doors) -> None:
    rows = card_row(CARD, "all", holder=holder(1)), card_row(OTHER, "all", holder=holder(2))
    doors.permit(*rows, doors=(DoorRule(door="d1", two_persons=True),))

    doors.card(CARD)
    assert (doors.shown(), doors.strikes()) == ([Feedback.WAIT], [])
    doors.card(OTHER)

    assert doors.shown()[-1] is Feedback.GRANTED
    assert doors.strikes() == [5.0]
    assert [denied.reason for denied in doors.told(AccessDenied)] == [DenialReason.SECOND_PERSON_MISSING]


# --- who passed ------------------------------------------------------------------------------------------------------


def area_rule(doors: Doors, *rows: CredentialRow) -> None:
    rule = DoorRule(door="d1", areas=(ReaderArea(reader="r1", into="hall"),))
    doors.permit(*rows, doors=(rule,), areas=(Area(id="hall", anti_passback=AntiPassback.HARD),))


def test_only_who_opened_the_door_is_inside(doors: Doors) -> None:
    area_rule(doors, card_row(CARD, "all", holder=holder(1)))

    doors.card()
    doors.wait(7.0)  # did not open it
    doors.card()
    doors.inputs(is_open=True)
    doors.inputs()
    doors.wait(7.0)
    doors.card()

    assert len(doors.told(AccessGranted)) == 2
    assert [denied.reason for denied in doors.told(AccessDenied)] == [DenialReason.ANTI_PASSBACK]


def test_a_use_is_given_back_to_who_did_not_open_the_door(doors: Doors) -> None:
    doors.permit(card_row(CARD, "all", uses=1))

    doors.card()
    doors.wait(7.0)
    doors.card()
    doors.inputs(is_open=True)
    doors.inputs()
    doors.wait(7.0)
    doors.card()

    assert len(doors.told(AccessGranted)) == 2
    assert [denied.reason for denied in doors.told(AccessDenied)] == [DenialReason.USED_UP]


def test_without_a_contact_who_was_let_in_has_passed(tmp_path: Path) -> None:
    doors = Doors(tmp_path, contact=None)
    doors.permit(card_row(CARD, "all", uses=1))

    doors.card()
    doors.wait(7.0)
    doors.card()

    assert [denied.reason for denied in doors.told(AccessDenied)] == [DenialReason.USED_UP]
    doors.close()


# --- what devices do by themselves -----------------------------------------------------------------------------------


def test_a_terminals_verdict_is_told_as_of_its_own_time_and_its_opening_is_no_force(doors: Doors) -> None:
    row = card_row(CARD, "all")
    doors.permit(row)
    at = MONDAY_0930 + timedelta(seconds=-3)

    doors.give(DeviceDecided("r1", True, AccessMethod.FACE, DecidedBy.TERMINAL, credential=row.ref, at=at))
    doors.inputs(is_open=True)

    seen = doors.recording.wait(AccessGranted, "d1")
    assert (seen.data.credential, seen.data.method, seen.data.decided_by) == (row.ref, AccessMethod.FACE, "terminal")
    assert seen.moment.wall_s == at.timestamp()
    assert doors.told(DoorOpened) == [DoorOpened(cause=ReleaseCause.CREDENTIAL)]
    assert doors.strikes() == []


def test_a_verdict_that_is_told_hours_late_excuses_no_opening_now(doors: Doors) -> None:
    row = card_row(CARD, "all")
    doors.permit(row)
    at = MONDAY_0930 - timedelta(hours=5)

    doors.give(DeviceDecided("r1", True, AccessMethod.CARD, DecidedBy.BOARD, credential=row.ref, at=at))
    doors.inputs(is_open=True)

    assert doors.recording.wait(AccessGranted, "d1").moment.wall_s == at.timestamp()
    assert len(doors.told(DoorForced)) == 1


def test_a_terminals_refusal_has_its_own_word(doors: Doors) -> None:
    doors.give(DeviceDecided("r1", False, AccessMethod.FACE, DecidedBy.TERMINAL, reason="liveness"))

    (denied,) = doors.told(AccessDenied)
    assert (denied.reason, denied.detail, denied.decided_by) == (
        DenialReason.TERMINAL_REFUSED, "liveness", DecidedBy.TERMINAL,
    )  # fmt: skip
    assert doors.counts.frozen().decided_by_devices == 1


def test_a_door_that_its_device_opened_is_not_forced(doors: Doors) -> None:
    doors.give(DoorOpenedByDevice("r1"))
    doors.inputs(is_open=True)

    assert doors.told(DoorReleased) == [DoorReleased(cause=ReleaseCause.DEVICE)]
    assert doors.told(DoorOpened) == [DoorOpened(cause=ReleaseCause.DEVICE)]


# --- inputs ----------------------------------------------------------------------------------------------------------


def test_a_button_and_a_contact_in_one_report_are_no_force(doors: Doors) -> None:
    doors.inputs(is_open=True, button=True)

    assert doors.told(DoorOpened) == [DoorOpened(cause=ReleaseCause.REQUEST_TO_EXIT)]
    assert doors.told(DoorForced) == []


def test_fire_and_power_are_told_when_they_change(doors: Doors) -> None:
    for active in (False, True, True, False):
        doors.inputs(fire=active)
    for failed in (False, True, True, False):
        doors.give(PowerReported("r1", failed))

    assert [told.active for told in doors.told(FireInput)] == [True, False]
    assert [told.failed for told in doors.told(ReaderPower)] == [True, False]
    assert doors.strikes() == []


def test_the_readers_warn_before_a_door_counts_as_held(doors: Doors) -> None:
    doors.inputs(button=True)
    doors.inputs(is_open=True)
    doors.wait(19.0)
    assert doors.shown() == []
    doors.wait(2.0)
    assert doors.shown() == [Feedback.HELD_SOON]


# --- modes -----------------------------------------------------------------------------------------------------------


def test_a_free_door_is_on_until_further_notice_and_again_when_its_reader_comes_back(doors: Doors) -> None:
    assert doors.mode(DoorMode.FREE).done
    doors.give(ReaderDown("r1", ReaderOfflineReason.NO_ANSWER, ""), OutputsForgotten("r1"))
    doors.inputs(is_open=True)
    doors.wait(3600.0)

    assert doors.strikes() == [math.inf, math.inf]
    assert doors.state() is DoorState.OPEN
    assert doors.told(DoorOpened) == [DoorOpened(cause=ReleaseCause.FREE_PASSAGE)]
    doors.mode(DoorMode.NORMAL)
    assert doors.strikes()[-1] is None


def test_a_mode_ends_at_its_moment_by_the_wall_clock(doors: Doors) -> None:
    until = MONDAY_0930 + timedelta(minutes=10)
    doors.mode(DoorMode.LOCKED, until_s=until.timestamp())
    doors.card()
    assert doors.told(AccessDenied)[0].reason is DenialReason.LOCKED

    doors.clock.at += timedelta(minutes=11)  # the clock jumps
    doors.give(LookAgain())
    doors.card()

    changes = [(told.mode, told.cause, told.until) for told in doors.told(DoorModeChanged)]
    assert changes == [
        (DoorMode.LOCKED, ModeCause.COMMAND, until.astimezone(changes[0][2].tzinfo)),
        (DoorMode.NORMAL, ModeCause.COMMAND, None),
    ]
    assert len(doors.told(AccessGranted)) == 1


def test_an_order_that_would_have_ended_already_or_is_for_no_door_of_ours_fails(doors: Doors) -> None:
    past_s = MONDAY_0930.timestamp() - 1
    assert doors.mode(DoorMode.FREE, until_s=past_s).code is FailureCode.EXPIRED
    assert doors.mode(DoorMode.FREE, number=9).code is FailureCode.UNKNOWN_DOOR
    assert doors.strikes() == []


def test_a_schedule_frees_a_door_and_takes_it_back(doors: Doors) -> None:
    doors.permit(doors=(DoorRule(door="d1", free="morning"),))
    assert doors.strikes() == []  # the permit's own second let it come in force
    assert doors.state() is DoorState.RELEASED

    doors.wait(31 * 60)

    (ended,) = doors.told(DoorModeChanged)
    assert (ended.mode, ended.cause) == (DoorMode.NORMAL, ModeCause.SCHEDULE)
    assert doors.strikes() == [None]
    seen = doors.recording.wait(DoorModeChanged, "d1", mode=DoorMode.NORMAL)
    assert seen.moment.wall_s == pytest.approx((MONDAY_0930 + timedelta(minutes=30)).timestamp(), abs=0.01)


def test_a_first_card_frees_its_door_for_the_rest_of_the_interval_over_a_restart_too(doors: Doors) -> None:
    rule = DoorRule(door="d1", first_card="morning", first_card_frees=True)
    doors.permit(card_row(CARD, "all", first=True), doors=(rule,))

    doors.card()
    assert doors.told(DoorModeChanged)[0].cause is ModeCause.FIRST_CARD
    assert doors.strikes() == [5.0, math.inf]
    doors.again()
    doors.wait(1.0)
    assert doors.state() is DoorState.RELEASED
    doors.wait(31 * 60)

    assert doors.state() is DoorState.LOCKED


def test_of_an_interlock_one_door_is_open_or_released_at_the_most(doors: Doors) -> None:
    rules = tuple(DoorRule(door=f"d{number}", interlock="lobby", free="morning") for number in (1, 2))
    doors.permit(card_row(CARD, "all"), doors=rules)
    assert doors.state(1) is doors.state(2) is DoorState.LOCKED  # no schedule frees a door of an interlock

    doors.card(number=1)
    doors.card(number=2)
    doors.inputs(1, is_open=True)
    doors.wait(10.0)
    doors.card(number=2)
    doors.inputs(1)
    doors.card(number=2)

    assert [denied.reason for denied in doors.told(AccessDenied)] == [DenialReason.INTERLOCK] * 2
    assert doors.strikes(2) == [5.0]
    doors.inputs(1, button=True)
    assert doors.strikes(1)[-1] == 5.0  # a way out asks no interlock


# --- lockdown --------------------------------------------------------------------------------------------------------


def test_a_lockdown_locks_every_door_and_stops_nobody_on_the_way_out(doors: Doors) -> None:
    doors.mode(DoorMode.FREE, number=2)
    doors.log.clear()

    assert doors.lock_down().done
    doors.card(number=1)
    doors.card(number=2)
    doors.inputs(2, button=True)

    assert [denied.reason for denied in doors.told(AccessDenied)] == [DenialReason.LOCKDOWN] * 2
    assert doors.strikes(2) == [None, 5.0]
    assert doors.told(DoorReleased) == [DoorReleased(cause=ReleaseCause.REQUEST_TO_EXIT)]
    assert doors.recording.wait(LockdownChanged, "gw-test", active=True)
    assert {told.cause for told in doors.told(DoorModeChanged)} == {ModeCause.LOCKDOWN}


def test_the_end_of_a_lockdown_gives_each_door_back_to_what_it_was(doors: Doors) -> None:
    doors.mode(DoorMode.FREE, number=2)
    doors.lock_down()
    assert "lockdown" in doors.mode(DoorMode.LOCKED, number=1).reason

    assert doors.lock_down(active=False).done

    modes = {status.id: status.mode for status in doors.control.doors()}
    assert modes == {"d1": DoorMode.LOCKED, "d2": DoorMode.FREE}
    assert doors.lock_down(active=False).reason == "it was so already"


def test_an_operator_releases_a_door_in_a_lockdown(doors: Doors) -> None:
    doors.lock_down()

    doors.give(ReleaseOrder("d1", uuid.uuid4(), doors.answers.append))

    assert doors.answers[-1].done
    assert doors.strikes()[-1] == 5.0
    assert doors.told(DoorReleased)[0].cause is ReleaseCause.COMMAND


def test_a_lockdown_and_an_order_outlive_a_restart(doors: Doors) -> None:
    doors.mode(DoorMode.LOCKED, number=2)
    doors.lock_down()

    doors.again()
    doors.card(number=1)
    assert doors.told(AccessDenied)[0].reason is DenialReason.LOCKDOWN
    doors.lock_down(active=False)

    assert [status.mode for status in doors.control.doors()] == [DoorMode.NORMAL, DoorMode.LOCKED]


def test_the_end_of_a_mode_while_the_gateway_was_away_is_told_when_it_is_back(doors: Doors) -> None:
    doors.mode(DoorMode.FREE, until_s=doors.clock.wall_s() + 60.0)
    doors.file.stop()
    doors.clock.advance(seconds=120.0)

    doors.again()
    doors.wait(1.0)

    assert doors.recording.wait(DoorModeChanged, "d1", mode=DoorMode.NORMAL, cause=ModeCause.COMMAND)
    assert doors.state() is DoorState.LOCKED


def test_what_is_kept_is_for_the_gateway_alone(doors: Doors) -> None:
    doors.lock_down()
    doors.file.stop()

    assert (doors.folder / FILE_NAME).stat().st_mode & 0o077 == 0


# --- other orders and news -------------------------------------------------------------------------------------------


def test_who_is_where_is_forgotten_by_order_and_an_unknown_area_is_told(doors: Doors) -> None:
    area_rule(doors, card_row(CARD, "all", holder=holder(1)))
    doors.card()
    doors.inputs(is_open=True)
    doors.inputs()
    doors.wait(7.0)

    doors.give(ForgiveOrder("cellar", doors.answers.append), ForgiveOrder("hall", doors.answers.append))
    doors.card()

    assert [answer.code for answer in doors.answers] == [FailureCode.UNKNOWN_AREA, None]
    assert len(doors.told(AccessGranted)) == 2


def test_a_policy_that_becomes_stale_and_fresh_again_is_told_both_times(doors: Doors) -> None:
    doors.deciding.decider.heard_from_hub(doors.clock.wall_s())
    doors.permit(card_row(CARD, "all", offline_s=3600))
    doors.wait(3700.0)
    assert doors.control.stale

    doors.deciding.decider.heard_from_hub(doors.clock.wall_s())
    doors.wait(2.0)

    began, ended = doors.told(PolicyStale)
    assert (began.stale, ended.stale) == (True, False)
    assert began.since == ended.since
    assert began.since.timestamp() == pytest.approx(MONDAY_0930.timestamp() + 3600.0, abs=2.0)


def test_a_grant_whose_strike_is_away_is_counted_and_its_use_given_back(doors: Doors) -> None:
    doors.permit(card_row(CARD, "all", uses=1))
    doors.give(ReaderDown("r1", ReaderOfflineReason.NO_ANSWER, "it does not answer"))
    doors.card()
    assert (doors.strikes(), doors.counts.frozen().strike_failures) == ([], 1)

    doors.give(ReaderUp("r1", secure_channel=True))
    doors.card()

    assert doors.strikes() == [5.0]


def test_a_door_that_starts_shut_tells_it_though_it_stands_free(doors: Doors) -> None:
    doors.mode(DoorMode.FREE)
    doors.again()

    assert [seen.device for seen in doors.recording.all if isinstance(seen.data, DoorClosed)].count("d1") == 2
