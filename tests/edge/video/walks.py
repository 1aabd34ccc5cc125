"""Synthetic walks with known identities, and a slow reference of IDF1: the tracker's yardstick."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class WalkFrame:
    """One frame: when, the true boxes with their identities, and noisy detections of them (pixels)."""

    at_s: float
    truth: npt.NDArray[np.float64]
    identities: npt.NDArray[np.intp]
    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]


WIDTH, HEIGHT = 768, 576


def walks(seed: int, walkers: float, seconds: float = 60.0, rate: float = 5.0) -> list[WalkFrame]:
    """People walk through the picture, pause and turn; detections tremble, fail, weaken behind others, are false.

    `walkers` is how many are in view on average; the frames' times tremble too.
    """
    random = np.random.default_rng(seed)
    frames: list[WalkFrame] = []
    people: list[_Walker] = []
    count, at_s, last_s = 0, 0.0, 0.0
    while at_s < seconds:
        while len(people) < random.poisson(walkers):
            count += 1
            people.append(_Walker(count, random))
        for person in people:
            person.step(at_s - last_s, random)
        people = [person for person in people if person.in_view()]
        frames.append(_frame(at_s, people, random))
        last_s, at_s = at_s, at_s + (1 / rate) * random.uniform(0.8, 1.3)
    return frames


class _Walker:
    def __init__(self, identity: int, random: np.random.Generator) -> None:
        self.identity = identity
        self.height = random.uniform(60, 160)
        self.speed = random.uniform(0.4, 1.0) * self.height
        from_left = random.random() < 0.5
        self.place = np.array([0.0 if from_left else WIDTH, random.uniform(150, HEIGHT - 20)])
        self.heading = random.normal(0.0 if from_left else np.pi, 0.3)
        self.pause_s = 0.0

    def step(self, elapsed_s: float, random: np.random.Generator) -> None:
        self.heading += random.normal(0, 0.25) * np.sqrt(elapsed_s)
        if random.random() < 0.05 * elapsed_s:
            self.pause_s = random.uniform(1, 6)
        self.pause_s -= elapsed_s
        if self.pause_s <= 0:
            self.place += elapsed_s * self.speed * np.array([np.cos(self.heading), 0.4 * np.sin(self.heading)])

    def in_view(self) -> bool:
        return bool(-5 <= self.place[0] <= WIDTH + 5 and 60 <= self.place[1] <= HEIGHT + 20)

    def box(self) -> list[float]:
        half = 0.2 * self.height
        return [self.place[0] - half, self.place[1] - self.height, self.place[0] + half, self.place[1]]


def _frame(at_s: float, people: list[_Walker], random: np.random.Generator) -> WalkFrame:
    truth = np.array([person.box() for person in people]).reshape(-1, 4)
    boxes, scores = [], []
    for index, person in enumerate(people):
        hidden = max(
            (_covered(truth[index], truth[j]) for j in range(len(people)) if people[j].place[1] > person.place[1]),
            default=0.0,
        )
        if random.random() < 0.03 + 0.8 * max(0.0, hidden - 0.4):
            continue
        score = min(0.99, random.normal(0.75 - 0.6 * hidden, 0.1))
        box = truth[index] + random.normal(0, 0.03 * person.height, 4)
        if score >= 0.25:  # the detector is not asked for weaker ones
            boxes.append(box)
            scores.append(score)
    for _ in range(random.poisson(0.1)):
        x, y, h = random.uniform(0, WIDTH), random.uniform(100, HEIGHT), random.uniform(60, 160)
        boxes.append(np.array([x - 0.2 * h, y - h, x + 0.2 * h, y]))
        scores.append(float(random.uniform(0.3, 0.6)))
    return WalkFrame(
        at_s,
        truth,
        np.array([person.identity for person in people], np.intp),
        np.array(boxes).reshape(-1, 4),
        np.array(scores),
    )


def _covered(box: npt.NDArray[np.float64], by: npt.NDArray[np.float64]) -> float:
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    return float(max(width, 0) * max(height, 0) / ((box[2] - box[0]) * (box[3] - box[1])))


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


Labelled = tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]


def idf1(truth: list[Labelled], found: list[Labelled]) -> float:
    """IDF1 (Ristani 2016): twice the frames in which a track and its identity agree, over all boxes of both.

    Tracks are paired with identities so that the agreeing frames are most, by SciPy-free brute force on a small
    assignment: the Hungarian method of `lap`, with every other part written out slowly.
    """
    import lap

    agree: dict[tuple[int, int], int] = {}
    for (boxes, identities), (seen, tracks) in zip(truth, found, strict=True):
        for box, identity in zip(boxes.tolist(), identities, strict=True):
            for other, track in zip(seen.tolist(), tracks, strict=True):
                if iou(box, other) >= 0.5:
                    agree[int(identity), int(track)] = agree.get((int(identity), int(track)), 0) + 1
    rows = sorted({identity for identity, _ in agree})
    columns = sorted({track for _, track in agree})
    table = np.zeros((len(rows), len(columns)))
    for (identity, track), count in agree.items():
        table[rows.index(identity), columns.index(track)] = count
    if not table.size:
        return 0.0
    _, column_of, _ = lap.lapjv(table.max() - table, extend_cost=True)
    best = sum(table[row, column] for row, column in enumerate(column_of) if column >= 0)
    boxes = sum(len(ids) for _, ids in truth) + sum(len(ids) for _, ids in found)
    return float(2 * best / boxes)
