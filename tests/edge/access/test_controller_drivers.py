"""Drivers that cannot start, fail when called or do not stop: each costs its own readers alone. And devices' lists."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.access.config import AccessConfig, ConfigFault, KeyFileFault
from edge.access.device_statuses import device_statuses
from edge.access.door import DoorState
from edge.access.drivers import registry, running
from edge.access.drivers.interface import (
    Deliver,
    DriverContext,
    DriverEvent,
    DriverReport,
    DriverRestarted,
    Feedback,
    ReaderDown,
    Roster,
)
from edge.access.drivers.registry import driver_sources
from edge.access.drivers.running import DriverSource, RunningDrivers
from edge.access.rosters import RosterKeeper
from edge.access.status import DeviceState, DoorStatus, ReaderStatus
from edge.clock import SystemClock
from edge.counters import Counters
from protocols.access_events import DoorMode, ModeCause, ReaderOfflineReason
from protocols.rules import DoorRule, Rules
from tests.support.deciding import Deciding, card_row
from tests.support.doors import ZONE, rules_for
from tests.support.gateways import eventually


class Played:
    """A driver that does what its name says."""

    def __init__(self, name: str, fault: Exception | None = None) -> None:
        self.name, self.fault = name, fault
        self.fails_to_start = False
        self.stopped = threading.Event()
        self.may_stop = threading.Event()
        self.may_stop.set()

    def start(self, deliver: Deliver) -> None:
        if self.fails_to_start:
            raise OSError("no such interface")

    def stop(self) -> None:
        self.may_stop.wait(20.0)
        self.stopped.set()

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        if self.fault is not None:
            raise self.fault
        return True

    def feedback(self, reader: str, feedback: Feedback) -> None:
        if self.fault is not None:
            raise self.fault


class Counting(Played):
    """One that counts, and confirms late."""

    answer_s = 6.5

    def report(self) -> DriverReport:
        if self.fault is not None:
            raise self.fault
        return DriverReport({"events_lost": 3}, ("the lock opens for 3 s",))


class Keeping(Played):
    """One whose device keeps a list."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.rosters: list[Roster] = []

    def set_roster(self, roster: Roster) -> None:
        self.rosters.append(roster)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(running, "LONGEST_RETRY_S", 0.05)
    monkeypatch.setattr(running, "_LOOK_EVERY_S", 0.01)


def source(name: str, make: Callable[[], Played]) -> DriverSource:
    return DriverSource(name, (f"{name}-1", f"{name}-2"), make)


def test_one_that_cannot_start_takes_no_other_down_and_is_tried_until_it_can() -> None:
    events: queue.Queue[DriverEvent] = queue.Queue()
    broken, sound, counters = [True], Played("sound"), Counters()

    def make() -> Played:
        if broken[0]:
            raise KeyFileFault((ConfigFault("reader.0.scbk_file", "others may read it"),))
        return Played("shaky")

    drivers = RunningDrivers([source("shaky", make), source("sound", lambda: sound)], counters)
    drivers.start(events.put)
    assert drivers.set_output("sound", "sound-1", 0, 1.0, 1)
    assert not drivers.set_output("shaky", "shaky-1", 0, 1.0, 2)
    drivers.feedback("shaky", "shaky-1", Feedback.DENIED)
    downs = [events.get(timeout=30.0), events.get(timeout=30.0)]
    assert {down.reader for down in downs if isinstance(down, ReaderDown)} == {"shaky-1", "shaky-2"}
    assert isinstance(downs[0], ReaderDown)
    assert downs[0].reason is ReaderOfflineReason.KEY
    assert "others may read it" in downs[0].detail

    broken[0] = False
    eventually(lambda: drivers.set_output("shaky", "shaky-1", 0, 1.0, 3))
    eventually(lambda: any(isinstance(event, DriverRestarted) for event in list(events.queue)))
    assert counters["driver_start_failures"] >= 1
    drivers.stop()
    assert sound.stopped.is_set()


