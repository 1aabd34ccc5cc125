"""Draws the clip of the demo's lobby: a bicycle rolls in, stands alone in front of the lift, and rolls away.

Everything in it is drawn, since footage of such a scene that may be given away was not at hand. Run as
`draw_lobby.py OUT.mp4`; the same bytes each time. The demo itself only plays the clip.
"""

import subprocess
import sys
from collections.abc import Iterator

import cv2
import numpy as np

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 10, 21.0
FLOOR_Y, HORIZON_Y = 300, 150
BICYCLE_HEIGHT = 100
ARRIVES_S, STANDS_S, GOES_S, GONE_S = 2.0, 5.0, 15.0, 18.0
OUTSIDE_LEFT, PLACE, OUTSIDE_RIGHT = -100, 280, 750
_FINE = 4
"""The bicycle is drawn so many times as large and shrunk, for smooth edges."""
_BLACK, _DARK, _GREY, _SILVER, _RED = (24, 24, 24), (52, 52, 52), (90, 90, 90), (146, 146, 146), (40, 40, 160)

Picture = np.ndarray
Point = tuple[float, float]
"""Of the bicycle, in its own heights: from its middle to the right, from the floor up."""


def bicycle(height: int) -> tuple[Picture, Picture]:
    """It and how much it covers (0 to 1); BGR [H,W,3] and [H,W,1], the middle of the lower edge is where it stands."""
    size = height * 13 // 10 * _FINE, height * 22 // 10 * _FINE
    layer, cover = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    unit = height * _FINE

    def at(point: Point) -> tuple[int, int]:
        return int(size[1] / 2 + point[0] * unit), int(size[0] - 4 * _FINE - point[1] * unit)

    def bar(a: Point, b: Point, colour: tuple[int, ...], thickness: float) -> None:
        for canvas, ink in ((layer, colour), (cover, (255,))):
            cv2.line(canvas, at(a), at(b), ink, max(1, int(thickness * unit)), cv2.LINE_AA)

    def ring(centre: Point, radius: float, colour: tuple[int, ...], thickness: float) -> None:
        for canvas, ink in ((layer, colour), (cover, (255,))):
            cv2.circle(canvas, at(centre), int(radius * unit), ink, max(1, int(thickness * unit)), cv2.LINE_AA)

    back, front, crank = (-0.52, 0.33), (0.52, 0.33), (-0.06, 0.30)
    saddle, head, fork = (-0.20, 0.78), (0.38, 0.80), (0.41, 0.68)
    for hub in (back, front):
        for spoke in np.arange(14) * np.pi / 7:
            bar(hub, (hub[0] + 0.31 * np.cos(spoke), hub[1] + 0.31 * np.sin(spoke)), _SILVER, 0.006)
        ring(hub, 0.31, _BLACK, 0.045)
        ring(hub, 0.285, _SILVER, 0.012)
        ring(hub, 0.02, _GREY, 0.035)
    for a, b, thickness in (
        (back, crank, 0.03), (back, saddle, 0.025), (crank, saddle, 0.04), (crank, fork, 0.045), (saddle, head, 0.04),
    ):  # fmt: skip
        bar(a, b, _RED, thickness)
    bar(fork, front, _DARK, 0.04)
    bar(head, (0.365, 0.90), _DARK, 0.03)
    bar((0.365, 0.90), (0.30, 0.95), _DARK, 0.035)
    bar((0.30, 0.95), (0.24, 0.93), _BLACK, 0.045)
    bar(saddle, (-0.215, 0.86), _GREY, 0.03)
    bar((-0.32, 0.88), (-0.10, 0.87), _BLACK, 0.06)
    ring(crank, 0.09, _GREY, 0.02)
    bar(crank, (-0.02, 0.14), _GREY, 0.025)
    bar((-0.07, 0.13), (0.04, 0.13), _BLACK, 0.03)
    small = size[1] // _FINE, size[0] // _FINE
    covered = cv2.resize(cover, small, interpolation=cv2.INTER_AREA)[..., None] / 255.0
    return cv2.resize(layer, small, interpolation=cv2.INTER_AREA), covered


