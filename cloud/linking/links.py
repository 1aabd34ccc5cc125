"""Resolves the links of a whole batch in one query, on both databases. It reads the register and changes nothing.

The rules, for an event at time T:
- credential: the one that the event names, if the register has it, valid or not (a refused card links to its holder);
- person: who holds that credential;
- dwelling: where that person resided at T (`since` <= T < `until`); of several residencies the one that began last,
  and of those the one with the highest id;
- place: the one whose code the event names, else the place of the door that the event is about.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from pydantic_core import to_json

from cloud.database.engine import DialectName
from cloud.database.types import to_us
from protocols.events import AccessDenied, AccessGranted, Event


class LinkKey(NamedTuple):
    """What the links of an event depend on. `at_us` is the event's time where a credential was presented, else 0."""

    credential: str | None
    """32 hex digits."""
    at_us: int
    place: str
    gateway: str
    device: str


class Links(NamedTuple):
    """What an event is linked to; ids as 32 hex digits, which both databases take for a UUID."""

    place: str | None = None
    credential: str | None = None
    person: str | None = None
    dwelling: str | None = None


class Cursor(Protocol):
    """The part of a DB-API cursor that is used here."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...

    def fetchall(self) -> list[Any]: ...


_PRESENTED = (AccessGranted, AccessDenied)
_WANTED = {
    "sqlite": """
        WITH wanted AS MATERIALIZED (
          SELECT key AS number,
                 json_extract(value, '$[0]') AS credential, json_extract(value, '$[1]') AS at_us,
                 json_extract(value, '$[2]') AS place, json_extract(value, '$[3]') AS gateway,
                 json_extract(value, '$[4]') AS device
          FROM json_each(?))
    """,
    "postgresql": """
        WITH wanted AS MATERIALIZED (
          SELECT number, CAST(value->>0 AS uuid) AS credential, CAST(value->>1 AS bigint) AS at_us,
                 value->>2 AS place, value->>3 AS gateway, value->>4 AS device
          FROM json_array_elements(CAST(%s AS json)) WITH ORDINALITY AS item (value, number))
    """,
}

_RESOLVE = """
    SELECT COALESCE(place.id, door.place_id), credential.id, credential.person_id,
           (SELECT residency.dwelling_id FROM residency
            WHERE residency.person_id = credential.person_id
              AND residency.since <= wanted.at_us
              AND (residency.until IS NULL OR wanted.at_us < residency.until)
            ORDER BY residency.since DESC, residency.id DESC LIMIT 1)
    FROM wanted
    LEFT JOIN place ON place.code = wanted.place
    LEFT JOIN door ON door.gateway_id = wanted.gateway AND door.device = wanted.device
    LEFT JOIN credential ON credential.id = wanted.credential
    ORDER BY wanted.number
"""


def link_key(event: Event) -> LinkKey:
    """What an event asks the register for."""
    data = event.data
    if isinstance(data, _PRESENTED) and data.credential is not None:
        return LinkKey(data.credential.hex, to_us(event.time), event.place, event.gateway, event.subject)
    return LinkKey(None, 0, event.place, event.gateway, event.subject)


def resolve(cursor: Cursor, dialect: DialectName, keys: Sequence[LinkKey]) -> list[Links]:
    """The links of each key, in their order; equal keys are asked for once."""
    distinct = list(dict.fromkeys(keys))
    if not distinct:
        return []
    cursor.execute(_WANTED[dialect] + _RESOLVE, (to_json(distinct).decode(),))
    found = [Links(*(_hex(value) for value in row)) for row in cursor.fetchall()]
    if len(distinct) == len(keys):
        return found
    by_key = dict(zip(distinct, found, strict=True))
    return [by_key[key] for key in keys]


def _hex(value: str | UUID | None) -> str | None:
    return value.hex if isinstance(value, UUID) else value