def test_one_that_fails_half_way_through_its_start_is_stopped_again() -> None:
    made: list[Played] = []

    def make() -> Played:
        made.append(Played("p"))
        made[-1].fails_to_start = len(made) == 1
        return made[-1]

    drivers = RunningDrivers([source("p", make)], Counters())
    drivers.start(lambda _event: None)
    eventually(lambda: len(made) == 2)
    assert made[0].stopped.is_set()
    drivers.stop()


def test_what_a_driver_raises_when_it_is_called_reaches_no_door() -> None:
    counters = Counters()
    drivers = RunningDrivers([source("p", lambda: Played("p", RuntimeError("a bug")))], counters)
    drivers.start(lambda _event: None)

    assert not drivers.set_output("p", "p-1", 0, 1.0, 1)
    drivers.feedback("p", "p-1", Feedback.GRANTED)

    assert counters["driver_faults"] == 2
    drivers.stop()


def test_each_driver_tells_what_it_counts_and_one_that_fails_to_keeps_none_from_it() -> None:
    counters = Counters()
    sources = [
        source("plain", lambda: Played("plain")),
        source("counting", lambda: Counting("counting")),
        source("faulty", lambda: Counting("faulty", RuntimeError("a bug"))),
    ]
    drivers = RunningDrivers(sources, counters)
    drivers.start(lambda _event: None)

    assert drivers.reports() == {
        "plain": DriverReport({}),
        "counting": DriverReport({"events_lost": 3}, ("the lock opens for 3 s",)),
        "faulty": DriverReport({}),
    }
    assert counters["driver_faults"] == 1
    assert (drivers.answer_s("plain"), drivers.answer_s("counting")) == (0.0, 6.5)
    drivers.stop()
    assert drivers.reports()["counting"].counts == {"events_lost": 3}


@pytest.mark.parametrize(
    ("online", "state", "detail"),
    [
        ((None, None), DeviceState.UNHEARD, ""),
        ((True, True), DeviceState.ONLINE, ""),
        ((True, False), DeviceState.PARTLY, "no power at r1"),
        ((None, False), DeviceState.OFFLINE, "no power at r1"),
        ((False, False), DeviceState.OFFLINE, "no power at r0"),
        ((), DeviceState.UNHEARD, ""),
    ],
)
def test_a_device_stands_as_its_readers_do(online: tuple[bool | None, ...], state: DeviceState, detail: str) -> None:
    readers = [ReaderStatus(f"r{at}", "board", up, False, *_why(at, up)) for at, up in enumerate(online)] + [
        ReaderStatus("r9", "bus1", False, False, ReaderOfflineReason.PORT, "another's")
    ]

    (told,) = device_statuses({"board": DriverReport({"faults": 1})}, readers)

    assert (told.id, told.state, told.detail, told.counts) == ("board", state, detail, {"faults": 1})
    assert told.reason is (ReaderOfflineReason.NO_ANSWER if detail else None)


def _why(at: int, up: bool | None) -> tuple[ReaderOfflineReason | None, str]:
    return (ReaderOfflineReason.NO_ANSWER, f"no power at r{at}") if up is False else (None, "")


def test_one_that_does_not_stop_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "STOP_S", 0.1)
    stuck, counters = Played("stuck"), Counters()
    stuck.may_stop.clear()
    drivers = RunningDrivers([source("stuck", lambda: stuck)], counters)
    drivers.start(lambda _event: None)

    drivers.stop()

    assert counters["drivers_not_stopped"] == 1
    stuck.may_stop.set()


CONFIG = AccessConfig.model_validate(
    {
        "reader_bus": [{"id": bus, "port": f"/dev/{bus}"} for bus in ("bus1", "board")],
        "reader": [
            {"id": f"r{n}", "bus": bus, "address": n, "scbk_file": f"/no/such/key-{bus}"}
            for n, bus in ((1, "board"), (2, "board"), (3, "bus1"))
        ],
        "door": [
            {"id": f"d{n}", "place": "gate", "readers": [f"r{n}"], "strike": {"reader": f"r{n}", "output": 0}}
            for n in (1, 2, 3)
        ],
    }
)


