"""Resolves the links of a whole batch in two queries, on both databases. It reads the register and changes nothing.

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

from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from pydantic_core import to_json

from cloud.database.engine import DialectName
from protocols.access_events import AccessDenied, AccessDuress, AccessGranted
from protocols.event_reading import EventFields

PlaceKey = tuple[str, str, str]
"""The place's code, the gateway and the device that an event names."""

LinkKey = tuple[PlaceKey, int, str | None]
"""What the links of an event depend on: where, when (microseconds since the epoch), and the credential that was
presented (32 hex digits)."""

Holder = tuple[str | None, str | None, str | None, str | None, str | None, str | None]
"""Credential, person, dwelling, household, the dwelling's grid and its joint-household unit."""

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

GridStay = tuple[str, int, int | None]
"""A grid that a place lay in, since when and until when."""

_NOBODY: Holder = (None, None, None, None, None, None)


class Cursor(Protocol):
    """The part of a DB-API cursor that is used here."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...

    def fetchall(self) -> list[Any]: ...


_PRESENTED = (AccessGranted.TYPE, AccessDenied.TYPE, AccessDuress.TYPE)

_PLACES = {
    "sqlite": """
        WITH wanted AS MATERIALIZED (
          SELECT key AS number, json_extract(value, '$[0]') AS place, json_extract(value, '$[1]') AS gateway,
                 json_extract(value, '$[2]') AS device
          FROM json_each(?)),
    """,
    "postgresql": """
        WITH wanted AS MATERIALIZED (
          SELECT number - 1 AS number, value->>0 AS place, value->>1 AS gateway, value->>2 AS device
          FROM json_array_elements(CAST(%s AS json)) WITH ORDINALITY AS item (value, number)),
    """,
}
_FIND_PLACES = """
    found AS MATERIALIZED (
      SELECT wanted.number, COALESCE(place.id, door.place_id) AS place_id
      FROM wanted
      LEFT JOIN place ON place.code = wanted.place
      LEFT JOIN door ON door.gateway_id = wanted.gateway AND door.device = wanted.device)
    SELECT found.number, found.place_id, grid_place.grid_id, grid_place.since, grid_place.until
    FROM found LEFT JOIN grid_place ON grid_place.place_id = found.place_id
    ORDER BY found.number, grid_place.since
"""
"""A place with every grid that it ever lay in, which are few: which of them it was is found in memory, so that a door
is asked for once and not for each of its events."""

_HOLDERS = {
    "sqlite": """
        WITH wanted AS MATERIALIZED (
          SELECT key AS number, substr(value, 1, 32) AS credential, CAST(substr(value, 33) AS INTEGER) AS at_us
          FROM json_each(?)),
    """,
    "postgresql": """
        WITH wanted AS MATERIALIZED (
          SELECT number, CAST(substr(value, 1, 32) AS uuid) AS credential, CAST(substr(value, 33) AS bigint) AS at_us
          FROM json_array_elements_text(CAST(%s AS json)) WITH ORDINALITY AS item (value, number)),
    """,
}
"""A credential and a moment are one string, 32 digits and then the microseconds: a third of the time of an array."""

_FIND_HOLDERS = """
    shown AS MATERIALIZED (
      SELECT wanted.number, wanted.at_us, credential.id AS credential_id,
             CASE WHEN access_pass.id IS NULL THEN credential.person_id END AS person_id,
             (SELECT residency.id FROM residency
              WHERE residency.person_id = credential.person_id
                AND residency.since <= wanted.at_us
                AND (residency.until IS NULL OR wanted.at_us < residency.until)
              ORDER BY residency.since DESC, residency.id DESC LIMIT 1) AS residency_id
      FROM wanted
      LEFT JOIN credential ON credential.id = wanted.credential
      LEFT JOIN access_pass ON access_pass.id = credential.id)
    SELECT shown.credential_id, shown.person_id, residency.dwelling_id, household.id,
           (SELECT grid_place.grid_id FROM grid_place
            WHERE grid_place.place_id = residency.dwelling_id
              AND grid_place.since <= shown.at_us
              AND (grid_place.until IS NULL OR shown.at_us < grid_place.until)
            ORDER BY grid_place.since DESC LIMIT 1),
           (SELECT joint_unit_place.joint_unit_id FROM joint_unit_place
            WHERE joint_unit_place.place_id = residency.dwelling_id
              AND joint_unit_place.since <= shown.at_us
              AND (joint_unit_place.until IS NULL OR shown.at_us < joint_unit_place.until)
            ORDER BY joint_unit_place.since DESC LIMIT 1)
    FROM shown
    LEFT JOIN residency ON residency.id = shown.residency_id
    LEFT JOIN household ON household.id = residency.household_id
      AND household.since <= shown.at_us AND (household.until IS NULL OR shown.at_us < household.until)
    ORDER BY shown.number
