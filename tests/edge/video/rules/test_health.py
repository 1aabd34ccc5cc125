"""What becomes of a camera's view: on frames of the demo's real clip, spoilt as tampering and weather spoil them."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.clock import Moment
from edge.video.rules.config import CameraHealthRule
from edge.video.rules.health import EVERY_S, NEW_SCENE_AFTER_S, CameraHealth
from edge.video.rules.hours import Hours
from edge.video.rules.luma import Luma, View, correlation, fault_alone, fault_of, learnt_with, small, view_of
from protocols.camera_events import CameraImpaired, CameraRestored, SceneFault
from protocols.event_data import EventData
from tests.edge.video.parts import Recording, camera, write_clip
from tests.edge.video.rules.scenes import NOON, SHANGHAI
from tests.edge.video.test_cameras import site
from tests.support.rtsp import CLIPS, wait_until

NOISE = np.random.default_rng(1)


@pytest.fixture(scope="module")
def frames() -> list[Luma]:
    """A frame a second of the clip, 40 of them."""
    with av.open(str(CLIPS / "gate-east.mp4")) as clip:
        return [frame.to_ndarray(format="gray") for i, frame in enumerate(clip.decode(video=0)) if i % 10 == 0]


@pytest.fixture(scope="module")
def scene(frames: list[Luma]) -> View:
    learnt = view_of(small(frames[0]))
    for number, frame in enumerate(frames[1:20], 2):
        learnt = learnt_with(learnt, view_of(small(frame)), 1 / number)
    return learnt


@pytest.fixture(scope="module")
def thumbs(frames: list[Luma]) -> list[Luma]:
    """The same, a hundred rows high."""
    return [small(frame) for frame in frames]


def noisy(picture: np.ndarray, spread: float) -> Luma:
    return np.clip(picture + NOISE.normal(0, spread, picture.shape), 0, 255).astype(np.uint8)


def shaken(frame: Luma, pixels: int) -> Luma:
    return np.roll(frame, pixels, 1)


def turned_by(frame: Luma, degrees: float) -> Luma:
    height, width = frame.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def with_hand(frame: Luma) -> Luma:
    covered = frame.copy()
    covered[:, : int(0.8 * frame.shape[1])] = 90
    return covered


def with_lorry(frame: Luma) -> Luma:
    painted = frame.copy()
    painted[100:500, 150:650] = NOISE.integers(60, 200, (8, 10), np.uint8).repeat(50, 0).repeat(50, 1)
    return painted


SPOILT: list[tuple[str, Callable[[Luma], Luma], SceneFault | None]] = [
    ("as it is", lambda f: f, None),
    ("at half the light", lambda f: (0.5 * f).astype(np.uint8), None),
    ("at dusk", lambda f: (0.2 * f + 16).astype(np.uint8), None),
    ("at night with a noisy sensor", lambda f: noisy(0.25 * f + 16, 12), None),
    ("in glaring sun", lambda f: np.clip(1.5 * f + 20, 0, 255).astype(np.uint8), None),
    ("in infrared, where grass is white", lambda f: (255 - 0.6 * f).astype(np.uint8), None),
    ("in a shadow that moves over it", lambda f: (f * np.linspace(0.4, 1.0, f.shape[1])).astype(np.uint8), None),
    ("in rain on the lens", lambda f: cv2.GaussianBlur(f, (0, 0), 1.5), None),
    ("noisy", lambda f: noisy(f, 15), None),
    ("shaken by the wind", lambda f: shaken(f, 8), None),
    ("with a lorry before it", with_lorry, None),
    ("out of focus", lambda f: cv2.GaussianBlur(f, (0, 0), 6), SceneFault.BLURRED),
    ("greased", lambda f: cv2.GaussianBlur(f, (0, 0), 15), SceneFault.BLURRED),
    ("under paper", lambda f: noisy(np.full(f.shape, 120.0), 3), SceneFault.COVERED),
    ("under tape", lambda f: np.full_like(f, 16), SceneFault.COVERED),
    ("under a hand", with_hand, SceneFault.COVERED),
    ("turned aside", lambda f: shaken(f, 200), SceneFault.TURNED),
    ("upside down", lambda f: f[::-1].copy(), SceneFault.TURNED),
    ("hanging askew", lambda f: turned_by(f, 20), SceneFault.TURNED),
    ("zoomed in", lambda f: cv2.resize(f[100:400, 100:500], f.shape[::-1]), SceneFault.TURNED),
    ("in the dark", lambda f: (0.08 * f + 16).astype(np.uint8), SceneFault.DARK),
]


@pytest.mark.parametrize(("how", "spoil", "fault"), SPOILT, ids=[how for how, _, _ in SPOILT])
def test_a_view_is_told_apart(
    how: str, spoil: Callable[[Luma], Luma], fault: SceneFault | None, frames: list[Luma], scene: View
) -> None:
    for number in (22, 30, 38):  # with other people in it than when it was learnt
        assert fault_of(view_of(small(spoil(frames[number]))), scene) is fault, how


def test_a_black_picture_of_a_scene_that_was_dark_anyway_is_dark(frames: list[Luma], scene: View) -> None:
    dusk = view_of(small((0.15 * frames[0] + 16).astype(np.uint8)))
    black = view_of(np.full((100, 133), 17, np.uint8))
    assert (fault_of(black, dusk), fault_of(black, scene)) == (SceneFault.DARK, SceneFault.COVERED)


def test_a_night_with_a_lamp_is_no_covered_lens(scene: View) -> None:
    night = np.full((100, 133), 18, np.uint8)
    night[10:14, 60:64] = 240
    assert fault_of(view_of(night), scene) is SceneFault.DARK


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 300), st.integers(1, 300))))
def test_any_picture_of_any_size_has_a_verdict(picture: Luma) -> None:
    view = view_of(small(picture))
    assert fault_alone(view) in (None, SceneFault.DARK, SceneFault.COVERED)
    assert fault_of(view, view) in (None, SceneFault.DARK, SceneFault.COVERED)
    assert -1.001 <= correlation(view.outlines, view.shades) <= 1.001


class Watch:
    """A camera's health, looked at every 2 s."""

    def __init__(self, begin: float = NOON, **more: object) -> None:
        rule = CameraHealthRule.model_validate({"id": "r-health", "kind": "camera_health", "cool_down_s": 0.0, **more})
        self.health = CameraHealth(rule, Hours(rule.hours, SHANGHAI, tuple))
        self.told: list[tuple[float, EventData]] = []
        self.at_s = 0.0
        self._begin = begin

    def look(self, pictures: Iterator[Luma] | list[Luma], seconds: float) -> None:
        """The pictures in turn, for a while."""
        shown = list(pictures)
        for i in range(round(seconds / EVERY_S)):
            moment = Moment(self._begin + self.at_s, 1000.0 + self.at_s)
            assert self.health.is_due(moment.monotonic_s)
            data = self.health.glance(shown[i % len(shown)], moment)
            self.told += [(self.at_s, each) for each in data]
            self.at_s += EVERY_S

    @property
    def words(self) -> list[tuple[str, str]]:
        return [("impaired" if isinstance(d, CameraImpaired) else "restored", d.fault.value) for _, d in self.told]


