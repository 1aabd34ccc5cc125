"""Resolves the links of a whole batch in a few queries, on both databases. It reads the register and changes nothing.

The rules, for an event at time T (every interval: `since` <= T < `until`):
- credential: the one that the event names, if the register has it, valid or not (a refused card links to its holder);
- person: who holds that credential; nobody for a pass, whose guest the register does not know;
- dwelling: where that person, or the pass's host, resided at T; of several residencies the one that began last, and of
  those the one with the highest id;
- household: the one that this residency names, if it existed at T;
- joint-household unit: the one that the dwelling lay in at T;
- place: the one whose code the event names, else the place of the door that the event is about;
- grid: the one that the dwelling lay in at T, else the one that the place lay in.

Only a presented credential leads to a person: what a camera tells is linked to its place and the place's grid.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from pydantic_core import to_json

from cloud.database.engine import DialectName
from protocols.access_events import AccessDenied, AccessDuress, AccessGranted
from protocols.event_reading import EventFields

PlaceKey = tuple[str, str, str]
"""The place's code, the gateway and the device that an event names."""

LinkKey = tuple[PlaceKey, int, str | None]
"""What the links of an event depend on: where, when (microseconds since the epoch), and the credential that was
presented (32 hex digits)."""

Links = tuple[str | None, str | None, str | None, str | None, str | None, str | None, str | None]
"""`LINK_FIELDS`; ids as 32 hex digits, which both databases take for a UUID."""

LINK_FIELDS = (
    "place_id",
    "credential_id",
    "person_id",
    "dwelling_id",
    "household_id",
    "grid_id",
    "joint_unit_id",
)

Stay = tuple[str, str | None, int | None, int | None, str | None, str | None, int | None, int | None]
"""A credential, who is meant by it, and a residency of its holder: since, until, dwelling, household, and since and
until when that household existed. A holder who never lived anywhere has one row without a residency."""

Membership = tuple[str, str, int, int | None]
"""A place, the grid or joint-household unit that it lay in, since when and until when."""

Memberships = dict[str, list[Membership]]
"""By place, in the order of their beginnings."""


class Cursor(Protocol):
    """The part of a DB-API cursor that is used here."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...

    def fetchall(self) -> list[Any]: ...


_COLUMN = re.compile(r"\{(\w+\.\w+)\}")
_PRESENTED = (AccessGranted.TYPE, AccessDenied.TYPE, AccessDuress.TYPE)

_WANTED_PLACES = {
    "sqlite": """
        SELECT key AS number, json_extract(value, '$[0]') AS place, json_extract(value, '$[1]') AS gateway,
               json_extract(value, '$[2]') AS device
        FROM json_each(?)
    """,
    "postgresql": """
        SELECT number - 1 AS number, value->>0 AS place, value->>1 AS gateway, value->>2 AS device
        FROM json_array_elements(CAST(%s AS json)) WITH ORDINALITY AS item (value, number)
    """,
}
_WANTED_IDS = {
    "sqlite": "SELECT value FROM json_each(?)",
    "postgresql": "SELECT CAST(value AS uuid) FROM json_array_elements_text(CAST(%s AS json)) AS item (value)",
}
_FIND_PLACES = """
    WITH wanted AS MATERIALIZED ({wanted})
    SELECT wanted.number, COALESCE({place.id}, {door.place_id})
    FROM wanted
    LEFT JOIN place ON place.code = wanted.place
    LEFT JOIN door ON door.gateway_id = wanted.gateway AND door.device = wanted.device
"""
_FIND_HOLDERS = """
    SELECT {credential.id}, CASE WHEN access_pass.id IS NULL THEN {credential.person_id} END,
           residency.since, residency.until, {residency.dwelling_id},
           {household.id}, household.since, household.until
    FROM credential
    LEFT JOIN access_pass ON access_pass.id = credential.id
    LEFT JOIN residency ON residency.person_id = credential.person_id
    LEFT JOIN household ON household.id = residency.household_id
    WHERE credential.id IN ({wanted})
    ORDER BY residency.since, residency.id
"""
_FIND_GRIDS = """
    SELECT {grid_place.place_id}, {grid_place.grid_id}, since, until
    FROM grid_place WHERE place_id IN ({wanted}) ORDER BY since
"""
_FIND_UNITS = """
    SELECT {joint_unit_place.place_id}, {joint_unit_place.joint_unit_id}, since, until
    FROM joint_unit_place WHERE place_id IN ({wanted}) ORDER BY since
