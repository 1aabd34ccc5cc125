"""Keeping for tests: real threads, files and index; a clock that the test moves; events that are noted, not sent."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edge.clock import SystemClock, now
from edge.counters import Counters
from edge.keeping.clips import Seen
from edge.keeping.config import KeepingSection
from edge.keeping.index import KeepingIndex, Piece
from edge.keeping.retention import free_bytes
from edge.keeping.service import Keeping, KeptCamera, cameras_by_device
from edge.observations import Observation
from protocols.access_events import DoorForced
from protocols.event_data import EventData
from protocols.events import Box, PersonEnteredZone
from protocols.ids import UuidV7Maker
from tests.support.gateways import SetClock, eventually

CAMERA = KeptCamera("cam-east", "gate-east")
OWN = Seen("gw-test", "site")
ENTERED = PersonEnteredZone(zone="z", track=7, score=0.9, box=Box(left=0.1, top=0.2, right=0.3, bottom=0.4))
FORCED = DoorForced()
_Data = TypeVar("_Data", bound=EventData)


class Kept:
    """A `Keeping` with what a test wants to see of it."""

    def __init__(
        self,
        folder: Path,
        *cameras: KeptCamera,
        section: KeepingSection | None = None,
        clock: SetClock | SystemClock | None = None,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        cameras = cameras or (CAMERA,)
        self.folder, self.counters = folder / "video", Counters()
        self.clock: SetClock = clock or SetClock()  # type: ignore[assignment]  # a clock that goes by itself is for few
        self.events: list[Observation] = []
        self._lock = threading.Lock()
        self.keeping = Keeping(
            section or KeepingSection(free_mib=1),
            cameras,
            cameras_by_device(cameras, {"d-east": "gate-east", "d-far": "elsewhere"}),
            folder / "video.db",
            self.folder,
            self._note,
            UuidV7Maker(self.clock.wall_s, os.urandom),
            OWN,
            self.clock,
            self.counters,
            free,
        )

    def _note(self, observation: Observation) -> None:
        with self._lock:
            self.events.append(observation)

    def happens(self, data: EventData, device: str = "cam-east", place: str = "gate-east") -> Observation:
        """An event now; what went to the outbox."""
        self.keeping.tap(Observation(device, place, data, now(self.clock)))
        return self.of(type(data))[-1]

    def of(self, kind: type[EventData]) -> list[Observation]:
        with self._lock:
            return [each for each in self.events if isinstance(each.data, kind)]

    def data(self, kind: type[_Data]) -> list[_Data]:
        return [each.data for each in self.of(kind) if isinstance(each.data, kind)]

    def await_open(self, count: int = 1) -> None:
        eventually(lambda: self.keeping.status().open_clips == count, 40, f"{count} open clips")

    def await_(self, kind: type[_Data], count: int = 1) -> list[_Data]:
        """The events of a kind, once there are so many."""
        eventually(lambda: len(self.of(kind)) >= count, 40, f"{count} of {kind.TYPE}")
        return self.data(kind)

    @property
    def index(self) -> KeepingIndex:
        assert self.keeping.index is not None
        return self.keeping.index

    def pieces(self) -> list[Piece]:
        return self.index.all_kept()

    def clip_files(self) -> list[Path]:
        return sorted((self.folder / "clips").glob("*.mp4"))
