"""Figures of a camera whose scene is never quiet: what it costs, and whether it tells the same events.

    python -m benchmarks.video_busy [--labels pets09-s2l1-a.csv] [--rounds 3] [--json FILE]

Debian's vtest.avi (768x576, 10 frames a second, H.264) forwards and then backwards, and the other way round, with five
zones and eight lines. There and back, for a scene that is never quiet goes on for hours: the brisk looks at its
beginning are to weigh little, and a cut would be another beginning.

"All frames" decodes every frame, looks for motion in and runs the detector on five a second. The same with every look
0.1 s later ("again") shows how far two such runs differ by chance. They take turns with the product's way, twice a
round, each time with its looks 0.1 s later than the last; the least processor time of each counts, as other work on the
machine only ever adds to it. Each of the product's runs is compared with both over all frames; the mean has its
standard error, for one pair alone differs by 0.02 from the next. Three rounds are all the beginnings there are.

Events are the same if they are of one kind, zone or line and direction, and at most 1.5 s apart. F1 is twice the pairs
of equal events over all events of both. With labels (those of the clip's first 500 frames, scored on the way that comes
first) events are compared with the true ones, too; entries and crossings alone, for when somebody counts as gone is the
tracker's to say.
"""

import argparse
import csv
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.entrances import RATE, VTEST, Image
from benchmarks.video_gears import Played, Told, play
from edge.video.config import CameraConfig
from edge.video.gears import GearTiming
from edge.video.rules.crossing import Crossings, Segment
from edge.video.zones import Entered, ZoneWatch, foot_points
from models import load_detector
from tests.edge.video.watching import NEVER_SLEEPS, Encoding, encode

Figures = dict[str, Any]
Labels = dict[int, list[tuple[int, list[float]]]]
SAME_WITHIN_S = 1.5
SIZE = (768, 576)
MARGIN = 0.1
ALL = ("all frames", "again")


def _rectangle(left: float, top: float, right: float, bottom: float) -> tuple[tuple[float, float], ...]:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


ZONES = {
    "all": _rectangle(0, 0, 1, 1),
    "left": _rectangle(0, 0, 0.5, 1),
    "right": _rectangle(0.5, 0, 1, 1),
    "low": _rectangle(0, 0.5, 1, 1),
    "middle": _rectangle(0.25, 0.25, 0.75, 0.75),
}
LINES = {f"x{x}": ((x / 100, 1.0), (x / 100, 0.0)) for x in (20, 35, 50, 65, 80)} | {
    f"y{y}": ((0.0, y / 100), (1.0, y / 100)) for y in (35, 50, 65)
}


def _camera() -> CameraConfig:
    lines = [
        {"id": f"l-{name}", "points": points, "to_left": "left", "to_right": "right", "margin": MARGIN}
        for name, points in LINES.items()
    ]
    rules = [{"id": f"r-{name}", "kind": "line_crossing", "line": f"l-{name}", "classes": ["person"]} for name in LINES]
    zones = [{"id": f"z-{name}", "polygon": polygon, "classes": ["person"]} for name, polygon in ZONES.items()]
    return CameraConfig.model_validate(
        {"id": "c-1", "place": "bench", "url": "file:///clip", "zone": zones, "line": lines, "rule": rules}
    )


def _pictures(backwards: bool) -> Iterator[Image]:
    with av.open(str(VTEST)) as container:
        frames = list(container.decode(container.streams.video[0]))
    for frame in reversed(frames) if backwards else frames:
        yield frame.to_ndarray(format="bgr24")


def same(one: list[Told], other: list[Told]) -> int:
    """How many events of one list are in the other, each at most once."""
    waiting = defaultdict(list)
    for name, at_s in sorted(other, key=lambda told: told[1]):
        waiting[name].append(at_s)
    pairs = 0
    for name, at_s in sorted(one, key=lambda told: told[1]):
        near = next((when for when in waiting[name] if abs(when - at_s) <= SAME_WITHIN_S), None)
        if near is not None:
            waiting[name].remove(near)
            pairs += 1
    return pairs


def true_events(labels: Labels) -> list[Told]:
    """What zones and lines say of labelled people: boxes in fractions of the frame, by the frame's number from 0."""
    aspect, told = SIZE[0] / SIZE[1], list[Told]()
    zones = {name: ZoneWatch(polygon) for name, polygon in ZONES.items()}
    lines = {
        name: Crossings(Segment((a[0] * aspect, a[1]), (b[0] * aspect, b[1])), MARGIN) for name, (a, b) in LINES.items()
    }
    for number in sorted(labels):
        at_s, things = number / RATE, [identity for identity, _ in labels[number]]
        boxes = np.clip(np.array([box for _, box in labels[number]]), 0.0, 1.0)
        points = foot_points(boxes)
        for name, zone in zones.items():
            told += [(f"entered z-{name}", at_s) for change in zone.see(things, points, at_s) if _came(change)]
        for name, line in lines.items():
            for thing, point, box in zip(things, points, boxes, strict=True):
                way = line.see(thing, (point[0] * aspect, point[1]), box[3] - box[1])
                if way:
                    told.append((f"crossed l-{name} {'left' if way > 0 else 'right'}", at_s))
    return told


