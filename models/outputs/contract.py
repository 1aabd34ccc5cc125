"""The house's own contract: the network decodes its boxes itself and puts out ``boxes`` [N,4] and ``scores`` [N,K]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.fitting import InputSpec
from models.outputs.base import RawBoxes, Tensors, rows, same_length
from models.tables import Table


@dataclass(frozen=True, slots=True)
class ContractOutput:
    """Nothing to set: names and meaning are fixed."""

    kind: ClassVar[str] = "contract"

    @classmethod
    def read(cls, table: Table, shape: InputSpec) -> ContractOutput:
        """From a manifest's ``output`` table, which holds nothing but the kind."""
        del shape
        table.close()
        return cls()

    @property
    def tensors(self) -> tuple[str, ...]:
        return ("boxes", "scores")

    def decode(self, tensors: Tensors) -> RawBoxes:
        boxes, scores = rows(tensors, "boxes", 4), rows(tensors, "scores")
        same_length("scores", len(scores), len(boxes))
        return RawBoxes(boxes, scores)
