"""The audit's chain."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update

from cloud.audit import AuditLog, BrokenChain, verify_chain
from cloud.database.engine import Database
from cloud.database.tables import AuditEntry
from tests.support.events import new_id

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def filled(database: Database, count: int = 5) -> AuditLog:
    log = AuditLog(database, lambda: NOON)
    for number in range(count):
        log.append("door.release", new_id(), {"door": "d-east", "number": number})
    return log


def test_an_untouched_chain_is_sound(database: Database) -> None:
    assert verify_chain(database) == (0, "0" * 64)
    filled(database)
    count, last = verify_chain(database)
    assert count == 5
    assert last != "0" * 64


@pytest.mark.parametrize(
    "change",
    [
        {"action": "login"},
        {"detail": {"door": "d-west", "number": 2}},
        {"account_id": None},
        {"time": NOON + timedelta(microseconds=1)},
        {"previous_hash": "1" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_entry_is_found(database: Database, change: dict[str, object]) -> None:
    filled(database)
    with database.write() as connection:
        connection.execute(update(AuditEntry).where(AuditEntry.number == 3).values(**change))
    with pytest.raises(BrokenChain, match="entry 3 "):
        verify_chain(database)


def test_a_removed_entry_is_found(database: Database) -> None:
    filled(database)
    with database.write() as connection:
        connection.execute(delete(AuditEntry).where(AuditEntry.number == 2))
    with pytest.raises(BrokenChain, match="entry 2 "):
        verify_chain(database)


def test_processes_that_write_at_once_take_turns(database: Database) -> None:
    logs = [AuditLog(database, lambda: NOON) for _ in range(4)]  # each with a lock of its own, as processes have
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda log: [log.append("login", None, {}) for _ in range(5)], logs))
    assert verify_chain(database)[0] == 20
