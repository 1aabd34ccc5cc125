"""One device as the gateway sees it: requests and time in, answers and driver events out. It owns no socket or thread.

The listener calls it from its own thread; `set_output` and `set_roster` may come from any. Events are delivered before
they are noted as seen and before the device gets its acknowledgement: a crash between may repeat one, and loses none.
"""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from edge.access.config import Reader
from edge.access.drivers.interface import Deliver, DriverEvent, Roster
from edge.access.drivers.zkteco.commands import Outputs
from edge.access.drivers.zkteco.config import ZktecoDevice
from edge.access.drivers.zkteco.list_keeper import ListKeeper
from edge.access.drivers.zkteco.standing import Standing
from edge.access.drivers.zkteco.state import DeviceState
from edge.access.drivers.zkteco.uploads import Told, UploadReader
from edge.clock import Clock
from edge.counters import Counters
from protocols import zk_push_replies as replies
from protocols.zk_push import Dialect, Endpoint, PushRequest
from protocols.zk_push_records import OPERATION_PREFIX, read_command_result, read_lines, read_parameters

POLL_S = {Dialect.ACCESS: 1, Dialect.ATTENDANCE: 2}
"""How often a device asks for commands; 2 s is the least that the attendance protocol recommends."""

DELIVERED_AT_ONCE = 200
DELIVERY_PAUSE_S = 0.02
"""A device that catches up must not fill the doors' queue."""

MAX_STAMP_DIGITS = 20

_LOG = logging.getLogger(__name__)


class DeviceClosed(Exception):
    """The device's driver has ended."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request, what to deliver first, and the keys of those events."""

    text: str
    events: tuple[DriverEvent, ...] = ()
    keys: tuple[str, ...] = ()


