"""What residents have beside a home: leases, contacts, vehicles, guests. Names and numbers are sealed."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, select

from cloud.database.tables import Base, Contact, Guest, Lease, PersonHold, RegisterHistory, Vehicle
from cloud.live.masking import masked_name
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.intervals import Span, SpansOverlap, drawn
from cloud.register.sealed import (
    CONTACT_NAME,
    CONTACT_PHONE,
    GUEST_NAME,
    GUEST_PHONE,
    PHONE,
    PLATE,
    phone_digits,
    phone_indexes,
    plate_indexes,
)
from cloud.register.writer import RegisterWriter
from cloud.vault import Vault
from protocols.plates import BadPlate, normal_plate

_MOST_DIGITS = 20
_RELATION_CHARACTERS, _DESCRIPTION_CHARACTERS, _LEASE_CHARACTERS = 40, 80, 64


@dataclass(frozen=True)
class LeaseEntry:
    """The contract of a residency."""

    number: str
    since: datetime
    until: datetime | None = None

    def checked(self) -> "LeaseEntry":
        """Refuse one that ends before it begins, or whose number is too long.

        Raises:
            RegisterError: if so.
        """
        _check_period(self.since, self.until, "lease_until")
        _check_length(self.number, "lease", _LEASE_CHARACTERS)
        return self


@dataclass(frozen=True)
class ContactEntry:
    """Whom to call for a person. `repr` shows no name and no number."""

    name: str = field(repr=False)
    phone: str = field(repr=False)
    relation: str = ""

    def checked(self) -> "ContactEntry":
        """Refuse what cannot be called.

        Raises:
            RegisterError: if it has too few or too many digits.
        """
        check_phone(self.phone)
        _check_length(self.relation, "relation", _RELATION_CHARACTERS)
        return self


@dataclass(frozen=True)
class VehicleEntry:
    """A person's vehicle; `plate` as `protocols.plates` spells it: 7 characters, 8 of a new-energy vehicle."""

    plate: str = field(repr=False)
    since: datetime
    until: datetime | None = None
    description: str = ""

    def checked(self) -> "VehicleEntry":
        """The same with the plate spelled as it is stored.

        Raises:
            RegisterError: if it is none, or it ends before it begins.
        """
        try:
            plate = normal_plate(self.plate)
        except BadPlate as error:
            raise RegisterError("plate", "this is no plate", "write it as 贵G12345, or 贵GD12345") from error
        _check_period(self.since, self.until, "until")
        _check_length(self.description, "description", _DESCRIPTION_CHARACTERS)
        return VehicleEntry(plate, self.since, self.until, self.description)


@dataclass(frozen=True)
class GuestEntry:
    """A visitor of a dwelling, from `since` until `until`."""

    name: str = field(repr=False)
    since: datetime
    until: datetime
    phone: str | None = field(default=None, repr=False)

    def checked(self) -> "GuestEntry":
        """Refuse one who leaves before he comes, or cannot be called.

        Raises:
            RegisterError: if so.
        """
        _check_period(self.since, self.until, "until")
        if self.phone is not None:
            check_phone(self.phone)
        return self


class LeaseBatch:
    """Puts leases of residencies: `load` the dwellings whose residencies have them, `put` each, `flush` the writer."""

    def __init__(self, writer: RegisterWriter) -> None:
        self._writer = writer
        self._known: dict[tuple[UUID, str], dict[str, Any]] = {}

    def load(self, residencies: Collection[UUID]) -> None:
        """Ask for the leases of these residencies, and forget those asked for before."""
        self._known.clear()
        query = select(Lease.__table__).where(Lease.residency_id.in_(residencies))
        for row in self._writer.connection.execute(query):
            self._known[row.residency_id, row.number] = dict(row._mapping)

    def put(self, residency: UUID, entry: LeaseEntry) -> Change:
        """Add a checked lease, or change the one of this number."""
        values = {"since": entry.since, "until": entry.until}
        key = (residency, entry.number)
        own = {"residency_id": residency, "number": entry.number}
        row, change = _put(self._writer, Lease, self._known.get(key), own, values)
        self._known[key] = row
        return change


