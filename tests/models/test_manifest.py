"""What is wrong with a manifest is told with file, model and key."""

from pathlib import Path

import pytest

from models import DEFAULT, Catalogue, ManifestError, UnknownModel, load_detector
from models.manifest import SHIPPED, read_manifest
from tests.support.networks import entry_text

SHA256 = "0" * 64
GOOD = entry_text("own", "own.onnx", SHA256)


def write(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_entry_reads_as_written(tmp_path: Path) -> None:
    (entry,) = read_manifest(write(tmp_path, GOOD))

    assert (entry.name, entry.weights, entry.sha256) == ("own", tmp_path / "own.onnx", SHA256)
    assert entry.input.shape == (1, 32, 64, 3)
    assert entry.output.tensors == ("boxes", "scores")
    assert (entry.thresholds.person, entry.thresholds.vehicle) == (0.4, 0.2)


@pytest.mark.parametrize(
    ("found", "put", "complaint"),
    [
        ('weights = "own.onnx"\n', "", "model: own: weights: is missing; add it"),
        ('version = "1"', "version = 1", "model: own: version: must be a text in quotes, and not 1"),
        (SHA256, "ABC", "model: own: sha256: must be 64 lower-case hexadecimal digits"),
        ("person = 0 }", "person = 0, dog = 1 }", "model: own: classes: dog: is not a class used here"),
        ("person = 0 }", "person = 0, car = 0 }", "model: own: classes: columns: .* a column of its own"),
        ("{ person = 0 }", "{}", "model: own: classes: columns: name at least one class"),
        ("person = 0 }", "person = -1 }", "model: own: classes: person: must be a whole number from 0 to 9999"),
        ("width = 64", "width = 64.5", "model: own: input: width: must be a whole number from 32 to 4096"),
        ('"stretch"', '"squeeze"', "model: own: input: resize: is 'squeeze'; use one of stretch, letterbox-top-left"),
        ('"bgr"', '"bgr", mean = [1, 2, 3]', 'input: mean: goes with dtype = "float32" only'),
        ('"bgr"', '"bgr", gamma = 2', "model: own: input: gamma: is not known here; known are colour"),
        ('"uint8"', '"float32", mean = [1, 2]', "input: mean: must be a list of 3 numbers"),
        ('"uint8"', '"float32", mean = [1, 2, "x"]', "input: mean: must be a number from -255 to 255, and not 'x'"),
        ('"contract"', '"yolov9"', "model: own: output: kind: is 'yolov9'; use one of contract, yolox, nanodet"),
        ('"contract"', '"yolox"', "model: own: output: tensor: is missing"),
        ('"contract"', '"yolox", tensor = "o", strides = [8, 0]', "output: strides: holds 0; each must be"),
        (
            '"contract"',
            '"picodet", scores = ["a"], sides = ["b"], strides = [8, 16], bins = 8, cell_offset = 0.5, '
            'scores_are = "logits"',
            "output: sides: `scores`, `sides` and `strides` must be equally long",
        ),
        ("overlap = 0.5", "overlap = 2", "model: own: thresholds: overlap: must be a number from 0 to 1, and not 2"),
        ("person = 0.4", "person = nan", "thresholds: person: must be a number from 0 to 1, and not nan"),
        ("input = {", "inputs = {", "model: own: input: is missing"),
        ("{ width = 64", "3 # {", "model: own: input: must be a table, and not 3"),
        ('changes = "none"', 'changes = "none"\nnotices = []', "notices: must be a list of texts"),
        ('changes = "none"', 'changes = "none"\nlicense = "MIT"', "model: own: license: is not known here"),
    ],
)
def test_a_faulty_entry_is_refused_with_its_key(tmp_path: Path, found: str, put: str, complaint: str) -> None:
    assert found in GOOD

    with pytest.raises(ManifestError, match=complaint) as refusal:
        read_manifest(write(tmp_path, GOOD.replace(found, put, 1)))

    assert "own.toml" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[model.own\n", r"is not TOML: .*line 1"),
        ("", r"must hold tables named \[model.NAME\]"),
        ("[models.own]\n", r"must hold tables named \[model.NAME\]"),
        ("model = 3", r"must hold tables named \[model.NAME\]"),
        ("[model]\nown = 3", "model: own: must be a table, and not 3"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ManifestError, match=complaint):
        read_manifest(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere\.toml: cannot be read: .*No such file"):
        Catalogue.open(tmp_path / "nowhere.toml")


def test_own_entries_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    catalogue = Catalogue.open(write(tmp_path, GOOD))

    assert [entry.name for entry in catalogue.entries] == [entry.name for entry in read_manifest(SHIPPED)] + ["own"]


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=f"model {DEFAULT} is in two manifests; rename your own"):
        Catalogue.open(write(tmp_path, GOOD.replace("model.own", f"model.{DEFAULT}")))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=f"there is no model yolo; known are {DEFAULT}, "):
        load_detector("yolo")
