"""Makes the clips of one camera: from the ring to a file, then its side file, its row and the event that names it.

A clip's row is there before its file, so that after a crash the whole fragments are found, named and told.
"""

import errno
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from edge.clock import Clock, now
from edge.counters import Counters
from edge.durable import sync_folder, write_durably
from edge.keeping.copying import Copy, Span
from edge.keeping.errors import NotKeepable
from edge.keeping.fragments import Written, cut_to_whole, described
from edge.keeping.index import Grade, KeepingIndex, Piece, PieceState
from edge.keeping.ring import CameraRing
from edge.keeping.wants import Boxes, ClipPlan, Planner, Traces
from edge.observations import Observation, Recorder
from edge.video.packets import StreamHead, VideoPacket
from protocols.clip_events import MAX_CLIP_EVENTS, ClipKept, ClipLossReason, ClipLost

_log = logging.getLogger(__name__)

CLIPS = "clips"
GRACE_S = 3.0
"""So long after its end a clip waits for packets of a camera that may be away."""
DISK_ERRORS = (OSError, sqlite3.Error)
Earlier = Callable[[float, float], tuple[StreamHead, Sequence[VideoPacket]] | None]


@dataclass(frozen=True)
class Seen:
    """A camera as events name it."""

    id: str
    place: str
    unmasked: bool = False


