"""Figures of the gateway's video: its cost and memory, the visits it reports, and how well it keeps identities apart.

    python -m benchmarks.video load [--seconds 60] [--json FILE]      two cameras over RTSP against decoding alone
    python -m benchmarks.video tracker [--json FILE]                  our tracker against ByteTrack of `trackers`
    python -m benchmarks.video motion [--json FILE]                   drawn nuisances against a plain running average
    python -m benchmarks.video identities CLIP LABELS [--json FILE]   the same, on a labelled clip and our detections
    python -m benchmarks.video visits CLIP [--events events.json]     visits reported by the whole product

Processor time, not wall time: other work on the machine disturbs it less. Ratios are of one run.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil

from edge.clock import SystemClock
from edge.video.analysis import WEAK_SCORE
from edge.video.config import VideoConfig
from edge.video.motion import MotionGate
from edge.video.service import VideoService
from edge.video.tracker import Tracker, TrackerConfig
from models import Kind, load_detector
from protocols.events import PersonEnteredZone, PersonLeftZone
from tests.edge.video import scenes
from tests.edge.video.parts import WHOLE, PictureFolder, Recording
from tests.edge.video.walks import HEIGHT, WIDTH, Labelled, idf1, walks
from tests.support.rtsp import demo_server

Figures = dict[str, Any]
ROUNDS = 3
CLIPS = ("gate-east.mp4", "lane-north.mp4")


def _config(*urls: str) -> VideoConfig:
    zone = {"id": "z-all", "polygon": WHOLE}
    return VideoConfig.model_validate(
        {"camera": [{"id": f"c-{i}", "place": "bench", "url": url, "zone": [zone]} for i, url in enumerate(urls)]}
    )


def _decode_only(url: str, stop: threading.Event) -> None:
    with av.open(url, options={"rtsp_transport": "tcp", "fpsprobesize": "0"}, timeout=(5, 3)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for packet in container.demux(stream):
            packet.decode()
            if stop.is_set():
                return


def _measure(seconds: float) -> tuple[float, float]:
    """Processor seconds per second and peak resident MiB of this process from now on, after 3 s to settle."""
    process, peak = psutil.Process(), 0
    time.sleep(3.0)
    began, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds:
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.25)
    return (time.process_time() - cpu) / (time.monotonic() - began), peak / 2**20


def child_decode(urls: list[str], seconds: float) -> Figures:
    """The baseline, in a process of its own: the streams read and decoded, nothing else."""
    stop = threading.Event()
    threads = [threading.Thread(target=_decode_only, args=(url, stop)) for url in urls]
    for thread in threads:
        thread.start()
    cpu, peak = _measure(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return {"cpu_s_per_s": cpu, "peak_rss_mib": peak}


def child_product(urls: list[str], seconds: float) -> Figures:
    """The product's video service, in a process of its own."""
    cv2.setNumThreads(1)
    recording = Recording()
    with tempfile.TemporaryDirectory() as folder:
        service = VideoService(_config(*urls), recording, PictureFolder(Path(folder)), SystemClock())
        service.start()
        cpu, peak = _measure(seconds)
        status = service.status()
        service.stop()
    peak = max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    names = ("frames_decoded", "frames_analysed", "frames_replaced", "detections", "tracks_confirmed")
    counts = {name: sum(getattr(camera, name) for camera in status.cameras) for name in names}
    return {"cpu_s_per_s": cpu, "peak_rss_mib": peak, "events": len(recording.observations), **counts}


def load(seconds: float) -> Figures:
    """Two cameras of 768x576 at 10 frames a second over RTSP; baseline and product at once, on the same streams."""
    with demo_server() as server:
        urls = [server.url(clip) for clip in CLIPS]
        children = {}
        for name in ("decode", "product"):
            command = [sys.executable, "-m", "benchmarks.video", f"child-{name}", *urls, "--seconds", str(seconds)]
            children[name] = subprocess.Popen(command, stdout=subprocess.PIPE)
        figures = {name: json.loads(child.communicate()[0]) for name, child in children.items()}
    decode, product = figures["decode"], figures["product"]
    print(f"two cameras, 768x576, 10 frames a second, {seconds:g} s")
    print(f"  decoding alone  {decode['cpu_s_per_s']:.3f} cores  {decode['peak_rss_mib']:.0f} MiB")
    print(f"  whole product   {product['cpu_s_per_s']:.3f} cores  {product['peak_rss_mib']:.0f} MiB")
    print(f"  ratio           {product['cpu_s_per_s'] / decode['cpu_s_per_s']:.1f}x decoding alone")
    print("  " + ", ".join(f"{key} {value}" for key, value in product.items() if isinstance(value, int)))
    return figures


