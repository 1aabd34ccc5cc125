"""A device's outputs: commands wait until the device polls, and are answered by it or failed in time.

A command that the device does not fetch in time is dropped, so that a door never opens long after somebody asked.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.access.drivers.interface import Deliver, OutputDone
from edge.access.drivers.zkteco.asks import Asks, Control, Verdict
from edge.clock import Clock
from protocols import zk_push_replies as replies
from protocols.zk_push import Dialect

MAX_COMMANDS = 32
FETCH_S = 5.0
"""Devices poll every second or two."""
ANSWER_S = 10.0
OPERATOR_WAITS_S = FETCH_S + 1.5
"""For the outcome of a release: whatever is fetched at all is fetched by then, and answered within a second. Below the
10 s after which the hub gives a command up."""
RENEW_BEFORE_S = 10.0


@dataclass
class _Command:
    text: str
    ticket: int | None
    due_s: float
    submitted_ns: int | None = None


class OutputCommands:
    """One device's commands. Safe to use from any thread.

    Args:
        next_id: numbers commands; shared with whatever else is sent to the device.
    """

    def __init__(self, next_id: Callable[[], str]) -> None:
        self._next_id = next_id
        self._changed = threading.Condition()
        self._waiting: list[_Command] = []
        self._sent: dict[str, _Command] = {}

    def put(self, text: str, ticket: int | None, now_s: float) -> bool:
        """Queue a command; False when too many wait. Without a `ticket` nobody is told what became of it."""
        with self._changed:
            if len(self._waiting) + len(self._sent) >= MAX_COMMANDS:
                return False
            self._waiting.append(_Command(text, ticket, now_s + FETCH_S))
            return True

    def take(self, now_s: float) -> list[tuple[str, str]]:
        """All that wait and are not overdue, (id, text), oldest first: the device has them now."""
        taken = []
        with self._changed:
            due = [command for command in self._waiting if command.due_s > now_s]
            self._waiting = [command for command in self._waiting if command.due_s <= now_s]
            for command in due:
                number = self._next_id()
                command.due_s, command.submitted_ns = now_s + ANSWER_S, time.monotonic_ns()
                self._sent[number] = command
                taken.append((number, command.text))
        return taken

    def answered(self, number: str, value: int) -> list[OutputDone] | None:
        """The device's result; None: it is no command of ours."""
        with self._changed:
            command = self._sent.pop(number, None)
            self._changed.notify_all()
        if command is None:
            return None
        return _done(command, value >= 0, "" if value >= 0 else f"the device refused the command with code {value}")

    def expire(self, now_s: float) -> list[OutputDone]:
        """Give up what is overdue."""
        with self._changed:
            late = [command for command in self._waiting if command.due_s <= now_s]
            unanswered = {number: command for number, command in self._sent.items() if command.due_s <= now_s}
            self._waiting = [command for command in self._waiting if command.due_s > now_s]
            for number in unanswered:
                del self._sent[number]
            self._changed.notify_all()
        done = [each for command in late for each in _done(command, False, "the device did not fetch the command")]
        for command in unanswered.values():
            done += _done(command, False, "the device did not answer the command")
        return done

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until every command is answered or given up."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._sent, timeout_s)


def _done(command: _Command, done: bool, detail: str) -> list[OutputDone]:
    return [] if command.ticket is None else [OutputDone(command.ticket, done, detail, command.submitted_ns)]