class ContactBatch:
    """Puts contacts of persons; one is known by its number."""

    def __init__(self, writer: RegisterWriter, vault: Vault) -> None:
        self._writer = writer
        self._vault = vault
        self._known: dict[tuple[UUID, str], dict[str, Any]] = {}

    def load(self, persons: Collection[UUID]) -> None:
        """Ask for the contacts of these persons, and forget those asked for before."""
        self._known.clear()
        query = select(Contact.__table__).where(Contact.person_id.in_(persons))
        for row in self._writer.connection.execute(query):
            self._known[row.person_id, row.phone_index] = dict(row._mapping)

    def put(self, person: UUID, entry: ContactEntry) -> Change:
        """Add a checked contact, or change the person's one with this number."""
        indexes = phone_indexes(self._vault, entry.phone)
        key = (person, str(indexes["phone_index"]))
        known = self._known.get(key)
        values: dict[str, Any] = {"relation": entry.relation}
        if known is None or self._vault.open(known["name_sealed"], CONTACT_NAME).decode() != entry.name:
            values["name_sealed"] = self._vault.seal(entry.name.encode(), CONTACT_NAME)
        own: dict[str, Any] = {"person_id": person, **indexes}
        if known is None:
            own["phone_sealed"] = self._vault.seal(entry.phone.encode(), CONTACT_PHONE)
        row, change = _put(self._writer, Contact, known, own, values)
        self._known[key] = row
        return change


class VehicleBatch:
    """Puts vehicles: a plate is one person's at a time; with another person's row it goes to that one."""

    def __init__(self, writer: RegisterWriter, vault: Vault) -> None:
        self._writer = writer
        self._vault = vault
        self._known: defaultdict[str, dict[datetime, dict[str, Any]]] = defaultdict(dict)

    def load(self, plates: Iterable[str]) -> None:
        """Ask for the vehicles of these plates, and forget those asked for before."""
        self._known.clear()
        indexes = {self._vault.index(plate, PLATE) for plate in plates}
        for row in self._writer.connection.execute(select(Vehicle.__table__).where(Vehicle.plate_index.in_(indexes))):
            self._known[row.plate_index][row.since] = dict(row._mapping)

    def put(self, person: UUID, entry: VehicleEntry) -> Change:
        """Let a person have a vehicle from `since` on; whoever had the plate until then has it no more.

        Raises:
            RegisterError: if that would cut another one's time in two, or reach into a later one's.
        """
        indexes = plate_indexes(self._vault, entry.plate)
        rows = self._known[indexes["plate_index"]]
        known = [Span(since, row["until"], row["person_id"]) for since, row in sorted(rows.items())]
        spans = draw(known, Span(entry.since, entry.until, person))
        changes = []
        for span in spans:
            values: dict[str, Any] = {"until": span.until, "person_id": span.value}
            if span.since == entry.since:
                values["description"] = entry.description
            own: dict[str, Any] = {"since": span.since, **indexes}
            if span.since not in rows:
                own["plate_sealed"] = self._vault.seal(entry.plate.encode(), PLATE)
            rows[span.since], change = _put(self._writer, Vehicle, rows.get(span.since), own, values)
            changes.append(change)
        return next((each for each in (Change.ADDED, Change.UPDATED) if each in changes), Change.UNCHANGED)


class GuestBatch:
    """Puts guests; one is known by the dwelling, the name and the first moment."""

    def __init__(self, writer: RegisterWriter, vault: Vault) -> None:
        self._writer = writer
        self._vault = vault
        self._known: dict[tuple[UUID, str, datetime], dict[str, Any]] = {}

    def load(self, dwellings: Collection[UUID]) -> None:
        """Ask for the guests of these dwellings, and forget those asked for before."""
        self._known.clear()
        query = select(Guest.__table__).where(Guest.dwelling_id.in_(dwellings))
        for row in self._writer.connection.execute(query):
            self._known[_guest_key(row)] = dict(row._mapping)

    def put(self, dwelling: UUID, entry: GuestEntry) -> Change:
        """Add a checked guest, or change the one who came then; a phone that is left out stays as it was."""
        name = self._vault.index(entry.name, GUEST_NAME)
        key = (dwelling, name, entry.since)
        known = self._known.get(key)
        values: dict[str, Any] = {"until": entry.until}
        if entry.phone is not None and (known is None or not self._is_phone(known, entry.phone)):
            values |= phone_indexes(self._vault, entry.phone)
            values["phone_sealed"] = self._vault.seal(entry.phone.encode(), GUEST_PHONE)
        own: dict[str, Any] = {"dwelling_id": dwelling, "name_index": name, "since": entry.since}
        if known is None:
            own["name_sealed"] = self._vault.seal(entry.name.encode(), GUEST_NAME)
            values = {"phone_sealed": None, "phone_index": None, "phone_tail_index": None, **values}
        row, change = _put(self._writer, Guest, known, own, values)
        self._known[key] = row
        return change

    def _is_phone(self, known: dict[str, Any], phone: str) -> bool:
        return bool(known["phone_index"] == self._vault.index(phone_digits(phone), PHONE))


