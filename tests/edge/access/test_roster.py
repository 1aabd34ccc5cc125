"""The list of a device: who is in it, where and when, and who is left to the gateway."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from edge.access.drivers.interface import RosterEntry
from edge.access.roster import roster_of
from protocols.cards import parse_text
from protocols.credentials import Delta, moved_digest
from protocols.rules import DoorGroup, DoorRule, Interval, Rules, Schedule, SpecialDay, Weekday
from tests.support.deciding import Deciding, card_row
from tests.support.doors import ALWAYS, ZONE

TODAY = date(2026, 3, 4)
READERS = {"b1": "d1", "b2": "d2"}
OFFICE = Schedule(
    id="office",
    intervals=(
        *(Interval(weekday=day, since=540, until=1080) for day in range(5)),
        Interval(weekday=Weekday.HOLIDAY, since=600, until=660),
    ),
    heeds_holidays=True,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Deciding]:
    made = Deciding(tmp_path)
    yield made
    made.close()


def rules(*doors: DoorRule, special: tuple[SpecialDay, ...] = ()) -> Rules:
    groups = (DoorGroup(id="all", doors=("d1", "d2"), schedule="always"),)
    staff = (DoorGroup(id="staff", doors=("d1",), schedule="office"), DoorGroup(id="far", doors=(), schedule="always"))
    kept = {rule.door for rule in doors}
    plain = (DoorRule(door=door, keeps_list=True) for door in ("d1", "d2") if door not in kept)
    return Rules(schedules=(ALWAYS, OFFICE), groups=groups + staff, doors=(*doors, *plain), special_days=special)


def numbered(text: str, *groups: str, **more: object) -> object:
    return card_row(text, *groups, number=text, **more)


def entries(site: Deciding, silent_s: float = 0.0) -> dict[str, RosterEntry]:
    roster = roster_of(site.store, READERS, ZONE, TODAY, silent_s)
    return {entry.card.text: entry for entry in roster.entries}


def test_an_entry_says_who_where_and_when(site: Deciding) -> None:
    end = datetime(2026, 7, 1, 12, 0, 0, 5, tzinfo=UTC)
    tenant = numbered("w26:1:1", "all", "staff", not_after=end)
    site.permit(rules(), tenant)

    (entry,) = entries(site).values()

    assert (entry.credential, entry.card) == (tenant.ref, parse_text("w26:1:1"))
    assert (entry.since, entry.until, entry.until.tzinfo) == (None, end, ZONE)
    assert entry.schedules == (("b1", "always"), ("b1", "office"), ("b2", "always"))


def test_whoever_the_device_cannot_judge_is_not_in_its_list(site: Deciding) -> None:
    site.permit(
        rules(),
        numbered("w26:1:1", "all"),
        numbered("w26:1:2", "far"),
        numbered("w26:1:3", "all", uses=3),
        numbered("w26:1:4", "all", offline_s=60),
        card_row("w26:1:5", "all"),
        card_row("w26:1:6", "all", number="no card"),
    )

    assert set(entries(site)) == {"w26:1:1", "w26:1:4"}
    assert set(entries(site, silent_s=61.0)) == {"w26:1:1"}


@pytest.mark.parametrize(
    "fields",
    [{"methods": ("card_pin",)}, {"methods": ("pin",)}, {"two_persons": True}, {"first_card": "always"}],
)
def test_a_door_that_asks_for_more_than_a_card_is_not_in_the_list(site: Deciding, fields: dict[str, object]) -> None:
    asking = DoorRule.model_validate({"door": "d1", "keeps_list": True} | fields)
    site.permit(rules(asking), numbered("w26:1:1", "all"))

    assert entries(site)["w26:1:1"].schedules == (("b2", "always"),)


def test_a_door_whose_device_keeps_no_list_has_none(site: Deciding) -> None:
    site.permit(rules(DoorRule(door="d1"), DoorRule(door="d2")), numbered("w26:1:1", "all"))

    assert entries(site) == {}


def test_the_week_of_a_schedule_is_that_of_the_coming_days(site: Deciding) -> None:
    holiday = SpecialDay(day=TODAY + timedelta(days=1), counts_as=Weekday.HOLIDAY)
    workday = SpecialDay(day=date(2026, 3, 7), counts_as=Weekday.MONDAY)
    later = SpecialDay(day=TODAY + timedelta(days=7), counts_as=Weekday.HOLIDAY)
    site.permit(rules(special=(holiday, workday, later)), numbered("w26:1:1", "staff"))

    roster = roster_of(site.store, READERS, ZONE, TODAY)

    office = dict.fromkeys((0, 1, 2, 4, 5), (540, 1080)) | {3: (600, 660)}
    assert roster.schedules == {"office": tuple((day, *office[day]) for day in sorted(office))}


def test_a_change_of_the_policy_changes_the_list(site: Deciding) -> None:
    mine, yours = numbered("w26:1:1", "all"), numbered("w26:1:2", "all")
    site.permit(rules(), mine, yours)
    moved = mine.model_copy(update={"groups": ("staff",)})
    digest = moved_digest(site.store.head().digest, [mine.digest(), yours.digest()], [moved.digest()])

    site.store.apply(Delta(since=1, version=2, digest=digest, upsert=(moved,), remove=(yours.ref,)))

    assert {text: entry.schedules for text, entry in entries(site).items()} == {"w26:1:1": (("b1", "office"),)}
