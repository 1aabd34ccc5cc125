"""How well the whole pipeline finds people and vehicles on labelled footage, beside the detector on every full frame.

    python -m benchmarks.video_quality DATA [--only NAME] [--json FILE]

DATA is a folder as `gatehouse models evaluate` takes it (`clips/*.csv` beside the clips, `clips/events.json`,
`images/`; described in `models/evaluation/dataset.py`). The bars are those of `models/evaluation/yardsticks.py`; the
entrance clip must give exactly as many visits as its labels; and no AP50 may be more than a point (0.01) below the
detector's alone.

What runs is a gateway's camera with its default settings, without its threads (`benchmarks.stepped`). Each clip is
played as a camera that goes online with its first frame, sleeps, wakes and decodes as it likes. It does not look at
every frame, so a clip is played several times, its first picture shown for a frame longer each time, until it has
looked at each labelled frame, or three times as often as evenly spaced looks would need. Each is scored as it was
found when the pipeline itself first showed it to the detector. A frame that it never showed, as nothing moved, is
scored by what it *believes* then: the boxes of the newest picture before that it did show. How many those are is
printed.

Beside it, in the same run: the detector alone on each of those frames, decoded one by one.

Tracks are scored against labels with identities: *found* are those who are in view for a second or longer and are
covered (overlap 0.5) by a confirmed track at some look of the first pass; *at any moment* are recall, precision and
AP50 of the confirmed tracks' boxes at every labelled frame of the first pass, looked at or not, as they were in the
newest picture that tracks were followed to. Beside them the same of a pipeline that shows five frames a second to the
detector whatever they show, and never sleeps (*always*). None of the three may be more than a point below that.

The photographs are no video. Each is played as a camera that sends its JPEG, as it is, 20 times in two seconds; what is
believed at the end is scored. The detector's boxes from score 0.02 on are scored as the bars ask, though the pipeline
itself works with those from 0.25 on. The car park's camera looks straight down: `vehicle_score = 0.25`, as
`docs/video.md` says.

Ends with 1 if a bar is missed.
"""

import argparse
import csv
import json
import logging
import sys
import tempfile
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.stepped import SteppedCamera, SteppedClock, Ways, bench_camera
from edge.clock import Moment
from edge.video.analysis import CameraAnalysis, Followed
from edge.video.detection import FrameDetector
from edge.video.motion import Luma
from edge.video.snapshot import Image
from edge.video.tracker import Seen, Tracker
from models import Detections, Kind, load_detector
from models.evaluation.dataset import ClipSet, EventClip, PictureSet, Sample, open_dataset
from models.evaluation.report import SCORED_KINDS
from models.evaluation.scoring import HIT_OVERLAP, FrameBoxes, Score, score
from models.evaluation.yardsticks import (
    EVENT_STEP,
    OPERATING_THRESHOLD,
    SCORING_FLOOR,
    Measure,
    Verdict,
    step_of,
    verdicts,
)
from models.suppression import overlaps
from protocols.events import PersonEnteredZone, VehicleEnteredZone
from tests.edge.video.parts import PictureFolder, Recording

POINT = 0.01
ALWAYS = {"busy_analyses_per_s": 5.0}
STRAIGHT_DOWN = {"carpark": {"vehicle_score": 0.25}}
_SAME_S = 0.002
"""Times of one picture, reckoned in two ways, differ by less."""
_TRIES = 3
"""How many times more often than evenly spaced looks would need a clip is played at most."""


@dataclass(frozen=True)
class Belief:
    """What was found in a picture taken at `at_s`; or the confirmed tracks' boxes as they were in it."""

    at_s: float
    boxes: Detections


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

    def __init__(self, *given: Any, detector: NotingDetector, always: bool, played: "Played") -> None:
        super().__init__(*given)
        self._noting, self._always, self._played = detector, always, played

    @property
    def followed(self) -> Followed:
        return replace(super().followed, restless=True, look_every_s=0.0) if self._always else super().followed

    def see(self, detections: Detections, image: Image, moment: Moment, luma: Luma | None = None) -> Seen:
        whole, *_ = self._noting.noted
        self._noting.noted.clear()
        seen = super().see(detections, image, moment, luma)
        least = float(detections.scores.min()) if len(detections) else 1.0
        tail = whole.select(whole.scores < min(least, 0.25))
        at_s = moment.monotonic_s
        self._played.beliefs.append(Belief(at_s, _both(detections, tail)))
        self._played.followed.append(Belief(at_s, detections.select(np.array(seen.rows, np.intp))))
        return seen

    def _in_sight(self, tracker: Tracker) -> tuple[Seen, Detections]:
        seen, found = super()._in_sight(tracker)
        self._played.followed.append(Belief(tracker.followed_s, found))
        return seen, found


