"""Writes the made-up register as a workbook, in the layout that `gatehouse hub import` takes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from openpyxl import Workbook

from gatehouse.demo.layout import ALL_DOORS, CAMERAS, GATEWAY
from gatehouse.demo.people import COMMUNITY, Resident, dwellings

_Row = tuple[str, ...]
_ALWAYS, _DAY = "always", "day"
_GROUPS = (
    ("east", "东门", _ALWAYS),
    ("north", "北门", _DAY),
    ("b1u1", "1栋1单元门", _ALWAYS),
    ("west", "西门", _ALWAYS),
    ("lobby", "物业大厅", _ALWAYS),
)


def write_workbook(path: Path, residents: Sequence[Resident]) -> None:
    """Five sheets: places, schedules, doors, door groups, residents."""
    book = Workbook(write_only=True)
    _sheet(book, "places", ("code", "kind", "name", "parent"), _places())
    schedules = ((_ALWAYS, "全天", "mon-sun", "00:00", "24:00"), (_DAY, "白天", "mon-sun", "05:30", "23:30"))
    _sheet(book, "schedules", ("code", "name", "days", "from", "until"), schedules)
    doors = ((GATEWAY, door.id, door.place, door.name) for door in ALL_DOORS)
    _sheet(book, "doors", ("gateway", "device", "place", "name"), doors)
    _sheet(book, "door_groups", ("code", "name", "schedule", "doors"), _door_groups())
    columns = ("name", "id_number", "phone", "dwelling", "role", "since", "until", "card", "card_until", "groups")
    _sheet(book, "residents", columns, (_resident(resident) for resident in residents))
    book.save(path)


def _sheet(book: Workbook, title: str, columns: _Row, rows: Iterable[_Row]) -> None:
    sheet = book.create_sheet(title)
    sheet.append(columns)
    for row in rows:
        sheet.append(row)


def _places() -> Iterator[_Row]:
    community, name = COMMUNITY
    yield community, "community", name, ""
    entrances = {door.place: door.place_name for door in ALL_DOORS} | {c.place: c.place_name for c in CAMERAS}
    for code, entrance in entrances.items():
        yield code, "entrance", entrance, community
    seen: set[str] = set()
    for dwelling in dwellings():
        if dwelling.building not in seen:
            seen.add(dwelling.building)
            yield dwelling.building, "building", dwelling.building_name, community
        if dwelling.unit not in seen:
            seen.add(dwelling.unit)
            yield dwelling.unit, "unit", dwelling.unit_name.removeprefix(dwelling.building_name), dwelling.building
        yield dwelling.code, "dwelling", dwelling.code.rpartition("-")[2], dwelling.unit


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
    )
