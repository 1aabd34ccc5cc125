"""Reading a TensorFlow.js graph model: its operations, and the values that depend on weights alone.

Knows nothing of ONNX. Format: ``model.json`` with ``modelTopology`` (a TensorFlow GraphDef in JSON) and
``weightsManifest``, whose weights lie one after another in the binary files.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import RecipeError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One node of the graph. ``inputs`` are tensor names, ``name`` or ``name:output``."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def integers(self, key: str) -> list[int]:
        """A list attribute; JSON holds 64-bit numbers as text."""
        return [int(value) for value in self.attributes[key]["list"]["i"]]

    def number(self, key: str) -> float:
        """A floating-point attribute."""
        return float(self.attributes[key]["f"])

    def text(self, key: str) -> str:
        """A byte-string attribute; JSON holds it in base64."""
        return base64.b64decode(self.attributes[key]["s"]).decode()

    def truth(self, key: str) -> bool:
        """A boolean attribute, false when absent."""
        return bool(self.attributes.get(key, {}).get("b", False))


class GraphModel:
    """The operations by name, and their constants."""

    def __init__(self, topology: bytes, weights: bytes) -> None:
        document = json.loads(topology)
        self._operations = {
            node["name"]: Operation(node["name"], node["op"], tuple(node.get("input", ())), node.get("attr", {}))
            for node in document["modelTopology"]["node"]
        }
        self._weights = _read_weights(document["weightsManifest"], weights)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations.values())

    def producer(self, tensor: str) -> Operation:
        """The operation that a tensor comes out of."""
        return self._operations[tensor.partition(":")[0]]

    def constant(self, tensor: str) -> Array | None:
        """The value of a tensor that depends on weights alone, else None.

        Some kernels pass through an Identity, a SplitV with a single part, or a sum of two constants.
        """
        operation = self.producer(tensor)
        if operation.kind == "Const":
            return self._weights[operation.name]
        if operation.kind == "Identity":
            return self.constant(operation.inputs[0])
        if operation.kind not in ("SplitV", "Add", "AddV2"):
            return None
        values = [self.constant(name) for name in operation.inputs]
        known = [value for value in values if value is not None]
        if len(known) != len(values):
            return None
        if operation.kind == "SplitV":
            value, sizes, axis = known
            part = int(tensor.partition(":")[2] or 0)
            return np.split(value, np.cumsum(sizes)[:-1], int(axis))[part]
        total: Array = known[0] + known[1]
        return total

    def known(self, tensor: str) -> Array:
        """The value of a tensor that must be constant.

        Raises:
            RecipeError: it is not.
        """
        value = self.constant(tensor)
        if value is None:
            raise RecipeError(f"tensor {tensor} of the source was taken for a constant and is none")
        return value


def _read_weights(manifest: list[dict[str, Any]], data: bytes) -> dict[str, Array]:
    """Every weight in its own type; those stored as float16 are widened."""
    if len(manifest) != 1:
        raise RecipeError(f"the source keeps its weights in {len(manifest)} groups, one was expected")
    weights: dict[str, Array] = {}
    offset = 0
    for record in manifest[0]["weights"]:
        stored = np.dtype(record.get("quantization", {}).get("dtype", record["dtype"]))
        count = int(np.prod(record["shape"], dtype=np.int64))
        values = np.frombuffer(data, stored, count, offset)
        weights[record["name"]] = values.reshape(record["shape"]).astype(record["dtype"])
        offset += count * stored.itemsize
    if offset != len(data):
        raise RecipeError(f"the source's weights are {len(data)} bytes, its topology describes {offset}")
    return weights
