"""Links events anew when the register is corrected, in bounded batches, with a record of the old links and the new.

Triggers leave marks (`cloud.database.tables.Relinking`) of whose events of what time a change may concern; a person may
ask for all events of an interval. Each batch is one transaction: the events, their corrections and how far the mark has
come, so that whatever ends this process loses nothing and the next one goes on there. Several may work at once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, delete, func, insert, select, text

from cloud.database.engine import Database, DialectName
from cloud.database.tables import EventRecord, Relinking
from cloud.database.types import to_us
from cloud.linking.links import LINK_FIELDS, LinkKey, Links, as_text, link_key_of, resolve

BATCH = 5_000
"""Events in a transaction: ingest on SQLite, where one writes at a time, waits for some tenths of a second."""

MARKS = 2_000
"""Marks that are dealt with in a transaction, if they concern few events."""

MARKS_OF_NOTHING = 20_000
"""Marks that are taken away at once while no event is stored."""

INGEST_LOCK = 0x6C696E6B
"""The advisory lock that each of ingest's transactions shares on PostgreSQL, before it reads the register."""


class Kind(StrEnum):
    """Whose events a mark concerns."""

    PERSON = "person"
    """Of every credential of the person, guests' passes with them."""
    CREDENTIAL = "credential"
    DWELLING = "dwelling"
    PLACE = "place"
    DOOR = "door"
    """What happened at the device `device` of the gateway."""
    NOWHERE = "nowhere"
    """Events without a place: a new place may be the one that they name."""
    ALL = "all"
    """Whatever was received within the interval."""


_WHERE = {
    Kind.PERSON: ("event.credential_id IN (SELECT id FROM credential WHERE person_id = {subject})", "time"),
    Kind.CREDENTIAL: ("event.credential_id = {subject}", "time"),
    Kind.DWELLING: ("event.dwelling_id = {subject}", "time"),
    Kind.PLACE: ("event.place_id = {subject}", "time"),
    Kind.DOOR: ("event.gateway_id = {gateway} AND event.subject = {device}", "time"),
    Kind.NOWHERE: ("event.place_id IS NULL", "time"),
    Kind.ALL: ("1 = 1", "received_at"),
}
"""Kind -> the condition on an event, and the moment by which its events are gone through: each has its index."""

_FIRST, _LAST = -(2**62), 2**62
_NO_ID = "0" * 32


@dataclass(frozen=True)
class Mark:
    """What is to be linked anew, and how far that has come. Moments in microseconds since the epoch."""

    number: int
    kind: Kind
    subject: str | None = None
    gateway: str | None = None
    device: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    after_us: int | None = None
    after_id: str | None = None
    kept: bool = False
    """Whether a person asked for it, or it has corrected something: then it stays as a record."""


@dataclass(frozen=True)
class Changed:
    """An event whose links are others now."""

    id: str
    old: Links
    new: Links

    @property
    def difference(self) -> tuple[dict[str, str | None], dict[str, str | None]]:
        """The old and the new links that are not alike, by the names of their columns."""
        pairs = [each for each in zip(LINK_FIELDS, self.old, self.new, strict=True) if each[1] != each[2]]
        return {name: old for name, old, _ in pairs}, {name: new for name, _, new in pairs}


@dataclass(frozen=True)
class Done:
    """What a batch did."""

    marks: int
    """How many marks are done with."""
    examined: int
    corrected: int


@dataclass(frozen=True)
class Page:
    """Events that were looked at, and those of them that would be linked otherwise."""

    examined: int
    changed: list[Changed]


