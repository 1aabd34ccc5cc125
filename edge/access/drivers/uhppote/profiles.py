"""Weekly hours as a board's time profiles: numbers 2 to 254, each with weekdays and up to three segments, and linked
where that is too little.

A board lets a card through whose profile it does not have, so profiles are written before the cards that name them and
are never cleared. A segment's last minute belongs to it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Hours = tuple[tuple[int, int, int], ...]
"""(weekday with Monday 0, first minute, end minute), as in `edge.access.drivers.interface.Roster`."""

ALWAYS = 1
NEVER = 0
FIRST_NUMBER = 2
LAST_NUMBER = 254
_DAY = 24 * 60
_SEGMENTS = 3


@dataclass(frozen=True, order=True)
class ProfileRow:
    """One time profile: on these days, during these segments (first and last minute of the day, both included)."""

    days: tuple[int, ...]
    segments: tuple[tuple[int, int], ...]

    @property
    def padded(self) -> tuple[tuple[int, int], ...]:
        """All three segments of the packet; an unused one is 00:00 to 00:00."""
        return self.segments + ((0, 0),) * (_SEGMENTS - len(self.segments))


Chain = tuple[ProfileRow, ...]
"""Linked profiles: a card passes if any of them lets it."""


class NoProfilesLeft(Exception):
    """All 253 numbers are taken."""


def chain_of(hours: Iterable[tuple[int, int, int]]) -> Chain | int:
    """The profiles for weekly hours, or `ALWAYS` or `NEVER` where they need none."""
    days = [tuple(_merged((start, end) for weekday, start, end in hours if weekday == day)) for day in range(7)]
    if all(day == ((0, _DAY),) for day in days):
        return ALWAYS
    chain = []
    for spans in sorted({day for day in days if day}):
        on = tuple(day for day in range(7) if days[day] == spans)
        segments = tuple((start, end - 1) for start, end in spans)
        chain += [ProfileRow(on, segments[at : at + _SEGMENTS]) for at in range(0, len(segments), _SEGMENTS)]
    return tuple(chain) or NEVER


class ProfileBook:
    """Which profile has which number on the board.

    Args:
        chains: the numbers of each chain's rows, by what they hold; a card names the first.
    """

    def __init__(self, chains: Mapping[Chain, tuple[int, ...]] | None = None) -> None:
        self._chains = dict(chains or {})

    @property
    def chains(self) -> dict[Chain, tuple[int, ...]]:
        """A copy of all chains with the numbers of their rows."""
        return dict(self._chains)

    def number_of(self, chain: Chain | int) -> int | None:
        """What a card names for these hours, or None while the board does not have them."""
        if isinstance(chain, int):
            return chain
        numbers = self._chains.get(chain)
        return None if numbers is None else numbers[0]

    def reserve(self, chain: Chain, taken: frozenset[int]) -> tuple[int, ...]:
        """Find numbers for a chain that the board does not have yet.

        Args:
            taken: numbers that cards on the board still name.

        Raises:
            NoProfilesLeft: if there are too few.
        """
        used = taken.union(*self._chains.values())
        free = [number for number in range(FIRST_NUMBER, LAST_NUMBER + 1) if number not in used][: len(chain)]
        if len(free) < len(chain):
            raise NoProfilesLeft
        return tuple(free)

    def add(self, chain: Chain, numbers: tuple[int, ...]) -> None:
        """The board has it now."""
        self._chains[chain] = numbers

    def keep_only(self, needed: Iterable[Chain | int]) -> None:
        """Forget every other chain, so that its numbers can be used again."""
        wanted = set(needed)
        self._chains = {chain: numbers for chain, numbers in self._chains.items() if chain in wanted}

    def closure(self, numbers: Iterable[int]) -> frozenset[int]:
        """These profiles and all that belong to a chain with one of them."""
        named = set(numbers)
        return frozenset(named.union(*(rows for rows in self._chains.values() if named.intersection(rows))))


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The spans in order, those that touch or overlap as one."""
    current: tuple[int, int] | None = None
    for start, end in sorted(spans):
        if start >= end:
            continue
        if current is not None and start <= current[1]:
            current = current[0], max(current[1], end)
            continue
        if current is not None:
            yield current
        current = start, end
    if current is not None:
        yield current