"""


def link_key(event: EventFields, at_us: int) -> LinkKey:
    """What an event asks the register for; `at_us` is its time."""
    return link_key_of((event["place"], event["gateway"], event["subject"]), event["type"], event["data"], at_us)


def link_key_of(where: PlaceKey, kind: str, data: Any, at_us: int) -> LinkKey:
    """The same, of an event's parts; `kind` is its type. Only a type that tells of a presented credential has one."""
    if kind in _PRESENTED and (credential := data.get("credential")):
        return where, at_us, credential.replace("-", "")
    return where, at_us, None


def resolve(cursor: Cursor, dialect: DialectName, keys: Sequence[LinkKey]) -> list[Links]:
    """The links of each key, in their order; each door and each card is asked for once.

    Four queries at most. They read what ever held of these places and cards, which is little; what held at the event's
    time is found in memory: that costs a fraction of as many sub-queries.
    """
    ask = _Register(cursor, dialect)
    places = ask.places({where for where, _, _ in keys})
    holders = ask.holders({shown for _, _, shown in keys if shown is not None})
    dwellings = {stay[4] for stays in holders.values() for stay in stays if stay[4] is not None}
    grids = ask.memberships(_FIND_GRIDS, dwellings.union(place for place in places.values() if place is not None))
    units = ask.memberships(_FIND_UNITS, dwellings)
    links: list[Links] = []
    for where, at_us, shown in keys:
        place = places[where]
        stays = holders.get(shown) if shown is not None else None
        if stays is None:
            links.append((place, None, None, None, None, _member(grids, place, at_us), None))
            continue
        credential, person = stays[0][:2]
        dwelling, household = _home(stays, at_us)
        grid = _member(grids, dwelling, at_us) or _member(grids, place, at_us)
        links.append((place, credential, person, dwelling, household, grid, _member(units, dwelling, at_us)))
    return links


def _home(stays: Sequence[Stay], at_us: int) -> tuple[str | None, str | None]:
    """The dwelling and the household of that time; the stay that began last is the last one."""
    for _, _, since, until, dwelling, household, existed_since, existed_until in reversed(stays):
        if since is not None and since <= at_us and (until is None or at_us < until):
            existed = existed_since is not None and existed_since <= at_us
            return dwelling, household if existed and (existed_until is None or at_us < existed_until) else None
    return None, None


def _member(memberships: Memberships, place: str | None, at_us: int) -> str | None:
    """What a place lay in at a time."""
    if place is not None and place in memberships:
        for _, member, since, until in reversed(memberships[place]):
            if since <= at_us and (until is None or at_us < until):
                return member
    return None


class _Register:
    """The queries. None asks for nothing."""

    def __init__(self, cursor: Cursor, dialect: DialectName) -> None:
        self._cursor = cursor
        self._dialect = dialect

    def places(self, keys: Iterable[PlaceKey]) -> dict[PlaceKey, str | None]:
        """The place of each."""
        wanted = list(keys)
        return {wanted[number]: place for number, place in self._ask(_FIND_PLACES, _WANTED_PLACES, wanted)}

    def holders(self, credentials: Iterable[str]) -> dict[str, list[Stay]]:
        """The stays of the holder of each credential that the register has."""
        holders: dict[str, list[Stay]] = {}
        for stay in self._ask(_FIND_HOLDERS, _WANTED_IDS, list(credentials)):
            holders.setdefault(stay[0], []).append(stay)
        return holders

    def memberships(self, query: str, places: Iterable[str]) -> Memberships:
        """What each place ever lay in."""
        found: Memberships = {}
        for membership in self._ask(query, _WANTED_IDS, list(places)):
            found.setdefault(membership[0], []).append(membership)
        return found

    def _ask(self, query: str, forms: Mapping[str, str], wanted: Sequence[object]) -> list[Any]:
        if not wanted:
            return []
        self._cursor.execute(_spelt(query, forms[self._dialect], self._dialect), (to_json(wanted).decode(),))
        return self._cursor.fetchall()


def as_text(column: str, dialect: DialectName) -> str:
    """An id as 32 hex digits: PostgreSQL's driver would make an object of each, at several times the cost."""
    return f"encode(uuid_send({column}), 'hex')" if dialect == "postgresql" else column


@cache
def _spelt(query: str, wanted: str, dialect: DialectName) -> str:
    """A query as this database takes it."""
    return _COLUMN.sub(lambda column: as_text(column[1], dialect), query.replace("{wanted}", wanted))