def black(frame: Luma) -> Luma:
    return noisy(np.full(frame.shape, 20.0), 1)


def test_a_covered_camera_is_told_once_and_told_restored(thumbs: list[Luma]) -> None:
    watch = Watch()
    watch.look(thumbs, 40)
    covered_s = watch.at_s
    watch.look([black(frame) for frame in thumbs[:3]], 60)
    uncovered_s = watch.at_s
    watch.look(thumbs, 40)
    (impaired_s, impaired), (restored_s, restored) = watch.told
    assert isinstance(impaired, CameraImpaired)
    assert isinstance(restored, CameraRestored)
    assert (impaired.fault, impaired_s, restored_s) == (SceneFault.COVERED, covered_s + 10, uncovered_s + 4)
    assert impaired.since == datetime.fromtimestamp(NOON + covered_s, tz=impaired.since.tzinfo)
    assert restored.after_s == uncovered_s + 4 - covered_s


@pytest.mark.parametrize("how", ["under paper", "out of focus", "turned aside", "in the dark"])
def test_each_fault_is_told_when_it_lasted_its_minimum_time_and_told_over(
    how: str, frames: list[Luma], thumbs: list[Luma]
) -> None:
    [(spoil, fault)] = [(spoil, fault) for name, spoil, fault in SPOILT if name == how]
    watch = Watch(min_s=6.0)
    watch.look(thumbs, 40)
    spoilt_s = watch.at_s
    watch.look([small(spoil(frame)) for frame in frames[:5]], 30)
    sound_s = watch.at_s
    watch.look(thumbs, 20)
    assert watch.words == [("impaired", fault), ("restored", fault)]
    assert [at_s for at_s, _ in watch.told] == [spoilt_s + 6, sound_s + 4]


def test_a_hand_that_wipes_the_lens_is_nothing(thumbs: list[Luma]) -> None:
    watch = Watch()
    watch.look(thumbs, 40)
    watch.look([black(thumbs[0])], 6)
    watch.look(thumbs, 40)
    assert watch.told == []


