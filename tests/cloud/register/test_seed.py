"""The made-up register has the structure that is told of Anshun, and its rows fit each other."""

from datetime import date

import pytest
from sqlalchemy import func, select

from cloud.database.engine import Database
from cloud.database.tables import (
    Centre,
    Division,
    Grid,
    GridPlace,
    JointUnit,
    JointUnitPlace,
    Person,
    Place,
    PlaceKind,
    Post,
    PostKind,
    Residency,
)
from cloud.register.ids import IdMaker
from cloud.register.paths import subtree
from cloud.register.people import ID_NUMBER
from cloud.register.places import put_place
from cloud.register.seed.people import HouseholdMaker
from cloud.register.seed.seeding import SeedError, seed
from cloud.register.seed.structure import PersonFigures, Scale, UnitFigures, shared_out, structure
from cloud.vault import Vault
from protocols.resident_id import parse

VAULT = Vault(bytes(range(32)))
TODAY = date(2026, 11, 23)


def test_the_figures_are_those_that_are_told() -> None:
    units = {unit.division: unit for unit in structure(Scale.ANSHUN).units}
    told = {
        ("520402", "townships"): 24,
        ("520402", "villages"): 268,
        ("520403", "grids_1"): 95,
        ("520403", "grids_2"): 654,
        ("5204KF", "joint_units"): 1690,
        ("520425", "villages"): 174,
        ("520425", "grids_1"): 893,
        ("5204HG", "grids_1"): 39,
        ("5204HG", "joint_units"): 702,
    }
    assert len(units) == 8
    figures = ("townships", "villages", "grids_1", "grids_2", "joint_units")
    for division, unit in units.items():
        assert unit.made_up == {name for name in figures if (division, name) not in told}
    assert {key: getattr(units[key[0]], key[1]) for key in told} == told


def test_a_dry_run_counts_what_the_city_has(database: Database) -> None:
    counts = seed(database, VAULT, structure(Scale.DISTRICT), TODAY, dry_run=True)
    assert (counts["township"], counts["village"], counts["household"]) == (24, 268, 16_080)
    assert counts["centre"] == 1 + 24 + 268
    assert counts["unit deputy"] == 2 * counts["unit head"] == 2 * counts["joint unit"]
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(Place)).scalar() == 0


def test_a_village_is_made_whole(database: Database) -> None:
    done: list[int] = []
    counts = seed(database, VAULT, structure(Scale.VILLAGE), TODAY, progress=lambda _what, number: done.append(number))
    assert done == [1]
    with database.read() as connection:

        def count(table: type, *conditions: object) -> int:
            found = connection.execute(select(func.count()).select_from(table).where(*conditions))  # type: ignore[arg-type]
            return found.scalar_one()

        dwellings = count(Place, Place.kind == PlaceKind.DWELLING)
        assert dwellings == counts["dwelling"] == count(JointUnitPlace) == 240
        assert count(GridPlace) == dwellings + 1
        assert (count(Grid, Grid.level == 1), count(Grid, Grid.level == 2)) == (2, 8)
        assert count(Post, Post.kind == PostKind.UNIT_HEAD) == count(JointUnit) == 24
        assert count(Post, Post.kind == PostKind.UNIT_DEPUTY) == 48
        assert count(Post, Post.kind == PostKind.GRID_LEADER) == 8
        assert [count(Centre, Centre.level == level) for level in (1, 2, 3)] == [1, 1, 1]
        assert count(Person) == count(Residency, Residency.household_id.is_not(None)) == counts["person"]
        district = connection.execute(select(Place.path).where(Place.code == "520402")).scalar_one()
        assert count(Place, subtree(district).holds(Place.path), Place.kind == PlaceKind.DWELLING) == dwellings
        assert connection.execute(select(Place.name).where(Place.code == "520402")).scalar() == "西秀区"
        sealed = connection.execute(select(Person.id_number_sealed).limit(1)).scalar_one()
    assert parse(VAULT.open(sealed, ID_NUMBER).decode()).division == "520499"


def test_no_real_division_has_the_persons_numbers(database: Database) -> None:
    with database.read() as connection:
        assert connection.execute(select(Division.code).where(Division.code == "520499")).first() is None


def test_a_register_that_is_there_is_left_alone_unless_asked(database: Database) -> None:
    with database.write() as connection:
        put_place(connection, IdMaker(), "mine", PlaceKind.COMMUNITY, "mine", None)
    with pytest.raises(SeedError, match="holds a register"):
        seed(database, VAULT, structure(Scale.VILLAGE), TODAY)
    assert seed(database, VAULT, structure(Scale.VILLAGE), TODAY, beside=True)["village"] == 1
    with pytest.raises(SeedError, match="made once"):
        seed(database, VAULT, structure(Scale.VILLAGE), TODAY, beside=True)


def test_no_two_made_up_persons_share_a_number() -> None:
    maker = HouseholdMaker(PersonFigures(10, 8, 15, 5), TODAY)
    people = [person for _ in range(20_000) for person in maker.make().persons]
    for name in ("id_number", "phone", "card"):
        assert len({getattr(person, name) for person in people}) == len(people)
    assert all(parse(person.id_number) for person in people[:1000])


def test_shares_differ_by_one_at_most() -> None:
    assert shared_out(10, 4) == [3, 3, 2, 2]
    assert shared_out(0, 2) == [0, 0]
    unit = UnitFigures("x", 1, 1, 0, 0, 1, frozenset())
    assert unit.grids_1 == 0
