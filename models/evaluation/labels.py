"""The label files of a folder of footage: boxes in CSV and spans in JSON. Opens no footage.

A fault is told with file and line, and the frame or picture it concerns is left out of the score, since what is known
of it is incomplete.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.detections import KIND_OF_CLASS, Kind

Fault = Callable[[str], None]
Corners = tuple[float, float, float, float]
Span = tuple[int, int]

_CORNERS = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True, slots=True)
class Labels:
    """Per frame number or file name: the boxes in pixels. ``spoilt``: those with a faulty row, which are not scored."""

    boxes: Mapping[str, tuple[tuple[Kind, Corners], ...]]
    spoilt: frozenset[str]


def read_boxes(path: Path, key: str, tell: Fault) -> Labels | None:
    """The boxes of a CSV file whose column ``key`` ("frame" or "file") says where each belongs.

    None, after telling why, when nothing in the file can be used.
    """
    boxes: dict[str, list[tuple[Kind, Corners]]] = {}
    spoilt: set[str] = set()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in (key, "class", *_CORNERS) if name not in (reader.fieldnames or ())]
            if missing:
                tell(f"{path} line 1: has no column {missing[0]}; left out")
                return None
            for row in reader:
                place = ""
                try:
                    place = _place(row[key] or "", key)
                    boxes.setdefault(place, []).append(_box(row))
                except ValueError as error:
                    spoilt.add(place)
                    tell(f"{path} line {reader.line_num}: {error}; {f'its {key}' if place else 'the row'} is left out")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        tell(f"{path}: cannot be read: {error}; left out")
        return None
    return Labels({place: tuple(rows) for place, rows in boxes.items() if place not in spoilt}, frozenset(spoilt))


def _place(text: str, key: str) -> str:
    if key == "frame":
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(f"frame is {text!r} and must be a whole number from 1")
        return str(int(text))
    if not text:
        raise ValueError("file is empty")
    return text


def _box(row: Mapping[str, str | None]) -> tuple[Kind, Corners]:
    name = row["class"] or ""
    if name not in KIND_OF_CLASS:
        raise ValueError(f"class is {name!r} and must be one of {', '.join(KIND_OF_CLASS)}")
    x1, y1, x2, y2 = (_number(column, row[column]) for column in _CORNERS)
    if x2 <= x1 or y2 <= y1:
        raise ValueError(f"the box {x1:g},{y1:g},{x2:g},{y2:g} is empty or its corners are crossed")
    return KIND_OF_CLASS[name], (x1, y1, x2, y2)


def _number(column: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{column} is {text!r} and must be a number")
    return value


def read_events(path: Path, tell: Fault) -> Iterator[tuple[str, Kind, tuple[Span, ...]]]:
    """Clip name, kind and spans of every usable record of an events file."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        tell(f"{path} line {error.lineno}: is not JSON: {error.msg}; left out")
        return
    except (OSError, UnicodeDecodeError) as error:
        tell(f"{path}: cannot be read: {error}; left out")
        return
    if not isinstance(records, list):
        tell(f"{path}: must hold a list of clips; left out")
        return
    for number, record in enumerate(records, start=1):
        try:
            yield _event(record)
        except (KeyError, TypeError, ValueError) as error:
            tell(f"{path}: record {number} needs clip, class and events with start and end ({error!r}); left out")


def _event(record: Mapping[str, object]) -> tuple[str, Kind, tuple[Span, ...]]:
    events = record["events"]
    if not isinstance(events, list) or not events:
        raise ValueError("no events")
    spans = tuple((int(event["start"]), int(event["end"])) for event in events)
    if any(start < 1 or end < start for start, end in spans):
        raise ValueError("a span ends before it starts")
    return str(record["clip"]), KIND_OF_CLASS[str(record["class"])], spans
