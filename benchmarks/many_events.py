"""Makes tens of millions of stored events, inside the database itself: for `benchmarks.linking`.

A year of events, evenly in time. Doors differ: the busiest of 2,000 has some 2 % of all events, the quietest 0.02 %.
Of 20 events 11 are grants, 5 openings, one a denial, one a camera's, and two tell of clips. Rows are inserted in the
order of time without indexes, which are made afterwards; what a running hub would have written is no different.

The event as it came is 300 to 500 bytes of JSON. So that 50 million events fit on a small disk, those that no question
asks for have what linking reads and no more, unless `whole`: by calculation some 32 GB with PostgreSQL instead of 50.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from string import Template
from typing import Any
from uuid import UUID

from cloud.database.engine import Database
from cloud.database.types import to_us
from cloud.ingest.store import EVENT_COLUMNS
from tests.support.stored_events import Scene

A_PART = 1_000_000
"""Rows of one statement."""

NEWEST_WHOLE = 5_000
"""So many of the newest events have their JSON in any case: the live list reads them."""

Asked = tuple[Sequence[int], Sequence[int]]
"""Which doors and which holders of a scene are asked for, by their numbers."""

_SPELT = {
    "postgresql": {
        "numbers": "generate_series(CAST($first AS bigint), $last) AS n (i)",
        "with": "",
        "join": "JOIN",
        "id": "CAST(lpad(to_hex(at_us / 1000), 12, '0') || '70008' || lpad(to_hex(i), 15, '0') AS uuid)",
        "told_id": "CAST(id AS text)",
        "told_card": "CAST(card AS text)",
        "told_time": "to_char(to_timestamp(at_us / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        "uuid": "uuid",
        "double": "double precision",
    },
    "sqlite": {
        "numbers": "n",
        "with": "WITH RECURSIVE n (i) AS (SELECT $first UNION ALL SELECT i + 1 FROM n WHERE i < $last)",
        "join": "CROSS JOIN",
        "id": "printf('%012x70008%015x', at_us / 1000, i)",
        "told_id": "substr(id,1,8)||'-'||substr(id,9,4)||'-'||substr(id,13,4)||'-'||substr(id,17,4)||'-'"
        "||substr(id,21)",
        "told_card": "substr(card,1,8)||'-'||substr(card,9,4)||'-'||substr(card,13,4)||'-'||substr(card,17,4)||'-'"
        "||substr(card,21)",
        "told_time": "strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch')",
        "uuid": "text",
        "double": "real",
    },
}
_KIND = (
    "CASE WHEN i * 7 % 20 < 11 THEN 'access.granted.v1' WHEN i * 7 % 20 < 16 THEN 'door.opened.v1' "
    "WHEN i * 7 % 20 = 16 THEN 'access.denied.v1' WHEN i * 7 % 20 = 17 THEN 'person.entered_zone.v1' "
    "ELSE 'clip.kept.v1' END"
)
_SHOWN = "CASE WHEN i * 7 % 20 < 11 OR i * 7 % 20 = 16 THEN {} END"
"""What only an event of a presented card has."""

_HOLDER = ("card", "person", "dwelling", "household", "grid", "unit")
_DATA = """
    CASE kind
      WHEN 'access.granted.v1' THEN '"reader":"r-in","method":"card","policy_version":7,"decision_us":310,'
        || '"credential":"' || $told_card || '"'
      WHEN 'access.denied.v1' THEN '"reader":"r-in","method":"card","policy_version":7,"decision_us":310,'
        || '"reason":"expired","credential":"' || $told_card || '"'
      WHEN 'person.entered_zone.v1' THEN '"score":0.9,"zone":"z","track":1,'
        || '"box":{"left":0,"top":0,"right":1,"bottom":1}'
      WHEN 'clip.kept.v1' THEN '"clip":"' || $told_id || '","sha256":"$zeros","size_bytes":1000,"codec":"h264",'
        || '"since":"' || $told_time || '","until":"' || $told_time || '","events":["' || $told_id || '"]'
      ELSE '"cause":"credential"' END
"""
_BODY = f"""
    '{{"specversion":"1.0","id":"' || $told_id || '","source":"/gw/' || gateway || '/' || device || '","type":"' || kind
    || '","time":"' || $told_time || '","subject":"' || device || '","gateway":"' || gateway
    || '","place":"gate-east","stream":"$told_stream","seq":' || CAST(i AS text)
    || ',"clock":{{"state":"synced","monotonic_ms":1000}},"data":{{' || {_DATA} || '}}}}'
