"""The detector on real footage, and what it refuses."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models import DEFAULT, ECONOMY, Catalogue, Detector, FrameError, Kind, OutputError, WeightsError, load_detector
from models.suppression import overlaps
from tests.support.networks import entry_text, save, write_network

PARKED = np.array([[0.953, 0.083, 1.0, 0.167], [0.847, 0.077, 0.946, 0.175]], np.float32)
"""The two parked cars of the clip, as fractions of the frame."""


@pytest.fixture(scope="module", params=[DEFAULT, ECONOMY])
def detector(request: pytest.FixtureRequest) -> Detector:
    return load_detector(request.param)


def test_it_finds_the_people_who_walk_and_the_cars_that_are_parked(
    detector: Detector, street: list[NDArray[np.uint8]]
) -> None:
    for frame in street:
        seen = detector.detect(frame)
        vehicles = seen.of_kind(Kind.VEHICLE)

        assert len(seen.of_kind(Kind.PERSON)) >= 2
        assert (overlaps(PARKED, vehicles.boxes).max(axis=1) >= 0.5).any()


def test_both_parked_cars_are_cars_to_the_default(street: list[NDArray[np.uint8]]) -> None:
    vehicles = load_detector().detect(street[0]).of_kind(Kind.VEHICLE)

    assert (overlaps(PARKED, vehicles.boxes).max(axis=1) >= 0.5).all()
    assert {vehicles.class_names[number] for number in vehicles.classes} <= {"car", "truck", "bus"}


def test_detections_are_well_formed(detector: Detector, street: list[NDArray[np.uint8]]) -> None:
    seen = detector.detect(street[1], floor=0.05)

    assert seen.boxes.shape == (len(seen), 4)
    assert (seen.boxes.dtype, seen.scores.dtype, seen.kinds.dtype) == (np.float32, np.float32, np.int16)
    assert ((seen.boxes >= 0) & (seen.boxes <= 1)).all()
    assert ((seen.scores >= 0.05) & (seen.scores <= 1)).all()
    assert (np.diff(seen.kinds) >= 0).all()
    for kind in Kind:
        one = seen.of_kind(kind)
        assert (np.diff(one.scores) <= 0).all()
        assert (np.triu(overlaps(one.boxes, one.boxes), k=1) <= 0.5).all()


def test_a_floor_lets_the_weak_boxes_through_and_keeps_the_strong(
    detector: Detector, street: list[NDArray[np.uint8]]
) -> None:
    """A tracker is fed from 0.25."""
    strong, weak = detector.detect(street[2]), detector.detect(street[2], floor=0.25)

    assert len(weak) > len(strong)
    assert weak.scores.min() >= 0.25
    assert set(map(tuple, strong.boxes.tolist())) <= set(map(tuple, weak.boxes.tolist()))


def test_the_boxes_stay_where_they_are_when_the_frame_is_scaled(street: list[NDArray[np.uint8]]) -> None:
    detector = load_detector()
    people = detector.detect(street[0]).of_kind(Kind.PERSON)
    twice = cv2.resize(street[0], (1536, 1152))

    again = detector.detect(twice).of_kind(Kind.PERSON)

    assert (overlaps(people.boxes, again.boxes).max(axis=1) > 0.8).all()
    np.testing.assert_allclose(again.pixels(1536, 1152)[:, 2] / 1536, again.boxes[:, 2], rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (7, 1200), (2000, 3)])
def test_frames_of_any_size_are_taken(size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 90, np.uint8)

    assert len(load_detector(ECONOMY).detect(frame)) == 0


def test_many_cameras_may_share_it(street: list[NDArray[np.uint8]]) -> None:
    detector = load_detector(ECONOMY)
    alone = [detector.detect(frame) for frame in street]

    with ThreadPoolExecutor(4) as cameras:
        together = list(cameras.map(detector.detect, street * 4))

    for number, seen in enumerate(together):
        np.testing.assert_array_equal(seen.boxes, alone[number % 3].boxes)


def test_a_frame_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(FrameError, match=r"must be uint8 \[height,width,3\] and not float64"):
        load_detector(ECONOMY).detect(np.zeros((4, 4, 3)))  # type: ignore[arg-type]  # that is the point


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    entry = Catalogue.open().entry(ECONOMY)
    content = bytearray(entry.weights.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(content)

    with pytest.raises(WeightsError, match=r"damaged\.onnx have sha256 [0-9a-f]{64} and not 6c95efa1"):
        Detector.load(replace(entry, weights=damaged))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    entry = replace(Catalogue.open().entry(DEFAULT), weights=tmp_path / "nowhere.onnx")

    with pytest.raises(WeightsError, match=r"nowhere\.onnx cannot be read: No such file"):
        Detector.load(entry)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    sha256 = save(tmp_path / "text.onnx", b"not a network")
    (tmp_path / "own.toml").write_text(entry_text("text", "text.onnx", sha256))

    with pytest.raises(WeightsError, match=r"model text: ONNX Runtime .* cannot load it"):
        load_detector("text", tmp_path / "own.toml")


BOXES = np.array([[0.1, 0.1, 0.3, 0.5], [0.1, 0.1, 0.3, 0.52], [0.6, 0.2, 0.9, 0.8]], np.float32)


def own(folder: Path, scores: list[list[float]], classes: str, **changes: str) -> Detector:
    """A detector of the user's own whose outputs are constant."""
    outputs = {"boxes": BOXES, "scores": np.array(scores, np.float32)}
    sha256 = write_network(folder / "own.onnx", (1, 32, 64, 3), outputs)
    (folder / "own.toml").write_text(entry_text("own", "own.onnx", sha256, classes=classes, **changes))
    return load_detector("own", folder / "own.toml")