class ClipMaker:
    """The open clips of one camera. Used by the writer's thread alone.

    Args:
        record: the outbox.
        may_keep: whether the disk leaves room for clips of a grade.
        boxes: where the camera's tracks were.
        earlier: what is on disk from one moment up to another (`edge.keeping.recording.Recorder.earlier`).
    """

    def __init__(
        self,
        camera: Seen,
        ring: CameraRing,
        planner: Planner,
        index: KeepingIndex,
        record: Recorder,
        clock: Clock,
        counters: Counters,
        may_keep: Callable[[Grade], bool],
        boxes: Boxes,
        earlier: Earlier,
    ) -> None:
        self._earlier = earlier
        self._camera, self._ring, self.planner, self._index = camera, ring, planner, index
        self._record, self._clock, self._counters, self._may_keep = record, clock, counters, may_keep
        self.traces = Traces()
        self._boxes = boxes
        self._copies: dict[UUID, Copy] = {}
        self._noted: dict[UUID, Piece] = {}

    @property
    def open_clips(self) -> int:
        return len(self.planner.plans)

    def pin(self, plan: ClipPlan) -> None:
        """Keep in the ring what the plan needs, from the moment that it is made."""
        self._ring.pin(plan.id, plan.since_s)

    def advance(self, *, ending: bool = False) -> None:
        """Write what the ring has for the open clips, and finish those that are complete, or all when `ending`."""
        for plan in list(self.planner.plans):
            try:
                self._advance(plan, ending)
            except NotKeepable as error:
                self._lose(plan, ClipLossReason.NOT_KEEPABLE, str(error))
            except DISK_ERRORS as error:
                self._lose(plan, _disk_reason(error), str(error))

    def _advance(self, plan: ClipPlan, ending: bool) -> None:
        if plan.id not in self._copies:
            if not self._may_keep(plan.grade):
                self._lose(plan, ClipLossReason.DISK_FULL, "the disk has no room for clips of this kind")
                return
            self._begin(plan)
        copy = self._copies[plan.id]
        self._note(plan, copy)
        is_late = self._clock.monotonic_s() > plan.until_s + GRACE_S  # before reading, so that nothing is left unread
        copy.advance(plan.until_s)
        if copy.span is not None:
            self._note(plan, copy)
            self._ring.pin(plan.id, copy.span.last_s)
        if copy.is_over or ending or is_late:
            self._finish(plan, copy, whole=copy.is_over or is_late)

    def _begin(self, plan: ClipPlan) -> None:
        """Open the clip's file, with what is on disk first if the memory does not reach back far enough."""
        path = self._index.folder / CLIPS / f"{plan.key}.mp4"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        copy = Copy(self._ring, path, self._ring.number_at(plan.since_s), aligned=False)
        self._copies[plan.id] = copy
        self._note(plan, copy)
        oldest_s = self._ring.oldest_s
        if oldest_s is None or oldest_s <= plan.since_s:
            return
        found = self._earlier(plan.since_s, oldest_s)
        if found is not None:
            copy.begin_with(*found)
            self._counters.add("clips_begun_on_disk")

    def _note(self, plan: ClipPlan, copy: Copy) -> None:
        """Have in the index what would be needed after a crash."""
        since_s = plan.since_s if copy.span is None else copy.span.first_s
        piece = Piece(
            id=plan.key,
            camera=plan.camera,
            grade=plan.grade,
            since_ms=_ms(plan.wall_s(since_s)),
            until_ms=_ms(plan.wall_s(plan.until_s)),
            path=f"{CLIPS}/{copy.path.name}",
            plan=json.dumps(self._named(plan)),
        )
        if self._noted.get(plan.id) != piece:
            self._index.add(piece)
            self._noted[plan.id] = piece

    def _named(self, plan: ClipPlan) -> dict[str, Any]:
        """What of a plan its event will say."""
        events = [str(event.id) for event in plan.events]
        camera = self._camera
        return {"clip": str(plan.id), "place": camera.place, "events": events, "unmasked": camera.unmasked}

    def _finish(self, plan: ClipPlan, copy: Copy, *, whole: bool) -> None:
        span = copy.span
        if span is None:
            self._lose(plan, ClipLossReason.NO_VIDEO, "the camera gave no video around the event")
            return
        written = copy.finish()
        sync_folder(copy.path.parent)
        since_s, until_s = plan.wall_s(span.first_s), plan.wall_s(span.last_s)
        values = {
            **self._named(plan),
            "codec": span.codec,
            "missing_s": round(span.missing_s, 3),
            "whole": whole,
        }
        piece = Piece(
            id=plan.key, camera=plan.camera, grade=plan.grade, since_ms=_ms(since_s), until_ms=_ms(until_s),
            path=f"{CLIPS}/{copy.path.name}", size_bytes=written.size_bytes, sha256=written.sha256,
            state=PieceState.KEPT, plan=json.dumps(values),
        )  # fmt: skip
        write_side_file(self._index.folder, piece, self._details(plan, span))
        self._index.add(piece)
        self._forget(plan)
        self._counters.add("clips_kept")
        self._counters.add("clips_packets_lost", copy.lost_packets)
        try:
            tell_kept(self._index, piece, self._record, self._clock)
        except sqlite3.Error:
            self._counters.add("clips_not_marked")  # it was told, and is told and sent at the next start

    def _details(self, plan: ClipPlan, span: Span) -> dict[str, Any]:
        """What stands in the side file alone."""
        return {
            "width": span.width,
            "height": span.height,
            "gaps": [[_iso(plan.wall_s(start)), _iso(plan.wall_s(end))] for start, end in span.gaps],
            "wanted_by": [
                {"event": str(event.id), "type": event.type, "time": _iso(event.moment.wall_s)} for event in plan.events
            ],
            "seen": [
                {"at_s": round(trace.moment.monotonic_s - span.first_s, 3), **trace.values}
                for trace in self.traces.between(span.first_s, span.last_s)
            ],
            "boxes": self._boxes.between(span.first_s, span.last_s),
        }

    def _lose(self, plan: ClipPlan, reason: ClipLossReason, detail: str) -> None:
        """Say that there will be no clip, and leave nothing of it."""
        self._counters.add(f"clips_lost_{reason.value}")
        _log.warning("a clip is lost", extra={"camera": plan.camera, "reason": reason.value, "detail": detail})
        copy = self._copies.get(plan.id)
        self._forget(plan)
        try:
            if copy is not None:
                copy.abandon()
                copy.path.unlink(missing_ok=True)
            self._index.remove(plan.key)
        except DISK_ERRORS:
            self._counters.add("clips_leftovers")  # the check at the next start removes it
        events = tuple(event.id for event in plan.events)
        data = ClipLost(clip=plan.id, reason=reason, detail=detail[:300], events=events)
        self._record(Observation(self._camera.id, self._camera.place, data, now(self._clock)))

    def _forget(self, plan: ClipPlan) -> None:
        self._ring.unpin(plan.id)
        self._copies.pop(plan.id, None)
        self._noted.pop(plan.id, None)
        self.planner.plans.remove(plan)


