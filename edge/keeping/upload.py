"""Sends clips to the hub over HTTPS: after their event, a part at a time, so slowly that events stay quick.

A connection that breaks costs the part in hand; the hub says how much it has and the upload goes on there, also after a
restart. Alarms go first. Whatever happens here, the clip stays on the gateway until its own time is over.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from edge.backoff import Backoff
from edge.clock import Clock
from edge.counters import Counters
from edge.hub_http import HubAnswer, HubHttp, HubUnavailable
from edge.keeping.index import Grade, KeepingIndex, Piece
from edge.worker import Worker
from protocols.base import ProtocolError
from protocols.clips import MAX_CLIP_BYTES, UploadState, part_path, read_state, state_path

_log = logging.getLogger(__name__)

PART_BYTES = 256 * 1024
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0
_IDLE_S = 1.0
_MOST_TRIES_OF_A_HASH = 3
_REFUSED_FOR_GOOD = {400, 404, 405, 413, 415}
"""Answers that the same bytes will always get."""
_CONFLICT, _WRONG = 409, 422


class _Refused(Exception):
    """The hub will never take this clip."""


class ClipUploads:
    """A part of the daemon.

    Args:
        index: the index while it is open, else None.
        wanted: whether clips of a grade are sent at all.
        bytes_per_s: the most that is sent on average.
        jitter: a number in [0, 1) for each call.
    """

    def __init__(
        self,
        index: Callable[[], KeepingIndex | None],
        http: HubHttp,
        wanted: Callable[[Grade], bool],
        bytes_per_s: float,
        clock: Clock,
        jitter: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._index, self._http, self._wanted, self._bytes_per_s = index, http, wanted, bytes_per_s
        self._clock, self._counters = clock, counters
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S, jitter)
        self._arrived = threading.Event()
        self._wrong: dict[str, int] = {}
        self._free_at_s = float("-inf")
        self._worker = Worker("clip uploads", self._run)

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 3.0) -> bool:
        self._worker.ask_to_stop()
        self._arrived.set()
        return self._worker.stop(timeout_s)

    @property
    def failure(self) -> str | None:
        return self._worker.failure

    def look(self) -> None:
        """A clip was kept."""
        self._arrived.set()

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._arrived.clear()
            wait_s = self._send_next(stopping)
            if wait_s == _IDLE_S:
                self._arrived.wait(wait_s)
            elif wait_s:
                stopping.wait(wait_s)

    def _send_next(self, stopping: threading.Event) -> float:
        """Send one clip; how long to wait before the next try."""
        index = self._index()
        if index is None:
            return _IDLE_S
        try:
            found = index.to_send(1)
            if not found:
                return _IDLE_S
            return self._send(index, found[0], stopping)
        except sqlite3.Error:  # the index was closed, or its disk refuses
            self._counters.add("clip_upload_index_errors")
            return _IDLE_S

    def _send(self, index: KeepingIndex, piece: Piece, stopping: threading.Event) -> float:
        path = index.folder / piece.path
        if not self._wanted(piece.grade):
            index.mark(piece, sent=True)
            return 0.0
        try:
            if self._upload(piece, path, stopping):
                self._counters.add("clips_sent")
                index.mark(piece, sent=True)
        except _Refused as error:
            _log.warning("the hub refuses a clip", extra={"clip": piece.id, "reason": str(error)})
            self._counters.add("clips_refused_by_hub")
            index.mark(piece, sent=True)
        except OSError:  # deleted for room meanwhile, or unreadable
            self._counters.add("clips_unreadable")
            index.mark(piece, sent=True)
        except (HubUnavailable, ProtocolError) as error:
            self._counters.add("clip_upload_failures")
            _log.info("a clip waits", extra={"clip": piece.id, "reason": str(error)})
            return self._backoff.next_s()
        self._backoff.reset()
        return 0.0

    def _upload(self, piece: Piece, path: Path, stopping: threading.Event) -> bool:
        """Send what the hub lacks; False if told to stop before the end.

        Raises:
            HubUnavailable, ProtocolError: try again later.
            _Refused: never try again.
            OSError: the file cannot be read.
        """
        if piece.size_bytes > MAX_CLIP_BYTES:
            raise _Refused(f"the clip has more than {MAX_CLIP_BYTES} bytes")
        state = self._state(self._http.exchange("GET", state_path(piece.sha256)), piece)
        with path.open("rb") as file:
            while not state.done:
                if stopping.is_set() or self._paced(stopping):
                    return False
                file.seek(state.offset)
                part = file.read(PART_BYTES)
                if not part:
                    raise OSError(f"{path} is shorter than it was")
                self._free_at_s = self._clock.monotonic_s() + len(part) / self._bytes_per_s
                where = part_path(piece.sha256, piece.size_bytes, state.offset)
                answer = self._http.exchange("PUT", where, part, "application/octet-stream")
                state = self._state(answer, piece)
                self._backoff.reset()
        return True

    def _state(self, answer: HubAnswer, piece: Piece) -> UploadState:
        if 200 <= answer.status < 300 or answer.status == _CONFLICT:
            return read_state(answer.body)
        reason = f"the hub answers {answer.status}: {_reason(answer.body)}"
        if answer.status in _REFUSED_FOR_GOOD:
            raise _Refused(reason)
        if answer.status == _WRONG:
            self._wrong[piece.id] = self._wrong.get(piece.id, 0) + 1
            if self._wrong[piece.id] >= _MOST_TRIES_OF_A_HASH:
                del self._wrong[piece.id]
                raise _Refused(reason)
        raise HubUnavailable(reason, answer.status)

    def _paced(self, stopping: threading.Event) -> bool:
        """Wait until the rate allows another part; whether to stop."""
        wait_s = self._free_at_s - self._clock.monotonic_s()
        return wait_s > 0 and stopping.wait(wait_s)


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])[:200]
    except (ValueError, KeyError, TypeError):
        return ""
