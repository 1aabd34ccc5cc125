"""The process that runs libosdp's control panel for one bus: `python -m edge.access.drivers.osdp.worker`.

Setup and commands come as frames on standard input, reports go as frames to standard output (`framing.py`); the
library's own log goes to standard error. One thread does everything: it wakes for bytes on the line, for a command, or
after `TICK_S`, and lets the library work; nothing is ever called from within the library's handlers, where submitting a
command deadlocks. When standard input ends, because the gateway stopped or died, every output that is on is switched
off and the process ends. Channels are always secure; the worker knows no way to talk in clear.
"""

import os
import select
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import osdp

from edge.access.drivers.osdp.framing import Unpacker, pack
from edge.access.drivers.osdp.line import Line
from edge.access.drivers.osdp.watchdog import Order, Watchdog
from edge.access.priority import prefer_this_thread

TICK_S = 0.005
HEARTBEAT_S = 1.0
REOPEN_S = (0.25, 0.5, 1.0, 2.0, 5.0)
FAREWELL_S = 0.4
"""How long the last commands may take when the process ends."""

MAX_TIMER_S = 25.5
"""The longest time that one output command can carry: 255 tenths of a second."""

RENEW_S = 10.0
"""An output that stays on for longer than one command can carry is renewed this long before its time ends."""

_OFF, _ON, _ON_FOR = 1, 2, 5
"""OSDP output control codes (2.2, table 16): off; on; on for a time, then off."""

_TIMED_OUTPUTS = 3
"""From this compliance level of the output capability on, a reader takes timed commands."""

_FEEDBACK_LED = {"granted": osdp.CommandLEDColor.Green, "denied": osdp.CommandLEDColor.Red}
_FEEDBACK_BEEPS = {"granted": 1, "denied": 3}


@dataclass
class _OutputOn:
    until_s: float
    renew_at_s: float
    timed: bool


@dataclass
class _Reader:
    id: str
    index: int
    address: int
    key: bytes
    watchdog: Watchdog
    up: bool = False
    outputs: dict[int, _OutputOn] = field(default_factory=dict)
    tickets: list[tuple[int | None, int]] = field(default_factory=list)
    """Of the output commands on their way, in order, with the time of submission; None is a renewal."""


class Bus:
    """The control panel of an open line."""

    def __init__(self, line: Line, readers: list[_Reader]) -> None:
        self.line = line
        self._readers = readers
        flags = [osdp.LibFlag.EnforceSecure]
        self._panel = osdp.ControlPanel(
            [osdp.PDInfo(reader.address, line, scbk=reader.key, flags=flags) for reader in readers],
            log_level=osdp.LogLevel.Alert,
            command_completion_handler=self._completed,
        )
        self._context = self._panel.ctx
        self._completions: list[tuple[int, int, bool]] = []

    def work(self) -> None:
        """Let the library read, answer and poll."""
        self._context.refresh()

    def up(self, reader: _Reader) -> bool:
        """Whether a secure channel stands."""
        return bool(self._context.status() & self._context.sc_status() & 1 << reader.index)

    def take_events(self, reader: _Reader) -> list[dict[str, Any]]:
        queue = self._panel.event_queue[reader.index]
        return [queue.get() for _ in range(queue.qsize())]

    def take_completions(self) -> list[tuple[int, int, bool]]:
        """Address, command and success of the commands that ended."""
        done, self._completions = self._completions, []
        return done

    def order(self, reader: _Reader, order: Order) -> None:
        if order is Order.DISABLE:
            self._context.disable_pd(reader.index)
        else:
            self._context.enable_pd(reader.index)

    def submit(self, reader: _Reader, command: dict[str, int | bool]) -> bool:
        return bool(self._context.submit_command(reader.index, command))

    def capability(self, reader: _Reader, which: int) -> int:
        """The compliance level that a reader declared; 0 is none."""
        level, _ = self._context.check_capability(reader.index, which)
        return int(level)

    def _completed(self, address: int, command: dict[str, int], status: int) -> None:
        self._completions.append((address, command["command"], status == osdp.CompletionStatus.Ok))


