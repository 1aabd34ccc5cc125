"""The process that runs libosdp's control panel for one bus: `python -m edge.access.drivers.osdp.worker`.

Setup and commands come as frames on standard input, reports go as frames to standard output (`framing.py`); the
library's own log goes to standard error. One thread does everything: it wakes for bytes on the line, for a command, or
after a tick, and lets the library work; nothing is ever called from within the library's handlers, where submitting a
command deadlocks. Channels are always secure; the worker knows no way to talk in clear.

A reader's key is changed over its channel when the gateway orders it. The reader is then away for a moment, of which
nothing is reported, and what is ordered for it meanwhile waits. If it holds another key than the library thinks (it
died, or did not keep what it acknowledged), a `Trial` finds that out, and the panel is made anew with the right one.

When standard input ends the process ends, and first switches off every output that is on for a time. One that is on
until further notice (free passage) is switched off when the gateway said `stop`, and left on when the gateway died:
nobody ended that passage, and the gateway says anew what holds as soon as it is back.
"""

import math
import os
import select
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import osdp

from edge.access.drivers.interface import Feedback
from edge.access.drivers.osdp.framing import Unpacker, pack
from edge.access.drivers.osdp.held_key import HeldKey
from edge.access.drivers.osdp.line import Line
from edge.access.drivers.osdp.panel import Panel
from edge.access.drivers.osdp.signals import signal
from edge.access.drivers.osdp.trial import PAUSES_S, Trial
from edge.access.drivers.osdp.watchdog import REPORT_AFTER_S, Order, Watchdog
from edge.access.priority import prefer_this_thread

TICK_S = 0.005
IDLE_TICK_S = 0.01
"""The tick while every reader is linked, when only the next poll is due: less work for some 3 ms more to a card."""

WATCH_S = 0.05
"""How often readers are looked at while all are linked; bytes wake the worker far more often on a full bus."""

HEARTBEAT_S = 1.0
REOPEN_S = (0.25, 0.5, 1.0, 2.0, 5.0)
FAREWELL_S = 0.4
"""How long the last commands may take when the process ends."""

MAX_TIMER_S = 25.5
"""The longest time that one output command can carry: 255 tenths of a second."""

RENEW_S = 10.0
"""An output that stays on for longer than one command can carry is renewed this long before its time ends."""

RETRY_S = 0.2
"""An output command that the library did not take is tried again so soon."""

MAX_ASK_FAILURES = 2
"""A reader that refuses to tell a status this often, and never told it, is not asked for it again: each refusal costs
its secure channel, since libosdp takes any NAK for a loss."""

REKEY_PATIENCE_S = 5.0
"""A reader whose key is being changed is reported offline only when it stays away longer than this; the change itself
takes some 0.2 s."""

HOLD_S, MAX_HELD = 1.0, 16
"""What is ordered for a reader whose key is being changed waits for it so long, and so much; whoever orders a release
is promised an answer within 1.8 s."""

HANDSHAKE_S = 0.5
"""For each reader of a bus whose panel was made anew, before one that is not back yet is reported; at 9600 baud."""

_KEYS = {0x7F: "*", 0x0D: "#", **{ord(key): key for key in "0123456789*#"}}
"""OSDP 2.2, 7.12: digits are ASCII, `*` is 7F and `#` is 0D; some keypads send their ASCII. Other keys mean nothing."""

_OFF, _ON, _ON_FOR = 1, 2, 5
"""OSDP output control codes (2.2, table 16): off; on; on for a time, then off."""

_ASKED = {
    int(osdp.StatusReportType.Input): osdp.Capability.ContactStatusMonitoring,
    int(osdp.StatusReportType.Local): None,
}
"""What a reader is asked for when it comes up, and the capability that it must have declared. Its outputs are not asked
for: whatever they are, the gateway says each anew."""

_TIMED_OUTPUTS = 3
"""From this compliance level of the output capability on, a reader takes timed commands."""


@dataclass
class _OutputOn:
    until_s: float
    """Infinity: until further notice."""
    act_at_s: float
    """When to renew it, to switch it off, or to forget it because the reader has switched it off by itself."""
    timed: bool


