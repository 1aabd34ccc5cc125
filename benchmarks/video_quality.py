"""How well the whole pipeline finds people and vehicles on labelled footage, beside the detector on every full frame.

    python -m benchmarks.video_quality DATA [--only NAME] [--json FILE]

DATA is a folder as `gatehouse models evaluate` takes it (`clips/*.csv` beside the clips, `clips/events.json`,
`images/`; described in `models/evaluation/dataset.py`). The bars are those of `models/evaluation/yardsticks.py`; the
entrance clip must give exactly as many visits as its labels; and no AP50 may be more than a point (0.01) below the
detector's alone.

What runs is a gateway's camera with its default settings, without its threads (`benchmarks.stepped`). Each clip is
played as a camera that goes online with its first frame, sleeps, wakes and decodes as it likes. What it *believes* at a
frame are the boxes of the newest picture, not later than that frame, that it gave to the detector: where nothing moved,
that may be seconds old. It looks five times a second, so a clip of another rate is played several times, a frame later
each time, and each labelled frame is scored in the first pass in which its time for a look would come.

Beside it, in the same run: the detector alone on each of those frames, decoded one by one; and the pipeline made to
show every look to the detector and never to sleep (*always*), for the tracks. "Tracks" are the confirmed ones, a box
counting as found where a track's box overlaps it by half.

The photographs are no video. Each is played as a camera that sends its JPEG, as it is, 20 times in two seconds; what is
believed at the end is scored. The detector's boxes from score 0.02 on are scored as the bars ask, though the pipeline
itself works with those from 0.25 on. The car park's camera looks straight down: `vehicle_score = 0.25`, as
`docs/video.md` says.

Ends with 1 if a bar is missed.
"""

import argparse
import json
import logging
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.stepped import SteppedCamera, SteppedClock, Ways, bench_camera
from edge.clock import Moment
from edge.video.analysis import CameraAnalysis, Followed
from edge.video.detection import FrameDetector
from edge.video.snapshot import Image
from edge.video.tracker import Seen
from models import Detections, Kind, load_detector
from models.evaluation.dataset import ClipSet, EventClip, PictureSet, open_dataset
from models.evaluation.report import SCORED_KINDS
from models.evaluation.scoring import FrameBoxes, Score, score
from models.evaluation.yardsticks import (
    EVENT_STEP,
    OPERATING_THRESHOLD,
    SCORING_FLOOR,
    Measure,
    Verdict,
    step_of,
    verdicts,
)
from protocols.events import PersonEnteredZone, VehicleEnteredZone
from tests.edge.video.parts import PictureFolder, Recording

POINT = 0.01
LOOKS_PER_S = 5
STRAIGHT_DOWN = {"carpark": {"vehicle_score": 0.25}}
_SAME_S = 0.002
"""Times of one picture, reckoned in two ways, differ by less."""


@dataclass(frozen=True)
class Belief:
    """What was found in a picture taken at `at_s`, and which of it belongs to confirmed tracks (`rows`)."""

    at_s: float
    boxes: Detections
    tracked: Detections


class NotingDetector:
    """The detector, which notes what it finds from `SCORING_FLOOR` on and tells what it was asked for."""

    def __init__(self, detector: FrameDetector) -> None:
        self._detector = detector
        self.noted: list[Detections] = []

    def detect(self, frame: Image, floor: float | None = None) -> Detections:
        found = self._detector.detect(frame, SCORING_FLOOR)
        self.noted.append(found)
        return found if floor is None else found.select(found.scores >= floor)


class NotingAnalysis(CameraAnalysis):
    """A camera's analysis that notes what it is shown. With `always`, it is never content without another look."""

    def __init__(self, *given: Any, detector: NotingDetector, always: bool, beliefs: list[Belief]) -> None:
        super().__init__(*given)
        self._noting, self._always, self._beliefs = detector, always, beliefs

    @property
    def followed(self) -> Followed:
        return replace(super().followed, restless=True) if self._always else super().followed

    def see(self, detections: Detections, image: Image, moment: Moment) -> Seen:
        whole, *_ = self._noting.noted
        self._noting.noted.clear()
        seen = super().see(detections, image, moment)
        least = float(detections.scores.min()) if len(detections) else 1.0
        tail = whole.select(whole.scores < min(least, 0.25))
        self._beliefs.append(
            Belief(moment.monotonic_s, _both(detections, tail), detections.select(np.array(seen.rows, np.intp)))
        )
        return seen


def _both(first: Detections, second: Detections) -> Detections:
    names = ("boxes", "scores", "kinds", "classes")
    joined = [np.concatenate([getattr(first, name), getattr(second, name)]) for name in names]
    return Detections(*joined, first.class_names)


