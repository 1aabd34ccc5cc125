"""Writes the made-up register as a workbook, in the layout that `gatehouse hub import` takes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from openpyxl import Workbook

from gatehouse.demo.incidents import DOOR
from gatehouse.demo.layout import ALL_DOORS, CAMERAS, GATEWAY, GRID, PLAYED_GATES, VILLAGE
from gatehouse.demo.people import COMPOUND, Resident, dwellings

_Row = tuple[str, ...]
_DRAWN_ON = "2020-01-01"
_SECOND_COMPOUND = ("shanjing", "山景小区")
_ALWAYS, _DAY = "always", "day"
_POST_LEVEL, _POST_NAME = "guard", "安宁小区门岗"
_RESIDENT = (
    *("name", "id_number", "phone", "dwelling", "role", "since", "until"),
    *("card", "card_until", "groups", "household"),
)
_GROUPS = (
    ("east", "东门", _ALWAYS),
    ("north", "北门", _DAY),
    ("b1u1", "1栋1单元门", _ALWAYS),
    ("west", "西门", _ALWAYS),
    ("lobby", "物业大厅", _ALWAYS),
)


def write_workbook(path: Path, residents: Sequence[Resident]) -> None:
    """Nine sheets, from places to residents; the village, its grids and other units are the seed's."""
    book = Workbook(write_only=True)
    _sheet(book, "places", ("code", "kind", "name", "parent"), _places())
    stairs = {dwelling.unit: dwelling.unit_name for dwelling in dwellings()}
    _sheet(book, "joint_units", ("code", "name", "place", "grid", "since"), _joint_units(stairs))
    _sheet(book, "memberships", ("place", "grid", "joint_unit", "since"), _memberships())
    schedules = ((_ALWAYS, "全天", "mon-sun", "00:00", "24:00"), (_DAY, "白天", "mon-sun", "05:30", "23:30"))
    _sheet(book, "schedules", ("code", "name", "days", "from", "until"), schedules)
    doors = [(GATEWAY, door.id, door.place, door.name) for door in ALL_DOORS]
    doors += [(gate.gateway, DOOR, gate.place, gate.name) for gate in PLAYED_GATES]
    _sheet(book, "doors", ("gateway", "device", "place", "name"), doors)
    _sheet(book, "door_groups", ("code", "name", "schedule", "doors"), _door_groups())
    _sheet(book, "households", ("code", "dwelling", "since"), _households(residents))
    _sheet(book, "residents", _RESIDENT, (_resident(resident) for resident in residents))
    book.save(path)


def write_rosters(path: Path, staff: Iterable[tuple[str, str, str]]) -> None:
    """The staff (account, level, place) are on duty day and night, in the seed's centres and at a guard post."""
    book = Workbook(write_only=True)
    rows = [(place, level, account) for account, level, place in staff]
    posts = ((place, level, _POST_NAME) for place, level, _ in rows if level == _POST_LEVEL)
    _sheet(book, "centres", ("place", "level", "name"), posts)
    shift = ("desk", _DRAWN_ON, "全天", "00:00", "24:00")
    columns = ("place", "level", "roster", "since", "shift", "from", "to", "accounts")
    _sheet(book, "rosters", columns, ((place, level, *shift, account) for place, level, account in rows))
    book.save(path)


def _sheet(book: Workbook, title: str, columns: _Row, rows: Iterable[_Row]) -> None:
    sheet = book.create_sheet(title)
    sheet.append(columns)
    for row in rows:
        sheet.append(row)


def _places() -> Iterator[_Row]:
    compound, name = COMPOUND
    yield compound, "compound", name, VILLAGE
    second, second_name = _SECOND_COMPOUND
    yield second, "compound", second_name, VILLAGE
    gate = PLAYED_GATES[1]
    yield gate.place, "entrance", gate.name, second
    entrances = {door.place: door.place_name for door in ALL_DOORS} | {c.place: c.place_name for c in CAMERAS}
    for code, entrance in entrances.items():
        yield code, "entrance", entrance, compound
    seen: set[str] = set()
    for dwelling in dwellings():
        if dwelling.building not in seen:
            seen.add(dwelling.building)
            yield dwelling.building, "building", dwelling.building_name, compound
        if dwelling.unit not in seen:
            seen.add(dwelling.unit)
            yield dwelling.unit, "unit", dwelling.unit_name.removeprefix(dwelling.building_name), dwelling.building
        yield dwelling.code, "dwelling", dwelling.code.rpartition("-")[2], dwelling.unit


def _joint_units(stairs: Mapping[str, str]) -> Iterator[_Row]:
    """One for each stair of 40 dwellings."""
    for code, name in stairs.items():
        yield f"{COMPOUND[0]}-{code}", f"{name}联户单元", VILLAGE, GRID, _DRAWN_ON


def _memberships() -> Iterator[_Row]:
    entrances = [*dict.fromkeys([door.place for door in ALL_DOORS] + [camera.place for camera in CAMERAS])]
    for place in (*entrances, PLAYED_GATES[1].place):
        yield place, GRID, "", _DRAWN_ON
    for dwelling in dwellings():
        yield dwelling.code, GRID, f"{COMPOUND[0]}-{dwelling.unit}", _DRAWN_ON


def _households(residents: Sequence[Resident]) -> Iterator[_Row]:
    since: dict[str, str] = {}
    for resident in residents:
        code = resident.dwelling.code
        since[code] = min(resident.since.isoformat(), since.get(code, "9999"))
    for code, first in since.items():
        yield f"{code}-h", code, first


def _door_groups() -> Iterator[_Row]:
    for (code, name, schedule), door in zip(_GROUPS, ALL_DOORS, strict=True):
        yield code, name, schedule, f"{GATEWAY}/{door.id}"


def _resident(resident: Resident) -> _Row:
    groups = ["east", "north", "west"] + (["b1u1"] if resident.dwelling.unit == "b1u1" else [])
    until = resident.until.isoformat() if resident.until else ""
    return (
        resident.name,
        resident.id_number,
        resident.phone,
        resident.dwelling.code,
        resident.role,
        resident.since.isoformat(),
        until,
        resident.card,
        until,
        "; ".join(groups),
        _household(resident),
    )


def _household(resident: Resident) -> str:
    return f"{resident.dwelling.code}-h"
