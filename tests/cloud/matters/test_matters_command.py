"""`gatehouse hub matters` and `gatehouse hub alarms figures` on a hub's database that nobody serves."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import select
from typer.testing import CliRunner

from cloud.alarms.monthly import CHINA
from cloud.database.engine import open_database
from cloud.database.tables import AuditEntry
from gatehouse.hub_command import app
from tests.support.matters import Town

Line = Callable[..., Result]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Runs a sub-command on a hub with the town's places and grids; `typed` is what it is told when it asks."""
    state = tmp_path / "hub"

    def run(*words: str, typed: str = "") -> Result:
        done = CliRunner().invoke(app, words, input=typed, env={"GATEHOUSE_HUB_STATE_DIR": str(state)})
        assert "Traceback" not in done.output
        return done

    assert run("migrate").exit_code == 0
    database = open_database(f"sqlite:///{state / 'hub.db'}")
    Town(database)
    database.close()
    return run


def test_a_matter_is_entered_listed_and_shown_with_its_reporter_masked(line: Line, tmp_path: Path) -> None:
    words = ("repair", "the lamp is out", "--place", "east-501", "--ask-reporter")
    entered = line("matters", "add", *words, typed="张伟\n13800000042\n")
    assert entered.exit_code == 0, entered.output
    number = f"{datetime.now(CHINA).year}-000001"
    assert entered.stdout.strip().endswith(number)
    assert number in line("matters", "list").stdout
    assert number not in line("matters", "list", "--closed").stdout
    shown = line("matters", "show", number).stdout
    assert "张* *********42" in shown
    assert "the lamp is out" in shown
    assert "grid grid-1" in shown
    assert "张伟" not in shown
    database = open_database(f"sqlite:///{tmp_path / 'hub' / 'hub.db'}")
    with database.read() as connection:
        entry = connection.execute(select(AuditEntry.detail).where(AuditEntry.action == "matter.enter")).scalar_one()
    database.close()
    assert entry == {"matter": number, "kind": "repair"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("repair", "x", "--place", "nowhere"), "no place of this code"),
        (("repair", "x"), "name a place, a grid, or both"),
        (("party", "x", "--place", "east-501"), "choose one of dispute"),
        (("repair", "x", "--place", "gate-east", "--grid", "grid-1"), "does not lie in this grid"),
    ],
)
def test_what_cannot_be_entered_is_told_in_a_sentence(line: Line, words: tuple[str, ...], said: str) -> None:
    done = line("matters", "add", *words)
    assert done.exit_code != 0
    assert said in done.output


def test_monthly_figures_as_json_and_csv(line: Line, tmp_path: Path) -> None:
    line("matters", "add", "help", "x", "--grid", "grid-west")
    month = datetime.now(CHINA).strftime("%Y-%m")
    figures = json.loads(line("alarms", "figures", month).stdout)
    assert [(each["centre"], each["source"], each["number"]) for each in figures] == [
        ("xixiu", "matter", 1),
        ("west-town", "matter", 1),
        ("west-village", "matter", 1),
    ]
    assert line("alarms", "figures", month, "--csv", str(tmp_path / "f.csv")).exit_code == 0
    assert len((tmp_path / "f.csv").read_text(encoding="utf-8").splitlines()) == 4
    assert line("alarms", "figures", "2026-13").exit_code != 0
    gone = line("alarms", "figures", "2020-01")
    assert (gone.exit_code != 0, "would not be whole" in gone.output) == (True, True)