@dataclass
class Played:
    """What a camera made of a clip."""

    began_s: float
    beliefs: list[Belief] = field(default_factory=list)
    entered: dict[str, int] = field(default_factory=dict)
    received: int = 0
    decoded: int = 0

    def at(self, at_s: float) -> Belief | None:
        """What was believed of a picture taken so long after the first."""
        place = bisect_right(self.beliefs, self.began_s + at_s + _SAME_S, key=lambda belief: belief.at_s)
        return self.beliefs[place - 1] if place else None

    def looked_at(self, at_s: float) -> bool:
        """Whether the detector was shown that very picture."""
        belief = self.at(at_s)
        return belief is not None and abs(belief.at_s - self.began_s - at_s) <= _SAME_S


def play(clip: Path, detector: NotingDetector, always: bool, settings: dict[str, Any]) -> Played:
    """A clip through the gateway's parts."""
    clock, recording = SteppedClock(), Recording()
    played = Played(clock.at_s)
    detector.noted.clear()
    with tempfile.TemporaryDirectory() as folder:
        camera = SteppedCamera(
            bench_camera(clip, **settings), detector, recording, PictureFolder(Path(folder)), clock,
            ways=Ways(partial(NotingAnalysis, detector=detector, always=always, beliefs=played.beliefs)),
        )  # fmt: skip
        camera.play()
    played.entered = {
        "person": len(recording.of(PersonEnteredZone)),
        "vehicle": len(recording.of(VehicleEnteredZone)),
    }
    played.received, played.decoded = camera.source.frames_received, camera.source.frames_decoded
    return played


def picture_times(clip: Path) -> tuple[list[float], Fraction]:
    """When each picture of a clip is taken for the gateway, seconds after the first packet, in order; the rate.

    Raises:
        ValueError: if the clip has no time stamps.
    """
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        stamps = [(packet.pts if packet.pts is not None else packet.dts, packet.dts) for packet in packets]
        if any(pts is None or dts is None for pts, dts in stamps) or stream.time_base is None:
            raise ValueError(f"{clip}: has packets without time stamps")
        ahead = max(pts - dts for pts, dts in stamps)
        shown = sorted(float((pts - stamps[0][1] - ahead) * stream.time_base) for pts, _ in stamps)
        return shown, stream.average_rate or Fraction(10)


def passes_of(rate: Fraction, looks_per_s: int = LOOKS_PER_S) -> int:
    """How often a clip has to be played, a frame later each time, for each frame to have its turn to be looked at."""
    return max(1, (Fraction(rate) / looks_per_s).limit_denominator(4).numerator)


def delayed(clip: Path, target: Path, frames: int, rate: Fraction) -> Path:
    """The clip, copied without encoding, all but its first packet so many frames later."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        later = round(frames / rate / stream.time_base)
        for number, packet in enumerate(p for p in source.demux(stream) if p.size):
            if number:
                packet.pts = None if packet.pts is None else packet.pts + later
                packet.dts = None if packet.dts is None else packet.dts + later
            packet.stream = copy
            out.mux(packet)
    return target


@dataclass
class Scored:
    """One kind's boxes over a set, by who found them."""

    alone: list[FrameBoxes] = field(default_factory=list)
    pipeline: list[FrameBoxes] = field(default_factory=list)
    tracks: list[FrameBoxes] = field(default_factory=list)
    always_tracks: list[FrameBoxes] = field(default_factory=list)

    def add(self, kind: Kind, truth: Any, alone: Detections, belief: Belief | None, always: Belief | None) -> None:
        nothing = Detections.none()
        self.alone.append(_of(alone, kind, truth))
        self.pipeline.append(_of(belief.boxes if belief else nothing, kind, truth))
        self.tracks.append(_of(belief.tracked if belief else nothing, kind, truth))
        self.always_tracks.append(_of(always.tracked if always else nothing, kind, truth))


def _of(found: Detections, kind: Kind, truth: Any) -> FrameBoxes:
    of_kind = found.of_kind(kind)
    return FrameBoxes(of_kind.boxes, of_kind.scores, truth)


@dataclass(frozen=True)
class Row:
    """One kind in one set: the detector alone on every frame, the pipeline, and the tracks of both ways."""

    set_name: str
    kind: str
    alone: Score
    pipeline: Score
    tracks: Score
    always_tracks: Score
    believed_of_older: float
    """The share of the scored frames that the detector was not shown: an older picture stands for them."""

    @property
    def loss(self) -> float:
        return self.alone.ap50 - self.pipeline.ap50

    def verdicts(self) -> list[Verdict]:
        made = self.pipeline
        return verdicts(
            self.set_name,
            Kind[self.kind.upper()],
            {
                Measure.AP50: made.ap50,
                Measure.RECALL_AT_ONE: made.recall_at_one,
                Measure.RECALL: made.recall,
                Measure.PRECISION: made.precision,
            },
        )


