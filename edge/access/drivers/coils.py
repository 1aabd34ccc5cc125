"""What each output of a device is to be, and the next write that brings it there. No sockets, no clock of its own.

Every command is written at least once, so that it is answered only when the device has taken it. After a lost
connection what the coils are is not known: they are all written anew, those whose time has ended as off. Of an
interlocked pair the later command wins: its partner goes off first, and rests.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Write:
    """Give an output this state."""

    output: int
    on: bool


@dataclass(frozen=True)
class _Command:
    for_s: float | None
    ticket: int


@dataclass
class _Coil:
    partners: set[int] = field(default_factory=set)
    until_s: float = -math.inf
    """It is to be on before this moment."""
    written: bool | None = None
    """What the device has; None: not known."""
    off_since_s: float = -math.inf
    command: _Command | None = None
    """The newest command, while it is not written."""


class Coils:
    """The coils of one device. Moments are of the monotonic clock, in seconds.

    Args:
        interlocked: pairs of outputs that are never on together.
        min_off_s: so long one of a pair is off before the other goes on.
    """

    def __init__(self, count: int, interlocked: Iterable[tuple[int, ...]] = (), min_off_s: float = 0.0) -> None:
        self._coils = [_Coil() for _ in range(count)]
        self._min_off_s = min_off_s
        for one, other in interlocked:
            self._coils[one].partners.add(other)
            self._coils[other].partners.add(one)

    def command(self, output: int, for_s: float | None, ticket: int) -> list[int]:
        """Take a command; the time of a pulse runs from its write.

        Returns:
            The tickets of the commands that this one takes the place of.
        """
        coil = self._coils[output]
        replaced = [coil.command]
        coil.command = _Command(for_s, ticket)
        if for_s is not None:
            for number in sorted(coil.partners):
                replaced.append(self._end(self._coils[number]))
        return [each.ticket for each in replaced if each is not None]

    def end(self, output: int) -> None:
        """Be off, without a ticket: the caller does not wait for it."""
        self._end(self._coils[output])

    def forget(self) -> list[int]:
        """The connection was lost: every coil is to be written anew. Commands that were not written are void.

        Returns:
            Their tickets.
        """
        void = [coil.command.ticket for coil in self._coils if coil.command is not None]
        for coil in self._coils:
            if coil.command is not None and coil.command.for_s is None:
                coil.until_s = -math.inf
            coil.command, coil.written = None, None
        return void

    def all_off(self) -> list[int]:
        """Be off, every one.

        Returns:
            The tickets of the commands that were not written.
        """
        ended = [self._end(coil) for coil in self._coils]
        return [command.ticket for command in ended if command is not None]

    def next_write(self, now_s: float) -> Write | None:
        """What to write now; an off goes before any on."""
        for number, coil in enumerate(self._coils):
            if not _is_wanted_on(coil, now_s) and (coil.written is not False or coil.command is not None):
                return Write(number, False)
        for number, coil in enumerate(self._coils):
            due = coil.written is not True or coil.command is not None
            if due and _is_wanted_on(coil, now_s) and self._rested_s(coil) <= now_s:
                return Write(number, True)
        return None

    def wrote(self, write: Write, now_s: float) -> int | None:
        """The device took a write.

        Returns:
            The ticket of the command that it carried out.
        """
        coil = self._coils[write.output]
        command, coil.command = coil.command, None
        if command is not None:
            coil.until_s = -math.inf if command.for_s is None else now_s + command.for_s
        if not write.on and coil.written is not False:
            coil.off_since_s = now_s
        coil.written = write.on
        return None if command is None else command.ticket

    def refuse(self, write: Write) -> int | None:
        """The device did not take an "on": the output is to be off, and that is written next.

        Returns:
            The ticket of the command that failed.
        """
        command = self._end(self._coils[write.output])
        self._coils[write.output].written = None
        return None if command is None else command.ticket

    def left_s(self, output: int, now_s: float) -> float:
        """How long an output is to be on from now; not more than 0: not at all."""
        coil = self._coils[output]
        if coil.command is not None:
            return coil.command.for_s or 0.0
        return coil.until_s - now_s

    def due_s(self) -> float:
        """The moment at which the next write may be due if nothing else happens; infinity: none."""
        moments = [math.inf]
        for coil in self._coils:
            if coil.command is not None:
                moments.append(self._rested_s(coil) if coil.command.for_s is not None else -math.inf)
            elif coil.written is True:
                moments.append(coil.until_s)
            elif coil.until_s > -math.inf and coil.written is None:
                moments.append(self._rested_s(coil))
        return min(moments)

    def _rested_s(self, coil: _Coil) -> float:
        partners = [self._coils[number] for number in coil.partners]
        if any(partner.written is not False for partner in partners):
            return math.inf
        return max((partner.off_since_s + self._min_off_s for partner in partners), default=-math.inf)

    @staticmethod
    def _end(coil: _Coil) -> _Command | None:
        command, coil.command, coil.until_s = coil.command, None, -math.inf
        return command


def _is_wanted_on(coil: _Coil, now_s: float) -> bool:
    return coil.command.for_s is not None if coil.command is not None else now_s < coil.until_s
