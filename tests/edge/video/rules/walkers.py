"""Real walkers, cut out of the demo's clip (PETS 2009) whenever a test runs and kept nowhere, to be laid over scenes.

Two people walk by themselves across the light road in the right half of `gate-east.mp4`. What differs from the picture
without anybody is theirs. The road itself, twice as large, is the quiet place in which they walk again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import av
import cv2
import numpy as np

from tests.support.rtsp import CLIPS

Picture = np.ndarray
"""BGR [H,W,3], or one channel [H,W,1]; uint8 unless said otherwise."""

RATE = 10
WIDTH, HEIGHT = 640, 480
BODY_WIDTH = 66.0
"""Of a walker at the line, in pixels of `road()`: the middle of the widths of those pictures of them."""
LINE_X = 320.0
_PART = slice(90, 410), slice(420, 768)
"""Of the clip's pictures: the road, and room for whoever walks there. Rows, columns."""
_ROAD = slice(10, 250), slice(12, 332)
"""Of that part: what `road()` shows."""
_SPEED, _SLOPE, _LINE_Y = 124.0, 0.266, 362.0
_LINE_HEIGHT, _GROWTH = 158.0, 0.1
"""The first one's way: pixels a second to the left, upwards a pixel to the left, where it crosses the line; and how
high a person is there, and how much higher a pixel to the right."""
_DIFFERS = 26
_SEARCH = 40.0
_LEAST_AREA = 250
_SHIFT = 64
_FRINGE = np.ones((3, 3), np.uint8)
"""Taken off all round: the encoder's light seam."""


@dataclass(frozen=True)
class _Seen:
    """Where somebody is found first, read from the pictures: the frames, and the foot point in pixels of `_PART`."""

    frames: range
    foot: tuple[float, float]


_WALKS = (_Seen(range(227, 269), (287.0, 222.0)), _Seen(range(235, 277), (287.0, 302.0)))


@dataclass(frozen=True)
class _Step:
    colours: Picture
    cover: Picture
    """float64 [H,W,1], 0 to 1."""
    height: float
    """Of the walker at that distance, feet together or apart."""


class Walker:
    """Somebody in mid-walk, facing left, one picture every tenth of a second."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        self._steps = steps

    def lay(
        self, picture: Picture, at_s: float, foot: tuple[float, float], height: float, mirrored: bool = False
    ) -> None:
        """Draw the walker into a picture.

        Args:
            picture: is changed.
            at_s: which step of the walk; it starts again when it ends.
            foot: the middle of the lower edge, in pixels; may lie outside the picture.
            height: in pixels.
            mirrored: walks to the right.
        """
        step = self._steps[round(at_s * RATE) % len(self._steps)]
        scale = height / step.height
        colours = cv2.resize(step.colours, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        cover = cv2.resize(step.cover, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)[..., None]
        if mirrored:
            colours, cover = colours[:, ::-1], cover[:, ::-1]
        lay(picture, colours, cover, foot)


@dataclass(frozen=True)
class Walk:
    """A walker's way over the road.

    `passes_s` is when the foot point is on the line, `nearer` how far beside the usual way towards the camera, as a
    share of the walker's height.
    """

    walker: Walker
    passes_s: float
    nearer: float = 0.0

    def foot(self, at_s: float) -> tuple[float, float]:
        x = LINE_X - _SPEED * (at_s - self.passes_s)
        return x, _LINE_Y + _SLOPE * (x - LINE_X) + self.nearer * _LINE_HEIGHT

    def lay(self, picture: Picture, at_s: float) -> None:
        x, y = self.foot(at_s)
        if -BODY_WIDTH < x < WIDTH + BODY_WIDTH:
            self.walker.lay(picture, at_s, (x, y), _LINE_HEIGHT + _GROWTH * (x - LINE_X))


def behind_s(body_widths: float) -> float:
    """How long after somebody passes who walks so far behind, middle to middle."""
    return body_widths * BODY_WIDTH / _SPEED


def lay(picture: Picture, colours: Picture, cover: Picture, foot: tuple[float, float]) -> None:
    """Draw something into a picture, which is changed: the middle of its lower edge comes to the foot point."""
    height, width = colours.shape[:2]
    left, top = round(foot[0] - width / 2), round(foot[1] - height)
    x1, x2 = max(0, left), min(picture.shape[1], left + width)
    y1, y2 = max(0, top), min(picture.shape[0], top + height)
    if x1 >= x2 or y1 >= y2:
        return
    part = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
    ground = picture[y1:y2, x1:x2]
    ground[:] = ground * (1 - cover[part]) + colours[part] * cover[part]


def grain(picture: Picture, number: int, sigma: float = 2.0) -> Picture:
    """The picture with a sensor's noise, other in every frame; at most 640x480."""
    down, right = np.random.default_rng(number).integers(0, _SHIFT, 2)
    height, width = picture.shape[:2]
    return cv2.add(picture, _noise(sigma)[down : down + height, right : right + width], dtype=cv2.CV_8U)


