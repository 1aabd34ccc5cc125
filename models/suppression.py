"""Non-maximum suppression without a loop over boxes. Knows nothing of classes: the caller gives one group at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.detections import Floats

_SMALLEST_AREA = np.finfo(np.float32).tiny
"""Stands for the union of two empty boxes, which share nothing: a quotient of zero and no division by zero."""


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every pair: [N,4] and [M,4] corner boxes give [N,M]; an empty box overlaps nothing."""
    width = _shared_length(first[:, 0], first[:, 2], second[:, 0], second[:, 2])
    height = _shared_length(first[:, 1], first[:, 3], second[:, 1], second[:, 3])
    shared = np.multiply(width, height, out=width)
    union = area(first)[:, None] + area(second)[None, :] - shared
    ratio: Floats = np.divide(shared, np.maximum(union, _SMALLEST_AREA, out=union), out=height)
    return ratio


def _shared_length(low: Floats, high: Floats, other_low: Floats, other_high: Floats) -> Floats:
    """How far each of N intervals overlaps each of M others: [N,M], nothing where they are apart."""
    length = np.minimum(high[:, None], other_high[None, :])
    length -= np.maximum(low[:, None], other_low[None, :])
    result: Floats = np.maximum(length, 0, out=length)
    return result


def area(boxes: Floats) -> Floats:
    """Areas [N] of corner boxes [N,4]; a box with its corners crossed has none."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    result: Floats = sides[:, 0] * sides[:, 1]
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
        settled = np.logical_not(np.any(beats[kept], axis=0))
        if np.array_equal(settled, kept):
            return order[kept]
        kept = settled