def _both(first: Detections, second: Detections) -> Detections:
    names = ("boxes", "scores", "kinds", "classes")
    joined = [np.concatenate([getattr(first, name), getattr(second, name)]) for name in names]
    return Detections(*joined, first.class_names)


@dataclass
class Played:
    """What a camera made of a clip."""

    began_s: float
    beliefs: list[Belief] = field(default_factory=list)
    followed: list[Belief] = field(default_factory=list)
    entered: dict[str, int] = field(default_factory=dict)
    received: int = 0
    decoded: int = 0

    def at(self, at_s: float) -> Belief | None:
        """What was believed of a picture taken so long after the first."""
        return _newest(self.beliefs, self.began_s + at_s)

    def tracks_at(self, at_s: float) -> Detections:
        """The confirmed tracks' boxes as they were then."""
        newest = _newest(self.followed, self.began_s + at_s)
        return newest.boxes if newest is not None else Detections.none()

    def looked_at(self, at_s: float) -> bool:
        """Whether the detector was shown that very picture."""
        belief = self.at(at_s)
        return belief is not None and abs(belief.at_s - self.began_s - at_s) <= _SAME_S


def _newest(beliefs: Sequence[Belief], at_s: float) -> Belief | None:
    place = bisect_right(beliefs, at_s + _SAME_S, key=lambda belief: belief.at_s)
    return beliefs[place - 1] if place else None


