"""Forbidden zones and hours, loitering, two-wheelers, standing vehicles and crowds, on made-up tracks."""

from datetime import date, datetime

import pytest

from protocols.camera_events import (
    CrowdFormed,
    PersonIntruded,
    PersonLoitered,
    TwoWheelerInside,
    VehicleIntruded,
    VehicleStood,
)
from protocols.event_data import VehicleKind
from protocols.rules import SpecialDay, Weekday
from tests.edge.video.rules.scenes import NOON, SHANGHAI, Scene, at


def forbidden(**more: object) -> dict[str, object]:
    return {"id": "r", "kind": "forbidden", "zone": "z-left", "min_s": 1.0, "cool_down_s": 0, **more}


def test_a_person_in_a_forbidden_zone_is_told_once_after_the_minimum_time() -> None:
    scene = Scene(forbidden())
    scene.stay(1.0, at(0.7))  # outside
    scene.stay(10.0, at(0.2))
    [told] = scene.of(PersonIntruded)
    assert (told.rule, told.zone, told.track) == ("r", "z-left", 1)
    assert scene.times == [pytest.approx(2.0)]
    assert told.since == datetime.fromtimestamp(NOON + 1.0, tz=told.since.tzinfo)
    assert (told.box.left, told.box.bottom) == (pytest.approx(0.2 - 0.045), 0.8)


def test_passing_through_for_a_moment_is_nothing() -> None:
    scene = Scene(forbidden())
    scene.stay(0.8, at(0.2))
    scene.stay(5.0, at(0.7))
    assert scene.findings == []


def test_who_leaves_and_comes_back_is_told_again() -> None:
    scene = Scene(forbidden())
    for _ in range(2):
        scene.stay(3.0, at(0.2))
        scene.stay(3.0, at(0.7))
    assert len(scene.of(PersonIntruded)) == 2


def test_a_box_that_trembles_on_the_border_is_one_visit() -> None:
    scene = Scene(forbidden())
    for i in range(100):
        scene.see(at(0.49 if i % 3 else 0.51))
    assert len(scene.of(PersonIntruded)) == 1


def test_a_second_person_in_the_cool_down_is_told_when_it_is_over_if_still_there() -> None:
    scene = Scene(forbidden(cool_down_s=30))
    scene.stay(5.0, at(0.1))
    scene.stay(40.0, at(0.1), at(0.3, track=2))
    assert [told.track for told in scene.of(PersonIntruded)] == [1, 2]
    assert scene.times == [pytest.approx(1.0), pytest.approx(31.0)]


def test_only_the_classes_named_are_told_and_without_a_zone_the_whole_picture_counts() -> None:
    scene = Scene(forbidden(zone=None, classes=["truck", "bicycle"]))
    scene.stay(3.0, at(0.9), at(0.2, track=2, what="truck"), at(0.8, track=3, what="car"))
    assert [(told.track, told.kind) for told in scene.of(VehicleIntruded)] == [(2, VehicleKind.TRUCK)]
    assert scene.of(PersonIntruded) == []


def test_vehicle_means_everything_on_wheels() -> None:
    scene = Scene(forbidden(classes=["vehicle"]))
    scene.stay(2.0, *(at(0.2, track=i, what=what) for i, what in enumerate(("car", "bus", "bicycle", "person"), 1)))
    assert [told.kind.value for told in scene.of(VehicleIntruded)] == ["car", "bus", "bicycle"]


def test_hours_begin_by_the_wall_of_the_site() -> None:
    """In Shanghai: somebody is there from 21:59:50, and nobody may be from 22:00 on."""
    begin = datetime(2026, 5, 6, 21, 59, 50, tzinfo=SHANGHAI).timestamp()
    scene = Scene(forbidden(hours=["mon-sun 22:00-06:00"]), begin=begin)
    scene.stay(30.0, at(0.2))
    assert scene.times == [pytest.approx(10.0)]
    assert scene.of(PersonIntruded)[0].since.timestamp() == begin


def test_holidays_count_by_the_calendar_of_the_hub() -> None:
    holiday = SpecialDay(day=date(2026, 5, 6), counts_as=Weekday.HOLIDAY)
    plain = Scene(forbidden(hours=["holiday 00:00-24:00"]))
    feast = Scene(forbidden(hours=["holiday 00:00-24:00"]), special_days=(holiday,))
    for scene in (plain, feast):
        scene.stay(3.0, at(0.2))
    assert (len(plain.findings), len(feast.findings)) == (0, 1)


