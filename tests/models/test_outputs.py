"""Every output kind, added by a manifest entry, against a slow, obvious reference.

Each test writes a network that puts out known tensors, an entry for it, and looks at what the detector says.
"""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models import Detections, OutputError, load_detector
from models.fitting import InputSpec
from models.outputs import OUTPUT_KINDS, OutputDecoder, RawBoxes
from models.outputs.contract import ContractOutput
from models.outputs.registry import read_output
from models.tables import Table
from tests.support.networks import entry_text, write_network

Floats = NDArray[np.float32]
WIDTH, HEIGHT, STRIDES = 64, 32, (8, 16, 32)
CELLS = [(x, y, stride) for stride in STRIDES for y in range(HEIGHT // stride) for x in range(WIDTH // stride)]
PICTURE = 'width = 64, height = 32, resize = "stretch", layout = "nchw", dtype = "float32", colour = "rgb"'
GREY = np.full((48, 96, 3), 90, np.uint8)
SHAPE = InputSpec(WIDTH, HEIGHT)


def decoder(**settings: object) -> OutputDecoder:
    return read_output(Table(settings, "test"), SHAPE)


def detect(folder: Path, outputs: dict[str, Floats], output: str, classes: str) -> Detections:
    """What a detector says that was added by an entry alone."""
    sha256 = write_network(folder / "own.onnx", (1, 3, HEIGHT, WIDTH), outputs, "float32")
    text = entry_text("own", "own.onnx", sha256, classes=classes, picture=PICTURE, output=output)
    (folder / "own.toml").write_text(text)
    return load_detector("own", folder / "own.toml").detect(GREY)


def noise(*shape: int, scale: float = 1.0) -> Floats:
    return np.random.default_rng(7).normal(0, scale, shape).astype(np.float32)


def assert_equal(found: RawBoxes, boxes: list[list[float]], scores: list[list[float]]) -> None:
    np.testing.assert_allclose(found.boxes, np.array(boxes), atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(found.scores, np.array(scores), atol=1e-6, rtol=1e-4)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def slow_yolox(rows: Floats) -> tuple[list[list[float]], list[list[float]]]:
    boxes, scores = [], []
    for (x, y, stride), row in zip(CELLS, rows.tolist(), strict=True):
        centre_x, centre_y = (row[0] + x) * stride, (row[1] + y) * stride
        width, height = math.exp(row[2]) * stride, math.exp(row[3]) * stride
        boxes.append(
            [
                (centre_x - width / 2) / WIDTH,
                (centre_y - height / 2) / HEIGHT,
                (centre_x + width / 2) / WIDTH,
                (centre_y + height / 2) / HEIGHT,
            ]
        )
        scores.append([row[4] * value for value in row[5:]])
    return boxes, scores


def slow_distribution(sides: Floats, bins: int, offset: float) -> list[list[float]]:
    boxes = []
    for (x, y, stride), row in zip(CELLS, sides.tolist(), strict=True):
        distance = []
        for side in range(4):
            powers = [math.exp(value) for value in row[side * bins : (side + 1) * bins]]
            distance.append(sum(number * power for number, power in enumerate(powers)) / sum(powers) * stride)
        point = ((x + offset) * stride, (y + offset) * stride)
        boxes.append(
            [
                (point[0] - distance[0]) / WIDTH,
                (point[1] - distance[1]) / HEIGHT,
                (point[0] + distance[2]) / WIDTH,
                (point[1] + distance[3]) / HEIGHT,
            ]
        )
    return boxes


def test_yolox_is_decoded_as_its_paper_says() -> None:
    rows = noise(1, len(CELLS), 8)

    found = decoder(kind="yolox", tensor="output").decode({"output": rows})

    assert_equal(found, *slow_yolox(rows[0]))


def test_a_yolox_network_is_added_by_an_entry(tmp_path: Path) -> None:
    """One car in cell (3, 1) of stride 8: centre (28, 12), 16 x 8 pixels of 64 x 32; score 0.9 x 0.8."""
    rows = np.zeros((1, len(CELLS), 5 + 3), np.float32)
    rows[0, CELLS.index((3, 1, 8))] = [0.5, 0.5, math.log(2), 0.0, 0.9, 0.0, 0.0, 0.8]

    seen = detect(tmp_path, {"output": rows}, 'kind = "yolox", tensor = "output"', "person = 0, car = 2")

    assert [seen.class_names[number] for number in seen.classes] == ["car"]
    np.testing.assert_allclose(seen.boxes, [[20 / 64, 8 / 32, 36 / 64, 16 / 32]], rtol=1e-5)
    np.testing.assert_allclose(seen.scores, [0.72], rtol=1e-5)


def test_a_size_beyond_all_bounds_does_not_overflow() -> None:
    rows = np.full((1, len(CELLS), 6), 500, np.float32)

    assert np.isfinite(decoder(kind="yolox", tensor="output").decode({"output": rows}).boxes).all()


NANODET = {"kind": "nanodet", "tensor": "output", "strides": [8, 16, 32]}


@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("activation", ["logits", "probabilities"])
def test_nanodet_is_decoded_as_its_paper_says(offset: float, activation: str) -> None:
    rows = noise(1, len(CELLS), 5 + 4 * 8, scale=3)

    found = decoder(**NANODET, bins=8, cell_offset=offset, scores_are=activation).decode({"output": rows})

    logits = rows[0, :, :5].tolist()
    scores = [[sigmoid(value) for value in row] for row in logits] if activation == "logits" else logits
    assert_equal(found, slow_distribution(rows[0, :, 5:], 8, offset), scores)


def test_a_nanodet_network_is_added_by_an_entry(tmp_path: Path) -> None:
    """One person around the centre of cell (2, 1) of stride 16: one stride left and up, two right and down."""
    rows = np.zeros((1, len(CELLS), 2 + 4 * 8), np.float32)
    row = CELLS.index((2, 1, 16))
    rows[0, row, 0] = 0.7
    for side, distance in enumerate((1, 1, 2, 2)):
        rows[0, row, 2 + side * 8 + distance] = 50

    text = 'kind = "nanodet", tensor = "output", bins = 8, strides = [8, 16, 32], cell_offset = 0.0'
    seen = detect(tmp_path, {"output": rows}, f'{text}, scores_are = "probabilities"', "person = 0")

    np.testing.assert_allclose(seen.boxes, [[16 / 64, 0, 1, 1]], atol=1e-5)
    np.testing.assert_allclose(seen.scores, [0.7], rtol=1e-5)


def picodet_tensors(rows: Floats, columns: int) -> dict[str, Floats]:
    """The single-tensor arrangement taken apart into a pair a stride."""
    tensors, begin = {}, 0
    for stride in STRIDES:
        count = (WIDTH // stride) * (HEIGHT // stride)
        part = rows[None, begin : begin + count]
        tensors[f"scores{stride}"], tensors[f"sides{stride}"] = part[..., :columns], part[..., columns:]
        begin += count
    return tensors


PICODET = (
    'kind = "picodet", scores = ["scores8", "scores16", "scores32"], sides = ["sides8", "sides16", "sides32"], '
    'bins = 8, strides = [8, 16, 32], cell_offset = 0.5, scores_are = "probabilities"'
)


def test_a_picodet_network_is_added_by_an_entry(tmp_path: Path) -> None:
    """One bus in the last cell of all, stride 32 at (1, 0): centre (48, 16), half a stride each way."""
    rows = np.zeros((len(CELLS), 6 + 4 * 8), np.float32)
    rows[-1, 5] = 0.6
    for side in range(4):
        rows[-1, 6 + side * 8 : 6 + side * 8 + 2] = 50

    seen = detect(tmp_path, picodet_tensors(rows, 6), PICODET, "person = 0, bus = 5")

    assert [seen.class_names[number] for number in seen.classes] == ["bus"]
    np.testing.assert_allclose(seen.boxes, [[0.5, 0, 1, 1]], atol=1e-5)


def test_both_arrangements_give_the_same() -> None:
    rows = noise(len(CELLS), 6 + 4 * 8)
    shared = {"bins": 8, "strides": [8, 16, 32], "cell_offset": 0.5, "scores_are": "logits"}
    names = {part: [f"{part}{stride}" for stride in STRIDES] for part in ("scores", "sides")}

    apart = decoder(kind="picodet", **names, **shared).decode(picodet_tensors(rows, 6))
    together = decoder(kind="nanodet", tensor="output", **shared).decode({"output": rows[None]})

    np.testing.assert_array_equal(apart.boxes, together.boxes)
    np.testing.assert_array_equal(apart.scores, together.scores)


def test_an_ssd_network_is_added_by_an_entry(tmp_path: Path) -> None:
    """DetectionOutput: label 1 is person, 7 is car; a picture number under 0 ends the list."""
    rows = [
        [0, 7, 0.5, 0.5, 0.25, 0.75, 0.5],
        [0, 1, 0.9, 0.1, 0.2, 0.3, 0.6],
        [0, 1, 0.1, 0.6, 0.2, 0.7, 0.6],
        [-1, 0, 0, 0, 0, 0, 0],
        [0, 1, 0.9, 0.8, 0.8, 0.9, 0.9],
    ]
    outputs = {"detection_out": np.array(rows, np.float32)[None, None]}

    text = 'kind = "ssd", tensor = "detection_out", labels = 91'
    seen = detect(tmp_path, outputs, text, "person = 1, car = 7")

    assert [seen.class_names[number] for number in seen.classes] == ["person", "car"]
    np.testing.assert_allclose(seen.boxes, [[0.1, 0.2, 0.3, 0.6], [0.5, 0.25, 0.75, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(seen.scores, [0.9, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("corners", "units", "box"),
    [
        ("xyxy", "fractions", [0.25, 0.5, 0.5, 1.0]),
        ("yxyx", "fractions", [0.5, 0.25, 1.0, 0.5]),
        ("xyxy", "pixels", [16, 16, 32, 32]),
        ("yxyx", "pixels", [16, 16, 32, 32]),
    ],
)
def test_an_ssd_network_with_three_lists_is_added_by_an_entry(
    tmp_path: Path, corners: str, units: str, box: list[float]
) -> None:
    outputs = {
        "boxes": np.array([[box, [0, 0, 0, 0]]], np.float32),
        "labels": np.array([[1, 0]], np.float32),
        "scores": np.array([[0.8, 0.0]], np.float32),
    }
    text = 'kind = "ssd-lists", boxes = "boxes", label_numbers = "labels", scores = "scores", labels = 2'

    seen = detect(tmp_path, outputs, f'{text}, corners = "{corners}", units = "{units}"', "person = 1")

    np.testing.assert_allclose(seen.boxes, [[0.25, 0.5, 0.5, 1.0]], rtol=1e-6)


def test_an_empty_list_is_nothing_seen() -> None:
    found = decoder(kind="ssd", tensor="out", labels=4).decode({"out": np.zeros((1, 1, 0, 7), np.float32)})

    assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0, 4))


def test_one_row_is_one_row() -> None:
    """A list of one looks like one more axis of one."""
    found = decoder(kind="ssd", tensor="out", labels=4).decode({"out": np.ones((1, 1, 1, 7), np.float32)})

    assert found.scores.tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("settings", "tensors", "complaint"),
    [
        ({"kind": "contract"}, {"boxes": (5, 4), "scores": (4, 6)}, "output scores has 4 rows"),
        ({"kind": "contract"}, {"boxes": (5, 5), "scores": (5, 6)}, r"output boxes has shape \[5, 5\], wanted \[N,4\]"),
        ({"kind": "yolox", "tensor": "out"}, {"out": (1, 40, 8)}, "output out has 40 rows, .* give 42"),
        (
            {**NANODET, "tensor": "out", "bins": 8, "cell_offset": 0.5, "scores_are": "logits"},
            {"out": (1, 42, 32)},
            "four sides of 8 bins alone take 32",
        ),
        ({"kind": "ssd", "tensor": "out", "labels": 4}, {"out": (2, 3, 7)}, r"wanted \[N,7\]"),
    ],
)
def test_another_shape_than_the_kind_has_is_told(
    settings: dict[str, object], tensors: dict[str, tuple[int, ...]], complaint: str
) -> None:
    values = {name: np.zeros(shape, np.float32) for name, shape in tensors.items()}

    with pytest.raises(OutputError, match=complaint):
        decoder(**settings).decode(values)


def test_a_label_beyond_those_that_the_manifest_counts_is_told() -> None:
    row = np.array([[[[0, 9, 0.5, 0, 0, 1, 1]]]], np.float32)

    with pytest.raises(OutputError, match="holds labels 9 to 9, the manifest says there are 4"):
        decoder(kind="ssd", tensor="out", labels=4).decode({"out": row})


def test_the_kinds_of_the_issue_are_there() -> None:
    assert list(OUTPUT_KINDS) == ["contract", "yolox", "nanodet", "picodet", "ssd", "ssd-lists"]
    assert ContractOutput().kind == "contract"
