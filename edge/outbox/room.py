"""Making room in a full outbox: what is dropped, in which order, and the gap event that tells of it.

Oldest of the lowest class first: video, then devices, then doors and alarms. The gap event is written in the same
transaction as the drop, so the hub always learns which numbers will never come. Many gap events are folded into few.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.outbox.file import NewRow, OutboxFile, OutboxFull
from edge.outbox.ranges import Range, in_parts, merged
from edge.outbox.rows import OutboxRow, Priority
from protocols.events import Event, GapReason, OutboxGap
from protocols.topics import EventClass

FIRST_CHUNK_ROWS = 200
MAX_GAP_ROWS = 32
"""Beyond this many waiting gap events they are folded into as few as hold their ranges."""
MAX_RANGES_PER_GAP = 500

MakeRow = Callable[[OutboxGap, int], NewRow]
"""(gap, seq) -> the row of a gap event."""


@dataclass(frozen=True)
class Dropped:
    """What was given up to make room."""

    by_class: Counter[EventClass]

    @property
    def count(self) -> int:
        return self.by_class.total()


def drop_oldest(file: OutboxFile, reason: GapReason, unnumbered: Counter[EventClass], make_row: MakeRow) -> Dropped:
    """Drop a part of the lowest class, and of the next where that gives no room.

    `unnumbered` are drops that never had a number; they are told in the same gap event.

    Raises:
        OutboxFull: if not even dropping gives room, or only gap events are left.
    """
    priority = file.worst_priority()
    if priority is None:
        raise OutboxFull("nothing is left that may be dropped")
    chunk = FIRST_CHUNK_ROWS
    victims = file.oldest(priority, chunk)
    while True:
        by_class = Counter(event_class for _, event_class in victims)
        try:
            _swap(file, [(seq, seq) for seq, _ in victims], reason, by_class + unnumbered, make_row)
        except OutboxFull:
            if len(victims) >= chunk:
                chunk *= 4
            more = file.least_worth(chunk)  # of the next class too, where one is too few rows to make room
            if len(more) == len(victims):
                raise
            victims = more
        else:
            return Dropped(by_class)


def tell_unnumbered(file: OutboxFile, reason: GapReason, unnumbered: Counter[EventClass], make_row: MakeRow) -> None:
    """Write a gap event for drops that never had a number.

    Raises:
        OutboxFull: if there is no room for it.
    """
    _swap(file, [], reason, unnumbered, make_row)


def _swap(
    file: OutboxFile, gone: Sequence[Range], reason: GapReason, counts: Counter[EventClass], make_row: MakeRow
) -> None:
    folded = file.gaps()
    if len(folded) < MAX_GAP_ROWS:
        folded = []
    told, counts = _fold(folded, counts)
    ranges = merged([*told, *gone])
    rows = []
    for number, part in enumerate(in_parts(ranges, MAX_RANGES_PER_GAP)):
        gap = OutboxGap(reason=reason, ranges=part, dropped=dict(counts) if number == 0 else {})
        rows.append(make_row(gap, file.last_seq + 1 + number))
    file.swap([*merged(gone), *((row.seq, row.seq) for row in folded)], rows)


def _fold(gaps: Sequence[OutboxRow], counts: Counter[EventClass]) -> tuple[list[Range], Counter[EventClass]]:
    """What older gap events told, and their own numbers; counts are of dropped events, not of gap events."""
    ranges: list[Range] = []
    total = Counter(counts)
    for row in gaps:
        data = Event.model_validate_json(row.body).data
        if isinstance(data, OutboxGap):
            ranges.extend(data.ranges)
            total.update(data.dropped)
        ranges.append((row.seq, row.seq))
    return ranges, total


def split_hopeless(file: OutboxFile, priorities: Sequence[Priority]) -> list[bool]:
    """For each incoming priority, whether all that is stored is worth more, so that the incoming one is dropped."""
    worst = file.worst_priority()
    return [worst is None or priority > worst for priority in priorities]
