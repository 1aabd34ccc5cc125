"""`gatehouse models list` and `evaluate` on folders made here from real frames: figures, faults, exit statuses."""

import csv
import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from gatehouse.models_command import app
from models import DEFAULT, ECONOMY, Detections, Kind, load_detector
from models.evaluation import BARS, open_dataset, time_side_by_side
from models.evaluation.yardsticks import EVENT_STEP, SPEED_BAR, Bar, Measure, step_of, verdicts
from tests.support.networks import entry_text, write_network

Frame = NDArray[np.uint8]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def label(path: Path, key: str, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[key, "class", "x1", "y1", "x2", "y2"], *rows])


def boxes_of(seen: Detections, key: object, frame: Frame) -> list[list[object]]:
    """Label rows that say exactly what a detector saw."""
    height, width = frame.shape[:2]
    names = {Kind.PERSON: "person", Kind.BICYCLE: "bicycle", Kind.VEHICLE: "vehicle"}
    pixels = seen.pixels(width, height).tolist()
    return [[key, names[Kind(kind)], *box] for kind, box in zip(seen.kinds.tolist(), pixels, strict=True)]


def read_through(folder: Path) -> tuple[list[str], dict[str, int]]:
    """The faults of a folder, and how many frames each of its sets and event clips gives."""
    faults: list[str] = []
    dataset = open_dataset(folder, step_of, EVENT_STEP, faults.append)
    counts = {one.name: len(list(one.samples(faults.append))) for one in dataset.sets}
    return faults, counts | {clip.clip.name: len(list(clip.samples())) for clip in dataset.events}


