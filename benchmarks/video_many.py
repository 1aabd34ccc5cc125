"""Many cameras on two processor cores: whether the gateway keeps up, and how long after a frame its event is there.

    python -m benchmarks.video_many [--cameras 16] [--busy 8] [--seconds 120] [--clips FOLDER] [--json FILE]

A child process serves every camera's clip over RTSP (TCP) in real time, packet for packet as it was encoded beforehand
from Debian's vtest.avi by Debian's ffmpeg: 640x360, 704x576, 768x432 and 768x576 in turn, H.264 at 10 frames a second,
a key frame every 2 s. A *busy* camera shows the clip itself, in which 6 to 8 people walk without a pause, each camera
from another second on; a *quiet* one the clip's empty place, which somebody enters once a minute and leaves 3 s later.

Another child is the gateway's video as the daemon puts it together: cameras, detector, rules (who crosses a line), the
ring and clips of events on disk, snapshots, and the outbox on disk. Both share two cores, and so does whatever else the
machine does: the load is printed.

*Capture to event*: from the moment at which the sender begins to send a frame, to the moment at which the event that
this frame tells is durable in the outbox (`Outbox.put` returned). Which frame tells an event, the event itself says
(its time is its frame's); which frame that was at the sender, the packets' numbers say, checked by their last bytes.
All clocks are this machine's monotonic one. It holds transport, sleep (a camera that slept sees an onset late),
decoding, the queue, detection and the disk; not the exposure and encoding inside a camera. Events at which no frame is
looked at (a track that ended while nothing moved) are of the last frame before.

*Entrance to event*: on the quiet cameras, from sending the first frame that shows somebody to the durable
`person.entered_zone`: a person counts only at the third sighting, 0.4 s after the first.

*Transport*: from sending a frame to having its packet in the camera's thread; it grows without end if a thread falls
behind. FFmpeg knows that a frame of RTP is whole when the next one begins: at 10 frames a second that is 0.1 s of it.
What the scheduler lowered is as the gateway's own status tells it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cv2
import psutil

from benchmarks.arithmetic import percentile
from benchmarks.entrances import RATE, STAYS_S, Footage, Image, film, plan, read_footage
from benchmarks.footage import busy, encode
from benchmarks.rtsp_senders import mark_of
from edge.clock import SystemClock
from edge.counters import Counters
from edge.hub_http import HubHttp
from edge.keeping.clips import Seen
from edge.keeping.config import KeepingSection
from edge.keeping.service import Keeping, KeptCamera, cameras_by_device
from edge.observations import Observation
from edge.outbox.outbox import Outbox
from edge.outbox.status import OutboxLimits
from edge.pictures import Pictures
from edge.video.config import VideoConfig
from edge.video.packets import StreamHead, VideoPacket
from edge.video.service import VideoService
from protocols.events import ClockState, PersonEnteredZone
from protocols.ids import UuidV7Maker
from tests.edge.video.parts import WHOLE
from tests.support.ports import free_port
from tests.support.rtsp import RtspServer

SIZES = ((640, 360), (704, 576), (768, 432), (768, 576))
SECONDS = 60
SETTLE_S = 20.0
LINE = {"id": "l-1", "points": [[0.5, 0.9], [0.5, 0.1]], "to_left": "out", "to_right": "in"}
RULE = {"id": "r-1", "kind": "line_crossing", "line": "l-1"}
CLIPS_MIB = 256


def quiet(footage: Footage, number: int, frames: int) -> Iterator[Image]:
    """The empty place, which one person enters at `entrance_s`."""
    return film(footage, plan(footage, number, 1, (20.0, 40.0)), frames, seed=number)


def make_clips(folder: Path, cameras: int, busy_ones: int) -> dict[str, int | None]:
    """The cameras' clips, made where they are not there yet; at which frame somebody enters, None for busy ones."""
    footage: Footage | None = None
    entered: dict[str, int | None] = {}
    noted = folder / "clips.json"
    known = json.loads(noted.read_text()) if noted.exists() else {}
    for number in range(cameras):
        is_busy = number % cameras < busy_ones
        name = f"{'busy' if is_busy else 'quiet'}-{number}.mp4"
        if name not in known:
            print(f"making {name}, {number + 1} of {cameras}", file=sys.stderr, flush=True)
            footage = footage if footage is not None else read_footage()
            frames = SECONDS * RATE
            pictures = busy(frames, 90 * number) if is_busy else quiet(footage, number, frames)
            encode(folder / name, pictures, SIZES[number % len(SIZES)])
            at_s = plan(footage, number, 1, (20.0, 40.0))[0].at_s
            known[name] = None if is_busy else round(at_s * RATE)
            noted.write_text(json.dumps(known))
        entered[name] = known[name]
    return entered