Given = tuple[float, np.ndarray, np.ndarray]  # when, boxes in pixels [N,4], scores [N]


def _ours(frames: list[Given], size: tuple[int, int]) -> tuple[list[Labelled], float]:
    tracker, found, cost = Tracker(size[0] / size[1]), [], 0.0
    whole = np.array([*size, *size])
    for at_s, boxes, scores in frames:
        placed, kinds, sound = boxes / whole, np.zeros(len(scores), np.intp), scores >= 0.4
        began = time.thread_time()
        seen = tracker.update(placed, scores, kinds, sound, at_s)
        cost += time.thread_time() - began
        found.append((boxes[list(seen.rows)].reshape(-1, 4), np.array(seen.ids, np.intp)))
    return found, 1e3 * cost / len(frames)


def _bytetrack(frames: list[Given], rate: float) -> tuple[list[Labelled], float]:
    import supervision  # here alone: its memory is not the product's, which `load` measures
    from trackers import ByteTrackTracker

    config = TrackerConfig()
    tracker = ByteTrackTracker(
        frame_rate=rate,
        lost_track_buffer=round(30 * config.lost_after_s),
        minimum_consecutive_frames=config.confirm_hits,
        track_activation_threshold=0.4,
        high_conf_det_threshold=0.4,
    )
    found, cost = [], 0.0
    for _, boxes, scores in frames:
        given = supervision.Detections(
            xyxy=boxes.astype(np.float32), confidence=scores.astype(np.float32), class_id=np.zeros(len(scores), int)
        )
        began = time.thread_time()
        seen = tracker.update(given)
        cost += time.thread_time() - began
        ids = seen.tracker_id if seen.tracker_id is not None else np.zeros(0, int)
        found.append((seen.xyxy[ids >= 0].astype(float), ids[ids >= 0].astype(np.intp)))
    return found, 1e3 * cost / len(frames)


def _compare(frames: list[Given], truth: list[Labelled], rate: float, size: tuple[int, int]) -> Figures:
    """Both in turns, several times; the least time of each, as other work on the machine only ever adds to it."""
    our_ms = their_ms = float("inf")
    for _ in range(ROUNDS):
        ours, ms = _ours(frames, size)
        our_ms = min(our_ms, ms)
        theirs, ms = _bytetrack(frames, rate)
        their_ms = min(their_ms, ms)
    return {
        "idf1": idf1(truth, ours),
        "bytetrack_idf1": idf1(truth, theirs),
        "ms": our_ms,
        "bytetrack_ms": their_ms,
        "identities": len({int(i) for _, ids in truth for i in ids}),
        "tracks": len({int(i) for _, ids in ours for i in ids}),
        "bytetrack_tracks": len({int(i) for _, ids in theirs for i in ids}),
    }


def _print_comparison(name: str, row: Figures) -> None:
    print(
        f"{name}: IDF1 {row['idf1']:.3f} (ByteTrack {row['bytetrack_idf1']:.3f}), tracks {row['tracks']} "
        f"({row['bytetrack_tracks']}) for {row['identities']} identities, "
        f"time {row['ms'] / row['bytetrack_ms']:.2f} of ByteTrack's"
    )


def tracker() -> Figures:
    """Synthetic walks with known identities, 5 frames a second."""
    figures = {}
    for walkers in (2.6, 6.7, 16.7):
        rows = []
        for seed in range(5):
            frames = walks(seed, walkers)
            given = [(frame.at_s, frame.boxes, frame.scores) for frame in frames]
            truth = [(frame.truth, frame.identities) for frame in frames]
            rows.append(_compare(given, truth, 5.0, (WIDTH, HEIGHT)))
        mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        figures[str(walkers)] = mean
        _print_comparison(f"{walkers} walkers", mean)
    return figures


class _PlainAverage:
    """The baseline: a running average of luma, one threshold, the largest blob."""

    def __init__(self) -> None:
        self._average: np.ndarray | None = None

    def see(self, luma: np.ndarray) -> bool:
        small = cv2.GaussianBlur(cv2.resize(luma, (133, 100), interpolation=cv2.INTER_NEAREST), (5, 5), 0)
        small = small.astype(np.float32)
        if self._average is None:
            self._average = small
        changed = cv2.threshold(cv2.absdiff(small, self._average), 25, 255, cv2.THRESH_BINARY)[1].astype(np.uint8)
        cv2.accumulateWeighted(small, self._average, 0.05)
        _, _, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(changed, np.ones((3, 3), np.uint8)))
        return len(stats) > 1 and int(stats[1:, cv2.CC_STAT_AREA].max()) > 0.0012 * changed.size


