"""The driver of one UHPPOTE board.

The thread `uhppote-<id>` owns the board: it carries out the doors' commands first, then fetches events, then looks at
the state. A pushed event only wakes it; every event is fetched by its index and delivered once, in order, whether it
was pushed, missed, or recorded during an outage. With `decides = "gateway"` the board is kept under remote control:
it reports a card and waits, and falls back to its own list 30 s after it last heard of the gateway.
"""

import logging
import math
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.access.config import Reader
from edge.access.drivers.interface import (
    Deliver,
    DriverContext,
    DriverReport,
    Feedback,
    OutputDone,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
    Roster,
    RosterDriver,
)
from edge.access.drivers.uhppote.board import Board
from edge.access.drivers.uhppote.config import Decides, UhppoteBoard
from edge.access.drivers.uhppote.doors import DoorOutputs
from edge.access.drivers.uhppote.feed import EventFeed
from edge.access.drivers.uhppote.link import TRY_S, Link, NoAnswer
from edge.access.drivers.uhppote.listener import Listener
from edge.access.drivers.uhppote.position import Position
from edge.access.drivers.uhppote.roster import RosterKeeper
from edge.access.drivers.uhppote.telling import Teller, door_of, misfit
from edge.access.priority import prefer_this_thread
from edge.backoff import Backoff
from edge.counters import Counters
from protocols.access_events import ReaderOfflineReason
from protocols.base import ProtocolError
from protocols.uhppote import Reason, Record

