"""`gatehouse edge tune`: watch what the gateway makes of a camera's picture, and draw its zones."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.edge_replay_command import BEGINS, begins_s
from gatehouse.edge_video_shell import (
    CameraOption,
    ConfigOption,
    camera_of,
    fail,
    load_detector,
    progress_bar,
    read_site,
    tell,
)

if TYPE_CHECKING:
    from edge.tuning.session import TuneSession
    from edge.video.address import Address
    from edge.video.config import CameraConfig
    from edge.video.detection import FrameDetector
    from edge.video.rules.surroundings import Surroundings

EXAMPLES = """Examples:

  gatehouse edge tune --camera c-east --config site.toml

  gatehouse edge tune --camera c-east --config site.toml --clip rain.mp4 --video rain-seen.avi

From another machine:  ssh -L 8765:127.0.0.1:8765 GATEWAY  and  gatehouse edge tune ... --port 8765
"""


def tune(
    camera: CameraOption,
    config: ConfigOption,
    clip: Annotated[
        Path | None,
        typer.Option("--clip", metavar="FILE", help="Watch this file, over and over, instead of the camera."),
    ] = None,
    video: Annotated[
        Path | None, typer.Option("--video", metavar="FILE", help="Write an annotated video (.avi or .mp4) instead.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="With --video, how much of a camera is taken; a clip: all of it.")
    ] = 30.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port on this machine; 0: a free one.")] = 0,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="When the clip began, for schedules; in the site's time zone.")
    ] = BEGINS,
) -> None:
    """Show movement, boxes, tracks and zones live, with what each stage costs, and draw new zones with the mouse.

    Serves a page on this machine alone, under an address that nobody can guess; it ends on Ctrl-C, and when nobody has
    watched for 5 minutes. It reads the camera beside a running gateway and changes nothing: paste the lines that it
    shows into the site file. Exit status: 0; 1 if the clip or camera cannot be read, 2 for a fault in the site file.
    """
    from edge.tuning.session import TuneSession
    from edge.video.errors import VideoError
    from edge.video.replay import address_of
    from edge.video.rules.surroundings import Surroundings

    site = read_site(config)
    which = camera_of(site, camera, config)
    begins, surroundings = begins_s(at, site.zone), Surroundings(site.zone)
    try:
        source = address_of(clip) if clip is not None else which.stream()
    except VideoError as error:
        fail(str(error), 2)
    if clip is not None and not clip.is_file():
        fail(f"{clip}: there is no such file", 1)
    detector = load_detector(site.video.detector.model)
    if video is not None:
        _write(which, detector, source, begins, surroundings, video, seconds)
    else:
        _serve(TuneSession(which, detector, source, begins, surroundings), port)


def _write(
    camera: "CameraConfig",
    detector: "FrameDetector",
    source: "Address",
    begins: float,
    surroundings: "Surroundings",
    video: Path,
    seconds: float,
) -> None:
    from edge.tuning.video import FORMATS, write_video
    from edge.tuning.view import View
    from edge.video.errors import VideoError
    from edge.video.replay import Pipeline, length_s

    if video.suffix.lower() not in FORMATS:
        fail(f"{video}: the name must end in {' or '.join(FORMATS)}", 2)
    is_clip = source.scheme == "file"
    most_s = float("inf") if is_clip else seconds
    total_s = length_s(Path(source.location)) if is_clip else seconds
    pipeline, view = Pipeline(camera, detector, begins, surroundings), View(camera)
    try:
        with progress_bar(total_s, video.name) as bar:
            count = write_video(source, pipeline, view, video, camera.analyses_per_s, most_s, bar.reach)
    except VideoError as error:
        fail(str(error), 1)
    costs = view.costs
    tell(
        f"{video}: {count} pictures; motion {costs.motion_ms:.2f} ms, detector {costs.detect_ms:.1f} ms "
        f"({costs.detected} times), tracks and zones {costs.follow_ms:.2f} ms"
    )


def _serve(session: "TuneSession", port: int) -> None:
    from edge.tuning.server import TuneServer

    try:
        server = TuneServer(session, port)
    except OSError as error:
        fail(f"port {port}: {error.strerror}; give another with --port", 1)
    session.start()
    server.start()
    print(f"open {server.url}", flush=True)
    tell("Ctrl-C ends it; so does nobody watching for 5 minutes")
    try:
        server.wait()
        tell("nobody has watched for 5 minutes")
    except KeyboardInterrupt:
        tell("")
    finally:
        session.stop()
        server.stop()
