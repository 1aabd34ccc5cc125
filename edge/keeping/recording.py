"""Continuous recording of one camera: files of a minute or so, each beginning with a keyframe, without a gap between.

When the disk is slow the ring runs over and packets are lost here, not in the camera's thread; each loss is a gap that
the index keeps.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge.clock import Clock
from edge.counters import Counters
from edge.keeping.clips import DISK_ERRORS
from edge.keeping.copying import Copy
from edge.keeping.errors import NotKeepable
from edge.keeping.fragments import cut_to_whole, described, packets_in
from edge.keeping.index import Grade, KeepingIndex, Piece, PieceState
from edge.keeping.ring import CameraRing
from edge.video.packets import StreamHead, VideoPacket

_log = logging.getLogger(__name__)

FOLDERS = {Grade.RECORDING: "recordings", Grade.RING: "ring"}
_SEAM_S = 0.005
"""Times on disk are whole milliseconds: a packet this close to the ring's oldest is that packet."""
_RETRY_S = 10.0
"""After the disk refused."""
_QUIET_S = 5.0
"""Without a packet for so long, the file in hand is finished."""


class Recorder:
    """Used by the writer's thread alone.

    Args:
        grade: `RECORDING`, or `RING` for what is kept only until clips have no more use for it.
        segment_s: how long a file gets; it ends at the next keyframe.
        may_record: whether the disk leaves room for it.
    """

    def __init__(
        self,
        camera: str,
        grade: Grade,
        ring: CameraRing,
        index: KeepingIndex,
        segment_s: float,
        clock: Clock,
        counters: Counters,
        may_record: Callable[[], bool],
    ) -> None:
        self._camera, self._ring, self._index, self._segment_s = camera, ring, index, segment_s
        self._clock, self._counters, self._may_record = clock, counters, may_record
        self._grade = grade
        self._copy: Copy | None = None
        self._noted = False
        self._begun_s = 0.0
        self._next_number: int | None = 0
        self._last_s: float | None = None
        self._retry_at_s = 0.0
        self.fault: str | None = None

    def advance(self, *, ending: bool = False) -> None:
        """Write what the ring has."""
        try:
            if not self._may_record():
                self._stop()
            elif self._clock.monotonic_s() >= self._retry_at_s:
                self._write(ending)
        except (NotKeepable, *DISK_ERRORS) as error:
            self._failed(error)

    def earlier(self, since_s: float, before_s: float) -> tuple[StreamHead, list[VideoPacket]] | None:
        """What was recorded from the keyframe at or before `since_s` up to `before_s`; None if nothing was.

        Files of another kind of stream than the newest of them are left out.
        """
        files = [
            (self._index.folder / piece.path, self._monotonic_s(piece.since_ms))
            for piece in self._index.film(self._camera, self._wall_ms(since_s), self._wall_ms(before_s))
        ]
        if self._copy is not None and self._copy.span is not None and self._copy.span.first_s < before_s:
            files.append((self._copy.path, self._copy.span.first_s))
        head: StreamHead | None = None
        found: list[VideoPacket] = []
        for path, first_s in files:
            try:
                another, packets = packets_in(path, first_s, since_s, before_s - _SEAM_S)
            except (OSError, ValueError):
                self._counters.add("recordings_unreadable")
                continue
            if head != another or (packets and packets[0].at_s <= since_s):
                found = []
            head = another
            found += packets
        return None if head is None or not found else (head, found)

    def _write(self, ending: bool) -> None:
        while True:
            if self._copy is None:
                self._begin()
            copy = self._copy
            if copy is None:
                return
            now_s = self._clock.monotonic_s()
            copy.advance(self._begun_s + self._segment_s)
            if copy.span is not None and not self._noted:
                self._note(copy)
            is_quiet = copy.span is not None and now_s > copy.span.last_s + _QUIET_S
            if not (copy.is_over or is_quiet or ending):
                return
            self._finish(copy)
            if ending or is_quiet:
                return

    def _begin(self) -> None:
        """Open the next file, once there is a packet for it."""
        number = self._ring.next_number if self._next_number is None else self._next_number
        packets = self._ring.read(number)
        keyframe = next((each for each in packets if each.packet.is_keyframe), None)
        if keyframe is None:
            self._next_number = packets[-1].number + 1 if packets else number
            return
        if self._last_s is not None and keyframe.number > number:
            self._counters.add("recording_packets_lost", keyframe.number - number)
        wall_ms = self._wall_ms(keyframe.packet.at_s)
        if self._last_s is not None and keyframe.packet.at_s - self._last_s > _QUIET_S:
            self._index.add_gap(self._camera, self._wall_ms(self._last_s), wall_ms)
        folder = self._index.folder / FOLDERS[self._grade] / self._camera
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._copy = Copy(self._ring, folder / f"{wall_ms}.mp4", keyframe.number, aligned=True)
        self._begun_s = keyframe.packet.at_s
        self._noted = False

    def _note(self, copy: Copy) -> None:
        self._index.add(self._piece(copy, 0, "", PieceState.WRITING))
        self._noted = True

    def _finish(self, copy: Copy) -> None:
        self._copy, self._next_number = None, copy.next_number
        if copy.span is None:
            return
        self._last_s = copy.span.last_s
        written = copy.finish()
        self._index.add(self._piece(copy, written.size_bytes, written.sha256, PieceState.KEPT))
        for start_s, end_s in copy.span.gaps:
            self._index.add_gap(self._camera, self._wall_ms(start_s), self._wall_ms(end_s))
        self._counters.add("recording_files")
        self._counters.add("recording_packets_lost", copy.lost_packets)
        self.fault = None

    def _piece(self, copy: Copy, size_bytes: int, sha256: str, state: PieceState) -> Piece:
        assert copy.span is not None  # noqa: S101 - the callers look
        return Piece(
            id=f"{self._camera}/{copy.path.stem}", camera=self._camera, grade=self._grade,
            since_ms=self._wall_ms(copy.span.first_s), until_ms=self._wall_ms(copy.span.last_s),
            path=f"{FOLDERS[self._grade]}/{self._camera}/{copy.path.name}", size_bytes=size_bytes, sha256=sha256,
            state=state, told=True, sent=True,
        )  # fmt: skip

    def _stop(self) -> None:
        """There is no room: finish what is begun, and go on from whatever comes once there is room again."""
        copy, self._copy = self._copy, None
        if copy is not None:
            self._finish(copy)
        self._next_number = None

    def _failed(self, error: Exception) -> None:
        copy, self._copy = self._copy, None
        if copy is not None:
            self._save(copy)
        self._counters.add("recording_failures")
        if self.fault is None:
            _log.error("a camera is not recorded", extra={"camera": self._camera, "reason": str(error)})
        self.fault = str(error)
        self._next_number = None
        self._retry_at_s = self._clock.monotonic_s() + _RETRY_S

    def _save(self, copy: Copy) -> None:
        """Keep the whole fragments of a file that cannot be finished; if that fails too, the next start does it."""
        copy.abandon()
        if copy.span is None:
            return
        with contextlib.suppress(*DISK_ERRORS):
            _recover(self._index, self._piece(copy, 0, "", PieceState.WRITING), copy.path, self._counters)

    def _monotonic_s(self, wall_ms: int) -> float:
        return wall_ms / 1000 - self._clock.wall_s() + self._clock.monotonic_s()

    def _wall_ms(self, monotonic_s: float) -> int:
        return round((self._clock.wall_s() - self._clock.monotonic_s() + monotonic_s) * 1000)


