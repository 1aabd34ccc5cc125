"""What the rows of each sheet mean, and how they are put into the register, a number of rows at a time."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.database.tables import (
    Grid,
    GridPlace,
    Household,
    JointUnit,
    JointUnitPlace,
    PlaceKind,
    PostKind,
    ResidencyRole,
)
from cloud.register import cells, layout
from cloud.register.belongings import (
    ContactBatch,
    ContactEntry,
    GuestBatch,
    GuestEntry,
    LeaseBatch,
    LeaseEntry,
    VehicleBatch,
    VehicleEntry,
)
from cloud.register.change import Change
from cloud.register.credentials import CardBatch, CardEntry
from cloud.register.doors import DoorKey, put_door, put_door_group, put_schedule
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.memberships import LIES_IN_GRIDS, MembershipBatch, places_in
from cloud.register.organisation import GridEntry, HouseholdEntry, JointUnitEntry, Organisation
from cloud.register.people import PeopleBatch, PersonEntry, ResidencyEntry
from cloud.register.persons import PersonFinder, PersonRef
from cloud.register.places import KnownPlace, PlaceBatch, PlaceEntry
from cloud.register.posts import OF_GRIDS, PostBatch, PostEntry
from cloud.register.writer import RegisterWriter
from cloud.vault import Vault
from protocols.rules import Interval

_E = TypeVar("_E")
Row = dict[str, str]
Counts = Iterable[tuple[str, Change]]
"""What (places, persons, ...) was taken up, and how."""


def _nothing(_entries: Sequence[Any]) -> None:
    """Nothing is asked for before."""


@dataclass(frozen=True)
class SheetTaker(Generic[_E]):
    """How a sheet is taken up: `read` each of some rows, `load` what their entries name, `put` each.

    `read` and `put` raise `RegisterError`.
    """

    read: Callable[[Row], _E]
    put: Callable[[_E], Counts]
    load: Callable[[Sequence[_E]], None] = _nothing


@dataclass(frozen=True)
class _Resident:
    dwelling: str
    person: PersonEntry
    role: ResidencyRole
    since: datetime
    until: datetime | None
    household: str | None
    card: CardEntry | None
    lease: LeaseEntry | None


@dataclass(frozen=True)
class _OfPerson(Generic[_E]):
    """A row about a person who is registered."""

    person: PersonRef
    entry: _E


@dataclass(frozen=True)
class _PostRow:
    kind: PostKind
    code: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class _Membership:
    place: str
    grid: str | None
    joint_unit: str | None
    since: datetime
    until: datetime | None


def takers(writer: RegisterWriter, vault: Vault, zone: ZoneInfo, grid_code: str) -> dict[str, SheetTaker[Any]]:
    """One for each sheet, by its key."""
    places = PlaceBatch(writer)
    organisation = Organisation(writer, places, grid_code)
    return (
        {layout.PLACES.key: _places(places)}
        | _organisation(organisation, places, zone)
        | {layout.MEMBERSHIPS.key: _Memberships(writer, places, organisation, zone).taker()}
        | _doors(writer)
        | {layout.RESIDENTS.key: _Residents(writer, vault, places, zone).taker()}
        | _belongings(writer, vault, organisation, places, zone)
    )


def _places(batch: PlaceBatch) -> SheetTaker[PlaceEntry]:
    def read(row: Row) -> PlaceEntry:
        kind = cells.one_of(row["kind"], "kind", PlaceKind, cells.KINDS)
        return PlaceEntry(row["code"], kind, row["name"], row.get("parent"), row.get("division"))

    def load(entries: Sequence[PlaceEntry]) -> None:
        batch.load({entry.code for entry in entries} | {entry.parent for entry in entries if entry.parent})

    return SheetTaker(read, lambda entry: [("places", batch.put(entry))], load)


def _organisation(organisation: Organisation, places: PlaceBatch, zone: ZoneInfo) -> dict[str, SheetTaker[Any]]:
    def grid(row: Row) -> GridEntry:
        return GridEntry(row["code"], row["name"], row["place"], row.get("parent"), *_dates(row, zone))

    def unit(row: Row) -> JointUnitEntry:
        return JointUnitEntry(row["code"], row["name"], row["place"], row.get("grid"), *_dates(row, zone))

    def household(row: Row) -> HouseholdEntry:
        return HouseholdEntry(row["code"], row["dwelling"], *_dates(row, zone))

    def load_households(entries: Sequence[HouseholdEntry]) -> None:
        organisation.load(Household, {entry.code for entry in entries})
        places.load(entry.dwelling for entry in entries)

    return {
        layout.GRIDS.key: SheetTaker(grid, lambda entry: [("grids", organisation.put_grid(entry))]),
        layout.JOINT_UNITS.key: SheetTaker(unit, lambda entry: [("joint units", organisation.put_joint_unit(entry))]),
        layout.HOUSEHOLDS.key: SheetTaker(
            household, lambda entry: [("households", organisation.put_household(entry))], load_households
        ),
    }


class _Memberships:
    """A row may name a dwelling or an entrance, or a place above: then all that lies in it today."""

    def __init__(self, writer: RegisterWriter, places: PlaceBatch, organisation: Organisation, zone: ZoneInfo) -> None:
        self._writer = writer
        self._places = places
        self._organisation = organisation
        self._zone = zone
        self._grids = MembershipBatch(writer, GridPlace)
        self._units = MembershipBatch(writer, JointUnitPlace)
        self._within: dict[str, tuple[list[Any], list[Any]]] = {}

    def taker(self) -> SheetTaker[_Membership]:
        return SheetTaker(self._read, self._put, self._load)

    def _read(self, row: Row) -> _Membership:
        if "grid" not in row and "joint_unit" not in row:
            raise RegisterError("grid", "neither a grid nor a unit stands in this row", "fill in one of them")
        return _Membership(row["place"], row.get("grid"), row.get("joint_unit"), *_dates(row, self._zone))

    def _load(self, entries: Sequence[_Membership]) -> None:
        self._places.load(entry.place for entry in entries)
        self._organisation.load(Grid, {entry.grid for entry in entries if entry.grid})
        self._organisation.load(JointUnit, {entry.joint_unit for entry in entries if entry.joint_unit})
        self._within = {
            code: self._places_within(place)
            for code in {entry.place for entry in entries}
            if (place := self._places.find(code)) is not None
        }
        self._grids.load(place for lie, _ in self._within.values() for place in lie)
        self._units.load(place for _, dwell in self._within.values() for place in dwell)

    def _places_within(self, place: KnownPlace) -> tuple[list[Any], list[Any]]:
        """What lies in a grid there, and what in a unit."""
        if place.kind is PlaceKind.DWELLING:
            return [place.id], [place.id]
        if place.kind is PlaceKind.ENTRANCE:
            return [place.id], []
        lie = places_in(self._writer, place.path, LIES_IN_GRIDS)
        return lie, places_in(self._writer, place.path, (PlaceKind.DWELLING,))

    def _put(self, entry: _Membership) -> Iterator[tuple[str, Change]]:
        self._places.need(entry.place, "place")
        lie, dwell = self._within[entry.place]
        period = (entry.since, entry.until)
        if entry.grid:
            grid = self._organisation.need_valid(Grid, entry.grid, "grid", *period)
            for place in self._some(lie, entry, "dwelling or entrance"):
                yield "places of grids", self._grids.put(place, grid, *period)
        if entry.joint_unit:
            unit = self._organisation.need_valid(JointUnit, entry.joint_unit, "joint_unit", *period)
            for place in self._some(dwell, entry, "dwelling"):
                yield "dwellings of joint units", self._units.put(place, unit, *period)

    @staticmethod
    def _some(places: list[Any], entry: _Membership, what: str) -> list[Any]:
        if not places:
            raise RegisterError("place", f"no {what} lies in {entry.place!r}", "add the places first")
        return places


def _doors(writer: RegisterWriter) -> dict[str, SheetTaker[Any]]:
    connection, new_id = writer.connection, IdMaker()
    schedules: defaultdict[str, list[Interval]] = defaultdict(list)

    def put_one_door(row: Row) -> Counts:
        key = DoorKey(row["gateway"], row["device"])
        return [("doors", put_door(connection, new_id, key, row["place"], row["name"]))]

    def put_week(row: Row) -> Counts:
        """A schedule's rows add up; each puts what is known of it so far."""
        since, until = cells.minute_of_day(row["from"], "from"), cells.minute_of_day(row["until"], "until")
        if since >= until:
            raise RegisterError("until", "it ends before it begins", "write two rows for a span over midnight")
        intervals = schedules[row["code"]]
        is_first = not intervals
        for day in cells.weekdays(row["days"], "days"):
            interval = Interval(weekday=day, since=since, until=until)
            if interval not in intervals:
                intervals.append(interval)
        change = put_schedule(connection, row["code"], row["name"], intervals)
        return [("schedules", change)] if is_first else []

    def put_group(row: Row) -> Counts:
        doors = []
        for word in () if row["doors"].lower() in cells.NONE else cells.list_of(row["doors"]):
            gateway, slash, device = word.partition("/")
            if not slash:
                raise RegisterError("doors", f"{word[:60]!r} is no door", "write GATEWAY/DEVICE; GATEWAY/DEVICE")
            doors.append(DoorKey(gateway, device))
        return [("door groups", put_door_group(connection, row["code"], row["name"], row["schedule"], doors))]

    return {
        layout.SCHEDULES.key: SheetTaker(_as_it_is, put_week),
        layout.DOORS.key: SheetTaker(_as_it_is, put_one_door),
        layout.DOOR_GROUPS.key: SheetTaker(_as_it_is, put_group),
    }