@dataclass
class _Reader:
    id: str
    index: int
    address: int
    key: HeldKey
    watchdog: Watchdog
    linked: bool = False
    """Its secure channel stands."""
    asking: set[int] = field(default_factory=set)
    """The kinds of status that it was asked for and has not told yet."""
    ask_failures: Counter[int] = field(default_factory=Counter)
    up: bool = False
    """Linked, and its inputs, tamper switch and power are known where it can tell them."""
    hold_until_s: float = 0.0
    held: list[dict[str, Any]] = field(default_factory=list)
    """What was ordered while its key was being changed."""
    trials: int = 0
    trial_at_s: float = 0.0
    """When the other key that it may hold may be tried (again)."""
    outputs: dict[int, _OutputOn] = field(default_factory=dict)
    tickets: list[tuple[int | None, int]] = field(default_factory=list)
    """Of the output commands on their way, in order, with the time of submission; None is the worker's own."""


class Worker:
    """One bus, from its setup to the end of standard input."""

    def __init__(self, setup: dict[str, Any], reports: int) -> None:
        now_s = time.monotonic()
        self._reports = reports
        self._port, self._baud_rate = str(setup["port"]), int(setup["baud_rate"])
        self._readers = [
            _Reader(row["id"], index, row["address"], _held_key(row), Watchdog(now_s))
            for index, row in enumerate(setup["readers"])
        ]
        self._by_id = {reader.id: reader for reader in self._readers}
        self._by_address = {reader.address: reader for reader in self._readers}
        self._panel: Panel | None = None
        self._trial: tuple[_Reader, Trial] | None = None
        self._open_at_s, self._open_failures = now_s, 0
        self._heartbeat_at_s = self._watch_at_s = now_s
        self._linked, self._all = 0, (1 << len(self._readers)) - 1
        self._commands = Unpacker()
        self._waiting = select.poll()
        self._told_to_stop = False

    def run(self, commands: int) -> None:
        """Work until `commands` ends."""
        self._waiting.register(commands, select.POLLIN)
        while True:
            tick_s = IDLE_TICK_S if self._linked == self._all else TICK_S
            ready = self._waiting.poll(tick_s * 1000)
            if any(descriptor == commands for descriptor, _ in ready):
                data = os.read(commands, 65536)
                if not data:
                    return
                for message in self._commands.receive(data):
                    self._command(message)
                self._step(time.monotonic())  # the library takes a command up in one step and sends it in the next
            self._step(time.monotonic())

    def farewell(self) -> None:
        """Switch outputs off, as the module says, and give the line the time to say so."""
        ending = [
            (reader, output)
            for reader in self._readers
            for output, state in reader.outputs.items()
            if self._told_to_stop or math.isfinite(state.until_s)
        ]
        if not ending:
            return
        end_s = time.monotonic() + FAREWELL_S
        if self._panel is not None:
            self._panel.line.is_muted = False
        for reader, output in ending:
            self._switch(reader, output, None)
        while self._panel is not None and self._panel.line.fault is None and time.monotonic() < end_s:
            select.select([self._panel.line], [], [], TICK_S)
            self._panel.work()

    def _step(self, now_s: float) -> None:
        if self._panel is None:
            self._open(now_s)
        if self._panel is not None:
            self._work(self._panel, now_s)
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
            if not reader.key.is_certain:
                reader.watchdog.be_patient(now_s + REKEY_PATIENCE_S)
        self._panel = self._new_panel(line)
        self._waiting.register(line, select.POLLIN)

    def _new_panel(self, line: Line) -> Panel:
        return Panel(line, [(reader.address, reader.key.in_use) for reader in self._readers])

    def _lose_port(self, error: OSError, now_s: float) -> None:
        wait_s = REOPEN_S[min(self._open_failures, len(REOPEN_S) - 1)]
        self._open_at_s = now_s + wait_s
        self._open_failures += 1
        if self._open_failures == 1:
            self._report({"is": "port_down", "detail": f"{self._port}: {error.strerror}"})
        for reader in self._readers:
            self._unlink(reader, "the port is closed")
            reader.up = False
            self._let_go(reader)

    def _work(self, panel: Panel, now_s: float) -> None:
        if self._trial is None:
            self._serve(panel, now_s)
        else:
            self._try_other_key(panel, *self._trial, now_s)
        if panel.line.fault is not None:
            self._waiting.unregister(panel.line)
            panel.line.close()
            self._panel = self._trial = None
            self._lose_port(panel.line.fault, now_s)

    def _serve(self, panel: Panel, now_s: float) -> None:
        self._let_work(panel)
        linked = panel.linked()
        if linked != self._linked or now_s >= self._watch_at_s:
            self._linked = linked
            self._watch_at_s = now_s + (WATCH_S if linked == self._all else TICK_S)
            heard = panel.line.take_heard()
            for reader in self._readers:
                self._watch(panel, reader, bool(linked & 1 << reader.index), reader.address in heard, now_s)
                self._drive_outputs(reader, now_s)

    def _let_work(self, panel: Panel) -> None:
        panel.work()
        self._tell_completions(panel)
        for index, event in panel.take_events():
            self._tell(panel, self._readers[index], event)

    def _watch(self, panel: Panel, reader: _Reader, linked: bool, heard: bool, now_s: float) -> None:
        was_linked, reader.linked = reader.linked, linked
        if was_linked and not reader.linked:
            self._unlink(reader, "the reader stopped answering")
        elif reader.linked and not was_linked:
            self._tell_key(reader, reader.key.linked())
            self._ask_status(panel, reader)
        was_up, reader.up = reader.up, reader.linked and not reader.asking
        enabled = reader.linked or panel.is_enabled(reader.index)
        order, standing = reader.watchdog.observe(reader.linked, heard, now_s, ready=reader.up, enabled=enabled)
        if order is not None:
            panel.order(reader.index, order)
        if order is Order.DISABLE and reader.watchdog.is_refused:
            self._doubt(panel.line, reader, now_s)
        is_back = reader.up and not was_up and reader.key.is_certain
        if is_back or (reader.held and now_s >= reader.hold_until_s):
            self._let_go(reader)
        if reader.up and not was_up:
            self._report({"is": "link", "reader": reader.id})
        if standing is not None and standing.up:
            self._report({"is": "up", "reader": reader.id})
        elif standing is not None and standing.reason is not None:
            self._report({"is": "down", "reader": reader.id, "reason": standing.reason.value})

    def _unlink(self, reader: _Reader, why: str) -> None:
        reader.linked = False
        reader.outputs.clear()
        reader.asking.clear()
        self._fail_tickets(reader, why)
        if self._panel is not None:
            self._panel.flush(reader.index)
            self._tell_completions(self._panel)
        reader.key.answered(taken=False)

    def _ask_status(self, panel: Panel, reader: _Reader) -> None:
        """Before anything else, so that a door's contact and a tamper are known as soon as the reader is up."""
        for kind, needed in _ASKED.items():
            is_able = needed is None or panel.capability(reader.index, needed) > 0
            if is_able and reader.ask_failures[kind] < MAX_ASK_FAILURES:
                ask = {"command": osdp.Command.Status, "type": kind}
                if panel.submit(reader.index, ask):
                    reader.asking.add(kind)

    def _asked(self, reader: _Reader, kind: int, ok: bool) -> None:
        if kind in reader.asking:
            reader.asking.remove(kind)
            self._watch_at_s = 0.0
            reader.ask_failures[kind] = 0 if ok else reader.ask_failures[kind] + 1

    # --- the change of a key -------------------------------------------------------------------------------------

    def _rekey(self, reader: _Reader, new: bytes) -> None:
        """Send a new key; whatever comes of it is told once a channel stands again."""
        ready = reader.linked and reader.key.is_certain
        if self._panel is None or not ready or not self._panel.submit_key(reader.index, new):
            self._report({"is": "rekey", "reader": reader.id, "step": "away"})
            return
        now_s = time.monotonic()
        reader.key.sent(new)
        reader.watchdog.be_patient(now_s + REKEY_PATIENCE_S)
        reader.hold_until_s = now_s + HOLD_S
        reader.trials, reader.trial_at_s = 0, 0.0
        self._report({"is": "rekey", "reader": reader.id, "step": "sent"})

    def _tell_key(self, reader: _Reader, is_new: bool | None) -> None:
        if is_new is not None:
            self._report({"is": "key", "reader": reader.id, "new": is_new})

    def _let_go(self, reader: _Reader) -> None:
        """Do what waited for the change of its key."""
        held, reader.held, reader.hold_until_s = reader.held, [], 0.0
        for message in held:
            self._obey(reader, message)

    def _doubt(self, line: Line, reader: _Reader, now_s: float) -> None:
        """It answers, and takes no channel: if it may hold another key, try that one."""
        if self._trial is None and reader.key.other is not None and now_s >= reader.trial_at_s:
            self._trial = reader, Trial(line, reader.address, reader.key.other, now_s)

    def _try_other_key(self, panel: Panel, reader: _Reader, trial: Trial, now_s: float) -> None:
        if trial.waits(now_s):
            self._let_work(panel)
            return
        holds = trial.work(now_s)
        if holds is None:
            return
        self._trial = None
        if holds:
            self._tell_key(reader, reader.key.linked_under_other())
            self._renew(panel.line, now_s)
        else:
            reader.trials += 1
            reader.trial_at_s = now_s + PAUSES_S[min(reader.trials, len(PAUSES_S) - 1)]

    def _renew(self, line: Line, now_s: float) -> None:
        """Make the panel anew, with the keys as they are known now; each reader is away for its handshake."""
        patient_until_s = now_s + REPORT_AFTER_S + HANDSHAKE_S * len(self._readers)
        for reader in self._readers:
            self._unlink(reader, "its channel is opened anew")
            reader.up = False
            reader.watchdog.begin_anew(now_s)
            reader.watchdog.be_patient(patient_until_s)
        self._panel, self._linked = self._new_panel(line), 0

    # -------------------------------------------------------------------------------------------------------------

    def _tell(self, panel: Panel, reader: _Reader, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == osdp.Event.CardRead and "length" in event:
            card = {"bits": event["length"], "data": event["data"].hex(), "read_ns": panel.line.read_ns}
            self._report({"is": "card", "reader": reader.id, **card})
        elif kind == osdp.Event.Status and event["type"] == osdp.StatusReportType.Input:
            self._report({"is": "inputs", "reader": reader.id, "active": [bool(state) for state in event["report"]]})
        elif kind == osdp.Event.Status and event["type"] == osdp.StatusReportType.Local:
            tamper, power = event["report"][:2]
            self._report({"is": "local", "reader": reader.id, "tamper": bool(tamper), "power": bool(power)})
        elif kind == osdp.Event.KeyPress:
            keys = "".join(_KEYS.get(key, "") for key in event["data"])
            self._report({"is": "keys", "reader": reader.id, "keys": keys, "read_ns": panel.line.read_ns})

    def _command(self, message: dict[str, Any]) -> None:
        if message["do"] == "stop":
            self._told_to_stop = True
            return
        reader = self._by_id[message["reader"]]
        if message["do"] == "rekey":
            self._rekey(reader, bytes.fromhex(message["key"]))
        elif time.monotonic() < reader.hold_until_s and len(reader.held) < MAX_HELD:
            reader.held.append(message)
        else:
            self._obey(reader, message)

    def _obey(self, reader: _Reader, message: dict[str, Any]) -> None:
        if message["do"] == "output":
            self._output(reader, message["output"], message["for_s"], message["ticket"])
        elif message["do"] == "feedback":
            self._feedback(reader, Feedback(message["kind"]))

    def _output(self, reader: _Reader, output: int, for_s: float | None, ticket: int) -> None:
        if self._panel is None or not reader.up or not self._switch(reader, output, for_s, ticket):
            why = "the port is closed" if self._panel is None else "the reader does not answer"
            self._done((ticket, None), False, why)

    def _switch(self, reader: _Reader, output: int, for_s: float | None, ticket: int | None = None) -> bool:
        """Submit one output command.

        On for a time is a timed command where the reader can, renewed while it lasts: a dead gateway then leaves no
        door open. On until further notice is one lasting command, which outlives the gateway.
        """
        if self._panel is None:
            return False
        now_s = time.monotonic()
        level = self._panel.capability(reader.index, osdp.Capability.OutputControl)
        timed = for_s is not None and math.isfinite(for_s) and level >= _TIMED_OUTPUTS
        if not self._panel.submit(reader.index, _output_command(output, for_s, timed)):
            _try_again(reader.outputs.get(output), for_s, now_s)
            return False
        reader.tickets.append((ticket, time.monotonic_ns()))
        if for_s is None:
            reader.outputs.pop(output, None)
        else:
            act_in_s = MAX_TIMER_S - RENEW_S if timed and for_s > MAX_TIMER_S else for_s
            reader.outputs[output] = _OutputOn(now_s + for_s, now_s + act_in_s, timed)
        return True

    def _drive_outputs(self, reader: _Reader, now_s: float) -> None:
        for output, state in list(reader.outputs.items()):
            if now_s < state.act_at_s:
                continue
            left_s = state.until_s - now_s
            if left_s > 0:
                self._switch(reader, output, left_s)
            elif state.timed:
                del reader.outputs[output]
            else:
                self._switch(reader, output, None)

    def _tell_completions(self, panel: Panel) -> None:
        for done in panel.take_completions():
            reader = self._by_address[done.address]
            if done.command == osdp.Command.Output and reader.tickets:
                detail = "" if done.ok else "the reader refused"
                self._done(reader.tickets.pop(0), done.ok, detail)
            elif done.command == osdp.Command.Status and done.was_sent:
                self._asked(reader, done.report, done.ok)
            elif done.command == osdp.Command.Keyset:
                reader.key.answered(taken=done.ok)
                step = "taken" if done.ok else "unanswered"
                self._report({"is": "rekey", "reader": reader.id, "step": step})

    def _fail_tickets(self, reader: _Reader, why: str) -> None:
        tickets, reader.tickets = reader.tickets, []
        for ticket in tickets:
            self._done(ticket, False, why)

    def _done(self, command: tuple[int | None, int | None], ok: bool, detail: str) -> None:
        ticket, submitted_ns = command
        if ticket is not None:
            self._report({"is": "done", "ticket": ticket, "ok": ok, "detail": detail, "submitted_ns": submitted_ns})

    def _feedback(self, reader: _Reader, feedback: Feedback) -> None:
        if self._panel is None or not reader.up:
            return
        light = self._panel.capability(reader.index, osdp.Capability.LEDControl)
        sound = self._panel.capability(reader.index, osdp.Capability.AudibleControl)
        for command in signal(feedback, light, sound):
            self._panel.submit(reader.index, command)

    def _report(self, message: dict[str, Any]) -> None:
        frame = pack(message)
        while frame:
            frame = frame[os.write(self._reports, frame) :]


def _held_key(row: dict[str, Any]) -> HeldKey:
    new = row.get("new")
    return HeldKey(bytes.fromhex(row["key"]), None if new is None else bytes.fromhex(new))


def _output_command(output: int, for_s: float | None, timed: bool) -> dict[str, int | bool]:
    code, tenths = (_OFF, 0) if for_s is None else (_ON_FOR, _tenths(for_s)) if timed else (_ON, 0)
    return {"command": osdp.Command.Output, "output_no": output, "control_code": code, "timer_count": tenths}


def _try_again(state: _OutputOn | None, for_s: float | None, now_s: float) -> None:
    """The library did not take a command for this output; one that was to go off must not stay on for that."""
    if state is not None:
        state.act_at_s = now_s + RETRY_S
        if for_s is None:
            state.until_s, state.timed = now_s, False


def _tenths(seconds: float) -> int:
    return max(1, min(255, round(seconds * 10)))


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
