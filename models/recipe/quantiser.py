"""Static int8 quantisation of a float detector with the house's contract, calibrated on the frames of a clip.

QDQ form, activations uint8, weights int8 per channel and kept to 7 bits, so that CPUs without VNNI do not saturate.
Only the network's own layers are quantised; pre-processing and box decoding stay float.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.errors import RecipeError

LAYERS: Final = frozenset({"Conv", "LeakyRelu", "Add", "Concat", "MaxPool", "Resize"})
_NETWORK_PREFIX: Final = "c_"
"""The converter calls the network's tensors c_<number>; what comes before and after has other names."""

_FRAME_STEP: Final = 30
_FIRST_FRAME: Final = 7
_LAST_FRAME: Final = 480


class _ClipFrames(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime ships no types
    """Frames 7, 37, 67 ... of a clip, stretched to the network's input."""

    def __init__(self, clip: Path, width: int, height: int) -> None:
        self._frames = iter(list(_read_frames(clip, width, height)))

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        return next(self._frames, None)


def _read_frames(clip: Path, width: int, height: int) -> Iterator[dict[str, npt.NDArray[np.uint8]]]:
    capture = cv2.VideoCapture(str(clip))
    try:
        for number in range(1, _LAST_FRAME):
            there, frame = capture.read()
            if not there:
                raise RecipeError(f"clip {clip} ends before frame {number}; {_LAST_FRAME - 1} are needed")
            if number % _FRAME_STEP == _FIRST_FRAME:
                yield {"image": cv2.resize(frame, (width, height))[None].astype(np.uint8, copy=False)}
    finally:
        capture.release()


def quantise(model: bytes, clip: Path, scratch: Path) -> bytes:
    """The int8 model made from a float one; ``scratch`` is a folder for the files that ONNX Runtime insists on.

    Raises:
        RecipeError: the clip cannot be read or is too short.
    """
    source, prepared, result = scratch / "float.onnx", scratch / "prepared.onnx", scratch / "int8.onnx"
    source.write_bytes(model)
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    graph = onnx.load(str(prepared))
    _, height, width, _ = (axis.dim_value for axis in graph.graph.input[0].type.tensor_type.shape.dim)
    for position, node in enumerate(graph.graph.node):
        node.name = node.name or f"q{position}"
    onnx.save(graph, str(prepared))
    quantize_static(
        str(prepared),
        str(result),
        _ClipFrames(clip, width, height),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[node.name for node in graph.graph.node if not _is_layer(node)],
        calibrate_method=CalibrationMethod.MinMax,
    )
    return _labelled(onnx.load(str(result)), onnx.load_model_from_string(model))


def _is_layer(node: Any) -> bool:
    return node.op_type in LAYERS and node.output[0].startswith(_NETWORK_PREFIX)


def _labelled(quantised: onnx.ModelProto, source: onnx.ModelProto) -> bytes:
    """The quantised model with the source's metadata, and without operator sets that nothing in it uses."""
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(source.metadata_props)
    used = {node.domain for node in quantised.graph.node}
    for operators in [one for one in quantised.opset_import if one.domain not in used]:
        quantised.opset_import.remove(operators)
    quantised.metadata_props.add(key="quantised", value="int8 QDQ, per-channel, 7-bit weights")
    content: bytes = quantised.SerializeToString()
    return content