class Worker:
    """One bus, from its setup to the end of standard input."""

    def __init__(self, setup: dict[str, Any], reports: int) -> None:
        now_s = time.monotonic()
        self._reports = reports
        self._port, self._baud_rate = str(setup["port"]), int(setup["baud_rate"])
        self._readers = [
            _Reader(row["id"], index, row["address"], bytes.fromhex(row["key"]), Watchdog(now_s))
            for index, row in enumerate(setup["readers"])
        ]
        self._by_id = {reader.id: reader for reader in self._readers}
        self._by_address = {reader.address: reader for reader in self._readers}
        self._bus: Bus | None = None
        self._open_at_s, self._open_failures = now_s, 0
        self._heartbeat_at_s = now_s
        self._commands = Unpacker()

    def run(self, commands: int) -> None:
        """Work until `commands` ends."""
        while True:
            waiting: list[int | Line] = [commands]
            if self._bus is not None:
                waiting.append(self._bus.line)
            ready, _, _ = select.select(waiting, [], [], TICK_S)
            if commands in ready:
                data = os.read(commands, 65536)
                if not data:
                    return
                for message in self._commands.receive(data):
                    self._command(message)
            self._step(time.monotonic())

    def farewell(self) -> None:
        """Switch every output off that is on, and give the line the time to say so."""
        if not any(reader.outputs for reader in self._readers):
            return
        end_s = time.monotonic() + FAREWELL_S
        for reader in self._readers:
            for output in list(reader.outputs):
                self._switch(reader, output, None)
        while self._bus is not None and self._bus.line.fault is None and time.monotonic() < end_s:
            select.select([self._bus.line], [], [], TICK_S)
            self._bus.work()

    def _step(self, now_s: float) -> None:
        if self._bus is None:
            self._open(now_s)
        if self._bus is not None:
            self._work(self._bus, now_s)
        if now_s >= self._heartbeat_at_s:
            self._heartbeat_at_s = now_s + HEARTBEAT_S
            self._report({"is": "alive", "restarts": sum(reader.watchdog.restarts for reader in self._readers)})

    def _open(self, now_s: float) -> None:
        if now_s < self._open_at_s:
            return
        try:
            line = Line(self._port, self._baud_rate, self._by_address)
        except OSError as error:
            self._lose_port(error, now_s)
            return
        self._open_failures = 0
        for reader in self._readers:
            reader.watchdog = Watchdog(now_s)
        self._bus = Bus(line, self._readers)

    def _lose_port(self, error: OSError, now_s: float) -> None:
        wait_s = REOPEN_S[min(self._open_failures, len(REOPEN_S) - 1)]
        self._open_at_s = now_s + wait_s
        self._open_failures += 1
        if self._open_failures == 1:
            self._report({"is": "port_down", "detail": f"{self._port}: {error.strerror}"})
        for reader in self._readers:
            reader.up = False
            reader.outputs.clear()
            self._fail_tickets(reader, "the port is closed")

    def _work(self, bus: Bus, now_s: float) -> None:
        bus.work()
        self._tell_completions(bus)
        heard = bus.line.take_heard()
        for reader in self._readers:
            for event in bus.take_events(reader):
                self._tell(bus, reader, event)
            self._watch(bus, reader, reader.address in heard, now_s)
            self._renew(reader, now_s)
        if bus.line.fault is not None:
            bus.line.close()
            self._bus = None
            self._lose_port(bus.line.fault, now_s)

    def _watch(self, bus: Bus, reader: _Reader, heard: bool, now_s: float) -> None:
        was_up, reader.up = reader.up, bus.up(reader)
        if was_up and not reader.up:
            reader.outputs.clear()
            self._fail_tickets(reader, "the reader stopped answering")
        order, standing = reader.watchdog.observe(reader.up, heard, now_s)
        if order is not None:
            bus.order(reader, order)
        if reader.up and not was_up:
            self._report({"is": "link", "reader": reader.id})
        if standing is not None and standing.up:
            self._report({"is": "up", "reader": reader.id})
        elif standing is not None and standing.reason is not None:
            self._report({"is": "down", "reader": reader.id, "reason": standing.reason.value})

    def _tell(self, bus: Bus, reader: _Reader, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == osdp.Event.CardRead and "length" in event:
            card = {"bits": event["length"], "data": event["data"].hex(), "read_ns": bus.line.read_ns}
            self._report({"is": "card", "reader": reader.id, **card})
        elif kind == osdp.Event.Status and event["type"] == osdp.StatusReportType.Input:
            self._report({"is": "inputs", "reader": reader.id, "active": [bool(state) for state in event["report"]]})
        elif kind == osdp.Event.Status and event["type"] == osdp.StatusReportType.Local:
            self._report({"is": "tamper", "reader": reader.id, "active": bool(event["report"][0])})

    def _command(self, message: dict[str, Any]) -> None:
        reader = self._by_id[message["reader"]]
        if message["do"] == "output":
            self._output(reader, message["output"], message["for_s"], message["ticket"])
        elif message["do"] == "feedback":
            self._feedback(reader, message["kind"])

    def _output(self, reader: _Reader, output: int, for_s: float | None, ticket: int) -> None:
        if self._bus is None or not reader.up or not self._switch(reader, output, for_s, ticket):
            why = "the port is closed" if self._bus is None else "the reader does not answer"
            self._done((ticket, None), False, why)

    def _switch(self, reader: _Reader, output: int, for_s: float | None, ticket: int | None = None) -> bool:
        """Submit one output command. On is for a time where the reader can: a dead gateway then leaves no door open."""
        if self._bus is None:
            return False
        now_s = time.monotonic()
        timed = self._bus.capability(reader, osdp.Capability.OutputControl) >= _TIMED_OUTPUTS
        code, tenths = (_OFF, 0) if for_s is None else (_ON_FOR, _tenths(for_s)) if timed else (_ON, 0)
        command = {"command": osdp.Command.Output, "output_no": output, "control_code": code, "timer_count": tenths}
        if for_s is None:
            reader.outputs.pop(output, None)
        else:
            renew_at_s = now_s + MAX_TIMER_S - RENEW_S if for_s > MAX_TIMER_S else now_s + for_s
            reader.outputs[output] = _OutputOn(now_s + for_s, renew_at_s, timed)
        submitted = self._bus.submit(reader, command)
        if submitted:
            reader.tickets.append((ticket, time.monotonic_ns()))
        return submitted

    def _renew(self, reader: _Reader, now_s: float) -> None:
        for output, state in list(reader.outputs.items()):
            if state.timed and state.renew_at_s <= now_s < state.until_s:
                self._switch(reader, output, state.until_s - now_s)

    def _tell_completions(self, bus: Bus) -> None:
        for address, command, ok in bus.take_completions():
            reader = self._by_address[address]
            if command == osdp.Command.Output and reader.tickets:
                detail = "" if ok else "the reader refused"
                self._done(reader.tickets.pop(0), ok, detail)

    def _fail_tickets(self, reader: _Reader, why: str) -> None:
        tickets, reader.tickets = reader.tickets, []
        for ticket in tickets:
            self._done(ticket, False, why)

    def _done(self, command: tuple[int | None, int | None], ok: bool, detail: str) -> None:
        ticket, submitted_ns = command
        if ticket is not None:
            self._report({"is": "done", "ticket": ticket, "ok": ok, "detail": detail, "submitted_ns": submitted_ns})

    def _feedback(self, reader: _Reader, kind: str) -> None:
        if self._bus is None or not reader.up:
            return
        if self._bus.capability(reader, osdp.Capability.LEDControl):
            self._bus.submit(reader, _led(_FEEDBACK_LED[kind]))
        if self._bus.capability(reader, osdp.Capability.AudibleControl):
            self._bus.submit(reader, _buzzer(_FEEDBACK_BEEPS[kind]))

    def _report(self, message: dict[str, Any]) -> None:
        frame = pack(message)
        while frame:
            frame = frame[os.write(self._reports, frame) :]


def _tenths(seconds: float) -> int:
    return max(1, min(255, round(seconds * 10)))


def _led(colour: int) -> dict[str, int | bool]:
    """The reader's light in one colour for two seconds."""
    return {
        "command": osdp.Command.LED,
        "reader": 0,
        "led_number": 0,
        "temporary": True,
        "control_code": 2,
        "on_count": 10,
        "off_count": 0,
        "on_color": colour,
        "off_color": osdp.CommandLEDColor.Black,
        "timer_count": 20,
    }


def _buzzer(beeps: int) -> dict[str, int | bool]:
    """So many beeps of a tenth of a second."""
    return {
        "command": osdp.Command.Buzzer,
        "reader": 0,
        "control_code": 2,
        "on_count": 1,
        "off_count": 1,
        "rep_count": beeps,
    }


def _read_setup(commands: int) -> dict[str, Any]:
    """The first frame; nothing follows it until the worker has reported."""
    unpacker = Unpacker()
    while data := os.read(commands, 65536):
        for message in unpacker.receive(data):
            return message
    raise EOFError("the gateway ended before it said what to do")


def main() -> None:
    """Keep standard output for reports alone: the library prints to it too."""
    prefer_this_thread()
    reports = os.dup(1)
    os.dup2(2, 1)
    try:
        worker = Worker(_read_setup(0), reports)
        try:
            worker.run(0)
        finally:
            worker.farewell()
    except (BrokenPipeError, EOFError):
        sys.exit(0)  # the gateway is gone


if __name__ == "__main__":
    main()
