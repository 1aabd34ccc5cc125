"""The benchmarks' own reckoning: slopes, percentiles, frames and their numbers, and which belief stands for a frame."""

import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.arithmetic import percentile, slopes
from benchmarks.rtsp_senders import mark_of
from benchmarks.video_many import delays, frame_of, placed, sent_by
from benchmarks.video_quality import Belief, Played, delayed, passes_of, picture_times, still_camera, tracked
from models import Detections, Kind
from protocols.events import PersonEnteredZone
from tests.edge.video.parts import detections, write_clip


def test_both_slopes_of_a_line_are_its_own() -> None:
    found = slopes([0.0, 1.0, 2.0, 5.0], [3.0, 5.0, 7.0, 13.0])
    assert found.least_squares == pytest.approx(2.0)
    assert found.theil_sen == pytest.approx(2.0)


def test_a_leap_moves_the_least_squares_and_not_the_median_of_pairs() -> None:
    x = [float(i) for i in range(21)]
    found = slopes(x, [100.0] * 20 + [150.0])
    assert found.theil_sen == 0.0
    assert found.least_squares == pytest.approx(float(np.polyfit(x, [100.0] * 20 + [150.0], 1)[0]))
    assert found.least_squares > 0.5


@pytest.mark.parametrize("x", [[], [1.0], [2.0, 2.0]])
def test_without_two_places_there_is_no_slope(x: list[float]) -> None:
    with pytest.raises(ValueError, match="two points"):
        slopes(x, x)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    needed = math.ceil(share * len(values) - 1e-9)
    assert found in values
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < max(needed, 1)


def test_percentiles_of_a_hundred_and_of_none() -> None:
    assert percentile(range(1, 101), 0.95) == 95
    assert percentile([0.3], 0.5) == 0.3
    assert percentile([], 0.95) == 0.0


@pytest.mark.parametrize(("rate", "looks_per_s", "passes"), [(10, 5.0, 2), (25, 1.8, 14), (12.5, 5.0, 3), (5, 5.0, 1)])
def test_so_many_passes_give_each_frame_its_turn(rate: float, looks_per_s: float, passes: int) -> None:
    assert passes_of(Fraction(rate), looks_per_s) == passes


def test_people_are_found_where_a_track_covers_them_at_a_look() -> None:
    """One walks on, one stands and is never tracked, one is in view too shortly to count."""
    people = {1: np.array([10, 10, 30, 60], np.float32), 2: np.array([100, 10, 120, 60], np.float32)}
    labels = {n: {1: people[1] + np.array([n, 0, n, 0], np.float32), 2: people[2]} for n in range(1, 11)}
    labels[3][3] = np.array([200, 10, 220, 60], np.float32)
    seen = detections((Kind.PERSON, 0.9, (0.05, 0.1, 0.15, 0.6)))  # where the first stood before
    played = Played(0.0, [Belief(0.0, seen, seen)])
    found = tracked(played, [i / 10 for i in range(10)], labels, (200, 100), 10.0)
    assert (found.found, found.labelled) == (1, 2)
    still_covered = sum(20 - n >= (20 + n) / 2 for n in range(1, 11))  # overlap of 20 pixels with as many, n further
    assert found.recall == pytest.approx(still_covered / 21)
    assert found.precision == pytest.approx(still_covered / 10)


def test_a_delayed_clip_has_the_same_pictures_a_little_later(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", lambda i: np.full((48, 64, 3), 8 * i, np.uint8), 12)
    times, rate = picture_times(clip)
    late = delayed(clip, tmp_path / "late.mkv", 2, rate)
    later, _ = picture_times(late)
    assert times == pytest.approx([i / 10 for i in range(12)])
    assert later == pytest.approx([i / 10 for i in range(14)], abs=0.0011)
    with av.open(str(late)) as container:
        greys = [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    assert greys == pytest.approx([0, 0, *(8 * i for i in range(12))], abs=2.5)


def test_what_is_believed_at_a_frame_is_of_the_newest_picture_that_was_looked_at() -> None:
    nothing = Detections.none()
    played = Played(1000.0, [Belief(1000.0, nothing, nothing), Belief(1000.4, nothing, nothing)])
    assert played.at(-0.1) is None
    assert played.at(0.3) is played.beliefs[0]
    assert played.at(0.3999) is played.beliefs[1], "one picture's time, reckoned in two ways"
    assert played.looked_at(0.4)
    assert not played.looked_at(0.5)


def test_a_photograph_becomes_a_camera_that_sends_its_very_bytes(tmp_path: Path) -> None:
    photograph = tmp_path / "a.jpg"
    cv2.imwrite(str(photograph), np.random.default_rng(1).integers(0, 255, (33, 47, 3), np.uint8))
    with av.open(str(still_camera(photograph, tmp_path / "a.mkv", (47, 33)))) as container:
        packets = [bytes(packet) for packet in container.demux() if packet.size]
    assert packets == [photograph.read_bytes()] * 20


SENT = "a.mp4 0 10.0 5\na.mp4 1 10.1 6\na.mp4 2 10.2 7\na.mp4 3 1"


def test_the_log_of_what_was_sent_is_read_up_to_a_line_that_was_cut(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(SENT)
    assert sent_by(tmp_path / "log") == {"a.mp4": [(10.0, 5), (10.1, 6), (10.2, 7)]}
    (tmp_path / "log").write_text("a.mp4 0 10.0 5\na.mp4 0 11.0 5\n")
    with pytest.raises(ValueError, match="more than once"):
        sent_by(tmp_path / "log")


def test_frames_are_known_by_their_order_and_their_last_bytes() -> None:
    sent = [(10.0, 5), (10.1, 6)]
    assert placed(sent, [(99.0, 10.01, 5), (99.1, 10.11, 6)]) == {99.0: 0, 99.1: 1}
    with pytest.raises(ValueError, match="packet 1"):
        placed(sent, [(99.0, 10.01, 5), (99.1, 10.11, 7)])
    assert mark_of(b"\x00\x00\x00\x01" + b"x" * 40) == mark_of(b"\x00\x00\x00\x28" + b"x" * 40)


def test_an_event_between_frames_is_of_the_last_before() -> None:
    numbers = {99.0: 0, 99.1: 1}
    assert [frame_of(at_s, numbers, sorted(numbers)) for at_s in (98.0, 99.0, 99.05, 99.1, 100.0)] == [0, 0, 0, 1, 1]


def test_delays_run_from_the_sender_to_the_outbox(tmp_path: Path) -> None:
    """One quiet camera: somebody enters with frame 3, is told of with frame 7, 0.2 s after that was sent."""
    log = tmp_path / "log"
    log.write_text("".join(f"q.mp4 {i} {10 + i / 10:.6f} {i}\n" for i in range(60)))
    packets = [[50 + i / 10, 10.01 + i / 10, i] for i in range(60)]
    made = {
        "window": [10.0, 16.0],
        "packets": {"c-0": packets},
        "events": [["c-0", PersonEnteredZone.TYPE, 50.7, 10.9], ["c-0", "clip.kept.v1", 51.0, 15.0]],
    }
    found = delays(made, log, {"q.mp4": 3})
    assert found["capture"]["count"] == 1
    assert found["capture"]["p95_s"] == pytest.approx(0.2)
    assert found["entrance"]["most_s"] == pytest.approx(0.6)
    assert found["transport"]["p95_s"] == pytest.approx(0.01)
    assert found["entrances"] == 1
