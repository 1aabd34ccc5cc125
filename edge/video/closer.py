"""A second look at half of the frame's sides, where something moves that is too small to be found in the whole frame.

Measured (`benchmarks/crops.py`): of people a twentieth to a tenth of the picture high the default detector finds six in
ten in the whole frame and nine in ten in parts; of larger ones parts add little but cost and false boxes. So a part is
looked at only where small movement is that the whole frame did not explain; at most one a frame, in turn; and
ever more rarely while it finds nothing, for leaves and birds are small, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from edge.video.motion import Box
from edge.video.snapshot import Image
from models import Detections, Kind
from models.suppression import suppress

SIDE = 0.5
"""Of the frame's sides, that of a part."""

SMALL = 0.12
"""Of the frame's height: movement that is lower is looked at closer."""

Find = Callable[[Image], Detections]

_EDGE = 0.01
_NEAR = 0.2
_SURE = 0.4
_OVERLAP = 0.5
_CANDIDATES = 200
_FIRST_PAUSE_S = 0.4
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True)
class Part:
    """Where a closer look is taken: its top left corner, in fractions of the frame."""

    left: float
    top: float

    def of(self, image: Image) -> Image:
        """That part of `image` [H,W,3], copied."""
        height, width = image.shape[:2]
        x, y = round(self.left * width), round(self.top * height)
        return image[y : y + round(SIDE * height), x : x + round(SIDE * width)].copy()

    def whole(self, found: Detections) -> Detections:
        """What is small of what was found in it, in fractions of the frame; without what an edge cuts that is not the
        frame's own. What is larger the whole frame shows better: from parts it would mostly be false or doubled boxes.
        """
        boxes = found.boxes
        cut = ((boxes[:, 0] < _EDGE) & (self.left > 0)) | ((boxes[:, 2] > 1 - _EDGE) & (self.left + SIDE < 1))
        cut |= ((boxes[:, 1] < _EDGE) & (self.top > 0)) | ((boxes[:, 3] > 1 - _EDGE) & (self.top + SIDE < 1))
        is_small = (boxes[:, 3] - boxes[:, 1]) * SIDE < SMALL
        kept = found.select(is_small & ~cut)
        moved = kept.boxes * np.float32(SIDE) + np.array([self.left, self.top] * 2, np.float32)
        return Detections(moved, kept.scores, kept.kinds, kept.classes, kept.class_names)


class CloserLook:
    """Decides for one camera where to look closer, and whether. Not shared between threads."""

    def __init__(self) -> None:
        self._turn = 0
        self._target: Box | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._not_before_s = -inf

    def aim(self, moving: Sequence[Box], seen: Detections, at_s: float) -> Part | None:
        """The part that is worth a look at `at_s` (monotonic), if any.

        Args:
            moving: where something moves in the frame.
            seen: what was found in the whole frame.
            at_s: when it was taken.
        """
        if at_s < self._not_before_s:
            return None
        small = [box for box in moving if box[3] - box[1] < SMALL and not _is_explained(box, seen)]
        if not small:
            return None
        self._target = x1, y1, x2, y2 = small[self._turn % len(small)]
        self._turn += 1
        return Part(_corner((x1 + x2) / 2), _corner((y1 + y2) / 2))

    def add(self, find: Find, image: Image, seen: Detections, moving: Sequence[Box], at_s: float) -> Detections | None:
        """What is in the frame after a closer look at one part of it; None if none is worth it.

        Args:
            find: runs the detector on a picture.
            image: the whole frame.
            seen: what was found in it.
            moving, at_s: as for `aim`.
        """
        part = self.aim(moving, seen, at_s)
        if part is None:
            return None
        both = joined(seen, part.whole(find(part.of(image))))
        self.learn(both, at_s)
        return both

    def learn(self, seen: Detections, at_s: float) -> None:
        """What is known after the look at `at_s`: unless it explains what moved, the next looks come later."""
        found = self._target is not None and _is_explained(self._target, seen)
        self._pause_s = _FIRST_PAUSE_S if found else min(_LONGEST_PAUSE_S, 2 * self._pause_s)
        self._not_before_s = -inf if found else at_s + self._pause_s


def joined(whole: Detections, part: Detections) -> Detections:
    """What either look found, each thing once: of two boxes of a kind that overlap by half, the surer one."""
    boxes, scores = np.concatenate([whole.boxes, part.boxes]), np.concatenate([whole.scores, part.scores])
    kinds, classes = np.concatenate([whole.kinds, part.kinds]), np.concatenate([whole.classes, part.classes])
    rows = []
    for kind in Kind:
        of_kind = np.flatnonzero(kinds == kind)
        rows.append(of_kind[suppress(boxes[of_kind], scores[of_kind], _OVERLAP, _CANDIDATES)])
    kept = np.concatenate(rows)
    return Detections(boxes[kept], scores[kept], kinds[kept], classes[kept], whole.class_names)


def _corner(middle: float) -> float:
    return min(1.0 - SIDE, max(0.0, middle - SIDE / 2))


def _is_explained(box: Box, seen: Detections) -> bool:
    """Whether the movement's middle lies in a box that was found for sure, a fifth larger on each side."""
    sure = seen.boxes[seen.scores >= _SURE]
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    margin = _NEAR * (sure[:, 2:] - sure[:, :2])
    inside = (sure[:, :2] - margin <= middle) & (middle <= sure[:, 2:] + margin)
    return bool(inside.all(axis=1).any())
