"""The migrations lead to the tables that the code expects, on both databases, and a newer database is refused."""

import threading
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import DatabaseError

from cloud.audit import AuditLog
from cloud.credentials.marks import take_marks
from cloud.database.engine import Database, DatabaseUrlError, open_database
from cloud.database.migrations import DatabaseIsNewer, current_revisions
from cloud.database.tables import Base, Place
from tests.support.databases import PostgresqlCluster


def test_migrated_tables_are_the_models_tables(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert current_revisions(connection) == ("0023",)


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO schedule (code, name, intervals) VALUES ('s', 'S', '[]')"))
    database.migrate()
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM schedule")).scalar() == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_of_an_older_version_keeps_what_it_holds(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        old = open_database(f"sqlite:///{tmp_path / 'old.db'}")
    else:
        cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
        old = cluster.new_empty_database()
    with old.write() as connection:
        migrate_to(connection, "0002")
        for statement in (
            "INSERT INTO gateway (id, created_at, session) VALUES ('east', 0, 0)",
            "INSERT INTO account VALUES ('00000000000000000000000000000001', 'wang', '-', 'guard', 0, NULL)",
            "INSERT INTO command VALUES ('00000000000000000000000000000002', 'east', 'd1', "
            "'00000000000000000000000000000001', 0, 0, 'failed', 'why', 0)",
            "INSERT INTO register_change (number) VALUES (1)",
        ):
            connection.execute(text(statement))
    old.migrate()
    with old.read() as connection:
        assert connection.execute(text("SELECT reason, code FROM command")).one() == ("why", "")
    assert take_marks(old).everything
    AuditLog(old, lambda: datetime(2026, 5, 1, tzinfo=UTC)).append("login", None, {})
    with pytest.raises(DatabaseError), old.write() as connection:
        connection.execute(text("DELETE FROM audit_entry"))
    old.close()


def migrate_to(connection: Connection, revision: str) -> None:
    """What an older version's `migrate` did."""
    with as_file(files("cloud.database")) as folder:
        script = ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])

        def steps(current: Any, _context: MigrationContext) -> Any:
            return script._upgrade_revs(revision, current)

        with EnvironmentContext(Config(), script, fn=steps, destination_rev=revision) as environment:
            environment.configure(connection=connection)
            with environment.begin_transaction():
                environment.run_migrations()


def test_a_newer_database_is_refused_with_a_remedy(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseIsNewer, match=r"9999.*newer.*Install that version"):
        database.migrate()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_migrate_at_once_do_it_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "sqlite":
        empty = open_database(f"sqlite:///{tmp_path / 'new.db'}")
    else:
        cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
        empty = cluster.new_empty_database()
    failures: list[Exception] = []

    def migrate() -> None:
        try:
            open_database(empty.engine.url.render_as_string(hide_password=False)).migrate()
        except Exception as error:  # noqa: BLE001 (any failure of a thread is the test's)
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert {"event", "person", "alembic_version"} <= set(inspect(empty.engine).get_table_names())


def test_connections_that_make_a_sqlite_file_at_once_all_get_in(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def write(database: Database, together: threading.Barrier) -> None:
        together.wait(60)
        try:
            with database.write() as connection:
                connection.execute(text("CREATE TABLE IF NOT EXISTS made (x)"))
        except Exception as error:  # noqa: BLE001 (any failure of a thread is the test's)
            failures.append(error)
        database.close()

    for number in range(10):
        together = threading.Barrier(6)
        databases = [open_database(f"sqlite:///{tmp_path / f'{number}.db'}") for _ in range(6)]
        threads = [threading.Thread(target=write, args=(database, together)) for database in databases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert failures == []


def test_sqlite_is_durable_and_checks_references(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'hub.db'}")
    with database.read() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_long_read_does_not_stop_a_writer(database: Database) -> None:
    with database.read() as reader:
        reader.execute(text("SELECT count(*) FROM schedule"))
        with database.write() as writer:
            writer.execute(text("INSERT INTO schedule (code, name, intervals) VALUES ('s', 'S', '[]')"))
        assert reader.execute(text("SELECT count(*) FROM schedule")).scalar() == 0


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("sqlite://", "write sqlite:///"),
        ("mysql://root@host/db", "use sqlite or postgresql"),
        ("nonsense", "postgresql://user:password@host/name"),
    ],
)
def test_an_unusable_url_is_told_with_its_remedy(url: str, remedy: str) -> None:
    with pytest.raises(DatabaseUrlError, match=remedy):
        open_database(url)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_places_of_an_older_version_get_their_paths(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "sqlite":
        old = open_database(f"sqlite:///{tmp_path / 'old.db'}")
    else:
        cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
        old = cluster.new_empty_database()
    ids = [f"0000000000007000800000000000000{digit}" for digit in (1, 2, 3)]
    with old.write() as connection:
        migrate_to(connection, "0008")
        for number, parent in enumerate((None, ids[0], ids[1])):
            above = f"'{parent}'" if parent else "NULL"
            connection.execute(
                text(f"INSERT INTO place VALUES ('{ids[number]}', {above}, 'unit', '{ids[number]}', 'x')")
            )
    old.migrate()
    with old.read() as connection:
        paths = {row.code: row.path for row in connection.execute(select(Place.code, Place.path))}
    assert [paths[each].hex() for each in ids] == ["".join(each[16:] for each in ids[: n + 1]) for n in range(3)]
    old.close()