def _rows(name: str, scored: dict[Kind, Scored], older: float) -> Iterator[Row]:
    for kind, made in scored.items():
        if any(len(frame.truth) for frame in made.alone):
            boxes = [score(frames, OPERATING_THRESHOLD) for frames in (made.alone, made.pipeline)]
            tracks = [score(frames, 0.0) for frames in (made.tracks, made.always_tracks)]
            yield Row(name, kind.name.lower(), boxes[0], boxes[1], tracks[0], tracks[1], older)


class Bench:
    """One run over a folder."""

    def __init__(self, data: Path, folder: Path, only: str = "") -> None:
        self._detector = load_detector()
        self._noting = NotingDetector(self._detector)
        self._folder = folder
        self.faults: list[str] = []
        whole = open_dataset(data, step_of, EVENT_STEP, self.faults.append)
        self._sets = [each for each in whole.sets if each.name.startswith(only)]
        self._events = [each for each in whole.events if each.clip.name.startswith(only)]

    def sets(self) -> Iterator[Row]:
        for each in self._sets:
            if isinstance(each, ClipSet):
                yield from self._clip(each)
            elif isinstance(each, PictureSet):
                yield from self._pictures(each)

    def events(self) -> Iterator[dict[str, Any]]:
        for clip in self._events:
            yield self._visits(clip)

    def _clip(self, labelled: ClipSet) -> Iterator[Row]:
        samples = {}
        numbers = [n for n in sorted(map(int, labelled.labels.boxes)) if (n - 1) % labelled.step == 0]
        for number, sample in zip(numbers, labelled.samples(self.faults.append), strict=False):
            samples[number] = sample
        times, rate = picture_times(labelled.clip)
        settings = _settings(labelled.name)
        scored = {kind: Scored() for kind in SCORED_KINDS}
        left, older, passes = dict(samples), 0, passes_of(rate)
        for shift in range(passes):
            _tell(f"{labelled.name}: playing {shift + 1} of {passes}")
            clip = labelled.clip if not shift else delayed(labelled.clip, self._folder / "late.mkv", shift, rate)
            shown = times if not shift else picture_times(clip)[0]
            always, lazy = (play(clip, self._noting, which, settings) for which in (True, False))
            for number in [n for n in left if always.looked_at(shown[n - 1])]:
                sample, at_s = left.pop(number), shown[number - 1]
                alone = self._detector.detect(sample.frame, SCORING_FLOOR)
                older += not lazy.looked_at(at_s)
                for kind, made in scored.items():
                    truth = sample.boxes[sample.kinds == kind]
                    made.add(kind, truth, alone, lazy.at(at_s), always.at(at_s))
        if left:
            self.faults.append(f"{labelled.name}: {len(left)} labelled frames were never looked at, and not scored")
        yield from _rows(labelled.name, scored, older / max(1, len(samples)))

    def _pictures(self, labelled: PictureSet) -> Iterator[Row]:
        scored = {kind: Scored() for kind in SCORED_KINDS}
        paths = [path for path in labelled.pictures if path.name not in labelled.labels.spoilt]
        for number, (path, sample) in enumerate(zip(paths, labelled.samples(self.faults.append), strict=True)):
            if number % 16 == 0:
                _tell(f"{labelled.name}: {number} of {len(paths)}")
            clip = still_camera(path, self._folder / "still.mkv", sample.frame.shape[1::-1])
            always, lazy = (play(clip, self._noting, which, {}) for which in (True, False))
            alone = self._detector.detect(sample.frame, SCORING_FLOOR)
            for kind, made in scored.items():
                truth = sample.boxes[sample.kinds == kind]
                made.add(kind, truth, alone, lazy.at(2.0), always.at(2.0))
        yield from _rows(labelled.name, scored, 0.0)

    def _visits(self, labelled: EventClip) -> dict[str, Any]:
        _tell(f"{labelled.clip.name}: visits")
        times, _ = picture_times(labelled.clip)
        played = play(labelled.clip, self._noting, always=False, settings=_settings(labelled.clip.name))
        inside, outside = [], []
        numbers = (n for n in range(1, len(times) + 1) if (n - 1) % labelled.step == 0)
        for number in numbers:
            belief = played.at(times[number - 1])
            found = belief.boxes.of_kind(labelled.kind).scores if belief is not None else np.zeros(0)
            is_seen = bool((found >= OPERATING_THRESHOLD).any())
            if any(start <= number <= end for start, end in labelled.spans):
                inside.append(is_seen)
            elif all(number < start - 18 or number > end + 18 for start, end in labelled.spans):
                outside.append(is_seen)
        return {
            "clip": labelled.clip.stem,
            "kind": labelled.kind.name.lower(),
            "seen": float(np.mean(inside)) if inside else 0.0,
            "false": float(np.mean(outside)) if outside else 0.0,
            "visits": played.entered[labelled.kind.name.lower()],
            "labelled_visits": len(labelled.spans),
            "decoded_share": played.decoded / max(1, played.received),
            "detector_frames": len(played.beliefs),
            "frames": played.received,
        }


