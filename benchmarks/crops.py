"""Whether a second look at a part of the picture pays: people found and missed with and without it, by their size.

    python -m benchmarks.crops DATA        # a folder with clips/ and images/ as the models' evaluation uses it

Each way of looking is given the same labelled frames. A crop is a quarter of the frame and a half of each side's
overlap (0.6 of the frame's sides), looked at like a frame of its own; a box that touches a crop's inner edge is left
out, and boxes of all passes go through one suppression. The `far` set is the street clip at half its size in the upper
middle of a picture, so that everyone is as small as in a far corner of a yard. Cost is passes of the network.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.video.closer import CloserLook, joined
from edge.video.motion import MotionGate
from models import Detector, Kind, load_detector
from models.suppression import overlaps, suppress

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
Found = tuple[Boxes, npt.NDArray[np.float32]]  # corners [N,4] in fractions of the frame, scores [N]
Frame = tuple[Picture, Boxes]  # and the people in it

SIDE = 0.6
CORNERS = ((0.0, 0.0), (1 - SIDE, 0.0), (0.0, 1 - SIDE), (1 - SIDE, 1 - SIDE))
HEIGHTS = (0.0, 0.05, 0.1, 0.2, 1.01)
SCORE = 0.4


def of_clip(clip: Path, labels: Path, every: int) -> Iterator[Frame]:
    """Every n-th labelled frame of a clip."""
    people: dict[int, list[list[float]]] = defaultdict(list)
    with labels.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["class"] == "person":
                people[int(row["frame"])].append([float(row[name]) for name in ("x1", "y1", "x2", "y2")])
    capture, number = cv2.VideoCapture(str(clip)), 0
    while True:
        there, picture = capture.read()
        number += 1
        if not there:
            return
        if number in people and number % every == 0:
            yield picture, fractions(people[number], picture)


def of_images(folder: Path) -> Iterator[Frame]:
    """All labelled photographs."""
    people: dict[str, list[list[float]]] = defaultdict(list)
    with (folder / "labels.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["class"] == "person":
                people[row["file"]].append([float(row[name]) for name in ("x1", "y1", "x2", "y2")])
    for path in sorted(folder.glob("*.jpg")):
        picture = cv2.imread(str(path))
        yield picture, fractions(people[path.name], picture)


def far(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames at half their size, in the upper middle of a picture made of their own blurred ground."""
    for picture, people in frames:
        height, width = picture.shape[:2]
        ground = cv2.GaussianBlur(picture, (0, 0), 25)
        ground[height // 10 : height // 10 + height // 2, width // 4 : width // 4 + width // 2] = cv2.resize(
            picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA
        )
        yield ground, (people * 0.5 + np.array([0.25, 0.1, 0.25, 0.1])).astype(np.float32)


def fractions(boxes: list[list[float]], picture: Picture) -> Boxes:
    """Pixels as fractions of the frame."""
    height, width = picture.shape[:2]
    return (np.array(boxes, np.float32).reshape(-1, 4) / [width, height, width, height]).astype(np.float32)


def whole(detector: Detector, picture: Picture) -> Found:
    """People found in the whole picture."""
    people = detector.detect(picture, floor=0.25).of_kind(Kind.PERSON)
    return people.boxes, people.scores


def crop(detector: Detector, picture: Picture, corner: tuple[float, float]) -> Found:
    """People found in one part, those that an inner edge cuts left out."""
    height, width = picture.shape[:2]
    left, top = round(corner[0] * width), round(corner[1] * height)
    part = picture[top : top + round(SIDE * height), left : left + round(SIDE * width)]
    boxes, scores = whole(detector, np.ascontiguousarray(part))
    edge = 0.01
    cut = ((boxes[:, 0] < edge) & (corner[0] > 0)) | ((boxes[:, 2] > 1 - edge) & (corner[0] == 0))
    cut |= ((boxes[:, 1] < edge) & (corner[1] > 0)) | ((boxes[:, 3] > 1 - edge) & (corner[1] == 0))
    moved = boxes * SIDE + np.array([*corner, *corner], np.float32)
    return moved[~cut].astype(np.float32), scores[~cut]


def merged(parts: list[Found]) -> Found:
    """The boxes of several passes, each thing once."""
    boxes, scores = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    kept = suppress(boxes, scores, 0.5, 200)
    return boxes[kept], scores[kept]