MAX_COMMANDS = 64
"""Policy when full: the command is refused, and `set_output` says so."""
CLOCK_OFF_S = 2.0
"""A board's clock that differs by more is set."""
LIVE_S = 5.0
"""Who presented a card longer ago, by the board's clock, no longer waits for the door."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """How often things are done."""

    try_s: float = TRY_S
    status_s: float = 2.0
    """The state is asked for so often: it finds what was not pushed, and whether the board still answers."""
    remote_control_s: float = 10.0
    """The board falls back after 30 s."""
    back_off_s: tuple[float, float] = (0.5, 30.0)


@dataclass(frozen=True)
class _Command:
    reader: str
    output: int
    for_s: float | None
    ticket: int


class _Unusable(Exception):
    """The board cannot be used, and why."""

    def __init__(self, reason: ReaderOfflineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def make(device: UhppoteBoard, readers: tuple[Reader, ...], context: DriverContext) -> RosterDriver:
    """The driver of one board."""
    return UhppoteDriver(device, readers, context)


class UhppoteDriver:
    """One board and the readers of its doors.

    Args:
        readers: a channel from 1 to 4 is that door's, one from 5 to 8 the exit reader of door channel - 4.
    """

    def __init__(
        self, device: UhppoteBoard, readers: tuple[Reader, ...], context: DriverContext, timing: Timing | None = None
    ) -> None:
        self._device, self._context, self._timing = device, context, timing or Timing()
        self.counters = Counters()
        """Everything that was dropped, lost or went wrong."""
        self._complaints: tuple[str, ...] = ()
        self._misfits = {reader.id: why for reader in readers if (why := misfit(reader))}
        self._readers = {reader.id: reader for reader in readers if reader.id not in self._misfits}
        self._door_of = {reader.id: door_of(reader) for reader in self._readers.values()}
        link = Link(str(device.address), device.port, device.serial, tcp=device.tcp, try_s=self._timing.try_s)
        self._link, self._board = link, Board(link, device.serial)
        position = Position(context.state_dir, device.serial)
        self._feed = EventFeed(device.id, self._board, position, self.counters)
        self._doors = DoorOutputs(self._board, self._door_of.values())
        background = Board(link, device.serial, background=True)
        self._roster = RosterKeeper(background, device.serial, self._door_of, context, self.counters)
        self._listener: Listener | None = None
        self._thread = threading.Thread(target=self._run, name=f"uhppote-{device.id}")
        self._work = threading.Condition()
        self._commands: deque[_Command] = deque()
        self._pushed_ns = 0
        self._stopping = self._online = False
        self._told: tuple[ReaderOfflineReason, str] | None = None
        """What was last told about why the board cannot be used; None while it can."""
        self._ahead = timedelta(0)
        """How far the board's clock is before ours."""
        self._status_at_s = self._remote_control_at_s = 0.0

    @property
    def name(self) -> str:
        return self._device.id

    def start(self, deliver: Deliver) -> None:
        """As in `interface.Driver`."""
        self._deliver = deliver
        self._teller = Teller(
            self._readers.values(),
            self._context.zone,
            deliver,
            self._doors.was_ours,
            gateway_decides=self._gateway_decides,
        )
        self._roster.start()
        self._thread.start()

    def stop(self) -> None:
        """Close the doors that are held open, leave the deciding to the board, and end."""
        with self._work:
            self._stopping = True
            self._work.notify_all()
        self._roster.stop()
        self._thread.join()

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """As in `interface.Driver`."""
        with self._work:
            if not self._online or reader not in self._readers or len(self._commands) >= MAX_COMMANDS:
                return False
            self._commands.append(_Command(reader, output, for_s, ticket))
            self._work.notify_all()
        return True

    def feedback(self, reader: str, feedback: Feedback) -> None:
        """Nothing: a board offers no way to its readers' lights and buzzers."""

    def set_roster(self, roster: Roster) -> None:
        """As in `interface.RosterDriver`."""
        self._roster.offer(roster)

    def report(self) -> DriverReport:
        """As in `interface.ReportingDriver`."""
        return DriverReport(self.counters.snapshot(), self._complaints)

    def compare_roster(self) -> None:
        """Read the board's whole list back and put right what differs."""
        self._roster.compare()

    @property
    def _gateway_decides(self) -> bool:
        return self._device.decides is Decides.GATEWAY

    def _run(self) -> None:
        prefer_this_thread()
        for reader, why in self._misfits.items():
            self._deliver(ReaderDown(reader, ReaderOfflineReason.UNKNOWN_DEVICE, why))
        back_off = Backoff(*self._timing.back_off_s, random.random)
        while not self._stopping:
            try:
                self._begin()
                back_off.reset()
                while not self._stopping:
                    self._turn()
            except _Unusable as error:
                self._lose(error.reason, str(error))
            except NoAnswer as error:
                self._lose(ReaderOfflineReason.NO_ANSWER, f"{error}: check its power, its network and its address")
            except ProtocolError as error:
                self.counters.add("broken_replies")
                self._lose(ReaderOfflineReason.UNKNOWN_DEVICE, f"what answers is no UHPPOTE board: {error}")
            except Exception as error:  # noqa: BLE001 - whatever fails with one board, it is tried again
                self.counters.add("faults")
                _LOG.exception("a board's driver failed")
                self._lose(ReaderOfflineReason.WORKER, f"its driver failed: {error}")
            self._pause(back_off.next_s())
        self._end()

    def _pause(self, wait_s: float) -> None:
        with self._work:
            self._work.wait_for(lambda: self._stopping, wait_s)

    def _lose(self, reason: ReaderOfflineReason, detail: str) -> None:
        with self._work:
            self._online = False
            commands, self._commands = self._commands, deque()
        self._roster.board_down()
        for command in commands:
            self._deliver(OutputDone(command.ticket, False, detail, None))
        if self._told != (reason, detail):
            self._told = reason, detail
            for reader in self._readers:
                self._deliver(ReaderDown(reader, reason, detail))

    def _end(self) -> None:
        if self._online:
            try:
                self._doors.let_go_of_all()
                if self._gateway_decides:
                    self._board.set_remote_control(False, tries=1)
            except NoAnswer:
                self.counters.add("unfinished_stops")
        self._feed.make_durable()
        self._lose(ReaderOfflineReason.STOPPED, "the gateway stops")
        if self._listener is not None:
            self._listener.close()

    def _begin(self) -> None:
        """Come (back) to the board: who it is, its clock and settings, then its state."""
        self._feed.begin()
        self._teller.begin()
        self._status_at_s = self._remote_control_at_s = 0.0
        self._find()
        self._set_up(self._listen())
        self._look()
        with self._work:
            self._online = True
        self._told = None
        for reader in self._readers:
            self._deliver(ReaderUp(reader, secure_channel=False))
            self._deliver(OutputsForgotten(reader))
        self._roster.board_up()

    def _find(self) -> None:
        """Make sure that the board which answers is the one that is meant."""
        try:
            self._board.check()
        except NoAnswer as silent:
            try:
                serial = self._board.serial_there()
            except NoAnswer:
                raise silent from None
            detail = f"the board at {self._device.address} has the serial number {serial}, not {self._device.serial}"
            raise _Unusable(ReaderOfflineReason.UNKNOWN_DEVICE, detail) from silent

    def _listen(self) -> Listener:
        """Have the port for the board's events; it stays through outages."""
        if self._listener is None:
            device = self._device
            try:
                self._listener = Listener(
                    device.listen_port, str(device.address), device.serial, self.counters, self._event_pushed
                )
            except OSError as error:
                detail = f"UDP port {device.listen_port} for its events cannot be had ({error.strerror}); free it, or"
                raise _Unusable(ReaderOfflineReason.PORT, f"{detail} choose another listen_port") from error
        return self._listener

    def _event_pushed(self, at_ns: int) -> None:
        with self._work:
            self._pushed_ns = at_ns
            self._work.notify_all()

    def _set_up(self, listener: Listener) -> None:
        """Give the board the settings that are meant; what can be asked is written only where it differs.

        It decides by itself until everything from before was fetched: a card at the door would wait for that.
        """
        device, board = self._device, self._board
        own = str(device.listen_address or self._link.own_address()), listener.port
        passback, interlock = device.anti_passback.code, device.interlock.code
        done = {
            "where to send its events": board.listener() == own or board.set_listener(*own),
            "to record doors and buttons": board.record_special_events(),
            "its anti-passback": board.anti_passback() == passback or board.set_anti_passback(passback),
            "its interlock": board.set_interlock(interlock),
            "to decide by itself for now": board.set_remote_control(False),
        }
        self._doors.begin()
        refused = [setting for setting, is_done in done.items() if not is_done]
        self._complaints = tuple(
            f"the board refuses a setting: {setting}; set it with the maker's program, or update the board's firmware"
            for setting in refused
        )
        if refused:
            self.counters.add("settings_refused", len(refused))
            _LOG.warning("a board refuses settings", extra={"device": device.id, "settings": ", ".join(refused)})

    def _turn(self) -> None:
        """What is due: the doors' commands, events, the state, remote control."""
        self._carry_out()
        if self._feed.behind:
            self._fetch()
        now_s = time.monotonic()
        if now_s >= self._status_at_s:
            self._look()
        if self._keeps_control and now_s >= self._remote_control_at_s:
            self._take_control()
        self._doors.let_go_of_due(now_s)
        if not self._feed.behind:
            self._feed.make_durable()
            self._wait()

    @property
    def _keeps_control(self) -> bool:
        """Whether the board is to ask the gateway now."""
        return self._gateway_decides and self._feed.caught_up

    def _wait(self) -> None:
        control_at_s = self._remote_control_at_s if self._keeps_control else math.inf
        until_s = min(self._status_at_s, control_at_s, self._doors.due_s)
        with self._work:
            self._work.wait_for(
                lambda: self._stopping or bool(self._commands) or bool(self._pushed_ns),
                max(0.0, until_s - time.monotonic()),
            )
            self._feed.behind = bool(self._pushed_ns)

    def _take_control(self) -> None:
        if not self._board.set_remote_control(True):
            self.counters.add("settings_refused")
        self._remote_control_at_s = time.monotonic() + self._timing.remote_control_s

    def _look(self) -> None:
        """Ask for the state: doors, the clock, and whether there are events that were not pushed."""
        status = self._board.status()
        self._status_at_s = time.monotonic() + self._timing.status_s
        self._mind_clock(status.at)
        self._feed.place(status.record.index if status.record else 0)
        if not self._feed.behind:
            self._teller.state(status)

    def _mind_clock(self, theirs: datetime | None) -> None:
        ours = self._local_time()
        if theirs is None or abs(theirs - ours) > timedelta(seconds=CLOCK_OFF_S):
            self._board.set_time(ours)
            self.counters.add("clock_set")
            theirs = ours
        self._ahead = theirs - ours

    def _local_time(self) -> datetime:
        """The site's time as a board spells it: without a zone, in whole seconds."""
        at = datetime.fromtimestamp(self._context.clock.wall_s(), self._context.zone)
        return at.replace(tzinfo=None, microsecond=0)

    def _fetch(self) -> None:
        with self._work:
            pushed_ns, self._pushed_ns = self._pushed_ns, 0
        was_caught_up = self._feed.caught_up

        def tell(record: Record) -> bool:
            self._tell(record, pushed_ns or time.monotonic_ns())
            return not self._commands and not self._stopping

        self._feed.fetch(tell)
        if self._feed.caught_up and not was_caught_up:
            self._status_at_s = 0.0  # the state was held back until the past was told

    def _tell(self, record: Record, read_ns: int) -> None:
        age = None if record.at is None else self._local_time() + self._ahead - record.at
        live = age is not None and abs(age) <= timedelta(seconds=LIVE_S)
        self._teller.record(record, live, read_ns)
        if record.reason in (Reason.POWER_ON, Reason.RESET):
            self._board_started()
        elif record.is_swipe and live and not self._teller.is_for_gateway(record):
            self._remote_control_at_s = 0.0  # if the gateway decides, the board should have asked: say it again

    def _board_started(self) -> None:
        """Its settings and outputs may be gone."""
        self.counters.add("board_starts")
        if self._feed.caught_up:
            self._set_up(self._listen())
            self._remote_control_at_s = 0.0
            for reader in self._readers:
                self._deliver(OutputsForgotten(reader))

    def _carry_out(self) -> None:
        while True:
            with self._work:
                if not self._commands:
                    return
                command = self._commands.popleft()
            submitted_ns = time.monotonic_ns()
            try:
                done, detail = self._switch(command)
            except NoAnswer as error:
                self._deliver(OutputDone(command.ticket, False, str(error), None))
                raise
            self._deliver(OutputDone(command.ticket, done, detail, submitted_ns if done else None))

    def _switch(self, command: _Command) -> tuple[bool, str]:
        if command.output != 0:
            return False, "a door of a UHPPOTE board has one output, 0"
        if not self._doors.switch(self._door_of[command.reader], command.for_s):
            return False, "the board refuses, by its interlock or its settings"
        return True, ""
