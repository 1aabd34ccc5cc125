"""The credentials in memory, as few bytes each as Python allows: what a decision reads, and nothing that it does not.

One `dict` from the 16 bytes of a card's keyed hash to the packed rows that carry it: a bytes object of 36 bytes for
each, so that 100,000 credentials need tens of MiB and no objects for the garbage collector to walk.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from protocols.rules import Interval, Rules

NEVER_US = 2**63 - 1
ALWAYS_US = -(2**63)
_ROW = struct.Struct(">16sqqI")
"""The credential's id, both bounds in microseconds since the epoch, and the number of its set of door groups."""


@dataclass(frozen=True)
class StoredCredential:
    """One credential: valid from `not_before_us` (inclusive) until `not_after_us` (exclusive), since the epoch."""

    ref: UUID
    not_before_us: int
    not_after_us: int
    groups: tuple[str, ...]


@dataclass(frozen=True)
class WeekSchedule:
    """The intervals of a week, by weekday (Monday 0) in minutes after local midnight."""

    days: tuple[tuple[tuple[int, int], ...], ...]

    def covers(self, weekday: int, minute: int) -> bool:
        return any(since <= minute < until for since, until in self.days[weekday])


class CompiledRules:
    """Door groups and schedules, laid out for the question that a decision asks."""

    def __init__(self, rules: Rules) -> None:
        weeks = {schedule.id: _week(schedule.intervals) for schedule in rules.schedules}
        self._groups = {group.id: (frozenset(group.doors), weeks[group.schedule]) for group in rules.groups}

    def schedules_at(self, door: str, groups: Iterable[str]) -> list[WeekSchedule]:
        """The schedules under which `groups` open `door`; a group that is not there opens nothing."""
        held = (self._groups.get(group) for group in groups)
        return [entry[1] for entry in held if entry is not None and door in entry[0]]


def _week(intervals: Iterable[Interval]) -> WeekSchedule:
    days: list[list[tuple[int, int]]] = [[] for _ in range(7)]
    for interval in intervals:
        days[interval.weekday].append((interval.since, interval.until))
    return WeekSchedule(tuple(tuple(day) for day in days))


class CredentialIndex:
    """Look-up by hash. One thread changes it; any may look up meanwhile, and sees each row whole."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._group_sets: list[tuple[str, ...]] = []
        self._group_numbers: dict[tuple[str, ...], int] = {}

    def __len__(self) -> int:
        return sum(len(packed) for packed in self._rows.values()) // _ROW.size

    def add(self, card_hash: bytes, ref: bytes, not_before_us: int, not_after_us: int, groups: tuple[str, ...]) -> None:
        packed = _ROW.pack(ref, not_before_us, not_after_us, self._number(groups))
        self._rows[card_hash] = self._rows.get(card_hash, b"") + packed

    def discard(self, card_hash: bytes, ref: bytes) -> None:
        rows = (row for row in _split(self._rows.get(card_hash, b"")) if not row.startswith(ref))
        kept = b"".join(rows)
        if kept:
            self._rows[card_hash] = kept
        else:
            self._rows.pop(card_hash, None)

    def find(self, card_hash: bytes) -> list[StoredCredential]:
        """Every credential that carries this card; mostly one."""
        found = []
        for ref, not_before_us, not_after_us, number in _ROW.iter_unpack(self._rows.get(card_hash, b"")):
            found.append(StoredCredential(UUID(bytes=ref), not_before_us, not_after_us, self._group_sets[number]))
        return found

    def _number(self, groups: tuple[str, ...]) -> int:
        number = self._group_numbers.get(groups)
        if number is None:
            number = len(self._group_sets)
            self._group_sets.append(groups)
            self._group_numbers[groups] = number
        return number


def _split(packed: bytes) -> list[bytes]:
    return [packed[start : start + _ROW.size] for start in range(0, len(packed), _ROW.size)]
