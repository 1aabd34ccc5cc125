"""People through a door against its own grants, and the causes of an opening that are no alarm; on made-up tracks."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.door_news import MOST_WAITING
from protocols.access_events import (
    AccessDenied,
    AccessGranted,
    AccessMethod,
    DenialReason,
    DoorClosed,
    DoorForced,
    DoorMode,
    DoorModeChanged,
    DoorOpened,
    DoorReleased,
    GrantReason,
    ModeCause,
    ReleaseCause,
)
from protocols.camera_events import PersonPassedUnbidden, PersonTailgated
from tests.edge.video.rules.scenes import LEFT_HALF, NOON, Scene, at

HOLDER = UUID("017f22e2-79b0-7cc3-98c4-dc0c0c073991")


def rule(**more: Any) -> dict[str, Any]:
    place = {} if "zone" in more else {"line": "l-door", "direction": "in"}
    return {"id": "r", "kind": "tailgating", "door": "d-east", "cool_down_s": 5.0, **place, **more}


def granted(reader: str = "r-in", reason: GrantReason = GrantReason.VALID) -> AccessGranted:
    return AccessGranted(
        reader=reader, method=AccessMethod.CARD, credential=HOLDER, policy_version=1, decision_us=9, reason=reason
    )


def scene_of(**more: Any) -> Scene:
    """A scene that has watched long enough to know what was granted."""
    scene = Scene(rule(**more))
    scene.stay(15.0, every_s=1.0)
    return scene


def come_in(scene: Scene, track: int) -> None:
    """Two seconds' walk over the line, crossing it after one."""
    scene.walk(0.4, 0.6, track=track)
    scene.see(ended=(track,))


def settle(scene: Scene) -> None:
    scene.stay(8.0, every_s=1.0)


def test_each_grant_lets_one_person_in() -> None:
    scene = scene_of()
    for track in (1, 2, 3):
        scene.door(granted())
        scene.door(DoorOpened(cause=ReleaseCause.CREDENTIAL))
        come_in(scene, track)
        scene.door(DoorClosed(open_s=2.0))
        settle(scene)
    assert scene.findings == []


def test_two_on_one_grant_are_one_too_many() -> None:
    scene = scene_of()
    begun_s = scene.at_s
    scene.door(granted())
    for i in range(11):
        x = 0.4 + 0.02 * i
        scene.see(at(x), at(x - 0.1, track=2))
    scene.walk(0.52, 0.6, track=2)
    settle(scene)
    [told] = scene.of(PersonTailgated)
    assert (told.door, told.persons, told.grants, told.track) == ("d-east", 2, 1, 2)
    assert told.since.timestamp() == pytest.approx(NOON + begun_s + 1.4, abs=0.01), "when the first of them came in"
    crossed_s = begun_s + 2.4
    assert scene.times == [pytest.approx(crossed_s + 3.0, abs=1.0)], "three seconds later, for a late card"


def test_nobody_let_in_is_passing_without_a_credential() -> None:
    scene = scene_of()
    come_in(scene, 1)
    settle(scene)
    [told] = scene.of(PersonPassedUnbidden)
    assert (told.persons, told.grants) == (1, 0)


def test_a_forced_door_excuses_nobody() -> None:
    scene = scene_of()
    scene.door(DoorForced())
    come_in(scene, 1)
    settle(scene)
    assert len(scene.of(PersonPassedUnbidden)) == 1


def test_a_second_card_a_moment_after_its_holder_came_in_counts() -> None:
    scene = scene_of()
    scene.door(granted())
    come_in(scene, 1)
    come_in(scene, 2)
    scene.door(granted())
    settle(scene)
    assert scene.findings == []


def test_an_old_grant_lets_nobody_in() -> None:
    scene = scene_of()
    scene.door(granted())
    scene.stay(12.0, every_s=1.0)
    come_in(scene, 1)
    settle(scene)
    assert len(scene.of(PersonPassedUnbidden)) == 1


def test_grants_of_another_door_do_not_count() -> None:
    scene = scene_of()
    scene.door(granted(), door="d-north")
    come_in(scene, 1)
    settle(scene)
    assert len(scene.of(PersonPassedUnbidden)) == 1


@pytest.mark.parametrize(
    "cause",
    [
        ReleaseCause.REQUEST_TO_EXIT,
        ReleaseCause.COMMAND,
        ReleaseCause.DEVICE,
        ReleaseCause.FREE_PASSAGE,
        ReleaseCause.UNKNOWN,
    ],
)
def test_a_door_opened_for_another_cause_is_no_alarm_while_it_is_open(cause: ReleaseCause) -> None:
    scene = scene_of()
    scene.door(DoorReleased(cause=cause))
    scene.door(DoorOpened(cause=cause))
    scene.stay(30.0, every_s=1.0)
    come_in(scene, 1)
    come_in(scene, 2)
    scene.door(DoorClosed(open_s=35.0))
    come_in(scene, 3)  # came through as it fell shut
    settle(scene)
    assert scene.findings == []
    come_in(scene, 4)
    settle(scene)
    assert [told.track for told in scene.of(PersonPassedUnbidden)] == [4]


