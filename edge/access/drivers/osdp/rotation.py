"""Changes of readers' keys while the gateway runs: the files, and who waits for the outcome. The worker does the rest.

Both keys are on disk from before the reader hears of the new one until it has proven which it holds (`key_file.py`). A
worker that is started meanwhile is told both, so that neither its death nor the gateway's, nor a power cut, costs the
key that the reader holds. Keys come from the operating system's generator and are never logged.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.access.config import Reader
from edge.access.drivers.interface import Rotated
from edge.access.drivers.osdp.key_file import KEY_BYTES, KeyFile

OUTCOME_S = 15.0
"""How long somebody waits for the outcome; the change goes on without them."""

_NEWS_SIZE = 16
"""Policy when full: the newest is dropped; a change has four at most."""

_STEPS = {
    "sent": "the new key was sent over the reader's secure channel",
    "taken": "the reader acknowledged it and must now prove it: its channel is opened anew",
    "unanswered": "the reader did not acknowledge it: the gateway finds out which key it holds",
}
_FOLDER_REMEDY = (
    "the reader was not touched. The gateway must be allowed to write in that folder (its owner; ReadWritePaths= of "
    "its systemd unit), or stop it and run this again"
)
_log = logging.getLogger(__name__)
_News = queue.Queue[str | Rotated]


class Rotations:
    """Of one bus.

    Args:
        keys: the key in force of each reader, by its id.
    """

    def __init__(self, readers: Sequence[Reader], keys: Mapping[str, bytes]) -> None:
        self._files = {reader.id: KeyFile(reader.scbk_file) for reader in readers if reader.scbk_file is not None}
        self._keys = dict(keys)
        left = {reader: file.read_pending() for reader, file in self._files.items()}
        self._new = {reader: key for reader, key in left.items() if key is not None}
        """The new keys that a reader may have heard of and has not proven yet."""
        self._waiting: dict[str, _News] = {}
        self._settling: list[threading.Thread] = []
        self._lock, self._disk = threading.Lock(), threading.Lock()

    def keys_of(self, reader: str) -> dict[str, str | None]:
        """What a worker is told of a reader's keys."""
        new = self._new.get(reader)
        return {"key": self._keys[reader].hex(), "new": None if new is None else new.hex()}

    def heard_of(self, reader: str, new: bytes | None) -> None:
        """From now on the reader may hold this key, or certainly not (None: it was not sent after all)."""
        if new is None:
            self._new.pop(reader, None)
        else:
            self._new[reader] = new

    def rotate(self, reader: str, hand_over: Callable[[bytes], bool], say: Callable[[str], None]) -> Rotated:
        """Change a reader's key; returns when the outcome is known, or after `OUTCOME_S`.

        Args:
            hand_over: gives the worker the new key, calling `heard_of`; whether it did.
            say: takes sentences for the person who waits.
        """
        file, news = self._files[reader], _News(_NEWS_SIZE)
        with self._lock:
            if reader in self._waiting or reader in self._new:
                return Rotated(False, _unsettled(reader, file))
            self._waiting[reader] = news
        try:
            return self._rotate(reader, file, news, hand_over, say)
        finally:
            with self._lock:
                del self._waiting[reader]

    def _rotate(
        self, reader: str, file: KeyFile, news: _News, hand_over: Callable[[bytes], bool], say: Callable[[str], None]
    ) -> Rotated:
        new = os.urandom(KEY_BYTES)
        try:
            file.write_pending(new)
        except OSError as error:
            return Rotated(False, f"{file.pending}: {error.strerror or error}; {_FOLDER_REMEDY}")
        say(f"a new key was made; it is kept in {file.pending} until the reader has proven to hold it")
        if not hand_over(new):
            with contextlib.suppress(OSError):
                file.discard()
            return Rotated(False, f"the worker of this reader's bus takes no order now: {_untouched(reader, file)}")
        end_s = time.monotonic() + OUTCOME_S
        while True:
            try:
                heard = news.get(timeout=max(0.0, end_s - time.monotonic()))
            except queue.Empty:
                goes_on = "the gateway goes on trying both, and keeps the one that it holds"
                return Rotated(False, file.may_hold_either(reader) + goes_on)
            if isinstance(heard, Rotated):
                return heard
            say(heard)

    def take(self, report: dict[str, Any]) -> None:
        """Take what the worker reported of a change; never blocks."""
        reader = report["reader"]
        if report["is"] == "rekey" and report["step"] in _STEPS:
            self._tell(reader, _STEPS[report["step"]])
        elif reader in self._new:
            away = report["is"] == "rekey"
            settling = threading.Thread(
                target=self._settle, args=(reader, bool(report.get("new")), away), name=f"osdp-key-{reader}"
            )
            self._settling = [thread for thread in self._settling if thread.is_alive()] + [settling]
            settling.start()

    def stop(self) -> None:
        """Whoever waits learns that the gateway ends; what is settled is on disk when this returns."""
        for reader in list(self._waiting):
            self._tell(reader, Rotated(False, "the gateway ends: " + _unsettled(reader, self._files[reader])))
        for thread in self._settling:
            thread.join()

    def _settle(self, reader: str, is_new: bool, away: bool) -> None:
        """Keep the key that the reader holds, and that one alone. In a thread of its own: a disk may be slow."""
        with self._disk:
            self._keep(reader, is_new, away)

    def _keep(self, reader: str, is_new: bool, away: bool) -> None:
        file, new = self._files[reader], self._new.get(reader)
        if new is None:
            return  # two workers, one after the other, told of the same change
        try:
            if is_new:
                file.confirm()
            else:
                file.discard()
        except OSError as error:
            why = f"{file.path}: {error.strerror or error}"
            _log.error("a reader's key file cannot be changed", extra={"reader": reader, "reason": why})
            which = "its new key" if is_new else "its old key"
            self._tell(reader, Rotated(False, f'reader "{reader}" holds {which}, but {why}; both are still kept'))
            return
        if is_new:
            self._keys[reader] = new
        del self._new[reader]
        _log.info("a change of a reader's key is settled", extra={"reader": reader, "holds_new_key": is_new})
        self._tell(reader, _outcome(reader, file, is_new, away))

    def _tell(self, reader: str, news: str | Rotated) -> None:
        waiting = self._waiting.get(reader)
        if waiting is not None:
            try:
                waiting.put_nowait(news)
            except queue.Full:
                _log.warning("news of a key's change was dropped", extra={"reader": reader})


def _outcome(reader: str, file: KeyFile, is_new: bool, away: bool) -> Rotated:
    if is_new:
        return Rotated(True, file.holds_new(reader))
    if away:
        return Rotated(False, f"the reader is not connected: {_untouched(reader, file)}")
    return Rotated(False, file.holds_old(reader))


def _untouched(reader: str, file: KeyFile) -> str:
    return f'no key was sent, reader "{reader}" holds the one that it held before, and {file.path} was not changed'


def _unsettled(reader: str, file: KeyFile) -> str:
    return (
        f'a change of the key of reader "{reader}" is not settled yet: it holds the key in {file.path} or the one in '
        f"{file.pending}, and both are kept until it shows which"
    )
