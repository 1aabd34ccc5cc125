"""Reading a folder of labelled footage. A fault in it is told and its frame left out; the rest goes on.

DIR/clips/NAME.csv      frame,class,x1,y1,x2,y2 (more columns are ignored): frames from 1, corners in pixels;
                        a frame without a row is unlabelled and not scored
DIR/clips/NAME.avi      (or any other ending) the footage that NAME.csv labels
DIR/clips/events.json   [{"clip": "NAME.mp4", "class": "person", "events": [{"start": 66, "end": 193}]}]: spans of
                        frames in which such an object is plainly in view
DIR/images/labels.csv   file,class,x1,y1,x2,y2; a picture without a row holds nothing to find
DIR/images/*.jpg        (or .jpeg, .png) the pictures
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import cv2
import numpy as np

from models.detections import Floats, Frame, Integers, Kind
from models.errors import DatasetError
from models.evaluation.labels import Fault, Labels, Span, read_boxes, read_events

PICTURE_ENDINGS: Final = (".jpg", ".jpeg", ".png")
MARGIN: Final = 18
"""Frames on either side of an event in which its object may be partly in view: neither seen nor false counts there."""


class Sample(NamedTuple):
    """A frame, uint8 BGR, with what is labelled in it: kinds [N] and boxes [N,4] as fractions of the frame."""

    frame: Frame
    kinds: Integers
    boxes: Floats


class LabelledSet(Protocol):
    """Frames with boxes, under one name."""

    @property
    def name(self) -> str: ...

    def samples(self, tell: Fault) -> Iterator[Sample]:
        """The labelled frames, read as they are asked for; what cannot be read is told and left out."""


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Every ``step``-th frame of a clip, as far as it is labelled."""

    name: str
    clip: Path
    labels: Labels
    step: int

    def samples(self, tell: Fault) -> Iterator[Sample]:
        number = 0
        for number, frame in _frames(self.clip):
            if (number - 1) % self.step == 0 and str(number) in self.labels.boxes:
                yield _sample(frame, self.labels, str(number))
        last = max((int(frame) for frame in self.labels.boxes), default=0)
        if number == 0:
            tell(f"{self.clip}: is not a clip that can be read; left out")
        elif number < last:
            tell(f"{self.clip}: ends after frame {number}, its labels go on to frame {last}; the rest is not scored")


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Single pictures."""

    name: str
    pictures: tuple[Path, ...]
    labels: Labels

    def samples(self, tell: Fault) -> Iterator[Sample]:
        for path in self.pictures:
            if path.name in self.labels.spoilt:
                continue
            frame = cv2.imread(str(path))
            if frame is None:
                tell(f"{path}: is not a picture that can be read; left out")
                continue
            yield _sample(frame.astype(np.uint8, copy=False), self.labels, path.name)


@dataclass(frozen=True, slots=True)
class EventClip:
    """A clip in which only the spans are known during which an object of one kind is in view."""

    clip: Path
    kind: Kind
    spans: tuple[Span, ...]
    step: int

    def samples(self) -> Iterator[tuple[Frame, bool]]:
        """Every ``step``-th frame inside a span (true) or well outside all of them (false)."""
        for number, frame in _frames(self.clip):
            if (number - 1) % self.step:
                continue
            if any(start <= number <= end for start, end in self.spans):
                yield frame, True
            elif all(number < start - MARGIN or number > end + MARGIN for start, end in self.spans):
                yield frame, False


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a folder holds."""

    sets: tuple[LabelledSet, ...]
    events: tuple[EventClip, ...]


def open_dataset(folder: Path, step_of: Callable[[str], int], event_step: int, tell: Fault) -> Dataset:
    """Read a folder's labels; footage is read later. ``step_of`` says of a clip's name which frames to score.

    Raises:
        DatasetError: the folder does not exist, or holds nothing to score.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give one with clips/ or images/ in it")
    sets: list[LabelledSet] = [*_clip_sets(folder / "clips", step_of, tell), *_picture_sets(folder / "images", tell)]
    events = _event_clips(folder / "clips", event_step, tell)
    if not sets and not events:
        raise DatasetError(f"{folder} holds nothing to score: neither clips/*.csv, clips/events.json nor images/")
    return Dataset(tuple(sets), tuple(events))


def _clip_sets(folder: Path, step_of: Callable[[str], int], tell: Fault) -> Iterator[ClipSet]:
    for table in sorted(folder.glob("*.csv")):
        clips = [path for path in sorted(folder.glob(f"{table.stem}.*")) if path.suffix != ".csv"]
        if not clips:
            tell(f"{table}: there is no clip {table.stem}.* beside it; left out")
            continue
        labels = read_boxes(table, "frame", tell)
        if labels is not None:
            yield ClipSet(table.stem, clips[0], labels, step_of(table.stem))


def _picture_sets(folder: Path, tell: Fault) -> Iterator[PictureSet]:
    if not folder.is_dir():
        return
    labels = read_boxes(folder / "labels.csv", "file", tell)
    if labels is None:
        return
    pictures = tuple(path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURE_ENDINGS)
    names = {path.name for path in pictures}
    for name in sorted(set(labels.boxes) - names):
        tell(f"{folder / 'labels.csv'}: names {name}, which is not in {folder}; left out")
    yield PictureSet("images", pictures, labels)


def _event_clips(folder: Path, step: int, tell: Fault) -> list[EventClip]:
    path = folder / "events.json"
    if not path.exists():
        return []
    clips = []
    for name, kind, spans in read_events(path, tell):
        if (folder / name).is_file():
            clips.append(EventClip(folder / name, kind, spans, step))
        else:
            tell(f"{path}: names {name}, which is not in {folder}; left out")
    return clips


def _frames(clip: Path) -> Iterator[tuple[int, Frame]]:
    """A clip's frames, numbered from 1; a clip that cannot be opened has none."""
    capture = cv2.VideoCapture(str(clip))
    try:
        number = 0
        while True:
            there, frame = capture.read()
            if not there:
                return
            number += 1
            yield number, frame.astype(np.uint8, copy=False)
    finally:
        capture.release()


def _sample(frame: Frame, labels: Labels, key: str) -> Sample:
    rows = labels.boxes.get(key, ())
    height, width = frame.shape[:2]
    boxes = np.array([corners for _, corners in rows], np.float32).reshape(-1, 4)
    kinds = np.array([kind for kind, _ in rows], np.int16)
    size = np.array([width, height, width, height], np.float32)
    return Sample(frame, kinds, boxes / size)
