"""`gatehouse hub alarms` and `gatehouse hub rules` on a hub's database that nobody serves."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cloud.database.engine import open_database
from gatehouse.hub_command import app
from protocols.access_events import DoorForced
from tests.support.alarms import City
from tests.support.console import utc_now

Line = Callable[..., Result]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Runs a sub-command; an hour ago a door was forced, which nobody has looked at."""
    state = tmp_path / "hub"

    def run(*words: str) -> Result:
        done = CliRunner().invoke(app, words, env={"GATEHOUSE_HUB_STATE_DIR": str(state)})
        assert "Traceback" not in done.output
        return done

    assert run("migrate").exit_code == 0
    database = open_database(f"sqlite:///{state / 'hub.db'}")
    city = City(database)
    city.clock.at = utc_now() - timedelta(hours=1)
    city.store(city.gateways["east"].event(DoorForced(), at=city.clock()))
    city.engine.run_once()
    database.close()
    return run


def test_alarms_are_listed(line: Line) -> None:
    done = line("alarms", "list")
    assert "door_forced" in done.stdout
    assert "east-village, gate-east" in done.stdout
    assert json.loads(line("alarms", "health").stdout)["alarms"] == 1


def test_rules_are_listed_and_shown(line: Line) -> None:
    assert "约定探访" in line("rules", "list").stdout
    shown = line("rules", "show", "door_forced")
    assert json.loads(shown.stdout)["priority"] == 2
    assert "version 1" in shown.stderr


def test_a_rule_is_tried_on_the_past_then_written(line: Line, tmp_path: Path) -> None:
    assert "1 alarms of 1 events" in line("rules", "test", "door_forced", "--since", "30d").stdout
    rule = json.loads(line("rules", "show", "door_forced").stdout)
    file = tmp_path / "rule.json"
    file.write_text(json.dumps({**rule, "when": {**rule["when"], "begins": {"types": ["fire.input.v1"]}}}))
    assert "0 alarms of 0 events" in line("rules", "test", "door_forced", "--file", str(file)).stdout
    assert "version 2 of rule door_forced" in line("rules", "write", "door_forced", str(file)).stdout
    assert "0 alarms of 0 events" in line("rules", "test", "door_forced").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rules", "test", "door_forced", "--since", "soon"), "for example 30d"),
        (("rules", "test", "nothing"), "there is no rule 'nothing'"),
        (("rules", "test", "gateway_silent"), "present state alone"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(line: Line, words: tuple[str, ...], told: str) -> None:
    done = line(*words)
    assert done.exit_code == 2
    assert told in done.stderr


def test_a_rule_that_names_a_category_cannot_be_written(line: Line, tmp_path: Path) -> None:
    rule = json.loads(line("rules", "show", "no_passage").stdout)
    file = tmp_path / "rule.json"
    file.write_text(json.dumps({**rule, "category": "key_personnel"}))
    done = line("rules", "write", "no_passage", str(file))
    assert done.exit_code == 2
    assert "category" in done.stderr
