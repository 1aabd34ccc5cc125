"""Collects all that the hub holds of a person, to be handed to that person: sealed fields are opened.

Not in it are the values of PINs, which only he should know, pictures and clips, which show places and are not tied to
persons, and what gateways hold: keyed hashes of his credentials.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, select

from cloud.access.errors import NotThere
from cloud.accounts.scope import WHOLE, Scope
from cloud.audit.log import look_query
from cloud.database.tables import (
    AccessPass,
    Account,
    AccountPerson,
    Alarm,
    CareAgreement,
    Contact,
    Credential,
    CredentialGroup,
    EventRecord,
    Grid,
    HistoryLook,
    Household,
    JointUnit,
    Lease,
    Person,
    PersonHold,
    Place,
    Post,
    Residency,
    ServiceCategory,
    SubjectRequest,
    Vehicle,
)
from cloud.disclosure.values import PersonExport
from cloud.register.history import history_of
from cloud.register.sealed import (
    CATEGORY,
    CATEGORY_BASIS,
    CONTACT_NAME,
    CONTACT_PHONE,
    ID_NUMBER,
    NUMBER,
    PHONE,
    PLATE,
)
from cloud.vault import Vault
from protocols.credentials import CredentialKind

CATEGORIES = "categories"
COLLECTED = {
    "residency": "residencies",
    "credential": "credentials",
    "contact": "contacts",
    "vehicle": "vehicles",
    "post": "posts",
    "account_person": "accounts",
    "care_agreement": "agreements",
    "service_category": CATEGORIES,
    "event": "events",
    "person_hold": "holds",
    "history_look": "histories",
    "subject_request": "requests",
    "audit_subject": "looks",
}
"""The section of each table that names a person. A test holds it against the tables."""

_PURPOSES = {
    "number_sealed": NUMBER,
    "category_sealed": CATEGORY,
    "basis_sealed": CATEGORY_BASIS,
    "name_sealed": CONTACT_NAME,
    "phone_sealed": CONTACT_PHONE,
    "plate_sealed": PLATE,
}
_Section = list[dict[str, Any]]


@dataclass(frozen=True)
class Breadth:
    """How much of it the asker may have: events at places within `scope`; categories or not."""

    scope: Scope = WHOLE
    with_categories: bool = True


EVERYTHING = Breadth()


def collect(connection: Connection, vault: Vault, person: UUID, breadth: Breadth = EVERYTHING) -> PersonExport:
    """Everything, by sections.

    Raises:
        NotThere: if there is no such person.
        VaultError: if a sealed value cannot be opened.
    """
    row = connection.execute(select(Person.__table__).where(Person.id == person)).first()
    if row is None:
        raise NotThere("person", "there is no such person", "look up the residents of the dwelling")
    queries = _queries(person, breadth)
    left_out = []
    if not breadth.with_categories:
        del queries[CATEGORIES]
        left_out.append("service categories: an officer for categories tells them")
    if not breadth.scope.is_whole:
        left_out.append("events outside of this account's part of the hub, and alarms that they raised")
    sections = {name: _read(connection, vault, query) for name, query in queries.items()}
    sections["changes"] = _changes(connection, vault, person, breadth)
    return PersonExport(
        person={
            "id": str(person),
            "name": row.name,
            "id_number": _opened(vault, row.id_number_sealed, ID_NUMBER),
            "phone": _opened(vault, row.phone_sealed, PHONE),
        },
        sections=sections,
        left_out=tuple(left_out),
    )


def _queries(person: UUID, breadth: Breadth) -> dict[str, Select[*tuple[Any, ...]]]:
    seen = breadth.scope.with_purpose().covers_event()
    stays = select(Residency.id).where(Residency.person_id == person)
    passes = AccessPass.id == Credential.id
    dwelling, account = Place.code.label("dwelling"), Account.username.label("account")
    by_name: Callable[[Any], ColumnElement[bool]] = lambda column: Account.id == column  # noqa: E731
    return {
        "residencies": select(
            Residency.id, dwelling, Residency.role, Residency.since, Residency.until, Household.code.label("household")
        )
        .join(Place, Place.id == Residency.dwelling_id)
        .outerjoin(Household, Household.id == Residency.household_id)
        .where(Residency.person_id == person)
        .order_by(Residency.since),
        "leases": select(Lease.id, Lease.residency_id, Lease.number, Lease.since, Lease.until)
        .where(Lease.residency_id.in_(stays))
        .order_by(Lease.since),
        "credentials": select(
            *(Credential.id, Credential.kind, Credential.number_sealed, Credential.since, Credential.until),
            *(Credential.revoked_at, Credential.uses, Credential.first, Credential.duress),
            Credential.pin_sealed.is_not(None).label("has_pin"),
        )
        .where(Credential.person_id == person, Credential.kind != CredentialKind.PASS)
        .order_by(Credential.id),
        "groups": select(CredentialGroup.credential_id, CredentialGroup.group_code)
        .join(Credential, Credential.id == CredentialGroup.credential_id)
        .where(Credential.person_id == person)
        .order_by(CredentialGroup.credential_id, CredentialGroup.group_code),
        "passes_given": select(
            AccessPass.id, AccessPass.kind, AccessPass.label, Credential.since, Credential.until, AccessPass.created_at
        )
        .join(Credential, passes)
        .where(Credential.person_id == person)
        .order_by(AccessPass.id),
        "contacts": select(Contact.id, Contact.name_sealed, Contact.relation, Contact.phone_sealed)
        .where(Contact.person_id == person)
        .order_by(Contact.id),
        "vehicles": select(Vehicle.id, Vehicle.plate_sealed, Vehicle.description, Vehicle.since, Vehicle.until)
        .where(Vehicle.person_id == person)
        .order_by(Vehicle.since),
        CATEGORIES: select(
            *(ServiceCategory.id, ServiceCategory.category_sealed, ServiceCategory.basis_sealed, account),
            *(ServiceCategory.since, ServiceCategory.review_at, ServiceCategory.ended_at),
        )
        .join(Account, by_name(ServiceCategory.officer_id))
        .where(ServiceCategory.person_id == person)
        .order_by(ServiceCategory.id),
        "agreements": select(
            *(CareAgreement.id, dwelling, CareAgreement.hours, CareAgreement.consent),
            *(CareAgreement.since, CareAgreement.until),
        )
        .outerjoin(Place, Place.id == CareAgreement.dwelling_id)
        .where(CareAgreement.person_id == person)
        .order_by(CareAgreement.since),
        "posts": select(
            *(Post.id, Post.kind, Grid.code.label("grid"), JointUnit.code.label("joint_unit"), Post.since, Post.until)
        )
        .outerjoin(Grid, Grid.id == Post.grid_id)
        .outerjoin(JointUnit, JointUnit.id == Post.joint_unit_id)
        .where(Post.person_id == person)
        .order_by(Post.since),
        "accounts": select(AccountPerson.id, account)
        .join(Account, by_name(AccountPerson.account_id))
        .where(AccountPerson.person_id == person),
        "events": select(
            *(EventRecord.id, EventRecord.time, EventRecord.type, EventRecord.denied_for, EventRecord.gateway_id),
            *(EventRecord.subject, Place.code.label("place"), EventRecord.credential_id),
        )
        .outerjoin(Place, Place.id == EventRecord.place_id)
        .where(EventRecord.person_id == person, seen)
        .order_by(EventRecord.time, EventRecord.id),
        "alarms": select(Alarm.id, Alarm.rule, Alarm.raised_at, Alarm.closed_at, Alarm.outcome)
        .join(EventRecord, EventRecord.id == Alarm.first_event_id)
        .where(EventRecord.person_id == person, seen)
        .order_by(Alarm.raised_at),
        "holds": select(PersonHold.id, PersonHold.case_number, PersonHold.purpose, PersonHold.held_at)
        .add_columns(PersonHold.ended_at)
        .where(PersonHold.person_id == person)
        .order_by(PersonHold.held_at),
        "histories": select(
            *(HistoryLook.asked_at, account, HistoryLook.purpose, HistoryLook.case_number),
            *(HistoryLook.since, HistoryLook.until),
        )
        .outerjoin(Account, by_name(HistoryLook.asked_by))
        .where(HistoryLook.person_id == person)
        .order_by(HistoryLook.asked_at),
        "requests": select(
            *(SubjectRequest.asked_at, SubjectRequest.kind, account, SubjectRequest.purpose),
            *(SubjectRequest.case_number, SubjectRequest.done_at),
        )
        .outerjoin(Account, by_name(SubjectRequest.asked_by))
        .where(SubjectRequest.person_id == person)
        .order_by(SubjectRequest.asked_at),
        "looks": look_query(person),
    }


def _read(connection: Connection, vault: Vault, query: Select[*tuple[Any, ...]]) -> _Section:
    found = []
    for row in connection.execute(query).mappings():
        entry: dict[str, Any] = {}
        for name, value in row.items():
            if name in _PURPOSES:
                entry[name.removesuffix("_sealed")] = _opened(vault, value, _PURPOSES[name])
            else:
                entry[name] = _plain(value)
        found.append(entry)
    return found


def _changes(connection: Connection, vault: Vault, person: UUID, breadth: Breadth) -> _Section:
    """What became of the person's entries: who changed them, when, from what to what."""
    tables: list[Any] = [Residency, Credential, Contact, Vehicle, Post]
    tables += [ServiceCategory] if breadth.with_categories else []
    ids: list[UUID] = [person]
    for table in tables:
        ids += connection.execute(select(table.id).where(table.person_id == person)).scalars()
    stays = select(Residency.id).where(Residency.person_id == person)
    ids += connection.execute(select(Lease.id).where(Lease.residency_id.in_(stays))).scalars()
    return [
        {
            "at": change.at.isoformat(),
            "account": change.account,
            "source": change.source,
            "kind": change.kind,
            "entry": str(entry),
            "act": change.act.value,
            "before": _without_pins(change.before),
            "after": _without_pins(change.after),
        }
        for entry in ids
        for change in history_of(connection, vault, entry)
    ]


def _without_pins(values: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if values is None else {name: value for name, value in values.items() if not name.endswith("pin")}


def _opened(vault: Vault, sealed: bytes | None, purpose: str) -> str | None:
    return None if sealed is None else vault.open(sealed, purpose).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
