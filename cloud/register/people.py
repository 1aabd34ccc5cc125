"""Persons and where they live. ID numbers and phone numbers are sealed before they come near the database."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from cloud.database.tables import Household, Person, Residency, ResidencyRole
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.sealed import ID_NUMBER, PHONE, id_number_indexes, phone_indexes
from cloud.register.writer import RegisterWriter
from cloud.vault import Vault
from protocols.resident_id import BadResidentId, parse

__all__ = ["ID_NUMBER", "PHONE", "PeopleBatch", "PersonEntry", "ResidencyEntry"]


@dataclass(frozen=True)
class PersonEntry:
    """A person as a register names one. `repr` shows no number."""

    name: str
    id_number: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)

    def checked(self) -> "PersonEntry":
        """The same with the ID number spelled as it is stored.

        Raises:
            RegisterError: for a bad ID number.
        """
        if self.id_number is None:
            return self
        try:
            return PersonEntry(self.name, parse(self.id_number).text, self.phone)
        except BadResidentId as error:
            raise RegisterError("id_number", str(error), "compare it with the identity card") from error


@dataclass(frozen=True)
class ResidencyEntry:
    """Who lives where: from `since` (inclusive) until `until` (exclusive). `dwelling` is the place's id.

    Attributes:
        household: the code of one of the dwelling's households; None leaves it as it was.
    """

    dwelling: UUID
    role: ResidencyRole
    since: datetime
    until: datetime | None = None
    household: str | None = None

    def check(self) -> None:
        """Refuse one that ends before it begins.

        Raises:
            RegisterError: if it does.
        """
        if self.until is not None and self.until <= self.since:
            raise RegisterError("until", "the residency ends before it begins", "correct one of the dates")


@dataclass
class _Known:
    id: UUID
    name: str
    id_number_index: str | None
    phone_sealed: bytes | None
    phone_index: str | None


@dataclass
class _Stay:
    id: UUID
    role: ResidencyRole
    since: datetime
    until: datetime | None
    household_id: UUID | None


_PERSON = (Person.id, Person.name, Person.id_number_index, Person.phone_sealed, Person.phone_index)
_STAY = (Residency.id, Residency.role, Residency.since, Residency.until, Residency.household_id)


class PeopleBatch:
    """Puts persons and residencies into the register, many at a time: `load` what entries name, put each, `flush`.

    The same person is whoever has the ID number; without one, whoever of that name lives or lived in that dwelling.
    """

    def __init__(self, writer: RegisterWriter, vault: Vault) -> None:
        self._writer = writer
        self._vault = vault
        self._by_id: dict[UUID, _Known] = {}
        self._by_number: dict[str, _Known] = {}
        self._stays: defaultdict[UUID, defaultdict[UUID, list[_Stay]]] = defaultdict(lambda: defaultdict(list))
        self._households: dict[str, tuple[UUID, UUID]] = {}

    def load(self, entries: Iterable[tuple[PersonEntry, ResidencyEntry]]) -> None:
        """Ask for what these checked entries name, and forget what was asked for before; all must be flushed."""
        entries = list(entries)
        for known in (self._by_id, self._by_number, self._stays, self._households):
            known.clear()
        numbers = {self._number_index(person) for person, _ in entries} - {None}
        if numbers:
            for row in self._writer.connection.execute(select(*_PERSON).where(Person.id_number_index.in_(numbers))):
                self._know(row)
        if dwellings := {residency.dwelling for _, residency in entries}:
            self._load_residents(dwellings)
        if codes := {residency.household for _, residency in entries} - {None}:
            columns = (Household.code, Household.id, Household.dwelling_id)
            rows = self._writer.connection.execute(select(*columns).where(Household.code.in_(codes)))
            self._households.update((row.code, (row.id, row.dwelling_id)) for row in rows)

    def put_person(self, entry: PersonEntry, dwelling: UUID) -> tuple[UUID, Change]:
        """Add a person, or change the one that this checked entry means; a number that it leaves out stays as it was.

        Raises:
            RegisterError: if two persons of that name live there.
        """
        known = self._find(entry, dwelling)
        if known is not None:
            return known.id, self._update(known, entry)
        known = _Known(self._writer.new_id(), entry.name, None, None, None)
        values = self._numbers(entry, known)
        self._writer.insert(
            Person,
            {"id": known.id, "name": entry.name, "id_number_sealed": None, "phone_sealed": None} | _NONE | values,
        )
        self._apply(known, values)
        return known.id, Change.ADDED

    def put_residency(self, person: UUID, entry: ResidencyEntry) -> Change:
        """Add a residency, or change role, end and household of the one that began at the same time.

        Raises:
            RegisterError: if it ends before it begins, another one there overlaps it, or there is no such household.
        """
        entry.check()
        household = self._household(entry)
        stays = self._stays[entry.dwelling][person]
        same = next((stay for stay in stays if stay.since == entry.since), None)
        for stay in stays:
            if stay is not same and _overlap(stay.since, stay.until, entry.since, entry.until):
                day = f"{stay.since.astimezone(entry.since.tzinfo):%Y-%m-%d}"
                raise RegisterError(
                    "since",
                    f"the person lives in this dwelling already, since {day}",
                    "give that residency an end, or correct the date",
                )
        if same is not None:
            return self._change_stay(same, entry, household)
        added = _Stay(self._writer.new_id(), entry.role, entry.since, entry.until, household)
        self._writer.insert(Residency, {"person_id": person, "dwelling_id": entry.dwelling, **vars(added)})
        stays.append(added)
        return Change.ADDED

    def residency_id(self, person: UUID, entry: ResidencyEntry) -> UUID:
        """The residency that `put_residency` added or changed."""
        return next(stay.id for stay in self._stays[entry.dwelling][person] if stay.since == entry.since)

    def residency_ids(self) -> list[UUID]:
        """Every residency of the dwellings that were loaded."""
        return [stay.id for persons in self._stays.values() for stays in persons.values() for stay in stays]

    def _load_residents(self, dwellings: set[UUID]) -> None:
        query = (
            select(*_PERSON, *(column.label(f"stay_{column.key}") for column in _STAY), Residency.dwelling_id)
            .join(Residency, Residency.person_id == Person.id)
            .where(Residency.dwelling_id.in_(dwellings))
        )
        for row in self._writer.connection.execute(query):
            self._know(row)
            role = ResidencyRole(row.stay_role)
            stay = _Stay(row.stay_id, role, row.stay_since, row.stay_until, row.stay_household_id)
            self._stays[row.dwelling_id][row.id].append(stay)

    def _know(self, row: Any) -> None:
        known = self._by_id.setdefault(row.id, _Known(*row[: len(_PERSON)]))
        if known.id_number_index is not None:
            self._by_number[known.id_number_index] = known

    def _find(self, entry: PersonEntry, dwelling: UUID) -> _Known | None:
        index = self._number_index(entry)
        if index is not None and index in self._by_number:
            return self._by_number[index]
        there = [self._by_id[person] for person, stays in self._stays[dwelling].items() if stays]
        namesakes = [known for known in there if known.name == entry.name]
        if index is not None:  # one with another ID number is another person
            namesakes = [known for known in namesakes if known.id_number_index is None]
        if len(namesakes) > 1:
            raise RegisterError(
                "name", "several persons of this name live in this dwelling", "write the ID number of each"
            )
        return namesakes[0] if namesakes else None

    def _update(self, known: _Known, entry: PersonEntry) -> Change:
        after = self._numbers(entry, known)
        if known.name != entry.name:
            after["name"] = entry.name
        if not after:
            return Change.UNCHANGED
        before = {name: getattr(known, name, None) for name in after}
        self._writer.update(Person, {"id": known.id}, before, after)
        self._apply(known, after)
        return Change.UPDATED

    def _numbers(self, entry: PersonEntry, known: _Known) -> dict[str, Any]:
        """The columns of the numbers that the entry says and that are not known so."""
        values: dict[str, Any] = {}
        if entry.id_number is not None:
            indexes = id_number_indexes(self._vault, entry.id_number)
            if indexes["id_number_index"] != known.id_number_index:
                values |= indexes | {"id_number_sealed": self._vault.seal(entry.id_number.encode(), ID_NUMBER)}
        if entry.phone is not None:
            indexes = phone_indexes(self._vault, entry.phone)
            if self._is_other_phone(known, entry.phone, indexes["phone_index"]):
                values |= indexes | {"phone_sealed": self._vault.seal(entry.phone.encode(), PHONE)}
        return values

    def _is_other_phone(self, known: _Known, phone: str, index: str | None) -> bool:
        if known.phone_sealed is None or index is None:
            return known.phone_sealed is None or self._vault.open(known.phone_sealed, PHONE).decode() != phone
        return index != known.phone_index

    def _apply(self, known: _Known, values: dict[str, Any]) -> None:
        for name in values.keys() & vars(known).keys():
            setattr(known, name, values[name])
        self._by_id[known.id] = known
        if known.id_number_index is not None:
            self._by_number[known.id_number_index] = known

    def _change_stay(self, stay: _Stay, entry: ResidencyEntry, household: UUID | None) -> Change:
        wanted = {"role": entry.role, "until": entry.until, "household_id": household or stay.household_id}
        after = {name: value for name, value in wanted.items() if getattr(stay, name) != value}
        if not after:
            return Change.UNCHANGED
        self._writer.update(Residency, {"id": stay.id}, {name: getattr(stay, name) for name in after}, after)
        for name, value in after.items():
            setattr(stay, name, value)
        return Change.UPDATED

    def _household(self, entry: ResidencyEntry) -> UUID | None:
        if entry.household is None:
            return None
        found = self._households.get(entry.household)
        if found is None or found[1] != entry.dwelling:
            raise RegisterError(
                "household", f"the dwelling has no household {entry.household!r}", "add it to the households"
            )
        return found[0]

    def _number_index(self, entry: PersonEntry) -> str | None:
        return id_number_indexes(self._vault, entry.id_number)["id_number_index"]


_NONE = dict.fromkeys(
    ("id_number_sealed", "id_number_index", "id_tail_index", "phone_sealed", "phone_index", "phone_tail_index")
)


def _overlap(since: datetime, until: datetime | None, other_since: datetime, other_until: datetime | None) -> bool:
    return (until is None or other_since < until) and (other_until is None or since < other_until)
