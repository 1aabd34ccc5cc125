"""Tiny ONNX networks whose outputs are known: made in a test, run by the real ONNX Runtime."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_ELEMENTS = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}


def write_network(
    path: Path, shape: tuple[int, ...], outputs: Mapping[str, NDArray[np.float32]], dtype: str = "uint8"
) -> str:
    """A network that takes a picture of that shape and puts out these tensors whatever it sees; returns its sha256."""
    nodes = [helper.make_node("Identity", [f"{name}_value"], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", _ELEMENTS[dtype], shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in outputs.items()],
        [numpy_helper.from_array(value, f"{name}_value") for name, value in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return save(path, model.SerializeToString())


def save(path: Path, content: bytes) -> str:
    """Write a file and return its sha256."""
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def entry_text(
    name: str,
    weights: str,
    sha256: str,
    *,
    classes: str = "person = 0",
    picture: str = 'width = 64, height = 32, resize = "stretch", layout = "nhwc", dtype = "uint8", colour = "bgr"',
    output: str = 'kind = "contract"',
) -> str:
    """A manifest entry in TOML."""
    return f"""
[model.{name}]
weights = "{weights}"
sha256 = "{sha256}"
source = "made in a test"
version = "1"
licence = "Apache-2.0"
changes = "none"
classes = {{ {classes} }}
input = {{ {picture} }}
output = {{ {output} }}
thresholds = {{ person = 0.4, bicycle = 0.3, vehicle = 0.2, overlap = 0.5 }}
"""
