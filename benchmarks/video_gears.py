"""Figures of lazy decoding: what it saves, and whether it misses anybody.

    python -m benchmarks.video_gears gears [--seconds 40] [--json FILE]       processor time against all frames
    python -m benchmarks.video_gears onset [--entrances 10] [--seed 1] [--json FILE]   entrances found lazily

Both run the product's own watcher, detector and tracker on clips made from Debian's vtest.avi (`benchmarks.entrances`),
faster than real time, in one thread. "All frames" decodes every frame, looks for motion in and runs the detector on
five a second. Processor time, as ratios of one run. A detector does not find a distant walker in every frame: how much
of what is found hangs on that alone, a second run over all frames tells that looks a tenth of a second later.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.entrances import RATE, STAYS_S, VTEST, Footage, Image, film, plan, read_footage
from edge.clock import Moment
from edge.video.analysis import WEAK_SCORE, CameraAnalysis, Report
from edge.video.config import CameraConfig
from edge.video.decoder import Decoder
from edge.video.detection import FrameDetector
from edge.video.eye import Eye
from edge.video.gears import Gearbox, GearTiming
from edge.video.motion import MotionGate
from edge.video.tracker import TrackerConfig
from edge.video.watcher import WatchCounts, Watcher
from models import load_detector
from protocols.camera_events import PersonCrossedLine
from protocols.events import PersonEnteredZone, PersonLeftZone, VehicleEnteredZone
from tests.edge.video.parts import WHOLE
from tests.edge.video.watching import NEVER_SLEEPS, Encoding, arrivals, encode

Figures = dict[str, Any]
Told = tuple[str, float]
"""An event's kind, place and direction in words, and when it was."""

ENCODINGS = {
    "h264, key frame every 1 s": Encoding(group=10),
    "h264, every 2 s": Encoding(group=20),
    "h264, every 5 s": Encoding(group=50),
    "h264, every 10 s": Encoding(group=100),
    "h264, every 4 s, 400 kbit/s": Encoding(
        group=40, options=(("b", "400k"), ("maxrate", "400k"), ("bufsize", "200k"))
    ),
    "h265, every 5 s": Encoding(codec="libx265", group=50),
}

BUSY_LOOKS_PER_S = CameraConfig.model_fields["busy_analyses_per_s"].default


@dataclass
class Played:
    """What a pipeline made of a clip. `entered` are (when it was, when it was known), `told` all about people."""

    entered: list[tuple[float, float]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    cpu_s: float = 0.0
    received: int = 0
    decoded: int = 0
    detector_passes: int = 0
    wakes: dict[str, int] = field(default_factory=dict)
    gear_s: dict[str, float] = field(default_factory=dict)
    longest_catch_up_s: float = 0.0


class _LateEye(Eye):
    """Looks five times a second, from a moment on: always, or less often while the scene is busy, as by default."""

    def __init__(self, first_look_s: float, always: bool) -> None:
        super().__init__(MotionGate(), 5.0, 5.0 if always else BUSY_LOOKS_PER_S)
        self._first_look_s = first_look_s

    def is_due(self, at_s: float) -> bool:
        return at_s >= self._first_look_s and super().is_due(at_s)


def play(
    clip: Path,
    detector: FrameDetector,
    timing: GearTiming,
    detect_all: bool = False,
    first_look_s: float = 0.0,
    camera: CameraConfig | None = None,
) -> Played:
    """Run a clip through the product's parts, one after the other. Processor time is this thread's."""
    played, reports = Played(), list[Report]()
    camera = camera or CameraConfig.model_validate(
        {"id": "c-1", "place": "bench", "url": "file:///clip", "zone": [{"id": "z", "polygon": WHOLE}]}
    )
    analysis = CameraAnalysis(camera, reports.append, TrackerConfig())
    gears, counts = Gearbox(timing.quiet_after_s), WatchCounts()
    began_s = time.thread_time()
    with av.open(str(clip)) as container:
        decoder = Decoder(container.streams.video[0].codec_context)
        eye = _LateEye(first_look_s, always=timing is NEVER_SLEEPS)
        watcher = Watcher(decoder, eye, gears, timing, time.thread_time, counts)
        for arrived in arrivals(container):
            played.received += 1
            for sight in watcher.take(arrived, analysis.followed):
                if not (sight.wanted or detect_all):
                    continue
                played.detector_passes += 1
                image, at_s = sight.picture.image.to_ndarray(format="bgr24"), sight.picture.at_s
                analysis.see(detector.detect(image, WEAK_SCORE), image, Moment(at_s, at_s))
            played.entered += [
                (report.moment.monotonic_s, arrived.at_s)
                for report in reports
                if isinstance(report.data, PersonEnteredZone | VehicleEnteredZone)
            ]
            played.told += _told(reports)
            reports.clear()
    played.cpu_s = time.thread_time() - began_s
    played.decoded, played.longest_catch_up_s = decoder.decoded, counts.longest_catch_up_s
    played.wakes = {why.value: count for why, count in gears.wakes.items()}
    played.gear_s = {gear.value: round(seconds, 1) for gear, seconds in gears.gear_s.items()}
    return played


def _told(reports: list[Report]) -> Iterator[Told]:
    for report in reports:
        data, at_s = report.data, report.moment.monotonic_s
        if isinstance(data, PersonEnteredZone):
            yield f"entered {data.zone}", at_s
        elif isinstance(data, PersonLeftZone):
            yield f"left {data.zone}", at_s
        elif isinstance(data, PersonCrossedLine):
            yield f"crossed {data.line} {data.direction}", at_s


def _write(path: Path, pictures: Iterator[Image], frames: int, how: Encoding) -> Path:
    def picture(_number: int) -> Image:
        return next(pictures)

    return encode(path, picture, frames, how)


def gears(seconds: float) -> Figures:
    """A quiet and a busy camera of 768x576 at 10 frames a second, lazily and with all frames."""
    footage, detector, figures = read_footage(), load_detector(), Figures()
    frames = round(seconds * RATE)
    one = plan(footage, 1, 1, (seconds / 2, seconds / 2 + 1))
    with tempfile.TemporaryDirectory() as folder:
        scenes = {
            "quiet": film(footage, [], frames + 1),
            "one visit": film(footage, one, frames + 1),
            "busy": _busy(frames + 1),
        }
        for name, pictures in scenes.items():
            clip = _write(Path(folder) / f"{name}.mp4", pictures, frames, Encoding(group=20))
            full = play(clip, detector, NEVER_SLEEPS, detect_all=True)
            gated = play(clip, detector, NEVER_SLEEPS)
            lazy = play(clip, detector, GearTiming())
            figures[name] = {
                "all_frames_core": full.cpu_s / seconds,
                "gated_core": gated.cpu_s / seconds,
                "lazy_core": lazy.cpu_s / seconds,
                "ratio": full.cpu_s / lazy.cpu_s,
                "decoded_share": lazy.decoded / lazy.received,
                "entered": [len(full.entered), len(gated.entered), len(lazy.entered)],
                "detector_passes": [full.detector_passes, gated.detector_passes, lazy.detector_passes],
                "gear_s": lazy.gear_s,
            }
            print(
                f"{name}: all frames {full.cpu_s / seconds:.3f} cores, all decoded behind the motion gate "
                f"{gated.cpu_s / seconds:.3f}, lazily {lazy.cpu_s / seconds:.3f}: {full.cpu_s / lazy.cpu_s:.1f}x less; "
                f"{lazy.decoded / lazy.received:.0%} of the frames decoded, entered {figures[name]['entered']}"
            )
    return figures


def _busy(frames: int) -> Iterator[Image]:
    with av.open(str(VTEST)) as container:
        for frame, _ in zip(container.decode(container.streams.video[0]), range(frames), strict=False):
            yield frame.to_ndarray(format="bgr24")


def onset(entrances: int, seed: int) -> Figures:
    """Entrances into quiet scenes, `entrances` for each of the encodings: found by all frames, and found lazily."""
    footage, detector = read_footage(), load_detector()
    rows: Figures = {}
    for number, (name, how) in enumerate(ENCODINGS.items()):
        rows[name] = _onset(footage, detector, how, entrances, seed * 100 + number)
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in rows[name].items()))
    total = sum(row["by_all"] for row in rows.values())
    both = sum(row["by_both"] for row in rows.values())
    again = sum(row["by_all_again"] for row in rows.values())
    made = entrances * len(ENCODINGS)
    print(
        f"of {made} entrances, {total} found decoding all frames; {both} of them lazily ({both / max(1, total):.1%}), "
        f"{again} decoding all frames and looking a tenth of a second later ({again / max(1, total):.1%})"
    )
    return {"rows": rows, "made": made, "by_all": total, "by_both": both, "by_all_again": again}