class _Residents:
    """One row is one residency, with one card or none."""

    def __init__(self, writer: RegisterWriter, vault: Vault, places: PlaceBatch, zone: ZoneInfo) -> None:
        self._places = places
        self._zone = zone
        self._people = PeopleBatch(writer, vault)
        self._cards = CardBatch(writer, vault)
        self._leases = LeaseBatch(writer)

    def taker(self) -> SheetTaker[_Resident]:
        return SheetTaker(self._read, self._put, self._load)

    def _read(self, row: Row) -> _Resident:
        return _Resident(
            row["dwelling"],
            PersonEntry(row["name"], row.get("id_number"), row.get("phone")).checked(),
            cells.one_of(row["role"], "role", ResidencyRole, cells.ROLES),
            *_dates(row, self._zone),
            row.get("household"),
            _card(row, self._zone),
            _lease(row, self._zone),
        )

    def _load(self, entries: Sequence[_Resident]) -> None:
        self._places.load(entry.dwelling for entry in entries)
        there = [entry for entry in entries if self._places.find(entry.dwelling) is not None]
        self._people.load((entry.person, self._residency(entry)) for entry in there)
        self._cards.load(entry.card for entry in entries if entry.card is not None)
        if any(entry.lease is not None for entry in entries):
            self._leases.load(self._people.residency_ids())

    def _put(self, entry: _Resident) -> Iterator[tuple[str, Change]]:
        dwelling = self._places.need(entry.dwelling, "dwelling", (PlaceKind.DWELLING,)).id
        person, change = self._people.put_person(entry.person, dwelling)
        yield "persons", change
        yield "residencies", self._people.put_residency(person, self._residency(entry))
        if entry.lease is not None:
            residency = self._people.residency_id(person, self._residency(entry))
            yield "leases", self._leases.put(residency, entry.lease)
        if entry.card is not None:
            _, change = self._cards.put(person, entry.card)
            yield "credentials", change

    def _residency(self, entry: _Resident) -> ResidencyEntry:
        dwelling = self._places.need(entry.dwelling, "dwelling").id
        return ResidencyEntry(dwelling, entry.role, entry.since, entry.until, entry.household)


