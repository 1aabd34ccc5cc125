"""Reading a whole set row by row: the same as in one piece, for any set and spacing; and nothing else gets through."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.access.snapshot import Snapshot, read_snapshot
from edge.access.store import CredentialStore, SetRefused
from protocols.base import ProtocolError
from protocols.credentials import CredentialRow, CredentialSet
from tests.support.doors import CARD_KEY, row, rules_for, whole_set

RULES = rules_for("d1")
hashes = st.binary(min_size=16, max_size=16).map(bytes.hex)
rows = st.builds(
    CredentialRow,
    ref=st.uuids(),
    hash=hashes,
    not_after=st.none() | st.datetimes(timezones=st.timezones()),
    groups=st.lists(st.sampled_from(["all", "closed"]), max_size=3).map(tuple),
    holder=st.none() | hashes,
    uses=st.none() | st.integers(1, 10_000),
    number=st.none() | st.text(max_size=20).map(str.strip),
)


@settings(max_examples=60, deadline=None)
@given(given_rows=st.lists(rows, max_size=8), indent=st.none() | st.integers(0, 3), ascii_only=st.booleans())
def test_any_set_is_read_as_in_one_piece(given_rows: list[CredentialRow], indent: int | None, ascii_only: bool) -> None:
    whole = whole_set(3, RULES, *given_rows)
    body = json.dumps(whole.model_dump(mode="json"), indent=indent, ensure_ascii=ascii_only).encode()

    read = read_snapshot(body)

    assert isinstance(read, Snapshot)
    assert (read.version, read.digest, read.rules) == (whole.version, whole.digest, whole.rules)
    assert tuple(read.rows) == CredentialSet.model_validate_json(body).rows
    assert tuple(read.rows) == tuple(read.rows)


def test_a_set_whose_rows_do_not_come_last_is_read_as_well() -> None:
    whole = whole_set(3, RULES, row("w26:1:1", "all"))
    dump = whole.model_dump(mode="json")
    body = json.dumps({"rows": dump.pop("rows")} | dump).encode()

    assert tuple(read_snapshot(body).rows) == whole.rows


GOOD = whole_set(3, RULES, row("w26:1:1", "all", ref=1)).model_dump_json()


@settings(max_examples=300, deadline=None)
@example(b"")
@example(b"[" * 100_000)
@example(b'{"version":1,"rows":[')
@example(b'{"a":' * 50_000)
@example(b"\xff")
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0rows \\', max_size=60).map(str.encode))
def test_bytes_that_are_no_set_are_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(read_snapshot(body).rows)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(GOOD) - 1), with_what=st.sampled_from(["", "x", '"', "]", "}", ",", "0", "\\"]))
def test_a_set_with_one_wrong_character_is_refused_or_still_a_set(at: int, with_what: str) -> None:
    text = GOOD[:at] + with_what + GOOD[at + 1 :]
    try:
        list(read_snapshot(text.encode()).rows)
    except ProtocolError:
        return
    json.loads(text)


@pytest.mark.parametrize("cut", [1, 2, 30, 200])
def test_a_set_that_is_cut_off_changes_nothing(tmp_path: Path, cut: int) -> None:
    store = CredentialStore(tmp_path / "credentials.db", CARD_KEY)
    store.replace(whole_set(1, RULES, row("w26:1:2", "all")))
    before = store.head()

    with pytest.raises(ProtocolError):
        store.replace(read_snapshot(GOOD[:-cut].encode()))

    assert store.head() == before
    store.replace(read_snapshot(GOOD.encode()))
    assert store.head().version == 3
    store.close()


def test_a_set_that_has_a_credential_twice_is_refused(tmp_path: Path) -> None:
    store = CredentialStore(tmp_path / "credentials.db", CARD_KEY)
    twice = whole_set(3, RULES, row("w26:1:1", "all", ref=1), row("w26:1:2", "all", ref=1))

    with pytest.raises(SetRefused, match="twice"):
        store.replace(twice)

    assert store.head().version == 0
    store.close()