def lobby() -> Picture:
    """Walls, a tiled floor, the lift's door and a notice, with the grain of a camera."""
    picture = np.empty((HEIGHT, WIDTH, 3), np.float32)
    for y in range(HEIGHT):
        if y < HORIZON_Y:
            picture[y] = np.array([175, 180, 184]) - 20 * y / HORIZON_Y
        else:
            picture[y] = np.array([120, 128, 134]) + 40 * (y - HORIZON_Y) / (HEIGHT - HORIZON_Y)
    joint, middle = (105, 112, 118), WIDTH // 2
    for tile in range(-12, 13):
        cv2.line(picture, (middle + 30 * tile, HORIZON_Y), (middle + 110 * tile, HEIGHT), joint, 1, cv2.LINE_AA)
    depth, step = float(HORIZON_Y), 6.0
    while depth < HEIGHT:
        cv2.line(picture, (0, int(depth)), (WIDTH, int(depth)), joint, 1, cv2.LINE_AA)
        depth, step = depth + step, step * 1.35
    cv2.rectangle(picture, (400, 30), (512, HORIZON_Y + 6), (130, 132, 135), -1)
    cv2.rectangle(picture, (400, 30), (512, HORIZON_Y + 6), (70, 70, 70), 3)
    cv2.line(picture, (456, 30), (456, HORIZON_Y + 6), (80, 80, 80), 2)
    cv2.rectangle(picture, (64, 36), (180, 108), (200, 205, 210), -1)
    picture += np.random.default_rng(3).normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def place_at(at_s: float) -> float:
    """Where the bicycle's middle is, in pixels from the left."""
    moments = (ARRIVES_S, STANDS_S, GOES_S, GONE_S)
    return float(np.interp(at_s, moments, (OUTSIDE_LEFT, PLACE, PLACE, OUTSIDE_RIGHT)))


def scene(room: Picture, thing: tuple[Picture, Picture], at_s: float) -> Picture:
    """The picture at a second of the clip."""
    picture = room.copy()
    if not ARRIVES_S < at_s < GONE_S:
        return picture
    x, (colours, cover) = round(place_at(at_s)), thing
    shadow = picture.copy()
    cv2.ellipse(shadow, (x, FLOOR_Y), (BICYCLE_HEIGHT * 4 // 5, BICYCLE_HEIGHT // 16), 0, 0, 360, _BLACK, -1)
    picture = cv2.addWeighted(picture, 0.6, shadow, 0.4, 0)
    height, width = colours.shape[:2]
    top, left = FLOOR_Y + 4 - height, x - width // 2
    here = slice(max(0, left), min(WIDTH, left + width))
    if here.start < here.stop:
        part = slice(here.start - left, here.stop - left)
        ground = picture[top : top + height, here]
        ground[:] = ground * (1 - cover[:, part]) + colours[:, part] * cover[:, part]
    return picture


def frames() -> Iterator[Picture]:
    """All frames, BGR [H,W,3], in their order."""
    room, thing = lobby(), bicycle(BICYCLE_HEIGHT)
    for number in range(round(SECONDS * FPS)):
        yield cv2.GaussianBlur(scene(room, thing, number / FPS), (3, 3), 0)


def main() -> int:
    """Encode as `make.sh` encodes the others."""
    if len(sys.argv) != 2:
        print("usage: draw_lobby.py OUT.mp4", file=sys.stderr)
        return 2
    encode = "-c:v libx264 -preset slow -crf 30 -g 20 -keyint_min 20 -sc_threshold 0 -bf 0 -pix_fmt yuv420p -threads 1"
    exact = "-fflags +bitexact -flags:v +bitexact -movflags +faststart"
    given = f"-f rawvideo -pix_fmt bgr24 -s {WIDTH}x{HEIGHT} -r {FPS} -i -"
    command = ["ffmpeg", "-v", "error", "-y", *given.split(), *encode.split(), *exact.split(), sys.argv[1]]
    raw = b"".join(frame.tobytes() for frame in frames())
    return subprocess.run(command, input=raw, check=False).returncode  # noqa: S603 (no argument is a stranger's)


if __name__ == "__main__":
    sys.exit(main())
