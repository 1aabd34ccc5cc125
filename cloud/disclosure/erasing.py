"""Erases what the hub holds of a person, in one transaction; before that it tells what would go, what stays, and why.

What goes: the person, residencies and leases, credentials and passes (each gateway takes them out at once, by the usual
distribution), contacts, vehicles, posts, the tie to an account, agreements, categories, and what is kept of changes of
all these. Events stay as what happened at a door, and lose who it was: the links, and the credential in their text, so
that nobody can tell which of them were the same person's. Corrections of their links go.

What stays: everything, while a case holds the person's data. Events that a hold of evidence or an open alarm needs keep
their links, and with them stay the name, the residencies and those credentials (revoked), until that is over. A pass
whose QR codes may still be shown stays revoked, of nobody, so that doors go on refusing it. The audit and the requests
for histories stay: they have the person's id, and show who looked.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, not_, or_, select, text, update
from sqlalchemy.orm import InstrumentedAttribute

from cloud.access.errors import NotThere
from cloud.database.tables import (
    AccessPass,
    AccessPassDoor,
    AccountPerson,
    AuditSubject,
    CareAgreement,
    CategoryWarning,
    Contact,
    Credential,
    CredentialGroup,
    EventMark,
    EventRecord,
    HistoryLook,
    Lease,
    LeaseWarning,
    LinkCorrection,
    Person,
    PersonHold,
    Post,
    RegisterHistory,
    Residency,
    ServiceCategory,
    SubjectRequest,
    Vehicle,
)
from cloud.database.types import to_us
from cloud.linking.links import LINK_FIELDS, link_key_of, resolve
from cloud.linking.relinking import INGEST_LOCK
from cloud.retention.holds import active_holds, free_events
from protocols.credentials import CredentialKind

NOBODY = UUID(int=0)
"""Whose credential an event names that was a person's who is erased."""
ERASED = UUID(int=1)
"""The person who has the passes of erased hosts until their codes have run out; nobody."""

DECIDED = {
    "person": "goes",
    "residency": "goes",
    "credential": "goes",
    "contact": "goes",
    "vehicle": "goes",
    "post": "goes",
    "account_person": "goes",
    "care_agreement": "goes",
    "service_category": "goes",
    "event": "loses the link",
    "person_hold": "stays: a record of a case",
    "history_look": "stays: a record of who asked",
    "subject_request": "stays: the record of this request",
    "audit_subject": "stays: the index of the audit",
}
"""What becomes of each table that names a person. A test holds it against the tables: a new one has to be decided."""

_BATCH = 500
_OF_A_PERSON: tuple[type[Any], ...] = (ServiceCategory, CareAgreement, Contact, Vehicle, Post, AccountPerson)


@dataclass(frozen=True)
class Line:
    """How much of something goes and how much stays; `why` it stays, or what else is to be known of it."""

    what: str
    goes: int
    stays: int = 0
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """What an erasure does, or did."""

    person: UUID
    lines: tuple[Line, ...]
    held_by: str | None
    """The case that holds the person's data, so that nothing goes."""
    is_whole: bool
    """Whether nothing is left that a later erasure would take."""
    digest: str = ""
    """SHA-256 of `table id`, a line for each row that went, in the order of deletion; of what was done alone."""


@dataclass
class _Found:
    """What there is of a person, by its ids."""

    person: UUID
    held_by: str | None
    residencies: list[UUID]
    leases: list[UUID]
    passes: list[UUID]
    alive: list[UUID]
    """Passes whose QR codes may still be shown."""
    credentials: list[UUID]
    kept_credentials: set[UUID]
    """Those that held events name."""
    entries: dict[type[Any], list[UUID]]
    events: int
    held_events: int
    free: ColumnElement[bool]
    gone: list[str] = field(default_factory=list)

    @property
    def of_person(self) -> ColumnElement[bool]:
        """The condition on `EventRecord`: the person's own, and those of passes that he gave."""
        return or_(EventRecord.person_id == self.person, EventRecord.credential_id.in_(self.credentials))


