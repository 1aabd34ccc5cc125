"""`gatehouse hub relink`: what would change, and what has changed, told in a sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import select, update
from typer.testing import CliRunner

from cloud.database.engine import open_database
from cloud.database.tables import AuditEntry, EventRecord, Relinking
from cloud.ingest.batch import Batch
from cloud.ingest.writer import EventWriter
from gatehouse.hub_command import app
from tests.support.events import NOON, FakeGateway, arrivals, granted, new_id
from tests.support.linking import CREDENTIALS, DWELLINGS, PERSONS, Interval, Register, Stay, day, fill

Line = Callable[..., Result]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    def run(*words: str) -> Result:
        done = CliRunner().invoke(app, words, env={"GATEHOUSE_HUB_STATE_DIR": str(tmp_path / "hub")})
        assert "Traceback" not in done.output
        return done

    return run


def test_a_dry_run_tells_and_a_run_corrects_and_is_audited(line: Line, tmp_path: Path) -> None:
    assert line("migrate").exit_code == 0
    database = open_database(f"sqlite:///{tmp_path / 'hub' / 'hub.db'}")
    stays = (Stay(new_id(), PERSONS[0], DWELLINGS[0], Interval(0, None)),)
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=stays))
    gateway, writer = FakeGateway("g1"), EventWriter(database)
    events = [gateway.event(granted(CREDENTIALS[0]), at=day(i), place="nowhere") for i in range(3)]
    writer.store(Batch(NOON, arrivals(events)))
    writer.close()
    with database.write() as connection:
        connection.execute(update(EventRecord).values(dwelling_id=None))
    told = line("relink", "--since", "2026-01-01", "--dry-run")
    assert told.stdout.splitlines() == ["3 of 3 events would be linked otherwise", "  dwelling: 3"], told.output
    assert line("relink", "--since", f"{NOON:%Y-%m-%d}", "--until", f"{NOON:%Y-%m-%d}").stdout.startswith("0 of 0")
    done = line("relink", "--since", "2026-01-01", "--why", "a backup was restored")
    assert done.stdout.startswith("3 of 3 events are linked otherwise"), done.output
    assert line("relink", "--since", "2026-01-01", "--dry-run").stdout == "0 of 3 events would be linked otherwise\n"
    with database.read() as connection:
        marks = connection.execute(select(Relinking.why, Relinking.corrected).where(Relinking.kind == "all")).all()
        assert ("a backup was restored", 3) in [tuple(mark) for mark in marks]
        assert "relink" in connection.scalars(select(AuditEntry.action)).all()
    database.close()


def test_what_is_no_moment_is_told_in_a_sentence(line: Line) -> None:
    done = line("relink", "--since", "yesterday")
    assert (done.exit_code, "--since 'yesterday' is no moment" in done.stderr) == (2, True), done.output