class Relinker:
    """Deals with marks. Safe beside ingest, beside changes of the register and beside other relinkers.

    Args:
        now: the wall clock, UTC.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def ask(self, since: datetime, until: datetime | None, why: str, asked_by: str) -> int:
        """Mark every event that was received within an interval; the mark's number."""
        with self._database.write() as connection:
            if self._database.dialect == "postgresql":
                number = connection.execute(text("SELECT nextval('relinking_number')")).scalar_one()
            else:
                number = connection.execute(select(func.coalesce(func.max(Relinking.number), 0) + 1)).scalar_one()
            mark = {"number": number, "kind": Kind.ALL, "since": since, "until": until, "cause": "command"}
            connection.execute(insert(Relinking).values(**mark, why=why, asked_by=asked_by, asked_at=self._now()))
        return int(number)

    def step(self, only: int | None = None) -> Done | None:
        """Deal with one batch, of one mark or of those that wait; None if there is none."""
        query = select(Relinking.number).where(Relinking.done_at.is_(None)).order_by(Relinking.number)
        with self._database.read() as connection:
            is_empty = connection.execute(select(EventRecord.id).limit(1)).first() is None
            query = query.limit(MARKS_OF_NOTHING if is_empty else MARKS)
            numbers = connection.scalars(query if only is None else query.where(Relinking.number == only)).all()
        if not numbers:
            return None
        self._wait_for_ingest()
        if is_empty and only is None:
            return self._take_away(numbers)
        with self._database.write() as connection, closing(_cursor(connection)) as cursor:
            return _Batch(cursor, self._database.dialect, to_us(self._now())).deal_with(numbers)

    def _take_away(self, numbers: Sequence[int]) -> Done:
        """The first import of a register marks everything; while no event is there, that concerns none."""
        with self._database.write() as connection:
            nothing = ~select(EventRecord.id).exists()
            waiting = (Relinking.number.in_(numbers), Relinking.cause != "command", nothing)
            taken = connection.execute(delete(Relinking).where(*waiting)).rowcount
            if not taken:  # an event has come meanwhile, or a person asked
                with closing(_cursor(connection)) as cursor:
                    return _Batch(cursor, self._database.dialect, to_us(self._now())).deal_with(numbers[:MARKS])
        return Done(taken, 0, 0)

    def preview(self, since: datetime, until: datetime | None) -> Iterator[Page]:
        """What linking every event of an interval anew would change, batch by batch. Changes nothing."""
        mark = Mark(0, Kind.ALL, since_us=to_us(since), until_us=to_us(until) if until else None)
        while True:
            with self._database.read() as connection, closing(_cursor(connection)) as cursor:
                rows = _stored(cursor, self._database.dialect, mark, BATCH, lock=False)
                changed = _compared(cursor, self._database.dialect, rows)
            yield Page(len(rows), changed)
            if len(rows) < BATCH:
                return
            mark = replace(mark, after_us=rows[-1][1], after_id=rows[-1][0])

    def count(self, since: datetime, until: datetime | None) -> int:
        """How many events were received within an interval."""
        query = select(func.count()).select_from(EventRecord).where(EventRecord.received_at >= since)
        if until is not None:
            query = query.where(EventRecord.received_at < until)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def _wait_for_ingest(self) -> None:
        """Return when every transaction of ingest that may have read the register before the marks' is over.

        Whichever begins later reads what the register says now. On SQLite one writer waits for the other anyway.
        """
        if self._database.dialect == "postgresql":
            with self._database.write() as connection:
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": INGEST_LOCK})


def _cursor(connection: Connection) -> Any:
    """The driver's own cursor, within this transaction: SQLAlchemy costs several times as much for so many rows."""
    return connection.connection.cursor()