def loitering(**more: object) -> dict[str, object]:
    return {"id": "r", "kind": "loitering", "zone": "z-left", "min_s": 60.0, **more}


def test_a_loiterer_is_told_after_a_minute_whatever_the_frame_rate() -> None:
    for every_s in (0.1, 0.2, 2.0):
        scene = Scene(loitering())
        scene.stay(100.0, at(0.2), every_s=every_s)
        assert scene.times == [pytest.approx(60.0, abs=every_s)], every_s
        assert scene.of(PersonLoitered)[0].dwell_s == pytest.approx(60.0, abs=every_s)


def test_a_loiterer_survives_a_lost_track_of_a_few_seconds() -> None:
    scene = Scene(loitering())
    scene.stay(30.0, at(0.2))
    scene.stay(2.6)  # hidden: the tracker gives up
    scene.see(ended=(1,))
    scene.stay(40.0, at(0.23, track=2))
    [told] = scene.of(PersonLoitered)
    assert told.track == 2
    assert scene.times == [pytest.approx(60.0, abs=0.2)]
    assert told.since.timestamp() == NOON


def test_a_new_track_beside_one_that_has_just_been_lost_goes_on_for_it() -> None:
    """The tracker confirms the new one before it gives the old one up."""
    scene = Scene(loitering())
    scene.stay(30.0, at(0.2))
    scene.stay(0.8)
    scene.stay(2.0, at(0.21, track=2))
    scene.see(at(0.21, track=2), ended=(1,))
    scene.stay(40.0, at(0.21, track=2))
    assert scene.times == [pytest.approx(60.0, abs=0.2)]


@pytest.mark.parametrize(
    ("hidden_s", "x", "height", "why"),
    [
        (9.0, 0.2, 0.3, "away for too long"),
        (2.6, 0.48, 0.1, "too small to be the same"),
        (2.6, 0.2, 0.6, "too large to be the same"),
    ],
)
def test_who_comes_elsewhere_or_later_is_somebody_else(hidden_s: float, x: float, height: float, why: str) -> None:
    scene = Scene(loitering())
    scene.stay(40.0, at(0.2))
    scene.stay(hidden_s)
    scene.see(ended=(1,))
    scene.stay(40.0, at(x, track=2, height=height))
    assert scene.findings == [], why


def test_who_was_lost_at_the_edge_of_the_picture_has_left() -> None:
    scene = Scene(loitering())
    scene.stay(40.0, at(0.01))
    scene.stay(2.6)
    scene.see(ended=(1,))
    scene.stay(40.0, at(0.01, track=2))
    assert scene.findings == []


def test_who_comes_in_where_another_went_out_is_somebody_else_though_the_tracker_still_waits_for_that_one() -> None:
    scene = Scene(loitering())
    scene.stay(40.0, at(0.01))
    scene.stay(1.0)
    scene.stay(40.0, at(0.02, track=2))
    assert scene.findings == []


def test_who_comes_beside_somebody_missed_for_one_look_is_somebody_else() -> None:
    scene = Scene(loitering(cool_down_s=0))
    scene.stay(40.0, at(0.2))
    scene.see(at(0.25, track=2))
    scene.stay(70.0, at(0.2), at(0.25, track=2))
    assert scene.times == [pytest.approx(60.0, abs=0.2), pytest.approx(100.0, abs=0.2)]
    assert [told.track for told in scene.of(PersonLoitered)] == [1, 2]


def test_a_track_that_comes_back_after_another_took_its_place_is_somebody_new() -> None:
    scene = Scene(loitering())
    scene.stay(40.0, at(0.2))
    scene.stay(1.0)
    scene.stay(1.0, at(0.25, track=2))  # taken for number 1
    scene.stay(30.0, at(0.25, track=2), at(0.2, track=1))
    assert [told.track for told in scene.of(PersonLoitered)] == [2], "one of the two stood here for a minute"


def test_two_who_stand_together_both_loiter_each_in_his_own_time() -> None:
    scene = Scene(loitering(cool_down_s=0))
    scene.stay(20.0, at(0.1))
    scene.stay(70.0, at(0.1), at(0.2, track=2))
    assert [told.track for told in scene.of(PersonLoitered)] == [1, 2]
    assert scene.times == [pytest.approx(60.0, abs=0.2), pytest.approx(80.0, abs=0.2)]


