"""Writing an ONNX graph node by node, numbered in the order of writing, so that equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 17
IR_VERSION: Final = 8


class OnnxGraph:
    """Nodes and constants under construction; a method returns the name of the tensor that it made."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._count = 0

    def constant(self, value: npt.NDArray[Any]) -> str:
        """A constant tensor."""
        self._count += 1
        name = f"k{self._count}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.constant(np.array(values, np.int64))

    def node(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """An operation with one output, called ``name`` or else ``c_<number>``."""
        self._count += 1
        output = name or f"c_{self._count}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=f"n{self._count}", **attributes))
        return output

    def slice(self, tensor: str, start: int, stop: int, axis: int, name: str) -> str:
        """Part of a tensor along one axis."""
        bounds = (self.integers(start), self.integers(stop), self.integers(axis))
        return self.node("Slice", tensor, *bounds, name=name)

    def give_bias(self, tensor: str, bias: npt.NDArray[Any]) -> bool:
        """Make a vector the bias of the convolution that a tensor comes out of, if it does and has none yet."""
        producer = next((node for node in self._nodes if node.output[0] == tensor), None)
        if producer is None or producer.op_type != "Conv" or len(producer.input) != 2:
            return False
        producer.input.append(self.constant(bias))
        return True

    def finish(
        self,
        title: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        metadata: Mapping[str, str],
    ) -> onnx.ModelProto:
        """The checked model."""
        graph = helper.make_graph(self._nodes, title, inputs, outputs, self._constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="convert_nanodet_g",
        )
        for key, value in metadata.items():
            model.metadata_props.add(key=key, value=value)
        onnx.checker.check_model(model, full_check=True)
        return model
