"""SSD detectors whose graph ends in its own suppression: a list of finished boxes, each with one label and one score.

Two forms occur: Caffe's and OpenVINO's DetectionOutput, one tensor [1,1,N,7] with rows (picture, label, score, x1, y1,
x2, y2), a picture number under 0 ending the list; and three tensors of boxes [1,N,4], labels [1,N] and scores [1,N], as
TensorFlow's Object Detection API and torchvision export. Raw locations that need prior boxes are not decoded here:
export such a network with its decoding inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from models.detections import Floats
from models.errors import OutputError
from models.fitting import InputSpec
from models.outputs.base import RawBoxes, Tensors, rows, same_length
from models.tables import Table

_MAX_LABELS = 10000


@dataclass(frozen=True, slots=True)
class SsdOutput:
    """DetectionOutput; boxes are fractions of the canvas. ``labels``: how many label numbers there are, from 0."""

    kind: ClassVar[str] = "ssd"

    tensor: str
    labels: int

    @classmethod
    def read(cls, table: Table, shape: InputSpec) -> SsdOutput:
        """From the ``output`` table: ``tensor`` and ``labels``."""
        del shape
        decoder = cls(table.text("tensor"), table.integer("labels", 1, _MAX_LABELS))
        table.close()
        return decoder

    @property
    def tensors(self) -> tuple[str, ...]:
        return (self.tensor,)

    def decode(self, tensors: Tensors) -> RawBoxes:
        values = rows(tensors, self.tensor, 7)
        ends = np.flatnonzero(values[:, 0] < 0)
        values = values[: ends[0]] if len(ends) else values
        return RawBoxes(values[:, 3:7], _columns(self.tensor, values[:, 1], values[:, 2], self.labels))


@dataclass(frozen=True, slots=True, eq=False)
class SsdListsOutput:
    """Three tensors. ``order`` arranges a box's four numbers as x1, y1, x2, y2; ``scale`` makes them fractions."""

    kind: ClassVar[str] = "ssd-lists"

    boxes: str
    label_numbers: str
    scores: str
    labels: int
    order: tuple[int, ...]
    scale: Floats

    @classmethod
    def read(cls, table: Table, shape: InputSpec) -> SsdListsOutput:
        """From the ``output`` table: ``boxes``, ``label_numbers``, ``scores``, ``labels``, ``corners``, ``units``."""
        across = table.choice("corners", ["xyxy", "yxyx"]) == "xyxy"
        in_pixels = table.choice("units", ["fractions", "pixels"]) == "pixels"
        size = [shape.width, shape.height] if in_pixels else [1, 1]
        decoder = cls(
            boxes=table.text("boxes"),
            label_numbers=table.text("label_numbers"),
            scores=table.text("scores"),
            labels=table.integer("labels", 1, _MAX_LABELS),
            order=(0, 1, 2, 3) if across else (1, 0, 3, 2),
            scale=np.array(size * 2, np.float32),
        )
        table.close()
        return decoder

    @property
    def tensors(self) -> tuple[str, ...]:
        return (self.boxes, self.label_numbers, self.scores)

    def decode(self, tensors: Tensors) -> RawBoxes:
        boxes = rows(tensors, self.boxes, 4)[:, self.order] / self.scale
        numbers = np.asarray(tensors[self.label_numbers], np.float32).reshape(-1)
        scores = np.asarray(tensors[self.scores], np.float32).reshape(-1)
        same_length(self.label_numbers, len(numbers), len(boxes))
        same_length(self.scores, len(scores), len(boxes))
        return RawBoxes(boxes, _columns(self.label_numbers, numbers, scores, self.labels))


def _columns(tensor: str, numbers: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], labels: int) -> Floats:
    """Scores [N,labels]: each row's one score in its label's column, nothing elsewhere."""
    columns = numbers.astype(np.intp)
    if len(columns) and not 0 <= columns.min() <= columns.max() < labels:
        raise OutputError(
            f"output {tensor} holds labels {columns.min()} to {columns.max()}, the manifest says there are {labels}, "
            "counted from 0; correct `labels`"
        )
    result = np.zeros((len(columns), labels), np.float32)
    result[np.arange(len(columns)), columns] = scores
    return result
