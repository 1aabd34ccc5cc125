"""The gears: the table, and what no order of happenings may bring about."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.video.gears import TRANSITIONS, Cue, Gear, Gearbox, Wake

QUIET_S = 4.0
steps = st.lists(
    st.tuples(st.sampled_from(["stir", "moves", "still"]), st.floats(0.0, 3.0), st.sampled_from(Wake)), max_size=60
)


def test_every_gear_answers_every_cue() -> None:
    assert {gear: set(row) for gear, row in TRANSITIONS.items()} == {gear: set(Cue) for gear in Gear}


def test_a_quiet_camera_falls_asleep_and_is_woken() -> None:
    gears = Gearbox(QUIET_S)
    gears.start(100.0)
    assert gears.gear is Gear.WATCHING
    gears.see(moves=True, at_s=100.2)
    assert gears.gear is Gear.DETECTING
    gears.see(moves=False, at_s=101.4)
    assert gears.gear is Gear.WATCHING
    gears.see(moves=False, at_s=104.1)
    assert gears.gear is Gear.WATCHING  # 3.9 s of quiet
    gears.see(moves=False, at_s=104.2)
    assert gears.gear is Gear.ASLEEP
    gears.stir(Wake.CAMERA, 200.0)
    assert gears.gear is Gear.WATCHING
    assert gears.wakes == {Wake.CAMERA: 1}
    assert gears.gear_s == {Gear.WATCHING: pytest.approx(3.0), Gear.DETECTING: pytest.approx(1.2), Gear.ASLEEP: 95.8}


@given(steps)
def test_it_sleeps_only_after_quiet_and_detects_only_what_moves(happenings: list[tuple[str, float, Wake]]) -> None:
    gears, at_s, stirred_s = Gearbox(QUIET_S), 0.0, 0.0
    gears.start(at_s)
    for what, gap_s, why in happenings:
        at_s += gap_s
        if what == "stir":
            before = gears.gear
            gears.stir(why, at_s)
            stirred_s = at_s
            assert gears.gear is (Gear.DETECTING if before is Gear.DETECTING else Gear.WATCHING)
        else:
            gears.see(what == "moves", at_s)
            stirred_s = at_s if what == "moves" else stirred_s
            assert (gears.gear is Gear.DETECTING) == (what == "moves")
        if gears.gear is Gear.ASLEEP:
            assert at_s - stirred_s >= QUIET_S
        elif what == "still":
            assert at_s - stirred_s < QUIET_S
    assert sum(gears.gear_s.values()) == pytest.approx(at_s)


@given(steps)
def test_without_a_quiet_time_it_never_sleeps(happenings: list[tuple[str, float, Wake]]) -> None:
    gears, at_s = Gearbox(math.inf), 0.0
    gears.start(at_s)
    for what, gap_s, why in happenings:
        at_s += gap_s
        if what == "stir":
            gears.stir(why, at_s)
        else:
            gears.see(what == "moves", at_s)
        assert gears.gear is not Gear.ASLEEP
    assert not gears.wakes


def test_late_pictures_count_no_time_twice() -> None:
    gears = Gearbox(QUIET_S)
    gears.start(0.0)
    gears.see(moves=False, at_s=10.0)
    gears.stir(Wake.PICTURE, 12.0)
    for late_s in (10.2, 10.6, 11.0):
        gears.see(moves=False, at_s=late_s)
    assert sum(gears.gear_s.values()) == pytest.approx(12.0)
    assert gears.gear is Gear.WATCHING  # what was late does not shorten the watch
