"""What a detector saw in one frame, as one struct of arrays. Holds values only: no drawing, no tracking."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int16]
Frame = npt.NDArray[np.uint8]


class Kind(IntEnum):
    """The groups within which boxes compete in non-maximum suppression, and which events speak of."""

    PERSON = 0
    BICYCLE = 1
    VEHICLE = 2


KIND_OF_CLASS: Final = {
    "person": Kind.PERSON,
    "bicycle": Kind.BICYCLE,
    "bike": Kind.BICYCLE,
    "car": Kind.VEHICLE,
    "motorcycle": Kind.VEHICLE,
    "bus": Kind.VEHICLE,
    "truck": Kind.VEHICLE,
    "vehicle": Kind.VEHICLE,
}
"""Every class a manifest may name, and its kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """N detections, each kind's by falling score, people first.

    ``boxes`` float32 [N,4]: x1, y1, x2, y2 as fractions of the frame, within 0..1.
    ``scores`` float32 [N]: 0..1. ``kinds`` int16 [N]: values of :class:`Kind`.
    ``classes`` int16 [N]: indices into ``class_names``.
    """

    boxes: Floats
    scores: Floats
    kinds: Integers
    classes: Integers
    class_names: tuple[str, ...]

    @classmethod
    def none(cls, class_names: tuple[str, ...] = ()) -> Detections:
        """Nothing seen."""
        empty = np.zeros(0, np.int16)
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), empty, empty, class_names)

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Detections:
        """Those where a boolean mask [N] is true, or those at the given indices, in that order."""
        return Detections(
            self.boxes[which], self.scores[which], self.kinds[which], self.classes[which], self.class_names
        )

    def of_kind(self, kind: Kind) -> Detections:
        """Those of one kind."""
        return self.select(self.kinds == kind)

    def pixels(self, width: int, height: int) -> Floats:
        """The boxes [N,4] in pixels of a frame of that size."""
        return self.boxes * np.array([width, height, width, height], np.float32)
