"""Puts the made-up register into the database in one transaction: places, grids, units, households, persons, posts,
centres."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select

from cloud.alarms.states import Level
from cloud.database.engine import Database
from cloud.database.tables import (
    Centre,
    Credential,
    Grid,
    GridPlace,
    Household,
    JointUnit,
    JointUnitPlace,
    Person,
    Place,
    PlaceKind,
    Post,
    PostKind,
    Residency,
)
from cloud.register.divisions import division_on
from cloud.register.ids import IdMaker
from cloud.register.paths import child_path
from cloud.register.sealed import ID_NUMBER, NUMBER, PHONE, id_number_indexes, phone_indexes
from cloud.register.seed.people import HouseholdMaker, SeedHousehold
from cloud.register.seed.structure import Structure, UnitFigures, shared_out
from cloud.register.writer import RegisterWriter
from cloud.vault import Vault

CITY = "520400"
_CHINA = ZoneInfo("Asia/Shanghai")
_DRAWN_ON = datetime(2020, 1, 1, tzinfo=_CHINA)
"""Since when the made-up grids and units are there."""
_DWELLINGS_PER_BUILDING = 40
_DWELLINGS_PER_FLOOR = 4
_DEPUTIES = 2
_CENTRES = {
    PlaceKind.DISTRICT: Level.DISTRICT,
    PlaceKind.TOWNSHIP: Level.TOWNSHIP,
    PlaceKind.COMMUNITY: Level.COMMUNITY,
}

Progress = Callable[[str, int], None]
"""("villages", how many are done)."""


class SeedError(ValueError):
    """A database into which nothing made up may be put."""


@dataclass(frozen=True)
class _Node:
    id: UUID
    code: str
    path: bytes


def seed(
    database: Database,
    vault: Vault,
    wanted: Structure,
    today: date,
    dry_run: bool = False,
    beside: bool = False,
    progress: Progress = lambda _what, _done: None,
) -> dict[str, int]:
    """Make the register, and count what was made; with `dry_run` only count. All or nothing.

    Raises:
        SeedError: if there is a register already and not `beside`, or this one was made before.
    """
    with database.read() as connection:
        if not beside and connection.execute(select(Place.id).limit(1)).first() is not None:
            raise SeedError("the database holds a register: name an empty one, or say --beside-what-is-there")
        if connection.execute(select(Place.id).where(Place.code == CITY)).first() is not None:
            raise SeedError(f"there is a place {CITY} already: a seed is made once")
    if dry_run:
        return _Seeder(None, vault, wanted, today).make(progress)
    with database.write() as connection:
        return _Seeder(RegisterWriter(connection, None), vault, wanted, today).make(progress)


class _Seeder:
    """Makes rows and hands them to the writer; without one it only counts them."""

    def __init__(self, writer: RegisterWriter | None, vault: Vault, wanted: Structure, today: date) -> None:
        self._writer = writer
        self._vault = vault
        self._wanted = wanted
        self._today = today
        self._new_id = IdMaker()
        self._households = HouseholdMaker(wanted.persons, today)
        self._counts: Counter[str] = Counter()
        self._building: _Node | None = None

    def make(self, progress: Progress) -> dict[str, int]:
        city = self._place(None, CITY, PlaceKind.CITY, self._division_name(CITY), CITY)
        for unit in self._wanted.units:
            for _ in self._unit(city, unit):
                progress("villages", self._counts["village"])
                if self._writer is not None:
                    self._writer.flush()
        return dict(self._counts)

    def _unit(self, city: _Node, figures: UnitFigures) -> Iterator[None]:
        """One village after the other."""
        code = figures.division
        district = self._place(city, code, PlaceKind.DISTRICT, self._division_name(code), code)
        villages = shared_out(figures.villages, figures.townships)
        shares = zip(
            *(shared_out(total, figures.villages) for total in (figures.grids_1, figures.grids_2, figures.joint_units)),
            strict=True,
        )
        for number, within in enumerate(villages, 1):
            township = self._place(district, f"{code}-{number:02}", PlaceKind.TOWNSHIP, f"{number}号乡镇")
            for village in range(1, within + 1):
                name = f"{number}号乡镇{village}村"
                node = self._place(township, f"{township.code}-{village:02}", PlaceKind.COMMUNITY, name)
                self._village(node, *next(shares))
                yield

    def _village(self, village: _Node, grids_1: int, grids_2: int, joint_units: int) -> None:
        grids = self._grids(village, grids_1, grids_2)
        residents: dict[UUID, list[UUID]] = {}
        gate = self._place(village, f"{village.code}-gate", PlaceKind.ENTRANCE, "村口")
        if grids:
            self._belongs(GridPlace, gate, grids[0])
        homes = count()
        for number in range(joint_units):
            grid = grids[number * len(grids) // joint_units] if grids else None
            unit = self._joint_unit(village, number + 1, grid)
            for _ in range(self._wanted.persons.households_per_joint_unit):
                dwelling = self._dwelling(village, next(homes))
                self._belongs(JointUnitPlace, dwelling, unit)
                if grid is not None:
                    self._belongs(GridPlace, dwelling, grid)
                persons = self._household(dwelling, self._households.make())
                residents.setdefault(unit, []).append(persons[0])
                if grid is not None:
                    residents.setdefault(grid, []).append(persons[0])
            self._posts(unit, residents[unit])
        for grid in grids:
            self._grid_posts(grid, residents.get(grid, []))

    def _grids(self, village: _Node, count_1: int, count_2: int) -> list[UUID]:
        """The ids of the narrowest grids."""
        narrowest: list[UUID] = []
        if not count_1:
            return narrowest
        for number, within in enumerate(shared_out(count_2, count_1), 1):
            code = f"{village.code}-{number:02}"
            wide = self._grid(village, code, f"第{number}网格", None)
            small = [self._grid(village, f"{code}{n:02}", f"第{number}-{n}网格", wide) for n in range(1, within + 1)]
            narrowest += small or [wide]
        return narrowest

    def _grid(self, village: _Node, code: str, name: str, parent: UUID | None) -> UUID:
        values = {"code": code, "name": name, "level": 2 if parent else 1, "parent_id": parent}
        return self._add("grid", Grid, {**values, "place_id": village.id, "since": _DRAWN_ON, "until": None})

    def _joint_unit(self, village: _Node, number: int, grid: UUID | None) -> UUID:
        values = {"code": f"{village.code}-l{number:03}", "name": f"第{number}联户单元", "grid_id": grid}
        return self._add("joint unit", JointUnit, {**values, "place_id": village.id, "since": _DRAWN_ON, "until": None})

    def _dwelling(self, village: _Node, number: int) -> _Node:
        building, within = divmod(number, _DWELLINGS_PER_BUILDING)
        code = f"{village.code}-b{building + 1}"
        if within == 0:
            self._building = self._place(village, code, PlaceKind.BUILDING, f"{building + 1}栋")
        floor, door = divmod(within, _DWELLINGS_PER_FLOOR)
        name = f"{floor + 1}{door + 1:02}"
        return self._place(self._building, f"{code}-{name}", PlaceKind.DWELLING, name)

    def _household(self, dwelling: _Node, made: SeedHousehold) -> list[UUID]:
        since, until = _midnight(made.since), _midnight(made.until) if made.until else None
        period = {"since": since, "until": until}
        values = {"code": f"{dwelling.code}-1", "dwelling_id": dwelling.id, **period}
        household = self._add("household", Household, values)
        persons = []
        for each in made.persons:
            person = self._add("person", Person, {"name": each.name, **self._numbers(each.id_number, each.phone)})
            lives = {"person_id": person, "dwelling_id": dwelling.id, "role": each.role, "household_id": household}
            self._add("residency", Residency, {**lives, **period})
            self._add("card", Credential, {"person_id": person, **self._card(each.card), "since": None, "until": until})
            persons.append(person)
        return persons

    def _numbers(self, id_number: str, phone: str) -> dict[str, Any]:
        if self._writer is None:
            return {}
        seal = self._vault.seal
        sealed = {
            "id_number_sealed": seal(id_number.encode(), ID_NUMBER),
            "phone_sealed": seal(phone.encode(), PHONE),
        }
        return sealed | id_number_indexes(self._vault, id_number) | phone_indexes(self._vault, phone)

    def _card(self, number: str) -> dict[str, Any]:
        if self._writer is None:
            return {}
        sealed = self._vault.seal(number.encode(), NUMBER)
        return {"number_sealed": sealed, "number_index": self._vault.index(number, NUMBER)}

    def _posts(self, unit: UUID, persons: list[UUID]) -> None:
        """A head and two deputies, of three households."""
        kinds = (PostKind.UNIT_HEAD, *([PostKind.UNIT_DEPUTY] * _DEPUTIES))
        for kind, person in zip(kinds, persons, strict=False):
            self._post(kind, person, {"grid_id": None, "joint_unit_id": unit})

    def _grid_posts(self, grid: UUID, persons: list[UUID]) -> None:
        for kind, person in zip((PostKind.GRID_LEADER, PostKind.GRID_MEMBER), persons[::-1], strict=False):
            self._post(kind, person, {"grid_id": grid, "joint_unit_id": None})

    def _post(self, kind: PostKind, person: UUID, of: dict[str, UUID | None]) -> None:
        name = kind.replace("_", " ")
        self._add(name, Post, {"kind": kind, "person_id": person, **of, "since": _DRAWN_ON, "until": None})

    def _place(self, above: _Node | None, code: str, kind: PlaceKind, name: str, division: str | None = None) -> _Node:
        identifier = self._new_id()
        node = _Node(identifier, code, child_path(above.path if above else None, identifier))
        values = {"code": code, "kind": kind, "name": name, "path": node.path, "division_code": division}
        self._counts["village" if kind is PlaceKind.COMMUNITY else kind.value] += 1
        if self._writer is not None:
            self._writer.insert(Place, {"id": identifier, "parent_id": above.id if above else None, **values})
        if kind in _CENTRES:
            level, centre = int(_CENTRES[kind]), f"{name}综治中心"
            self._add("centre", Centre, {"place_id": identifier, "level": level, "name": centre, "closed_at": None})
        return node

    def _belongs(self, table: type[GridPlace] | type[JointUnitPlace], place: _Node, member: UUID) -> None:
        column = "grid_id" if table is GridPlace else "joint_unit_id"
        if self._writer is not None:
            values = {"place_id": place.id, "since": _DRAWN_ON, "until": None, column: member}
            self._writer.insert(table, values, place.id)

    def _add(self, what: str, table: Any, values: dict[str, Any]) -> UUID:
        identifier = self._new_id()
        self._counts[what] += 1
        if self._writer is not None:
            self._writer.insert(table, {"id": identifier, **values})
        return identifier

    def _division_name(self, code: str) -> str:
        if self._writer is None:
            return code
        found = division_on(self._writer.connection, code, self._today)
        return found.name if found else code


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=_CHINA)
