"""What counts as movement, and when the detector is asked."""

import numpy as np
import numpy.typing as npt
import pytest

from edge.video.analysis import Followed
from edge.video.attention import Attention, Interest
from edge.video.motion import Motion, MotionGate

Luma = npt.NDArray[np.uint8]


def scene(seed: int = 0, brightness: float = 0.0) -> Luma:
    """A textured still picture with a little sensor noise that differs by `seed`."""
    texture = np.random.default_rng(99).integers(60, 160, (72, 96)).repeat(8, 0).repeat(8, 1)
    noise = np.random.default_rng(seed).normal(0, 2, texture.shape)
    return np.clip(texture + noise + brightness, 0, 255).astype(np.uint8)


def walker(picture: Luma, x: int) -> Luma:
    picture = picture.copy()
    picture[300:420, x : x + 40] = 240
    return picture


def watch(gate: MotionGate, pictures: list[Luma], start_s: float, every_s: float = 0.2) -> list[Motion]:
    return [gate.see(picture, start_s + i * every_s) for i, picture in enumerate(pictures)]


def test_a_still_scene_with_noise_is_still() -> None:
    assert not any(motion.moves for motion in watch(MotionGate(), [scene(i) for i in range(50)], 0.0))


@pytest.mark.parametrize("every_s", [0.1, 0.2, 0.5])
def test_a_walker_moves_at_any_frame_rate(every_s: float) -> None:
    gate = MotionGate()
    watch(gate, [scene(i) for i in range(20)], 0.0, every_s)
    steps = [walker(scene(i), 100 + 30 * i) for i in range(10)]
    assert all(motion.moves for motion in watch(gate, steps, 20 * every_s, every_s))


def test_movement_is_over_soon_after_the_walker_has_gone() -> None:
    gate = MotionGate()
    watch(gate, [scene(i) for i in range(10)], 0.0)
    watch(gate, [walker(scene(i), 100 + 30 * i) for i in range(10)], 2.0)
    after = watch(gate, [scene(i) for i in range(50)], 4.0)
    assert not any(motion.moves for motion in after[25:])


def test_a_light_that_is_switched_recalibrates_instead_of_moving() -> None:
    gate = MotionGate()
    watch(gate, [scene(i) for i in range(20)], 0.0)
    seen = watch(gate, [scene(i, brightness=80) for i in range(20)], 4.0)
    assert seen[0].recalibrated
    assert not any(motion.moves for motion in seen)
    assert gate.see(walker(scene(1, brightness=80), 200), 9.0).moves


def test_sensitivity_decides_about_small_and_faint_changes() -> None:
    faint = scene(1).astype(np.int16)
    faint[300:330, 300:330] += 24
    for sensitivity, expected in ((0.0, False), (1.0, True)):
        gate = MotionGate(sensitivity)
        watch(gate, [scene(i) for i in range(10)], 0.0)
        assert gate.see(faint.astype(np.uint8), 2.0).moves is expected


def test_a_change_of_size_starts_anew() -> None:
    gate = MotionGate()
    gate.see(scene(), 0.0)
    assert not gate.see(scene()[:, :400], 0.2).moves


STILL, MOVES, LIGHT = Motion(False, 0.0, False), Motion(True, 0.1, False), Motion(False, 0.9, True)
NOBODY = Followed()


def asked(motions: list[tuple[float, Motion, Followed]]) -> list[float]:
    attention = Attention()
    return [t for t, motion, followed in motions if attention.wants(motion, t, followed)]


def test_the_detector_looks_once_at_the_start_and_then_sleeps() -> None:
    assert max(asked([(t / 5, STILL, NOBODY) for t in range(100)])) == 1.0


def test_it_looks_while_something_moves_and_a_second_longer() -> None:
    times = asked([(t / 5, MOVES if 10 <= t / 5 <= 12 else STILL, NOBODY) for t in range(100)])
    assert [t for t in times if t > 5] == [t / 5 for t in range(50, 66)]


def test_it_looks_after_a_light_change() -> None:
    assert asked([(0.0, STILL, NOBODY), (8.0, LIGHT, NOBODY), (10.0, STILL, NOBODY)]) == [0.0, 8.0]


def test_who_stands_still_is_looked_at_every_two_seconds() -> None:
    times = [t for t in asked([(t / 5, STILL, Followed(1, False, 2.0)) for t in range(100)]) if t > 1]
    assert times == [3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0, 19.0]


