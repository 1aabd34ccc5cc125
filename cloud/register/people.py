"""Persons and where they live. ID numbers and phone numbers are sealed before they come near the database."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, insert, or_, select, update

from cloud.database.tables import Person, Residency, ResidencyRole
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.vault import Vault
from protocols.resident_id import BadResidentId, parse

ID_NUMBER = "person.id_number"
PHONE = "person.phone"
"""What the vault seals these fields for."""


@dataclass(frozen=True)
class PersonEntry:
    """A person as a register names one. `repr` shows no number."""

    name: str
    id_number: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ResidencyEntry:
    """Who lives where: from `since` (inclusive) until `until` (exclusive). `dwelling` is the place's id."""

    dwelling: UUID
    role: ResidencyRole
    since: datetime
    until: datetime | None = None


def put_person(
    connection: Connection, vault: Vault, new_id: IdMaker, entry: PersonEntry, dwelling: UUID
) -> tuple[UUID, Change]:
    """Add a person, or change the one that this entry means.

    The same person is whoever has the ID number; without one, whoever of that name lives or lived in that dwelling.

    Raises:
        RegisterError: for a bad ID number, or if two persons of that name live there.
    """
    index = _id_number_index(vault, entry.id_number)
    known = _find(connection, entry, index, dwelling)
    if known is None:
        person = new_id()
        connection.execute(
            insert(Person).values(id=person, name=entry.name, id_number_index=index, **_sealed(vault, entry))
        )
        return person, Change.ADDED
    return known.id, _update(connection, vault, known, entry, index)


def put_residency(connection: Connection, new_id: IdMaker, person: UUID, entry: ResidencyEntry) -> Change:
    """Add a residency, or change role and end of the one that began at the same time.

    Raises:
        RegisterError: if it ends before it begins, or another one there overlaps it.
    """
    if entry.until is not None and entry.until <= entry.since:
        raise RegisterError("until", "the residency ends before it begins", "correct one of the dates")
    there = connection.execute(
        select(Residency.id, Residency.since, Residency.until, Residency.role).where(
            Residency.person_id == person, Residency.dwelling_id == entry.dwelling
        )
    ).all()
    same = next((row for row in there if row.since == entry.since), None)
    for row in there:
        if row is not same and _overlap(row.since, row.until, entry.since, entry.until):
            raise RegisterError(
                "since",
                f"the person lives in this dwelling already, since {row.since.date()}",
                "give that residency an end, or correct the date",
            )
    if same is None:
        connection.execute(
            insert(Residency).values(
                id=new_id(),
                person_id=person,
                dwelling_id=entry.dwelling,
                role=entry.role,
                since=entry.since,
                until=entry.until,
            )
        )
        return Change.ADDED
    if (same.role, same.until) == (entry.role, entry.until):
        return Change.UNCHANGED
    connection.execute(update(Residency).where(Residency.id == same.id).values(role=entry.role, until=entry.until))
    return Change.UPDATED


@dataclass(frozen=True)
class _Known:
    id: UUID
    name: str
    id_number_index: str | None
    phone_sealed: bytes | None


def _find(connection: Connection, entry: PersonEntry, index: str | None, dwelling: UUID) -> _Known | None:
    columns = (Person.id, Person.name, Person.id_number_index, Person.phone_sealed)
    if index is not None:
        found = connection.execute(select(*columns).where(Person.id_number_index == index)).first()
        if found is not None:
            return _Known(*found)
    namesakes = (
        select(*columns)
        .distinct()
        .join(Residency, Residency.person_id == Person.id)
        .where(Residency.dwelling_id == dwelling, Person.name == entry.name)
    )
    if index is not None:  # one with another ID number is another person
        namesakes = namesakes.where(or_(Person.id_number_index.is_(None), Person.id_number_index == index))
    rows = connection.execute(namesakes).all()
    if len(rows) > 1:
        raise RegisterError("name", "several persons of this name live in this dwelling", "write the ID number of each")
    return _Known(*rows[0]) if rows else None


def _update(connection: Connection, vault: Vault, known: _Known, entry: PersonEntry, index: str | None) -> Change:
    """Change what the entry says; a number that it leaves out stays as it was."""
    sealed_phone = known.phone_sealed
    phone = vault.open(sealed_phone, PHONE).decode() if sealed_phone is not None else None
    values: dict[str, object] = {}
    if known.name != entry.name:
        values["name"] = entry.name
    if index is not None and known.id_number_index != index:
        values |= {"id_number_index": index, "id_number_sealed": _sealed(vault, entry)["id_number_sealed"]}
    if entry.phone is not None and entry.phone != phone:
        values["phone_sealed"] = vault.seal(entry.phone.encode(), PHONE)
    if not values:
        return Change.UNCHANGED
    connection.execute(update(Person).where(Person.id == known.id).values(values))
    return Change.UPDATED


def _id_number_index(vault: Vault, id_number: str | None) -> str | None:
    if id_number is None:
        return None
    try:
        return vault.index(parse(id_number).text, ID_NUMBER)
    except BadResidentId as error:
        raise RegisterError("id_number", str(error), "compare it with the identity card") from error


def _sealed(vault: Vault, entry: PersonEntry) -> dict[str, bytes | None]:
    number = None if entry.id_number is None else parse(entry.id_number).text
    return {
        "id_number_sealed": None if number is None else vault.seal(number.encode(), ID_NUMBER),
        "phone_sealed": None if entry.phone is None else vault.seal(entry.phone.encode(), PHONE),
    }


def _overlap(since: datetime, until: datetime | None, other_since: datetime, other_until: datetime | None) -> bool:
    return (until is None or other_since < until) and (other_until is None or since < other_until)
