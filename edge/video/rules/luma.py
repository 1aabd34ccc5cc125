"""What a picture's brightness alone tells of a camera's view: its light, texture and outlines, compared with a learnt
scene. Pure functions on a luma plane of 100 rows; nothing is found or followed in it.
"""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from protocols.camera_events import SceneFault

Luma = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

ROWS = 100

DARK = 45.0
"""Grey levels: when all but the brightest twentieth of the picture is below it, it is dark (black is 16)."""

LAMP = 40.0
"""A dark picture with a spot that much brighter than the rest is a night with a lamp, not a covered lens."""

BRIGHT = 60.0
"""The mean of a learnt scene that does not go dark in a moment by itself."""

NO_TEXTURE = 1.5
"""Mean gradient, grey levels a pixel: a picture with less shows nothing at all, learnt or not."""

LEFT_OF_TEXTURE = 0.3
"""What is left of the learnt texture in a covered picture, at the most."""

LEFT_OF_DETAIL = 0.55
"""Of the learnt share of fine detail in the texture, in a blurred one. A share, so that dusk blurs nothing."""

SAME_OUTLINES = 0.3
SURE_OUTLINES = 0.65
"""Correlation with the learnt scene's outlines: below the first the camera does not see it; from the second on it does,
however little light there is."""

SAME_SHADES = 0.5
"""Correlation of the very blurred pictures: from here on it looks at the same, if less sharply."""


@dataclass(frozen=True)
class View:
    """What is measured of one picture. Maps are [100, columns]."""

    mean: float
    bright: float
    brightest: float
    texture: float
    sharpness: float
    outlines: Map
    shades: Map

    @property
    def detail(self) -> float:
        """The share of fine detail in the texture: it falls when the picture gets blurred, not when it gets dark."""
        return self.sharpness / max(self.texture, 0.1)


def small(luma: Luma) -> Luma:
    """A luma plane [H,W] made 100 rows high."""
    height, width = luma.shape
    size = max(1, round(width * ROWS / height)), ROWS
    return cast(Luma, cv2.resize(np.ascontiguousarray(luma), size, interpolation=cv2.INTER_AREA))


def view_of(luma: Luma) -> View:
    """Measure a luma plane of 100 rows."""
    grey = luma.astype(np.float32)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.25)
    gradient = cv2.magnitude(across, down)
    histogram = np.cumsum(np.bincount(luma.ravel(), minlength=256)) / luma.size
    return View(
        mean=float(grey.mean()),
        bright=float(np.searchsorted(histogram, 0.95)),
        brightest=float(np.searchsorted(histogram, 0.999)),
        texture=float(gradient.mean()),
        sharpness=float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()),
        outlines=cast(Map, cv2.GaussianBlur(gradient, (0, 0), 1.5)),
        shades=cast(Map, cv2.GaussianBlur(grey, (0, 0), 6.0)),
    )


def correlation(one: Map, other: Map) -> float:
    """Pearson's, -1..1; 0 where one of them is the same everywhere."""
    first, second = one - one.mean(), other - other.mean()
    size = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / size if size > 1e-6 else 0.0


def learnt_with(scene: View, view: View, weight: float) -> View:
    """The scene, moved towards a view by `weight` 0..1."""

    def mix(a: float, b: float) -> float:
        return a + weight * (b - a)

    return View(
        mean=mix(scene.mean, view.mean),
        bright=mix(scene.bright, view.bright),
        brightest=mix(scene.brightest, view.brightest),
        texture=mix(scene.texture, view.texture),
        sharpness=mix(scene.sharpness, view.sharpness),
        outlines=cast(Map, cv2.addWeighted(scene.outlines, 1 - weight, view.outlines, weight, 0.0)),
        shades=cast(Map, cv2.addWeighted(scene.shades, 1 - weight, view.shades, weight, 0.0)),
    )


def fault_alone(view: View) -> SceneFault | None:
    """What is wrong with a view of a scene that is not known yet."""
    if view.bright < DARK:
        return SceneFault.DARK
    return SceneFault.COVERED if view.texture < NO_TEXTURE else None


def fault_of(view: View, scene: View) -> SceneFault | None:
    """What keeps a view from being the learnt scene, if anything does."""
    outlines = correlation(view.outlines, scene.outlines)
    is_textured = view.texture >= max(NO_TEXTURE, LEFT_OF_TEXTURE * scene.texture)
    if view.bright < DARK:
        fell_at_once = outlines < SAME_OUTLINES and scene.mean >= BRIGHT and view.brightest - view.bright < LAMP
        return SceneFault.COVERED if fell_at_once else SceneFault.DARK
    if not is_textured and outlines < SURE_OUTLINES:
        return SceneFault.COVERED
    if view.detail < LEFT_OF_DETAIL * scene.detail:
        same = outlines >= SAME_OUTLINES or correlation(view.shades, scene.shades) >= SAME_SHADES
        return SceneFault.BLURRED if same else SceneFault.COVERED
    return SceneFault.TURNED if outlines < SAME_OUTLINES else None
