"""Slopes and percentiles for the benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slopes:
    """How fast something grows, per unit of x: by least squares, and by the median of all pairs (Theil 1950, Sen 1968),
    which a few leaps do not move."""

    least_squares: float
    theil_sen: float


def slopes(x: Sequence[float], y: Sequence[float]) -> Slopes:
    """The slopes of `y` over `x`, of which at least two differ.

    Raises:
        ValueError: if there are no two points with different `x`.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    first, second = np.triu_indices(len(xs), 1)
    run = xs[second] - xs[first]
    apart = run != 0
    if not apart.any():
        raise ValueError("a slope needs two points at different places")
    pairs = (ys[second] - ys[first])[apart] / run[apart]
    middle = xs - xs.mean()
    return Slopes(float((middle * ys).sum() / (middle**2).sum()), float(np.median(pairs)))


def percentile(values: Sequence[float], share: float) -> float:
    """The least of `values` that at least this share of them do not exceed (nearest rank); 0 of none.

    No value is made up between two that were measured.
    """
    ordered = sorted(values)
    if not ordered:
        return 0.0
    rank = int(np.ceil(share * len(ordered) - 1e-9))
    return ordered[min(max(rank, 1), len(ordered)) - 1]