def nothing_earlier(_since_s: float, _before_s: float) -> None:
    """An `Earlier` of a camera of which nothing but clips is on disk."""


def write_side_file(folder: Path, piece: Piece, details: dict[str, Any]) -> None:
    """What a person or a program reads beside the clip: JSON under the same name.

    Raises:
        OSError: if the disk refuses.
    """
    values = json.loads(piece.plan)
    side = {
        "v": 1,
        "camera": piece.camera,
        "grade": piece.grade.value,
        "sha256": piece.sha256,
        "size_bytes": piece.size_bytes,
        "since": _iso(piece.since_ms / 1000),
        "until": _iso(piece.until_ms / 1000),
        **values,
        **details,
    }
    path = folder / CLIPS / f"{piece.id}.json"
    write_durably(path, json.dumps(side, ensure_ascii=False).encode())


def tell_kept(index: KeepingIndex, piece: Piece, record: Recorder, clock: Clock) -> None:
    """Record `clip.kept` of a finished clip, and note that it was told.

    Raises:
        sqlite3.Error: if the disk refuses the note; it is then told again at the next start.
    """
    values = json.loads(piece.plan)
    events = tuple(UUID(each) for each in values["events"][:MAX_CLIP_EVENTS])
    data = ClipKept(
        clip=UUID(values["clip"]),
        sha256=piece.sha256,
        size_bytes=piece.size_bytes,
        codec=values.get("codec", "")[:40],
        since=datetime.fromtimestamp(piece.since_ms / 1000, UTC),
        until=datetime.fromtimestamp(piece.until_ms / 1000, UTC),
        missing_s=values.get("missing_s", 0.0),
        events=events,
        whole=values.get("whole", True),
        unmasked=values.get("unmasked", False),
    )
    record(Observation(piece.camera, values["place"], data, now(clock)))
    index.mark(piece, told=True)


def recover_clips(
    index: KeepingIndex, pieces: Sequence[Piece], record: Recorder, clock: Clock, counters: Counters
) -> None:
    """Finish what a crash left: whole fragments become a clip that says so, and what has none is told as lost.

    Raises:
        OSError, sqlite3.Error: if the disk refuses.
    """
    for piece in pieces:
        path = index.folder / piece.path
        written = cut_to_whole(path) if path.is_file() else None
        if written is None:
            _tell_interrupted(index, piece, record, clock)
            counters.add("clips_lost_interrupted")
            continue
        _adopt(index, piece, written)
        counters.add("clips_recovered")
    for piece in index.untold():
        tell_kept(index, piece, record, clock)


def _adopt(index: KeepingIndex, piece: Piece, written: Written) -> None:
    codec, duration_s = described(index.folder / piece.path)
    values = {**json.loads(piece.plan), "codec": codec, "missing_s": 0.0, "whole": False}
    until_ms = piece.since_ms + round(duration_s * 1000)
    kept = Piece(
        id=piece.id, camera=piece.camera, grade=piece.grade, since_ms=piece.since_ms, until_ms=until_ms,
        path=piece.path, size_bytes=written.size_bytes, sha256=written.sha256, state=PieceState.KEPT,
        plan=json.dumps(values),
    )  # fmt: skip
    write_side_file(index.folder, kept, {})
    index.add(kept)


def _tell_interrupted(index: KeepingIndex, piece: Piece, record: Recorder, clock: Clock) -> None:
    values = json.loads(piece.plan)
    events = tuple(UUID(each) for each in values["events"][:MAX_CLIP_EVENTS])
    detail = "the gateway was stopped before anything of the clip was on disk"
    data = ClipLost(clip=UUID(values["clip"]), reason=ClipLossReason.INTERRUPTED, detail=detail, events=events)
    record(Observation(piece.camera, values["place"], data, now(clock)))
    index.remove(piece.id)


def _disk_reason(error: Exception) -> ClipLossReason:
    is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "full" in str(error)
    return ClipLossReason.DISK_FULL if is_full else ClipLossReason.DISK_FAULT


def _ms(wall_s: float) -> int:
    return round(wall_s * 1000)


def _iso(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds")