def play(clip: Path, detector: NotingDetector, always: bool, settings: dict[str, Any]) -> Played:
    """A clip through the gateway's parts."""
    clock, recording = SteppedClock(), Recording()
    played = Played(clock.at_s)
    detector.noted.clear()
    settings = settings | ALWAYS if always else settings
    with tempfile.TemporaryDirectory() as folder:
        camera = SteppedCamera(
            bench_camera(clip, **settings), detector, recording, PictureFolder(Path(folder)), clock,
            ways=Ways(partial(NotingAnalysis, detector=detector, always=always, played=played)),
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


def passes_of(rate: Fraction, looks_per_s: float) -> int:
    """How often a clip has to be played, a frame later each time, for each frame to have its turn to be looked at."""
    return max(1, ceil(float(rate) / looks_per_s - 1e-9))


def looks_apart_s(looks_per_s: float, analyses_per_s: float) -> float:
    """How far steady looks are apart: as many of the pictures that tracks are followed to as it takes."""
    return ceil(0.9 * analyses_per_s / looks_per_s - 1e-9) / analyses_per_s


def delayed(clip: Path, target: Path, frames: int, rate: Fraction) -> Path:
    """The clip, copied without encoding, that shows its first picture for so many frames more."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        step = 1 / rate / stream.time_base
        for number, packet in enumerate(p for p in source.demux(stream) if p.size):
            pts, dts, data = packet.pts, packet.dts, bytes(packet)
            for again in range(0 if number == 0 else frames, frames + 1):
                sent = av.Packet(data)
                sent.pts = None if pts is None else pts + round(again * step)
                sent.dts = None if dts is None else dts + round(again * step)
                sent.is_keyframe, sent.time_base, sent.stream = packet.is_keyframe, stream.time_base, copy
                out.mux(sent)
    return target


def _of(found: Detections, kind: Kind, truth: Any) -> FrameBoxes:
    of_kind = found.of_kind(kind)
    return FrameBoxes(of_kind.boxes, of_kind.scores, truth)


@dataclass(frozen=True)
class Row:
    """One kind in one set: the detector alone on every frame, and the pipeline."""

    set_name: str
    kind: str
    alone: Score
    pipeline: Score
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


class Scored:
    """A set's frames as they are found: by the detector alone, and by the pipeline."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._alone: dict[Kind, list[FrameBoxes]] = {kind: [] for kind in SCORED_KINDS}
        self._pipeline: dict[Kind, list[FrameBoxes]] = {kind: [] for kind in SCORED_KINDS}
        self._older = 0

    def add(self, sample: Sample, alone: Detections, belief: Belief | None, is_older: bool = False) -> None:
        self._older += is_older
        for kind in SCORED_KINDS:
            truth = sample.boxes[sample.kinds == kind]
            self._alone[kind].append(_of(alone, kind, truth))
            self._pipeline[kind].append(_of(belief.boxes if belief else Detections.none(), kind, truth))

    def rows(self) -> Iterator[Row]:
        for kind in SCORED_KINDS:
            frames = self._alone[kind]
            if any(len(frame.truth) for frame in frames):
                alone, pipeline = (score(each[kind], OPERATING_THRESHOLD) for each in (self._alone, self._pipeline))
                yield Row(self._name, kind.name.lower(), alone, pipeline, self._older / len(frames))


@dataclass(frozen=True)
class Tracked:
    """People's tracks of one pass over a clip: identities found of those labelled, and boxes at any moment."""

    found: int
    labelled: int
    recall: float
    precision: float
    ap50: float

    def is_near(self, always: "Tracked") -> bool:
        """Whether its boxes are at most a point worse than those of always looking."""
        pairs = ((self.recall, always.recall), (self.precision, always.precision), (self.ap50, always.ap50))
        return all(own >= other - POINT for own, other in pairs)


Identities = dict[int, dict[int, npt.NDArray[np.float32]]]
"""By frame, by identity: a box [4] in pixels."""


def read_identities(table: Path) -> Identities:
    """The labelled people of a clip."""
    boxes: Identities = defaultdict(dict)
    with table.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["class"] == "person" and int(row["track"]) >= 0:
                corners = [float(row[name]) for name in ("x1", "y1", "x2", "y2")]
                boxes[int(row["frame"])][int(row["track"])] = np.array(corners, np.float32)
    return boxes


def tracked(played: Played, shown: Sequence[float], labels: Identities, size: tuple[int, int], rate: float) -> Tracked:
    """How one pass's tracks cover the labelled people. `shown`: when each frame was; `size`: the frame's, in pixels."""
    in_view = Counter(who for people in labels.values() for who in people)
    wanted = {who for who, frames in in_view.items() if frames >= rate}
    found: set[int] = set()
    frames = []
    for number, people in labels.items():
        of_people = played.tracks_at(shown[number - 1]).of_kind(Kind.PERSON)
        boxes, truth = of_people.pixels(*size), np.stack([*people.values()])
        frames.append(FrameBoxes(boxes, of_people.scores, truth))
        if len(boxes) and played.looked_at(shown[number - 1]):
            covered = overlaps(boxes, truth).max(axis=0) >= HIT_OVERLAP
            found |= {who for who, is_covered in zip(people, covered, strict=True) if is_covered}
    made = score(frames, 0.0)
    return Tracked(len(found & wanted), len(wanted), made.recall, made.precision, made.ap50)


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

    def tracks(self) -> Iterator[tuple[str, Tracked, Tracked]]:
        """Of each clip with identities: its name, the tracks of the pipeline, and of always looking."""
        for each in self._sets:
            labels = read_identities(each.clip.with_suffix(".csv")) if isinstance(each, ClipSet) else {}
            if not isinstance(each, ClipSet) or not labels:
                continue
            _tell(f"{each.name}: tracks")
            shown, rate = picture_times(each.clip)
            with av.open(str(each.clip)) as container:
                size = container.streams.video[0].width, container.streams.video[0].height
            passes = (play(each.clip, self._noting, always, _settings(each.name)) for always in (False, True))
            lazy, always = (tracked(played, shown, labels, size, float(rate)) for played in passes)
            yield each.name, lazy, always

    def _clip(self, labelled: ClipSet) -> Iterator[Row]:
        numbers = [n for n in sorted(map(int, labelled.labels.boxes)) if (n - 1) % labelled.step == 0]
        left = dict(zip(numbers, labelled.samples(self.faults.append), strict=False))
        alone = {number: self._detector.detect(sample.frame, SCORING_FLOOR) for number, sample in left.items()}
        _, rate = picture_times(labelled.clip)
        settings, scored = _settings(labelled.name), Scored(labelled.name)
        camera = bench_camera(labelled.clip, **settings)
        passes = _TRIES * passes_of(rate, 1 / looks_apart_s(camera.busy_looks_per_s, camera.analyses_per_s))
        for shift in range(passes):
            if not left:
                break
            _tell(f"{labelled.name}: playing {shift + 1} of at most {passes}, {len(left)} frames not yet looked at")
            clip = labelled.clip if not shift else delayed(labelled.clip, self._folder / "late.mkv", shift, rate)
            shown = picture_times(clip)[0][shift:]
            played = play(clip, self._noting, always=False, settings=settings)
            is_last = shift == passes - 1
            for number in [n for n in left if is_last or played.looked_at(shown[n - 1])]:
                is_older = not played.looked_at(shown[number - 1])
                scored.add(left.pop(number), alone[number], played.at(shown[number - 1]), is_older)
        yield from scored.rows()

    def _pictures(self, labelled: PictureSet) -> Iterator[Row]:
        scored = Scored(labelled.name)
        paths = [path for path in labelled.pictures if path.name not in labelled.labels.spoilt]
        for number, (path, sample) in enumerate(zip(paths, labelled.samples(self.faults.append), strict=True)):
            if number % 16 == 0:
                _tell(f"{labelled.name}: {number} of {len(paths)}")
            clip = still_camera(path, self._folder / "still.mkv", sample.frame.shape[1::-1])
            played = play(clip, self._noting, always=False, settings={})
            scored.add(sample, self._detector.detect(sample.frame, SCORING_FLOOR), played.at(2.0))
        yield from scored.rows()

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
    made, alone = row.pipeline, row.alone
    print(
        f"{row.set_name} {row.kind}: AP50 {made.ap50:.3f} (detector alone {alone.ap50:.3f}), recall at one false a "
        f"frame {made.recall_at_one:.3f} ({alone.recall_at_one:.3f}), at {OPERATING_THRESHOLD:.2f} recall "
        f"{made.recall:.3f} ({alone.recall:.3f}) precision {made.precision:.3f} ({alone.precision:.3f}); "
        f"{row.believed_of_older:.0%} of {made.frames} frames from an older picture"
    )
    for verdict in held:
        print(f"    {'ok  ' if verdict.passed else 'MISS'} {verdict.bar.measure.value} bar {verdict.bar.limit}")
    print(f"    {'ok  ' if is_near else 'MISS'} AP50 {row.loss:+.4f} below the detector alone, at most {POINT}")
    return is_near and all(verdict.passed for verdict in held)


def _show_tracks(name: str, lazy: Tracked, always: Tracked) -> bool:
    """Print a clip's figures; whether they are as good as those of always looking."""
    is_near = lazy.is_near(always)
    print(
        f"{name} tracks: {lazy.found} of {lazy.labelled} people found (always {always.found}); at any moment recall "
        f"{lazy.recall:.3f} ({always.recall:.3f}) precision {lazy.precision:.3f} ({always.precision:.3f}) AP50 "
        f"{lazy.ap50:.3f} ({always.ap50:.3f})"
    )
    print(f"    {'ok  ' if is_near else 'MISS'} none more than {POINT} below always looking")
    return is_near


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
        tracks = []
        for name, lazy, always in bench.tracks():
            passed &= _show_tracks(name, lazy, always)
            tracks.append({"set_name": name, "pipeline": asdict(lazy), "always": asdict(always)})
        for event in bench.events():
            passed &= _show_visits(event)
            events.append(event)
    for fault in bench.faults:
        print(f"fault: {fault}", file=sys.stderr)
    figures = {"sets": rows, "tracks": tracks, "events": events, "passed": passed}
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    print("every bar is reached" if passed else "a bar is MISSED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
