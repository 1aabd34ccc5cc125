"""JPEGs that wait to be sent to the hub: files named by their SHA-256, durable before the event that names them.

Bounded: when the quota is reached the oldest waiting pictures go, and are counted. A picture never delays a door: its
disk writes happen in the caller's thread (a camera's), its upload in a thread of its own.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from edge.backoff import Backoff
from edge.counters import Counters
from edge.durable import sync_folder, write_durably
from edge.hub_http import HubHttp, HubUnavailable
from edge.worker import Worker
from protocols.events import Snapshot

_log = logging.getLogger(__name__)

MAX_PICTURE_BYTES = 512 * 1024
UPLOAD_PATH = "/api/v1/gateway/pictures"
_REFUSED_FOR_GOOD = {400, 413, 415, 422}
"""Answers that the same bytes will always get."""
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0
_IDLE_S = 0.5


class Pictures:
    """The folder and the thread that empties it (`edge.observations.PictureStore`).

    Args:
        quota_bytes: of all waiting pictures together.
        jitter: a number in [0, 1) for each call.
        has_room: whether the disk leaves room for pictures; they are what is given up last.

    A folder that cannot be made costs pictures, each counted, until it can.
    """

    def __init__(
        self,
        folder: Path,
        quota_bytes: int,
        http: HubHttp,
        jitter: Callable[[], float],
        counters: Counters,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._has_room = has_room
        self._folder, self._quota_bytes, self._http, self._counters = folder, quota_bytes, http, counters
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S, jitter)
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._waiting: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        self._worker = Worker("pictures", self._run)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._find_waiting()
        except OSError as error:
            counters.add("pictures_folder_unusable")
            _log.error("no picture can be kept", extra={"path": str(folder), "reason": error.strerror})

    def keep(self, jpeg: bytes, width: int, height: int) -> Snapshot | None:
        """Write it durably; None when it is too large or the disk refuses (counted)."""
        if not 0 < len(jpeg) <= MAX_PICTURE_BYTES:
            self._counters.add("pictures_too_large")
            return None
        if not self._has_room():
            self._counters.add("pictures_refused")
            return None
        name = hashlib.sha256(jpeg).hexdigest()
        snapshot = Snapshot(sha256=name, size_bytes=len(jpeg), width=width, height=height)
        with self._lock:
            if name in self._waiting:
                return snapshot
            if not self._make_room(len(jpeg)):
                self._counters.add("pictures_refused")
                return None
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_durably(self._path(name), jpeg)
        except OSError as error:
            self._counters.add("pictures_not_written")
            _log.warning("a picture cannot be kept", extra={"reason": error.strerror})
            return None
        with self._arrived:
            if name not in self._waiting:
                self._waiting[name] = len(jpeg)
                self._bytes += len(jpeg)
            self._arrived.notify()
        self._counters.add("pictures_kept")
        return snapshot

    @property
    def waiting(self) -> int:
        """How many pictures wait to be sent."""
        with self._lock:
            return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        with self._lock:
            return self._bytes

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 3.0) -> bool:
        self._worker.ask_to_stop()
        with self._arrived:
            self._arrived.notify_all()
        return self._worker.stop(timeout_s)

    @property
    def failure(self) -> str | None:
        return self._worker.failure

    def _find_waiting(self) -> None:
        """What an earlier run left: oldest first; halves of files go."""
        for part in self._folder.glob(".*.part"):
            part.unlink(missing_ok=True)
        for path in sorted(self._folder.glob("*.jpg"), key=lambda path: path.stat().st_mtime_ns):
            self._waiting[path.stem] = path.stat().st_size
            self._bytes += path.stat().st_size

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.jpg"

    def _make_room(self, size_bytes: int) -> bool:
        """Drop the oldest until `size_bytes` more fit; the caller holds the lock."""
        while self._waiting and self._bytes + size_bytes > self._quota_bytes:
            name = next(iter(self._waiting))
            self._counters.add("pictures_dropped")
            self._forget(name)
        return self._bytes + size_bytes <= self._quota_bytes

    def _forget(self, name: str) -> None:
        self._bytes -= self._waiting.pop(name, 0)
        self._path(name).unlink(missing_ok=True)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            with self._arrived:
                if not self._waiting:
                    self._arrived.wait(_IDLE_S)
                name = next(iter(self._waiting), None)
            if name is not None and not self._send(name):
                stopping.wait(self._backoff.next_s())

    def _send(self, name: str) -> bool:
        """Send one; whether to go on at once."""
        try:
            body = self._path(name).read_bytes()
        except OSError:  # dropped for room meanwhile, or unreadable
            self._done(name, "pictures_unreadable")
            return True
        if hashlib.sha256(body).hexdigest() != name:
            self._done(name, "pictures_damaged")
            return True
        try:
            self._http.put(f"{UPLOAD_PATH}/{name}", body, "image/jpeg")
        except HubUnavailable as error:
            if error.status in _REFUSED_FOR_GOOD:
                _log.warning("the hub refuses a picture", extra={"reason": str(error)})
                self._done(name, "pictures_refused_by_hub")
                return True
            self._counters.add("picture_upload_failures")
            self._last_in_line(name)
            return False
        self._backoff.reset()
        self._done(name, "pictures_sent")
        return True

    def _done(self, name: str, counter: str) -> None:
        self._counters.add(counter)
        with self._lock:
            self._forget(name)
        sync_folder(self._folder)

    def _last_in_line(self, name: str) -> None:
        """Let the others go first, should this one alone be the trouble."""
        with self._lock:
            if name in self._waiting:
                self._waiting.move_to_end(name)
