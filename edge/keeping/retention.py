"""What is deleted, and what is no longer kept, as time passes and the disk fills up.

Order: recordings go first, then clips without an alarm, then clips of alarms; the oldest of each first. Never deleted:
what a hold protects. Nor, before its days are over, a clip of an alarm that may still be open (`open_alarm_h`) or that
the hub does not have yet. If that does not free enough, less is kept, in the order of `KeepingLevel`; snapshots are
given up last.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.clock import Clock
from edge.counters import Counters
from edge.keeping.config import MIB, KeepingSection
from edge.keeping.index import CLIP_GRADES, Grade, KeepingIndex, Piece
from protocols.clip_events import KeepingLevel

_log = logging.getLogger(__name__)

_BATCH = 50
_THOROUGH_EVERY_S = 60.0
"""A week of 64 cameras is half a million rows to add up."""
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_LEVELS = tuple(KeepingLevel)
_SHARES = (1.0, 0.5, 0.25, 0.125)
"""Of the floor: with less free than this, the level after `ALL`, the next, and so on."""
_RELIEF = 1.25
"""To keep more again takes so many times as much room, so that it does not go back and forth."""


@dataclass(frozen=True)
class CameraLimits:
    """A camera's own bounds on its recording; None: those of all."""

    id: str
    days: float | None
    quota_bytes: int | None


@dataclass(frozen=True)
class Forecast:
    """How the disk will do at the rate of the last day. None: nothing came yet."""

    bytes_per_day: float
    full_in_days: float | None
    """Until the floor is reached, if nothing were deleted."""
    recording_reaches_days: float | None
    """How far back recording will reach once its quota or the disk is full."""


def level_at(free_bytes: int, floor_bytes: int, present: KeepingLevel) -> KeepingLevel:
    """What may be kept with so much free, seen from what is kept at present."""
    wanted = sum(free_bytes < floor_bytes * share for share in _SHARES)
    now = _LEVELS.index(present)
    if wanted >= now:
        return _LEVELS[wanted]
    relieved = sum(free_bytes < floor_bytes * share * _RELIEF for share in _SHARES)
    return _LEVELS[min(now, relieved)]


