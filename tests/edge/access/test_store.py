"""The credential store: versions, digests, crashes and corrupt files, on real SQLite files."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.access.store import CredentialStore, NeedSnapshot, SetRefused
from protocols.credentials import CredentialRow, Delta, moved_digest
from protocols.rules import Rules
from tests.support.doors import CARD_KEY, row, rules_for, whole_set

RULES = rules_for("d1")
EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, 12, 30, 0, 5, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "credentials.db"


@pytest.fixture
def store(path: Path) -> Iterator[CredentialStore]:
    made = CredentialStore(path, CARD_KEY)
    yield made
    made.close()


def delta(
    store: CredentialStore,
    *upsert: CredentialRow,
    gone: tuple[CredentialRow, ...] = (),
    rules: Rules | None = None,
    since: int | None = None,
) -> Delta:
    """The next delta: `gone` are the rows that the upserts replace or that are removed."""
    head = store.head()
    since = head.version if since is None else since
    rules_move = ([], []) if rules is None else ([store.rules.digest()], [rules.digest()])
    digest = moved_digest(
        head.digest,
        [*(each.digest() for each in gone), *rules_move[0]],
        [*(e.digest() for e in upsert), *rules_move[1]],
    )
    upserted = {each.ref for each in upsert}
    remove = tuple(each.ref for each in gone if each.ref not in upserted)
    return Delta(since=since, version=since + 1, digest=digest, upsert=upsert, remove=remove, rules=rules)


def test_a_new_store_is_empty_at_version_0(store: CredentialStore) -> None:
    assert (store.head().version, store.head().rows) == (0, 0)
    assert store.find("0" * 32) == []


def test_a_snapshot_is_found_by_hash_and_survives_a_restart(store: CredentialStore, path: Path) -> None:
    resident = row("w26:12:345", "all", not_before=EARLY, not_after=LATE)
    store.replace(whole_set(7, RULES, resident))
    store.close()

    again = CredentialStore(path, CARD_KEY)

    found = again.find(resident.hash)
    assert [each.ref for each in found] == [resident.ref]
    assert found[0].groups == ("all",)
    assert found[0].not_after_us == int(LATE.timestamp()) * 1_000_000 + 5
    assert (again.head().version, again.head().rows, again.rules, again.fault) == (7, 1, RULES, None)
    again.close()


def test_a_delta_adds_changes_and_removes(store: CredentialStore) -> None:
    first, second = row("w26:1:1", "all"), row("w26:1:2", "all")
    store.replace(whole_set(1, RULES, first, second))
    changed = first.model_copy(update={"not_after": LATE})
    third = row("w26:1:3", "closed")

    store.apply(delta(store, changed, third, gone=(first, second)))

    assert store.head().version == 2
    assert store.find(first.hash)[0].not_after_us < 2**63 - 1
    assert store.find(second.hash) == []
    assert store.find(third.hash)[0].groups == ("closed",)
    assert store.head().digest == whole_set(2, RULES, changed, third).digest


def test_rules_change_with_a_delta(store: CredentialStore) -> None:
    store.replace(whole_set(1, RULES))

    store.apply(delta(store, rules=rules_for("d1", "d2")))

    _, compiled = store.policy
    assert compiled.schedules_at("d2", ["all"])
    assert not compiled.schedules_at("d2", ["none", "no-such-group"])


def test_a_gap_asks_for_a_snapshot_and_changes_nothing(store: CredentialStore) -> None:
    store.replace(whole_set(3, RULES))

    with pytest.raises(NeedSnapshot) as raised:
        store.apply(delta(store, row("w26:1:1", "all"), since=4))

    assert raised.value.have == 3
    assert store.head() == store.head().__class__(3, whole_set(3, RULES).digest, 0)


def test_a_wrong_digest_asks_for_a_snapshot_and_changes_nothing(store: CredentialStore) -> None:
    store.replace(whole_set(1, RULES))
    stranger = row("w26:1:1", "all")

    with pytest.raises(NeedSnapshot, match="digest"):
        store.apply(delta(store, stranger).model_copy(update={"digest": "0" * 64}))

    assert store.find(stranger.hash) == []


def test_a_delta_that_comes_again_changes_nothing(store: CredentialStore) -> None:
    store.replace(whole_set(1, RULES))
    change = delta(store, row("w26:1:1", "all"))
    store.apply(change)
    before = store.head()

    store.apply(change)

    assert store.head() == before


def test_an_older_or_forged_snapshot_is_refused(store: CredentialStore) -> None:
    store.replace(whole_set(5, RULES, row("w26:1:1", "all")))
    before = store.head()

    with pytest.raises(SetRefused, match="older"):
        store.replace(whole_set(4, RULES))
    with pytest.raises(SetRefused, match="digest"):
        store.replace(whole_set(6, RULES, row("w26:1:2", "all")).model_copy(update={"rows": ()}))

    assert store.head() == before


def test_a_card_that_was_handed_on_keeps_both_credentials(store: CredentialStore) -> None:
    old, new = row("w26:1:1", "all", not_after=EARLY), row("w26:1:1", "all")
    store.replace(whole_set(1, RULES, old, new))
    assert {each.ref for each in store.find(old.hash)} == {old.ref, new.ref}

    store.apply(delta(store, gone=(old,)))

    assert [each.ref for each in store.find(old.hash)] == [new.ref]


@pytest.mark.parametrize("damage", ["nonsense", "truncated", "other content"])
def test_a_corrupt_file_is_moved_aside_and_the_store_starts_empty(path: Path, damage: str) -> None:
    store = CredentialStore(path, CARD_KEY)
    resident = row("w26:1:1", "all")
    store.replace(whole_set(9, RULES, resident, *(row(f"w26:2:{number}", "all") for number in range(500))))
    store.close()
    if damage == "nonsense":
        path.write_bytes(b"this is no database" * 500)
    elif damage == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    else:
        with sqlite3.connect(path) as other:
            other.execute("DELETE FROM credentials WHERE ref = ?", (resident.ref.bytes,))
        other.close()

    again = CredentialStore(path, CARD_KEY)

    assert again.fault is not None
    assert "moved to credentials.db.bad-1" in again.fault
    assert again.head().version == 0
    assert again.find(resident.hash) == []
    assert path.with_name("credentials.db.bad-1").exists()
    again.replace(whole_set(9, RULES, resident))
    assert again.find(resident.hash)
    again.close()


def test_a_file_made_under_another_card_key_is_not_used(path: Path) -> None:
    store = CredentialStore(path, CARD_KEY)
    store.replace(whole_set(9, RULES, row("w26:1:1", "all")))
    store.close()

    again = CredentialStore(path, b"n" * 32)

    assert "another card key" in str(again.fault)
    assert again.head().version == 0
    again.close()


OLD_TABLE = """CREATE TABLE credentials (
    ref BLOB PRIMARY KEY, hash BLOB NOT NULL, not_before_us INTEGER NOT NULL, not_after_us INTEGER NOT NULL,
    groups TEXT NOT NULL, share BLOB NOT NULL) WITHOUT ROWID"""


def make_first_file(path: Path, version: int, *rows: CredentialRow) -> None:
    """A file as the first Gatehouse wrote it."""
    store = CredentialStore(path, CARD_KEY)
    store.replace(whole_set(version, RULES, *rows))
    store.close()
    with sqlite3.connect(path) as old:
        columns = "ref, hash, not_before_us, not_after_us, groups, share"
        kept = old.execute(f"SELECT {columns} FROM credentials").fetchall()
        old.execute("DROP TABLE credentials")
        old.execute(OLD_TABLE)
        old.executemany("INSERT INTO credentials VALUES (?, ?, ?, ?, ?, ?)", kept)
        old.execute("PRAGMA user_version = 0")
    old.close()


def test_a_file_of_the_first_gatehouse_is_upgraded(path: Path) -> None:
    resident, other = row("w26:1:1", "all", not_after=LATE), row("w26:1:2", "closed", "all")
    make_first_file(path, 6, resident, other)

    store = CredentialStore(path, CARD_KEY)

    assert (store.fault, store.off_disk, store.head().version) == (None, None, 6)
    assert store.find(resident.hash)[0].not_after_us == int(LATE.timestamp()) * 1_000_000 + 5
    changed = resident.model_copy(update={"uses": 3})
    store.apply(delta(store, changed, gone=(resident,)))
    store.close()
    again = CredentialStore(path, CARD_KEY)
    assert (again.fault, again.find(changed.hash)[0].uses) == (None, 3)
    assert again.find(other.hash)[0].groups == ("closed", "all")
    again.close()


def test_a_file_of_a_later_gatehouse_is_moved_aside(path: Path) -> None:
    CredentialStore(path, CARD_KEY).close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()

    store = CredentialStore(path, CARD_KEY)

    assert "schema 99" in str(store.fault)
    assert store.head().version == 0
    store.close()


def test_every_field_of_a_row_survives_a_restart(store: CredentialStore, path: Path) -> None:
    full = CredentialRow(
        ref=uuid.uuid4(),
        hash="1" * 32,
        not_before=EARLY,
        not_after=LATE,
        groups=("all", "closed"),
        kind="card",
        holder="2" * 32,
        pin="3" * 32,
        duress_pin="4" * 32,
        duress=True,
        uses=10_000,
        offline_s=366 * 86_400,
        first=True,
        number="w26:1:1",
    )
    at_once = full.model_copy(update={"ref": uuid.uuid4(), "hash": "5" * 32, "offline_s": 0, "number": None})
    plain = row("w26:1:2", "all")
    store.replace(whole_set(1, RULES, full, at_once, plain))
    before = store.find(full.hash)
    store.close()

    again = CredentialStore(path, CARD_KEY)

    (found,) = again.find(full.hash)
    assert [found] == before
    assert (found.holder, found.pin, found.duress_pin) == tuple(bytes.fromhex(digit * 32) for digit in "234")
    assert (found.duress, found.first, found.uses, found.offline_s) == (True, True, 10_000, 366 * 86_400)
    assert [(number, each.ref) for number, each in again.numbered()] == [("w26:1:1", full.ref)]
    assert again.find_numbered(full.ref) == found
    assert again.offline_classes == [0, 366 * 86_400]
    (bare,) = again.find(plain.hash)
    assert (bare.holder, bare.pin, bare.duress_pin, bare.uses, bare.offline_s) == (None,) * 5
    again.apply(delta(again, gone=(at_once, full)))
    assert (again.offline_classes, list(again.numbered())) == ([], [])
    again.close()


def test_a_row_that_changes_is_found_at_every_moment(store: CredentialStore) -> None:
    resident = row("w26:1:1", "all")
    store.replace(whole_set(1, RULES, resident))
    stop, missed = threading.Event(), []

    def look_up() -> None:
        while not stop.is_set():
            if len(store.find(resident.hash)) != 1:
                missed.append(1)

    looking = threading.Thread(target=look_up)
    looking.start()
    for number in range(60):
        changed = resident.model_copy(update={"uses": number % 7 + 1})
        store.apply(delta(store, changed, gone=(resident,)))
        resident = changed
    stop.set()
    looking.join()

    assert not missed


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be opened"):
        CredentialStore(tmp_path / "missing" / "credentials.db", CARD_KEY)


def test_only_the_owner_may_read_the_file(store: CredentialStore, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


KILLED = """
import sys
from pathlib import Path
from edge.access.store import CredentialStore
from tests.support.doors import CARD_KEY, row, rules_for, whole_set
store = CredentialStore(Path(sys.argv[1]), CARD_KEY)
rows = [[row(f"w26:{k}:{n}", "all", ref=1000 * k + n) for n in range(800)] for k in (1, 2)]
sets = [whole_set(0, rules_for("d1"), *each) for each in rows]
print("ready", flush=True)
version = store.head().version
while True:
    version += 1
    store.replace(sets[version % 2].model_copy(update={"version": version}))
    print(version, flush=True)