@dataclass(frozen=True)
class ContactShown:
    """A contact, masked: enough to tell one from another."""

    id: UUID
    name: str
    relation: str
    phone_ends: str


def contacts_of(connection: Connection, vault: Vault, person: UUID) -> list[ContactShown]:
    """The contacts of a person, by their ids."""
    query = select(Contact.__table__).where(Contact.person_id == person).order_by(Contact.id)
    return [
        ContactShown(
            row.id,
            masked_name(vault.open(row.name_sealed, CONTACT_NAME).decode()),
            row.relation,
            phone_digits(vault.open(row.phone_sealed, CONTACT_PHONE).decode())[-2:],
        )
        for row in connection.execute(query)
    ]


def remove_contact(connection: Connection, identifier: UUID) -> UUID:
    """Take a contact out, with what was kept of its changes; the id of the person whose it was.

    Raises:
        RegisterError: if there is none, or a case holds the person's data.
    """
    held = select(PersonHold.person_id).where(PersonHold.ended_at.is_(None))
    query = select(Contact.person_id, Contact.person_id.in_(held).label("held")).where(Contact.id == identifier)
    found = connection.execute(query.with_for_update()).first()
    if found is None:
        raise RegisterError("contact", "there is no such contact", "'person contacts' lists a person's")
    if found.held:
        raise RegisterError("contact", "a case holds this person's data", "wait until it is over")
    connection.execute(delete(RegisterHistory).where(RegisterHistory.entry_id == identifier))
    connection.execute(delete(Contact).where(Contact.id == identifier))
    person: UUID = found.person_id
    return person


def draw(known: list[Span[UUID]], new: Span[UUID]) -> list[Span[UUID]]:
    """As `intervals.drawn`, with faults told of the row's dates.

    Raises:
        RegisterError: if the spans would overlap.
    """
    try:
        return drawn(known, new)
    except SpansOverlap as error:
        raise RegisterError("since", str(error), "correct the dates, or end the other one first") from error
    except ValueError as error:
        raise RegisterError("until", str(error), "correct one of the dates") from error


def check_phone(phone: str) -> None:
    """Refuse what has no digits to call.

    Raises:
        RegisterError: if so.
    """
    if not 4 <= len(phone_digits(phone)) <= _MOST_DIGITS or len(phone) > 2 * _MOST_DIGITS:
        raise RegisterError("phone", "this is no phone number", "write its digits, such as 13800000000")


def _put(
    writer: RegisterWriter, table: type[Base], known: dict[str, Any] | None, own: dict[str, Any], values: dict[str, Any]
) -> tuple[dict[str, Any], Change]:
    """Add a row of `own` and `values`, or change those `values` of the known one that differ."""
    if known is None:
        row = {"id": writer.new_id(), **own, **values}
        writer.insert(table, row)
        return row, Change.ADDED
    after = {name: value for name, value in values.items() if known[name] != value}
    if not after:
        return known, Change.UNCHANGED
    writer.update(table, {"id": known["id"]}, {name: known[name] for name in after}, after)
    return known | after, Change.UPDATED


def _guest_key(row: Row[*tuple[Any, ...]]) -> tuple[UUID, str, datetime]:
    return row.dwelling_id, row.name_index, row.since


def _check_period(since: datetime, until: datetime | None, column: str) -> None:
    if until is not None and until <= since:
        raise RegisterError(column, "it ends before it begins", "correct one of the dates")


def _check_length(text: str, column: str, most: int) -> None:
    if len(text) > most:
        raise RegisterError(column, f"it is longer than {most} characters", "shorten it")
