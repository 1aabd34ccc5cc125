"""`gatehouse hub alarms` and `gatehouse hub rules` on a hub's database that nobody serves."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import insert, select
from typer.testing import CliRunner

from cloud.database.engine import open_database
from cloud.database.tables import Person, Place, Residency
from gatehouse.hub_command import app
from protocols.access_events import DoorForced
from tests.support.alarms import START, City
from tests.support.console import utc_now
from tests.support.events import new_id

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


def test_an_agreement_is_written_listed_and_ended(line: Line, tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'hub' / 'hub.db'}")
    person, stranger = new_id(), new_id()
    with database.write() as connection:
        dwelling = connection.execute(select(Place.id).where(Place.code == "east-501")).scalar_one()
        connection.execute(insert(Person).values(id=person, name="张伟"))
        values = {"id": new_id(), "person_id": person, "dwelling_id": dwelling, "role": "owner", "since": START}
        connection.execute(insert(Residency).values(**values))
    database.close()
    add = ("care", "add", str(person), "--consent", "form 12", "--hours")
    assert "12 to 720" in line(*add, "1").stderr
    assert "last 30 days" in line(*add, "48", "--since", "2020-01-01").stderr
    assert "is no day" in line(*add, "48", "--since", "yesterday").stderr
    made = line(*add, "48", "--since", (utc_now() - timedelta(days=1)).date().isoformat())
    assert made.exit_code == 0
    assert "there is an agreement already" in line(*add, "48").stderr
    assert "lives anywhere" in line("care", "add", str(stranger), "--consent", "form", "--hours", "48").stderr
    agreement = made.stdout.split()[1]
    listed = line("care", "list").stdout
    assert agreement in listed
    assert "张伟" not in listed
    assert line("care", "end", agreement).exit_code == 0
    assert agreement not in line("care", "list").stdout
    assert "no such agreement" in line("care", "end", agreement).stderr
    assert "4 audit entries" in line("audit", "verify").stdout
