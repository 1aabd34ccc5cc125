"""Still pictures of what was seen: cut out of a frame, judged, and made a small JPEG. Draws nothing on them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
View = Callable[[], Image]
"""Gives a frame, BGR [H,W,3], when somebody needs it."""

Corners = tuple[float, float, float, float]

MOST_BYTES = 100_000
MOST_SIDE = 640
"""Pixels of the longer side: enough to see what someone carries, small enough for a narrow uplink."""

_QUALITIES = (85, 70, 55, 40)
_EDGE = 0.01
_CLIPPED = 0.3
_SHARP = 300.0


@dataclass(frozen=True)
class Jpeg:
    """An encoded picture and its size in pixels."""

    data: bytes
    width: int
    height: int


def cut(image: Image, box: Corners, margin: float) -> Image:
    """A copy of the part of `image` [H,W,3] around `box` (fractions), with `margin` of the box's size on each side."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    grow_x, grow_y = margin * (x2 - x1), margin * (y2 - y1)
    left, right = _span(x1 - grow_x, x2 + grow_x, width)
    top, bottom = _span(y1 - grow_y, y2 + grow_y, height)
    return image[top:bottom, left:right].copy()


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(size - 1, max(0, int(low * size)))
    return first, min(size, max(first + 1, round(high * size)))


def quality_bound(score: float, box: Corners) -> float:
    """The most that a view of `box` with this detection score is worth: score times area, less if it is clipped."""
    x1, y1, x2, y2 = box
    clipped = x1 < _EDGE or y1 < _EDGE or x2 > 1 - _EDGE or y2 > 1 - _EDGE
    return score * (x2 - x1) * (y2 - y1) * (_CLIPPED if clipped else 1.0)


def sharpness(image: Image) -> float:
    """How sharp a cut-out is, 0..1: the spread of its second derivative at one fixed size, so that sizes compare."""
    grey = cv2.cvtColor(cv2.resize(image, (64, 128), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    spread = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return spread / (spread + _SHARP)


def encode(image: Image, most_bytes: int = MOST_BYTES, most_side: int = MOST_SIDE) -> Jpeg:
    """A JPEG of at most `most_bytes`, its longer side at most `most_side` pixels; never enlarged.

    Raises:
        ValueError: if the picture is empty.
    """
    if image.size == 0:
        raise ValueError("an empty picture cannot be encoded")
    picture = _fitted(image, most_side)
    while True:
        for quality in _QUALITIES:
            _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(data) <= most_bytes:
                return Jpeg(data.tobytes(), picture.shape[1], picture.shape[0])
        if max(picture.shape[:2]) <= 16:
            raise ValueError(f"no picture fits into {most_bytes} bytes")
        picture = _fitted(picture, max(picture.shape[:2]) // 2)


def _fitted(image: Image, most_side: int) -> Image:
    height, width = image.shape[:2]
    scale = most_side / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cast(Image, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