"""


def test_a_kill_at_any_moment_leaves_one_whole_set(path: Path) -> None:
    for pause_s in (0.0, 0.011, 0.023, 0.037, 0.05):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
        lines: list[str] = []
        assert process.stdout.readline() == "ready\n"
        first = process.stdout.readline()
        timer = threading.Timer(pause_s, process.send_signal, (signal.SIGKILL,))
        timer.start()
        lines = [first, *process.stdout]
        process.wait()
        process.stdout.close()
        timer.join()

        store = CredentialStore(path, CARD_KEY)

        assert store.fault is None
        head = store.head()
        assert head.version >= int(lines[-1])
        assert head.rows == 800
        store.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=4, unique_by=lambda s: s[0]),
        max_size=6,
    )
)
def test_deltas_lead_where_a_snapshot_leads(tmp_path: Path, steps: list[list[tuple[int, int, bool]]]) -> None:
    path = tmp_path / f"{uuid.uuid4()}.db"
    store = CredentialStore(path, CARD_KEY)
    store.replace(whole_set(1, RULES))
    model: dict[uuid.UUID, CredentialRow] = {}

    for step in steps:
        gone, come = [], []
        for ref, card, remove in step:
            new = row(f"w26:1:{card}", "all", ref=ref)
            gone += [model.pop(new.ref)] if new.ref in model else []
            if not remove:
                come.append(new)
        store.apply(delta(store, *come, gone=tuple(gone)))
        model |= {each.ref: each for each in come}

    expected = whole_set(1, RULES, *model.values())
    store.close()
    again = CredentialStore(path, CARD_KEY)
    for reader in (store, again):
        assert reader.head().digest == expected.digest
        for card in range(4):
            card_hash = row(f"w26:1:{card}").hash
            assert {each.ref for each in reader.find(card_hash)} == {
                each.ref for each in model.values() if each.hash == card_hash
            }
    again.close()


def test_decisions_can_be_looked_up_while_a_set_is_replaced(store: CredentialStore) -> None:
    resident = row("w26:1:1", "all")
    others = [row(f"w26:2:{number}", "all") for number in range(1200)]
    store.replace(whole_set(1, RULES, resident, *others))
    stop, missed = threading.Event(), []

    def look_up() -> None:
        for _ in itertools.takewhile(lambda _: not stop.is_set(), itertools.count()):
            if not store.find(resident.hash):
                missed.append(1)

    looking = threading.Thread(target=look_up)
    looking.start()
    for version in range(2, 6):
        store.replace(whole_set(version, RULES, resident, *others))
    stop.set()
    looking.join()

    assert not missed
