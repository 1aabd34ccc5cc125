"""Clips for the benchmarks, encoded by Debian's ffmpeg before anything is measured."""

import subprocess
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from benchmarks.entrances import RATE, VTEST

Image = npt.NDArray[np.uint8]


def encode(path: Path, pictures: Iterable[Image], size: tuple[int, int], group: int = 20, quality: int = 27) -> int:
    """H.264 as small cameras send it: no reordered frames, a key frame every `group`; how many frames it has.

    Args:
        path: an .mp4.
        pictures: BGR [H,W,3], all of one size, `RATE` a second.
        size: width and height to scale them to.
        group: frames from one key frame to the next.
        quality: of x264, 0 (best) to 51.
    """
    pictures = iter(pictures)
    first = next(pictures)
    width, height = first.shape[1::-1]
    source = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", str(RATE), "-i", "-"]
    coder = ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(quality), "-bf", "0", "-pix_fmt", "yuv420p"]
    groups = ["-g", str(group), "-keyint_min", str(group), "-sc_threshold", "0"]
    command = ["ffmpeg", "-v", "error", "-y", *source, "-vf", f"scale={size[0]}:{size[1]}", *coder, *groups, str(path)]
    count = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin is not None
        for picture in chain([first], pictures):
            ffmpeg.stdin.write(picture.tobytes())
            count += 1
        ffmpeg.stdin.close()
    if ffmpeg.returncode:
        raise RuntimeError(f"ffmpeg ended with {ffmpeg.returncode}")
    return count


def busy(frames: int, start: int = 0) -> Iterator[Image]:
    """Debian's vtest.avi, in which 6 to 8 people walk without a pause, from frame `start` on, over and over."""
    with av.open(str(VTEST)) as container:
        whole = [frame.reformat(format="bgr24").to_ndarray() for frame in container.decode(container.streams.video[0])]
    for number in range(start, start + frames):
        yield whole[number % len(whole)]