class Retention:
    """Used by the writer's thread alone; `level` and `free_bytes` may be read by any.

    Args:
        free_bytes: what may still be written to the disk of a folder.
    """

    def __init__(
        self,
        section: KeepingSection,
        cameras: Sequence[CameraLimits],
        index: KeepingIndex,
        clock: Clock,
        counters: Counters,
        free_bytes: Callable[[Path], int],
    ) -> None:
        self._section, self._cameras, self._index = section, cameras, index
        self._clock, self._counters, self._measure = clock, counters, free_bytes
        self._floor_bytes = section.free_mib * MIB
        self.level = KeepingLevel.ALL
        self.free_bytes = 0
        self._thorough_at_s = float("-inf")

    def run(self) -> None:
        """Delete what is past its days or quota (looked at once a minute), then for room, and set the level.

        Raises:
            OSError, sqlite3.Error: if the disk refuses.
        """
        now_s = self._clock.monotonic_s()
        if now_s >= self._thorough_at_s:
            self._thorough_at_s = now_s + _THOROUGH_EVERY_S
            self._expire()
            self._hold_quotas()
        self._make_room()
        self.free_bytes = self._measure(self._index.folder)
        self.level = level_at(self.free_bytes, self._floor_bytes, self.level)

    def forecast(self) -> Forecast:
        """See `Forecast`."""
        now_ms, index = self._now_ms(), self._index
        day = index.usage(grades=tuple(Grade), since_ms=now_ms - _DAY_MS)
        if day.oldest_ms is None or not day.size_bytes:
            return Forecast(0.0, None, None)
        span_days = max(now_ms - day.oldest_ms, _HOUR_MS / 6) / _DAY_MS
        per_day = day.size_bytes / span_days
        room = max(self.free_bytes - self._floor_bytes, 0)
        recorded = index.usage(grades=(Grade.RECORDING,), since_ms=now_ms - _DAY_MS).size_bytes / span_days
        reaches = None
        if recorded:
            held = index.usage(grades=(Grade.RECORDING,)).size_bytes
            most = min(self._section.recordings_mib * MIB, held + room)
            reaches = min(most / recorded, self._section.recording_days)
        return Forecast(per_day, room / per_day, reaches)

    # --- deleting ---

    def _expire(self) -> None:
        section, now_ms = self._section, self._now_ms()
        for camera in self._cameras:
            days = section.recording_days if camera.days is None else camera.days
            self._delete_all(Grade.RECORDING, now_ms - round(days * _DAY_MS), camera.id)
        self._delete_all(Grade.RECORDING, now_ms - round(self._longest_days() * _DAY_MS))
        self._delete_all(Grade.RING, now_ms - round(section.recording_days * _DAY_MS))
        self._delete_all(Grade.ORDINARY, now_ms - round(section.clip_days * _DAY_MS))
        self._delete_all(Grade.ALARM, now_ms - round(max(section.alarm_days * _DAY_MS, self._open_ms())))
        self._index.forget_gaps(now_ms - round(self._longest_days() * _DAY_MS))

    def _hold_quotas(self) -> None:
        for camera in self._cameras:
            if camera.quota_bytes is not None:
                self._shrink((Grade.RECORDING,), camera.quota_bytes, camera.id)
        self._shrink((Grade.RING,), self._section.spill_mib * MIB)
        self._shrink((Grade.RECORDING,), self._section.recordings_mib * MIB)
        self._shrink(CLIP_GRADES, self._section.clips_mib * MIB)

    def _make_room(self) -> None:
        """Recordings go until the floor is free; clips only for half of it."""
        self._free(Grade.RING, self._floor_bytes)
        self._free(Grade.RECORDING, self._floor_bytes)
        self._free(Grade.ORDINARY, self._floor_bytes // 2)
        self._free(Grade.ALARM, self._floor_bytes // 2)

    def _delete_all(self, grade: Grade, before_ms: int, camera: str | None = None) -> None:
        while pieces := self._index.oldest(grade, _BATCH, before_ms=before_ms, camera=camera):
            for piece in pieces:
                self._delete(piece, "expired")

    def _shrink(self, grades: Sequence[Grade], quota_bytes: int, camera: str | None = None) -> None:
        surplus = self._index.usage(grades=grades, camera=camera).size_bytes - quota_bytes
        for grade in grades:
            while surplus > 0:
                piece = self._next(grade, camera)
                if piece is None:
                    break
                self._delete(piece, "over_quota")
                surplus -= piece.size_bytes

    def _free(self, grade: Grade, wanted_bytes: int) -> None:
        while self._measure(self._index.folder) < wanted_bytes:
            piece = self._next(grade, None)
            if piece is None:
                return
            self._delete(piece, "for_room")

    def _next(self, grade: Grade, camera: str | None) -> Piece | None:
        is_alarm = grade is Grade.ALARM
        before_ms = self._now_ms() - self._open_ms() if is_alarm else None
        found = self._index.oldest(grade, 1, before_ms=before_ms, camera=camera, only_sent=is_alarm)
        return found[0] if found else None

    def _delete(self, piece: Piece, why: str) -> None:
        """The file goes first: a crash between leaves a row without a file, which the check at the start removes."""
        path = self._index.folder / piece.path
        path.unlink(missing_ok=True)
        if piece.grade in CLIP_GRADES:
            path.with_suffix(".json").unlink(missing_ok=True)
            if not piece.sent:
                self._counters.add("clips_deleted_unsent")
        self._index.remove(piece.id)
        self._counters.add(f"kept_{piece.grade.value}_{why}")

    def _longest_days(self) -> float:
        own = [camera.days for camera in self._cameras if camera.days is not None]
        return max([self._section.recording_days, *own])

    def _open_ms(self) -> int:
        return round(self._section.open_alarm_h * _HOUR_MS)

    def _now_ms(self) -> int:
        return round(self._clock.wall_s() * 1000)


def free_bytes(folder: Path) -> int:
    """What this user may still write to the disk of a folder."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