# --- the gateway, in a process of its own ---


class Notes:
    """A packet sink that writes down when which packet came."""

    def __init__(self) -> None:
        self.packets: list[tuple[float, float, int]] = []
        """When it was taken for the gateway, when it came, and its mark."""

    def begin(self, head: StreamHead) -> None:
        del head

    def take(self, packet: VideoPacket) -> None:
        self.packets.append((packet.at_s, time.monotonic(), mark_of(packet.data)))

    def end(self) -> None:
        pass


@dataclass
class Told:
    """The outbox, and a note of each event of what cameras saw: camera, type, frame's time and when it was durable."""

    outbox: Outbox
    events: list[tuple[str, str, float, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, observation: Observation) -> None:
        if not _is_analysis(observation.data.TYPE):
            self.outbox.record(observation)
            return
        self.outbox.put(observation)  # in the reporter's thread, which alone waits: some milliseconds
        durable_s = time.monotonic()
        with self.lock:
            self.events.append((observation.device, observation.data.TYPE, observation.moment.monotonic_s, durable_s))


def gateway(urls: list[str], seconds: float, folder: Path) -> dict[str, Any]:
    """Watch the cameras for so long after they have settled; what happened."""
    cv2.setNumThreads(1)
    clock, counters = SystemClock(), Counters()
    names = [f"c-{i}" for i in range(len(urls))]
    zone = {"id": "z-all", "polygon": WHOLE}
    cameras = [
        {"id": name, "place": "bench", "url": url, "zone": [zone], "line": [LINE], "rule": [RULE]}
        for name, url in zip(names, urls, strict=True)
    ]
    outbox = Outbox(folder, "gw-bench", "bench", OutboxLimits(), clock, lambda: ClockState.SYNCED, os.urandom, counters)
    outbox.start()
    told = Told(outbox)
    kept = [KeptCamera(name, "bench") for name in names]
    keeping = Keeping(
        KeepingSection(clips_mib=CLIPS_MIB, free_mib=64), kept, cameras_by_device(kept, {}), folder / "video.db",
        folder / "video", told, UuidV7Maker(clock.wall_s, os.urandom), Seen("gw-bench", "bench"), clock, counters,
    )  # fmt: skip
    keeping.start()
    notes = {name: Notes() for name in names}
    rings = {name: [ring] for name in names if (ring := keeping.sink(name)) is not None}
    pictures = Pictures(folder / "pictures", 64 << 20, cast(HubHttp, None), lambda: 0.5, counters)
    service = VideoService(
        VideoConfig.model_validate({"camera": cameras}), keeping.tap, pictures, clock,
        sinks=rings, sub_sinks={name: [note] for name, note in notes.items()}, sighted=keeping.sighted(),
    )  # fmt: skip
    service.start()
    time.sleep(SETTLE_S)
    figures = _watch(service, seconds)
    service.stop()
    keeping.stop()
    outbox.stop()
    return figures | {
        "events": told.events,
        "packets": {name: note.packets for name, note in notes.items()},
        "counters": counters.snapshot(),
    }


def _watch(service: VideoService, seconds: float) -> dict[str, Any]:
    """The processor's time and memory from now on, and what the service says of each camera before and after."""
    process = psutil.Process()
    before, began_s, cpu_s, peak = service.status(), time.monotonic(), time.process_time(), 0
    degraded: dict[str, int] = defaultdict(int)
    looks = 0
    while time.monotonic() - began_s < seconds:
        time.sleep(1.0)
        looks += 1
        peak = max(peak, process.memory_info().rss)
        for camera in service.status().cameras:
            degraded[camera.id] += camera.rate.is_degraded
        if looks % 15 == 0:
            print(f"{time.monotonic() - began_s:.0f} of {seconds:.0f} s", file=sys.stderr, flush=True)
    ended_s, spent_s, after = time.monotonic(), time.process_time() - cpu_s, service.status()
    names = (
        "frames_received", "frames_decoded", "frames_checked", "frames_analysed", "frames_replaced", "frames_expired",
        "closer_looks", "decode_errors", "connections", "catch_ups",
    )  # fmt: skip
    cameras = {
        now.id: {name: getattr(now, name) - getattr(then, name) for name in names}
        | {
            "degraded_share": degraded[now.id] / max(1, looks),
            "state": now.state.value,
            "all_connections": now.connections,
        }
        for then, now in zip(before.cameras, after.cameras, strict=True)
    }
    return {
        "window": [began_s, ended_s],
        "cores": spent_s / (ended_s - began_s),
        "detector_busy_share": (after.detector_busy_s - before.detector_busy_s) / (ended_s - began_s),
        "peak_rss_mib": peak / 2**20,
        "pictures_lost": after.pictures_lost - before.pictures_lost,
        "cameras": cameras,
    }


# --- what it came to ---


def sent_by(log: Path) -> dict[str, list[tuple[float, int]]]:
    """For each clip, when each frame of its first session was sent, and its mark.

    Raises:
        ValueError: if a clip was asked for twice, as by a camera that connected again.
    """
    sent: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for line in log.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break  # the server was killed while writing it
        clip, number, at_s, mark = line.split()
        if int(number) != len(sent[clip]):
            raise ValueError(f"{clip} was sent more than once: a camera connected again")
        sent[clip].append((float(at_s), int(mark)))
    return sent


def placed(sent: list[tuple[float, int]], packets: list[tuple[float, float, int]]) -> dict[float, int]:
    """The number at the sender of each frame, by the time that the gateway gave it.

    Raises:
        ValueError: if what came is not what was sent, in the same order.
    """
    for number, (_, _, mark) in enumerate(packets):
        if number >= len(sent) or sent[number][1] != mark:
            raise ValueError(f"packet {number} that came is not frame {number} that was sent")
    return {at_s: number for number, (at_s, _, _) in enumerate(packets)}


def frame_of(at_s: float, numbers: dict[float, int], times: list[float]) -> int:
    """The frame that an event is of: the one taken at its time, or the last before."""
    if at_s in numbers:
        return numbers[at_s]
    return max((numbers[each] for each in times if each <= at_s), default=0)


def delays(made: dict[str, Any], log: Path, clips: dict[str, int | None]) -> dict[str, Any]:
    """Capture to event, entrance to event and transport, in seconds, of what lies in the window."""
    sent = sent_by(log)
    began_s, ended_s = made["window"]
    found: dict[str, list[float]] = {"capture": [], "entrance": [], "transport": []}
    by_type: dict[str, list[float]] = defaultdict(list)
    told_at: list[list[Any]] = []
    """Of each entrance: the clip, the first frame that shows somebody, the frame that told of him."""
    for index, (clip, entry) in enumerate(clips.items()):
        name, frames = f"c-{index}", sent[clip]
        packets = [tuple(packet) for packet in made["packets"][name]]
        numbers = placed(frames, packets)
        times = sorted(numbers)
        found["transport"] += [
            came_s - frames[i][0] for i, (_, came_s, _) in enumerate(packets) if began_s <= frames[i][0] < ended_s
        ]
        mine = [event for event in made["events"] if event[0] == name and _is_analysis(event[1])]
        told = [(kind, frame_of(at_s, numbers, times), durable_s) for _, kind, at_s, durable_s in mine]
        for kind, frame, durable_s in told:
            if began_s <= durable_s < ended_s:
                by_type[kind].append(durable_s - frames[frame][0])
        if entry is not None:
            for first in range(entry, len(frames), SECONDS * RATE):
                last = first + round((STAYS_S + 1.0) * RATE)
                if began_s <= frames[first][0] and last < len(frames) and frames[last][0] < ended_s:
                    entered = [e for e in told if e[0] == PersonEnteredZone.TYPE and first <= e[1] <= last]
                    found["entrance"] += [entered[0][2] - frames[first][0]] if entered else []
                    told_at.append([clip, first, entered[0][1] if entered else None])
    found["capture"] = [delay for each in by_type.values() for delay in each]
    figures: dict[str, Any] = {name: _spread(values) for name, values in found.items()}
    figures["capture_by_type"] = {kind: _spread(values) for kind, values in by_type.items()}
    figures["entrances"], figures["told_at"] = len(told_at), told_at
    return figures


def _is_analysis(kind: str) -> bool:
    return kind.startswith(("person.", "vehicle."))


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "count": len(values),
        "p50_s": percentile(values, 0.5),
        "p95_s": percentile(values, 0.95),
        "p99_s": percentile(values, 0.99),
        "most_s": max(values, default=0.0),
    }


