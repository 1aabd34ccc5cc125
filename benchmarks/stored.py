"""A database with a year of stored events, alarms and a register, which can be kept and used again.

For `benchmarks.linking`. Everything lies in one folder: a PostgreSQL cluster of our own, or a SQLite file.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text

from benchmarks.ingest import Filled, fill_register
from benchmarks.many_events import Asked, fill_events
from cloud.database.engine import Database, open_database
from cloud.database.tables import Alarm, Door, Gateway, RuleVersion
from cloud.linking.relinking import Relinker
from cloud.rules.book import prepare_rules
from tests.support.databases import PostgresqlCluster
from tests.support.events import new_id
from tests.support.stored_events import Scene

DOORS, DOORS_A_GATEWAY, PERSONS_A_DWELLING = 2_000, 20, 3
OPEN_ALARMS, SHELVED_ALARMS = 300, 30
ASKED = 200
_NAME = "gatehouse_stored"
_SETTINGS = {
    "shared_buffers": "2GB",
    "effective_cache_size": "12GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
}
"""As a hub's PostgreSQL of this size would be set, but for the log, which the making of events goes round."""


@dataclass(frozen=True)
class Made:
    """What a stored database was made as."""

    events: int
    holders: int
    alarms: int
    whole: bool


class Stored:
    """A database in a folder, and what it holds. `cool` empties every cache of it."""

    def __init__(self, kind: str, folder: Path, made: Made) -> None:
        self.kind = kind
        self.made = made
        self._folder = folder / kind
        self._cluster: PostgresqlCluster | None = None
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        """Open."""
        assert self._database is not None
        return self._database

    @property
    def size_gb(self) -> float:
        """Of all files."""
        return sum(each.stat().st_size for each in self._files()) / 1e9

    def open(self) -> bool:
        """Start and open; whether it was made as wanted before.

        Raises:
            ValueError: for a folder in which another one was kept.
        """
        note = self._folder / "made.json"
        if is_there := note.exists():
            kept = Made(**json.loads(note.read_text())["made"])
            if kept != self.made:
                raise ValueError(f"{self._folder} holds {kept}, not {self.made}: remove it, or ask for what it holds")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._start()
        self.database.migrate()
        return is_there

    def close(self) -> None:
        """Close and stop."""
        self.database.close()
        if self._cluster is not None:
            self._cluster.stop()

    def cool(self) -> None:
        """Close, let the system drop its copies of the files, and open again."""
        self.close()
        os.sync()
        for path in self._files():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        self._start()

    def make(self, progress: Any) -> Scene:
        """Fill it, and note what it is."""
        end = datetime.now(UTC)
        register = fill_register(self.database, self.made.holders, PERSONS_A_DWELLING)
        scene = _scene(self.database, register, end)
        progress(f"{self.made.holders:,} holders of a card registered")
        _fill_alarms(self.database, scene, self.made.alarms)
        fill_events(self.database, scene, self.made.events, asked_of(scene), whole=self.made.whole, progress=progress)
        with self.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self.kind == "postgresql":
                connection.execute(text("SET maintenance_work_mem = '1GB'"))
                connection.execute(text("VACUUM (ANALYZE, PARALLEL 2)"))
            else:
                connection.execute(text("PRAGMA analysis_limit = 100000"))
                connection.execute(text("ANALYZE"))
        progress("vacuumed and analysed")
        plain = json.dumps({"made": asdict(self.made), "scene": _plain(scene)})
        (self._folder / "made.json").write_text(plain)
        return scene

    def scene(self) -> Scene:
        """Of a kept one."""
        kept = json.loads((self._folder / "made.json").read_text())["scene"]
        return Scene(
            [(gateway, device, UUID(place)) for gateway, device, place in kept["doors"]],
            [tuple(UUID(each) for each in holder) for holder in kept["holders"]],
            datetime.fromisoformat(kept["since"]),
            datetime.fromisoformat(kept["until"]),
        )

    def _start(self) -> None:
        if self.kind == "sqlite":
            self._database = open_database(f"sqlite:///{self._folder / 'hub.db'}")
            return
        self._cluster = PostgresqlCluster(self._folder / "cluster", durable=True, settings=_SETTINGS)
        self._cluster.start()
        self._database = self._cluster.database(_NAME)

    def _files(self) -> Iterator[Path]:
        return (path for path in self._folder.rglob("*") if path.is_file() and not path.is_symlink())


