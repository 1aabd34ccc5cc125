"""`gatehouse edge holds`: keep what was filmed for a case, at the gateway itself, whether it runs or not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from uuid import uuid4

import typer

if TYPE_CHECKING:
    from edge.keeping.index import KeepingIndex

app = typer.Typer(name="holds", help="Keep evidence for a case: nothing that a hold covers is deleted.")

_Config = Annotated[Path, typer.Option("--config", "-c", help="The site file (TOML).")]
_Moment = Annotated[str, typer.Argument(help="A moment with its zone: 2026-10-01T11:30:00+08:00.")]


@app.command()
def add(
    config: _Config,
    since: _Moment,
    until: _Moment,
    camera: Annotated[str | None, typer.Option("--camera", help="One camera; every camera if left out.")] = None,
    why: Annotated[str, typer.Option("--why", help="The case, for whoever looks at the holds later.")] = "",
) -> None:
    """Begin a hold and print its name."""
    from edge.keeping.index import Hold

    first, last = _ms(since), _ms(until)
    if last <= first:
        _fail("the hold ends before it begins: give the earlier moment first")
    with _index(config, camera) as index:
        hold = Hold(str(uuid4()), camera, first, last, why[:200], round(datetime.now(UTC).timestamp() * 1000))
        index.hold(hold)
    print(hold.id)


@app.command("list")
def list_holds(config: _Config) -> None:
    """Show every hold: its name, camera, from when to when, and why."""
    with _index(config) as index:
        for hold in index.holds():
            since, until = (_text(each) for each in (hold.since_ms, hold.until_ms))
            print(f"{hold.id}  {hold.camera or 'every camera'}  {since}  {until}  {hold.why}")


@app.command()
def end(config: _Config, hold: Annotated[str, typer.Argument(help="The hold's name, as `list` shows it.")]) -> None:
    """End a hold: what it kept goes when its own time is over."""
    with _index(config) as index:
        ended = index.end_hold(hold)
    if not ended:
        _fail(f"there is no hold {hold}; see: gatehouse edge holds list --config {config}", 1)


@contextmanager
def _index(config: Path, camera: str | None = None) -> "Iterator[KeepingIndex]":
    import sqlite3

    from edge.config import load_config
    from edge.errors import ConfigurationError
    from edge.keeping.assembly import INDEX_FILE, video_folder
    from edge.keeping.errors import IndexFault
    from edge.keeping.index import KeepingIndex

    try:
        site = load_config(config, with_keys=False)
    except ConfigurationError as error:
        _fail(str(error))
    if camera is not None and camera not in {each.id for each in site.video.cameras}:
        _fail(f"{config} has no camera {camera}")
    file = site.gateway.state_dir / INDEX_FILE
    if not file.is_file():
        _fail(f"{file}: nothing was kept yet; start the gateway once", 1)
    try:
        index = KeepingIndex(file, video_folder(site))
    except (IndexFault, OSError) as error:
        _fail(str(error), 1)
    try:
        yield index
    except sqlite3.Error as error:
        _fail(f"{file}: {error}", 1)
    finally:
        index.close()


def _ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        _fail(f"{text}: write a moment with its zone, such as 2026-10-01T11:30:00+08:00")
    return round(moment.timestamp() * 1000)


def _text(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="seconds")


def _fail(message: str, status: int = 2) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(status)
