"""A made-up register: 1,200 residents in 400 dwellings of one compound, the same at every start.

Two of them live alone: one asked for a visit when not seen for half a day, and to the other's dwelling more people come
and go than are registered. One lease ends within a week. Names are drawn from common surnames and given-name
characters; ID numbers carry a right check digit and phone numbers a prefix that no operator uses. No one of them is a
real person.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

DWELLING_COUNT = 400
RESIDENT_COUNT = 1200
COMPOUND = ("anning", "安宁小区")
ALONE_BY_CONSENT, ALONE_WITH_GUESTS = "5-2-1002", "5-2-1003"
"""Dwellings in which one person lives."""
_TAKES_THE_OTHERS = "5-1-1004"
_LEASE_ENDS_SOON = "1-1-104"
_SEED = 20261122
_UNITS_PER_BUILDING, _FLOORS, _DWELLINGS_PER_FLOOR = 2, 10, 4
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华玉萍红国志建文斌宇浩凯秀梅琳雪晨欣怡子涵梓轩"
_DIVISION = "520402"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"
_FACILITY = 52


@dataclass(frozen=True)
class Dwelling:
    """A dwelling and the codes of the places above it."""

    code: str
    name: str
    building: str
    building_name: str
    unit: str
    unit_name: str


@dataclass(frozen=True)
class Resident:
    """A made-up person with the dwelling they live in and the card they hold."""

    name: str
    id_number: str
    phone: str
    dwelling: Dwelling
    role: str
    card: str
    since: date
    until: date | None


def dwellings() -> Iterator[Dwelling]:
    """400 dwellings: 5 buildings of 2 units, 10 floors, 4 to a floor."""
    for index in range(DWELLING_COUNT):
        floor_index, on_floor = divmod(index, _DWELLINGS_PER_FLOOR)
        unit_index, floor = divmod(floor_index, _FLOORS)
        building, unit = divmod(unit_index, _UNITS_PER_BUILDING)
        number = f"{floor + 1}{on_floor + 1:02d}"
        yield Dwelling(
            code=f"{building + 1}-{unit + 1}-{number}",
            name=f"{building + 1}栋{unit + 1}单元{number}",
            building=f"b{building + 1}",
            building_name=f"{building + 1}栋",
            unit=f"b{building + 1}u{unit + 1}",
            unit_name=f"{building + 1}栋{unit + 1}单元",
        )


def residents(today: date) -> list[Resident]:
    """Three to a dwelling, but for those who live alone: a third of the dwellings is let, and the lease of every
    twentieth of those has ended."""
    dice = random.Random(_SEED)  # noqa: S311 (made-up people, not secrets)
    home = {dwelling.code: dwelling for dwelling in dwellings()}
    lodged = enumerate((dwelling, number) for dwelling in home.values() for number in range(3))
    made = [(_resident(dice, index, dwelling, today), number) for index, (dwelling, number) in lodged]
    alone = (ALONE_BY_CONSENT, ALONE_WITH_GUESTS)
    return [
        replace(resident, dwelling=home[_TAKES_THE_OTHERS]) if number and resident.dwelling.code in alone else resident
        for resident, number in made
    ]


def lease_has_ended(resident: Resident, today: date) -> bool:
    return resident.until is not None and resident.until < today


def _resident(dice: random.Random, index: int, dwelling: Dwelling, today: date) -> Resident:
    dwelling_number = index // 3
    let = dwelling_number % 3 == 0
    ended = let and dwelling_number % 60 == 0
    first = index % 3 == 0
    role = "tenant" if let else "owner" if first else "family"
    end = None
    if let:
        end = today - timedelta(days=5) if ended else today + timedelta(days=dice.randrange(20, 360))
        end = today + timedelta(days=5) if dwelling.code == _LEASE_ENDS_SOON else end
    return Resident(
        name=dice.choice(_SURNAMES) + "".join(dice.sample(_GIVEN, dice.choice((1, 2, 2)))),
        id_number=_id_number(dice, index),
        phone=f"100{index:08d}",
        dwelling=dwelling,
        role=role,
        card=f"w26:{_FACILITY}:{1000 + index}",
        since=today - timedelta(days=dice.randrange(370, 3000)),
        until=end,
    )


def _id_number(dice: random.Random, index: int) -> str:
    born = date(1945, 1, 1) + timedelta(days=dice.randrange(70 * 365))
    body = f"{_DIVISION}{born:%Y%m%d}{index % 1000:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + _CHECK_DIGITS[total % 11]
