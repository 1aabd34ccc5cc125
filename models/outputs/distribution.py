"""NanoDet and PicoDet: each side of a box as a distribution over whole strides (generalised focal loss).

A cell's four sides (left, top, right, bottom) are each ``bins`` numbers; the softmax's mean is the distance from the
cell's point to that side, in strides. Source: Li et al., "Generalized Focal Loss", NeurIPS 2020, section 3.2.

Two arrangements occur. NanoDet's export puts all strides one after another into one tensor [1,N,K+4*bins]; PicoDet's
(and early NanoDet's) has a pair per stride, scores [1,n,K] and sides [1,n,4*bins].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.detections import Floats
from models.errors import OutputError
from models.fitting import InputSpec
from models.outputs.base import RawBoxes, Tensors, grid, rows, same_length
from models.tables import Table


@dataclass(frozen=True, slots=True, eq=False)
class DistributionOutput:
    """``points`` [N,2] and ``steps`` [N,2] are in fractions of the canvas, laid out once for the input size.

    ``score_tensors`` and ``side_tensors`` hold one name per stride; for the single-tensor arrangement
    ``side_tensors`` is empty and ``score_tensors`` holds that one name.
    """

    kind: str
    score_tensors: tuple[str, ...]
    side_tensors: tuple[str, ...]
    bins: int
    sigmoid: bool
    points: Floats
    steps: Floats

    @classmethod
    def read_nanodet(cls, table: Table, shape: InputSpec) -> DistributionOutput:
        """From an ``output`` table with ``tensor``, ``bins``, ``strides``, ``cell_offset`` and ``scores_are``.

        ``cell_offset`` is 0.5 for NanoDet, 0 for NanoDet-Plus.
        """
        names = (table.text("tensor"),)
        return cls._read("nanodet", table, shape, names, ())

    @classmethod
    def read_picodet(cls, table: Table, shape: InputSpec) -> DistributionOutput:
        """As :meth:`read_nanodet`, but with the lists ``scores`` and ``sides`` of tensor names, one per stride."""
        scores, sides = table.texts("scores"), table.texts("sides")
        decoder = cls._read("picodet", table, shape, scores, sides)
        strides = table.integers("strides", 1, 256)
        if not len(scores) == len(sides) == len(strides):
            raise table.fault("sides", "`scores`, `sides` and `strides` must be equally long")
        return decoder

    @classmethod
    def _read(
        cls, kind: str, table: Table, shape: InputSpec, scores: tuple[str, ...], sides: tuple[str, ...]
    ) -> DistributionOutput:
        cells, steps = grid(shape.width, shape.height, table.integers("strides", 1, 256))
        size = np.array([shape.width, shape.height], np.float32)
        offset = np.float32(table.number("cell_offset", 0, 1))
        decoder = cls(
            kind=kind,
            score_tensors=scores,
            side_tensors=sides,
            bins=table.integer("bins", 2, 64),
            sigmoid=table.choice("scores_are", ["probabilities", "logits"]) == "logits",
            points=(cells + offset) * steps / size,
            steps=steps / size,
        )
        table.close()
        return decoder

    @property
    def tensors(self) -> tuple[str, ...]:
        return self.score_tensors + self.side_tensors

    def decode(self, tensors: Tensors) -> RawBoxes:
        scores, sides = self._gather(tensors)
        same_length(self.score_tensors[0], len(scores), len(self.points))
        same_length(self.tensors[-1], len(sides), len(self.points))
        distances = _means(sides.reshape(-1, 4, self.bins))
        boxes = np.concatenate(
            [self.points - distances[:, :2] * self.steps, self.points + distances[:, 2:] * self.steps], axis=1
        )
        return RawBoxes(boxes, _sigmoid(scores) if self.sigmoid else scores)

    def _gather(self, tensors: Tensors) -> tuple[Floats, Floats]:
        """Scores [N,K] and sides [N,4*bins] over all strides."""
        width = 4 * self.bins
        if self.side_tensors:
            scores = np.concatenate([rows(tensors, name) for name in self.score_tensors])
            return scores, np.concatenate([rows(tensors, name, width) for name in self.side_tensors])
        together = rows(tensors, self.score_tensors[0])
        if together.shape[1] <= width:
            raise OutputError(
                f"output {self.score_tensors[0]} has {together.shape[1]} columns, four sides of {self.bins} bins alone "
                f"take {width}; correct `bins`"
            )
        return together[:, :-width], together[:, -width:]


def _means(logits: Floats) -> Floats:
    """Mean bin [N,4] of the softmax over the last axis of [N,4,bins]."""
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    bins = np.arange(logits.shape[2], dtype=np.float32)
    means: Floats = (weights @ bins) / weights.sum(axis=2)
    return means


def _sigmoid(values: Floats) -> Floats:
    result: Floats = np.float32(0.5) * (np.tanh(values * np.float32(0.5)) + np.float32(1))
    return result