def _in_child(urls: list[str], seconds: float, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.video_many", "--gateway", *urls, "--seconds", str(seconds)]
    made = folder / "made.json"
    subprocess.run([*command, "--state", str(folder), "--json", str(made)], check=True)
    return cast(dict[str, Any], json.loads(made.read_text()))


def run(cameras: int, busy_ones: int, seconds: float, clips_in: Path) -> dict[str, Any]:
    """Make the clips, serve and watch them, and reckon."""
    clips = make_clips(clips_in, cameras, busy_ones)
    with tempfile.TemporaryDirectory() as folder:
        log, port = Path(folder) / "sent", free_port()
        command = [sys.executable, "-m", "benchmarks.rtsp_senders", "--dir", str(clips_in), "--log", str(log)]
        with RtspServer([*command, "--port", str(port)], port) as server:
            all_before = psutil.cpu_times()
            made = _in_child([server.url(clip) for clip in clips], seconds, Path(folder))
            all_after = psutil.cpu_times()
            time.sleep(1.0)
        figures = {name: value for name, value in made.items() if name not in ("events", "packets")}
        figures |= delays(made, log, clips)
    spent = sum(all_after) - sum(all_before)
    figures["machine_idle_share"] = (all_after.idle - all_before.idle) / max(spent, 1e-9)
    figures["load"] = os.getloadavg()
    return figures


def show(figures: dict[str, Any], busy_ones: int) -> bool:
    """Print it; whether events are in time and nothing fell behind."""
    cameras = figures["cameras"].values()
    total = {
        name: sum(camera[name] for camera in cameras) for name in next(iter(cameras)) if name.startswith("frames_")
    }
    given_up = total["frames_replaced"] + total["frames_expired"]
    wanted = total["frames_analysed"] + given_up
    lowered = [name for name, camera in figures["cameras"].items() if camera["degraded_share"] > 0]
    print(f"{len(cameras)} cameras, {busy_ones} of them busy, on {len(os.sched_getaffinity(0))} cores")
    print(
        f"  gateway {figures['cores']:.2f} cores, {figures['peak_rss_mib']:.0f} MiB; detector busy for "
        f"{figures['detector_busy_share']:.0%} of the time; the machine idle for {figures['machine_idle_share']:.0%}, "
        f"load {figures['load'][0]:.1f}"
    )
    for name in ("capture", "entrance", "transport"):
        spread = figures[name]
        print(
            f"  {name}: {spread['count']} with p50 {spread['p50_s']:.3f} s, p95 {spread['p95_s']:.3f} s, p99 "
            f"{spread['p99_s']:.3f} s, most {spread['most_s']:.3f} s"
        )
    print(f"  {figures['entrance']['count']} of {figures['entrances']} entrances on quiet cameras told")
    print(
        f"  {total['frames_received']} frames received, {total['frames_decoded'] / total['frames_received']:.0%} "
        f"decoded; {wanted} worth the detector: {given_up} ({given_up / max(1, wanted):.2%}) given up, "
        f"{total['frames_replaced']} for newer ones and {total['frames_expired']} after waiting for a second; "
        f"cameras told as degraded at some time: {', '.join(lowered) or 'none'}"
    )
    return bool(figures["capture"]["p95_s"] <= 1.0)


def main() -> int:
    """Run it and print the figures; 1 if events are later than asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--busy", type=int, default=8, help="how many of them are busy")
    parser.add_argument("--seconds", type=float, default=120.0, help="measured, after 20 s in which all settles")
    parser.add_argument("--clips", type=Path, help="keep the clips there, or use those that are there")
    parser.add_argument("--json", type=Path, help="write all figures there, too")
    parser.add_argument("--gateway", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help="make the clips and nothing else (--clips)")
    given = parser.parse_args()
    if given.gateway is not None:
        given.json.write_text(json.dumps(gateway(given.gateway, given.seconds, given.state)))
        return 0
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory() as folder:
        clips = given.clips if given.clips is not None else Path(folder)
        clips.mkdir(parents=True, exist_ok=True)
        if given.make:
            make_clips(clips, given.cameras, given.busy)
            return 0
        figures = run(given.cameras, given.busy, given.seconds, clips)
    passed = show(figures, given.busy)
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
