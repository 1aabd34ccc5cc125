"""Which grid and which joint-household unit a dwelling or an entrance belongs to, from when until when.

Drawing grids anew ends what was and begins what is; nothing of the past is lost, and of one place no two overlap.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from cloud.database.tables import GridPlace, JointUnitPlace, Place, PlaceKind
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.intervals import Span, SpansOverlap, drawn
from cloud.register.paths import subtree
from cloud.register.writer import RegisterWriter

LIES_IN_GRIDS = (PlaceKind.DWELLING, PlaceKind.ENTRANCE)
"""The kinds of places that belong to a grid; only dwellings belong to a unit."""

_Table = type[GridPlace] | type[JointUnitPlace]
_MEMBER_COLUMN = {GridPlace: "grid_id", JointUnitPlace: "joint_unit_id"}


class MembershipBatch:
    """Puts places into grids, or into units: `load` the places, `put` each, `flush` the writer."""

    def __init__(self, writer: RegisterWriter, table: _Table) -> None:
        self._writer = writer
        self._table = table
        self._column = _MEMBER_COLUMN[table]
        self._spans: defaultdict[UUID, list[Span[UUID]]] = defaultdict(list)

    def load(self, places: Iterable[UUID]) -> None:
        """Ask for the memberships of these places, and forget those asked for before; all must be flushed."""
        self._spans.clear()
        if wanted := set(places):
            columns = self._table.__table__.c
            query = (
                select(columns.place_id, columns.since, columns.until, columns[self._column])
                .where(columns.place_id.in_(wanted))
                .order_by(columns.place_id, columns.since)
            )
            for place, since, until, member in self._writer.connection.execute(query):
                self._spans[place].append(Span(since, until, member))

    def put(self, place: UUID, member: UUID, since: datetime, until: datetime | None = None) -> Change:
        """Let a place belong to a grid or unit from `since` on; where it belonged until then ends there.

        Raises:
            RegisterError: if that would cut an earlier membership in two or reach into a later one.
        """
        known = self._spans[place]
        try:
            spans = drawn(known, Span(since, until, member))
        except SpansOverlap as error:
            raise RegisterError("since", str(error), "correct the dates, or end the other one first") from error
        except ValueError as error:
            raise RegisterError("until", str(error), "correct one of the dates") from error
        self._spans[place] = spans
        before = {span.since: span for span in known}
        changes = [self._write(place, before.get(span.since), span) for span in spans]
        return next((change for change in (Change.ADDED, Change.UPDATED) if change in changes), Change.UNCHANGED)

    def _write(self, place: UUID, old: Span[UUID] | None, new: Span[UUID]) -> Change:
        if old == new:
            return Change.UNCHANGED
        values = {"until": new.until, self._column: new.value}
        if old is None:
            self._writer.insert(self._table, {"place_id": place, "since": new.since, **values}, place)
            return Change.ADDED
        was = {"until": old.until, self._column: old.value}
        self._writer.update(self._table, {"place_id": place, "since": new.since}, was, values, place)
        return Change.UPDATED


def places_in(writer: RegisterWriter, path: bytes, kinds: Iterable[PlaceKind]) -> list[UUID]:
    """The places of these kinds at a path and below it."""
    query = select(Place.id).where(subtree(path).holds(Place.path), Place.kind.in_(list(kinds)))
    return list(writer.connection.execute(query).scalars())
