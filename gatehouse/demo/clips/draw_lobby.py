"""Draws the clip of the demo's lobby: a bicycle rolls in, stands alone in front of the lift, and rolls away; after it
an e-bike does, which stays only for a moment.

Everything in it is drawn, since footage of such a scene that may be given away was not at hand. Run as
`python -m gatehouse.demo.clips.draw_lobby OUT.mp4`; the same bytes each time. The demo itself only plays the clip.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from gatehouse.demo.clips.draw_two_wheelers import BLACK, Picture, bicycle, electric_scooter

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 10, 31.0
FLOOR_Y, HORIZON_Y = 300, 150
OUTSIDE_LEFT, OUTSIDE_RIGHT = -130, 770


@dataclass(frozen=True)
class Act:
    """A thing on wheels of so many pixels' height rolls in, stands, rolls on and is gone; seconds of the clip."""

    thing: tuple[Picture, Picture]
    height: int
    place: int
    arrives_s: float
    stands_s: float
    goes_s: float
    gone_s: float

    def x(self, at_s: float) -> float:
        """Where its middle is, in pixels from the left."""
        moments = (self.arrives_s, self.stands_s, self.goes_s, self.gone_s)
        return float(np.interp(at_s, moments, (OUTSIDE_LEFT, self.place, self.place, OUTSIDE_RIGHT)))


BICYCLE = Act(bicycle(100), 100, 280, 2.0, 5.0, 15.0, 18.0)
E_BIKE = Act(electric_scooter(112), 112, 330, 20.0, 23.0, 25.0, 28.0)


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


def scene(room: Picture, act: Act, at_s: float) -> Picture:
    """The picture at a second of the clip."""
    picture = room.copy()
    if not act.arrives_s < at_s < act.gone_s:
        return picture
    x, (colours, cover) = round(act.x(at_s)), act.thing
    shadow = picture.copy()
    cv2.ellipse(shadow, (x, FLOOR_Y), (act.height * 4 // 5, act.height // 16), 0, 0, 360, BLACK, -1)
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
    room = lobby()
    for number in range(round(SECONDS * FPS)):
        at_s = number / FPS
        act = BICYCLE if at_s < BICYCLE.gone_s else E_BIKE
        yield cv2.GaussianBlur(scene(room, act, at_s), (3, 3), 0)


def main() -> int:
    """Encode as `make.sh` encodes the others."""
    if len(sys.argv) != 2:
        print("usage: python -m gatehouse.demo.clips.draw_lobby OUT.mp4", file=sys.stderr)
        return 2
    encode = "-c:v libx264 -preset slow -crf 30 -g 20 -keyint_min 20 -sc_threshold 0 -bf 0 -pix_fmt yuv420p -threads 1"
    exact = "-fflags +bitexact -flags:v +bitexact -movflags +faststart"
    given = f"-f rawvideo -pix_fmt bgr24 -s {WIDTH}x{HEIGHT} -r {FPS} -i -"
    command = ["ffmpeg", "-v", "error", "-y", *given.split(), *encode.split(), *exact.split(), sys.argv[1]]
    raw = b"".join(frame.tobytes() for frame in frames())
    return subprocess.run(command, input=raw, check=False).returncode  # noqa: S603 (no argument is a stranger's)


if __name__ == "__main__":
    sys.exit(main())
