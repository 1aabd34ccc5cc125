"""ZKTeco devices at the gateway: both dialects played over real sockets, on one listener."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from edge.access.config import AccessConfig, KeyFileFault, Reader
from edge.access.drivers.interface import (
    DeviceDecided,
    DoorOpenedByDevice,
    DriverContext,
    DriverEvent,
    InputsReported,
    OutputDone,
    OutputsForgotten,
    PowerReported,
    ReaderDown,
    ReaderUp,
    Roster,
    RosterEntry,
    TamperReported,
)
from edge.access.drivers.zkteco.config import ZktecoDevice
from edge.access.drivers.zkteco.driver import ZktecoDriver, make
from edge.access.drivers.zkteco.listener import Listeners
from edge.clock import SystemClock
from protocols.access_events import AccessMethod, DecidedBy, ReaderOfflineReason
from protocols.cards import parse_text
from tests.peers.zkteco import AccessController, AttendanceTerminal, Lists, Upload
from tests.support.gateways import eventually

ZONE = ZoneInfo("Asia/Shanghai")
SERIAL, TERMINAL_SERIAL = "3383154200002", "0316144680030"
ANNA, BORIS, CLARA = UUID(int=1), UUID(int=2), UUID(int=3)
ALWAYS = tuple((day, 0, 1440) for day in range(7))
OFFICE = tuple((day, 8 * 60, 18 * 60) for day in range(5))

Event = TypeVar("Event")


class Seen:
    """What a driver delivered."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.all: list[DriverEvent] = []

    def __call__(self, event: DriverEvent) -> None:
        with self._changed:
            self.all.append(event)
            self._changed.notify_all()

    def of(self, kind: type[Event]) -> list[Event]:
        with self._changed:
            return [event for event in self.all if isinstance(event, kind)]

    def wait(self, kind: type[Event], wanted: Callable[[Any], bool] = lambda _: True, timeout_s: float = 30.0) -> Event:
        with self._changed:
            found = self._changed.wait_for(
                lambda: next((event for event in self.all if isinstance(event, kind) and wanted(event)), None),
                timeout_s,
            )
            assert found is not None, f"no {kind.__name__}; there are: {self.all}"
            return found


