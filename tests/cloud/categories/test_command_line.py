"""`gatehouse hub categories`, as an officer's deputy uses it on the hub's own machine."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import select, update
from typer.testing import CliRunner

from cloud.database.engine import open_database
from cloud.database.tables import Account, AccountRole, AuditEntry, AuditSubject
from gatehouse.hub_command import app
from tests.support.register import add_person

Line = Callable[..., Result]
PURPOSE = ("--purpose", "visits before the cold spell")


@pytest.fixture
def line(tmp_path: Path) -> Line:
    def run(*words: str, typed: str = "") -> Result:
        done = CliRunner().invoke(app, words, input=typed, env={"GATEHOUSE_HUB_STATE_DIR": str(tmp_path / "hub")})
        assert "Traceback" not in done.output
        return done

    return run


def test_entries_are_made_looked_up_reviewed_and_ended(line: Line, tmp_path: Path) -> None:
    password = "correct horse battery"
    assert line("accounts", "add", "zhou", "--password-file", "-", typed=f"{password}\n").exit_code == 0
    database = open_database(f"sqlite:///{tmp_path / 'hub' / 'hub.db'}")
    with database.write() as connection:
        connection.execute(update(Account).values(role=AccountRole.CATEGORY_OFFICER))
        person = str(add_person(connection))
    assert "独居老人" in line("categories", "kinds").stdout
    review = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    words = ("categories", "add", person, "renter", "--basis", "decision 2026-17", "--officer", "zhou")
    assert line(*words, "--review", "2999-01-01", *PURPOSE).exit_code == 2
    assert line(*words, "--review", review, *PURPOSE, "--dry-run").exit_code == 0
    done = line(*words, "--review", review, *PURPOSE)
    assert (done.exit_code, "it lapses at" in done.stdout) == (0, True), done.output
    [found] = json.loads(line("categories", "list", *PURPOSE, "--json").stdout)
    assert (found["person"], found["category"], found["name"]) == (person, "renter", "张*")
    assert found["id"] in line("categories", "due").stdout
    later = (datetime.now(UTC) + timedelta(days=200)).date().isoformat()
    assert line("categories", "review", found["id"], "--review", later, *PURPOSE).exit_code == 0
    assert found["id"] not in line("categories", "due").stdout
    assert line("categories", "end", found["id"], "--yes", *PURPOSE).exit_code == 0
    assert line("categories", "end", found["id"], "--yes", *PURPOSE).exit_code == 2
    assert json.loads(line("categories", "list", *PURPOSE, "--json").stdout) == []
    with database.read() as connection:
        query = select(AuditEntry.action).join(AuditSubject, AuditSubject.number == AuditEntry.number)
        actions = connection.execute(query.order_by(AuditEntry.number)).scalars().all()
    assert actions == [f"person.category.{act}" for act in ("add", "look", "review", "end")]
    database.close()