class Outputs:
    """The locks and auxiliary outputs of one device. Output 0 of a reader is its door's lock, output 1 the auxiliary
    output with the door's number. Safe to use from any thread.

    Args:
        channels: door number by reader.
    """

    def __init__(self, channels: Mapping[str, int], next_id: Callable[[], str], clock: Clock, deliver: Deliver) -> None:
        self._channels, self._clock, self._deliver = channels, clock, deliver
        self.asks = Asks(channels)
        self._commands = OutputCommands(next_id)
        self._lock = threading.Lock()
        self._on_until: dict[tuple[str, int], float] = {}
        self._renew_at: dict[tuple[str, int], float] = {}

    def switch(self, reader: str, output: int, for_s: float | None, ticket: int, dialect: Dialect) -> bool:
        """As `interface.Driver.set_output`."""
        if reader not in self._channels or output > 1:
            return False
        if dialect is Dialect.ATTENDANCE:
            return self._unlock(output, for_s, ticket)
        now_s = self._clock.monotonic_s()
        with self._lock:
            self._on_until[reader, output] = now_s + (for_s or 0.0)
            self._schedule_renewal((reader, output), now_s)
        text = self._control(reader, output, for_s)
        if output == 0 and for_s is not None and self.asks.takes(reader, Control(text, ticket)):
            return True
        return self._commands.put(text, ticket, now_s)

    def answer_ask(self, verdict: Verdict) -> str:
        """The command that goes into a granting answer, or none; any other is left to the device's next poll. One in an
        answer is done when it is handed over: the device does not confirm it."""
        if verdict.granted:
            for control in verdict.controls:
                self._deliver(OutputDone(control.ticket, True, "", time.monotonic_ns()))
            return verdict.controls[-1].text if verdict.controls else ""
        for control in verdict.controls:
            if not self._commands.put(control.text, control.ticket, self._clock.monotonic_s()):
                self._deliver(OutputDone(control.ticket, False, "too many commands wait for the device", None))
        return ""

    def take(self) -> list[tuple[str, str]]:
        """The commands that wait, for a device that polls."""
        return self._commands.take(self._clock.monotonic_s())

    def answered(self, number: str, value: int) -> list[OutputDone] | None:
        """The device's result; None: it is of another command."""
        return self._commands.answered(number, value)

    def tick(self) -> None:
        """Fail what is overdue, and prolong what is to stay on."""
        now_s = self._clock.monotonic_s()
        for done in self._commands.expire(now_s):
            self._deliver(done)
        self._renew(now_s)

    def release(self, timeout_s: float) -> None:
        """Switch off what is on, and wait for the device to have done so."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            on = [key for key, until_s in self._on_until.items() if until_s > now_s]
            self._on_until.clear()
            self._renew_at.clear()
        for reader, output in on:
            self._commands.put(self._control(reader, output, None), None, now_s)
        if on:
            self._commands.wait_until_idle(timeout_s)

    def _unlock(self, output: int, for_s: float | None, ticket: int) -> bool:
        """An attendance terminal has one command: open for the time that is set in it."""
        if output or (for_s is not None and math.isinf(for_s)):
            why = "an attendance terminal has one lock, which opens for the time that is set in the terminal"
            self._deliver(OutputDone(ticket, False, why, None))
        elif for_s is None:
            self._deliver(OutputDone(ticket, True, "the terminal locks by itself", None))
        else:
            return self._commands.put(replies.UNLOCK, ticket, self._clock.monotonic_s())
        return True

    def _control(self, reader: str, output: int, for_s: float | None) -> str:
        return replies.control_output(self._channels[reader], for_s, auxiliary=output > 0)

    def _renew(self, now_s: float) -> None:
        """An opening longer than a command can name is prolonged in time: should the gateway die, it ends."""
        with self._lock:
            due = [key for key, at_s in self._renew_at.items() if at_s <= now_s]
            for key in due:
                self._schedule_renewal(key, now_s)
            left = {key: self._on_until[key] - now_s for key in due}
        for (reader, output), left_s in left.items():
            if left_s > 0:
                self._commands.put(self._control(reader, output, left_s), None, now_s)

    def _schedule_renewal(self, key: tuple[str, int], now_s: float) -> None:
        self._renew_at.pop(key, None)
        left_s = self._on_until.get(key, now_s) - now_s
        if replies.MAX_OPEN_S < left_s < math.inf:
            self._renew_at[key] = now_s + replies.MAX_OPEN_S - RENEW_BEFORE_S