def test_what_stands_for_long_is_hardly_looked_at() -> None:
    assert [t for t in asked([(t / 5, STILL, Followed(1, False, 30.0)) for t in range(500)]) if t > 1] == [
        31.0,
        61.0,
        91.0,
    ]


RESTLESS = Followed(1, True, 2.0)


def test_a_restless_track_is_looked_for_for_three_seconds_after_the_last_movement_and_then_every_two() -> None:
    times = asked([(10 + t / 5, STILL, RESTLESS) for t in range(50)])
    assert times == [10 + t / 5 for t in range(16)] + [15.0, 17.0, 19.0]


def test_a_flicker_that_is_never_confirmed_does_not_keep_the_detector_awake() -> None:
    flicker = Followed(0, True)  # nobody is followed, and in every frame somebody might be
    times = asked([(t / 5, MOVES if t == 0 else STILL, flicker) for t in range(300)])
    assert len([at_s for at_s in times if at_s > 3]) <= 60 / 2


def paces(motions: list[tuple[float, Motion, Followed]]) -> list[tuple[float, bool]]:
    attention = Attention()
    told = []
    for at_s, motion, followed in motions:
        attention.wants(motion, at_s, followed)
        told.append((at_s, attention.is_steady))
    return told


@pytest.mark.parametrize("followed", [NOBODY, RESTLESS, Followed(3, False, 2.0)])
def test_a_scene_that_stays_busy_is_steady_after_two_seconds_whoever_is_followed(followed: Followed) -> None:
    told = paces([(t / 5, MOVES, followed) for t in range(100)])
    assert [is_steady for at_s, is_steady in told if at_s < 1.9] == [False] * 10
    assert all(is_steady for at_s, is_steady in told if at_s > 2.1)


def test_between_steady_looks_tracks_are_only_followed() -> None:
    attention, looks = Attention(0.55), []
    for frame in range(50):
        at_s = frame / 5
        if not attention.only_follows(at_s) and attention.wants(MOVES, at_s, NOBODY).is_look:
            looks.append(at_s)
    assert [at_s for at_s in looks if at_s < 2] == [frame / 5 for frame in range(10)], "briskly at first"
    assert np.diff([at_s for at_s in looks if at_s > 2.1]) == pytest.approx(0.6)


def test_what_a_look_is_for_is_told() -> None:
    attention = Attention()
    told = [attention.wants(MOVES if t < 20 else STILL, t / 5, Followed(1, False, 2.0)) for t in range(50)]
    assert told[:10] == [Interest.BRISK] * 10
    assert told[12:20] == [Interest.STEADY] * 8
    assert Interest.RECHECK in told[26:]
    assert [each.is_awake for each in Interest] == [False, True, False, True, True]
    assert [each.is_look for each in Interest] == [False, False, True, True, True]


def test_calm_gives_brisk_looks_back() -> None:
    busy = [(t / 5, MOVES, NOBODY) for t in range(50)]
    calm = [(10 + t / 5, STILL, NOBODY) for t in range(50)]
    again = [(20 + t / 5, MOVES, NOBODY) for t in range(50)]
    told = paces(busy + calm + again)
    assert not any(is_steady for at_s, is_steady in told if 11.3 < at_s < 21.9)
    assert all(is_steady for at_s, is_steady in told if at_s > 22.1)


def test_a_short_pause_gives_back_little() -> None:
    busy = [(t / 5, MOVES, NOBODY) for t in range(50)]
    pause = [(10 + t / 5, STILL, NOBODY) for t in range(14)]  # calm from 11 s on, for 1.8 s
    told = paces(busy + pause + [(12.8 + t / 5, MOVES, NOBODY) for t in range(20)])
    assert not any(is_steady for at_s, is_steady in told if 12.8 <= at_s < 13.2)
    assert all(is_steady for at_s, is_steady in told if at_s > 13.7)


def test_what_stands_still_is_looked_at_each_second_while_nothing_moves_but_it() -> None:
    waiting = Followed(1, False, 30.0, np.array([[0.4, 0.3, 0.6, 0.9]]))
    shifts, elsewhere = (
        Motion(True, 0.01, False, boxes=(box,)) for box in ((0.4, 0.5, 0.5, 0.7), (0.5, 0.5, 0.9, 0.7))
    )
    assert (
        len(asked([(t / 5, STILL, waiting) for t in range(10)] + [(t / 5, shifts, waiting) for t in range(10, 60)]))
        < 18
    )
    assert len(asked([(t / 5, elsewhere, waiting) for t in range(60)])) == 60
