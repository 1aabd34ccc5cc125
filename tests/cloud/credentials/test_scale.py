"""A hundred thousand credentials: compiled in bounded time and memory, and one revocation costs one row."""

import os
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from uuid import UUID

import psutil

from cloud.credentials.distribution import Distribution
from cloud.database.engine import Database
from cloud.register.credentials import revoke_credential
from protocols.credentials import MAX_SNAPSHOT_BYTES
from tests.support import register as given
from tests.support.databases import new_sqlite

NOW = datetime(2026, 5, 1, tzinfo=UTC)
COUNT = 100_000
MAX_GROWTH_MIB = 400


def fill(database: Database) -> list[UUID]:
    with database.write() as connection:
        given.add_gateway(connection, "east")
        given.add_doors(connection, "east", {"g-east": ["d1"]})
        texts = [f"w34:{number >> 16}:{number & 0xFFFF}" for number in range(COUNT)]
        return list(given.add_credentials(connection, given.add_person(connection), texts, ["g-east"]))


def test_a_hundred_thousand_credentials(tmp_path: Path) -> None:
    database = new_sqlite(tmp_path)
    refs = fill(database)
    sent: list[str] = []
    distribution = Distribution(
        database, given.vault(), lambda _topic, body: body, lambda topic, _message, _retained: sent.append(topic)
    )
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    began = perf_counter()
    while distribution.round():
        pass
    whole_s = perf_counter() - began
    snapshot = distribution.snapshot("east")
    assert snapshot is not None
    assert len(snapshot) < MAX_SNAPSHOT_BYTES
    assert process.memory_info().rss - before < MAX_GROWTH_MIB * 2**20
    del snapshot
    with database.write() as connection:
        revoke_credential(connection, refs[500], NOW)
    sent.clear()
    began = perf_counter()
    while distribution.round():
        pass
    one_s = perf_counter() - began
    assert [topic.rsplit("/", 1)[1] for topic in sent] == ["delta", "cred"]
    assert one_s < whole_s / 20, f"one revocation took {one_s:.3f} s, the whole set {whole_s:.1f} s"
    database.close()