@contextmanager
def stored(kind: str, folder: Path, made: Made, *, keep: bool, progress: Any) -> Iterator[tuple[Stored, Scene]]:
    """A stored database, made unless it is there; without `keep` it is removed afterwards."""
    one = Stored(kind, folder, made)
    is_there = one.open()
    try:
        yield one, one.scene() if is_there else one.make(progress)
    finally:
        one.close()
        if not keep:
            shutil.rmtree(folder / kind, ignore_errors=True)


def asked_of(scene: Scene) -> Asked:
    """Which doors and holders questions are asked of: spread over all."""
    doors = [number * 37 % len(scene.doors) for number in range(ASKED)]
    homes = [number * 41 * PERSONS_A_DWELLING % len(scene.holders) for number in range(ASKED)]
    of_homes = {holder[2] for holder in (scene.holders[number] for number in homes)}
    in_homes = [number for number, holder in enumerate(scene.holders) if holder[2] in of_homes]
    cards = [number * 43 % len(scene.holders) for number in range(ASKED)]
    return doors, [*homes, *cards, *(number for number in in_homes if number not in homes)]


def _plain(scene: Scene) -> dict[str, Any]:
    return {
        "doors": [(gateway, device, place.hex) for gateway, device, place in scene.doors],
        "holders": [[each.hex for each in holder] for holder in scene.holders],
        "since": scene.since.isoformat(),
        "until": scene.until.isoformat(),
    }


def _scene(database: Database, register: Filled, end: datetime) -> Scene:
    """The doors, written into the register, and the holders, in no order: who lives together does not lie together."""
    doors = [(f"g{i // DOORS_A_GATEWAY}", f"d{i % DOORS_A_GATEWAY}", register.gate) for i in range(DOORS)]
    with database.write() as connection:
        gateways = sorted({gateway for gateway, _, _ in doors})
        connection.execute(insert(Gateway), [{"id": g, "created_at": end, "session": 0} for g in gateways])
        rows = [{"id": new_id(), "gateway_id": g, "device": d, "place_id": p, "name": d} for g, d, p in doors]
        connection.execute(insert(Door), rows)
        prepare_rules(connection, end)
    relinker = Relinker(database, lambda: datetime.now(UTC))
    while relinker.step() is not None:  # no event is there yet that the register's marks could concern
        pass
    return Scene(doors, [tuple(holder) for holder in register.holders], end - timedelta(days=365), end)


def _fill_alarms(database: Database, scene: Scene, count: int) -> None:
    """So many alarms within the year, all but `OPEN_ALARMS` and `SHELVED_ALARMS` of them closed."""
    choose = random.Random(1)
    with database.write() as connection:
        rules = list(connection.scalars(select(RuleVersion.code).order_by(RuleVersion.code)))
        rows = []
        for number in range(count):
            gateway, device, place = scene.doors[choose.randrange(len(scene.doors))]
            rule = rules[number % len(rules)]
            is_open, is_shelved = number >= count - OPEN_ALARMS, number >= count - SHELVED_ALARMS
            at = scene.since + (scene.until - scene.since) * (number / count)
            rows.append(
                {
                    "id": new_id(),
                    "rule": rule,
                    "rule_version": 1,
                    "key": f"{rule}:{gateway}/{device}:{number}",
                    "priority": 1 + number % 3,
                    "handling": "new" if is_open else "closed",
                    "condition": "active" if is_open else "cleared",
                    "level": 1,
                    "audience": "duty",
                    "place_id": place,
                    "gateway_id": gateway,
                    "subject": device,
                    "happened_at": at,
                    "raised_at": at,
                    "last_at": at,
                    "times": 1,
                    "chatter_count": 1,
                    "closed_at": None if is_open else at + timedelta(minutes=9),
                    "due_at": at + timedelta(minutes=5) if is_open else None,
                    "shelved_until": scene.until + timedelta(hours=1) if is_shelved else None,
                    "revision": 1,
                }
            )
        for first in range(0, count, 5_000):
            connection.execute(insert(Alarm), rows[first : first + 5_000])
