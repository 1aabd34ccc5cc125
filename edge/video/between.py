"""Boxes that the detector draws around halves of two people who walk close together: nobody is in them.

Suppression leaves such a box alone, for it overlaps neither of the two by enough. It must begin no track, or a third
person would come through the door. Somebody hidden behind two others is mostly seen above or below them.
"""

import numpy as np
import numpy.typing as npt

COVERED = 0.9
"""The share of a box that lies within the two at its sides."""

WEAKER = 0.2
"""By so much its score is below both of theirs."""

Boxes = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def between_two(boxes: Boxes, scores: npt.NDArray[np.float64]) -> Flags:
    """Which of these boxes [N,4], people alone, lie between two stronger ones and almost wholly within them: [N]."""
    found = np.zeros(len(boxes), bool)
    middle = boxes[:, 0] + boxes[:, 2]
    stronger = scores >= scores[:, None] + WEAKER
    for i in (stronger.sum(axis=1) >= 2).nonzero()[0]:
        box, is_stronger = boxes[i], stronger[i]
        left = _within(boxes[is_stronger & (middle < middle[i])], box)
        right = _within(boxes[is_stronger & (middle > middle[i])], box)
        if len(left) and len(right):
            covered = _areas(left)[:, None] + _areas(right) - _areas(_within(left[:, None], right))
            found[i] = covered.max() >= COVERED * _areas(box) > 0
    return found


def _within(boxes: Boxes, others: Boxes) -> Boxes:
    """The part of each box [...,4] that lies in the other; crossed corners where there is none."""
    return np.concatenate(
        [np.maximum(boxes[..., :2], others[..., :2]), np.minimum(boxes[..., 2:], others[..., 2:])], axis=-1
    )


def _areas(boxes: Boxes) -> Boxes:
    """Of boxes [...,4]: [...]; none where corners are crossed."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1])
