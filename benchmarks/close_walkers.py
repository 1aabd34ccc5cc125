"""How close two people may come through a door and still be counted as two: pairs of real walkers over a line.

    python -m benchmarks.close_walkers [--pairs 12] [--far]

The walkers are cut out of the demo's clip and laid over its road again (`tests.edge.video.rules.walkers`), one
behind the other at so many body widths, middle to middle, in the direction in which they walk, and so far beside it.
Each clip is encoded as H.264 and goes through the whole pipeline; the crossings of the line by each pair are counted.
People are a third of the picture high; with `--far` a sixth, and so are their pixels.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2

from protocols.camera_events import PersonCrossedLine
from tests.edge.video.parts import camera, write_clip
from tests.edge.video.rules.played import of, play
from tests.edge.video.rules.walkers import HEIGHT, RATE, WIDTH, Picture, Walk, behind_s, on_the_road, road, walkers

BODY_WIDTHS = (0.0, 0.25, 0.4, 0.6, 1.0)
BESIDE = (0.0, 0.25)
"""How much nearer to the camera the second one walks, in heights."""
BEGINS_S, EVERY_S = 3.0, 6.0
LINE = {"id": "l-door", "points": [[0.5, 0.9], [0.5, 0.1]], "to_left": "in", "to_right": "out"}
RULES = [
    {"id": "r-in", "kind": "line_crossing", "line": "l-door", "directions": ["in"]},
    {"id": "r-door", "kind": "tailgating", "door": "d-east", "line": "l-door", "direction": "in"},
]


def counted(pairs: int, body_widths: float, beside: float, is_far: bool) -> Counter[int]:
    """How many pairs were counted as so many people."""
    one, other = walkers()
    begins_s = [BEGINS_S + EVERY_S * pair + 0.07 * (pair % 7) for pair in range(pairs)]
    walks = []
    for pair, at_s in enumerate(begins_s):
        first, second = ((one, other), (other, one))[pair % 2]
        walks += [Walk(first, at_s), Walk(second, at_s + behind_s(body_widths), beside)]
    with tempfile.TemporaryDirectory() as folder:
        frames = round((begins_s[-1] + EVERY_S) * RATE)
        seen: Callable[[Picture], Picture] = far if is_far else (lambda picture: picture)
        clip = write_clip(Path(folder) / "pairs.mp4", lambda i: seen(on_the_road(walks, i / RATE)), frames, RATE)
        crossed_s = [at_s for at_s, _ in of(play(clip, camera(line=[LINE], rule=RULES)), PersonCrossedLine)]
    return Counter(sum(-0.5 < at_s - begin_s < EVERY_S - 0.6 for at_s in crossed_s) for begin_s in begins_s)


def far(picture: Picture) -> Picture:
    """The picture at half its size, in the middle of the blurred road."""
    ground = _blurred_road().copy()
    small = cv2.resize(picture, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    ground[HEIGHT // 4 : HEIGHT // 4 + HEIGHT // 2, WIDTH // 4 : WIDTH // 4 + WIDTH // 2] = small
    return ground


@cache
def _blurred_road() -> Picture:
    return cv2.GaussianBlur(road(), (0, 0), 25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=12, help="for each distance")
    parser.add_argument("--far", action="store_true", help="half as large")
    arguments = parser.parse_args()
    print(f"{'beside, heights':>16} {'behind, widths':>15} {'seconds':>8}   of {arguments.pairs} pairs: people counted")
    for beside in BESIDE:
        for body_widths in BODY_WIDTHS:
            found = counted(arguments.pairs, body_widths, beside, arguments.far)
            told = ", ".join(f"{pairs} as {people}" for people, pairs in sorted(found.items()))
            print(f"{beside:16.2f} {body_widths:15.2f} {behind_s(body_widths):8.2f}   {told}", flush=True)


if __name__ == "__main__":
    main()
