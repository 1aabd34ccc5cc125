"""What all decoders share: their interface, the checks on a tensor's shape, and the grid of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from models.detections import Floats
from models.errors import OutputError

Tensors = Mapping[str, npt.NDArray[np.float32]]


class RawBoxes(NamedTuple):
    """``boxes`` float32 [N,4], fractions of the canvas; ``scores`` float32 [N,K], a column per class."""

    boxes: Floats
    scores: Floats


class OutputDecoder(Protocol):
    """A family of detectors, set up for one of them."""

    @property
    def kind(self) -> str:
        """The family's name, as a manifest spells it."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """The outputs to fetch from the network."""

    def decode(self, tensors: Tensors) -> RawBoxes:
        """Boxes and scores.

        Raises:
            OutputError: a tensor is not of the shape that the family has.
        """


def rows(tensors: Tensors, name: str, columns: int | None = None) -> Floats:
    """An output as a matrix [N,C]: leading axes of one are dropped.

    Raises:
        OutputError: it is not a matrix, or has not that many columns.
    """
    value = np.asarray(tensors[name], np.float32)
    while value.ndim > 2 and value.shape[0] == 1:
        value = value[0]
    wanted = f"[N,{'C' if columns is None else columns}]"
    if value.ndim != 2 or (columns is not None and value.shape[1] != columns):
        raise OutputError(
            f"output {name} has shape {list(tensors[name].shape)}, wanted {wanted}; check the output kind"
        )
    return value


def grid(width: int, height: int, strides: Sequence[int]) -> tuple[Floats, Floats]:
    """Column and row [N,2] of every cell of every stride in turn, row by row, and the cell's stride [N,1]."""
    cells, steps = [], []
    for stride in strides:
        across, down = np.meshgrid(np.arange(-(-width // stride)), np.arange(-(-height // stride)))
        cells.append(np.stack([across, down], axis=-1).reshape(-1, 2))
        steps.append(np.full((across.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)


def same_length(name: str, found: int, wanted: int) -> None:
    """Raises OutputError when an output has another number of rows than the input's size and strides give."""
    if found != wanted:
        raise OutputError(f"output {name} has {found} rows, the input size and strides give {wanted}; check both")
