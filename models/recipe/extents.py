"""The side of every feature map at the source's own square input, from which resize factors and heads are learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from models.recipe.graph_model import GraphModel, Operation

SOURCE_SIDE: Final = 416


class Extents:
    """Sides in cells, worked out once a tensor."""

    def __init__(self, model: GraphModel) -> None:
        self._model = model
        self._known: dict[str, int] = {}
        self._rules: dict[str, Callable[[Operation], int]] = {
            "Placeholder": lambda _: SOURCE_SIDE,
            "Pad": self._pad,
            "PadV2": self._pad,
            "Conv2D": self._window,
            "MaxPool": self._window,
            "ResizeBilinear": lambda operation: int(model.known(operation.inputs[1])[0]),
            "Add": self._add,
            "AddV2": self._add,
        }

    def side(self, tensor: str) -> int:
        """The side of one feature map; operations without a rule of their own keep their first input's."""
        operation = self._model.producer(tensor)
        if operation.name not in self._known:
            rule = self._rules.get(operation.kind, self._same)
            self._known[operation.name] = rule(operation)
        return self._known[operation.name]

    def _same(self, operation: Operation) -> int:
        return self.side(operation.inputs[0])

    def _pad(self, operation: Operation) -> int:
        return self.side(operation.inputs[0]) + int(self._model.known(operation.inputs[1]).sum(axis=1).max())

    def _window(self, operation: Operation) -> int:
        stride = operation.integers("strides")[1]
        side = self.side(operation.inputs[0])
        if operation.text("padding") == "SAME":
            return -(-side // stride)
        if operation.kind == "Conv2D":
            kernel = int(self._model.known(operation.inputs[1]).shape[0])
        else:
            kernel = operation.integers("ksize")[1]
        return (side - kernel) // stride + 1

    def _add(self, operation: Operation) -> int:
        return self.side(next(name for name in operation.inputs if self._model.constant(name) is None))
