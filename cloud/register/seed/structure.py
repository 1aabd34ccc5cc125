"""How many of what the seed makes: read from `anshun.toml`, which says of each figure whether it has a source."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files


class Scale(StrEnum):
    """How much is made: one village, one district (Xixiu), or all eight units of Anshun."""

    VILLAGE = "village"
    DISTRICT = "district"
    ANSHUN = "anshun"


@dataclass(frozen=True)
class UnitFigures:
    """A unit of the city; `made_up` names the figures that no source gives."""

    division: str
    townships: int
    villages: int
    grids_1: int
    grids_2: int
    joint_units: int
    made_up: frozenset[str]


@dataclass(frozen=True)
class PersonFigures:
    """How households are made up; none of these figures has a source."""

    households_per_joint_unit: int
    living_alone_percent: int
    tenants_percent: int
    most_in_a_household: int


@dataclass(frozen=True)
class Structure:
    """What a seed makes."""

    units: tuple[UnitFigures, ...]
    persons: PersonFigures

    @property
    def households(self) -> int:
        return sum(unit.joint_units for unit in self.units) * self.persons.households_per_joint_unit


def structure(scale: Scale) -> Structure:
    """The figures of a scale."""
    told = tomllib.loads(files("cloud.register.seed").joinpath("anshun.toml").read_text(encoding="utf-8"))
    units = [_unit(table) for table in told["unit"]]
    if scale is Scale.VILLAGE:
        units = [_unit(told["village"])]
    elif scale is Scale.DISTRICT:
        units = units[:1]
    return Structure(tuple(units), PersonFigures(**told["persons"]))


def _unit(table: dict[str, object]) -> UnitFigures:
    return UnitFigures(**{**table, "made_up": frozenset(table["made_up"])})  # type: ignore[call-overload]


def shared_out(total: int, among: int) -> list[int]:
    """`total` in so many whole parts that differ by one at most, the larger first."""
    part, rest = divmod(total, among)
    return [part + (number < rest) for number in range(among)]