def test_each_bus_has_a_source_and_a_missing_key_costs_its_own(tmp_path: Path) -> None:
    bus, board = driver_sources(CONFIG, DriverContext(tmp_path, ZONE, SystemClock()))

    assert (bus.name, bus.readers, board.name, board.readers) == ("bus1", ("r3",), "board", ("r1", "r2"))
    with pytest.raises(KeyFileFault, match="/no/such/key-bus1") as raised:
        bus.make()
    assert "key-board" not in str(raised.value)


def test_a_device_gets_a_folder_of_its_own_that_nobody_else_may_read(tmp_path: Path) -> None:
    device = SimpleNamespace(id="terminal", kind="of a make that nobody makes")
    config = CONFIG.model_copy(update={"reader_bus": (), "device": (device,)})

    (made,) = driver_sources(config, DriverContext(tmp_path / "devices", ZONE, SystemClock()))
    assert not (tmp_path / "devices").exists()  # nothing is done before it is made
    made.make()

    assert (tmp_path / "devices" / "terminal").stat().st_mode & 0o777 == 0o700


def test_a_device_is_told_for_how_long_its_strikes_let_a_door_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[DriverContext] = []
    device = SimpleNamespace(id="terminal", kind="any")
    strikes = [
        {"id": "d1", "place": "gate", "readers": ["r1"], "release_s": 7.5, "strike": {"reader": "r1", "output": 0}},
        {
            "id": "d2",
            "place": "gate",
            "readers": ["r2", "r3"],
            "release_s": 9.0,
            "strike": {"reader": "r2", "output": 1},
        },
    ]
    doors = AccessConfig.model_validate({**CONFIG.model_dump(), "door": strikes}).door
    config = CONFIG.model_copy(update={"reader_bus": (), "device": (device,), "door": doors})
    monkeypatch.setattr(registry, "make_driver", lambda _device, _readers, context: told.append(context))

    (made,) = driver_sources(config, DriverContext(tmp_path, ZONE, SystemClock()))
    made.make()

    assert told[0].pulses_s == {"r1": 7.5}


def test_a_device_gets_its_list_when_the_policy_the_day_or_a_lock_changes_it(tmp_path: Path) -> None:
    deciding, keeping, modes = Deciding(tmp_path), Keeping("board"), {"d1": DoorMode.NORMAL, "d2": DoorMode.NORMAL}
    rules = rules_for("d1", "d2")
    kept = tuple(DoorRule(door=door, keeps_list=True) for door in ("d1", "d2"))
    deciding.permit(
        Rules(schedules=rules.schedules, groups=rules.groups, doors=kept), card_row("w26:1:2", "all", number="w26:1:2")
    )
    drivers = RunningDrivers([DriverSource("board", ("r1", "r2"), lambda: keeping)], Counters())

    def standing() -> list[DoorStatus]:
        return [_door_status(door, mode) for door, mode in modes.items()]

    keeper = RosterKeeper(CONFIG, deciding.store, deciding.decider, drivers, standing, deciding.clock, ZONE, Counters())
    keeper.look()
    assert keeping.rosters == []  # its driver does not run yet
    drivers.start(lambda _event: None)

    keeper.look()
    keeper.look()
    assert [[reader for reader, _ in entry.schedules] for entry in keeping.rosters[-1].entries] == [["r1", "r2"]]
    assert len(keeping.rosters) == 1
    modes["d1"] = DoorMode.LOCKED
    keeper.look()
    assert [[reader for reader, _ in entry.schedules] for entry in keeping.rosters[-1].entries] == [["r2"]]
    modes["d1"] = DoorMode.NORMAL
    deciding.clock.advance(days=1)
    keeper.look()
    assert len(keeping.rosters) == 3
    drivers.stop()
    deciding.close()


def _door_status(door: str, mode: DoorMode) -> DoorStatus:
    cause = None if mode is DoorMode.NORMAL else ModeCause.COMMAND
    return DoorStatus(door, "gate", DoorState.LOCKED, strike_on=False, contact_open=False, mode=mode, mode_cause=cause)
