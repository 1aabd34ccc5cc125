"""The audit's chain."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, delete, text, update
from sqlalchemy.exc import DatabaseError

from cloud.audit import AuditLog, BrokenChain, Head, read_head, signed_head, verify_chain
from cloud.database.engine import Database
from cloud.database.tables import AuditEntry
from cloud.signing import HubSigner
from tests.support.events import new_id

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def filled(database: Database, count: int = 5) -> AuditLog:
    log = AuditLog(database, lambda: NOON)
    for number in range(count):
        log.append("door.release", new_id(), {"door": "d-east", "number": number})
    return log


def without_triggers(connection: Connection) -> None:
    """What somebody with all rights in the database can do, for the rest of this transaction or for good."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER append_only"))
        return
    for act in ("update", "delete", "insert"):
        connection.execute(text(f"DROP TRIGGER audit_entry_append_only_{act}"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET action = 'login' WHERE number = 3",
        "DELETE FROM audit_entry WHERE number = 5",
        "DELETE FROM audit_entry",
        "INSERT INTO audit_entry SELECT * FROM audit_entry WHERE number = 3",
    ],
)
def test_the_database_refuses_to_change_an_entry(database: Database, statement: str) -> None:
    filled(database)
    with pytest.raises(DatabaseError), database.write() as connection:
        connection.execute(text(statement))
    assert verify_chain(database)[0] == 5


@pytest.mark.parametrize(
    ("dialect", "statement"),
    [
        ("postgresql", "TRUNCATE audit_entry"),
        ("sqlite", "REPLACE INTO audit_entry SELECT number, 0, account_id, 'x', detail, hash, hash FROM audit_entry"),
    ],
)
def test_nor_by_a_dialect_s_own_way_round(database: Database, dialect: str, statement: str) -> None:
    filled(database)
    if database.dialect == dialect:
        with pytest.raises(DatabaseError, match="append-only"), database.write() as connection:
            connection.execute(text(statement))
    AuditLog(database, lambda: NOON).append("login", None, {})
    assert verify_chain(database)[0] == 6


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
        without_triggers(connection)
        connection.execute(update(AuditEntry).where(AuditEntry.number == 3).values(**change))
    with pytest.raises(BrokenChain, match="entry 3 "):
        verify_chain(database)


def test_a_removed_entry_is_found(database: Database) -> None:
    filled(database)
    with database.write() as connection:
        without_triggers(connection)
        connection.execute(delete(AuditEntry).where(AuditEntry.number == 2))
    with pytest.raises(BrokenChain, match="entry 2 "):
        verify_chain(database)


def test_processes_that_write_at_once_take_turns(database: Database) -> None:
    logs = [AuditLog(database, lambda: NOON) for _ in range(4)]  # each with a lock of its own, as processes have
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda log: [log.append("login", None, {}) for _ in range(5)], logs))
    assert verify_chain(database)[0] == 20


def test_a_chain_that_was_cut_off_no_longer_holds_a_head_that_was_kept(database: Database) -> None:
    filled(database)
    signer = HubSigner(b"s" * 32)
    line = signed_head(Head(*verify_chain(database)), NOON, signer.sign)
    kept = read_head(line, signer.public_key)
    filled(database, 2)
    assert verify_chain(database, [kept])[0] == 7
    with database.write() as connection:
        without_triggers(connection)
        connection.execute(delete(AuditEntry).where(AuditEntry.number > 4))
    assert verify_chain(database)[0] == 4
    with pytest.raises(BrokenChain, match="cut off"):
        verify_chain(database, [kept])
    filled(database, 3)
    with pytest.raises(BrokenChain, match="not the one"):
        verify_chain(database, [kept])


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"number": 5, "hash": "x", "time": "t", "signature": "00"}'])
def test_a_head_that_the_hub_did_not_sign_is_refused(line: str) -> None:
    with pytest.raises(BrokenChain):
        read_head(line, HubSigner(b"s" * 32).public_key)


def test_a_head_of_which_a_figure_was_changed_is_refused() -> None:
    signer = HubSigner(b"s" * 32)
    line = signed_head(Head(5, "ab"), NOON, signer.sign)
    with pytest.raises(BrokenChain):
        read_head(line.replace("5", "4", 1), signer.public_key)
    with pytest.raises(BrokenChain):
        read_head(line, HubSigner(b"t" * 32).public_key)
