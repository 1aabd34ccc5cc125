"""AP50, recall and precision from boxes and truth. Pure arithmetic: reads no file and runs no network.

A detection hits when it overlaps a labelled box by IoU >= 0.5 that no better detection of that frame has taken. AP50 is
the area under the interpolated precision-recall curve (every point, as PASCAL VOC 2010 and later).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.detections import Floats
from models.suppression import overlaps

HIT_OVERLAP: Final = 0.5


class FrameBoxes(NamedTuple):
    """One kind in one frame: found boxes [N,4] with scores [N], and labelled boxes [M,4], in the same unit."""

    boxes: Floats
    scores: Floats
    truth: Floats


@dataclass(frozen=True, slots=True)
class Score:
    """How one kind fared over a set. Recalls and precision are 0..1.

    ``recall_at_one`` is the recall where false alarms reach one a frame; ``recall`` and ``precision`` are those at the
    operating threshold.
    """

    ap50: float
    recall_at_one: float
    recall: float
    precision: float
    labelled: int
    frames: int


def score(frames: Sequence[FrameBoxes], threshold: float) -> Score:
    """Score one kind over a set in which at least one box is labelled."""
    labelled = sum(len(frame.truth) for frame in frames)
    if labelled == 0:
        raise ValueError("a set without a labelled box has no score")
    scores = np.concatenate([frame.scores for frame in frames])
    hits = np.concatenate([match(frame) for frame in frames])
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], hits[order]
    true, false = np.cumsum(hits), np.cumsum(~hits)
    recall = true / labelled
    precision = true / np.maximum(true + false, 1)
    kept = int(np.searchsorted(-scores, -threshold, side="right"))
    within_one = int(np.searchsorted(false, len(frames), side="right"))
    return Score(
        ap50=_area_under(recall, precision),
        recall_at_one=float(recall[within_one - 1]) if within_one else 0.0,
        recall=float(recall[kept - 1]) if kept else 0.0,
        precision=float(precision[kept - 1]) if kept else 0.0,
        labelled=labelled,
        frames=len(frames),
    )


def match(frame: FrameBoxes) -> npt.NDArray[np.bool_]:
    """Whether each detection [N] hits: best score first, each takes the free label that it overlaps most."""
    hits = np.zeros(len(frame.scores), bool)
    if not len(frame.truth):
        return hits
    shared = overlaps(frame.boxes, frame.truth)
    free = np.ones(len(frame.truth), bool)
    for row in np.argsort(-frame.scores, kind="stable"):
        candidates = np.where(free, shared[row], -1)
        best = int(candidates.argmax())
        if candidates[best] >= HIT_OVERLAP:
            hits[row], free[best] = True, False
    return hits


def _area_under(recall: npt.NDArray[np.float64], precision: npt.NDArray[np.float64]) -> float:
    """Area under the curve whose precision at a recall is the best at that recall or beyond."""
    if not len(recall):
        return 0.0
    best_beyond = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best_beyond).sum())