"""


def link_key(event: EventFields, at_us: int) -> LinkKey:
    """What an event asks the register for; `at_us` is its time."""
    where = (event["place"], event["gateway"], event["subject"])
    if event["type"] in _PRESENTED and (credential := event["data"].get("credential")):
        return where, at_us, credential.replace("-", "")
    return where, at_us, None


def resolve(cursor: Cursor, dialect: DialectName, keys: Sequence[LinkKey]) -> list[Links]:
    """The links of each key, in their order; each door, and each card at a moment, is asked for once.

    Two queries at most; the second only if a credential was presented.
    """
    places = _places(cursor, dialect, list(dict.fromkeys(where for where, _, _ in keys)))
    holders = _holders(cursor, dialect, [f"{card}{at_us}" for _, at_us, card in keys if card is not None])
    links: list[Links] = []
    for where, at_us, shown in keys:
        place, stays = places[where]
        if shown is None:
            links.append((place, None, None, None, None, _grid_at(stays, at_us), None))
            continue
        credential, person, dwelling, household, grid, unit = holders[f"{shown}{at_us}"]
        links.append((place, credential, person, dwelling, household, grid or _grid_at(stays, at_us), unit))
    return links


def _grid_at(stays: Sequence[GridStay], at_us: int) -> str | None:
    """The grid that a place lay in; `stays` are in the order of their beginnings, and the last one that fits is it."""
    for grid, since, until in reversed(stays):
        if since <= at_us and (until is None or at_us < until):
            return grid
    return None


def _places(
    cursor: Cursor, dialect: DialectName, wanted: list[PlaceKey]
) -> dict[PlaceKey, tuple[str | None, list[GridStay]]]:
    """The place of each, and the grids that it lay in by the order of their beginnings."""
    found: dict[PlaceKey, tuple[str | None, list[GridStay]]] = {}
    if not wanted:
        return found
    cursor.execute(_PLACES[dialect] + _FIND_PLACES, (to_json(wanted).decode(),))
    for number, place, grid, since, until in cursor.fetchall():
        _, stays = found.setdefault(wanted[number], (_hex(place), []))
        if grid is not None:
            stays.append((_hex(grid), since, until))
    return found


def _holders(cursor: Cursor, dialect: DialectName, shown: Iterable[str]) -> dict[str, Holder]:
    """The holder of each credential at its moment: what `_HOLDERS` takes -> holder; asks nothing for nothing."""
    wanted = list(dict.fromkeys(shown))
    if not wanted:
        return {}
    cursor.execute(_HOLDERS[dialect] + _FIND_HOLDERS, (to_json(wanted).decode(),))
    rows = cursor.fetchall()
    if dialect == "postgresql":
        rows = [tuple(value and value.hex for value in row) for row in rows]
    return dict(zip(wanted, rows, strict=True))


def _hex(found: Any) -> Any:
    """An id as 32 hex digits, which PostgreSQL's driver reads as a UUID."""
    return found.hex if isinstance(found, UUID) else found