def _onset(footage: Footage, detector: FrameDetector, how: Encoding, entrances: int, seed: int) -> Figures:
    planned = plan(footage, seed, entrances, (8.0, 12.0))
    frames = round((planned[-1].at_s + STAYS_S + 4.0) * RATE)
    with tempfile.TemporaryDirectory() as folder:
        clip = _write(Path(folder) / "clip.mp4", film(footage, planned, frames + 1, seed), frames, how)
        full, lazy = play(clip, detector, NEVER_SLEEPS), play(clip, detector, GearTiming())
        again = play(clip, detector, NEVER_SLEEPS, first_look_s=0.1)
    found = [[_first(played, entrance.at_s) for entrance in planned] for played in (full, lazy, again)]
    both = [(a, b) for a, b in zip(found[0], found[1], strict=True) if a is not None and b is not None]
    delays = [b[1] - a[1] for a, b in both] or [0.0]
    return {
        "by_all": sum(a is not None for a in found[0]),
        "by_both": len(both),
        "by_all_again": sum(a is not None and c is not None for a, c in zip(found[0], found[2], strict=True)),
        "by_lazy": sum(b is not None for b in found[1]),
        "later_s_median": round(float(np.median(delays)), 2),
        "later_s_p95": round(float(np.quantile(delays, 0.95)), 2),
        "same_moment": sum(abs(b[0] - a[0]) <= 0.21 for a, b in both),
        "decoded_share": round(lazy.decoded / lazy.received, 2),
        "wakes": lazy.wakes,
        "gear_s": lazy.gear_s,
        "longest_catch_up_s": round(lazy.longest_catch_up_s, 3),
        "cpu_ratio": round(full.cpu_s / lazy.cpu_s, 2),
    }


def _first(played: Played, at_s: float) -> tuple[float, float] | None:
    """The first entry told while the walker was there, or a second later."""
    return next((moment for moment in played.entered if at_s <= moment[0] <= at_s + STAYS_S + 1.0), None)


def main() -> None:
    """Run one of the benchmarks and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gears", "onset"])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--entrances", type=int, default=10, help="for each of the encodings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    runs: dict[str, Callable[[], Figures]] = {
        "gears": lambda: gears(given.seconds),
        "onset": lambda: onset(given.entrances, given.seed),
    }
    figures = runs[given.what]()
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
