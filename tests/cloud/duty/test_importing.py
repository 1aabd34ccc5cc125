"""Rosters from workbooks and CSV files, and `gatehouse hub duty` on a hub's database that nobody serves."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import Result
from sqlalchemy import func, insert, select
from typer.testing import CliRunner

from cloud.accounts.scope import WHOLE
from cloud.alarms.states import Level
from cloud.database.engine import Database, open_database
from cloud.database.tables import (
    AccountPerson,
    AccountRole,
    Centre,
    CentrePost,
    DutyException,
    DutyRosterVersion,
    Person,
)
from cloud.duty.importing import import_duty
from cloud.duty.reading import read_centres
from cloud.register.importing import summary
from cloud.register.report import ImportReport
from gatehouse.hub_command import app
from tests.cloud.register.test_importing import Rows, workbook
from tests.support.alarms import SHANGHAI, City
from tests.support.console import utc_now
from tests.support.duty import Duties
from tests.support.events import new_id

HEAD = ["位置编码", "级别", "值班表", "开始日期", "班次", "上班时间", "下班时间", "轮值科室", "值班账号"]
CENTRES = [["place", "level", "name"], ["east-garden", "门岗", "东苑岗亭"], ["east-village", "社区", "东村综治中心"]]
POSTS = [["place", "level", "account", "function"], ["east-village", "community", "centre-east", "值班长"]]
ROSTERS = [
    HEAD,
    ["east-garden", "guard", "desk", "2026-11-01", "day", "08:00", "20:00", "", "wang"],
    ["east-garden", "guard", "desk", "2026-11-01", "night", "20:00", "08:00", "", "li；wang"],
    ["east-village", "community", "week", "2026-11-16", "whole", "00:00", "24:00", "", ""],
    ["east-village", "community", "week", "2026-11-16", "", "", "", "综治办", "centre-east"],
    ["east-village", "community", "week", "2026-11-16", "", "", "", "民政科", "centre-2"],
]
SWAPS = [
    ["place", "level", "roster", "day", "shift", "accounts", "note"],
    ["east-garden", "guard", "desk", "2026-11-23", "night", "无", "放假"],
]


@pytest.fixture
def city(database: Database) -> City:
    made = City(database)
    staff(made)
    return made


def staff(city: City) -> None:
    duties = Duties(city)
    duties.colleagues("east-garden", AccountRole.GUARD, "li", "wang")
    duties.colleagues("east-village", AccountRole.COMMUNITY, "centre-2")


def full(path: Path, rosters: Rows = ROSTERS) -> Path:
    return workbook(path, 值班表=rosters, centres=CENTRES, centre_posts=POSTS, swaps=SWAPS)


def taken(city: City, path: Path, *, dry_run: bool = False) -> ImportReport:
    return import_duty(city.database, path, city.clock(), new_id, dry_run=dry_run)


def counted(city: City) -> list[int]:
    with city.database.read() as connection:
        tables = (Centre, CentrePost, DutyRosterVersion, DutyException)
        return [connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables]


def on_duty(city: City, at: datetime) -> dict[str, list[str]]:
    with city.database.read() as connection:
        rows = read_centres(connection, WHOLE, at, SHANGHAI)
    return {row.name: [each.account for each in row.on_duty] for row in rows}


def test_a_workbook_becomes_rosters_and_again_changes_nothing(city: City, tmp_path: Path) -> None:
    report = taken(city, full(tmp_path / "r.xlsx"))
    assert report.errors == []
    assert {what: sum(counts.values()) for what, counts in report.changes.items()} == {
        "centres": 2,
        "centre posts": 1,
        "rosters": 2,
        "swaps": 1,
    }
    assert counted(city) == [2, 1, 2, 1]
    assert on_duty(city, city.clock()) == {"东村综治中心": ["centre-east"], "东苑岗亭": ["li", "wang"]}
    tomorrow = city.clock() + timedelta(days=1)
    assert on_duty(city, tomorrow) == {"东村综治中心": ["centre-2"], "东苑岗亭": []}
    again = taken(city, full(tmp_path / "r.xlsx"))
    assert "unchanged" in summary(again)
    assert "added" not in summary(again)
    assert counted(city) == [2, 1, 2, 1]


def test_a_changed_file_is_a_new_version(city: City, tmp_path: Path) -> None:
    taken(city, full(tmp_path / "r.xlsx"))
    rows = [*ROSTERS[:2], [*ROSTERS[2][:-1], "guard-east"], *ROSTERS[3:]]
    city.clock.forward(60)
    assert taken(city, full(tmp_path / "s.xlsx", rows)).imported
    assert counted(city) == [2, 1, 3, 1]
    assert on_duty(city, city.clock())["东苑岗亭"] == ["guard-east"]
    assert on_duty(city, city.clock() - timedelta(seconds=30))["东苑岗亭"] == ["li", "wang"]


def test_a_single_csv_is_a_roster(city: City, tmp_path: Path) -> None:
    Duties(city).centre("east-garden", Level.GUARD)
    file = tmp_path / "december.csv"
    lines = [HEAD, *(row for row in ROSTERS[1:] if row[0] == "east-garden")]
    file.write_text("\n".join(",".join(row) for row in lines), encoding="gb18030")
    assert taken(city, file).imported
    assert on_duty(city, city.clock()) == {"east-garden GUARD": ["li", "wang"]}


def test_a_dry_run_takes_nothing_in(city: City, tmp_path: Path) -> None:
    report = taken(city, full(tmp_path / "r.xlsx"), dry_run=True)
    assert report.ok
    assert counted(city) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("位置编码", "nowhere", "there is no centre of this level at 'nowhere'"),
        ("级别", "省", "'省' is not known"),
        ("值班表", "值班", "is no code"),
        ("开始日期", "soon", "is no date"),
        ("上班时间", "25:00", "is no time of day"),
        ("班次", "", "the cell is empty"),
        ("轮值科室", "x", "the row names a team and a shift"),
        ("值班账号", "nobody", "'nobody': no account that can be on duty here"),
        ("值班账号", "guard-west", "'guard-west': no account that can be on duty here"),
        ("值班账号", "=1+1", "formula"),
    ],
)
def test_a_fault_is_told_by_row_and_nothing_is_taken_in(
    city: City, tmp_path: Path, column: str, value: str, said: str
) -> None:
    row = ROSTERS[1].copy()
    row[HEAD.index(column)] = value
    report = taken(city, full(tmp_path / "r.xlsx", [HEAD, row, *ROSTERS[3:]]))
    [error] = [each for each in report.errors if each.sheet == "值班表"]
    assert said in str(error)
    assert error.row == 2
    assert counted(city) == [0, 0, 0, 0]


# --- The commands

Line = Callable[..., Result]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Runs a sub-command; the city is there, with its staff."""
    state = tmp_path / "hub"

    def run(*words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(app, words, env={"GATEHOUSE_HUB_STATE_DIR": str(state), "COLUMNS": "200"})
        assert "Traceback" not in done.output
        assert done.exit_code == status, done.output
        return done

    run("migrate")
    database = open_database(f"sqlite:///{state / 'hub.db'}")
    staff(City(database))
    database.close()
    return run


def test_a_roster_is_taken_in_shown_and_checked(line: Line, tmp_path: Path) -> None:
    today = utc_now().astimezone(SHANGHAI).date()
    rows = [[*row[:3], str(today), *row[4:]] for row in ROSTERS[1:]]
    rows[1][-1] = "无"
    file = workbook(tmp_path / "r.xlsx", centres=CENTRES, rosters=[HEAD, *rows])
    assert "a dry run" in line("duty", "import", str(file), "--dry-run").output
    assert "2 added" in line("duty", "import", str(file)).output
    evening = datetime.combine(today, datetime.min.time(), SHANGHAI) + timedelta(days=1, hours=21)
    shown = line("duty", "show", "--at", evening.isoformat()).output
    assert "NOBODY" in shown
    assert "centre-east" in line("duty", "show", "--at", (evening - timedelta(hours=3)).isoformat()).output
    gaps = line("duty", "check", "--days", "3", status=1).output
    assert f"{today + timedelta(days=1)} 20:00" in gaps
    assert "东村" not in gaps


def test_a_template_is_written_once_and_taken_as_empty(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "rosters.xlsx"
    line("duty", "template", str(file))
    line("duty", "import", str(file))
    assert "is there already" in line("duty", "template", str(file), status=2).output
    assert "no gaps within 14 days" in line("duty", "check").output


def test_a_person_is_bound_to_an_account_and_no_more(line: Line, tmp_path: Path) -> None:
    database, person = open_database(f"sqlite:///{tmp_path / 'hub' / 'hub.db'}"), new_id()
    with database.write() as connection:
        connection.execute(insert(Person).values(id=person, name="张伟"))

    def bound() -> list[UUID]:
        with database.read() as connection:
            return list(connection.execute(select(AccountPerson.person_id)).scalars())

    line("duty", "bind", "li", str(person))
    line("duty", "bind", "li", str(person))
    assert bound() == [person]
    assert "there is no such person" in line("duty", "bind", "li", str(new_id()), status=2).output
    assert "there is no account" in line("duty", "bind", "nobody", str(person), status=2).output
    assert "name a person" in line("duty", "bind", "li", status=2).output
    line("duty", "bind", "li", "--unbind")
    assert bound() == []
    database.close()


@pytest.mark.parametrize("at", ["tomorrow", "2026-12-24T22:00", "0001-01-01T00:00+00:00"])
def test_a_moment_that_is_none_is_refused(line: Line, at: str) -> None:
    assert "--at" in line("duty", "show", "--at", at, status=2).output