def motion() -> Figures:
    """How often drawn nuisances wake the detector in a minute, and what a look costs, at 5 looks a second."""
    cv2.setNumThreads(1)
    figures: Figures = {}
    for scene in (scenes.day, scenes.night, scenes.rain, scenes.headlights, scenes.tree, scenes.infrared):
        gate, plain, awake, spent = MotionGate(), _PlainAverage(), [0, 0], [0.0, 0.0]
        for at_s in np.arange(0.0, 60.0, 0.2):
            luma = cv2.resize(scenes.seen(scene, at_s), (768, 576))
            began = time.thread_time()
            awake[0] += gate.see(luma, at_s).moves
            between = time.thread_time()
            awake[1] += plain.see(luma)
            spent[0] += between - began
            spent[1] += time.thread_time() - between
        row = {"awake": awake[0] / 300, "plain_awake": awake[1] / 300, "ms": spent[0] / 0.3, "plain_ms": spent[1] / 0.3}
        figures[scene.__name__] = row
        print(
            f"{scene.__name__:11s} wakes in {row['awake']:.3f} of the frames (plain average {row['plain_awake']:.3f}), "
            f"{row['ms']:.2f} ms a look ({row['plain_ms']:.2f})"
        )
    return figures


def identities(clip: Path, labels: Path) -> Figures:
    """People of a labelled clip, on our detector's boxes at 5 frames a second."""
    truth_of: dict[int, list[tuple[int, list[float]]]] = defaultdict(list)
    with labels.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["class"] == "person":
                truth_of[int(row["frame"])].append(
                    (int(row["track"]), [float(row[k]) for k in ("x1", "y1", "x2", "y2")])
                )
    detector = load_detector()
    given: list[Given] = []
    truth: list[Labelled] = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        size, rate = (stream.width, stream.height), float(stream.average_rate or 10)
        step = max(1, round(rate / 5))
        for number, frame in enumerate(container.decode(stream), start=1):
            if (number - 1) % step or number not in truth_of:
                continue
            people = detector.detect(frame.to_ndarray(format="bgr24"), WEAK_SCORE).of_kind(Kind.PERSON)
            given.append((number / rate, people.pixels(*size).astype(float), people.scores.astype(float)))
            boxes = np.array([box for _, box in truth_of[number]]).reshape(-1, 4)
            truth.append((boxes, np.array([track for track, _ in truth_of[number]], np.intp)))
    figures = _compare(given, truth, rate / step, size)
    _print_comparison(clip.name, figures)
    return figures


def visits(clip: Path, events: Path | None) -> Figures:
    """The whole product with default settings on a clip played at its own pace, one zone over the whole picture."""
    recording = Recording()
    with av.open(str(clip)) as container:
        seconds = (container.duration or 0) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        service = VideoService(_config(clip.resolve().as_uri()), recording, PictureFolder(Path(folder)), SystemClock())
        service.start()
        time.sleep(seconds + 0.3)
        service.stop()
    came, went = recording.of(PersonEnteredZone), recording.of(PersonLeftZone)
    figures: Figures = {"entered": len(came), "left": len(went), "dwell_s": [left.dwell_s for left in went]}
    if events is not None:
        for entry in json.loads(events.read_text()):
            if entry["clip"] == clip.name:
                figures["expected"] = len(entry["events"])
    print(f"{clip.name}: {figures['entered']} visits reported, {figures.get('expected', '?')} in the labels")
    return figures


WHAT = ["load", "tracker", "motion", "identities", "visits", "child-decode", "child-product"]


def main() -> None:
    """Run one of the benchmarks and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("inputs", nargs="*")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--events", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.what.startswith("child-"):
        child = child_decode if given.what == "child-decode" else child_product
        print(json.dumps(child(given.inputs, given.seconds)))
        return
    runs: dict[str, Callable[[], Figures]] = {
        "load": lambda: load(given.seconds),
        "tracker": tracker,
        "motion": motion,
        "identities": lambda: identities(Path(given.inputs[0]), Path(given.inputs[1])),
        "visits": lambda: visits(Path(given.inputs[0]), given.events),
    }
    figures = runs[given.what]()
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
