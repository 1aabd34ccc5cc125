"""Whether something moves in a picture, cheaply enough (about 0.2 ms) to let the detector sleep.

The luma plane, 100 rows small, is compared with its own running average. Times are in seconds, never in frames: half
the frames may be missing and nothing changes. Says only "moves" or "still": what moves is the detector's to say.
"""

from dataclasses import dataclass
from math import exp
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]

ROWS = 100
_AVERAGE_OVER_S = 4.0
_CALIBRATE_S = 1.0
_CALIBRATE_OVER_S = 0.3
_LIGHT_CHANGE = 0.6


@dataclass(frozen=True)
class Motion:
    """What changed in a frame against the scene's average.

    `moves`: something did. `share`: of the picture that differs, 0..1. `recalibrated`: the whole picture changed at
    once (light switched, infrared cut, camera moved), so that the average starts anew.
    """

    moves: bool
    share: float
    recalibrated: bool


class MotionGate:
    """Follows one camera's scene. Not shared between threads.

    Args:
        sensitivity: 0 (large, clear movement alone) to 1 (the slightest).
    """

    def __init__(self, sensitivity: float = 0.5) -> None:
        self._threshold = 40.0 - 30.0 * sensitivity  # grey levels of 255
        self._least_share = 0.004 * (1.0 - sensitivity) ** 2 + 0.0002  # of the picture, for the largest blob
        self._average: npt.NDArray[np.float32] | None = None
        self._last_s = 0.0
        self._calibrated_at_s = 0.0
        self.changed: Luma | None = None
        """What differed in the last frame, [100,W], 0 or 255, for whoever shows it; None where the average began."""

    def see(self, luma: Luma, at_s: float) -> Motion:
        """Compare the luma plane [H,W] taken at `at_s` (monotonic seconds, rising) with the average, and learn it."""
        small = self._small(luma)
        if self._average is None or self._average.shape != small.shape:
            return self._start(small, at_s, moves=False)
        difference = cv2.absdiff(small, self._average)
        changed = cast(Luma, cv2.threshold(difference, self._threshold, 255, cv2.THRESH_BINARY)[1].astype(np.uint8))
        self.changed = changed
        share = cv2.countNonZero(changed) / changed.size
        if share > _LIGHT_CHANGE:
            return self._start(small, at_s, moves=False, share=share, recalibrated=True)
        calibrating = at_s < self._calibrated_at_s
        over_s = _CALIBRATE_OVER_S if calibrating else _AVERAGE_OVER_S
        weight = 1.0 - exp(-max(0.0, at_s - self._last_s) / over_s)
        cv2.accumulateWeighted(small, self._average, weight)
        self._last_s = at_s
        moves = not calibrating and share > self._least_share and self._largest_blob(changed) > self._least_share
        return Motion(moves, share, recalibrated=False)

    def _start(
        self, small: npt.NDArray[np.float32], at_s: float, moves: bool, share: float = 0.0, recalibrated: bool = False
    ) -> Motion:
        self._average = small.copy()
        self.changed = None
        self._last_s = at_s
        self._calibrated_at_s = at_s + _CALIBRATE_S
        return Motion(moves, share, recalibrated)

    @staticmethod
    def _small(luma: Luma) -> npt.NDArray[np.float32]:
        height, width = luma.shape
        columns = max(1, round(width * ROWS / height))
        small = cv2.resize(luma, (columns, ROWS), interpolation=cv2.INTER_NEAREST)
        return cast(npt.NDArray[np.float32], cv2.GaussianBlur(small, (5, 5), 0).astype(np.float32))

    @staticmethod
    def _largest_blob(changed: Luma) -> float:
        """The largest connected change, as a share of the picture; nearby changes count as one."""
        joined = cv2.dilate(changed, np.ones((3, 3), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        if count < 2:
            return 0.0
        return float(stats[1:, cv2.CC_STAT_AREA].max()) / changed.size