def on_the_road(walks: Sequence[Walk], at_s: float) -> Picture:
    """The road and who walks there; who is nearer hides who is farther away."""
    picture = road().copy()
    for walk in sorted(walks, key=lambda walk: walk.foot(at_s)[1]):
        walk.lay(picture, at_s)
    return grain(picture, round(at_s * RATE))


@cache
def _noise(sigma: float) -> Picture:
    """int16 [H,W,3], the same in all channels; each frame is given another part of it."""
    noise = np.random.default_rng(1).normal(0.0, sigma, (HEIGHT + _SHIFT, WIDTH + _SHIFT, 1))
    return noise.round().astype(np.int16).repeat(3, axis=2)


@cache
def road() -> Picture:
    """The road without anybody, twice as large: 640x480."""
    return cv2.resize(_empty()[_ROAD], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


@cache
def walkers() -> tuple[Walker, Walker]:
    """Both of them."""
    first, second = (Walker(tuple(_cut_out(seen))) for seen in _WALKS)
    return first, second


@cache
def _frames() -> tuple[Picture, ...]:
    with av.open(str(CLIPS / "gate-east.mp4")) as clip:
        decoded = zip(range(320), clip.decode(video=0), strict=False)
        return tuple(frame.to_ndarray(format="bgr24")[_PART].copy() for _, frame in decoded)


@cache
def _empty() -> Picture:
    return np.median(np.stack(_frames()[::8]), axis=0).astype(np.uint8)


def _cut_out(seen: _Seen) -> Iterator[_Step]:
    """Follow somebody by what is nearest to the foot point of the frame before."""
    boxes, pictures, foot = [], [], np.array(seen.foot)
    for number in seen.frames:
        mask = _differing(_frames()[number])
        _, labels, found, _ = cv2.connectedComponentsWithStats(mask)
        feet = np.stack([found[:, 0] + found[:, 2] / 2, found[:, 1] + found[:, 3]], axis=1)
        away = np.where(found[:, 4] < _LEAST_AREA, np.inf, np.linalg.norm(feet - foot, axis=1))
        away[0] = np.inf  # the background
        nearest = int(away.argmin())
        assert away[nearest] < _SEARCH, f"nobody near {foot} in frame {number} of the clip"
        foot, (x, y, width, height) = feet[nearest], found[nearest, :4]
        here = slice(y, y + height), slice(x, x + width)
        own = cv2.erode((labels[here] == nearest).astype(np.uint8), _FRINGE)
        cover = cv2.GaussianBlur(own.astype(np.float64), (3, 3), 0)
        pictures.append((_frames()[number][here], cover))
        boxes.append(height)
    rows = np.arange(len(boxes))
    heights = np.polyval(np.polyfit(rows, boxes, 1), rows)
    for (colours, cover), height in zip(pictures, heights, strict=True):
        yield _Step(colours, cover, float(height))


def _differing(frame: Picture) -> Picture:
    """Where a frame differs from the place without anybody: uint8 [H,W], 0 or 1."""
    difference = np.abs(frame.astype(np.int16) - _empty()).max(axis=2).astype(np.uint8)
    mask = (cv2.GaussianBlur(difference, (5, 5), 0) > _DIFFERS).astype(np.uint8)
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 9)))