def write_clip(path: Path, frames: Sequence[Frame]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


@pytest.fixture
def footage(tmp_path: Path, made_footage: Path) -> Path:
    """A copy of the folder that a test may spoil."""
    return Path(shutil.copytree(made_footage, tmp_path / "footage"))


@pytest.fixture(scope="module")
def made_footage(tmp_path_factory: pytest.TempPathFactory, street: list[Frame]) -> Path:
    """A folder in which every label is right by construction: what the default saw at its thresholds.

    A clip of six frames, labelled on all, an event clip whose person is in view from frame 21 on, and two pictures.
    """
    detector = load_detector()
    folder = tmp_path_factory.mktemp("made") / "footage"
    write_clip(folder / "clips" / "yard.avi", street * 2)
    capture = cv2.VideoCapture(str(folder / "clips" / "yard.avi"))
    rows = []
    for number in range(1, 7):
        frame = capture.read()[1]
        rows += boxes_of(detector.detect(frame), number, frame)
    label(folder / "clips" / "yard.csv", "frame", rows)
    empty = np.full_like(street[0], 90)
    write_clip(folder / "clips" / "door.avi", [empty] * 45 + [street[0]] * 15)
    events = [{"clip": "door.avi", "class": "person", "events": [{"start": 46, "end": 60}]}]
    (folder / "clips" / "events.json").write_text(json.dumps(events))
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images" / "a.png"), street[0])
    cv2.imwrite(str(folder / "images" / "nothing.png"), empty)
    label(folder / "images" / "labels.csv", "file", boxes_of(detector.detect(street[0]), "a.png", street[0]))
    return folder


def test_every_figure_is_printed_and_written(footage: Path, tmp_path: Path) -> None:
    result = run("evaluate", footage, "--json", tmp_path / "figures.json")

    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    sets = {(one["set_name"], one["kind"]): one["score"] for one in figures["sets"]}
    assert set(sets) == {("yard", "person"), ("yard", "vehicle"), ("images", "person"), ("images", "vehicle")}
    for score in sets.values():
        assert score["ap50"] == pytest.approx(1.0, abs=1e-3)
        assert score["recall_at_one"] == 1.0
    assert sets["yard", "person"]["frames"] == 2
    assert sets["images", "person"]["frames"] == 2
    assert [(event["seen"], event["false"]) for event in figures["events"]] == [(1.0, 0.0)]
    assert {bar["set_name"] for bar in figures["bars"]} == {"images"}
    for word in ("AP50", "recall at 1 false/frame", "yard", "median ms", "plain resize and normalise", "pass"):
        assert word in result.output


def test_the_latency_stands_beside_two_baselines_of_the_same_run(footage: Path, tmp_path: Path) -> None:
    run("evaluate", footage, "--json", tmp_path / "figures.json")

    timings = json.loads((tmp_path / "figures.json").read_text())["timings"]
    assert [timing["name"] for timing in timings] == [DEFAULT, ECONOMY, "plain resize and normalise"]
    assert timings[0]["ratio"] == 1.0
    assert timings[2]["ratio"] < 1.0


def test_int8_is_held_against_its_own_fp32_when_that_is_the_baseline(footage: Path, tmp_path: Path) -> None:
    shipped = load_detector(ECONOMY).entry
    names = ("toy-int8", "toy-fp32")
    picture = 'width = 320, height = 192, resize = "stretch", layout = "nhwc", dtype = "uint8", colour = "bgr"'
    entries = [entry_text(name, str(shipped.weights), shipped.sha256, picture=picture) for name in names]
    (tmp_path / "own.toml").write_text("".join(entries))

    arguments = ("--manifest", tmp_path / "own.toml", "--model", names[0], "--baseline", names[1])
    run("evaluate", footage, *arguments, "--json", tmp_path / "figures.json")

    bars = json.loads((tmp_path / "figures.json").read_text())["bars"]
    (speed,) = [bar for bar in bars if bar["measure"] == "time against its own fp32"]
    assert (speed["set_name"], speed["limit"]) == ("timing", 0.8)
    assert 0.2 < speed["value"] < 5


def test_figures_that_cannot_be_written_are_said(footage: Path, tmp_path: Path) -> None:
    result = run("evaluate", footage, "--json", tmp_path / "nowhere" / "figures.json")

    assert result.exit_code == 2
    assert "figures.json cannot be written: No such file or directory" in result.output


def test_a_missed_bar_is_said_and_is_the_exit_status(tmp_path: Path, footage: Path) -> None:
    """A network that never sees anything, held against the pictures' bars."""
    outputs = {"boxes": np.zeros((1, 4), np.float32), "scores": np.zeros((1, 2), np.float32)}
    sha256 = write_network(tmp_path / "blind.onnx", (1, 32, 64, 3), outputs)
    (tmp_path / "own.toml").write_text(entry_text("blind", "blind.onnx", sha256, classes="person = 0, car = 1"))

    result = run("evaluate", footage, "--manifest", tmp_path / "own.toml", "--model", "blind")

    assert result.exit_code == 1
    assert "MISSED" in result.output


def test_a_kind_that_the_detector_cannot_tell_is_not_scored(tmp_path: Path, footage: Path) -> None:
    outputs = {"boxes": np.zeros((1, 4), np.float32), "scores": np.zeros((1, 1), np.float32)}
    sha256 = write_network(tmp_path / "cars.onnx", (1, 32, 64, 3), outputs)
    (tmp_path / "own.toml").write_text(entry_text("cars", "cars.onnx", sha256, classes="car = 0"))

    arguments = ("--manifest", tmp_path / "own.toml", "--model", "cars", "--json", tmp_path / "figures.json")
    run("evaluate", footage, *arguments)

    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {one["kind"] for one in figures["sets"]} == {"vehicle"}
    assert figures["events"] == []


def test_faults_are_told_with_file_and_line_and_the_rest_goes_on(footage: Path) -> None:
    (footage / "images" / "broken.jpg").write_bytes(b"not a picture")
    with (footage / "images" / "labels.csv").open("a") as file:
        file.write("nothing.png,dog,1,2,3,4\nfar.png,person,1,2,3,4\n")
    lines = len((footage / "images" / "labels.csv").read_text().splitlines())
    label(footage / "clips" / "lost.csv", "frame", [[1, "person", 1, 2, 3, 4]])
    label(footage / "clips" / "noise.csv", "frame", [[1, "person", 1, 2, 3, 4]])
    (footage / "clips" / "noise.avi").write_bytes(b"not a clip")
    (footage / "clips" / "headless.csv").write_text("frame,class,x1,y1,x2\n")
    (footage / "clips" / "headless.avi").write_bytes(b"not a clip")

    result = run("evaluate", footage)

    assert result.exit_code == 0, result.output
    assert "broken.jpg: is not a picture that can be read; left out" in result.output
    assert f"labels.csv line {lines - 1}: class is 'dog' and must be one of person" in result.output
    assert "names far.png, which is not in" in result.output
    assert "lost.csv: there is no clip lost.* beside it; left out" in result.output
    assert "noise.avi: is not a clip that can be read; left out" in result.output
    assert "headless.csv line 1: has no column y2; left out" in result.output
    assert "6 faults in the folder" in result.output
    assert "yard" in result.output.split("precision")[1]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("0,person,1,2,3,4", "yard.csv line 2: frame is '0' and must be a whole number from 1"),
        ("01,person,a,2,3,4", "yard.csv line 2: x1 is 'a' and must be a number"),
        ("1,person,1,2,nan,4", "yard.csv line 2: x2 is 'nan' and must be a number"),
        ("1,person,3,2,1,4", "yard.csv line 2: the box 3,2,1,4 is empty or its corners are crossed"),
        ("1,person,1,2,3", "yard.csv line 2: y2 is None and must be a number"),
    ],
)
def test_a_bad_row_takes_its_frame_out(footage: Path, row: str, complaint: str) -> None:
    path = footage / "clips" / "yard.csv"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([first, row, *others]) + "\n")

    faults, counts = read_through(footage)

    assert [complaint in fault for fault in faults] == [True]
    assert counts == {"yard": 1 if int(row.split(",")[0]) == 1 else 2, "images": 2, "door.avi": 9}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[\n{]", "events.json line 2: is not JSON"),
        ("{}", "events.json: must hold a list of clips"),
        ('[{"clip": "door.avi"}]', "events.json: record 1 needs clip, class and events"),
        (
            '[{"clip": "far.avi", "class": "person", "events": [{"start": 1, "end": 2}]}]',
            "names far.avi, which is not in",
        ),
        (
            '[{"clip": "door.avi", "class": "person", "events": [{"start": 9, "end": 2}]}]',
            "record 1 needs clip, class and events",
        ),
    ],
)
def test_bad_events_are_told_and_the_rest_goes_on(footage: Path, text: str, complaint: str) -> None:
    (footage / "clips" / "events.json").write_text(text)

    faults, counts = read_through(footage)

    assert [complaint in fault for fault in faults] == [True]
    assert counts == {"yard": 2, "images": 2}


