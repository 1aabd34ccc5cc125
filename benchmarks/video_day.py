"""Whether a gateway's video grows in memory: a camera's day, simulated by looping a clip of a quarter of an hour.

    python -m benchmarks.video_day [--hours 24] [--minutes 60] [--json FILE] [--trace]

What runs are the gateway's own parts (`benchmarks.stepped`), with the ring, clips of events and continuous recording on
a real disk (`edge.keeping`), rules of every kind and snapshots, at simulated time: as fast as one core can. Nothing is
sent to a hub; events are counted and dropped, the outbox is not in it (`python -m benchmarks.week` measures that).

The clip is made beforehand from Debian's vtest.avi: its empty place with a sensor's noise, four people who come one at
a time, and a minute in which 6 to 8 people walk about; 768x576 at 10 frames a second, H.264, a key frame every 2 s. It
is read anew each quarter of an hour, as by a camera that goes away for a second.

At each pass's end the process's resident memory is noted, with what lies on disk. Quotas are small, so that clips,
recordings and snapshots expire all the time after the first hours. The slope is over all samples after the
warm-up of 6 simulated hours.
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import cv2
import psutil

from benchmarks.arithmetic import slopes
from benchmarks.entrances import RATE, film, plan, read_footage
from benchmarks.footage import busy, encode
from benchmarks.stepped import SteppedCamera, SteppedClock, Ways, bench_camera
from edge.counters import Counters
from edge.door_news import DoorNews
from edge.hub_http import HubHttp
from edge.keeping.clips import Seen
from edge.keeping.config import KeepingSection
from edge.keeping.service import Keeping, KeptCamera, cameras_by_device
from edge.observations import Observation
from edge.pictures import Pictures
from edge.video.analysis import CameraAnalysis
from edge.video.rules.surroundings import Surroundings
from models import load_detector
from protocols.ids import UuidV7Maker

QUARTER_S = 900.0
BUSY_S = 60.0
WARM_UP_H = 6.0
"""Until what is kept longest (`alarm_days`: 4.8 h) has been kept, and expired."""
MIB = 2**20
SECTION = {"clips_mib": 48, "recordings_mib": 96, "ring_mib": 24, "clip_days": 0.1, "alarm_days": 0.2, "free_mib": 64,
           "open_alarm_h": 1.0}  # fmt: skip
LINE = {"id": "l-1", "points": [[0.5, 0.9], [0.5, 0.1]], "to_left": "out", "to_right": "in"}
RULES: list[dict[str, Any]] = [
    {"id": "r-forbidden", "kind": "forbidden", "zone": "z-all"},
    {"id": "r-loitering", "kind": "loitering", "min_s": 20},
    {"id": "r-count", "kind": "line_crossing", "line": "l-1"},
    {"id": "r-crowd", "kind": "crowd", "persons": 5},
    {"id": "r-door", "kind": "tailgating", "door": "d-1", "line": "l-1", "direction": "in"},
    {"id": "r-standing", "kind": "standing"},
    {"id": "r-two", "kind": "two_wheeler"},
    {"id": "r-left", "kind": "object_left"},
    {"id": "r-taken", "kind": "object_taken"},
    {"id": "r-health", "kind": "camera_health"},
]


class SteppedKeeping(Keeping):
    """Keeping whose writer takes its turns in the caller's thread."""

    def start(self) -> None:
        """Open the index; no thread."""
        self._open()

    def turn(self) -> None:
        """The writer's turn."""
        self._turn()


@dataclass(frozen=True)
class Sample:
    """How things stood at the end of a simulated quarter of an hour."""

    hour: float
    rss_mib: float
    disk_mib: float
    events: int
    tracks: int
    clips_kept: int
    clips_deleted: int
    spent_s: float


def make_clip(path: Path) -> Path:
    """The quarter of an hour, written once."""
    footage = read_footage()
    frames, middle = round(QUARTER_S * RATE), round(QUARTER_S * RATE / 2)
    entrances = plan(footage, 3, 4, (150.0, 200.0))

    def pictures() -> Any:
        crowd = busy(round(BUSY_S * RATE))
        for number, picture in enumerate(film(footage, entrances, frames)):
            yield next(crowd, picture) if number >= middle else picture

    encode(path, pictures(), footage.place.shape[1::-1])
    return path