def plan(connection: Connection, person: UUID) -> Plan:
    """What an erasure would do now.

    Raises:
        NotThere: if there is no such person.
    """
    found = _find(connection, person)
    return _plan(connection, found)


def erase(connection: Connection, person: UUID, now: datetime) -> Plan:
    """Erase what may go, within the caller's transaction, and tell what was done. Done again it goes on.

    Raises:
        NotThere: if there is no such person.
    """
    if connection.dialect.name == "postgresql":  # what ingest links meanwhile waits, and then finds nobody
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": INGEST_LOCK})
    connection.execute(select(Person.id).where(Person.id == person).with_for_update())
    found = _find(connection, person)
    done = _plan(connection, found)
    if found.held_by is not None:
        return done
    _unlink_events(connection, found)
    _forget_changes(connection, found)
    for table, ids in found.entries.items():
        if table is ServiceCategory:
            _delete(connection, found, CategoryWarning.entry_id, ids)
        _delete(connection, found, table.id, ids)
    _end_credentials(connection, found, now)
    _delete(connection, found, Lease.id, found.leases)
    if found.held_events:
        _keep_name_alone(connection, found)
    else:
        _delete(connection, found, LeaseWarning.residency_id, found.residencies)
        _delete(connection, found, Residency.id, found.residencies)
        _delete(connection, found, Person.id, [person])
    return Plan(person, done.lines, None, done.is_whole, hashlib.sha256("".join(found.gone).encode()).hexdigest())


def proof(done: Plan) -> dict[str, str | int]:
    """What the audit keeps of an erasure: whose, how much went, and the digest of its ids."""
    counts = {f"gone: {line.what}": line.goes for line in done.lines if line.goes}
    held = {} if done.held_by is None else {"held_by": done.held_by}
    return {"person": str(done.person), **counts, **held, "sha256": done.digest, "whole": str(done.is_whole)}


def forget_passes_of_erased(connection: Connection) -> int:
    """Delete the passes of erased hosts whose codes have run out; how many."""
    over = select(AccessPass.id).join(Credential, Credential.id == AccessPass.id)
    over = over.where(Credential.person_id == ERASED, AccessPass.dropped)
    ids = list(connection.execute(over.limit(_BATCH)).scalars())
    for column in (AccessPassDoor.pass_id, CredentialGroup.credential_id, AccessPass.id, Credential.id):
        connection.execute(delete(column.class_).where(column.in_(ids)))
    return len(ids)


def _find(connection: Connection, person: UUID) -> _Found:
    if connection.execute(select(Person.id).where(Person.id == person)).first() is None or person == ERASED:
        raise NotThere("person", "there is no such person", "look up the residents of the dwelling")
    case = select(PersonHold.case_number).where(PersonHold.person_id == person, PersonHold.ended_at.is_(None))
    residencies = _ids(connection, Residency.id, Residency.person_id == person)
    held = (
        select(Credential.id, Credential.kind, AccessPass.id.label("pass_id"), AccessPass.dropped)
        .add_columns(AccessPass.tokens_until)
        .outerjoin(AccessPass, AccessPass.id == Credential.id)
        .where(Credential.person_id == person)
    )
    rows = connection.execute(held).all()
    found = _Found(
        person=person,
        held_by=connection.execute(case.limit(1)).scalar(),
        residencies=residencies,
        leases=_ids(connection, Lease.id, Lease.residency_id.in_(residencies)),
        passes=[row.id for row in rows if row.pass_id is not None],
        alive=[row.id for row in rows if row.kind == CredentialKind.PASS and row.tokens_until and not row.dropped],
        credentials=[row.id for row in rows],
        kept_credentials=set(),
        entries={table: _ids(connection, table.id, table.person_id == person) for table in _OF_A_PERSON},
        events=0,
        held_events=0,
        free=free_events(active_holds(connection)),
    )
    count = select(func.count()).select_from(EventRecord).where(found.of_person)
    found.events = connection.execute(count).scalar_one()
    found.held_events = connection.execute(count.where(not_(found.free))).scalar_one()
    named = select(EventRecord.credential_id).where(found.of_person, not_(found.free)).distinct()
    found.kept_credentials = {each for each in connection.execute(named).scalars() if each is not None}
    return found


