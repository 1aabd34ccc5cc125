"""The decision against a slow reference, and its edges: validity to the microsecond, minutes of the local week."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.access.decision import Decider, Decision
from edge.access.ledgers import Ledgers
from edge.access.presentations import Card, DoorStanding
from edge.access.store import CredentialStore
from protocols.access_events import DenialReason
from protocols.cards import encode_bytes, parse_text
from protocols.credentials import CredentialRow
from protocols.rules import DoorGroup, Interval, Rules, Schedule
from tests.support.deciding import MONDAY_0930, FakeClock, verify
from tests.support.doors import CARD_KEY, ZONE, row, rules_for, whole_set

CARD = "w26:12:345"
Put = Callable[..., CredentialStore]


@pytest.fixture
def put(tmp_path: Path) -> Iterator[Put]:
    """A store with one set in force."""
    made: list[CredentialStore] = []

    def with_set(rules: Rules, *rows: CredentialRow) -> CredentialStore:
        store = CredentialStore(tmp_path / f"{uuid.uuid4()}.db", CARD_KEY)
        store.replace(whole_set(4, rules, *rows))
        made.append(store)
        return store

    yield with_set
    for store in made:
        store.close()


def present(
    store: CredentialStore, moment: datetime, presented: Card, door: str = "d1", zone: ZoneInfo = ZONE
) -> Decision:
    ledgers = Ledgers(None)
    try:
        return Decider(store, ledgers, "g1", verify, FakeClock(moment), zone).decide(
            door, "r1", presented, DoorStanding()
        )
    finally:
        ledgers.close()


def ask(
    store: CredentialStore, moment: datetime, text: str = CARD, door: str = "d1", zone: ZoneInfo = ZONE
) -> Decision:
    card = parse_text(text)
    return present(store, moment, Card(encode_bytes(card), card.bit_count), door, zone)


def test_a_valid_credential_is_granted_under_the_version_in_force(put: Put) -> None:
    resident = row(CARD, "all")

    decision = ask(put(rules_for("d1"), resident), MONDAY_0930)

    assert decision.granted
    assert (decision.reason, decision.credential, decision.policy_version) == (None, resident.ref, 4)


@pytest.mark.parametrize(
    ("bounds", "offset", "reason"),
    [
        ("not_before", -1, DenialReason.NOT_YET_VALID),
        ("not_before", 0, None),
        ("not_after", -1, None),
        ("not_after", 0, DenialReason.EXPIRED),
    ],
)
def test_validity_includes_its_first_moment_and_excludes_its_last(
    put: Put, bounds: str, offset: int, reason: DenialReason | None
) -> None:
    store = put(rules_for("d1"), row(CARD, "all", **{bounds: MONDAY_0930}))

    assert ask(store, MONDAY_0930 + timedelta(microseconds=offset)).reason is reason


@pytest.mark.parametrize(("minute", "granted"), [(539, False), (540, True), (1079, True), (1080, False)])
def test_a_schedule_is_in_the_sites_own_time(put: Put, minute: int, granted: bool) -> None:
    office = Schedule(id="office", intervals=(Interval(weekday=0, since=540, until=1080),))
    rules = Rules(schedules=(office,), groups=(DoorGroup(id="staff", doors=("d1",), schedule="office"),))
    store = put(rules, row(CARD, "staff"))
    moment = datetime(2026, 3, 2, tzinfo=ZONE) + timedelta(minutes=minute)

    assert ask(store, moment.astimezone(UTC)).granted is granted
    assert ask(store, moment + timedelta(days=1)).reason is DenialReason.OUTSIDE_SCHEDULE


def test_a_day_with_a_change_of_clocks_follows_the_wall(put: Put) -> None:
    early = Schedule(id="early", intervals=(Interval(weekday=6, since=180, until=240),))
    rules = Rules(schedules=(early,), groups=(DoorGroup(id="staff", doors=("d1",), schedule="early"),))
    store, berlin = put(rules, row(CARD, "staff")), ZoneInfo("Europe/Berlin")

    assert not ask(store, datetime(2026, 3, 29, 0, 59, tzinfo=UTC), zone=berlin).granted
    assert ask(store, datetime(2026, 3, 29, 1, 0, tzinfo=UTC), zone=berlin).granted  # 03:00, after the leap from 02:00


def test_a_card_handed_on_opens_for_its_new_holder_and_tells_the_furthest_reason_otherwise(put: Put) -> None:
    left = row(CARD, "all", not_after=MONDAY_0930 - timedelta(days=1))
    moved_in, nowhere = row(CARD, "all"), row(CARD, "none")

    assert ask(put(rules_for("d1"), left, moved_in), MONDAY_0930).credential == moved_in.ref
    denied = ask(put(rules_for("d1"), left, nowhere), MONDAY_0930)
    assert (denied.reason, denied.credential) == (DenialReason.NO_RIGHT_AT_DOOR, nowhere.ref)


def test_an_unknown_card_is_told_by_its_hash_and_an_unreadable_one_by_nothing(put: Put) -> None:
    store = put(rules_for("d1"))

    unknown = ask(store, MONDAY_0930)
    unreadable = present(store, MONDAY_0930, Card(b"\xff\xff", 16))

    assert unknown.reason is DenialReason.UNKNOWN_CREDENTIAL
    assert unknown.credential_hash == store.hash_of(parse_text(CARD))
    assert (unreadable.reason, unreadable.credential_hash) == (DenialReason.UNREADABLE, None)


@dataclass(frozen=True)
class Slow:
    """The reference: every rule read out in the order of the reasons."""

    rules: Rules
    row: CredentialRow

    def reason(self, door: str, moment: datetime) -> DenialReason | None:
        if self.row.not_before is not None and moment < self.row.not_before:
            return DenialReason.NOT_YET_VALID
        if self.row.not_after is not None and moment >= self.row.not_after:
            return DenialReason.EXPIRED
        mine = [group for group in self.rules.groups if group.id in self.row.groups and door in group.doors]
        if not mine:
            return DenialReason.NO_RIGHT_AT_DOOR
        local = moment.astimezone(ZONE)
        for group in mine:
            schedule = next(each for each in self.rules.schedules if each.id == group.schedule)
            for interval in schedule.intervals:
                begin = timedelta(minutes=interval.since)
                end = timedelta(minutes=interval.until)
                midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
                if interval.weekday == local.weekday() and begin <= local - midnight < end:
                    return None
        return DenialReason.OUTSIDE_SCHEDULE


intervals = st.tuples(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440)).filter(lambda i: i[1] < i[2])
schedules = st.lists(intervals, max_size=4)
moments = st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 9), timezones=st.just(ZONE))  # noqa: DTZ001 - bounds are naive


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weeks=st.lists(schedules, min_size=2, max_size=2),
    doors=st.lists(st.sets(st.sampled_from(["d1", "d2"])), min_size=2, max_size=2),
    groups=st.sets(st.sampled_from(["g0", "g1", "gone"])),
    bounds=st.tuples(st.none() | moments, st.none() | moments),
    door=st.sampled_from(["d1", "d2"]),
    moment=moments,
)
def test_any_rules_decide_as_the_slow_reference_does(
    put: Put,
    weeks: list[list[tuple[int, int, int]]],
    doors: list[set[str]],
    groups: set[str],
    bounds: tuple[datetime | None, datetime | None],
    door: str,
    moment: datetime,
) -> None:
    rules = Rules(
        schedules=tuple(
            Schedule(
                id=f"s{number}",
                intervals=tuple(Interval(weekday=day, since=since, until=until) for day, since, until in week),
            )
            for number, week in enumerate(weeks)
        ),
        groups=tuple(
            DoorGroup(id=f"g{number}", doors=tuple(sorted(behind)), schedule=f"s{number}")
            for number, behind in enumerate(doors)
        ),
    )
    credential = row(CARD, *sorted(groups), not_before=bounds[0], not_after=bounds[1])

    decision = ask(put(rules, credential), moment, door=door)

    assert decision.reason == Slow(rules, credential).reason(door, moment)
    assert decision.granted == (decision.reason is None)
