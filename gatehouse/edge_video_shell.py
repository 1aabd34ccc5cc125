"""What the gateway's camera commands share: the site file's camera, the detector, progress, faults in a sentence."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from edge.config import SiteConfig
    from edge.video.config import CameraConfig
    from edge.video.detection import FrameDetector

CONFIG_HELP = "The site file (TOML) that names the camera."
CameraOption = Annotated[str, typer.Option("--camera", metavar="ID", help="The camera's id in the site file.")]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help=CONFIG_HELP)]


def read_site(config: Path) -> "SiteConfig":
    """The site file; a faulty one ends the command with its faults."""
    from edge.config import load_config
    from edge.errors import ConfigurationError

    try:
        return load_config(config, with_keys=False)
    except ConfigurationError as error:
        fail(str(error), 2)


def camera_of(site: "SiteConfig", camera: str, config: Path) -> "CameraConfig":
    """The camera of that id; an unknown one ends the command with those that are."""
    found = next((each for each in site.video.cameras if each.id == camera), None)
    if found is None:
        known = ", ".join(each.id for each in site.video.cameras) or "none"
        fail(f'{config}: there is no camera "{camera}" (there are: {known})', 2)
    return found


def load_detector(name: str) -> "FrameDetector":
    """The detector of that name; one that cannot be loaded ends the command."""
    import cv2

    from models import ModelError
    from models import load_detector as load

    cv2.setNumThreads(1)  # as in the gateway
    try:
        return load(name)
    except ModelError as error:
        fail(str(error), 2)


@contextmanager
def progress_bar(total_s: float | None, what: str) -> Iterator["_Bar"]:
    """A bar on stderr that counts seconds of video; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f} s"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bar(progress, progress.add_task(what, total=total_s))


class _Bar:
    def __init__(self, progress: "Progress", task: int) -> None:
        self._progress, self._task = progress, task

    def reach(self, at_s: float) -> None:
        """So far it has come."""
        from rich.progress import TaskID

        self._progress.update(TaskID(self._task), completed=at_s)


def clock_text(at_s: float) -> str:
    """Seconds as m:ss.t, for a place in a clip."""
    tenths = round(at_s * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def tell(sentence: str) -> None:
    """A sentence on stderr, so that what a program reads stays alone on stdout."""
    print(sentence, file=sys.stderr, flush=True)


def fail(sentence: str, status: int) -> NoReturn:
    """End the command: 2 for what the user wrote, 1 for what a device or file did."""
    tell(sentence)
    raise typer.Exit(status)