def _ids(connection: Connection, column: InstrumentedAttribute[UUID], condition: ColumnElement[bool]) -> list[UUID]:
    return list(connection.execute(select(column).where(condition).order_by(column)).scalars())


def _plan(connection: Connection, found: _Found) -> Plan:
    case = f"case {found.held_by} holds this person's data" if found.held_by is not None else ""
    partly = "a hold of evidence or an open alarm needs events of this person"
    is_kept = bool(found.held_events)
    staying = len(found.residencies) if is_kept else 0
    lines = [
        Line("person", 1, 0, f"the name stays: {partly}" if is_kept else ""),
        Line("residencies", len(found.residencies) - staying, staying, partly if is_kept else ""),
        Line("leases", len(found.leases)),
        Line(
            "credentials and passes",
            len(found.credentials) - len(found.kept_credentials | set(found.alive)),
            len(found.kept_credentials | set(found.alive)),
            "revoked; held events name them, or QR codes of guests have not run out"
            if found.kept_credentials or found.alive
            else "",
        ),
        Line(
            "contacts, vehicles, posts, the tie to an account, agreements, categories",
            sum(map(len, found.entries.values())),
        ),
        Line("changes kept of all these", _count(connection, RegisterHistory.entry_id, _entries(found))),
        Line(
            "events that lose who it was",
            found.events - found.held_events,
            found.held_events,
            partly if is_kept else "the events stay as what happened at a door, until their days are over",
        ),
    ]
    if found.held_by is not None:
        lines = [Line(each.what, 0, each.goes + each.stays, case) for each in lines]
    lines += [
        Line("audit entries", 0, _count(connection, AuditSubject.person_id, [found.person]), _AUDIT),
        Line("requests for histories", 0, _count(connection, HistoryLook.person_id, [found.person]), _RECORD),
        Line("requests like this one", 0, _count(connection, SubjectRequest.person_id, [found.person]), _RECORD),
    ]
    return Plan(found.person, tuple(lines), found.held_by, found.held_by is None and not is_kept)


_AUDIT = "a chain that cannot be shortened; it has the id and no name, and shows who looked"
_RECORD = "the record of who asked, and what for"


def _entries(found: _Found) -> list[UUID]:
    """Whatever of a person has changes kept."""
    own = (id_ for ids in found.entries.values() for id_ in ids)
    return [found.person, *found.residencies, *found.leases, *found.credentials, *own]


def _count(connection: Connection, column: InstrumentedAttribute[UUID], ids: Sequence[UUID]) -> int:
    query = select(func.count()).select_from(column.class_)
    return sum(connection.execute(query.where(column.in_(some))).scalar_one() for some in _batches(ids))


def _delete(
    connection: Connection, found: _Found, column: InstrumentedAttribute[UUID], ids: Iterable[UUID], told: bool = True
) -> None:
    table: Any = column.class_
    for some in _batches(list(ids)):
        connection.execute(delete(table).where(column.in_(some)))
        if told:
            found.gone += [f"{table.__tablename__} {each}\n" for each in some]


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for first in range(0, len(ids), _BATCH):
        yield ids[first : first + _BATCH]


def _forget_changes(connection: Connection, found: _Found) -> None:
    for some in _batches(_entries(found)):
        changes = _ids(connection, RegisterHistory.id, RegisterHistory.entry_id.in_(some))
        _delete(connection, found, RegisterHistory.id, changes)