class _Batch:
    """One transaction."""

    def __init__(self, cursor: Any, dialect: DialectName, now_us: int) -> None:
        self._cursor = cursor
        self._dialect = dialect
        self._now_us = now_us

    def deal_with(self, numbers: Sequence[int]) -> Done:
        """The first of these marks, until `BATCH` events were looked at; what the register says of them is asked once
        for all."""
        looked: list[tuple[Mark, list[Any], bool]] = []
        examined = 0
        for mark in self._marks(numbers):
            rows = _stored(self._cursor, self._dialect, mark, BATCH - examined, lock=True)
            looked.append((mark, rows, len(rows) < BATCH - examined))
            examined += len(rows)
            if examined >= BATCH:
                break
        every = {row[0]: row for _, rows, _ in looked for row in rows}
        wrong = {each.id: each for each in _compared(self._cursor, self._dialect, list(every.values()))}
        corrections: list[tuple[int, Changed]] = []
        progress: list[tuple[Any, ...]] = []
        over: list[tuple[int]] = []
        for mark, rows, is_done in looked:
            mine = [(mark.number, wrong.pop(row[0])) for row in rows if row[0] in wrong]
            corrections += mine
            if is_done and not (mark.kept or mine):
                over.append((mark.number,))  # it changed nothing, and nobody asked for it
            else:
                last = (mark.after_us, mark.after_id) if is_done else (rows[-1][1], rows[-1][0])
                done_us = self._now_us if is_done else None
                progress.append((*last, len(rows), len(mine), done_us, mark.number))
        self._correct(corrections)
        if over:
            self._cursor.executemany(_sql(_OVER, self._dialect), over)
        if progress:
            self._cursor.executemany(_sql(_PROGRESS, self._dialect), progress)
        return Done(sum(is_done for *_, is_done in looked), examined, len(corrections))

    def _marks(self, numbers: Sequence[int]) -> list[Mark]:
        """Those that another relinker has not done meanwhile; it is waited for."""
        subject, after = as_text("subject_id", self._dialect), as_text("after_id", self._dialect)
        query = (
            f"SELECT number, kind, {subject}, gateway_id, device, since, until, after_time, {after}, "  # noqa: S608
            f"corrected > 0 OR cause = 'command' FROM relinking WHERE number IN ({','.join('?' * len(numbers))}) "
            "AND done_at IS NULL ORDER BY number"
        )
        lock = " FOR UPDATE" if self._dialect == "postgresql" else ""
        self._cursor.execute(_sql(query + lock, self._dialect), tuple(numbers))
        return [Mark(number, Kind(kind), *rest) for number, kind, *rest in self._cursor.fetchall()]

    def _correct(self, corrections: Sequence[tuple[int, Changed]]) -> None:
        """Change the events' links and keep both, each by the number of its mark."""
        if not corrections:
            return
        kept = [(each.id, number, *each.difference) for number, each in corrections]
        if self._dialect == "postgresql":
            rows = [dict(zip(("id", *LINK_FIELDS), (each.id, *each.new), strict=True)) for _, each in corrections]
            self._cursor.execute(_UPDATE_POSTGRESQL, (to_json(rows).decode(),))
            named = [dict(zip(("event", "number", "old", "new"), row, strict=True)) for row in kept]
            self._cursor.execute(_CORRECT_POSTGRESQL, (self._now_us, to_json(named).decode()))
        else:
            self._update_sqlite([each for _, each in corrections])
            self._cursor.executemany(
                _CORRECT_SQLITE,
                [
                    (event, number, self._now_us, to_json(old).decode(), to_json(new).decode())
                    for event, number, old, new in kept
                ],
            )

    def _update_sqlite(self, changed: Sequence[Changed]) -> None:
        """Set what is different alone: each column that is set costs a change in each index that has it."""
        by_columns: dict[tuple[str, ...], list[tuple[str | None, ...]]] = {}
        for each in changed:
            _, new = each.difference
            by_columns.setdefault(tuple(new), []).append((*new.values(), each.id))
        for columns, rows in by_columns.items():
            names = ", ".join(f"{name} = ?" for name in columns)
            self._cursor.executemany(f"UPDATE event SET {names} WHERE id = ?", rows)  # noqa: S608 (our own columns)