def test_time_alone_makes_a_loiterer_between_two_looks_and_no_ghost() -> None:
    scene = Scene(loitering())
    scene.stay(58.0, at(0.2))
    scene.stay(3.0, every_s=1.0)  # nothing was analysed
    assert scene.times == [pytest.approx(60.0, abs=1.0)]
    ghost = Scene(loitering())
    ghost.stay(50.0, at(0.2))
    ghost.stay(60.0, every_s=1.0)  # not seen for so long that nobody knows
    assert ghost.findings == []


def test_a_lost_camera_ends_every_stay() -> None:
    scene = Scene(loitering())
    scene.stay(50.0, at(0.2))
    scene.engine.lose()
    scene.stay(50.0, at(0.2, track=2))
    assert scene.findings == []


def test_a_two_wheeler_in_the_lift_is_told_and_its_rider_is_not() -> None:
    scene = Scene({"id": "r", "kind": "two_wheeler"}, zones=(), lines=())
    scene.stay(3.0, at(0.5, what="motorcycle"), at(0.5, track=2), at(0.9, track=3, what="car"))
    assert [told.kind for told in scene.of(TwoWheelerInside)] == [VehicleKind.MOTORCYCLE]
    assert scene.times == [pytest.approx(1.0)]
    assert len(scene.findings) == 1


def standing(**more: object) -> dict[str, object]:
    return {"id": "r", "kind": "standing", "zone": "z-left", "min_s": 30.0, **more}


def test_a_vehicle_that_stands_is_told_once_a_visit_however_long() -> None:
    scene = Scene(standing())
    scene.walk(0.1, 0.3, what="car", step=0.01)  # drives in for 4 s
    stands_s = scene.at_s
    scene.stay(300.0, at(0.3, what="car"), every_s=2.0)
    [told] = scene.of(VehicleStood)
    assert scene.times == [pytest.approx(stands_s + 30.0, abs=3.0)]
    assert told.still_s == pytest.approx(30.0, abs=3.0)
    assert told.kind is VehicleKind.CAR
    assert told.since.timestamp() == pytest.approx(NOON + stands_s, abs=3.0)


def test_a_vehicle_that_crawls_does_not_stand() -> None:
    scene = Scene(standing())
    for i in range(400):
        scene.see(at(0.05 + 0.001 * i, what="car"))
    assert scene.findings == []


def test_a_standing_vehicle_that_is_hidden_for_a_moment_is_one_visit() -> None:
    scene = Scene(standing())
    scene.stay(40.0, at(0.3, what="car"), every_s=2.0)
    scene.stay(3.0)
    scene.see(ended=(1,))
    scene.stay(100.0, at(0.3, track=2, what="truck"), every_s=2.0)
    assert len(scene.of(VehicleStood)) == 1


def crowd(**more: object) -> dict[str, object]:
    return {"id": "r", "kind": "crowd", "zone": "z-left", "persons": 3, "min_s": 5.0, "cool_down_s": 60.0, **more}


def several(count: int, first: int = 1) -> list[object]:
    return [at(0.1 + 0.08 * i, track=first + i) for i in range(count)]


def test_a_crowd_is_told_once_with_how_many_and_since_when() -> None:
    scene = Scene(crowd())
    scene.stay(10.0, *several(2))
    scene.stay(120.0, *several(4))
    [told] = scene.of(CrowdFormed)
    assert (told.count, told.zone) == (4, "z-left")
    assert scene.times == [pytest.approx(15.0)]
    assert told.since.timestamp() == pytest.approx(NOON + 10.0)
    assert told.box.left < 0.1 < 0.34 < told.box.right


def test_one_who_is_hidden_for_a_moment_does_not_dissolve_a_crowd() -> None:
    scene = Scene(crowd())
    for _ in range(3):
        scene.stay(2.0, *several(3))
        scene.stay(1.0, *several(2))
    assert len(scene.of(CrowdFormed)) == 1


def test_people_outside_the_zone_or_one_after_another_are_no_crowd() -> None:
    scene = Scene(crowd())
    scene.stay(20.0, at(0.2), at(0.4, track=2), at(0.8, track=3))
    for i in range(10):
        scene.stay(4.0, *several(2, first=10 * i + 10))
        scene.see(ended=(10 * i + 10, 10 * i + 11))
    assert scene.findings == []


def test_a_second_crowd_waits_for_the_cool_down() -> None:
    scene = Scene(crowd())
    scene.stay(10.0, *several(3))
    scene.stay(10.0, *several(1))
    scene.stay(60.0, *several(3))
    assert scene.times == [pytest.approx(5.0), pytest.approx(65.0)]
    assert scene.of(CrowdFormed)[1].since.timestamp() == pytest.approx(NOON + 20.0, abs=0.3)
