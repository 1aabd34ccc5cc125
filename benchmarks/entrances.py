"""Quiet scenes that people enter at known moments, made from Debian's vtest.avi: its empty place, its own walkers.

The walkers are found by our detector and tracker, cut out by their difference from the empty place, and shown again on
it, mirrored by chance, with a sensor's noise: real pixels, moments known to the frame.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from edge.video.analysis import WEAK_SCORE
from edge.video.tracker import Tracker
from models import Kind, load_detector

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
RATE = 10
STAYS_S = 3.0
_NOISE = 2.0
_DIFFERS = 18.0

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Cutting:
    """A walker in one frame: pixels [H,W,3], how much of each is theirs [H,W,1] 0..1, and where it lies."""

    pixels: Image
    share: npt.NDArray[np.float32]
    x: int
    y: int


@dataclass(frozen=True)
class Footage:
    """The empty place, and walkers of `STAYS_S` each."""

    place: Image
    walkers: tuple[tuple[Cutting, ...], ...]


def read_footage(clip: Path = VTEST, most_frames: int = 795) -> Footage:
    """Find the walkers of a clip."""
    frames = [frame.to_ndarray(format="bgr24") for frame, _ in zip(_decoded(clip), range(most_frames), strict=False)]
    place = np.median(np.stack(frames[::25]), axis=0).astype(np.uint8)
    walkers = []
    for boxes in _tracks(frames):
        first = min(boxes)
        wanted = range(first, first + round(STAYS_S * RATE))
        if sum(number in boxes for number in wanted) > 0.8 * len(wanted):
            walkers.append(tuple(_cutting(frames[i], place, _box(boxes, i)) for i in wanted if i < len(frames)))
    return Footage(place, tuple(walkers))


def _decoded(clip: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(clip)) as container:
        yield from container.decode(container.streams.video[0])


def _tracks(frames: list[Image]) -> list[dict[int, npt.NDArray[np.float64]]]:
    """Each confirmed person's boxes in pixels, by the frame's number; people of the first second are left out."""
    detector, size = load_detector(), np.array([*frames[0].shape[1::-1]] * 2)
    tracker = Tracker(size[0] / size[1])
    tracks: dict[int, dict[int, npt.NDArray[np.float64]]] = defaultdict(dict)
    for number, frame in enumerate(frames):
        found = detector.detect(frame, WEAK_SCORE).of_kind(Kind.PERSON)
        boxes, scores = found.boxes.astype(float), found.scores.astype(float)
        seen = tracker.update(boxes, scores, np.zeros(len(scores), np.intp), scores >= 0.4, number / RATE)
        for track, row in zip(seen.ids, seen.rows, strict=True):
            tracks[track][number] = boxes[row] * size
    return [boxes for boxes in tracks.values() if min(boxes) > RATE]


def _box(boxes: dict[int, npt.NDArray[np.float64]], number: int) -> npt.NDArray[np.float64]:
    return boxes[min(boxes, key=lambda other: abs(other - number))]


def _cutting(frame: Image, place: Image, box: npt.NDArray[np.float64]) -> Cutting:
    height, width = frame.shape[:2]
    grow_x, grow_y = 0.2 * (box[2] - box[0]), 0.1 * (box[3] - box[1])
    left, top = max(0, int(box[0] - grow_x)), max(0, int(box[1] - grow_y))
    right, bottom = min(width, int(box[2] + grow_x) + 1), min(height, int(box[3] + grow_y) + 1)
    pixels = frame[top:bottom, left:right].copy()
    difference = cv2.absdiff(pixels, place[top:bottom, left:right]).max(axis=2)
    theirs = cv2.dilate((difference > _DIFFERS).astype(np.float32), np.ones((7, 7)))
    return Cutting(pixels, cv2.GaussianBlur(theirs, (5, 5), 0)[..., None], left, top)


@dataclass(frozen=True)
class Entrance:
    """Somebody enters at `at_s` and stays for `STAYS_S`."""

    at_s: float
    walker: int
    is_mirrored: bool


def plan(footage: Footage, seed: int, entrances: int, quiet_s: tuple[float, float]) -> list[Entrance]:
    """Entrances after times of quiet that are drawn by lot, so that they fall anywhere in a group of pictures."""
    lots, at_s, planned = np.random.default_rng(seed), 2.0, []
    for _ in range(entrances):
        at_s += lots.uniform(*quiet_s)
        planned.append(
            Entrance(round(at_s * RATE) / RATE, int(lots.integers(len(footage.walkers))), lots.random() < 0.5)
        )
        at_s += STAYS_S
    return planned


def film(footage: Footage, entrances: list[Entrance], frames: int, seed: int = 1) -> Iterator[Image]:
    """The pictures, `RATE` a second."""
    lots = np.random.default_rng(seed)
    grain = [lots.normal(0.0, _NOISE, footage.place.shape).astype(np.int8) for _ in range(7)]
    for number in range(frames):
        picture = footage.place.copy()
        for entrance in entrances:
            walker, step = footage.walkers[entrance.walker], number - round(entrance.at_s * RATE)
            if 0 <= step < len(walker):
                picture = _shown(picture, walker[step], entrance.is_mirrored)
        yield cv2.add(picture, grain[int(lots.integers(len(grain)))], dtype=cv2.CV_8U)


def _shown(picture: Image, cutting: Cutting, is_mirrored: bool) -> Image:
    height, width = cutting.pixels.shape[:2]
    part = picture[cutting.y : cutting.y + height, cutting.x : cutting.x + width]
    part[:] = (part * (1.0 - cutting.share) + cutting.pixels * cutting.share).astype(np.uint8)
    return picture[:, ::-1].copy() if is_mirrored else picture
