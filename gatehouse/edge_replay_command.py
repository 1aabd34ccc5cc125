"""`gatehouse edge replay`: a camera's whole pipeline on a file, and the events that come of it."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from gatehouse.edge_video_shell import CONFIG_HELP, camera_of, clock_text, fail, load_detector, progress_bar, tell
from gatehouse.edge_video_shell import read_site as read

if TYPE_CHECKING:
    from edge.video.config import CameraConfig
    from edge.video.replay import Happening

BEGINS = "2026-01-05T12:00"
"""A Monday noon."""

EXAMPLES = """Examples:

  gatehouse edge replay yesterday.mp4 --config site.toml --camera c-east

  gatehouse edge replay night.mp4 -c site.toml --camera c-east --at 2026-01-05T23:30 --json > events.jsonl

  gatehouse edge replay clip.mp4                 without a site file: one zone over the whole picture
"""


def replay(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A video file: MP4, AVI, MKV, or raw H.264 or H.265.")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help=CONFIG_HELP)] = None,
    camera: Annotated[
        str | None, typer.Option("--camera", metavar="ID", help="Whose zones, rules and thresholds apply.")
    ] = None,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="When the clip began, for schedules; in the site's time zone.")
    ] = BEGINS,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: at_s (seconds from the first frame), type, data.")
    ] = False,
) -> None:
    """Run a clip through everything a camera's picture goes through, and print the events with their times.

    Faster than real time, without a hub and without writing anything; the same clip gives the same events each time.
    No door tells anything in a clip, so that a tailgating rule tells of everybody who passes.
    With it a zone, a rule or a threshold is tried on what was really filmed before it wakes a guard. Exit status: 0,
    also where nothing happened; 1 if the clip cannot be read, 2 for a fault in the site file or in what was asked.
    """
    from edge.video.errors import StreamFault
    from edge.video.replay import Pipeline, length_s, looks
    from edge.video.rules.surroundings import Surroundings

    which, detector_name, zone = _chosen(clip, config, camera)
    pipeline = Pipeline(which, load_detector(detector_name), begins_s(at, zone), Surroundings(zone))
    events = frames = asked = 0
    at_s, began_s = 0.0, time.perf_counter()
    try:
        with progress_bar(length_s(clip), clip.name) as bar:
            for look in looks(clip, pipeline):
                at_s, frames, asked = look.at_s, frames + 1, asked + (look.found is not None)
                events += _print_all(look.happenings, as_json)
                bar.reach(at_s)
            events += _print_all(pipeline.end(), as_json)
    except StreamFault as fault:
        fail(f"{clip}: {fault.detail}", 1)
    took_s = time.perf_counter() - began_s
    tell(
        f"{events} event{'' if events == 1 else 's'}; {at_s:.1f} s of video in {took_s:.1f} s "
        f"({at_s / max(took_s, 1e-3):.1f} times real time); the detector saw {asked} of {frames} frames"
    )


def _chosen(clip: Path, config: Path | None, camera: str | None) -> tuple["CameraConfig", str, ZoneInfo]:
    """The camera, the detector's name and the time zone."""
    from edge.config import GatewaySection
    from edge.video.config import CameraConfig, DetectorConfig

    if config is not None and camera is not None:
        site = read(config)
        return camera_of(site, camera, config), site.video.detector.model, site.zone
    if config is not None or camera is not None:
        fail("--config and --camera go together: which camera of which site file?", 2)
    everywhere = {"id": "everywhere", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    url = clip.absolute().as_uri()
    which = CameraConfig.model_validate({"id": "clip", "place": "clip", "url": url, "zone": [everywhere]})
    return which, DetectorConfig().model, ZoneInfo(GatewaySection().time_zone)


def begins_s(at: str, zone: ZoneInfo) -> float:
    """The wall time of a clip's second 0; a time that is none ends the command."""
    try:
        begins = datetime.fromisoformat(at)
    except ValueError:
        fail(f'--at "{at}" is no time; write it as {BEGINS}', 2)
    return (begins if begins.tzinfo is not None else begins.replace(tzinfo=zone)).timestamp()


def _print_all(happenings: "tuple[Happening, ...]", as_json: bool) -> int:
    from edge.tuning.view import described

    for each in happenings:
        if as_json:
            data = each.data.model_dump(mode="json", exclude_none=True)
            print(json.dumps({"at_s": round(each.at_s, 3), "type": each.data.TYPE, "data": data}), flush=True)
        else:
            print(f"{clock_text(each.at_s):>8}  {described(each.data, 26)}", flush=True)
    return len(happenings)
