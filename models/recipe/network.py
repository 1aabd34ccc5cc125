"""Translating the network's layers from TensorFlow.js to ONNX, from a head back to the picture.

The source turns its tensors between NHWC and NCHW all the time. Here every tensor is NCHW, and a note beside it says
how the source holds it at that point, so that its axes can be read. Explicit paddings in front of a convolution or
pooling are folded into it: a padding of minus infinity left in the graph ruins the quantised network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from models.errors import RecipeError
from models.recipe.extents import Extents
from models.recipe.graph_model import GraphModel, Operation
from models.recipe.onnx_graph import OnnxGraph

_TURNS: Final = {("NCHW", (0, 2, 3, 1)): "NHWC", ("NHWC", (0, 3, 1, 2)): "NCHW"}
_NCHW_AXIS_OF_NHWC: Final = (0, 2, 3, 1)
_NCHW_ROWS_OF_NHWC: Final = [0, 3, 1, 2]
_MINUS_INFINITY: Final = -1e30


class Tensor(NamedTuple):
    """An ONNX tensor, always NCHW, and the layout in which the source holds it."""

    name: str
    layout: str


class Padded(NamedTuple):
    """A tensor with the padding that was in front of its consumer: top, left, bottom, right."""

    tensor: Tensor
    pads: list[int]


class NetworkTranslator:
    """Writes layers into an :class:`OnnxGraph` as they are asked for, each once."""

    def __init__(self, model: GraphModel, graph: OnnxGraph, picture: str) -> None:
        self._model = model
        self._graph = graph
        self._extents = Extents(model)
        self._done: dict[str, Tensor] = {}
        self._rules: dict[str, Callable[[Operation], Tensor]] = {
            "Placeholder": lambda _: Tensor(picture, "NCHW"),
            "Identity": lambda operation: self.translate(operation.inputs[0]),
            "Transpose": self._transpose,
            "Conv2D": self._convolution,
            "Add": self._add,
            "AddV2": self._add,
            "LeakyRelu": self._leaky_relu,
            "MaxPool": self._max_pool,
            "ConcatV2": self._concat,
            "ResizeBilinear": self._resize,
        }

    def translate(self, tensor: str) -> Tensor:
        """The ONNX tensor for one of the source's.

        Raises:
            RecipeError: it needs an operation that the recipe does not know.
        """
        if tensor not in self._done:
            operation = self._model.producer(tensor)
            if operation.kind not in self._rules:
                raise RecipeError(f"the source's {operation.kind} ({tensor}) has no translation")
            self._done[tensor] = self._rules[operation.kind](operation)
        return self._done[tensor]

    def _transpose(self, operation: Operation) -> Tensor:
        name, layout = self.translate(operation.inputs[0])
        return Tensor(name, self._turned(layout, operation))

    def _turned(self, layout: str, transpose: Operation) -> str:
        return _TURNS[layout, tuple(self._model.known(transpose.inputs[1]).tolist())]

    def _convolution(self, operation: Operation) -> Tensor:
        (name, layout), pads = self._padded(operation, lambda value: value == 0)
        kernel = self._model.known(operation.inputs[1])
        output = self._graph.node(
            "Conv",
            name,
            self._graph.constant(kernel.transpose(3, 2, 0, 1)),
            kernel_shape=list(kernel.shape[:2]),
            strides=operation.integers("strides")[1:3],
            dilations=operation.integers("dilations")[1:3],
            pads=pads,
        )
        return Tensor(output, layout)

    def _max_pool(self, operation: Operation) -> Tensor:
        (name, layout), pads = self._padded(operation, lambda value: value < _MINUS_INFINITY)
        output = self._graph.node(
            "MaxPool",
            name,
            kernel_shape=operation.integers("ksize")[1:3],
            strides=operation.integers("strides")[1:3],
            pads=pads,
        )
        return Tensor(output, layout)

    def _padded(self, consumer: Operation, neutral: Callable[[float], bool]) -> Padded:
        """The first input of a convolution or pooling with the Pad before it, if any, taken out.

        ``neutral`` says whether a padding value is the one that the consumer itself would pad with.
        """
        if consumer.text("padding") != "VALID":
            raise RecipeError(f"{consumer.name} pads by itself; only explicit paddings were expected")
        before = self._model.producer(consumer.inputs[0])
        turn = None
        if before.kind == "Transpose":
            turn, before = before, self._model.producer(before.inputs[0])
        if before.kind not in ("Pad", "PadV2"):
            return self._in_nhwc(consumer, Padded(self.translate(consumer.inputs[0]), [0] * 4))
        value = float(self._model.known(before.inputs[2])) if before.kind == "PadV2" else 0.0
        name, layout = self.translate(before.inputs[0])
        widths = self._model.known(before.inputs[1])
        widths = widths if layout == "NCHW" else widths[_NCHW_ROWS_OF_NHWC]
        if not neutral(value) or widths[:2].any():
            raise RecipeError(
                f"{before.name} pads with {value} by {widths.tolist()}, which {consumer.name} cannot take"
            )
        layout = layout if turn is None else self._turned(layout, turn)
        pads = [int(widths[axis, end]) for end in (0, 1) for axis in (2, 3)]
        return self._in_nhwc(consumer, Padded(Tensor(name, layout), pads))

    @staticmethod
    def _in_nhwc(consumer: Operation, padded: Padded) -> Padded:
        if padded.tensor.layout != "NHWC":
            raise RecipeError(f"{consumer.name} takes a tensor in {padded.tensor.layout}, NHWC was expected")
        return padded

    def _add(self, operation: Operation) -> Tensor:
        first, second = operation.inputs
        constants = self._model.constant(first), self._model.constant(second)
        if constants[0] is None and constants[1] is None:
            one, other = self.translate(first), self.translate(second)
            if one.layout != other.layout:
                raise RecipeError(f"{operation.name} adds tensors in {one.layout} and {other.layout}")
            return Tensor(self._graph.node("Add", one.name, other.name), one.layout)
        varying, fixed = (first, constants[1]) if constants[0] is None else (second, constants[0])
        if fixed is None:
            raise RecipeError(f"{operation.name} adds two constants; it should not have been reached")
        name, layout = self.translate(varying)
        bias = fixed.reshape(-1)
        if self._graph.give_bias(name, bias):
            return Tensor(name, layout)
        return Tensor(self._graph.node("Add", name, self._graph.constant(bias.reshape(1, -1, 1, 1))), layout)

    def _leaky_relu(self, operation: Operation) -> Tensor:
        name, layout = self.translate(operation.inputs[0])
        return Tensor(self._graph.node("LeakyRelu", name, alpha=operation.number("alpha")), layout)

    def _concat(self, operation: Operation) -> Tensor:
        parts = [self.translate(name) for name in operation.inputs[:-1]]
        layout = parts[0].layout
        axis = int(self._model.known(operation.inputs[-1])) % 4
        axis = axis if layout == "NCHW" else _NCHW_AXIS_OF_NHWC[axis]
        return Tensor(self._graph.node("Concat", *(part.name for part in parts), axis=axis), layout)

    def _resize(self, operation: Operation) -> Tensor:
        """Written as a factor, and not as a size, so that the graph serves any input size."""
        name, layout = self.translate(operation.inputs[0])
        if layout != "NHWC" or not operation.truth("half_pixel_centers"):
            raise RecipeError(f"{operation.name} resizes in another way than half-pixel centres in NHWC")
        factor = int(self._model.known(operation.inputs[1])[0]) / self._extents.side(operation.inputs[0])
        scales = self._graph.constant(np.array([1, 1, factor, factor], np.float32))
        output = self._graph.node(
            "Resize", name, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"
        )
        return Tensor(output, layout)