class Day:
    """The run and its samples."""

    def __init__(self, clip: Path, folder: Path, hours: float, most_s: float, tell: Path | None) -> None:
        self.samples: list[Sample] = []
        self.events: Counter[str] = Counter()
        self._folder, self._most_s, self._tell = folder, most_s, tell
        self._clock, self.counters = SteppedClock(), Counters()
        self._process, self._began_s = psutil.Process(), time.monotonic()
        self._keeping = SteppedKeeping(
            KeepingSection.model_validate(SECTION),
            kept := [KeptCamera("c-1", "bench", "continuous")],
            cameras_by_device(kept, {"d-1": "bench"}),
            folder / "video.db",
            folder / "video",
            self._record,
            UuidV7Maker(self._clock.wall_s, os.urandom),
            Seen("gw", "bench"),
            self._clock,
            self.counters,
        )
        pictures = Pictures(folder / "pictures", 4 * MIB, cast(HubHttp, None), lambda: 0.5, self.counters)
        news = DoorNews(self._keeping.tap)
        self._keeping.start()
        sink = self._keeping.sink("c-1")
        assert sink is not None
        self._camera = SteppedCamera(
            bench_camera(clip, line=[LINE], rule=RULES), load_detector(), news, pictures, self._clock,
            passes=round(hours * 3600 / QUARTER_S),
            ways=Ways(
                partial(CameraAnalysis, surroundings=Surroundings(doors=news)), sinks=[sink], also=self._look
            ),
        )  # fmt: skip
        self._camera.analysis.sighted = self._keeping.sighted()["c-1"]
        self._turn_s = self._sample_s = self._clock.at_s
        self._start_s = self._clock.at_s

    def run(self) -> None:
        """Play it."""
        self._camera.play()
        self._keeping.stop()

    def _record(self, observation: Observation) -> None:
        self.events[observation.data.TYPE] += 1

    def _look(self) -> None:
        """Keeping's turn five times a second, and a sample each quarter of an hour."""
        if self._clock.at_s - self._turn_s >= 0.2:
            self._turn_s = self._clock.at_s
            self._keeping.turn()
        if self._clock.at_s - self._sample_s >= QUARTER_S:
            self._sample_s += QUARTER_S
            self._sample()
            if time.monotonic() - self._began_s > self._most_s:
                self._camera.stop()

    def _sample(self) -> None:
        files = [path.stat().st_size for path in self._folder.rglob("*") if path.is_file()]
        counted = self.counters.snapshot()
        sample = Sample(
            hour=(self._clock.at_s - self._start_s) / 3600,
            rss_mib=self._process.memory_info().rss / MIB,
            disk_mib=sum(files) / MIB,
            events=self.events.total(),
            tracks=self._camera.analysis.tracks_confirmed,
            clips_kept=self.events["clip.kept.v1"],
            clips_deleted=sum(n for name, n in counted.items() if name.startswith(("kept_ordinary", "kept_alarm"))),
            spent_s=time.monotonic() - self._began_s,
        )
        self.samples.append(sample)
        print(
            f"{sample.hour:5.2f} h simulated in {sample.spent_s / 60:5.1f} min: {sample.rss_mib:7.2f} MiB, on disk "
            f"{sample.disk_mib:5.1f} MiB, {sample.events} events, {sample.tracks} tracks, {sample.clips_kept} clips "
            f"kept, {sample.clips_deleted} expired",
            file=sys.stderr,
            flush=True,
        )
        if self._tell is not None:
            self._tell.write_text(json.dumps(self.figures(), indent=1) + "\n")

    def figures(self) -> dict[str, Any]:
        """What came out so far."""
        kept = [sample for sample in self.samples if sample.hour > WARM_UP_H]
        figures: dict[str, Any] = {"samples": [asdict(sample) for sample in self.samples], "events": dict(self.events)}
        if len(kept) > 1:
            rate = slopes([sample.hour / 24 for sample in kept], [sample.rss_mib for sample in kept])
            figures |= {
                "hours": self.samples[-1].hour,
                "mib_per_day_least_squares": rate.least_squares,
                "mib_per_day_theil_sen": rate.theil_sen,
                "first_mib": kept[0].rss_mib,
                "last_mib": kept[-1].rss_mib,
                "most_mib": max(sample.rss_mib for sample in kept),
                "disk_most_mib": max(sample.disk_mib for sample in kept),
                "counters": self.counters.snapshot(),
            }
        return figures


def main() -> int:
    """Make the clip, play the day and print the slope."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated")
    parser.add_argument("--minutes", type=float, default=60.0, help="end after so many real ones, however far it got")
    parser.add_argument("--clip", type=Path, help="keep the clip there, or use the one that is there")
    parser.add_argument("--json", type=Path, help="write all samples there, as they come")
    parser.add_argument("--trace", action="store_true", help="say at the end where memory grew (slower, larger)")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)  # in a process of its own: its memory is not ours
    given = parser.parse_args()
    cv2.setNumThreads(1)
    logging.disable(logging.WARNING)  # each pass's end is a camera that goes away
    if given.make is not None:
        make_clip(given.make)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="video-day-"))
    try:
        clip = given.clip if given.clip is not None else folder / "quarter.mp4"
        if not clip.exists():
            print("making the clip", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, "-m", "benchmarks.video_day", "--make", str(clip)], check=True)
        (folder / "state").mkdir()
        day = Day(clip, folder / "state", given.hours, 60 * given.minutes, given.json)
        if given.trace:
            tracemalloc.start(8)
        day.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = day.figures()
    if "hours" not in figures:
        print(f"too short for a slope: it needs more than {WARM_UP_H + 0.5:g} simulated hours", file=sys.stderr)
        return 1
    print(
        f"{figures['hours']:.2f} simulated hours; after {WARM_UP_H:g} of them {figures['first_mib']:.1f} MiB, at the "
        f"end {figures['last_mib']:.1f} MiB (most {figures['most_mib']:.1f}): "
        f"{figures['mib_per_day_least_squares']:+.2f} MiB a day by least squares, "
        f"{figures['mib_per_day_theil_sen']:+.2f} by Theil-Sen; at most "
        f"{figures['disk_most_mib']:.0f} MiB on disk"
    )
    if given.trace:
        for line in tracemalloc.take_snapshot().statistics("lineno")[:20]:
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
