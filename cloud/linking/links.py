"""Resolves the links of a whole batch in two queries, on both databases. It reads the register and changes nothing.

The rules, for an event at time T:
- credential: the one that the event names, if the register has it, valid or not (a refused card links to its holder);
- person: who holds that credential; nobody for a pass, whose guest the register does not know;
- dwelling: where that person, or the pass's host, resided at T (`since` <= T < `until`); of several residencies the
  one that began last, and of those the one with the highest id;
- place: the one whose code the event names, else the place of the door that the event is about.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from pydantic_core import to_json

from cloud.database.engine import DialectName
from protocols.access_events import AccessDenied, AccessDuress, AccessGranted
from protocols.event_reading import EventFields

PlaceKey = tuple[str, str, str]
"""The place's code, the gateway and the device that an event names."""

LinkKey = tuple[PlaceKey, str | None]
"""What the links of an event depend on. The second is the credential that was presented and when: 32 hex digits, then
microseconds since the epoch."""

Holder = tuple[str | None, str | None, str | None]
Links = tuple[str | None, str | None, str | None, str | None]
"""Place, credential, person and dwelling; ids as 32 hex digits, which both databases take for a UUID."""

_K = TypeVar("_K")
_NOBODY: Holder = (None, None, None)


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
          FROM json_each(?))
    """,
    "postgresql": """
        WITH wanted AS MATERIALIZED (
          SELECT number, value->>0 AS place, value->>1 AS gateway, value->>2 AS device
          FROM json_array_elements(CAST(%s AS json)) WITH ORDINALITY AS item (value, number))
    """,
}
_FIND_PLACES = """
    SELECT COALESCE(place.id, door.place_id)
    FROM wanted
    LEFT JOIN place ON place.code = wanted.place
    LEFT JOIN door ON door.gateway_id = wanted.gateway AND door.device = wanted.device
    ORDER BY wanted.number
"""

_HOLDERS = {
    "sqlite": """
        WITH wanted AS MATERIALIZED (
          SELECT key AS number, substr(value, 1, 32) AS credential, CAST(substr(value, 33) AS INTEGER) AS at_us
          FROM json_each(?))
    """,
    "postgresql": """
        WITH wanted AS MATERIALIZED (
          SELECT number, CAST(substr(value, 1, 32) AS uuid) AS credential, CAST(substr(value, 33) AS bigint) AS at_us
          FROM json_array_elements_text(CAST(%s AS json)) WITH ORDINALITY AS item (value, number))
    """,
}
"""A credential and a moment are one string, 32 digits and then the microseconds: a third of the time of an array."""

_FIND_HOLDERS = """
    SELECT credential.id, CASE WHEN access_pass.id IS NULL THEN credential.person_id END,
           (SELECT residency.dwelling_id FROM residency
            WHERE residency.person_id = credential.person_id
              AND residency.since <= wanted.at_us
              AND (residency.until IS NULL OR wanted.at_us < residency.until)
            ORDER BY residency.since DESC, residency.id DESC LIMIT 1)
    FROM wanted
    LEFT JOIN credential ON credential.id = wanted.credential
    LEFT JOIN access_pass ON access_pass.id = credential.id
    ORDER BY wanted.number
"""


def link_key(event: EventFields, at_us: int) -> LinkKey:
    """What an event asks the register for; `at_us` is its time."""
    where = (event["place"], event["gateway"], event["subject"])
    if event["type"] in _PRESENTED and (credential := event["data"].get("credential")):
        return where, f"{credential.replace('-', '')}{at_us}"
    return where, None


def resolve(cursor: Cursor, dialect: DialectName, keys: Sequence[LinkKey]) -> list[Links]:
    """The links of each key, in their order; each door and each presented card is asked for once.

    Two queries at most; the second only if a credential was presented.
    """
    places: dict[PlaceKey, str | None] = {
        where: place
        for where, (place,) in _ask(
            cursor, dialect, _PLACES[dialect] + _FIND_PLACES, dict.fromkeys(key[0] for key in keys)
        )
    }
    shown = dict.fromkeys(key[1] for key in keys)
    shown.pop(None, None)
    holders: dict[str | None, Holder] = {None: _NOBODY}
    holders.update(_ask(cursor, dialect, _HOLDERS[dialect] + _FIND_HOLDERS, shown))
    return [(places[where], *holders[card]) for where, card in keys]


def _ask(cursor: Cursor, dialect: DialectName, query: str, wanted: Iterable[_K]) -> Iterable[tuple[_K, Any]]:
    """A row of the register for each; asks nothing for nothing."""
    asked = list(wanted)
    if not asked:
        return ()
    cursor.execute(query, (to_json(asked).decode(),))
    rows = cursor.fetchall()
    if dialect == "postgresql":
        rows = [tuple(value and value.hex for value in row) for row in rows]
    return zip(asked, rows, strict=True)
