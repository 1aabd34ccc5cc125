"""Real databases for tests: a PostgreSQL cluster of our own in a temporary folder, and SQLite files.

Each test gets a fresh database at this version's tables, copied from a template (some 60 ms on PostgreSQL). The cluster
runs as the user `postgres` when the tests run as root, because PostgreSQL refuses root; it ends with the tests, also
when they are killed. It listens on a socket in its folder and nowhere else.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from cloud.database.engine import Database, open_database

START_DEADLINE_S = 60.0
_TEMPLATE = "gatehouse_template"


class MissingPostgresql(Exception):
    """PostgreSQL's programs are not installed."""


def postgresql_programs() -> Path:
    """The folder of the newest installed `initdb` and `postgres` (Debian's layout, or the PATH).

    Raises:
        MissingPostgresql: with what to install.
    """
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(re.sub(r"\D", "", path.parts[4]) or 0)
    )
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    raise MissingPostgresql("the tests need PostgreSQL: run 'apt-get install postgresql' (or 'make test', which does)")


class PostgresqlCluster:
    """A running server in `folder`. Unless `durable`, its data is not synced to disk: tests know no power cuts.

    `settings` are the server's own, by name.
    """

    def __init__(self, folder: Path, durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._durable = durable
        self._settings = settings or {}
        self._programs = postgresql_programs()
        self._numbers = count(1)
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster if need be, start it, and wait until it answers."""
        data = self.folder / "data"
        if not data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(self.folder, "postgres", "postgres")
            self._run(["initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "shared_buffers": "64MB",
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            # Its ANALYZE of any table, beside a test's VACUUM, keeps rows from being marked as visible to all: what
            # plan is chosen would be a matter of luck.
            options |= {"autovacuum": "off"}
        options |= self._settings
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                self._as_postgres(["postgres", "-D", str(data), *settings]), stdout=log, stderr=log, cwd="/"
            )
        self._wait_until_ready()

    def stop(self, how: str = "fast") -> None:
        """End the server: `fast` cuts its clients in good order, `immediate` is a crash."""
        if self._server is not None:
            self._server.send_signal({"fast": 2, "immediate": 3}[how])  # SIGINT, SIGQUIT: postgres(1)
            self._server.wait(START_DEADLINE_S)
            self._server = None

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def database(self, name: str) -> Database:
        """The database of that name, made empty if it is not there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(f"CREATE DATABASE {name}")
        return open_database(self.url(name))

    def new_database(self) -> Database:
        """A fresh database with this version's tables."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_TEMPLATE]).fetchone():
                connection.execute(f"CREATE DATABASE {_TEMPLATE}")
                template = open_database(self.url(_TEMPLATE))
                template.migrate()
                template.close()
            name = f"gatehouse_{next(self._numbers)}"
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        return open_database(self.url(name))

    def new_copy(self, original: Database) -> Database:
        """A copy of a database that nobody is connected to."""
        name = f"gatehouse_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {original.engine.url.database} STRATEGY FILE_COPY")
        return open_database(self.url(name))

    def new_empty_database(self) -> Database:
        """A fresh database without any table."""
        name = f"gatehouse_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return open_database(self.url(name))

    def _as_postgres(self, command: list[str]) -> list[str]:
        """The command, as `postgres` if we are root, and ended by the kernel when the tests end."""
        user = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *user, "--pdeathsig", "QUIT", "--", str(self._programs / command[0]), *command[1:]]

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(self._as_postgres(command), check=False, capture_output=True, text=True, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._server is not None
                if self._server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"PostgreSQL did not start: {(self.folder / 'server.log').read_text()[-2000:]}"
                    ) from None
                time.sleep(0.02)
            else:
                return


@contextmanager
def running_cluster(durable: bool = False) -> Iterator[PostgresqlCluster]:
    """A started cluster in a short temporary path (a socket's path has at most 107 bytes), removed afterwards."""
    folder = Path(f"/tmp/gatehouse-pg-{os.getpid()}-{time.monotonic_ns()}")
    cluster = PostgresqlCluster(folder, durable)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def remove(database: Database) -> None:
    """Close a database; on PostgreSQL drop it, whoever is still connected: each is a thousand files."""
    database.close()
    if database.dialect == "postgresql":
        url = database.engine.url.set(drivername="postgresql", database="postgres")
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {database.engine.url.database} WITH (FORCE)")


def new_sqlite(folder: Path, name: str = "hub.db") -> Database:
    """A fresh SQLite database with this version's tables."""
    database = open_database(f"sqlite:///{folder / name}")
    database.migrate()
    return database
