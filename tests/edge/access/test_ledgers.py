"""What doors remember over a restart, with a disk that refuses, and with a file that is damaged."""

import sqlite3
import uuid
from pathlib import Path

from edge.access.ledger_file import LedgerFile
from edge.access.ledgers import Ledgers
from edge.access.presence_ledger import MAX_KNOWN, PresenceLedger
from edge.access.use_ledger import FORGET_AFTER_S
from tests.support.gateways import eventually

REF, WHO = uuid.UUID(int=7), b"w" * 16


def opened(folder: Path) -> Ledgers:
    return Ledgers(folder / "access.db")


def test_everything_outlives_a_restart(tmp_path: Path) -> None:
    ledgers = opened(tmp_path)
    ledgers.uses.spend(REF, 2000.0)
    ledgers.uses.spend(REF, 2000.0)
    ledgers.presence.moved(WHO, "yard", 50.0)
    ledgers.presence.moved(b"x" * 16, None, 60.0)
    ledgers.first_card_came("d1", 99.0, frees=True)
    ledgers.note_moment("heard", 70.0)
    ledgers.close()

    again = opened(tmp_path)

    assert again.uses.count(REF) == 2
    assert (again.presence.of(WHO).area, again.presence.of(b"x" * 16).area) == ("yard", None)
    assert (again.first_card_until_s("d1"), again.freed_until_s("d1")) == (99.0, 99.0)
    assert again.moment("heard") == 70.0
    again.close()


def test_what_is_noted_reaches_the_disk_without_being_asked(tmp_path: Path) -> None:
    ledgers = opened(tmp_path)
    ledgers.uses.spend(REF, None)

    assert ledgers.flush()

    with sqlite3.connect(tmp_path / "access.db") as other:
        assert other.execute("SELECT ref, count FROM use").fetchall() == [(REF.bytes, 1)]
    other.close()
    ledgers.close()


def test_what_is_taken_back_or_forgotten_is_so_after_a_restart(tmp_path: Path) -> None:
    ledgers = opened(tmp_path)
    ledgers.uses.spend(REF, 1000.0)
    ledgers.uses.give_back(REF)
    ledgers.uses.give_back(REF)
    ledgers.presence.moved(WHO, "yard", 50.0)
    ledgers.presence.forget("yard")
    ledgers.close()
    again = opened(tmp_path)
    assert (again.uses.count(REF), again.presence.of(WHO)) == (0, None)

    again.uses.forget_ended(1000.0 + FORGET_AFTER_S)
    assert len(again.uses) == 1
    again.uses.forget_ended(1001.0 + FORGET_AFTER_S)
    again.close()

    last = opened(tmp_path)
    assert len(last.uses) == 0
    last.close()


def test_a_disk_that_refuses_is_told_and_written_when_it_takes_the_file_again(tmp_path: Path) -> None:
    (tmp_path / "access.db").mkdir()
    ledgers = opened(tmp_path)
    ledgers.uses.spend(REF, None)
    assert "cannot be written" in str(ledgers.off_disk)
    assert ledgers.uses.count(REF) == 1
    assert not ledgers.flush(0.1)

    (tmp_path / "access.db").rmdir()
    eventually(lambda: ledgers.off_disk is None, 30, "the ledgers on disk again")
    ledgers.close()

    again = opened(tmp_path)
    assert again.uses.count(REF) == 1
    again.close()


def test_a_disk_that_refuses_does_not_keep_the_gateway_from_ending(tmp_path: Path) -> None:
    (tmp_path / "access.db").mkdir()
    ledgers = opened(tmp_path)
    ledgers.uses.spend(REF, None)

    ledgers.close()

    assert ledgers.off_disk is not None


def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "access.db").write_bytes(b"this is no database" * 500)

    ledgers = opened(tmp_path)

    assert ledgers.off_disk is None
    assert (tmp_path / "access.db.bad").exists()
    ledgers.uses.spend(REF, None)
    assert ledgers.flush()
    ledgers.close()


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    opened(tmp_path).close()

    assert (tmp_path / "access.db").stat().st_mode & 0o777 == 0o600


def test_a_moment_is_written_once_a_minute(tmp_path: Path) -> None:
    ledgers = opened(tmp_path)
    for second in range(100, 219):
        ledgers.note_moment("heard", float(second))

    assert ledgers.moment("heard") == 160.0
    ledgers.close()


def test_who_moved_longest_ago_is_forgotten_when_there_are_too_many() -> None:
    file = LedgerFile(None, {"presence": "who BLOB PRIMARY KEY"})
    presence = PresenceLedger(file)
    for number in range(MAX_KNOWN + 1):
        presence.moved(number.to_bytes(16, "big"), "yard", float(number))

    assert len(presence) == MAX_KNOWN
    assert presence.of(bytes(16)) is None
    assert presence.of((1).to_bytes(16, "big")) is not None
    file.close()