def _belongings(
    writer: RegisterWriter, vault: Vault, organisation: Organisation, places: PlaceBatch, zone: ZoneInfo
) -> dict[str, SheetTaker[Any]]:
    return {
        layout.POSTS.key: _posts(writer, vault, organisation, zone),
        layout.CONTACTS.key: _contacts(writer, vault),
        layout.VEHICLES.key: _vehicles(writer, vault, zone),
        layout.GUESTS.key: _guests(writer, vault, places, zone),
    }


def _posts(
    writer: RegisterWriter, vault: Vault, organisation: Organisation, zone: ZoneInfo
) -> SheetTaker[_OfPerson[_PostRow]]:
    finder, batch = PersonFinder(writer, vault), PostBatch(writer)

    def read(row: Row) -> _OfPerson[_PostRow]:
        kind = cells.one_of(row["kind"], "kind", PostKind, cells.POSTS)
        return _OfPerson(_who(row), _PostRow(kind, row["code"], *_dates(row, zone)))

    def found(row: _PostRow) -> UUID:
        table = Grid if row.kind in OF_GRIDS else JointUnit
        return organisation.need_valid(table, row.code, "code", row.since, row.until)

    def load(rows: Sequence[_OfPerson[_PostRow]]) -> None:
        finder.load(each.person for each in rows)
        for table, of_grid in ((Grid, True), (JointUnit, False)):
            codes = {each.entry.code for each in rows if (each.entry.kind in OF_GRIDS) is of_grid}
            organisation.load(table, codes)
        batch.load({of for each in rows if (of := organisation.find_id(*_table_and_code(each.entry))) is not None})

    def put(row: _OfPerson[_PostRow]) -> Counts:
        person, of = finder.need(row.person), found(row.entry)
        return [("posts", batch.put(PostEntry(row.entry.kind, of, person, row.entry.since, row.entry.until)))]

    return SheetTaker(read, put, load)


