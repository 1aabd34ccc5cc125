"""Whether something moves in a picture, and where, cheaply enough (about 0.4 ms) to let the detector sleep.

The luma plane, 100 rows small, is compared with its own running average. Three things keep it calm where nothing moves:

* Light is not movement. Pictures are compared as the logarithm of brightness less its local mean (homomorphic
  filtering, Oppenheim 1968): a headlight's cone, a cloud's shadow or a camera's exposure change the mean and leave what
  is lit, a figure changes both.
* Each place has a threshold of its own: some multiple of how much it usually differs from its average. Where leaves or
  a flag move nearly always, that is much; a path where people walk now and then keeps a low one, for what is usual is
  a median.
* Where most of the picture changes at once (infrared is switched, the camera is turned), the average starts anew.

Times are in seconds, never in frames: half the frames may be missing and nothing changes. Says only that something
moves, and where: what it is, is the detector's to say. A gate may be copied (`copy.deepcopy`).
"""

from dataclasses import dataclass
from math import exp
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from edge.video.masks import Polygons, covered

Luma = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]

ROWS = 100
MOST_BOXES = 8

_DARKEST = 24.0  # added to brightness before the logarithm: below it, differences are mostly a sensor's noise
_SCALE = 116.0  # such that one unit is about one grey level of 255 at a brightness of 92
_SURROUNDINGS = 21  # pixels of the small picture over which the local mean is taken
_LOCAL = 0.35  # of a change of the local mean is allowed for on top: a cone's middle is not quite flat
_AVERAGE_OVER_S = 6.0
_USUAL_AT_FIRST = 4.0
_USUAL_LEAST = 1.0
_USUAL_PER_S = 1.0  # by how much what is usual at a place grows or shrinks in a second
_USUAL_FACTOR = 3.0
_LONGEST_STEP_S = 1.0
_CALIBRATE_S = 1.0
_CALIBRATE_OVER_S = 0.3
_CHANGED_AT_ONCE = 0.4  # of the picture
_LIT_AT_ONCE = 0.6  # of the picture, by a third brighter or darker
_LIT = 35.0


@dataclass(frozen=True)
class Motion:
    """What changed in a frame against the scene's average.

    `moves`: something did. `share`: of the picture that differs, 0..1. `recalibrated`: the whole picture changed at
    once (light switched, infrared cut, camera moved), so that the average starts anew. `boxes`: where something moves,
    fractions of the frame, the largest first; of many, the last holds all the rest.
    """

    moves: bool
    share: float
    recalibrated: bool
    boxes: tuple[Box, ...] = ()

    def is_within(self, places: npt.NDArray[np.float64]) -> bool:
        """Whether all that moves does so inside of `places` [N,4], each a fifth larger on each side."""
        return bool(self.boxes) and all(_is_inside(box, places) for box in self.boxes)


NO_MOTION = Motion(moves=False, share=0.0, recalibrated=False)