def test_before_the_scene_is_known_only_what_needs_no_scene_is_told(thumbs: list[Luma]) -> None:
    watch = Watch(learn_s=3600.0)
    watch.look(thumbs, 20)
    watch.look([shaken(frame, 35) for frame in thumbs], 40)
    assert watch.told == []
    watch.look([black(thumbs[0]), black(thumbs[0])], 20)
    assert watch.words == [("impaired", "dark")]


def test_dusk_is_learnt_and_then_the_dark_is_dark(thumbs: list[Luma]) -> None:
    watch = Watch()
    watch.look(thumbs, 40)
    for step in range(60):  # an hour
        light = 1.0 - step / 64
        watch.look([noisy(light * frame + 16 * (1 - light), 1) for frame in thumbs[:5]], 60)
    assert set(watch.words) <= {("impaired", "dark")}
    watch.look([black(thumbs[0]), black(thumbs[0])], 20)
    assert watch.words == [("impaired", "dark")]


def test_a_frozen_picture_is_told_and_a_still_scene_with_a_clock_in_it_is_not(
    thumbs: list[Luma],
) -> None:
    watch = Watch()
    watch.look(thumbs, 40)
    watch.look([thumbs[7]], 100)
    watch.look(thumbs, 20)
    assert watch.words == [("impaired", "frozen"), ("restored", "frozen")]
    assert 40 + 56 <= watch.told[0][0] <= 40 + 64
    ticking = Watch()
    clocks = [thumbs[7].copy() for _ in range(60)]
    for second, picture in enumerate(clocks):
        cv2.putText(picture, f"12:00:{second:02d}", (4, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.3, 255, 1)
    ticking.look(clocks, 200)
    assert ticking.told == []


def test_a_camera_that_stays_turned_has_a_new_scene(thumbs: list[Luma]) -> None:
    watch = Watch()
    watch.look(thumbs, 40)
    aside = [shaken(frame, 35) for frame in thumbs]
    watch.look(aside, NEW_SCENE_AFTER_S + 60)
    assert watch.words == [("impaired", "turned"), ("restored", "turned")]
    watch.look(aside, 600)
    assert len(watch.told) == 2
    watch.look(thumbs, 40)
    assert watch.words[2:] == [("impaired", "turned")]


def test_only_the_faults_named_are_told_and_only_in_their_hours(thumbs: list[Luma]) -> None:
    for more in ({"faults": ["frozen", "turned"]}, {"hours": ["sat 00:00-24:00"]}):
        watch = Watch(**more)
        watch.look(thumbs, 40)
        watch.look([black(thumbs[0]), black(thumbs[0])], 40)
        assert watch.told == []


def test_the_cool_down_holds_a_second_fault_back_until_it_is_over(thumbs: list[Luma]) -> None:
    watch = Watch(cool_down_s=120.0)
    watch.look(thumbs, 40)
    for _ in range(2):
        watch.look([black(thumbs[0]), black(thumbs[1])], 60)
        watch.look(thumbs, 10)
    watch.look([black(thumbs[0]), black(thumbs[1])], 60)
    told = [at_s for at_s, data in watch.told if isinstance(data, CameraImpaired)]
    assert told[0] == 50
    assert told[1] >= 170


def test_other_pictures_after_a_lost_connection_are_judged_by_the_scene_that_was_learnt(thumbs: list[Luma]) -> None:
    watch = Watch()
    watch.look(thumbs, 40)
    watch.health.lose()
    watch.look([shaken(frame, 35) for frame in thumbs], 40)
    assert watch.words == [("impaired", "turned")]


def test_a_running_camera_that_is_covered_is_told_with_a_picture(tmp_path: Path) -> None:
    """A rendered scene, from the file through the camera's thread to the event."""
    scene = NOISE.integers(40, 220, (18, 32, 3), np.uint8).repeat(16, 0).repeat(16, 1)

    def picture(i: int) -> np.ndarray:
        drawn = scene.copy() if i < 30 else np.full_like(scene, 70)
        cv2.putText(drawn, str(i), (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2)
        return drawn

    clip = write_clip(tmp_path / "covered.mp4", picture, frames=80)
    health = {"id": "r-health", "kind": "camera_health", "min_s": 1.0, "learn_s": 2.0}
    with site(tmp_path, camera(url=clip.as_uri(), rule=[health])) as here:
        recording: Recording = here.recording
        wait_until(lambda: bool(recording.of(CameraImpaired)), 40.0, "a covered camera")
        told = recording.of(CameraImpaired)[0]
        assert (told.rule, told.fault) == ("r-health", SceneFault.COVERED)
        assert told.snapshot is not None
        assert cv2.imread(str(tmp_path / told.snapshot.sha256)).mean() < 100
        assert here.status().rule_events["r-health"] >= 1
