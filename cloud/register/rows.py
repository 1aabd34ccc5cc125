"""The rows of each sheet as the register holds them: what an import of them would make again.

Names are masked and numbers left out unless it is asked otherwise. What stands outside the scope is not there; of a
place, grid or unit whose parent is outside, the row is left out, so that an import does not move it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select
from sqlalchemy.orm import aliased

from cloud.access.reach import Reach
from cloud.database.tables import (
    Contact,
    Credential,
    CredentialGroup,
    Door,
    DoorGroup,
    DoorGroupDoor,
    Grid,
    GridPlace,
    Guest,
    Household,
    JointUnit,
    JointUnitPlace,
    Lease,
    Person,
    Place,
    Post,
    Residency,
    Schedule,
    Vehicle,
)
from cloud.live.masking import masked_name
from cloud.register import layout
from cloud.register.cells import NONE, day_text, last_day_text
from cloud.register.sealed import (
    CONTACT_NAME,
    CONTACT_PHONE,
    GUEST_NAME,
    GUEST_PHONE,
    ID_NUMBER,
    NUMBER,
    PHONE,
    PLATE,
)
from cloud.vault import Vault
from protocols.credentials import CredentialKind
from protocols.rules import Weekday

SheetCells = dict[str, str]
"""Column -> text; empty cells are left out."""
_FETCH = 2000
_DAY_NAMES = {day: "holiday" if day is Weekday.HOLIDAY else day.name.lower()[:3] for day in Weekday}


@dataclass
class RegisterRows:
    """Reads sheets, one after the other, in one view of the database.

    Attributes:
        persons: those whose names or numbers were read unmasked.
    """

    connection: Connection
    vault: Vault
    reach: Reach
    zone: ZoneInfo
    masked: bool = True
    persons: set[UUID] = field(default_factory=set)

    def of(self, sheet: layout.Sheet) -> Iterator[SheetCells]:
        """The rows of a sheet, in an order in which an import takes them."""
        readers: dict[layout.Sheet, Callable[[], Iterator[SheetCells]]] = {
            layout.PLACES: self._places,
            layout.GRIDS: self._grids,
            layout.JOINT_UNITS: self._joint_units,
            layout.MEMBERSHIPS: self._memberships,
            layout.SCHEDULES: self._schedules,
            layout.DOORS: self._doors,
            layout.DOOR_GROUPS: self._door_groups,
            layout.HOUSEHOLDS: self._households,
            layout.RESIDENTS: self._residents,
            layout.POSTS: self._posts,
            layout.CONTACTS: self._contacts,
            layout.VEHICLES: self._vehicles,
            layout.GUESTS: self._guests,
        }
        for row in readers[sheet]():
            yield {name: text for name, text in row.items() if text}

    # --- Places and what they belong to

    def _places(self) -> Iterator[SheetCells]:
        above = aliased(Place)
        query = (
            select(Place.code, Place.kind, Place.name, Place.division_code, above.code.label("parent"))
            .outerjoin(above, above.id == Place.parent_id)
            .where(self._place(Place.id), or_(Place.parent_id.is_(None), self._place(Place.parent_id)))
            .order_by(func.length(Place.path), Place.code)
        )
        for row in self._rows(query):
            yield {
                "code": row.code,
                "kind": row.kind,
                "name": row.name,
                "parent": row.parent or "",
                "division": row.division_code or "",
            }

    def _grids(self) -> Iterator[SheetCells]:
        above = aliased(Grid)
        covers = self.reach.scope.covers_grid
        query = (
            select(Grid.code, Grid.name, Place.code.label("place"), above.code.label("parent"), Grid.since, Grid.until)
            .join(Place, Place.id == Grid.place_id)
            .outerjoin(above, above.id == Grid.parent_id)
            .where(covers(Grid.id), or_(Grid.parent_id.is_(None), covers(Grid.parent_id)))
            .order_by(Grid.level, Grid.code)
        )
        for row in self._rows(query):
            parent = {"parent": row.parent or ""}
            yield {"code": row.code, "name": row.name, "place": row.place, **parent, **self._dates(row)}

    def _joint_units(self) -> Iterator[SheetCells]:
        columns = (JointUnit.code, JointUnit.name, JointUnit.since, JointUnit.until)
        query = (
            select(*columns, Place.code.label("place"), Grid.code.label("grid"))
            .join(Place, Place.id == JointUnit.place_id)
            .outerjoin(Grid, Grid.id == JointUnit.grid_id)
            .where(self._place(JointUnit.place_id))
            .order_by(JointUnit.code)
        )
        for row in self._rows(query):
            yield {
                "code": row.code,
                "name": row.name,
                "place": row.place,
                "grid": row.grid or "",
                **self._dates(row),
            }

    def _memberships(self) -> Iterator[SheetCells]:
        for column, table, member in (("grid", GridPlace, Grid), ("joint_unit", JointUnitPlace, JointUnit)):
            own: Any = table
            kept: Any = member
            key = own.grid_id if table is GridPlace else own.joint_unit_id
            query = (
                select(Place.code.label("place"), kept.code.label("member"), own.since, own.until)
                .join(Place, Place.id == own.place_id)
                .join(kept, kept.id == key)
                .where(self._place(own.place_id))
                .order_by(Place.code, own.since)
            )
            for row in self._rows(query):
                yield {"place": row.place, column: row.member, **self._dates(row)}

    # --- Doors

    def _schedules(self) -> Iterator[SheetCells]:
        query = select(Schedule.code, Schedule.name, Schedule.intervals).order_by(Schedule.code)
        if not self.reach.scope.is_whole:
            query = query.where(Schedule.code.in_(select(DoorGroup.schedule_code).where(self.reach.group_given)))
        for row in self._rows(query):
            hours: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
            for weekday, since, until in row.intervals:
                hours[since, until].append(_DAY_NAMES[Weekday(weekday)])
            for (since, until), days in hours.items() or [((0, 24 * 60), [NONE[0]])]:
                times = {"from": _clock(since), "until": _clock(until)}
                yield {"code": row.code, "name": row.name, "days": ";".join(days), **times}

    def _doors(self) -> Iterator[SheetCells]:
        query = (
            select(Door.gateway_id, Door.device, Place.code.label("place"), Door.name)
            .join(Place, Place.id == Door.place_id)
            .where(self.reach.door)
            .order_by(Door.gateway_id, Door.device)
        )
        for row in self._rows(query):
            yield {"gateway": row.gateway_id, "device": row.device, "place": row.place, "name": row.name}

    def _door_groups(self) -> Iterator[SheetCells]:
        members = select(DoorGroupDoor.group_code, Door.gateway_id, Door.device)
        members = members.join(Door, Door.id == DoorGroupDoor.door_id)
        doors: defaultdict[str, list[str]] = defaultdict(list)
        for group, gateway, device in self.connection.execute(members.order_by(Door.gateway_id, Door.device)):
            doors[group].append(f"{gateway}/{device}")
        query = select(DoorGroup.code, DoorGroup.name, DoorGroup.schedule_code).where(self.reach.group_given)
        for row in self._rows(query.order_by(DoorGroup.code)):
            held = "; ".join(doors[row.code]) or NONE[0]
            yield {"code": row.code, "name": row.name, "schedule": row.schedule_code, "doors": held}

    # --- People

    def _households(self) -> Iterator[SheetCells]:
        query = (
            select(Household.code, Place.code.label("dwelling"), Household.since, Household.until)
            .join(Place, Place.id == Household.dwelling_id)
            .where(self._place(Household.dwelling_id))
            .order_by(Household.code)
        )
        for row in self._rows(query):
            yield {"code": row.code, "dwelling": row.dwelling, **self._dates(row)}

    def _residents(self) -> Iterator[SheetCells]:
        """A row for each residency; a second card or lease of one takes a row more."""
        query = (
            select(*_PERSON, Residency.id.label("residency"), Residency.role, Residency.since, Residency.until)
            .add_columns(Place.code.label("dwelling"), Household.code.label("household"))
            .join(Residency, Residency.person_id == Person.id)
            .join(Place, Place.id == Residency.dwelling_id)
            .outerjoin(Household, Household.id == Residency.household_id)
            .where(self._place(Residency.dwelling_id))
            .order_by(Residency.since, Residency.id)
        )
        carded: set[UUID] = set()
        for rows in self.connection.execution_options(yield_per=_FETCH).execute(query).partitions(_FETCH):
            cards = self._cards({row.id for row in rows} - carded)
            leases = self._leases([row.residency for row in rows])
            for row in rows:
                own = [] if row.id in carded else cards[row.id]
                carded.add(row.id)
                home = {"dwelling": row.dwelling, "role": row.role, "household": row.household or ""}
                person = {**self._person(row), "phone": self._number(row.phone_sealed, PHONE)}
                nothing: SheetCells = {}
                for card, lease in zip_longest(own or [nothing], leases[row.residency], fillvalue=nothing):
                    yield {**person, **home, **self._dates(row), **card, **lease}

    def _cards(self, persons: set[UUID]) -> defaultdict[UUID, list[SheetCells]]:
        """The cards in force of some persons."""
        found: defaultdict[UUID, list[SheetCells]] = defaultdict(list)
        if self.masked:
            return found
        held = select(Credential.id, Credential.person_id, Credential.number_sealed, Credential.since, Credential.until)
        in_force = (Credential.kind == CredentialKind.CARD, Credential.revoked_at.is_(None))
        rows = self.connection.execute(held.where(Credential.person_id.in_(persons), *in_force)).all()
        members = select(CredentialGroup.credential_id, CredentialGroup.group_code)
        members = members.where(CredentialGroup.credential_id.in_([row.id for row in rows]))
        groups: defaultdict[UUID, list[str]] = defaultdict(list)
        for credential, group in self.connection.execute(members.order_by(CredentialGroup.group_code)):
            groups[credential].append(group)
        opened = [(self._number(row.number_sealed, NUMBER), row) for row in rows]
        for number, row in sorted(opened, key=lambda each: each[0]):
            dates = {f"card_{name}": text for name, text in self._dates(row).items()}
            found[row.person_id].append({"card": number, "groups": "; ".join(groups[row.id]), **dates})
        return found

    def _leases(self, residencies: list[UUID]) -> defaultdict[UUID, list[SheetCells]]:
        found: defaultdict[UUID, list[SheetCells]] = defaultdict(list)
        query = select(Lease.__table__).where(Lease.residency_id.in_(residencies))
        for row in self.connection.execute(query.order_by(Lease.since, Lease.number)):
            dates = {f"lease_{name}": text for name, text in self._dates(row).items()}
            found[row.residency_id].append({"lease": row.number, **dates})
        return found

    def _posts(self) -> Iterator[SheetCells]:
        query = (
            select(*_PERSON, Post.kind, Post.since, Post.until)
            .add_columns(func.coalesce(Grid.code, JointUnit.code).label("code"), _HOME)
            .join(Person, Person.id == Post.person_id)
            .outerjoin(Grid, Grid.id == Post.grid_id)
            .outerjoin(JointUnit, JointUnit.id == Post.joint_unit_id)
            .where(
                or_(
                    and_(Post.grid_id.is_not(None), self.reach.scope.covers_grid(Post.grid_id)),
                    and_(JointUnit.id.is_not(None), self._place(JointUnit.place_id)),
                )
            )
            .order_by("code", Post.kind, Post.since, Post.id)
        )
        for row in self._rows(query):
            yield {"kind": row.kind, "code": row.code, **self._who(row), **self._dates(row)}

    def _contacts(self) -> Iterator[SheetCells]:
        query = (
            select(*_PERSON, _HOME, Contact.name_sealed, Contact.relation, Contact.phone_sealed.label("called"))
            .join(Person, Person.id == Contact.person_id)
            .where(self.reach.person)
            .order_by(Person.name, Contact.id)
        )
        for row in self._rows(query):
            called = {"contact": self._name(row.name_sealed, CONTACT_NAME), "relation": row.relation}
            yield {**self._who(row), **called, "phone": self._number(row.called, CONTACT_PHONE)}

    def _vehicles(self) -> Iterator[SheetCells]:
        query = (
            select(*_PERSON, _HOME, Vehicle.plate_sealed, Vehicle.description, Vehicle.since, Vehicle.until)
            .join(Person, Person.id == Vehicle.person_id)
            .where(self.reach.person)
            .order_by(Vehicle.since, Vehicle.id)
        )
        for row in self._rows(query):
            plate = {"plate": self._number(row.plate_sealed, PLATE), "description": row.description}
            yield {**self._who(row), **plate, **self._dates(row)}

    def _guests(self) -> Iterator[SheetCells]:
        columns = (Guest.name_sealed, Guest.phone_sealed, Guest.since, Guest.until)
        query = (
            select(Place.code.label("dwelling"), *columns)
            .join(Place, Place.id == Guest.dwelling_id)
            .where(self._place(Guest.dwelling_id))
            .order_by(Place.code, Guest.since, Guest.id)
        )
        for row in self._rows(query):
            name, phone = self._name(row.name_sealed, GUEST_NAME), self._number(row.phone_sealed, GUEST_PHONE)
            yield {"dwelling": row.dwelling, "name": name, "phone": phone, **self._dates(row)}

    # --- Cells

    def _person(self, row: Row[*tuple[Any, ...]]) -> SheetCells:
        if self.masked:
            return {"name": masked_name(row.name)}
        self.persons.add(row.id)
        return {"name": row.name, "id_number": self._number(row.id_number_sealed, ID_NUMBER)}

    def _who(self, row: Row[*tuple[Any, ...]]) -> SheetCells:
        """As `persons.PersonRef`: a dwelling where there is no ID number."""
        person = self._person(row)
        return person if person.get("id_number") else {**person, "dwelling": row.home or ""}

    def _name(self, sealed: bytes, purpose: str) -> str:
        name = self.vault.open(sealed, purpose).decode()
        return masked_name(name) if self.masked else name

    def _number(self, sealed: bytes | None, purpose: str) -> str:
        return "" if self.masked or sealed is None else self.vault.open(sealed, purpose).decode()

    def _dates(self, row: Any) -> SheetCells:
        since: datetime | None = row.since
        until: datetime | None = row.until
        return {
            "since": "" if since is None else day_text(since, self.zone),
            "until": "" if until is None else last_day_text(until, self.zone),
        }

    def _place(self, column: Any) -> ColumnElement[bool]:
        return self.reach.scope.covers_place(column)

    def _rows(self, query: Select[*tuple[Any, ...]]) -> Iterator[Row[*tuple[Any, ...]]]:
        yield from self.connection.execution_options(yield_per=_FETCH).execute(query)


_PERSON = (Person.id, Person.name, Person.id_number_sealed, Person.phone_sealed)
_HOME = (
    select(func.min(Place.code))
    .join(Residency, Residency.dwelling_id == Place.id)
    .where(Residency.person_id == Person.id)
    .correlate(Person)
    .scalar_subquery()
    .label("home")
)
"""A dwelling by which a person without an ID number is found again."""


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
