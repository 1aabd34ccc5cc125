"""Grids, units and households come by the import; drawing grids anew keeps what was."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from cloud.database.engine import Database
from cloud.database.tables import Grid, GridPlace, Household, JointUnit, JointUnitPlace, Place, Residency
from cloud.register.importing import import_register
from cloud.register.report import ImportReport
from cloud.vault import Vault
from tests.cloud.register.test_importing import Rows, workbook

VAULT = Vault(bytes(range(32)))
PLACES: Rows = [
    ["code", "kind", "name", "parent", "区划代码"],
    ["xx", "district", "西秀区", None, "520402"],
    ["qt", "社区", "青藤社区", "xx", None],
    ["qt-1", "楼栋", "1栋", "qt", None],
    ["qt-1-101", "房屋", "101", "qt-1", None],
    ["qt-1-102", "房屋", "102", "qt-1", None],
    ["qt-gate", "出入口", "大门", "qt", None],
]
GRIDS: Rows = [
    ["编码", "名称", "位置编码", "上级网格", "设立日期", "撤销日期"],
    ["g1", "第一网格", "qt", None, "2024-01-01", None],
    ["g1-1", "第一网格一", "qt", "g1", "2024-01-01", None],
    ["g1-2", "第一网格二", "qt", "g1", "2024-01-01", None],
]
UNITS: Rows = [["code", "name", "place", "grid", "since"], ["u1", "第一联户单元", "qt", "g1-1", "2024-01-01"]]
MEMBERSHIPS: Rows = [["place", "grid", "joint_unit", "since"], ["qt", "g1-1", "u1", "2024-01-01"]]
HOUSEHOLDS: Rows = [["户编号", "房屋编码", "入住日期"], ["h1", "qt-1-101", "2024-01-01"]]
RESIDENTS: Rows = [
    ["name", "dwelling", "role", "since", "household"],
    ["张伟", "qt-1-101", "owner", "2024-01-31", "h1"],
]
ALL: dict[str, Rows] = {
    "places": PLACES,
    "网格": GRIDS,
    "joint_units": UNITS,
    "memberships": MEMBERSHIPS,
    "家庭": HOUSEHOLDS,
    "residents": RESIDENTS,
}


def take(database: Database, tmp_path: Path, **sheets: Rows) -> ImportReport:
    return import_register(database, VAULT, workbook(tmp_path / "r.xlsx", **sheets))


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Database:
    assert take(database, tmp_path, **ALL).errors == []
    return database


def memberships(database: Database) -> list[tuple[str, str, datetime, datetime | None]]:
    query = (
        select(Place.code, Grid.code, GridPlace.since, GridPlace.until)
        .join(Place, Place.id == GridPlace.place_id)
        .join(Grid, Grid.id == GridPlace.grid_id)
        .order_by(Place.code, GridPlace.since)
    )
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def china(year: int, month: int, day: int) -> datetime:
    """That day's first instant in China."""
    return datetime.fromisoformat(f"{year}-{month:02}-{day:02}T00:00:00+08:00").astimezone(UTC)


def test_an_organisation_is_imported(town: Database) -> None:
    since = china(2024, 1, 1)
    assert memberships(town) == [(code, "g1-1", since, None) for code in ("qt-1-101", "qt-1-102", "qt-gate")]
    with town.read() as connection:
        levels = dict(connection.execute(select(Grid.code, Grid.level)).all())
        dwellings = connection.execute(select(JointUnitPlace.place_id)).all()
        unit = connection.execute(select(JointUnit.code, Grid.code).join(Grid, Grid.id == JointUnit.grid_id)).one()
        lives = connection.execute(
            select(Household.code).join(Residency, Residency.household_id == Household.id)
        ).scalar()
        division = connection.execute(select(Place.division_code).where(Place.code == "xx")).scalar()
    assert levels == {"g1": 1, "g1-1": 2, "g1-2": 2}
    assert len(dwellings) == 2
    assert (tuple(unit), lives, division) == (("u1", "g1-1"), "h1", "520402")


def test_importing_it_again_changes_nothing(town: Database, tmp_path: Path) -> None:
    report = take(town, tmp_path, **ALL)
    assert report.errors == []
    assert {change for counts in report.changes.values() for change in counts} == {"unchanged"}


def test_drawing_grids_anew_keeps_what_was(town: Database, tmp_path: Path) -> None:
    redrawn: Rows = [["place", "grid", "since"], ["qt-1-102", "g1-2", "2025-07-01"]]
    assert take(town, tmp_path, memberships=redrawn).errors == []
    assert [row for row in memberships(town) if row[0] == "qt-1-102"] == [
        ("qt-1-102", "g1-1", china(2024, 1, 1), china(2025, 7, 1)),
        ("qt-1-102", "g1-2", china(2025, 7, 1), None),
    ]
    assert take(town, tmp_path, **ALL).errors == []  # the older file knows of nothing later, and takes nothing back
    assert len(memberships(town)) == 4


def test_a_grid_that_ends_has_no_places_after(town: Database, tmp_path: Path) -> None:
    ended: Rows = [GRIDS[0], ["g1-1", "第一网格一", "qt", "g1", "2024-01-01", "2025-06-30"]]
    assert take(town, tmp_path, 网格=ended).errors == []
    assert {row[3] for row in memberships(town)} == {china(2025, 7, 1)}
    late: Rows = [["place", "grid", "since"], ["qt-1-102", "g1-1", "2025-08-01"]]
    assert "is there until" in take(town, tmp_path, memberships=late).errors[0].problem


@pytest.mark.parametrize(
    ("sheet", "row", "problem"),
    [
        ("网格", ["G 1", "x", "qt", None, "2024-01-01", None], "is no grid code here"),
        ("网格", ["g2", "x", "qt-1-101", None, "2024-01-01", None], "is of kind dwelling"),
        ("网格", ["g2", "x", "qt", "g1-1", "2024-01-01", None], "is of level 2 itself"),
        ("网格", ["g2", "x", "qt", None, "2024-01-01", "2023-01-01"], "ends before it begins"),
        ("joint_units", ["u2", "x", "qt", "g9", "2024-01-01"], "there is no grid 'g9'"),
        ("memberships", ["nowhere", "g1", None, "2024-01-01"], "there is no place"),
        ("memberships", ["qt", None, None, "2024-01-01"], "neither a grid nor a unit"),
        ("memberships", ["qt", "g1", None, "2023-01-01"], "is there only from"),
        ("家庭", ["h2", "qt-gate", "2024-01-01"], "is of kind entrance"),
        ("residents", ["李娜", "qt-1-102", "owner", "2024-01-31", "h1"], "has no household"),
    ],
)
def test_faults_of_an_organisation(town: Database, tmp_path: Path, sheet: str, row: list[str], problem: str) -> None:
    report = take(town, tmp_path, **{sheet: [ALL[sheet][0], row]})
    assert [error.problem for error in report.errors if problem in error.problem], report.errors


def test_the_pattern_of_grid_codes_is_configurable(database: Database, tmp_path: Path) -> None:
    path = workbook(tmp_path / "r.xlsx", places=PLACES, 网格=GRIDS)
    report = import_register(database, VAULT, path, grid_code=r"[0-9]{15}")
    assert report.error_count == 3
    assert "[0-9]{15}" in report.errors[0].remedy