def _end_credentials(connection: Connection, found: _Found, now: datetime) -> None:
    """Delete credentials, which takes them out of every gateway; those that stay are revoked, and nobody's pass."""
    connection.execute(
        update(Credential)
        .where(Credential.person_id == found.person, Credential.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    connection.execute(update(AccessPass).where(AccessPass.id.in_(found.passes)).values(label=""))
    blank = {"pin_sealed": None, "duress_pin_sealed": None}
    connection.execute(update(Credential).where(Credential.person_id == found.person).values(**blank))
    orphans = [each for each in found.alive if each not in found.kept_credentials]
    if orphans:
        if connection.execute(select(Person.id).where(Person.id == ERASED)).first() is None:
            connection.execute(insert(Person).values(id=ERASED, name="-"))
        connection.execute(update(Credential).where(Credential.id.in_(orphans)).values(person_id=ERASED))
    stay = found.kept_credentials.union(orphans)
    going = [each for each in found.credentials if each not in stay]
    for column in (AccessPassDoor.pass_id, CredentialGroup.credential_id, AccessPass.id):
        _delete(connection, found, column, going, told=False)
    _delete(connection, found, Credential.id, going)


def _keep_name_alone(connection: Connection, found: _Found) -> None:
    numbers = ("id_number_sealed", "id_number_index", "id_tail_index", "phone_sealed", "phone_index")
    blank: dict[str, None] = dict.fromkeys((*numbers, "phone_tail_index"))
    connection.execute(update(Person).where(Person.id == found.person).values(**blank))


# --- Events


def _unlink_events(connection: Connection, found: _Found) -> None:
    """Take from each event who it was; the links that are left are those that linking it anew would find."""
    mine = select(EventRecord.id).where(found.of_person, found.free).order_by(EventRecord.id)
    ids = list(connection.execute(mine).scalars())
    for some in _batches(ids):
        rows = connection.execute(select(EventRecord.__table__).where(EventRecord.id.in_(some))).mappings().all()
        _rewrite(connection, [dict(row) for row in rows])
    found.gone += [f"event {each}\n" for each in ids]


def _rewrite(connection: Connection, rows: list[dict[str, Any]]) -> None:
    keys = []
    for row in rows:
        event = from_json(row["body"])
        event["data"]["credential"] = str(NOBODY)
        row["body"] = to_json(event).decode()
        where = (event["place"], row["gateway_id"], row["subject"])
        keys.append(link_key_of(where, row["type"], {}, to_us(row["time"])))
    dialect = "postgresql" if connection.dialect.name == "postgresql" else "sqlite"
    with closing(connection.connection.cursor()) as cursor:
        links = resolve(cursor, dialect, keys)  # type: ignore[arg-type]
    for row, linked in zip(rows, links, strict=True):
        row |= {name: UUID(each) if each else None for name, each in zip(LINK_FIELDS, linked, strict=True)}
    ids = [row["id"] for row in rows]
    corrected = select(LinkCorrection.event_id).where(LinkCorrection.event_id.in_(ids))
    anew = set(connection.execute(corrected).scalars())
    _write_anew(connection, [row for row in rows if row["id"] in anew])
    if kept := [row for row in rows if row["id"] not in anew]:
        names = ("body", *LINK_FIELDS)
        statement = update(EventRecord.__table__)  # type: ignore[arg-type]
        statement = statement.where(EventRecord.id == bindparam("of_id"))
        connection.execute(
            statement.values({name: bindparam(f"new_{name}") for name in names}),
            [{"of_id": row["id"], **{f"new_{name}": row[name] for name in names}} for row in kept],
        )


def _write_anew(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Corrections of links go with their event alone, so it is taken away and put back; the rules have seen it."""
    if not rows:
        return
    ids = [row["id"] for row in rows]
    marked = list(connection.execute(select(EventMark.event_id).where(EventMark.event_id.in_(ids))).scalars())
    forget_marks = delete(EventMark).where(EventMark.event_id.in_(ids))
    connection.execute(forget_marks)
    connection.execute(delete(EventRecord).where(EventRecord.id.in_(ids)))
    connection.execute(insert(EventRecord), rows)
    connection.execute(forget_marks)
    if marked:
        connection.execute(insert(EventMark), [{"event_id": each} for each in marked])
