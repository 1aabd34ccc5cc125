"""Finds the events that the database has since the last look, whatever order the ingest workers commit in.

`received_at` is set before the commit, so a row can appear behind the newest one: each look reads again an overlap
before the watermark, and a bounded memory of ids tells which rows are new. A sweep now and then reads a longer overlap,
for a commit that took seconds. The page shows the newest 200 rows, so only the newest `WINDOW` are ever considered:
the cost of a look is bounded however many events a flood brings.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from cloud.accounts.scope import WHOLE, Scope
from cloud.database.engine import Database
from cloud.database.tables import EventRecord
from cloud.live.clips import CLIP_TYPES, ClipNews, read_news
from cloud.live.rows import EventRow, read_rows

OVERLAP = timedelta(seconds=2)
SWEEP_OVERLAP = timedelta(seconds=30)
WINDOW = 1000
MAX_ROWS = 200
_REMEMBERED = 8 * WINDOW


@dataclass(frozen=True)
class Fresh:
    """Events that are new, newest receipt first: those that make rows, and those that tell of clips."""

    rows: list[UUID]
    clips: list[UUID]

    @property
    def is_flood(self) -> bool:
        """Whether there may be more than were looked at."""
        return len(self.rows) + len(self.clips) >= WINDOW


@dataclass(frozen=True)
class News:
    """What is new, oldest receipt first: rows, and what was told of the clips of rows."""

    rows: list[EventRow]
    clips: list[ClipNews]


class EventTail:
    """Owned by one caller at a time; blocks while it reads.

    Args:
        database: read only.
        now: the wall clock, UTC. The watermark never lies after it, so a clock set back hides nothing.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._watermark = now()
        self._seen: OrderedDict[UUID, None] = OrderedDict()
        self.skipped_rows = 0
        """Rows that a flood brought beyond what a page of the whole hub can hold."""

    def prime(self) -> None:
        """Take what is there as known; the pages read it over REST."""
        self._new_ids(SWEEP_OVERLAP)

    def look(self, sweep: bool = False) -> Fresh:
        """What is new since the last look, at most `WINDOW` events."""
        fresh = self._new_ids(SWEEP_OVERLAP if sweep else OVERLAP)
        clips = [id_ for id_, event_type in fresh if event_type in CLIP_TYPES]
        rows = [id_ for id_, event_type in fresh if event_type not in CLIP_TYPES]
        self.skipped_rows += max(len(rows) - MAX_ROWS, 0)
        return Fresh(rows, clips)

    def news(self, fresh: Fresh, within: Scope = WHOLE) -> News:
        """What a scope sees of that, at most `MAX_ROWS` (the newest) of each kind."""
        rows, clips = (ids[:MAX_ROWS] if within.is_whole else ids for ids in (fresh.rows, fresh.clips))
        with self._database.read() as connection:
            shown = read_rows(connection, rows, within, with_clips=False)  # theirs is told when it comes
            return News(shown[-MAX_ROWS:], read_news(connection, clips, within)[-MAX_ROWS:])

    def _new_ids(self, overlap: timedelta) -> list[tuple[UUID, str]]:
        """Ids and types of the events that were not seen before, newest first."""
        floor = min(self._watermark, self._now()) - overlap
        query = select(EventRecord.id, EventRecord.received_at, EventRecord.type)
        query = query.where(EventRecord.received_at > floor)
        query = query.order_by(EventRecord.received_at.desc(), EventRecord.id.desc()).limit(WINDOW)
        with self._database.read() as connection:
            found = connection.execute(query).all()
        if found:
            self._watermark = found[0].received_at
        fresh = [(row.id, row.type) for row in found if row.id not in self._seen]
        for row in reversed(found):
            self._seen[row.id] = None
            self._seen.move_to_end(row.id)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return fresh