class Gateway:
    """Drivers that share their listeners, as in one daemon."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listeners = Listeners()
        self.seen = Seen()
        self.drivers: list[ZktecoDriver] = []

    def add(self, name: str, doors: int = 4, **keys: Any) -> ZktecoDriver:
        keys = {"serial": SERIAL, "listen_host": "127.0.0.1", "listen_port": 0, **keys}
        config = ZktecoDevice.model_validate({"id": name, "kind": "zkteco", **keys})
        readers = tuple(
            Reader(id=f"{name}-{door}", device=name, channel=door, card_format="w34") for door in range(1, doors + 1)
        )
        state = self._folder / name
        state.mkdir(mode=0o700, exist_ok=True)
        driver = ZktecoDriver(config, readers, DriverContext(state, ZONE, SystemClock()), self._listeners)
        self.drivers.append(driver)
        driver.start(self.seen)
        eventually(lambda: driver.port is not None or bool(self.seen.of(ReaderDown)), what="listening")
        return driver

    def stop(self) -> None:
        for driver in self.drivers:
            driver.stop()


@contextmanager
def gateway(folder: Path) -> Iterator[Gateway]:
    made = Gateway(folder)
    try:
        yield made
    finally:
        made.stop()


def now() -> datetime:
    return datetime.now(ZONE).replace(microsecond=0, tzinfo=None)


def acknowledged(*uploads: Upload) -> Callable[[], bool]:
    return lambda: all(upload.tries for upload in uploads)


def entry(
    who: UUID, card: str, *doors: str, since: datetime | None = None, until: datetime | None = None, at: str = "always"
) -> RosterEntry:
    return RosterEntry(who, parse_text(card), since, until, tuple((door, at) for door in doors))


def roster(*entries: RosterEntry) -> Roster:
    return Roster(entries, {"always": ALWAYS, "office": OFFICE, "never": ()})


class TestAccessDialect:
    def test_a_device_registers_comes_up_and_its_outputs_are_said_anew(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=2)
            with AccessController(driver.port) as board:
                up = site.seen.wait(ReaderUp, lambda event: event.reader == "board-2")
                site.seen.wait(OutputsForgotten, lambda event: event.reader == "board-2")
                board.registered.wait(30)

                assert up.secure_channel is False
                assert board.configuration["RequestDelay"] == "1"

    def test_a_card_that_the_board_let_in_is_told_once_with_its_credential_and_time(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=2)
            driver.set_roster(roster(entry(ANNA, "w34:5:77", "board-1")))
            with AccessController(driver.port) as board:
                eventually(lambda: bool(board.lists.rights), what="the roster")
                pin, user = next(iter(board.lists.users.items()))
                at = now()
                board.happen(at, 0, pin=str(pin), card=user["CardNo"], door=1)
                decided = site.seen.wait(DeviceDecided)
                eventually(lambda: not board.waiting, what="the acknowledgement")

            assert decided == DeviceDecided(
                reader="board-1",
                granted=True,
                method=AccessMethod.CARD,
                by=DecidedBy.BOARD,
                card=parse_text("w34:5:77"),
                credential=ANNA,
                at=at.replace(tzinfo=ZONE),
            )
            assert site.seen.of(DoorOpenedByDevice) == [DoorOpenedByDevice("board-1")]

    @pytest.mark.parametrize(
        ("event", "verify", "method", "by", "reason"),
        [
            (27, "4", AccessMethod.CARD, DecidedBy.BOARD, "unknown"),
            (23, "15", AccessMethod.FACE, DecidedBy.TERMINAL, "no_right"),
            (30, "3", AccessMethod.PIN, DecidedBy.BOARD, "wrong_password"),
            (29, "11", AccessMethod.CARD_PIN, DecidedBy.BOARD, "expired"),
            (74, "0", AccessMethod.QR, DecidedBy.BOARD, "expired_qr"),
            (98, "4", AccessMethod.CARD, DecidedBy.BOARD, "event_98"),
        ],
    )
    def test_refusals_are_told_with_method_and_reason(
        self, tmp_path: Path, event: int, verify: str, method: AccessMethod, by: DecidedBy, reason: str
    ) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=2)
            with AccessController(driver.port) as board:
                board.happen(now(), event, card="65613", door=2, verify=verify)
                decided = site.seen.wait(DeviceDecided)

            assert (decided.reader, decided.granted) == ("board-2", False)
            assert (decided.method, decided.by, decided.reason) == (method, by, reason)
            assert decided.card == parse_text("w34:1:77")
            assert not site.seen.of(DoorOpenedByDevice)

    def test_events_of_the_outage_are_caught_up_and_move_no_door(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                long_ago = now() - timedelta(days=7)
                board.happen(long_ago, 0, pin="4", card="65613")
                board.happen(long_ago, 200)
                board.happen(long_ago, 202)
                decided = site.seen.wait(DeviceDecided)
                eventually(lambda: not board.waiting, what="all acknowledged")

            assert decided.at == long_ago.replace(tzinfo=ZONE)
            assert not site.seen.of(DoorOpenedByDevice)
            assert not site.seen.of(InputsReported)

    def test_duress_is_a_grant_that_says_so(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                board.happen(now(), 101, pin="4", verify="3")
                decided = site.seen.wait(DeviceDecided)
            assert (decided.granted, decided.reason) == (True, "duress")

    def test_button_contact_tamper_and_power_are_told(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=2)
            with AccessController(driver.port) as board:
                board.happen(now(), 202, door=2)
                board.happen(now(), 200, door=2)
                board.happen(now(), 100, door=0)
                site.seen.wait(DoorOpenedByDevice, lambda event: event.reader == "board-2")
                site.seen.wait(InputsReported, lambda event: event == InputsReported("board-2", (True,)))
                site.seen.wait(TamperReported, lambda event: event == TamperReported("board-1", True))
                site.seen.wait(TamperReported, lambda event: event == TamperReported("board-2", True))

                board.upload_states(now(), sensor="0900", alarm="0020000000000000")
                site.seen.wait(InputsReported, lambda event: event == InputsReported("board-1", (False,)))
                site.seen.wait(TamperReported, lambda event: event == TamperReported("board-1", False))
                site.seen.wait(PowerReported, lambda event: event == PowerReported("board-2", True))

            assert not site.seen.of(DeviceDecided)

    def test_a_door_without_contact_reports_no_input(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=2)
            with AccessController(driver.port) as board:
                board.upload_states(now(), sensor="0800")
                site.seen.wait(InputsReported)
                eventually(lambda: not board.waiting, what="acknowledged")
            assert site.seen.of(InputsReported) == [InputsReported("board-2", (True,))]

    def test_an_event_that_is_sent_again_is_told_once_also_after_a_restart(self, tmp_path: Path) -> None:
        at = now()
        lines = [
            f"time={at:%Y-%m-%d %H:%M:%S}\tpin=4\tcardno=0\teventaddr=1\tevent=0\tverifytype=4\tindex={index}"
            for index in range(1, 4)
        ]
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                first, second = board.upload_events(*lines), board.upload_events(*lines)
                eventually(lambda: not board.waiting, what="both acknowledged")
            assert (first.tries, second.tries) == (1, 1)
            assert len(site.seen.of(DeviceDecided)) == 3
            assert driver.counters["records_repeated"] == 3

        with gateway(tmp_path) as again:
            driver = again.add("board")
            with AccessController(driver.port) as board:
                board.upload_events(*lines)
                board.upload_events(lines[0].replace("index=1", "index=9"))
                again.seen.wait(DeviceDecided)
                eventually(lambda: not board.waiting, what="both acknowledged")
            assert len(again.seen.of(DeviceDecided)) == 1

    def test_stored_events_are_told_and_acknowledged_by_their_count(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                lines = [
                    b"transaction cardno=65613\tpin=0\tverified=4\tdoorid=2\teventtype=27\tinoutstate=0\t"
                    b"time_second=%d\tindex=%d" % (777777777, index)
                    for index in range(3)
                ]
                upload = board.upload_table("transaction", lines)
                eventually(lambda: not board.waiting, what="transaction=3")
            assert upload.tries == 1
            assert [decided.reader for decided in site.seen.of(DeviceDecided)] == ["board-2"] * 3

    def test_thousands_of_events_of_one_upload_come_in_order(self, tmp_path: Path) -> None:
        began = now() - timedelta(days=3)
        lines = [
            f"time={began + timedelta(seconds=index):%Y-%m-%d %H:%M:%S}\tpin=4\teventaddr=1\tevent=0\tindex={index}"
            for index in range(5000)
        ]
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                upload = board.upload_events(*lines)
                eventually(lambda: not board.waiting, what="acknowledged")
            assert upload.tries == 1
            times = [decided.at for decided in site.seen.of(DeviceDecided)]
            assert len(times) == 5000
            assert times == sorted(times)

    def test_an_output_is_switched_at_the_next_poll_and_answered(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                site.seen.wait(ReaderUp)
                assert driver.set_output("board-3", 0, 4.5, 11)
                done = site.seen.wait(OutputDone, lambda event: event.ticket == 11)
                assert done.done
                assert done.submitted_ns
                assert board.open_s == {3: 5}

                assert driver.set_output("board-3", 0, math.inf, 12)
                assert driver.set_output("board-3", 1, 2.0, 13)
                site.seen.wait(OutputDone, lambda event: event.ticket == 13)
                assert board.open_s == {3: math.inf}
                assert board.auxiliary == {3: 2}

                assert driver.set_output("board-3", 0, None, 14)
                site.seen.wait(OutputDone, lambda event: event.ticket == 14)
                assert board.open_s == {}

    def test_a_command_that_the_device_refuses_fails(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                board.refuse["CONTROL"] = -13
                site.seen.wait(ReaderUp)
                assert driver.set_output("board-1", 0, 3.0, 1)
                done = site.seen.wait(OutputDone)
            assert not done.done
            assert "-13" in done.detail

    def test_a_device_that_is_away_takes_no_command(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            assert not driver.set_output("board-1", 0, 3.0, 1)

    def test_stopping_shuts_a_door_that_stands_open_until_further_notice(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                site.seen.wait(ReaderUp)
                driver.set_output("board-1", 0, math.inf, 1)
                eventually(lambda: board.open_s == {1: math.inf}, what="open")
                site.stop()
                site.drivers.clear()
                assert board.open_s == {}

    def test_a_restarted_device_is_told_its_outputs_anew(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=1)
            with AccessController(driver.port) as board:
                board.registered.wait(30)
                before = len(site.seen.of(OutputsForgotten))
                board.restart()
                eventually(lambda: len(site.seen.of(OutputsForgotten)) > before, what="forgotten")
            assert board.configuration["registry"] == "ok"


class TestBiometricData:
    @pytest.mark.parametrize(
        "table", ["biodata", "biophoto", "userpic", "templatev10", "user", "identitycard", "ATTPHOTO", "somethingnew"]
    )
    def test_tables_of_people_are_acknowledged_and_thrown_away(self, tmp_path: Path, table: str) -> None:
        secret = b"SECRETTEMPLATE"
        lines = [b"%s pin=%d\ttmp=%s" % (table.encode(), number, secret * 5000) for number in range(40)]
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                upload = board.upload_table(table, lines)
                eventually(lambda: not board.waiting, what="the exact acknowledgement")
            assert upload.tries == 1
            assert sum(map(len, lines)) > 2 * 1024 * 1024  # more than all events of an upload may have
            site.stop()
            for path in tmp_path.rglob("*"):
                assert path.is_dir() or secret not in path.read_bytes(), path

    def test_fingers_and_faces_in_the_operation_log_are_never_kept(self, tmp_path: Path) -> None:
        secret = b"SECRETTEMPLATE"
        alarm = f"OPLOG 3\t0\t{now():%Y-%m-%d %H:%M:%S}\t55\t0\t0\t0".encode()
        lines = [b"FP PIN=1\tFID=0\tSize=9\tValid=1\tTMP=" + secret * 100] * 30000
        lines += [b"FACE PIN=1\tFID=0\tTMP=" + secret, b"USER PIN=1\tName=Anna", alarm]
        assert sum(map(len, lines)) > 32 * 1024 * 1024
        lines = lines[10000:]
        with gateway(tmp_path) as site:
            driver = site.add("door", doors=1, serial=TERMINAL_SERIAL)
            with AttendanceTerminal(driver.port) as terminal:
                terminal.upload_records("OPERLOG", lines)
                site.seen.wait(TamperReported, lambda event: event.active)
                eventually(lambda: not terminal.waiting, what="acknowledged by count")
            site.stop()
            for path in tmp_path.rglob("*"):
                assert path.is_dir() or (b"SECRET" not in path.read_bytes() and b"Anna" not in path.read_bytes())


class TestAttendanceDialect:
    def test_a_terminal_is_configured_and_its_verdicts_are_told(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("door", doors=1, serial=TERMINAL_SERIAL)
            with AttendanceTerminal(driver.port) as terminal:
                at = now()
                terminal.verify(at, "4", way=15)
                terminal.verify(at, "5", way=4)
                site.seen.wait(DeviceDecided, lambda event: event.method is AccessMethod.CARD)
                eventually(lambda: not terminal.waiting, what="acknowledged")

            face, card = site.seen.of(DeviceDecided)
            assert (face.reader, face.granted, face.method, face.by) == (
                "door-1",
                True,
                AccessMethod.FACE,
                DecidedBy.TERMINAL,
            )
            assert card.by is DecidedBy.BOARD
            assert face.at == at.replace(tzinfo=ZONE)
            assert terminal.configuration["Delay"] == "2"
            assert terminal.configuration["TimeZone"] == "8"
            assert site.seen.of(DoorOpenedByDevice)

    def test_a_record_is_one_event_however_often_it_comes(self, tmp_path: Path) -> None:
        line = f"4\t{now():%Y-%m-%d %H:%M:%S}\t0\t15\t0\t0\t0".encode()
        other = line.replace(b"\t15\t", b"\t4\t")
        for told in (2, 0):
            with gateway(tmp_path) as site:
                driver = site.add("door", doors=1, serial=TERMINAL_SERIAL)
                with AttendanceTerminal(driver.port) as terminal:
                    uploads = [terminal.upload_records("ATTLOG", [line, other, line]) for _ in range(3)]
                    eventually(lambda here=terminal: not here.waiting, what="acknowledged")
                assert [upload.tries for upload in uploads] == [1, 1, 1]
                assert len(site.seen.of(DeviceDecided)) == told

    def test_the_devices_zone_and_its_own_offset_count(self, tmp_path: Path) -> None:
        at = datetime(2024, 3, 1, 8, 0, tzinfo=ZONE)
        with gateway(tmp_path) as site:
            driver = site.add("door", doors=1, serial=TERMINAL_SERIAL, time_zone="Asia/Tokyo")
            with AttendanceTerminal(driver.port) as terminal:
                terminal.verify(at, "1")
                terminal.verify(at, "2", tail="\t0\t\t0\t0\t\t\t+25200\t")
                eventually(lambda: len(site.seen.of(DeviceDecided)) == 2, what="both")
            tokyo, own = site.seen.of(DeviceDecided)
            assert tokyo.at == datetime(2024, 3, 1, 7, 0, tzinfo=ZONE)
            assert own.at == datetime(2024, 3, 1, 9, 0, tzinfo=ZONE)

    def test_the_lock_opens_for_its_own_time_and_cannot_stay_open(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("door", doors=1, serial=TERMINAL_SERIAL)
            with AttendanceTerminal(driver.port) as terminal:
                site.seen.wait(ReaderUp)
                for ticket, for_s in ((1, 5.0), (2, None), (3, math.inf)):
                    assert driver.set_output("door-1", 0, for_s, ticket)
                outcomes = {
                    ticket: site.seen.wait(OutputDone, lambda event, ticket=ticket: event.ticket == ticket).done
                    for ticket in (1, 2, 3)
                }
            assert outcomes == {1: True, 2: True, 3: False}
            assert terminal.openings == 1

    def test_alarms_of_the_operation_log(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("door", doors=1, serial=TERMINAL_SERIAL)
            with AttendanceTerminal(driver.port) as terminal:
                lines = [
                    f"OPLOG 3\t0\t{now():%Y-%m-%d %H:%M:%S}\t{reason}\t0\t0\t0".encode()
                    for reason in (51, 53, 55, 65535)
                ]
                terminal.upload_records("OPERLOG", [b"OPLOG 4\t1\t2024-01-01 00:00:00\t0", *lines])
                site.seen.wait(TamperReported, lambda event: not event.active)
            told = [event for event in site.seen.all if not isinstance(event, ReaderUp | OutputsForgotten)]
            assert told == [
                InputsReported("door-1", (True,)),
                DoorOpenedByDevice("door-1"),
                TamperReported("door-1", True),
                TamperReported("door-1", False),
            ]


class TestOneListener:
    def test_two_dialects_share_it(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            board_driver = site.add("board", doors=1)
            door_driver = site.add("door", doors=1, serial=TERMINAL_SERIAL)
            assert board_driver.port == door_driver.port
            with AccessController(board_driver.port) as board, AttendanceTerminal(door_driver.port) as terminal:
                board.happen(now(), 0, pin="1")
                terminal.verify(now(), "2")
                readers = {
                    site.seen.wait(DeviceDecided, lambda event, name=name: event.reader == name).reader
                    for name in ("board-1", "door-1")
                }
                assert driver_switches(site, board_driver, "board-1", 1)
                assert driver_switches(site, door_driver, "door-1", 2)
                assert board.open_s == {1: 3}
                assert terminal.openings == 1
            assert readers == {"board-1", "door-1"}

    def test_it_ends_with_its_last_device_and_the_other_goes_on(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            board_driver = site.add("board", doors=1)
            door_driver = site.add("door", doors=1, serial=TERMINAL_SERIAL)
            listener = door_driver.listener
            with AttendanceTerminal(door_driver.port) as terminal:
                board_driver.stop()
                terminal.verify(now(), "2")
                site.seen.wait(DeviceDecided)
                door_driver.stop()
            assert listener.port is None
            assert not any(thread.name.startswith("zkteco") for thread in threading.enumerate())

    def test_a_serial_number_has_one_table(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            site.add("board", doors=1)
            site.add("other", doors=1)
            down = site.seen.wait(ReaderDown, lambda event: event.reader == "other-1")
        assert down.reason is ReaderOfflineReason.PORT
        assert 'serial "3383154200002" is that of device "board"' in down.detail

    def test_a_dialect_that_the_device_does_not_name_is_learnt_and_kept(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=1)
            driver.device.standing.heard(begins_anew=False)
            with AccessController(driver.port, device_type="acc"):
                eventually(lambda: driver.device.dialect.value == "access", what="learnt")
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=1)
            with AccessController(driver.port, device_type="") as board:
                assert board.registered.wait(30)

    def test_a_dialect_can_be_configured(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=1, dialect="access")
            with AccessController(driver.port, device_type="") as board:
                assert board.registered.wait(30)

    def test_a_port_that_is_taken_is_told_and_tried_again(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            first = site.add("board", doors=1)
            port = first.port
            second = site.add("door", doors=1, serial=TERMINAL_SERIAL, listen_port=port)
            down = site.seen.wait(ReaderDown, lambda event: event.reader == "door-1")
            assert (down.reason, str(port) in down.detail) == (ReaderOfflineReason.PORT, True)
            first.stop()
            site.drivers.remove(first)
            eventually(lambda: second.port == port, what="listening at last")
            with AttendanceTerminal(port):
                site.seen.wait(ReaderUp, lambda event: event.reader == "door-1")


def driver_switches(site: Gateway, driver: ZktecoDriver, reader: str, ticket: int) -> bool:
    assert driver.set_output(reader, 0, 3.0, ticket)
    return site.seen.wait(OutputDone, lambda event: event.ticket == ticket).done


class TestWhoMaySpeak:
    def test_an_unlisted_serial_number_is_refused_and_logged_now_and_then(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=1)
            with AccessController(driver.port, serial="STRANGER1") as stranger:
                stranger.happen(now(), 0, pin="1")
                eventually(lambda: len(stranger.refusals) > 3, what="refused again and again")
            assert set(stranger.refusals) == {403}
            assert driver.listener.counters["serials_refused"] > 3
            lines = [record for record in caplog.records if "not in the site file" in record.message]
            assert [line.serial for line in lines] == ["STRANGER1"]
            assert not site.seen.all

    def test_while_pairing_a_stranger_is_named_and_refused_all_the_same(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            soon = datetime.now(ZONE) + timedelta(minutes=10)
            driver = site.add("board", doors=1, serial=None, pairing_until=soon)
            with AccessController(driver.port, serial="NEWBOARD7") as stranger:
                stranger.happen(now(), 0, pin="1")
                down = site.seen.wait(ReaderDown)
                eventually(lambda: len(stranger.refusals) > 5, what="refused")
            assert down.reason is ReaderOfflineReason.UNKNOWN_DEVICE
            assert 'serial = "NEWBOARD7"' in down.detail
            assert site.seen.all == [down]

    def test_a_pairing_window_ends(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            over = datetime.now(ZONE) - timedelta(seconds=1)
            driver = site.add("board", doors=1, serial=None, pairing_until=over)
            with AccessController(driver.port, serial="NEWBOARD7") as stranger:
                eventually(lambda: len(stranger.refusals) > 3, what="refused")
            assert not site.seen.all

    def test_only_the_devices_own_address_may_use_its_serial_number(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board", doors=1, source_address="10.9.8.7")
            with AccessController(driver.port) as board:
                down = site.seen.wait(ReaderDown)
                eventually(lambda: len(board.refusals) > 3, what="refused")
            assert down.reason is ReaderOfflineReason.UNKNOWN_DEVICE
            assert "127.0.0.1" in down.detail
            assert driver.listener.counters["sources_refused"] > 3
            assert not site.seen.of(ReaderUp)


class TestRoster:
    def test_users_hours_and_rights_reach_the_board_and_only_differences_follow(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                until = datetime(2031, 5, 1, 12, 0, 1, tzinfo=ZONE)
                both = entry(ANNA, "w34:5:77", "board-1", "board-3", until=until)
                driver.set_roster(roster(both, entry(BORIS, "w34:5:78", "board-2", at="office")))
                eventually(lambda: len(board.lists.rights) == 2 and driver.device.roster_is_settled, what="settled")
                assert board.commands[0] == "DATA DELETE userauthorize *"
                by_card = {user["CardNo"]: pin for pin, user in board.lists.users.items()}
                anna, boris = by_card[str(5 << 16 | 77)], by_card[str(5 << 16 | 78)]
                doors = {pin: bits for pin, _, bits in board.lists.rights}
                assert doors == {anna: 0b101, boris: 0b010}
                assert board.lists.users[anna]["EndTime"] == str(((31 * 12 * 31 + 4 * 31 + 0) * 24 + 12) * 3600 + 1)
                assert {user["Name"] for user in board.lists.users.values()} == {""}
                office = next(hours for hours in board.lists.hours.values() if hours["SunTime1"] == "0")
                assert (office["MonTime1"], office["SatTime1"]) == (str(800 << 16 | 1759), "0")

                sent = len(board.commands)
                driver.set_roster(roster(both, entry(BORIS, "w34:5:78", "board-2", at="office")))
                driver.set_roster(
                    roster(
                        both,
                        entry(BORIS, "w34:5:78", "board-2", at="office"),
                        entry(CLARA, "w34:5:79", "board-4", at="office"),
                    )
                )
                eventually(lambda: len(board.lists.rights) == 3 and driver.device.roster_is_settled, what="settled")
                assert [text.split(" ")[2] for text in board.commands[sent:]] == ["user", "userauthorize"]

                driver.set_roster(roster(both))
                eventually(lambda: len(board.lists.users) == 1 and driver.device.roster_is_settled, what="settled")
                assert {pin for pin, _, _ in board.lists.rights} == {anna}
                assert len(board.lists.hours) == 1

    def test_a_holiday_and_a_make_up_workday_of_the_coming_days_change_the_hours_and_nothing_else(
        self, tmp_path: Path
    ) -> None:
        """The week that a roster tells is that of the seven days from today on."""
        off_on_monday = (*((day, 480, 1080) for day in range(1, 5)), (5, 480, 1080))
        works = entry(BORIS, "w34:5:78", "board-2", at="office")
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:

                def hours() -> tuple[str, str]:
                    (only,) = board.lists.hours.values()
                    return only["MonTime1"], only["SatTime1"]

                driver.set_roster(roster(works))
                eventually(lambda: len(board.lists.rights) == 1 and driver.device.roster_is_settled, what="settled")
                assert hours() == (str(800 << 16 | 1759), "0")
                sent = len(board.commands)
                driver.set_roster(Roster((works,), {"office": off_on_monday}))
                eventually(lambda: hours() == ("0", str(800 << 16 | 1759)), what="the week with its exceptions")
                driver.set_roster(roster(works))
                eventually(lambda: hours() == (str(800 << 16 | 1759), "0"), what="the plain week again")

                assert {text.split(" ")[2] for text in board.commands[sent:]} == {"timezone"}

    def test_a_number_is_never_given_twice(self, tmp_path: Path) -> None:
        pins, lists = set(), Lists()
        for who in (ANNA, BORIS, CLARA):
            with gateway(tmp_path) as site:
                driver = site.add("board")
                driver.set_roster(roster(entry(who, "w34:5:77", "board-1")))
                with AccessController(driver.port, lists=lists):
                    eventually(lambda here=driver: here.device.roster_is_settled, what="settled")
                    assert len(lists.users) == len(lists.rights) == 1
                    pins |= lists.users.keys()
        assert len(pins) == 3

    def test_what_was_not_confirmed_is_sent_again_after_the_device_came_back(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            driver.set_roster(roster())
            with AccessController(driver.port) as board:
                eventually(lambda: driver.device.roster_is_settled, what="settled")
                board.answers = False
                driver.set_roster(roster(entry(ANNA, "w34:5:77", "board-1")))
                eventually(lambda: len(board.commands) == 4, what="sent")
                assert not driver.device.roster_is_settled
                board.lists.users.clear()
                board.lists.rights.clear()
                board.answers = True
                board.restart()
                eventually(lambda: driver.device.roster_is_settled, what="settled")
                assert len(board.lists.users) == len(board.lists.rights) == 1

    def test_nothing_is_sent_again_after_a_restart_of_the_gateway(self, tmp_path: Path) -> None:
        the_same = roster(entry(ANNA, "w34:5:77", "board-1"))
        for wanted in (4, 0):
            with gateway(tmp_path) as site:
                driver = site.add("board")
                driver.set_roster(the_same)
                with AccessController(driver.port) as board:
                    eventually(
                        lambda here=driver, there=board: here.device.roster_is_settled and there.registered.is_set(),
                        what="settled",
                    )
                    asked = len(board.requests)
                    eventually(lambda there=board, asked=asked: len(there.requests) > asked + 5, what="polls")
                    assert len(board.commands) == wanted

    def test_a_refused_entry_is_counted_and_does_not_hold_up_the_rest(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            with AccessController(driver.port) as board:
                board.refuse[f"DATA UPDATE user CardNo={5 << 16 | 77}"] = -18
                driver.set_roster(roster(entry(BORIS, "w34:5:78", "board-1")))
                eventually(lambda: driver.device.roster_is_settled, what="settled")
                board.refuse["DATA UPDATE userauthorize Pin=100002"] = -18
                driver.set_roster(
                    roster(entry(ANNA, "w34:5:77", "board-1"), entry(BORIS, "w34:5:78", "board-1", "board-2"))
                )
                eventually(lambda: driver.counters["roster_refused"] == 2, what="refused")
                eventually(lambda: {bits for _, _, bits in board.lists.rights} == {0b11}, what="the rest")
                assert not driver.device.roster_is_settled

    def test_a_device_that_knows_dates_only_gets_dates(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            until = datetime(2031, 5, 1, 12, 0, tzinfo=ZONE)
            driver.set_roster(roster(entry(ANNA, "w34:5:77", "board-1", until=until)))
            with AccessController(driver.port, exact_dates=False) as board:
                eventually(lambda: driver.device.roster_is_settled, what="settled")
                assert [user["EndTime"] for user in board.lists.users.values()] == ["20310501"]

    def test_who_expires_leaves_the_list_by_itself(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            until = datetime.now(ZONE) + timedelta(seconds=2)
            with AccessController(driver.port) as board:
                board.registered.wait(30)
                driver.set_roster(roster(entry(ANNA, "w34:5:77", "board-1", until=until)))
                eventually(lambda: bool(board.lists.rights), what="in the list")
                eventually(lambda: not board.lists.users and not board.lists.rights, what="out of it")
                assert datetime.now(ZONE) >= until

    def test_an_attendance_terminals_list(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("door", doors=1, serial=TERMINAL_SERIAL)
            until = datetime(2031, 5, 1, 12, 0, tzinfo=ZONE)
            driver.set_roster(
                roster(
                    entry(ANNA, "w34:5:77", "door-1", until=until),
                    entry(BORIS, "w34:5:78", "door-1", at="office"),
                    entry(CLARA, "w34:5:79", "door-1", at="never"),
                )
            )
            with AttendanceTerminal(driver.port) as terminal:
                eventually(lambda: driver.device.roster_is_settled, what="settled")
                users = {user["Card"]: user for user in terminal.lists.users.values()}
                assert set(users) == {str(5 << 16 | 77), str(5 << 16 | 78)}
                anna, boris = users[str(5 << 16 | 77)], users[str(5 << 16 | 78)]
                assert (anna["EndDatetime"], anna["Expires"], anna["Name"]) == ("2031-05-01T12:00:00", "1", "")
                assert boris["Expires"] == "0"
                office = terminal.lists.hours[int(boris["TZ"][4:8])]
                assert (office["MonStart"], office["MonEnd"], office["SunStart"]) == ("0800", "1759", "2357")

                driver.set_roster(roster())
                eventually(lambda: driver.device.roster_is_settled and not terminal.lists.users, what="empty")

    def test_a_thousand_users_come_over_in_batches(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            people = [entry(UUID(int=number + 1), f"w34:1:{number}", "board-1") for number in range(1000)]
            driver.set_roster(roster(*people))
            with AccessController(driver.port) as board:
                eventually(lambda: driver.device.roster_is_settled, timeout_s=40, what="settled")
                assert len(board.lists.users) == len(board.lists.rights) == 1000

    def test_no_card_number_is_left_on_the_gateways_disk(self, tmp_path: Path) -> None:
        with gateway(tmp_path) as site:
            driver = site.add("board")
            driver.set_roster(roster(entry(ANNA, "w34:4660:22136", "board-1")))
            with AccessController(driver.port) as board:
                eventually(lambda: driver.device.roster_is_settled, what="settled")
                number = next(iter(board.lists.users.values()))["CardNo"]
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or number.encode() not in path.read_bytes()


class TestConfiguration:
    def test_a_site_file(self) -> None:
        config = AccessConfig.model_validate(
            {
                "device": [{"id": "board", "kind": "zkteco", "serial": SERIAL}],
                "reader": [{"id": "r1", "device": "board", "channel": 2}],
                "door": [{"id": "d1", "place": "p", "readers": ["r1"], "strike": {"reader": "r1", "output": 0}}],
            }
        )
        assert config.device[0].listen_port == 8081

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({}, "needs its serial number"),
            ({"serial": "a b"}, "serial"),
            ({"serial": SERIAL, "time_zone": "Mars/Olympus"}, "not a time zone"),
            ({"serial": SERIAL, "time_zone": "../../etc/passwd"}, "not a time zone"),
            ({"serial": SERIAL, "tls_key_file": "/k"}, "TLS needs both"),
            ({"serial": None, "pairing_until": "2026-01-01T00:00:00"}, "pairing_until"),
            ({"serial": SERIAL, "dialect": "pull"}, "dialect"),
        ],
    )
    def test_faults_say_what_to_write(self, keys: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ZktecoDevice.model_validate({"id": "board", "kind": "zkteco", **keys})

    def test_a_key_that_others_may_read_is_refused(self, tmp_path: Path) -> None:
        key = tmp_path / "key.pem"
        key.write_text("x")
        key.chmod(0o644)
        device = ZktecoDevice(
            id="board", kind="zkteco", serial=SERIAL, tls_certificate_file=tmp_path / "c.pem", tls_key_file=key
        )
        with pytest.raises(KeyFileFault, match=r"device\.board\.tls_key_file.*chmod 600"):
            make(device, (), DriverContext(tmp_path, ZONE, SystemClock()))