def test_going_out_is_never_counted() -> None:
    scene = scene_of(strict_exit=True)
    scene.door(DoorReleased(cause=ReleaseCause.REQUEST_TO_EXIT))
    scene.walk(0.7, 0.3)
    settle(scene)
    assert scene.findings == []


def test_a_strict_rule_tells_who_slips_in_while_somebody_goes_out() -> None:
    scene = scene_of(strict_exit=True)
    scene.door(DoorReleased(cause=ReleaseCause.REQUEST_TO_EXIT))
    scene.door(DoorOpened(cause=ReleaseCause.REQUEST_TO_EXIT))
    scene.walk(0.7, 0.3)
    come_in(scene, 2)
    settle(scene)
    assert [told.track for told in scene.of(PersonPassedUnbidden)] == [2]


def test_a_grant_at_the_reader_that_leads_out_lets_nobody_in_and_excuses_as_the_button_does() -> None:
    for strict, told in ((False, 0), (True, 1)):
        scene = scene_of(readers=["r-in"], strict_exit=strict)
        scene.door(granted(reader="r-out"))
        come_in(scene, 1)
        settle(scene)
        assert len(scene.findings) == told


def test_a_door_that_stands_free_lets_everybody_in_until_it_no_longer_does() -> None:
    scene = scene_of()
    scene.door(DoorModeChanged(mode=DoorMode.FREE, cause=ModeCause.SCHEDULE))
    come_in(scene, 1)
    scene.door(granted(reason=GrantReason.FREE_PASSAGE))
    scene.stay(100.0, every_s=1.0)
    come_in(scene, 2)
    scene.door(DoorModeChanged(mode=DoorMode.NORMAL, cause=ModeCause.SCHEDULE))
    settle(scene)
    come_in(scene, 3)
    settle(scene)
    assert [told.track for told in scene.of(PersonPassedUnbidden)] == [3]


def test_where_a_door_wants_two_persons_two_come_in() -> None:
    scene = scene_of()
    denied = AccessDenied(
        reader="r-in",
        method=AccessMethod.CARD,
        reason=DenialReason.SECOND_PERSON_MISSING,
        policy_version=1,
        decision_us=9,
    )
    scene.door(denied)
    scene.stay(4.0, every_s=1.0)
    scene.door(granted())
    come_in(scene, 1)
    come_in(scene, 2)
    settle(scene)
    assert scene.findings == []
    come_in(scene, 3)
    settle(scene)
    assert len(scene.findings) == 1


def test_several_without_a_grant_are_one_event() -> None:
    scene = scene_of()
    for i in range(11):
        scene.see(*(at(0.4 + 0.02 * i, foot=0.5 + 0.1 * n, track=n) for n in range(1, 5)))
    settle(scene)
    [told] = scene.of(PersonPassedUnbidden)
    assert told.persons == 4


def test_with_a_zone_those_count_who_appear_in_it() -> None:
    scene = scene_of(zone="z-left")
    scene.stay(1.0, at(0.2))
    scene.see(ended=(1,))
    settle(scene)
    assert [told.track for told in scene.of(PersonPassedUnbidden)] == [1]


def test_who_walks_up_to_the_door_from_inside_has_not_come_through_it() -> None:
    scene = scene_of(zone="z-left")
    scene.walk(0.9, 0.2)
    scene.stay(2.6)
    scene.see(ended=(1,))
    scene.stay(2.0, at(0.2, track=2))  # found again
    settle(scene)
    assert scene.findings == []


def test_nothing_is_told_of_those_who_were_let_in_before_the_rule_began() -> None:
    scene = Scene(rule())
    come_in(scene, 1)
    settle(scene)
    assert scene.findings == []


def test_outside_its_hours_nothing_is_told_and_nothing_is_made_up_for() -> None:
    scene = Scene(rule(hours=["wed 12:01-24:00"]))
    scene.stay(45.0, every_s=1.0)
    come_in(scene, 1)
    scene.stay(30.0, every_s=1.0)
    assert scene.findings == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_as_many_are_told_as_were_not_let_in(has_card: list[bool]) -> None:
    """One after another, far apart: exactly those without a card."""
    scene = scene_of(cool_down_s=0.0)
    for track, card in enumerate(has_card, 1):
        if card:
            scene.door(granted())
        come_in(scene, track)
        scene.stay(14.0, every_s=2.0)
    assert [told.track for told in scene.of(PersonPassedUnbidden)] == [
        track for track, card in enumerate(has_card, 1) if not card
    ]


def test_the_outbox_has_what_the_rule_hears_and_a_listener_that_sleeps_loses_the_oldest() -> None:
    scene = Scene(rule(), zones=[LEFT_HALF])
    for _ in range(MOST_WAITING + 7):
        scene.door(granted())
    scene.door(DoorForced())
    assert len(scene.recorded) == MOST_WAITING + 8
    assert scene.engine.news_lost == 7
    scene.see()
    scene.engine.close()
    scene.door(granted())
    assert scene.engine.news_lost == 7
