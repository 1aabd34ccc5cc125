"""The credential set's models: what they refuse, and that the moved digest is the digest of the moved set."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.credentials import CredentialRow, Delta, moved_digest, total_digest
from protocols.rules import DoorGroup, Interval, Rules, Schedule

shares = st.lists(st.integers(0, 2**256 - 1), max_size=6)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive bounds
rows = st.builds(
    CredentialRow,
    ref=st.uuids(),
    hash=st.binary(min_size=16, max_size=16).map(bytes.hex),
    not_before=st.none() | instants,
    not_after=st.none() | instants,
    groups=st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3).map(tuple),
)


@given(kept=shares, gone=shares, come=shares)
def test_a_moved_digest_is_the_digest_of_the_moved_set(kept: list[int], gone: list[int], come: list[int]) -> None:
    assert moved_digest(total_digest([*kept, *gone]), gone, come) == total_digest([*come, *kept])


@given(rows)
def test_a_rows_digest_survives_the_wire_and_any_time_zone(row: CredentialRow) -> None:
    shanghai = timezone(timedelta(hours=8))
    moved = row.model_copy(update={"not_after": row.not_after and row.not_after.astimezone(shanghai)})

    assert CredentialRow.model_validate_json(row.model_dump_json()).digest() == row.digest()
    assert moved.digest() == row.digest()
    assert row.model_copy(update={"groups": row.groups[::-1]}).digest() == row.digest()


@given(rows, rows)
def test_different_rows_have_different_digests(one: CredentialRow, other: CredentialRow) -> None:
    assert (one.digest() == other.digest()) == (
        one.model_copy(update={"groups": tuple(sorted(one.groups))})
        == other.model_copy(update={"groups": tuple(sorted(other.groups))})
    )


def test_an_interval_ends_after_it_begins_within_one_day() -> None:
    assert Interval(weekday=6, since=0, until=1440)
    for since, until in ((600, 600), (601, 600), (0, 1441), (-1, 5)):
        with pytest.raises(ValidationError):
            Interval(weekday=0, since=since, until=until)


def test_a_door_group_needs_its_schedule() -> None:
    with pytest.raises(ValidationError, match="which is not there"):
        Rules(groups=(DoorGroup(id="all", doors=("d1",), schedule="always"),))
    rules = Rules(
        schedules=(Schedule(id="always", intervals=()),),
        groups=(DoorGroup(id="all", doors=("d1",), schedule="always"),),
    )
    assert Rules.model_validate_json(rules.model_dump_json()).digest() == rules.digest()


def test_a_delta_leads_to_a_higher_version() -> None:
    for since, version in ((3, 3), (4, 3)):
        with pytest.raises(ValidationError, match="higher version"):
            Delta(since=since, version=version, digest="0" * 64)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        CredentialRow(ref=uuid.uuid4(), hash="0" * 32, not_after=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
