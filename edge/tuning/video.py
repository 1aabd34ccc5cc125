"""An annotated video of what the gateway makes of a clip or a camera: Motion JPEG in AVI, or MPEG-4 part 2 in MP4."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2

from edge.tuning.view import View
from edge.video.address import Address
from edge.video.errors import VideoError
from edge.video.footage import Footage
from edge.video.replay import ClipTimes, Pipeline
from edge.video.snapshot import Image

FORMATS = {".avi": "MJPG", ".mp4": "mp4v"}


def write_video(
    source: Address,
    pipeline: Pipeline,
    view: View,
    target: Path,
    frames_per_s: float,
    most_s: float,
    progress: Callable[[float], None] = lambda _: None,
) -> int:
    """Run the source through the pipeline and write what is shown of it; the number of frames written.

    Args:
        source: the camera or clip.
        frames_per_s: of the video: as often as the pipeline looks.
        most_s: how much of the source is taken.

    Raises:
        VideoError: if the source cannot be read (StreamFault) or the video cannot be written.
    """
    times, written = ClipTimes(), 0
    writer: cv2.VideoWriter | None = None
    last: Image | None = None
    try:
        with Footage(source) as footage:
            began_s = time.perf_counter()
            for image, stamp_s in footage.frames():
                at_s = times.place(stamp_s)
                if at_s > most_s:
                    break
                decode_ms = (time.perf_counter() - began_s) * 1000
                shown = view.take(pipeline.look(image, at_s), decode_ms)
                if shown is not None:
                    writer = writer if writer is not None else _writer(target, frames_per_s, shown)
                    while last is not None and written < round(at_s * frames_per_s):
                        writer.write(last)  # a busy scene is looked at less often: the video keeps its pace
                        written += 1
                    writer.write(shown)
                    written, last = written + 1, shown
                progress(at_s)
                began_s = time.perf_counter()
            view.tell(pipeline.end())
    finally:
        if writer is not None:
            writer.release()
    return written


def _writer(target: Path, frames_per_s: float, first: Image) -> cv2.VideoWriter:
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise VideoError(f"{target}: the name must end in {' or '.join(FORMATS)}")
    height, width = first.shape[:2]
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*kind), frames_per_s, (width, height))
    if not writer.isOpened():
        raise VideoError(f"{target} cannot be written; is there such a folder, and may you write there?")
    return writer
