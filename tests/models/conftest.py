"""Real frames for the detectors: Debian's opencv-doc has the clip, which `make test` installs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


@pytest.fixture(scope="session")
def vtest() -> Path:
    """795 frames of 768x576: a car park with walking people and two parked cars at the upper right."""
    assert VTEST.exists(), f"{VTEST} is missing; `make test` installs Debian's opencv-doc"
    return VTEST


@pytest.fixture(scope="session")
def street(vtest: Path) -> list[NDArray[np.uint8]]:
    """Frames 1, 101 and 201 of the clip."""
    capture = cv2.VideoCapture(str(vtest))
    frames = []
    for number in range(201):
        there, frame = capture.read()
        assert there, f"{vtest} ends after frame {number}"
        if number % 100 == 0:
            frames.append(frame)
    capture.release()
    return frames
