"""YOLOX as its own export writes it: one tensor [1,N,5+K] of grid-relative boxes, objectness and class scores.

A row is (x, y, w, h, objectness, class scores): centre = (x, y) + the cell, size = exp(w, h), both in strides; the two
scores have their sigmoid in the graph, and their product is the score. Source: Ge et al., "YOLOX: Exceeding YOLO Series
in 2021", section 2.1, and the export with ``decode_in_inference = False``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from models.detections import Floats
from models.fitting import InputSpec
from models.outputs.base import RawBoxes, Tensors, grid, rows, same_length
from models.tables import Table

_LARGEST_EXPONENT = 20.0
"""A size of e^20 strides is far beyond any canvas: the limit only keeps a broken network from overflowing."""


@dataclass(frozen=True, slots=True, eq=False)
class YoloxOutput:
    """``cells`` [N,2] and ``steps`` [N,1] are laid out once for the input size."""

    kind: ClassVar[str] = "yolox"

    tensor: str
    cells: Floats
    steps: Floats
    size: Floats

    @classmethod
    def read(cls, table: Table, shape: InputSpec) -> YoloxOutput:
        """From the ``output`` table: ``tensor`` names the output, ``strides`` are 8, 16, 32 unless given."""
        strides = table.integers("strides", 1, 256) if table.has("strides") else (8, 16, 32)
        cells, steps = grid(shape.width, shape.height, strides)
        decoder = cls(table.text("tensor"), cells, steps, np.array([shape.width, shape.height], np.float32))
        table.close()
        return decoder

    @property
    def tensors(self) -> tuple[str, ...]:
        return (self.tensor,)

    def decode(self, tensors: Tensors) -> RawBoxes:
        values = rows(tensors, self.tensor)
        same_length(self.tensor, len(values), len(self.cells))
        centre = (values[:, :2] + self.cells) * self.steps / self.size
        half = np.exp(np.minimum(values[:, 2:4], _LARGEST_EXPONENT)) * self.steps / self.size / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        return RawBoxes(boxes, values[:, 4:5] * values[:, 5:])
