"""Masks: what they cover, at any size, and that nothing behind a privacy mask reaches an analysis or a picture."""

from collections.abc import Callable

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.video.config import CameraConfig
from edge.video.detection import Candidate, DetectorLoop, Mailboxes
from edge.video.masks import black_out, covered
from edge.video.schedule import Priority
from edge.video.worker import Run
from models import Detections
from tests.edge.video.parts import SetClock, camera

WINDOW = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.5], [0.25, 0.5]]


@pytest.mark.parametrize("size", [(40, 80), (288, 352), (1080, 1920)])
def test_a_mask_lies_alike_in_pictures_of_every_size(size: tuple[int, int]) -> None:
    height, width = size
    picture = black_out(np.full((height, width, 3), 200, np.uint8), [WINDOW])
    rows, columns = np.nonzero(picture[..., 0] == 0)
    assert rows.min() / height == pytest.approx(0.25, abs=1.5 / height)
    assert (rows.max() + 1) / height == pytest.approx(0.5, abs=1.5 / height)
    assert columns.min() / width == pytest.approx(0.25, abs=1.5 / width)
    assert (columns.max() + 1) / width == pytest.approx(0.75, abs=1.5 / width)
    assert (picture[rows, columns] == 0).all()


@given(
    st.tuples(st.floats(0, 0.45), st.floats(0, 0.45), st.floats(0.55, 1), st.floats(0.55, 1)),
    st.integers(10, 200),
    st.integers(10, 200),
)
def test_every_pixel_whose_middle_is_behind_the_mask_is_covered(
    box: tuple[float, float, float, float], width: int, height: int
) -> None:
    x1, y1, x2, y2 = box
    found = covered([[(x1, y1), (x2, y1), (x2, y2), (x1, y2)]], width, height)
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    inside = ((x >= x1) & (x <= x2))[None] & ((y >= y1) & (y <= y2))[:, None]
    assert found[inside].all()


def test_without_masks_a_picture_stays_as_it_is() -> None:
    picture = np.full((10, 10, 3), 7, np.uint8)
    assert (black_out(picture, ()) == 7).all()
    assert not covered((), 10, 10).any()


def test_what_is_behind_a_privacy_mask_reaches_neither_the_detector_nor_the_analysis() -> None:
    clock, seen = SetClock(), []
    run = Run(clock.monotonic_s)

    class Looking:
        def detect(self, frame: np.ndarray, floor: float | None = None) -> Detections:
            seen.append(frame.copy())
            return Detections.none()

    class Analysis:
        def pass_time(self, moment: object) -> None: ...

        def glance(self, luma: np.ndarray, view: Callable[[], np.ndarray], moment: object) -> None:
            seen.extend([luma.copy(), view().copy()])

        def see(self, detections: Detections, image: np.ndarray, moment: object, luma: np.ndarray) -> None:
            seen.extend([image.copy(), luma.copy()])
            run.stop()

    boxes = Mailboxes([Priority.NORMAL], clock.monotonic_s)
    frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 150, np.uint8), "bgr24")
    for glance in (True, False):
        luma = np.full((64, 64), 150, np.uint8)
        boxes.put(0, Candidate(frame, clock.at_s, luma=luma, glance=glance))
    DetectorLoop(Looking, boxes, [Analysis()], clock, [[WINDOW]])(run)
    assert len(seen) == 5
    for image in seen:
        assert (image[17:31, 17:47] == 0).all()
        assert (image[:15] > 100).all()


@pytest.mark.parametrize("key", ["motion_mask", "privacy_mask"])
def test_masks_come_from_the_configuration_and_are_checked(key: str) -> None:
    assert getattr(camera(**{key: [WINDOW]}), key) == (tuple(map(tuple, WINDOW)),)
    for polygon, complaint in (
        ([[0, 0], [1, 1]], "at least 3"),
        ([[0, 0], [1, 1], [1, 0], [0, 1]], "must not touch or cross"),
        ([[0, 0], [1.2, 0], [1, 1]], "less than or equal to 1"),
    ):
        with pytest.raises(ValidationError, match=complaint):
            CameraConfig.model_validate({"id": "c", "place": "gate", "url": "rtsp://h/1", key: [polygon]})
