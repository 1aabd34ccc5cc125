"""What video tests share: a recorder that remembers, pictures on a real disk, a clock that is set, and small clips."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import numpy.typing as npt

from edge.observations import Observation
from edge.video.config import CameraConfig, VideoConfig
from edge.video.source import Timing
from models import Detections, Kind
from protocols.event_data import EventData
from protocols.events import Snapshot

WHOLE = [[0, 0], [1, 0], [1, 1], [0, 1]]
QUICK = Timing(open_s=3.0, read_s=2.0, retry_first_s=0.2, retry_most_s=0.5, calm_s=2.0, stuck_s=8.0)
Data = TypeVar("Data", bound=EventData)


class Recording:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.observations: list[Observation] = []

    def __call__(self, observation: Observation) -> None:
        with self._lock:
            self.observations.append(observation)

    def of(self, kind: type[Data], device: str | None = None) -> list[Data]:
        """The data of the events of one type, of one device or all."""
        with self._lock:
            return [o.data for o in self.observations if isinstance(o.data, kind) and device in (None, o.device)]


class PictureFolder:
    """Keeps pictures as files named by their SHA-256; refuses all when `full`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.full = False

    def keep(self, jpeg: bytes, width: int, height: int) -> Snapshot | None:
        if self.full:
            return None
        name = hashlib.sha256(jpeg).hexdigest()
        (self.folder / name).write_bytes(jpeg)
        return Snapshot(sha256=name, size_bytes=len(jpeg), width=width, height=height)


class SetClock:
    """A clock that stands where it is set."""

    def __init__(self, monotonic_s: float = 1000.0) -> None:
        self.at_s = monotonic_s

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


def camera(name: str = "c-east", url: str = "file:///nowhere.mp4", **more: object) -> CameraConfig:
    """A camera with one zone, `z-all`, over the whole picture."""
    zones = more.pop("zone", [{"id": "z-all", "polygon": WHOLE}])
    return CameraConfig.model_validate({"id": name, "place": "gate-east", "url": url, "zone": zones, **more})


def video(*cameras: CameraConfig) -> VideoConfig:
    """These cameras with the default detector."""
    return VideoConfig(cameras=cameras)


def detections(
    *rows: tuple[Kind, float, tuple[float, float, float, float]], names: dict[Kind, str] | None = None
) -> Detections:
    """Detections from (kind, score, box in fractions)."""
    called = {Kind.PERSON: "person", Kind.BICYCLE: "bicycle", Kind.VEHICLE: "car"} | (names or {})
    class_names = tuple(called.values())
    return Detections(
        np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([kind for kind, _, _ in rows], np.int16),
        np.array([class_names.index(called[kind]) for kind, _, _ in rows], np.int16),
        class_names,
    )


Picture = npt.NDArray[np.uint8]


def write_clip(path: Path, picture: Callable[[int], Picture], frames: int, rate: int = 10) -> Path:
    """An H.264 clip of `picture(i)`, BGR [H,W,3]."""
    with av.open(str(path), "w") as container:
        first = picture(0)
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "bf": "0", "g": "10"})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="bgr24")))
        container.mux(stream.encode())
    return path