"""
_CARD = _SHOWN.format("'\"credential\":\"' || $told_card || '\"'")
_SHORT = f"""'{{"place":null,"data":{{' || COALESCE({_CARD}, '') || '}}}}'"""
"""What linking anew reads of an event."""

_INSERT = f"""
    $with
    INSERT INTO event ({EVENT_COLUMNS})
    SELECT id, gateway, $stream, i, kind, device, at_us, at_us + 300000, place,
           {", ".join(_SHOWN.format(name) for name in _HOLDER)},
           CASE WHEN i * 7 % 20 = 16 THEN CASE WHEN i % 2 = 0 THEN 'expired' ELSE 'outside_schedule' END END,
           CASE WHEN is_whole OR door_asked OR holder_asked THEN {_BODY} ELSE {_SHORT} END
    FROM (SELECT i, at_us, $id AS id, {_KIND} AS kind, i > $whole_after AS is_whole,
                 door.gateway, door.device, door.place, door.asked AS door_asked,
                 {", ".join(f"holder.{name}" for name in _HOLDER)}, holder.asked AS holder_asked
          FROM (SELECT i, $first_us + CAST(i * $step_us AS bigint) AS at_us,
                       (i * 2654435761 % 4294967296) / CAST(4294967296 AS $double) AS part FROM $numbers) AS made
          $join made_door AS door ON door.number = CAST(floor($doors * part * part) AS integer)
          $join made_holder AS holder ON holder.number = i * 7919 % $holders) AS event_to_be
"""


def fill_events(
    database: Database, scene: Scene, count: int, asked: Asked, *, whole: bool, progress: Callable[[str], None]
) -> None:
    """Store so many events of a scene.

    Args:
        whole: whether every event has its JSON.
        progress: told what was done.
    """
    with _driver(database) as cursor, _bare(cursor, database.dialect, progress):
        _make_tables(cursor, database.dialect, scene, asked)
        for first in range(1, count + 1, A_PART):
            last = min(first + A_PART - 1, count)
            cursor.execute(_insert_of(database.dialect, scene, count, (first, last), whole=whole))
            if last % (10 * A_PART) == 0:
                progress(f"{last:,} events inserted")


def _insert_of(dialect: str, scene: Scene, count: int, part: tuple[int, int], *, whole: bool) -> str:
    stream = UUID(int=0x019000000000_7000_8000_000000000001)
    within = {"first": part[0], "last": part[1]}
    spelt = {name: Template(each).safe_substitute(within) for name, each in _SPELT[dialect].items()}
    first_us, until_us = to_us(scene.since), to_us(scene.until)
    return Template(_INSERT).substitute(
        spelt,
        stream=f"CAST('{stream.hex}' AS {spelt['uuid']})",
        told_stream=stream,
        zeros="0" * 64,
        whole_after=0 if whole else count - NEWEST_WHOLE,
        first_us=first_us,
        step_us=(until_us - first_us) / (count + 1),
        doors=len(scene.doors),
        holders=len(scene.holders),
    )


def _make_tables(cursor: Any, dialect: str, scene: Scene, asked: Asked) -> None:
    """The doors and holders by their numbers, as the inserts look them up."""
    uuid, mark = _SPELT[dialect]["uuid"], "?" if dialect == "sqlite" else "%s"
    doors = [(i, gateway, device, place.hex, i in asked[0]) for i, (gateway, device, place) in enumerate(scene.doors)]
    wanted = frozenset(asked[1])
    holders = [(i, *(each.hex for each in holder), i in wanted) for i, holder in enumerate(scene.holders)]
    ids = ", ".join(f"{name} {uuid}" for name in ("card", "person", "dwelling", "household", "grid", "unit"))
    for name, columns, rows in (
        ("made_door", f"gateway text, device text, place {uuid}", doors),
        ("made_holder", ids, holders),
    ):
        cursor.execute(f"CREATE TEMPORARY TABLE {name} (number integer PRIMARY KEY, {columns}, asked boolean)")
        marks = ", ".join([mark] * len(rows[0]))
        cursor.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        if dialect == "postgresql":
            cursor.execute(f"ANALYZE {name}")


@contextmanager
def _driver(database: Database) -> Iterator[Any]:
    """The driver's cursor in one transaction."""
    pooled = database.engine.raw_connection()
    cursor = pooled.cursor()
    try:
        yield cursor
        pooled.commit()
    finally:
        pooled.invalidate()  # its settings are no good for others


@contextmanager
def _bare(cursor: Any, dialect: str, progress: Callable[[str], None]) -> Iterator[None]:
    """The empty table `event` without indexes and triggers, and all of them again at the end. Nothing is logged."""
    if dialect == "sqlite":
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "temp_store = FILE"):
            cursor.execute(f"PRAGMA {pragma}").fetchall()
        found = cursor.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = 'event' AND type IN ('index', 'trigger') "
            "AND sql IS NOT NULL ORDER BY type"
        ).fetchall()
        cursor.execute("BEGIN IMMEDIATE")
        made_again = [sql for _, _, sql in found]
        for kind, name, _ in found:
            cursor.execute(f"DROP {kind} {name}")
    else:
        for setting in ("maintenance_work_mem = '1GB'", "work_mem = '256MB'", "max_parallel_maintenance_workers = 2"):
            cursor.execute(f"SET {setting}")
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'event' AND indexname <> 'pk_event'"
        )
        found = cursor.fetchall()
        cursor.execute("TRUNCATE event")  # a table that is new in its transaction is not logged: wal_level minimal
        cursor.execute("ALTER TABLE event DISABLE TRIGGER USER")
        for name, _ in found:
            cursor.execute(f"DROP INDEX {name}")
        made_again = [definition for _, definition in found] + ["ALTER TABLE event ENABLE TRIGGER USER"]
    yield
    for statement in made_again:
        cursor.execute(statement)
        progress(statement.partition(" ON ")[0])