class PushDevice:
    """One device of the site file.

    Args:
        readers: those of the device; each is one door.
        zone: the site's.
        encrypted: whether the listener speaks TLS.
    """

    def __init__(
        self,
        config: ZktecoDevice,
        readers: tuple[Reader, ...],
        state: DeviceState,
        zone: ZoneInfo,
        clock: Clock,
        counters: Counters,
        deliver: Deliver,
        *,
        encrypted: bool,
    ) -> None:
        self.config, self.counters = config, counters
        self._readers = readers
        self._state, self._clock = state, clock
        self._zone = ZoneInfo(config.time_zone) if config.time_zone else zone
        self._deliver = deliver
        numbers = itertools.count(1 + secrets.randbelow(1_000_000_000))

        def next_id() -> str:
            return str(next(numbers))

        doors = {reader.id: reader.channel for reader in readers}
        self.standing = Standing(tuple(doors), clock, deliver, is_listed=config.serial is not None, encrypted=encrypted)
        self._outputs = Outputs(doors, next_id, clock, deliver)
        self._list = ListKeeper(config.id, doors, state, self._zone, clock, lambda: self.dialect, next_id, counters)
        self._uploads = UploadReader(readers, state, self._zone, zone, clock, counters)
        self._registry_code, self._session = secrets.token_hex(8), secrets.token_hex(16).upper()
        self._registered = False
        self._closed = False
        self._one_at_a_time = asyncio.Lock()

    @property
    def dialect(self) -> Dialect:
        """As configured, else as the device last spoke; a device that never told is an attendance terminal."""
        if self.config.dialect != "auto":
            return Dialect(self.config.dialect)
        return Dialect(self._state.fact("dialect") or Dialect.ATTENDANCE)

    @property
    def roster_is_settled(self) -> bool:
        return self._list.is_settled

    # What the controller asks

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """As in `interface.Driver`."""
        return self.standing.is_up and self._outputs.switch(reader, output, for_s, ticket, self.dialect)

    def set_roster(self, roster: Roster) -> None:
        """As in `interface.RosterDriver`; it is planned at the next tick."""
        self._list.set_roster(roster)

    def release_outputs(self, timeout_s: float) -> None:
        """Switch off what was switched on and is not over, and wait for the device to have done so."""
        if self.standing.is_up:
            self._outputs.release(timeout_s)

    # What the listener passes on

    def wants(self, request: PushRequest) -> Callable[[bytes], bool]:
        """Which lines of a body are read at all: events, results and parameters. Never users, pictures, templates."""
        if request.endpoint in (Endpoint.DEVICECMD, Endpoint.REGISTRY):
            return lambda _line: True
        if request.endpoint is not Endpoint.CDATA:
            return lambda _line: False
        if request.asks:
            return lambda _line: True
        if request.table == "operlog":
            return lambda line: line.startswith(OPERATION_PREFIX)
        is_read = request.table in ("rtlog", "rtstate", "attlog", "options") or (
            request.table == "tabledata" and request.table_name.lower() == "transaction"
        )
        return lambda _line: is_read

    async def answer(self, request: PushRequest, lines: list[str], line_count: int) -> str:
        """Deliver what a request tells, note it, and answer it."""
        async with self._one_at_a_time:
            if self._closed:
                raise DeviceClosed
            self._learn_dialect(request)  # before anybody sends a command
            self.standing.heard(begins_anew=_is_handshake(request))
            if request.asks:
                return await self._verdict(lines)
            answer = self.take(request, lines, line_count)
            for number, event in enumerate(answer.events, 1):
                self._deliver(event)
                if number % DELIVERED_AT_ONCE == 0:
                    await asyncio.sleep(DELIVERY_PAUSE_S)
            if answer.keys:
                with self._state.writing():
                    self._state.remember(answer.keys)
            return answer.text

    async def close(self) -> None:
        """Take no more requests, once the one at work is answered."""
        async with self._one_at_a_time:
            self._closed = True
            self._state.close()

    def take(self, request: PushRequest, lines: list[str], line_count: int) -> Answer:
        """The answer to one request, without side effects on the outside."""
        match request.endpoint:
            case Endpoint.CDATA if request.method == "GET":
                return self._handshake(request)
            case Endpoint.CDATA:
                return self._upload(request, lines, line_count)
            case Endpoint.GETREQUEST:
                return Answer(replies.commands(self._next_commands()))
            case Endpoint.DEVICECMD:
                return self._results(lines)
            case Endpoint.REGISTRY:
                return self._register(lines)
            case Endpoint.PUSH:
                options = replies.access_options(self._registry_code, self._session, self._poll_s, registered=False)
                return Answer(options)
            case Endpoint.QUERYDATA:
                return Answer(_counted(request, line_count))
            case Endpoint.RTDATA if request.query.get("type") == "time":
                return Answer(replies.server_time(self._now().astimezone(self._zone)))
            case Endpoint.OTHER:
                self.counters.add("unknown_requests")
        return Answer(replies.OK)

    def tick(self) -> None:
        """Whatever time brings; called several times a second."""
        self._outputs.tick()
        self.standing.tick()
        self._list.tick()

    # Handshake

    def _learn_dialect(self, request: PushRequest) -> None:
        declared = request.declared_dialect
        if declared is None and request.endpoint in (Endpoint.PUSH, Endpoint.REGISTRY):
            declared = Dialect.ACCESS
        if declared is not None:
            self._speaks(declared, by_name="devicetype" in request.query)

    def _speaks(self, declared: Dialect, *, by_name: bool) -> None:
        """A dialect that the device named itself outweighs what its tables look like."""
        if self.config.dialect != "auto" or (self._state.fact("named_dialect") and not by_name):
            return
        before = self.dialect
        with self._state.writing():
            self._state.learn({"dialect": declared.value, **({"named_dialect": "1"} if by_name else {})})
        if declared != before:
            self._list.begin_anew()

    @property
    def _poll_s(self) -> int:
        return POLL_S[self.dialect]

    def _handshake(self, request: PushRequest) -> Answer:
        if not _is_handshake(request):
            return Answer(replies.OK)
        self._list.reconnected()
        if self.dialect is Dialect.ATTENDANCE:
            offset = self._now().astimezone(self._zone).utcoffset() or timedelta()
            stamps = {table: self._state.fact(f"stamp {table}") or "9999" for table in ("attlog", "operlog")}
            minutes = round(offset.total_seconds() / 60)
            return Answer(replies.attendance_options(request.serial, stamps, self._poll_s, minutes))
        if not self._registered:  # so that it registers, which tells its parameters (4.1)
            return Answer(replies.OK)
        return Answer(replies.access_options(self._registry_code, self._session, self._poll_s, registered=True))

    def _register(self, lines: list[str]) -> Answer:
        parameters = read_parameters(",".join(lines))
        kind = parameters.get("devicetype", "").lower()
        if kind:
            self._speaks(Dialect.ACCESS if kind == "acc" else Dialect.ATTENDANCE, by_name=True)
        dates = parameters.get("datefmtfunon", "0")
        if dates != self._state.fact("dates"):
            self._state.learn({"dates": dates})
            self._list.plan_again()
        self._registered = True
        self._check_doors(parameters.get("lockcount", ""))
        return Answer(replies.registered(self._registry_code))

    def _check_doors(self, doors: str) -> None:
        count = int(doors) if doors.isascii() and doors.isdigit() and len(doors) < 4 else None
        for reader in self._readers:
            if count is not None and reader.channel > count:
                self.counters.add("doors_missing")
                _LOG.warning(
                    "zkteco: the device has fewer doors than the site file says",
                    extra={"reader": reader.id, "channel": reader.channel, "doors": count},
                )

    # Commands

    def _next_commands(self) -> list[tuple[str, str]]:
        """What switches outputs goes alone, so that it is done at once."""
        return self._outputs.take() or self._list.take()

    def _results(self, lines: list[str]) -> Answer:
        results = read_lines(lines, read_command_result)
        events: list[DriverEvent] = []
        rest = []
        for result in results.good:
            done = self._outputs.answered(result.id, result.value)
            if done is None:
                rest.append((result.id, result.value))
            else:
                events += done
        self._list.answered(rest)
        return Answer(replies.OK, tuple(events))

    # Uploads

    def _upload(self, request: PushRequest, lines: list[str], line_count: int) -> Answer:
        match request.table:
            case "rtlog":
                return _answer(replies.OK, self._uploads.access(lines))
            case "rtstate":
                return _answer(replies.OK, self._uploads.door_states(lines))
            case "attlog":
                self._note_stamp(request)
                return _answer(replies.ok_counted(line_count), self._uploads.attendance(lines))
            case "operlog":
                self._note_stamp(request)
                return _answer(replies.ok_counted(line_count), self._uploads.operations(lines))
            case "tabledata" if request.table_name.lower() == "transaction":
                return _answer(_counted(request, line_count), self._uploads.access(lines))
            case "tabledata":
                self.counters.add("uploads_thrown_away")
                return Answer(_counted(request, line_count))
            case "options":
                return Answer(replies.OK)
        self.counters.add("uploads_thrown_away" if request.table else "unknown_requests")
        return Answer(replies.OK)

    def _note_stamp(self, request: PushRequest) -> None:
        stamp = request.query.get("stamp", "")
        if stamp.isascii() and stamp.isdigit() and len(stamp) <= MAX_STAMP_DIGITS:
            self._state.learn({f"stamp {request.table}": stamp})

    # A device that asks

    async def _verdict(self, lines: list[str]) -> str:
        """Let the doors judge the card that a device asks about. Anything else than a card, it judges by itself."""
        line = lines[0] if len(lines) == 1 else ""
        asked = self._uploads.asked(line) if self.dialect is Dialect.ACCESS else None
        if asked is None:
            self.counters.add("asks_left_to_device")
            return replies.verdict(replies.Auth.TIMEOUT, line)
        verdict = await self._outputs.asks.ask(asked.reader, lambda: self._deliver(asked))
        control = self._outputs.answer_ask(verdict)
        if verdict.granted is None:
            self.counters.add("asks_not_decided")
            return replies.verdict(replies.Auth.TIMEOUT, line)
        return replies.verdict(replies.Auth.SUCCEED if verdict.granted else replies.Auth.FAILED, line, control)

    def decided(self, reader: str, *, granted: bool) -> None:
        """What the doors decided of what was presented at a reader; from any thread."""
        self._outputs.asks.decided(reader, granted)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_s(), UTC)


def _is_handshake(request: PushRequest) -> bool:
    return (request.endpoint, request.method) == (Endpoint.CDATA, "GET") and request.query.get("options") == "all"


def _answer(text: str, told: Told) -> Answer:
    return Answer(text, told.events, told.keys)


def _counted(request: PushRequest, line_count: int) -> str:
    """Repeats the device's own count, which is what it looks for; the lines', where it names none."""
    named = request.query.get("count", "")
    count = int(named) if named.isascii() and named.isdigit() and len(named) < MAX_STAMP_DIGITS else line_count
    return replies.counted(request.table_name, count) if request.table_name else replies.OK
