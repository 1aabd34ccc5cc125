"""Grids of two levels, joint-household units and households. What lies in them is in `memberships`."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select

from cloud.database.tables import Grid, GridPlace, Household, JointUnit, JointUnitPlace, PlaceKind
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.places import PlaceBatch
from cloud.register.writer import RegisterWriter

DEFAULT_GRID_CODE = r"[0-9A-Za-z][0-9A-Za-z._/-]{0,62}"
"""Cities number their grids in ways of their own (15 digits by GA/T 2000.33, 12 and 3 more): it is configurable."""

_DIVIDED = (PlaceKind.TOWNSHIP, PlaceKind.COMMUNITY)
_GRID_KINDS = (*_DIVIDED, PlaceKind.COMPOUND)


@dataclass(frozen=True)
class GridEntry:
    """A grid of level 1, or with a `parent` of level 2. `place` is the code of what it divides."""

    code: str
    name: str
    place: str
    parent: str | None
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class JointUnitEntry:
    """A joint-household unit of a village or community, in a grid or in none."""

    code: str
    name: str
    place: str
    grid: str | None
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class HouseholdEntry:
    """Who keep house together in a dwelling."""

    code: str
    dwelling: str
    since: datetime
    until: datetime | None = None


_MEMBERS: dict[Any, Any] = {Grid: GridPlace, JointUnit: JointUnitPlace}


class Organisation:
    """Puts grids, units and households into the register; each row that was asked for is remembered."""

    def __init__(self, writer: RegisterWriter, places: PlaceBatch, grid_code: str = DEFAULT_GRID_CODE) -> None:
        self._writer = writer
        self._places = places
        self._grid_code = re.compile(grid_code)
        self._rows: dict[tuple[str, str], dict[str, Any] | None] = {}

    def put_grid(self, entry: GridEntry) -> Change:
        """Add a grid, or change the one with this code.

        Raises:
            RegisterError: for a code that does not fit the pattern, or a place or parent that does not fit.
        """
        if not self._grid_code.fullmatch(entry.code):
            raise RegisterError(
                "code",
                f"{entry.code[:64]!r} is no grid code here",
                f"write one that fits {self._grid_code.pattern} ([organisation] grid_code in the hub's configuration)",
            )
        place = self._places.need(entry.place, "place", _GRID_KINDS)
        above = self._need(Grid, entry.parent, "parent") if entry.parent else None
        if above is not None and above["level"] != 1:
            raise RegisterError("parent", f"grid {entry.parent!r} is of level 2 itself", "write a grid of level 1")
        values = {
            "name": entry.name,
            "level": 2 if above else 1,
            "parent_id": above["id"] if above else None,
            "place_id": place.id,
        }
        return self._put(Grid, entry.code, values, entry.since, entry.until)

    def put_joint_unit(self, entry: JointUnitEntry) -> Change:
        """Add a unit, or change the one with this code.

        Raises:
            RegisterError: if its place or grid is not there.
        """
        place = self._places.need(entry.place, "place", _DIVIDED)
        grid = self._need(Grid, entry.grid, "grid") if entry.grid else None
        values = {"name": entry.name, "place_id": place.id, "grid_id": grid["id"] if grid else None}
        return self._put(JointUnit, entry.code, values, entry.since, entry.until)

    def put_household(self, entry: HouseholdEntry) -> Change:
        """Add a household, or change the one with this code.

        Raises:
            RegisterError: if its dwelling is not there.
        """
        dwelling = self._places.need(entry.dwelling, "dwelling", (PlaceKind.DWELLING,))
        return self._put(Household, entry.code, {"dwelling_id": dwelling.id}, entry.since, entry.until)

    def load(self, table: type[Grid] | type[JointUnit] | type[Household], codes: set[str]) -> None:
        """Ask for the rows of these codes at once."""
        name = table.__tablename__
        wanted = {code for code in codes if (name, code) not in self._rows}
        if wanted:
            query = select(table.__table__).where(table.code.in_(wanted))
            self._rows |= {(name, code): None for code in wanted}
            for row in self._writer.connection.execute(query).mappings():
                self._rows[name, row["code"]] = dict(row)

    def need_id(self, table: type[Grid] | type[JointUnit], code: str, field: str) -> UUID:
        """The id of a grid or unit.

        Raises:
            RegisterError: about `field`, if there is none.
        """
        found: UUID = self._need(table, code, field)["id"]
        return found

    def find_id(self, table: type[Grid] | type[JointUnit], code: str) -> UUID | None:
        """The id of a grid or unit; None if there is none."""
        self.load(table, {code})
        row = self._rows[table.__tablename__, code]
        found: UUID | None = row["id"] if row is not None else None
        return found

    def need_valid(
        self, table: type[Grid] | type[JointUnit], code: str, field: str, since: datetime, until: datetime | None
    ) -> UUID:
        """The id of a grid or unit that is there from `since` until `until`.

        Raises:
            RegisterError: about `field`, if there is none; about the dates, if it is not there all that time.
        """
        row = self._need(table, code, field)
        if since < row["since"]:
            raise RegisterError(
                "since", f"{code!r} is there only from {_day(row['since'], since)} on", "correct the dates"
            )
        if row["until"] is not None and (until is None or until > row["until"]):
            raise RegisterError(
                "until", f"{code!r} is there until {_day(row['until'], since)} only", "correct the dates"
            )
        found: UUID = row["id"]
        return found

    def _need(self, table: type[Grid] | type[JointUnit], code: str, field: str) -> dict[str, Any]:
        self.load(table, {code})
        row = self._rows[table.__tablename__, code]
        if row is None:
            what = table.__tablename__.replace("_", " ")
            raise RegisterError(field, f"there is no {what} {code!r}", "add it, or correct the code")
        return row

    def _put(
        self,
        table: type[Grid] | type[JointUnit] | type[Household],
        code: str,
        values: dict[str, Any],
        since: datetime,
        until: datetime | None,
    ) -> Change:
        if until is not None and until <= since:
            raise RegisterError("until", "it ends before it begins", "correct one of the dates")
        self.load(table, {code})
        row, values = self._rows[table.__tablename__, code], values | {"since": since, "until": until}
        if row is None:
            row = {"id": self._writer.new_id(), "code": code, **values}
            self._writer.insert(table, row)
            self._rows[table.__tablename__, code] = row
            return Change.ADDED
        after = {name: value for name, value in values.items() if row[name] != value}
        if not after:
            return Change.UNCHANGED
        self._writer.update(table, {"id": row["id"]}, {name: row[name] for name in after}, after)
        row |= after
        if after.get("until") is not None and table is not Household:
            self._end_members(_MEMBERS[table], row["id"], after["until"], code)
        return Change.UPDATED

    def _end_members(
        self, table: type[GridPlace] | type[JointUnitPlace], member: UUID, until: datetime, code: str
    ) -> None:
        """What lies in a grid or unit lies in it no longer than it is there."""
        self._writer.flush()
        columns = table.__table__.c
        own = columns.grid_id if table is GridPlace else columns.joint_unit_id
        longer = select(columns.place_id, columns.since, columns.until).where(
            own == member, or_(columns.until.is_(None), columns.until > until)
        )
        for row in self._writer.connection.execute(longer).all():
            if row.since >= until:
                raise RegisterError(
                    "until",
                    f"{code!r} has places in it from {_day(row.since, until)} on",
                    "give those to another first",
                )
            key = {"place_id": row.place_id, "since": row.since}
            self._writer.update(table, key, {"until": row.until}, {"until": until}, row.place_id)


def _day(moment: datetime, like: datetime) -> str:
    """The day of a moment where another one is told."""
    return f"{moment.astimezone(like.tzinfo):%Y-%m-%d}"
