"""Moves a database to the tables of this version, with Alembic's scripts in `versions/`. It never goes backwards."""

from importlib.resources import as_file, files
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

_LOCK_NUMBER = 0x67617465686F7573
"""PostgreSQL's advisory lock that one migrating process holds; any constant that no one else uses."""


class DatabaseIsNewer(Exception):
    """The database was changed by a newer version of Gatehouse than this one."""


def upgrade(connection: Connection) -> None:
    """Run what is missing inside the caller's transaction, which is all or nothing on both databases.

    Raises:
        DatabaseIsNewer: if the database holds a revision that this version does not know.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
    with as_file(files("cloud.database")) as folder:
        script = ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])
        current = current_revisions(connection)
        known = {revision.revision for revision in script.walk_revisions()}
        if unknown := sorted(set(current) - known):
            raise DatabaseIsNewer(
                f"the database has revision {', '.join(unknown)}, which this version of Gatehouse does not know:"
                " it was used by a newer one. Install that version, or restore a backup from before it"
            )
        _run(connection, script)


def current_revisions(connection: Connection) -> tuple[str, ...]:
    """The revisions that a database says it has; none for an empty one."""
    return MigrationContext.configure(connection).get_current_heads()


def _run(connection: Connection, script: ScriptDirectory) -> None:
    def steps(revision: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs("head", revision)  # as alembic.command.upgrade does

    with EnvironmentContext(Config(), script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection)
        with environment.begin_transaction():
            environment.run_migrations()
