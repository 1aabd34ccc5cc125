"""SQLite's write-ahead log is copied into the database beside ingest, and a failure of that harms nothing."""

import threading
from pathlib import Path

import pytest

from cloud.ingest.batch import Batch
from cloud.ingest.writer import EventWriter
from tests.support.databases import new_sqlite
from tests.support.events import NOON, FakeGateway, arrivals, opened
from tests.support.gateways import eventually


def checkpoint_threads() -> int:
    return sum(thread.name == "checkpoints" for thread in threading.enumerate())


def test_the_log_is_copied_without_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.ingest.sqlite_store._CHECKPOINT_ROWS", 200)
    database, gateway = new_sqlite(tmp_path), FakeGateway("g1")
    file = Path(str(database.engine.url.database))
    others = checkpoint_threads()
    writer = EventWriter(database)
    writer.store(Batch(NOON, arrivals([gateway.event(opened()) for _ in range(100)])))
    before = file.stat().st_size
    assert checkpoint_threads() == others + 1
    writer.store(Batch(NOON, arrivals([gateway.event(opened()) for _ in range(500)])))
    eventually(lambda: file.stat().st_size > before, what="the rows in the database's own file")
    writer.close()
    assert checkpoint_threads() == others
    database.close()
