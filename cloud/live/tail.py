"""Finds the events that the database has since the last look, whatever order the ingest workers commit in.

`received_at` is set before the commit, so a row can appear behind the newest one: each look reads again an overlap
before the watermark, and a bounded memory of ids tells which rows are new. A sweep now and then reads a longer overlap,
for a commit that took seconds. The page shows the newest 200 rows, so only the newest `WINDOW` are ever considered:
the cost of a look is bounded however many events a flood brings.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from cloud.accounts.scope import WHOLE, Scope
from cloud.database.engine import Database
from cloud.live.rows import EventRow, newest, read_rows

OVERLAP = timedelta(seconds=2)
SWEEP_OVERLAP = timedelta(seconds=30)
WINDOW = 1000
MAX_ROWS = 200
_REMEMBERED = 8 * WINDOW


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

    def look(self, sweep: bool = False) -> list[UUID]:
        """The events that are new since the last look, newest receipt first, at most `WINDOW`."""
        ids = self._new_ids(SWEEP_OVERLAP if sweep else OVERLAP)
        self.skipped_rows += max(len(ids) - MAX_ROWS, 0)
        return ids

    def rows(self, ids: Sequence[UUID], within: Scope = WHOLE) -> list[EventRow]:
        """What a scope sees of these events, oldest receipt first, at most `MAX_ROWS` (the newest).

        Args:
            ids: newest receipt first.
        """
        with self._database.read() as connection:
            return read_rows(connection, ids[:MAX_ROWS] if within.is_whole else ids, within)[-MAX_ROWS:]

    def _new_ids(self, overlap: timedelta) -> list[UUID]:
        floor = min(self._watermark, self._now()) - overlap
        with self._database.read() as connection:
            found = connection.execute(newest(WINDOW, after=floor)).all()
        if found:
            self._watermark = found[0].received_at
        fresh = [row.id for row in found if row.id not in self._seen]
        for row in reversed(found):
            self._seen[row.id] = None
            self._seen.move_to_end(row.id)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return fresh
