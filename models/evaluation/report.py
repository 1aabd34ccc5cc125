"""One evaluation of one detector on one folder, as values. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

from models.detections import Detections, Floats, Frame, Kind
from models.detector import Detector
from models.evaluation.dataset import Dataset, EventClip, LabelledSet
from models.evaluation.labels import Fault
from models.evaluation.latency import Timing
from models.evaluation.scoring import FrameBoxes, Score, score
from models.evaluation.yardsticks import (
    OPERATING_THRESHOLD,
    SCORING_FLOOR,
    SPEED_BAR,
    Measure,
    Verdict,
    verdicts,
)

SCORED_KINDS = (Kind.PERSON, Kind.VEHICLE)


@dataclass(frozen=True, slots=True)
class SetScore:
    """One kind in one labelled set."""

    set_name: str
    kind: Kind
    score: Score

    def measures(self) -> dict[Measure, float]:
        """What a bar may ask of it."""
        return {
            Measure.AP50: self.score.ap50,
            Measure.RECALL_AT_ONE: self.score.recall_at_one,
            Measure.RECALL: self.score.recall,
            Measure.PRECISION: self.score.precision,
        }


@dataclass(frozen=True, slots=True)
class EventScore:
    """Share of frames in which the object is found: inside its spans (``seen``) and well outside (``false``)."""

    set_name: str
    kind: Kind
    seen: float
    false: float
    frames: int

    def measures(self) -> dict[Measure, float]:
        """What a bar may ask of it."""
        return {Measure.SEEN: self.seen, Measure.FALSE: self.false}


@dataclass(frozen=True, slots=True)
class Report:
    """All that one evaluation found."""

    model: str
    sets: tuple[SetScore, ...]
    events: tuple[EventScore, ...]
    timings: tuple[Timing, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether no bar was missed."""
        return all(verdict.passed for verdict in self.verdicts)

    def as_json(self) -> dict[str, object]:
        """For a file: plain numbers and texts."""
        return {
            "model": self.model,
            "sets": [{**asdict(one), "kind": one.kind.name.lower()} for one in self.sets],
            "events": [{**asdict(one), "kind": one.kind.name.lower()} for one in self.events],
            "timings": [asdict(one) for one in self.timings],
            "bars": [
                {
                    "set_name": one.set_name,
                    "kind": None if one.bar.kind is None else one.bar.kind.name.lower(),
                    "measure": one.bar.measure.value,
                    "value": one.value,
                    "limit": one.bar.limit,
                    "passed": one.passed,
                }
                for one in self.verdicts
            ],
            "passed": self.passed,
        }


def evaluate(
    detector: Detector,
    dataset: Dataset,
    time_it: Callable[[Frame], tuple[Timing, ...]],
    progress: Callable[[str], None],
    tell: Fault,
) -> Report:
    """Run a detector over a folder. ``time_it`` gets one frame of the footage, if there is any, for the timing."""
    sets: list[SetScore] = []
    events: list[EventScore] = []
    example: Frame | None = None
    for labelled in dataset.sets:
        progress(f"scoring {labelled.name}")
        found, frame = _score_set(detector, labelled, tell)
        example = frame if example is None else example
        sets += found
    for clip in dataset.events:
        progress(f"scoring the events of {clip.clip.name}")
        event, frame = _score_events(detector, clip, tell)
        example = frame if example is None else example
        events += [event] if event is not None else []
    timings: tuple[Timing, ...] = ()
    if example is not None:
        progress("timing")
        timings = time_it(example)
    scored: list[SetScore | EventScore] = [*sets, *events]
    held = [verdict for one in scored for verdict in verdicts(one.set_name, one.kind, one.measures())]
    held += _speed(detector.entry.name, timings)
    return Report(detector.entry.name, tuple(sets), tuple(events), timings, tuple(held))


def _speed(model: str, timings: tuple[Timing, ...]) -> list[Verdict]:
    own_float = model.replace("-int8", "-fp32")
    return [
        Verdict("timing", SPEED_BAR, 1 / timing.ratio)
        for timing in timings
        if timing.name == own_float and own_float != model
    ]


def _score_set(detector: Detector, labelled: LabelledSet, tell: Fault) -> tuple[list[SetScore], Frame | None]:
    found: dict[Kind, list[FrameBoxes]] = {kind: [] for kind in SCORED_KINDS}
    first: Frame | None = None
    for sample in labelled.samples(tell):
        first = sample.frame if first is None else first
        seen = detector.detect(sample.frame, floor=SCORING_FLOOR)
        for kind, frames in found.items():
            frames.append(_boxes_of(seen, kind, sample.boxes[sample.kinds == kind]))
    able = detector.entry.kinds
    return [
        SetScore(labelled.name, kind, score(frames, OPERATING_THRESHOLD))
        for kind, frames in found.items()
        if kind in able and any(len(frame.truth) for frame in frames)
    ], first


def _boxes_of(seen: Detections, kind: Kind, truth: Floats) -> FrameBoxes:
    of_kind = seen.of_kind(kind)
    return FrameBoxes(of_kind.boxes, of_kind.scores, truth)


def _score_events(detector: Detector, clip: EventClip, tell: Fault) -> tuple[EventScore | None, Frame | None]:
    if clip.kind not in detector.entry.kinds:
        return None, None
    first: Frame | None = None
    inside: list[bool] = []
    outside: list[bool] = []
    for frame, in_view in clip.samples():
        first = frame if first is None else first
        found = len(detector.detect(frame, floor=OPERATING_THRESHOLD).of_kind(clip.kind)) > 0
        (inside if in_view else outside).append(found)
    if not inside:
        tell(f"{clip.clip}: cannot be read, or ends before its first event; left out")
        return None, first
    frames = len(inside) + len(outside)
    return EventScore(clip.clip.stem, clip.kind, _share(inside), _share(outside), frames), first


def _share(values: Iterable[bool]) -> float:
    """The share of true values; nothing has none."""
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0