def _came(change: object) -> bool:
    return isinstance(change, Entered)


def read_labels(path: Path, backwards: bool, frames: int) -> Labels:
    """Labelled people of vtest.avi, or of it played backwards."""
    labels: Labels = defaultdict(list)
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["class"] == "person":
                number = int(row["frame"]) - 1
                box = [
                    float(row[key]) / side for key, side in zip(("x1", "y1", "x2", "y2"), (*SIZE, *SIZE), strict=True)
                ]
                labels[frames - 1 - number if backwards else number].append((int(row["track"]), box))
    return labels


def _f1(one: list[Told], other: list[Told]) -> float:
    return 2 * same(one, other) / max(1, len(one) + len(other))


def _of(events: list[Told], kind: str) -> list[Told]:
    return [told for told in events if told[0].startswith(kind)]


def _against(truth: list[Told], labels: Labels, played: Played) -> Figures:
    """Counts and F1 against the true events, while the frames are labelled."""
    first_s, last_s = min(labels) / RATE - SAME_WITHIN_S, max(labels) / RATE + SAME_WITHIN_S
    told = [event for event in played.told if first_s <= event[1] <= last_s]
    row: Figures = {}
    for kind in ("entered", "crossed"):
        row[kind] = {"true": len(_of(truth, kind)), "told": len(_of(told, kind))}
        row[kind]["f1"] = round(_f1(_of(truth, kind), _of(told, kind)), 3)
    return row


def _run(clip: Path, seconds: float, rounds: int) -> tuple[Figures, dict[str, Played]]:
    """The figures, and each way's runs that its events are taken from, by their names."""
    detector, camera = load_detector(), _camera()
    full: dict[str, Played] = {}
    lazy: list[Played] = []
    for number in range(rounds):
        for name, first_look_s in zip(ALL, (0.0, 0.1), strict=True):
            now = play(clip, detector, NEVER_SLEEPS, True, first_look_s, camera)
            full[name] = min(now, full.get(name, now), key=lambda each: each.cpu_s)
            lazy.append(play(clip, detector, GearTiming(), False, 0.2 * number + first_look_s, camera))
    quickest = min(lazy, key=lambda each: each.cpu_s)
    agree = [sum(_f1(each.told, run.told) for run in full.values()) / len(full) for each in lazy]
    figures: Figures = {
        "cores": {"all frames": full["all frames"].cpu_s / seconds, "product": quickest.cpu_s / seconds},
        "ratio": full["all frames"].cpu_s / quickest.cpu_s,
        "detector_per_s": {
            "all frames": full["all frames"].detector_passes / seconds,
            "product": sum(each.detector_passes for each in lazy) / len(lazy) / seconds,
        },
        "events": {
            "all frames": len(full["all frames"].told),
            "again": len(full["again"].told),
            "product": sum(len(each.told) for each in lazy) / len(lazy),
        },
        "f1_by_chance": _f1(full["all frames"].told, full["again"].told),
        "f1": float(np.mean(agree)),
        "f1_error": float(np.std(agree) / np.sqrt(max(1, len(agree) - 1))),
    }
    return figures, full | {f"product {number}": each for number, each in enumerate(lazy, 1)}


def busy(labels: Path | None, rounds: int) -> Figures:
    """The clip there and back, beginning at either end."""
    rows: Figures = {}
    for name, backwards in (("forwards and back", False), ("backwards and forth", True)):
        one_way = list(_pictures(backwards))
        pictures = one_way + one_way[-2::-1]
        with tempfile.TemporaryDirectory() as folder:
            clip = encode(Path(folder) / "clip.mp4", pictures.__getitem__, len(pictures), Encoding(group=20))
            row, played = _run(clip, len(pictures) / RATE, rounds)
        if labels is not None:
            people = read_labels(labels, backwards, len(one_way))
            truth = true_events(people)
            against = {way: _against(truth, people, each) for way, each in played.items()}
            row["truth"] = against
            row["truth_f1"] = {
                way: {
                    kind: float(np.mean([each[kind]["f1"] for name, each in against.items() if name in names]))
                    for kind in ("entered", "crossed")
                }
                for way, names in (("all frames", ALL), ("product", against.keys() - set(ALL)))
            }
        rows[name] = row
        _print(name, row)
    return rows


def _print(name: str, row: Figures) -> None:
    cores, passes = row["cores"], row["detector_per_s"]
    print(
        f"{name}: all frames {cores['all frames']:.3f} cores, product {cores['product']:.3f}: {row['ratio']:.2f}x; "
        f"detector asked {passes['all frames']:.2f} and {passes['product']:.2f} times a second"
    )
    print(
        f"  events {row['events']['all frames']} and {row['events']['product']:.0f}, F1 {row['f1']:.3f} "
        f"(standard error {row['f1_error']:.3f}); all frames 0.1 s later {row['events']['again']}, "
        f"F1 {row['f1_by_chance']:.3f}"
    )
    for way, f1 in row.get("truth_f1", {}).items():
        print(f"  against the labels, {way}: entered F1 {f1['entered']:.3f}, crossed {f1['crossed']:.3f}")


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    figures = busy(given.labels, given.rounds)
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