def ways(detector: Detector) -> dict[str, tuple[int, Callable[[Picture, int], Found]]]:
    """Each way of looking: its passes, and what it finds in the frame of a number."""
    return {
        "whole frame": (1, lambda picture, _: whole(detector, picture)),
        "whole + one of 4 crops in turn": (
            2,
            lambda picture, number: merged([whole(detector, picture), crop(detector, picture, CORNERS[number % 4])]),
        ),
        "whole + all 4 crops": (
            5,
            lambda picture, _: merged([whole(detector, picture), *(crop(detector, picture, c) for c in CORNERS)]),
        ),
    }


class Aimed:
    """As the product looks: a part only where small movement is that the whole frame did not explain."""

    def __init__(self, detector: Detector, every_s: float) -> None:
        self._detector = detector
        self._every_s = every_s
        self._gate, self._closer = MotionGate(), CloserLook()
        self.passes = 0

    def __call__(self, picture: Picture, number: int) -> Found:
        at_s = number * self._every_s
        motion = self._gate.see(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), at_s)
        seen = self._detector.detect(picture, floor=0.25)
        self.passes += 1
        part = self._closer.aim(motion.boxes, seen, at_s)
        if part is not None:
            self.passes += 1
            closer = part.whole(self._detector.detect(part.of(picture), floor=0.25))
            seen = joined(seen, closer)
            self._closer.learn(seen, at_s)
        people = seen.of_kind(Kind.PERSON)
        return people.boxes, people.scores


def hits(found: Found, people: Boxes) -> tuple[npt.NDArray[np.bool_], int]:
    """Who was found (overlap 0.5, each box used once), and how many boxes are nobody."""
    boxes, scores = found
    boxes = boxes[scores >= SCORE]
    seen = np.zeros(len(people), bool)
    if not len(boxes) or not len(people):
        return seen, len(boxes)
    table, false = overlaps(boxes, people), 0
    for overlap in table:
        row = np.where(seen, 0.0, overlap)
        best = int(row.argmax())
        if row[best] >= 0.5:
            seen[best] = True
        else:
            false += 1
    return seen, false


def main() -> None:
    """Print recall by height and false boxes for each set and each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", help="one set by its name")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    detector, clips = load_detector(), given.data / "clips"
    pets = clips / "pets09-s2l1-a.avi", clips / "pets09-s2l1-a.csv", 2
    street = clips / "tud-stadtmitte.mp4", clips / "tud-stadtmitte.csv", 5
    sets: dict[str, tuple[bool, Callable[[], Iterator[Frame]]]] = {
        "CCTV": (True, lambda: of_clip(*pets)),
        "CCTV, far": (True, lambda: far(of_clip(*pets))),
        "street, far": (True, lambda: far(of_clip(*street))),
        "photographs": (False, lambda: of_images(given.data / "images")),
    }
    for name, (moves, frames) in sets.items():
        if given.only is not None and name != given.only:
            continue
        for way, (passes, look) in ways(detector).items():
            show(name, way, passes, look, frames)
        if moves:
            aimed = Aimed(detector, 0.2)
            show(name, "whole + where small things move", None, aimed, frames)


def show(
    name: str,
    way: str,
    passes: int | None,
    look: Callable[[Picture, int], Found],
    frames: Callable[[], Iterator[Frame]],
) -> None:
    """Print recall by height, false boxes and cost of one way on one set."""
    seen, heights, false, count = [], [], 0, 0
    for count, (picture, people) in enumerate(frames(), start=1):
        found, wrong = hits(look(picture, count), people)
        seen.append(found)
        heights.append(people[:, 3] - people[:, 1])
        false += wrong
    caught, height = np.concatenate(seen), np.concatenate(heights)
    bins = []
    for low, high in pairwise(HEIGHTS):
        of = (height >= low) & (height < high)
        bins.append(f"{caught[of].mean():.2f} of {of.sum():4d}" if of.any() else "      -    ")
    cost = passes if passes is not None else look.passes / count if isinstance(look, Aimed) else 0
    print(f"{name:12s} {way:32s} {cost:.2f} passes  all {caught.mean():.3f}  " + "  ".join(bins), end="")
    print(f"  false {false / count:.2f} a frame", flush=True)


if __name__ == "__main__":
    main()
