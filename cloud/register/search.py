"""Finds persons by what is sealed, without opening it: the whole of a number, or its last four characters.

Whoever asks says as whom: persons are found who live or lived where that account may see.
"""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from cloud.accounts.scope import Scope
from cloud.database.tables import Contact, Credential, Person, Residency, Vehicle
from cloud.register.errors import RegisterError
from cloud.register.people import PersonEntry
from cloud.register.sealed import (
    ID_NUMBER,
    ID_TAIL,
    NUMBER,
    PHONE,
    PHONE_TAIL,
    PLATE,
    PLATE_TAIL,
    TAIL_LENGTH,
    phone_digits,
)
from cloud.vault import Vault
from protocols.plates import BadPlate, normal_plate

MOST_FOUND = 200
"""The last four digits of a phone are shared by one person in ten thousand."""


@dataclass(frozen=True)
class PersonQuery:
    """What is known of a person; all of it must fit. `repr` shows no number.

    Attributes:
        phone, phone_tail: the person's own, or that of a contact.
        card: as `protocols.cards` spells it, or a plate; only credentials that are not revoked.
        plate: of a vehicle, also of one that the person has no more; the whole, or the last four characters.
    """

    name: str | None = None
    id_number: str | None = field(default=None, repr=False)
    id_tail: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    phone_tail: str | None = field(default=None, repr=False)
    card: str | None = field(default=None, repr=False)
    plate: str | None = field(default=None, repr=False)


def find_persons(connection: Connection, vault: Vault, scope: Scope, query: PersonQuery) -> list[UUID]:
    """The ids of at most `MOST_FOUND` persons, by name.

    Raises:
        RegisterError: if nothing is asked for, or a number cannot be one.
    """
    conditions = _conditions(vault, query)
    if not conditions:
        raise RegisterError("name", "nothing is asked for", "say a name, a number, or its last four digits")
    if not scope.is_whole:
        conditions.append(Person.id.in_(select(Residency.person_id).where(scope.covers_place(Residency.dwelling_id))))
    found = select(Person.id).where(and_(*conditions)).order_by(Person.name, Person.id).limit(MOST_FOUND)
    return list(connection.execute(found).scalars())


def _conditions(vault: Vault, query: PersonQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.name is not None:
        conditions.append(Person.name == query.name)
    if query.id_number is not None:
        number = PersonEntry("", query.id_number).checked().id_number or ""
        conditions.append(Person.id_number_index == vault.index(number, ID_NUMBER))
    if query.id_tail is not None:
        tail = _tail(query.id_tail.upper(), "id_tail", "0123456789X")
        conditions.append(Person.id_tail_index == vault.index(tail, ID_TAIL))
    if query.phone is not None:
        index = vault.index(phone_digits(query.phone), PHONE)
        conditions.append(_reached(Person.phone_index == index, Contact.phone_index == index))
    if query.phone_tail is not None:
        index = vault.index(_tail(query.phone_tail, "phone_tail", "0123456789"), PHONE_TAIL)
        conditions.append(_reached(Person.phone_tail_index == index, Contact.phone_tail_index == index))
    if query.plate is not None:
        conditions.append(Person.id.in_(select(Vehicle.person_id).where(_has_plate(vault, query.plate))))
    if query.card is not None:
        index = vault.index(query.card, NUMBER)
        held = select(Credential.person_id).where(Credential.number_index == index, Credential.revoked_at.is_(None))
        conditions.append(Person.id.in_(held))
    return conditions


def _reached(own: ColumnElement[bool], of_contact: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a phone is the person's own or that of a contact."""
    return or_(own, Person.id.in_(select(Contact.person_id).where(of_contact)))


def _has_plate(vault: Vault, text: str) -> ColumnElement[bool]:
    if len(text.strip()) == TAIL_LENGTH:
        return Vehicle.plate_tail_index == vault.index(text.strip().upper(), PLATE_TAIL)
    try:
        return Vehicle.plate_index == vault.index(normal_plate(text), PLATE)
    except BadPlate as error:
        raise RegisterError("plate", "this is no plate", f"write all of it, or its last {TAIL_LENGTH}") from error


def _tail(text: str, field: str, characters: str) -> str:
    tail = text.strip()
    if len(tail) != TAIL_LENGTH or not set(tail) <= set(characters):
        raise RegisterError(field, f"it has not {TAIL_LENGTH} digits", f"write the last {TAIL_LENGTH}")
    return tail