class MotionGate:
    """Follows one camera's scene. Not shared between threads.

    Args:
        sensitivity: 0 (large, clear movement alone) to 1 (the slightest).
        masks: polygons in which nothing counts.
    """

    def __init__(self, sensitivity: float = 0.5, masks: Polygons = ()) -> None:
        self._threshold = 32.0 - 24.0 * sensitivity
        self._least_share = 0.004 * (1.0 - sensitivity) ** 2 + 0.0002  # of the picture, for the largest blob
        self._masks = masks
        self._scene: _Scene | None = None

    def see(self, luma: Luma, at_s: float) -> Motion:
        """Compare the luma plane [H,W] taken at `at_s` (monotonic seconds, rising) with the average, and learn it."""
        detail, local = _reduced(luma)
        if self._scene is None or self._scene.detail.shape != detail.shape:
            self._scene = _Scene(detail, local, at_s, self._masks)
            return Motion(moves=False, share=0.0, recalibrated=False)
        scene = self._scene
        difference, lit = cv2.absdiff(detail, scene.detail), cv2.absdiff(local, scene.local)
        changed = (difference > self._threshold + _USUAL_FACTOR * scene.usual + _LOCAL * lit) & scene.counts
        share = np.count_nonzero(changed) / scene.area
        if share > _CHANGED_AT_ONCE or np.count_nonzero((lit > _LIT) & scene.counts) > _LIT_AT_ONCE * scene.area:
            self._scene = _Scene(detail, local, at_s, self._masks)
            return Motion(moves=False, share=share, recalibrated=True)
        calibrating = at_s < scene.calibrated_s
        scene.learn(detail, local, cast(Floats, difference), at_s)
        boxes = () if calibrating or share <= 0.2 * self._least_share else self._boxes(changed, scene.area)
        return Motion(bool(boxes), share, recalibrated=False, boxes=boxes)

    def _boxes(self, changed: npt.NDArray[np.bool_], area: int) -> tuple[Box, ...]:
        """Where connected changes are that are large enough; lone pixels are nothing, near ones count as one."""
        solid = cv2.morphologyEx(changed.view(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        joined = cv2.dilate(solid, np.ones((3, 3), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        large = stats[1:][stats[1:, cv2.CC_STAT_AREA] > self._least_share * area]
        large = large[np.argsort(-large[:, cv2.CC_STAT_AREA])]
        corners = large[:, :4].astype(float)
        corners[:, 2:] += corners[:, :2]
        if len(corners) > MOST_BOXES:
            rest = corners[MOST_BOXES - 1 :]
            rest[0] = [*rest[:, :2].min(axis=0), *rest[:, 2:].max(axis=0)]
        corners /= [changed.shape[1], changed.shape[0]] * 2
        return tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in corners[:MOST_BOXES].tolist())


class _Scene:
    """What one place looks like: its averages, and by how much each pixel usually differs from them."""

    def __init__(self, detail: Floats, local: Floats, at_s: float, masks: Polygons) -> None:
        self.detail, self.local = detail, local
        self.usual = np.full_like(detail, _USUAL_AT_FIRST)
        self.seen_s = at_s
        self.calibrated_s = at_s + _CALIBRATE_S
        height, width = detail.shape
        self.counts = ~covered(masks, width, height)
        self.area: int = int(np.count_nonzero(self.counts)) or 1

    def learn(self, detail: Floats, local: Floats, difference: Floats, at_s: float) -> None:
        elapsed_s = max(0.0, at_s - self.seen_s)
        self.seen_s = at_s
        weight = 1.0 - exp(-elapsed_s / (_CALIBRATE_OVER_S if at_s < self.calibrated_s else _AVERAGE_OVER_S))
        cv2.accumulateWeighted(detail, self.detail, weight)
        cv2.accumulateWeighted(local, self.local, weight)
        step = np.float32(_USUAL_PER_S * min(elapsed_s, _LONGEST_STEP_S))
        self.usual += np.where(difference > self.usual, step, -step)
        np.maximum(self.usual, _USUAL_LEAST, out=self.usual)


def small_luma(luma: Luma) -> Luma:
    """The luma plane [H,W] at twice the rows that the gate compares: what it takes as well as the plane itself."""
    height, width = luma.shape
    columns = max(1, round(width * ROWS / height))
    return cast(Luma, cv2.resize(luma, (2 * columns, 2 * ROWS), interpolation=cv2.INTER_LINEAR))


_LOGARITHM = (_SCALE * np.log(np.arange(256) + _DARKEST)).astype(np.float32)


def _reduced(luma: Luma) -> tuple[Floats, Floats]:
    """The picture's detail and its local mean, both [100,W'], in units of `_SCALE`."""
    double = luma if luma.shape[0] == 2 * ROWS else small_luma(luma)
    height, width = double.shape
    columns = max(1, round(width * ROWS / height))
    small = cv2.resize(double, (columns, ROWS), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(cv2.LUT(small, _LOGARITHM), (3, 3), 0)
    local = cast(Floats, cv2.blur(smooth, (_SURROUNDINGS, _SURROUNDINGS)))
    return cast(Floats, smooth - local), local


def _is_inside(box: Box, places: npt.NDArray[np.float64]) -> bool:
    margin = 0.2 * (places[:, 2:] - places[:, :2])
    low, high = places[:, :2] - margin, places[:, 2:] + margin
    return bool(((low <= box[:2]) & (high >= box[2:])).all(axis=1).any())
