"""Commands to the strikes: each with a ticket, under which the driver tells what became of it."""

from typing import Protocol

from edge.access.counts import Counts
from edge.access.door_at_work import DoorAtWork
from edge.access.drivers.interface import Feedback, OutputDone
from edge.access.outputs import Answer, Pending, PendingOutputs
from edge.access.reader_book import ReaderBook
from edge.access.status import Outcome
from protocols.commands import FailureCode


class Outputs(Protocol):
    """How the drivers are reached (`edge.access.drivers.running.RunningDrivers`), by a reader's bus or device."""

    def set_output(self, line: str, reader: str, output: int, for_s: float | None, ticket: int) -> bool: ...

    def feedback(self, line: str, reader: str, feedback: Feedback) -> None: ...


class Strikes:
    """One thread."""

    def __init__(self, lines: dict[str, str], outputs: Outputs, readers: ReaderBook, counts: Counts) -> None:
        self._lines, self._outputs, self._readers, self._counts = lines, outputs, readers, counts
        self._pending = PendingOutputs()

    def set(
        self, door: DoorAtWork, for_s: float | None, read_ns: int | None = None, answer: Answer | None = None
    ) -> None:
        """Switch a door's strike on for `for_s` (infinity: until further notice), or off (None)."""
        strike = door.config.strike
        ticket = self._pending.add(Pending(strike.reader, read_ns, answer))
        if not self._outputs.set_output(self._lines[strike.reader], strike.reader, strike.output, for_s, ticket):
            self.done(OutputDone(ticket, False, f'reader "{strike.reader}" takes no commands', None))

    def done(self, done: OutputDone) -> None:
        """Take what became of a command. That one to a reader which is away fails is no news, unless it was awaited:
        the reader is told anew when it is back."""
        pending = self._pending.take(done.ticket)
        if pending is None:
            return
        awaited = pending.read_ns is not None or pending.answer is not None
        if not done.done and (awaited or self._readers.is_online(pending.reader)):
            self._counts.add("strike_failures")
        elif done.done and pending.read_ns is not None and done.submitted_ns is not None:
            self._counts.took_us((done.submitted_ns - pending.read_ns) // 1000)
        if pending.answer is not None:
            pending.answer(Outcome(done.done, done.detail, None if done.done else FailureCode.READER_FAILED))

    def show(self, reader: str, feedback: Feedback) -> None:
        """Have a reader show and sound something."""
        self._outputs.feedback(self._lines[reader], reader, feedback)