def recover_recordings(index: KeepingIndex, pieces: list[Piece], counters: Counters) -> None:
    """Finish the files that a crash left: each keeps its whole fragments.

    Raises:
        OSError, sqlite3.Error: if the disk refuses.
    """
    for piece in pieces:
        _recover(index, piece, index.folder / piece.path, counters)


def adopt_strays(index: KeepingIndex, counters: Counters) -> None:
    """Take up files that the index does not know: it was lost, or a crash came between file and row.

    Raises:
        OSError, sqlite3.Error: if the disk refuses.
    """
    for grade, folder in FOLDERS.items():
        for path in sorted((index.folder / folder).glob("*/*.mp4")):
            piece_id = f"{path.parent.name}/{path.stem}"
            if path.stem.isdigit() and index.find(piece_id) is None:
                since_ms, name = int(path.stem), f"{folder}/{path.parent.name}/{path.name}"
                piece = Piece(piece_id, path.parent.name, grade, since_ms, since_ms, name, told=True, sent=True)
                _recover(index, piece, path, counters)


def _recover(index: KeepingIndex, piece: Piece, path: Path, counters: Counters) -> None:
    written = cut_to_whole(path) if path.is_file() else None
    if written is None:
        index.remove(piece.id)
        counters.add("recording_files_lost")
        return
    _, duration_s = described(path)
    until_ms = piece.since_ms + round(duration_s * 1000)
    state = PieceState.KEPT
    kept = replace(piece, until_ms=until_ms, size_bytes=written.size_bytes, sha256=written.sha256, state=state)
    index.add(kept)
    counters.add("recording_files_recovered")