def test_a_clip_that_ends_early_is_told(footage: Path) -> None:
    with (footage / "clips" / "yard.csv").open("a") as file:
        file.write("99,person,1,2,3,4\n")

    faults, _ = read_through(footage)

    assert ["yard.avi: ends after frame 6, its labels go on to frame 99" in fault for fault in faults] == [True]


def test_a_folder_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    missing, empty = run("evaluate", tmp_path / "nowhere"), run("evaluate", tmp_path)

    assert (missing.exit_code, empty.exit_code) == (2, 2)
    assert "nowhere is not a folder; give one with clips/ or images/ in it" in missing.output
    assert "holds nothing to score" in empty.output


def test_unknown_models_and_broken_manifests_are_refused(footage: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[model.own]\n")

    unknown = run("evaluate", footage, "--model", "yolo")
    broken = run("list", "--manifest", tmp_path / "own.toml")

    assert (unknown.exit_code, broken.exit_code) == (2, 2)
    assert "there is no model yolo; known are" in unknown.output
    assert "own.toml: model: own: input: is missing" in broken.output


def test_the_list_shows_the_manifest_and_marks_the_default() -> None:
    result = run("list")

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[1].split()[:4] == [DEFAULT, "default", "contract", "416x256"]
    assert lines[2].split()[:4] == [ECONOMY, "economy", "contract", "320x192"]
    assert all(line.endswith("ok") for line in lines[1:3])


def test_the_list_says_when_weights_are_not_those_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"other")
    (tmp_path / "own.toml").write_text(entry_text("own", "own.onnx", "0" * 64))

    result = run("list", "--manifest", tmp_path / "own.toml")

    assert result.exit_code == 1
    assert "WRONG" in result.output
    assert "they are damaged or another version" in result.output


def test_each_help_has_an_example() -> None:
    for command in ("list", "evaluate", "build"):
        assert f"gatehouse models {command}" in run(command, "--help").output


def test_the_bars_are_those_of_the_study() -> None:
    limits = {(bar.prefix, bar.kind, bar.measure): bar.limit for bar in BARS}

    assert limits["pets09", Kind.PERSON, Measure.AP50] == 0.85
    assert limits["entrance", Kind.PERSON, Measure.FALSE] == 0.02
    assert len(limits) == len(BARS) == 11


def test_a_bar_holds_for_every_set_of_its_prefix() -> None:
    (held,) = verdicts("carpark-top-b", Kind.VEHICLE, {Measure.AP50: 0.81})

    assert not held.passed
    assert verdicts("carpark-top-b", Kind.PERSON, {Measure.AP50: 0.1}) == []
    assert [step_of(name) for name in ("carpark-top-b", "pets09-s2l1-b", "tud-campus")] == [1, 5, 3]


def test_at_most_and_at_least() -> None:
    at_most = Bar("entrance", Kind.PERSON, Measure.FALSE, 0.02)

    assert at_most.passes(0.02)
    assert not at_most.passes(0.021)
    assert SPEED_BAR.passes(0.65)
    assert not SPEED_BAR.passes(0.9)


def test_times_are_taken_in_turns_and_told_as_ratios() -> None:
    now = [0.0]
    order: list[str] = []

    def routine(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds

    routines = {"slow": lambda: routine("slow", 0.02), "fast": lambda: routine("fast", 0.005)}
    slow, fast = time_side_by_side(routines, 4, lambda: now[0])

    assert order == list(itertools.chain.from_iterable([["slow", "fast"]] * 7))
    assert (slow.median_ms, slow.ratio) == (pytest.approx(20), 1.0)
    assert (fast.best_ms, fast.ratio) == (pytest.approx(5), pytest.approx(0.25))
