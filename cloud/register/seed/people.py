"""Made-up households. Names are drawn from common characters; ID numbers begin with a division that does not exist, and
phone numbers with a prefix that no operator uses: no one is a real person."""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from cloud.database.tables import ResidencyRole
from cloud.register.seed.structure import PersonFigures
from protocols.resident_id import check_character

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华玉萍红国志建文斌宇浩凯秀梅琳雪晨欣怡子涵梓轩"
_NO_DIVISION = "520499"
_FIRST_DAY = date(1944, 1, 1)
_DAYS = 29_200
"""Births are spread over 80 years."""
_STRIDE = 7_919
"""Prime, and so each of `_DAYS` numbers in a row has a day of its own."""
_CARDS_PER_FACILITY = 65_000


@dataclass(frozen=True)
class SeedPerson:
    """A made-up person with a card."""

    name: str
    id_number: str = field(repr=False)
    phone: str = field(repr=False)
    role: ResidencyRole
    card: str


@dataclass(frozen=True)
class SeedHousehold:
    """A made-up household: since when it lives there, until when its lease runs, and who belongs to it."""

    since: date
    until: date | None
    persons: tuple[SeedPerson, ...]


class HouseholdMaker:
    """Makes one household after the other, the same at every run."""

    def __init__(self, figures: PersonFigures, today: date) -> None:
        self._figures = figures
        self._today = today
        self._dice = random.Random(20261123)  # noqa: S311 (made-up people, not secrets)
        self._count = 0

    def make(self) -> SeedHousehold:
        """The next household."""
        dice, figures = self._dice, self._figures
        alone = dice.randrange(100) < figures.living_alone_percent
        tenants = dice.randrange(100) < figures.tenants_percent
        size = 1 if alone else dice.randint(2, figures.most_in_a_household)
        surname = dice.choice(_SURNAMES)
        others = ResidencyRole.TENANT if tenants else ResidencyRole.FAMILY
        first = ResidencyRole.TENANT if tenants else ResidencyRole.OWNER
        persons = tuple(self._person(surname, first if number == 0 else others, number) for number in range(size))
        since = self._today - timedelta(days=dice.randrange(30, 3000))
        return SeedHousehold(since, self._today + timedelta(days=dice.randrange(7, 360)) if tenants else None, persons)

    def _person(self, surname: str, role: ResidencyRole, number: int) -> SeedPerson:
        self._count, index, dice = self._count + 1, self._count, self._dice
        own = dice.choice(_SURNAMES) if number == 1 else surname
        order, day = divmod(index, _DAYS)
        born = _FIRST_DAY + timedelta(days=day * _STRIDE % _DAYS)
        body = f"{_NO_DIVISION}{born:%Y%m%d}{order:03d}"
        facility, card = divmod(index, _CARDS_PER_FACILITY)
        return SeedPerson(
            name=own + "".join(dice.sample(_GIVEN, dice.choice((1, 2, 2)))),
            id_number=body + check_character(body),
            phone=f"100{index:08d}",
            role=role,
            card=f"w34:{facility + 1}:{card + 1}",
        )
