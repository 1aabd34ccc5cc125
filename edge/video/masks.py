"""Parts of a camera's picture that do not count, or that nobody may see: polygons in fractions of the frame.

A motion mask only keeps what moves there from waking the detector. A privacy mask (a neighbour's window) is painted
black in every picture before anything looks at it: what is analysed, and with that every picture kept or shown.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Polygons = Sequence[Sequence[tuple[float, float]]]
Picture = npt.NDArray[np.uint8]

_FINE = 4
"""Bits below a pixel with which corners are placed, so that a mask lies alike in pictures of different sizes."""


def black_out(picture: Picture, polygons: Polygons) -> Picture:
    """Paint polygons black, in place. `picture` is [H,W,3] or [H,W], of any size; returned for convenience.

    A pixel that an edge touches is painted: nothing of what is behind a mask shows at its border.
    """
    height, width = picture.shape[:2]
    for corners in _in_pixels(polygons, width, height):
        cv2.fillPoly(picture, [corners], (0, 0, 0), shift=_FINE)
    return picture


def covered(polygons: Polygons, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Which pixels of a picture of that size the polygons cover, [height,width]."""
    picture = np.zeros((height, width), np.uint8)
    for corners in _in_pixels(polygons, width, height):
        cv2.fillPoly(picture, [corners], (1,), shift=_FINE)
    return picture.astype(bool)


def _in_pixels(polygons: Polygons, width: int, height: int) -> list[npt.NDArray[np.int32]]:
    """Corners at pixels' middles, as OpenCV counts them."""
    size = np.array([width, height], float)
    return [np.rint((np.array(p, float) * size - 0.5) * 2**_FINE).astype(np.int32) for p in polygons]
