"""Non-maximum suppression without a loop over boxes. Knows nothing of classes: the caller gives one group at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.detections import Floats


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every pair: [N,4] and [M,4] corner boxes give [N,M]; an empty box overlaps nothing."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared: Floats = np.prod(np.maximum(high - low, 0), axis=2)
    union = area(first)[:, None] + area(second)[None, :] - shared
    ratio: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def area(boxes: Floats) -> Floats:
    """Areas [N] of corner boxes [N,4]; a box with its corners crossed has none."""
    result: Floats = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    return result


def suppress(boxes: Floats, scores: Floats, iou: float, limit: int) -> npt.NDArray[np.intp]:
    """Indices of the boxes that greedy suppression keeps, best first.

    Only the ``limit`` best are looked at; of equal scores the earlier row wins. A box survives when no better
    survivor overlaps it by more than ``iou``. That sentence is solved as a fixed point: each round settles at
    least the next link of every chain of overlapping boxes, so two or three rounds do for a real frame.
    """
    order = np.argsort(-scores, kind="stable")[:limit]
    ordered = boxes[order]
    beats = np.triu(overlaps(ordered, ordered) > iou, k=1)
    kept: npt.NDArray[np.bool_] = np.ones(len(order), bool)
    while True:
        settled = np.logical_not(np.any(beats & kept[:, None], axis=0))
        if np.array_equal(settled, kept):
            return order[kept]
        kept = settled