def _settings(name: str) -> dict[str, Any]:
    return next((dict(settings) for prefix, settings in STRAIGHT_DOWN.items() if name.startswith(prefix)), {})


def still_camera(photograph: Path, target: Path, size: Sequence[int], frames: int = 20) -> Path:
    """A clip of ten frames a second that all are the photograph's own JPEG bytes."""
    data = photograph.read_bytes()
    with av.open(str(target), "w") as out:
        stream = out.add_stream("mjpeg", rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p"
        stream.time_base = Fraction(1, 10)
        for number in range(frames):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            out.mux(packet)
    return target


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _show(row: Row) -> bool:
    """Print a set's figures; whether all its bars are reached."""
    held = row.verdicts()
    is_near = row.loss <= POINT
    print(
        f"{row.set_name} {row.kind}: AP50 {row.pipeline.ap50:.3f} (detector alone {row.alone.ap50:.3f}), recall at one "
        f"false a frame {row.pipeline.recall_at_one:.3f} ({row.alone.recall_at_one:.3f}), at {OPERATING_THRESHOLD:.2f} "
        f"recall {row.pipeline.recall:.3f} ({row.alone.recall:.3f}) precision {row.pipeline.precision:.3f} "
        f"({row.alone.precision:.3f}); tracks: recall {row.tracks.recall:.3f} precision {row.tracks.precision:.3f} "
        f"(always {row.always_tracks.recall:.3f} {row.always_tracks.precision:.3f}); "
        f"{row.believed_of_older:.0%} of {row.pipeline.frames} frames from an older picture"
    )
    for verdict in held:
        print(f"    {'ok  ' if verdict.passed else 'MISS'} {verdict.bar.measure.value} bar {verdict.bar.limit}")
    print(f"    {'ok  ' if is_near else 'MISS'} AP50 {row.loss:+.4f} below the detector alone, at most {POINT}")
    return is_near and all(verdict.passed for verdict in held)


def _show_visits(event: dict[str, Any]) -> bool:
    held = verdicts(
        event["clip"], Kind[event["kind"].upper()], {Measure.SEEN: event["seen"], Measure.FALSE: event["false"]}
    )
    print(
        f"{event['clip']}: {event['visits']} visits reported, {event['labelled_visits']} in the labels; seen in "
        f"{event['seen']:.3f} of the frames with somebody, false in {event['false']:.3f} of the others; "
        f"{event['decoded_share']:.0%} of {event['frames']} frames decoded, "
        f"{event['detector_frames']} shown to the detector"
    )
    for verdict in held:
        print(f"    {'ok  ' if verdict.passed else 'MISS'} {verdict.bar.measure.value} bar {verdict.bar.limit}")
    is_exact = event["visits"] == event["labelled_visits"] or not event["clip"].startswith("entrance")
    print(f"    {'ok  ' if is_exact else 'MISS'} visits")
    return is_exact and all(verdict.passed for verdict in held)


def main() -> int:
    """Play the folder and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of labelled footage")
    parser.add_argument("--only", default="", help="sets and clips whose name begins so")
    parser.add_argument("--json", type=Path, help="write all figures there, too")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    logging.disable(logging.WARNING)  # each clip's end is a camera that goes away
    rows, events, passed = [], [], True
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.data, Path(folder), given.only)
        for row in bench.sets():
            passed &= _show(row)
            rows.append(asdict(row) | {"loss": row.loss})
        for event in bench.events():
            passed &= _show_visits(event)
            events.append(event)
    for fault in bench.faults:
        print(f"fault: {fault}", file=sys.stderr)
    if given.json is not None:
        given.json.write_text(json.dumps({"sets": rows, "events": events, "passed": passed}, indent=1) + "\n")
    print("every bar is reached" if passed else "a bar is MISSED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