def _table_and_code(row: _PostRow) -> tuple[type[Grid] | type[JointUnit], str]:
    return (Grid if row.kind in OF_GRIDS else JointUnit), row.code


def _contacts(writer: RegisterWriter, vault: Vault) -> SheetTaker[_OfPerson[ContactEntry]]:
    finder, batch = PersonFinder(writer, vault), ContactBatch(writer, vault)

    def read(row: Row) -> _OfPerson[ContactEntry]:
        return _OfPerson(_who(row), ContactEntry(row["contact"], row["phone"], row.get("relation", "")).checked())

    def load(rows: Sequence[_OfPerson[ContactEntry]]) -> None:
        finder.load(each.person for each in rows)
        batch.load(_found(finder, rows))

    return SheetTaker(read, lambda row: [("contacts", batch.put(finder.need(row.person), row.entry))], load)


def _vehicles(writer: RegisterWriter, vault: Vault, zone: ZoneInfo) -> SheetTaker[_OfPerson[VehicleEntry]]:
    finder, batch = PersonFinder(writer, vault), VehicleBatch(writer, vault)

    def read(row: Row) -> _OfPerson[VehicleEntry]:
        entry = VehicleEntry(row["plate"], *_dates(row, zone), row.get("description", ""))
        return _OfPerson(_who(row), entry.checked())

    def load(rows: Sequence[_OfPerson[VehicleEntry]]) -> None:
        finder.load(each.person for each in rows)
        batch.load(each.entry.plate for each in rows)

    return SheetTaker(read, lambda row: [("vehicles", batch.put(finder.need(row.person), row.entry))], load)


def _guests(
    writer: RegisterWriter, vault: Vault, places: PlaceBatch, zone: ZoneInfo
) -> SheetTaker[tuple[str, GuestEntry]]:
    batch = GuestBatch(writer, vault)

    def read(row: Row) -> tuple[str, GuestEntry]:
        since, until = _dates(row, zone)
        return row["dwelling"], GuestEntry(row["name"], since, until or since, row.get("phone")).checked()

    def load(rows: Sequence[tuple[str, GuestEntry]]) -> None:
        places.load(code for code, _ in rows)
        batch.load({place.id for code, _ in rows if (place := places.find(code)) is not None})

    def put(row: tuple[str, GuestEntry]) -> Counts:
        return [("guests", batch.put(places.need(row[0], "dwelling", (PlaceKind.DWELLING,)).id, row[1]))]

    return SheetTaker(read, put, load)


def _who(row: Row) -> PersonRef:
    return PersonRef(row["name"], row.get("id_number"), row.get("dwelling")).checked()


def _found(finder: PersonFinder, rows: Sequence[_OfPerson[Any]]) -> set[UUID]:
    """The persons of these rows who are found; the others are told row by row."""
    found = set()
    for row in rows:
        with contextlib.suppress(RegisterError):
            found.add(finder.need(row.person))
    return found


def _lease(row: Row, zone: ZoneInfo) -> LeaseEntry | None:
    if "lease" not in row:
        for key in ("lease_since", "lease_until"):
            if key in row:
                raise RegisterError(key, "there is no lease in this row", "write its number, or empty this cell")
        return None
    since = cells.day_start(row.get("lease_since", row["since"]), "lease_since", zone)
    until = cells.day_end(row["lease_until"], "lease_until", zone) if "lease_until" in row else None
    return LeaseEntry(row["lease"], since, until).checked()


def _card(row: Row, zone: ZoneInfo) -> CardEntry | None:
    if "card" not in row:
        for key in ("card_since", "card_until", "groups"):
            if key in row:
                raise RegisterError(key, "there is no card in this row", "fill in the card, or empty this cell")
        return None
    return CardEntry(
        row["card"],
        cells.day_start(row["card_since"], "card_since", zone) if "card_since" in row else None,
        cells.day_end(row["card_until"], "card_until", zone) if "card_until" in row else None,
        frozenset(cells.list_of(row.get("groups", ""))),
    ).checked()


def _dates(row: Row, zone: ZoneInfo) -> tuple[datetime, datetime | None]:
    """The first instant of `since`, and the first after `until`."""
    since = cells.day_start(row["since"], "since", zone)
    return since, cells.day_end(row["until"], "until", zone) if "until" in row else None


def _as_it_is(row: Row) -> Row:
    return row
