"""Timing routines against each other: in turns, in one run, on one machine, since only their ratio means anything."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

WARM_UP: Final = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds a call, and how many times the first routine's median that is."""

    name: str
    median_ms: float
    best_ms: float
    ratio: float


def time_side_by_side(
    routines: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> tuple[Timing, ...]:
    """Call every routine once a round, after a few rounds that do not count. ``clock`` gives seconds."""
    spent: dict[str, list[float]] = {name: [] for name in routines}
    for turn in range(WARM_UP + rounds):
        for name, routine in routines.items():
            begin = clock()
            routine()
            if turn >= WARM_UP:
                spent[name].append((clock() - begin) * 1000)
    medians = {name: statistics.median(times) for name, times in spent.items()}
    first = next(iter(medians.values()))
    return tuple(Timing(name, medians[name], min(times), medians[name] / first) for name, times in spent.items())