GREY = np.full((48, 64, 3), 90, np.uint8)


def test_each_kind_has_its_own_threshold_and_its_own_suppression(tmp_path: Path) -> None:
    """Person from 0.4, bicycle 0.3, vehicle 0.2: a car and a truck on one spot are one vehicle, a rider stays."""
    scores = [[0.9, 0.0, 0.25, 0.0], [0.8, 0.0, 0.0, 0.6], [0.39, 0.31, 0.1, 0.0]]
    detector = own(tmp_path, scores, "person = 0, bicycle = 1, car = 2, truck = 3")

    seen = detector.detect(GREY)

    assert [seen.class_names[number] for number in seen.classes] == ["person", "bicycle", "truck"]
    assert seen.kinds.tolist() == [Kind.PERSON, Kind.BICYCLE, Kind.VEHICLE]
    np.testing.assert_allclose(seen.scores, [0.9, 0.31, 0.6])
    np.testing.assert_allclose(seen.boxes, BOXES[[0, 2, 1]], rtol=1e-6)


def test_columns_that_the_manifest_does_not_name_are_ignored(tmp_path: Path) -> None:
    detector = own(tmp_path, [[0.9, 0.1], [0.9, 0.2], [0.9, 0.7]], "person = 1")

    assert len(detector.detect(GREY)) == 1


def test_a_box_outside_the_frame_or_beyond_all_numbers_is_nothing_seen(tmp_path: Path) -> None:
    """The frame is a wide one, so that the lower half of the letterbox is padding."""
    boxes = np.array(
        [[0.1, 0.6, 0.3, 0.9], [0.1, 0.2, 0.3, 0.4], [np.nan] * 4, [0.5, np.nan, 0.6, 0.3], [0.9, 0.3, 0.8, 0.2]],
        np.float32,
    )
    outputs = {"boxes": boxes, "scores": np.full((5, 1), 0.9, np.float32)}
    sha256 = write_network(tmp_path / "own.onnx", (1, 32, 64, 3), outputs)
    picture = 'width = 64, height = 32, resize = "letterbox-top-left", layout = "nhwc", dtype = "uint8", colour = "bgr"'
    (tmp_path / "own.toml").write_text(entry_text("own", "own.onnx", sha256, picture=picture))

    seen = load_detector("own", tmp_path / "own.toml").detect(np.zeros((16, 64, 3), np.uint8))

    np.testing.assert_allclose(seen.boxes, [[0.1, 0.4, 0.3, 0.8]], rtol=1e-5)


def test_a_column_that_the_network_has_not_is_told(tmp_path: Path) -> None:
    detector = own(tmp_path, [[0.9, 0.1]] * 3, "person = 0, car = 5")

    with pytest.raises(OutputError, match="puts out 2 classes, its manifest entry names column 5"):
        detector.detect(GREY)


def test_another_element_type_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    picture = 'width = 64, height = 32, resize = "stretch", layout = "nhwc", dtype = "float32", colour = "bgr"'

    with pytest.raises(WeightsError, match=r"takes tensor\(uint8\), the manifest says float32"):
        own(tmp_path, [[0.9]] * 3, "person = 0", picture=picture)


def test_an_output_that_the_network_has_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="has no output raw; it has boxes, scores"):
        own(tmp_path, [[0.9]] * 3, "person = 0", output='kind = "yolox", tensor = "raw"')
