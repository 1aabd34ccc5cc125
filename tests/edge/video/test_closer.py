"""A closer look: where it is taken, how rarely where it shows nothing, and that boxes land where they were."""

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.video.analysis import WEAK_SCORE
from edge.video.closer import SIDE, CloserLook, Part, joined
from edge.video.detection import Candidate, DetectorLoop, Mailboxes
from edge.video.schedule import Priority
from edge.video.worker import Run
from models import Detections, Kind, load_detector
from tests.edge.video.parts import SetClock, detections
from tests.support.rtsp import CLIPS

PERSON = Kind.PERSON
FAR = (0.70, 0.20, 0.72, 0.26)
NOTHING = Detections.none()


def test_it_looks_where_something_small_moves() -> None:
    part = CloserLook().aim([FAR], NOTHING, 0.0)
    assert part == Part(pytest.approx(0.46), 0.0)


def test_what_is_large_or_was_found_needs_no_closer_look() -> None:
    closer = CloserLook()
    assert closer.aim([(0.4, 0.4, 0.5, 0.7)], NOTHING, 0.0) is None
    assert closer.aim([], NOTHING, 0.0) is None
    assert closer.aim([FAR], detections((PERSON, 0.6, (0.69, 0.19, 0.73, 0.27))), 0.0) is None
    assert closer.aim([FAR], detections((PERSON, 0.3, (0.69, 0.19, 0.73, 0.27))), 0.0) is not None, "not for sure"


def test_several_places_have_their_turns() -> None:
    closer, other = CloserLook(), (0.1, 0.8, 0.12, 0.85)
    parts = [closer.aim([FAR, other], NOTHING, 0.2 * i) for i in range(4)]
    assert parts[0] == parts[2] != parts[1] == parts[3]


def test_where_it_finds_nothing_it_looks_ever_more_rarely_until_it_finds() -> None:
    """Leaves that escape the gate for a minute cost a dozen looks and not three hundred."""
    closer, looks = CloserLook(), 0
    times = iter(np.arange(0.0, 120.0, 0.2))
    for at_s in times:
        if at_s >= 60.0:
            break
        if closer.aim([FAR], NOTHING, at_s) is not None:
            looks += 1
            closer.learn(NOTHING, at_s)
    assert 4 <= looks <= 12
    first = next(at_s for at_s in times if closer.aim([FAR], NOTHING, at_s) is not None)
    closer.learn(detections((PERSON, 0.6, (0.69, 0.19, 0.73, 0.27))), first)
    assert all(closer.aim([FAR], NOTHING, first + 0.2 * i) is not None for i in range(1, 5))


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_part_lies_in_the_frame_around_what_moves(x: float, y: float) -> None:
    part = CloserLook().aim([(x - 0.005, y - 0.02, x + 0.005, y + 0.02)], NOTHING, 0.0)
    assert part is not None
    for low, middle in ((part.left, x), (part.top, y)):
        assert 0.0 <= low <= 1.0 - SIDE
        assert low - 1e-9 <= middle <= low + SIDE + 1e-9


def test_boxes_of_a_part_come_back_into_the_frame_and_cut_ones_are_left_out() -> None:
    inside, cut, at_frame_edge = (0.2, 0.4, 0.4, 0.6), (0.0, 0.2, 0.1, 0.4), (0.9, 0.1, 1.0, 0.3)
    found = detections((PERSON, 0.9, inside), (PERSON, 0.8, cut), (PERSON, 0.7, at_frame_edge))
    boxes = Part(0.5, 0.25).whole(found).boxes
    np.testing.assert_allclose(boxes, [(0.6, 0.45, 0.7, 0.55), (0.95, 0.3, 1.0, 0.4)], atol=1e-6)


def test_a_part_adds_only_what_is_small() -> None:
    """Larger things are found in the whole frame; parts show them falsely or twice (`video_quality`)."""
    small, large = (0.2, 0.4, 0.3, 0.62), (0.5, 0.2, 0.7, 0.6)
    boxes = Part(0.0, 0.0).whole(detections((PERSON, 0.9, large), (PERSON, 0.5, small))).boxes
    np.testing.assert_allclose(boxes, [(0.1, 0.2, 0.15, 0.31)], atol=1e-6)


def test_what_both_looks_found_is_one_thing() -> None:
    whole = detections((PERSON, 0.5, (0.1, 0.1, 0.2, 0.4)), (Kind.VEHICLE, 0.6, (0.1, 0.1, 0.2, 0.4)))
    part = detections((PERSON, 0.8, (0.105, 0.1, 0.2, 0.4)), (PERSON, 0.7, (0.6, 0.1, 0.7, 0.4)))
    both = joined(whole, part)
    assert sorted(both.scores.tolist()) == pytest.approx([0.6, 0.7, 0.8])
    assert len(both.of_kind(Kind.VEHICLE)) == 1


def test_the_detector_sees_someone_far_away_whom_the_whole_frame_does_not_show_it() -> None:
    """A frame of the demo's clip at two fifths of its size in a corner: people are a fifteenth of the picture high."""
    with av.open(str(CLIPS / "gate-east.mp4")) as container:
        near = next(container.decode(video=0)).to_ndarray(format="bgr24")
    detector = load_detector()
    frame = cv2.GaussianBlur(near, (0, 0), 25)
    frame[40:270, 380:687] = cv2.resize(near, (307, 230), interpolation=cv2.INTER_AREA)
    whole = detector.detect(frame, WEAK_SCORE)
    part = CloserLook().aim([(0.68, 0.2, 0.70, 0.26)], NOTHING, 0.0)
    assert part is not None
    both = joined(whole, part.whole(detector.detect(part.of(frame), WEAK_SCORE)))
    found = [int((seen.of_kind(PERSON).scores >= 0.4).sum()) for seen in (whole, both)]
    assert found[1] > found[0]


def test_a_closer_look_is_taken_only_while_no_other_frame_waits() -> None:
    clock, sizes = SetClock(), []
    run = Run(clock.monotonic_s)
    boxes = Mailboxes([Priority.NORMAL] * 2, clock.monotonic_s)
    frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 150, np.uint8), "bgr24")

    class Looking:
        def detect(self, image: np.ndarray, floor: float | None = None) -> Detections:
            sizes.append(image.shape[0])
            return NOTHING

    class Analysis:
        def pass_time(self, moment: object) -> None: ...

        def see(self, seen: Detections, image: np.ndarray, moment: object) -> None:
            if boxes.is_empty:
                run.stop()

    for camera in (0, 1):
        boxes.put(camera, Candidate(frame, clock.at_s, moving=(FAR,)))
    loop = DetectorLoop(Looking, boxes, [Analysis(), Analysis()], clock, [(), ()])
    loop(run)
    assert sizes == [64, 64, 32]
    assert loop.closer_looks == [0, 1]