_OVER = "DELETE FROM relinking WHERE number = ?"
_PROGRESS = (
    "UPDATE relinking SET after_time = ?, after_id = ?, examined = examined + ?, corrected = corrected + ?, "
    "done_at = ? WHERE number = ?"
)
_CORRECT_SQLITE = 'INSERT INTO link_correction (event_id, relinking, at, "before", "after") VALUES (?, ?, ?, ?, ?)'
_UPDATE_POSTGRESQL = f"""
    UPDATE event SET {", ".join(f"{name} = new.{name}" for name in LINK_FIELDS)}
    FROM json_to_recordset(CAST(%s AS json)) AS new (id uuid, {", ".join(f"{name} uuid" for name in LINK_FIELDS)})
    WHERE event.id = new.id
"""  # noqa: S608 (names of our own columns)
_CORRECT_POSTGRESQL = """
    INSERT INTO link_correction (event_id, relinking, at, "before", "after")
    SELECT event, number, %s, old, new
    FROM json_to_recordset(CAST(%s AS json)) AS changed (event uuid, number bigint, old json, new json)
"""


def _stored(cursor: Any, dialect: DialectName, mark: Mark, limit: int, *, lock: bool) -> list[Any]:
    """The next events of a mark: id, moment, gateway, device, type, time, body, and the links as they are."""
    cursor.execute(*_candidates(dialect, mark, limit, lock=lock))
    return cursor.fetchall()  # type: ignore[no-any-return]  # the driver's


def _compared(cursor: Any, dialect: DialectName, rows: Sequence[Any]) -> list[Changed]:
    """Those of these events whose links the register would have otherwise."""
    keys = [_key(gateway, device, kind, at_us, body) for _, _, gateway, device, kind, at_us, body, *_ in rows]
    links = resolve(cursor, dialect, keys)
    return [Changed(row[0], tuple(row[7:]), new) for row, new in zip(rows, links, strict=True) if tuple(row[7:]) != new]


def _key(gateway: str, device: str, kind: str, at_us: int, body: str) -> LinkKey:
    """What a stored event asks the register for: as ingest asked, from the event as it came."""
    event = from_json(body)
    return link_key_of((event["place"], gateway, device), kind, event["data"], at_us)


def _candidates(dialect: DialectName, mark: Mark, limit: int, *, lock: bool) -> tuple[str, tuple[Any, ...]]:
    """The query for the next events of a mark. The comparison of pairs begins after the last event; the plain one tells
    both databases where in the index that is."""
    condition, moment = _WHERE[mark.kind]
    named = {"subject": mark.subject, "gateway": mark.gateway, "device": mark.device}
    wanted = [value for name, value in named.items() if f"{{{name}}}" in condition]
    columns = ", ".join(as_text(f"event.{name}", dialect) for name in LINK_FIELDS)
    an_id = "CAST(? AS uuid)" if dialect == "postgresql" else "?"
    query = f"""
        SELECT {as_text("event.id", dialect)}, event.{moment}, event.gateway_id, event.subject, event.type, event.time,
               event.body, {columns}
        FROM event
        WHERE {condition.format(subject=an_id, gateway="?", device="?")}
          AND event.{moment} >= ? AND event.{moment} < ? AND (event.{moment}, event.id) > (?, {an_id})
        ORDER BY event.{moment}, event.id LIMIT ?
    """  # noqa: S608 (names of our own columns)
    after_us = mark.after_us if mark.after_us is not None else _FIRST
    since_us = max(mark.since_us if mark.since_us is not None else _FIRST, after_us)
    until_us = mark.until_us if mark.until_us is not None else _LAST
    locked = " FOR UPDATE OF event" if lock and dialect == "postgresql" else ""
    return _sql(query + locked, dialect), (*wanted, since_us, until_us, after_us, mark.after_id or _NO_ID, limit)


def _sql(statement: str, dialect: DialectName) -> str:
    """The statement with this driver's placeholders."""
    return statement.replace("?", "%s") if dialect == "postgresql" else statement
