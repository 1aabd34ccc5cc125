"""The outbox's one writer thread: group commit, receipts, and what to do when there is no room.

It never holds up whoever records: a door calls `record`, which only puts the observation into a bounded queue. When
the disk refuses, the queue fills, its lowest class is dropped first, and doors go on opening.
"""

import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from edge.clock import Clock, now
from edge.counters import Counters
from edge.observations import Observation
from edge.outbox import room
from edge.outbox.ballast import Ballast
from edge.outbox.encoding import Encoder
from edge.outbox.file import CorruptOutbox, NewRow, OutboxFile, OutboxFull, OutboxReader
from edge.outbox.intake import Entry, Intake
from edge.outbox.rows import OutboxRow
from edge.worker import Worker
from protocols.events import ClockState, GapReason, OutboxGap, SourceRestarted
from protocols.ids import UuidV7Maker
from protocols.receipts import Receipt
from protocols.topics import EventClass

_log = logging.getLogger(__name__)

GROUP_EVENTS = 100
LINGER_S = 0.005
"""How long a first event waits for company before the commit."""
_DELETE_LIMITS = (500, 50, 5)
_IDLE_S = 0.5
_RETRY_S = 1.0
"""How long the writer waits after the disk refused."""
_TELL_DROPS_EVERY_S = 10.0
"""Events that were dropped before they had a number are told at most this often."""
_HOLD_BALLAST_EVERY_S = 30.0


@dataclass(frozen=True)
class OutboxLimits:
    """Bounds of the outbox. `queue_events` bounds what waits in memory for the disk."""

    quota_bytes: int = 256 * 1024 * 1024
    ballast_bytes: int = 8 * 1024 * 1024
    queue_events: int = 10_000


@dataclass(frozen=True)
class OutboxStatus:
    """What the console and `/metrics` show. `state` is ok, disk_full, stopped or failed."""

    state: str
    stream: UUID
    rows: int
    last_seq: int
    waiting: int
    size_bytes: int
    dropped_in_memory: int


class Outbox:
    """Opens the file at once, so that a fault of the disk is known at the start; `start` begins writing.

    Args:
        folder: holds `outbox.db` and the ballast.
        gateway: this gateway's id.
        place: the place code of events about the gateway itself.
        limits: bounds; see `OutboxLimits`.
        clock_state: whether the wall clock is synchronised.
        random_bytes: a CSPRNG.

    Raises:
        OSError, sqlite3.Error: if the folder cannot be used at all. A damaged file is moved aside instead.
    """

    def __init__(
        self,
        folder: Path,
        gateway: str,
        place: str,
        limits: OutboxLimits,
        clock: Clock,
        clock_state: Callable[[], ClockState],
        random_bytes: Callable[[int], bytes],
        counters: Counters,
    ) -> None:
        self._path = folder / "outbox.db"
        self._gateway, self._place, self._limits, self._clock = gateway, place, limits, clock
        self._counters = counters
        self._new_id = UuidV7Maker(clock.wall_s, random_bytes)
        self._encoder = Encoder(gateway, self._new_id, clock_state)
        self._intake = Intake(limits.queue_events)
        self._ballast = Ballast(folder / "ballast", limits.ballast_bytes)
        self._carried: list[Entry] = []
        self._receipts: list[Receipt] = []
        self._untold: Counter[EventClass] = Counter()
        self._next_tell_s = self._next_hold_s = 0.0
        self._state = "ok"
        self._listeners: list[Callable[[], None]] = []
        self._reader_lock = threading.Lock()
        self._file = self._opened()
        self._reader = OutboxReader(self._path)
        self._worker = Worker("outbox", self._run)

    # --- for everybody -------------------------------------------------------------------------------------------

    def record(self, observation: Observation) -> None:
        """Take an observation. Never blocks and never raises (`edge.observations.Recorder`)."""
        self._intake.put(observation)

    __call__ = record

    def put(self, observation: Observation, timeout_s: float = 10.0) -> int:
        """Take an observation and wait until it is durable; its number in the stream.

        Raises:
            TimeoutError: if the disk did not take it in time.
            OverflowError: if it was dropped because there was no room.
            ValueError: if it makes no valid event.
        """
        number: Future[int] = Future()
        self._intake.put(observation, number)
        return number.result(timeout_s)

    def acknowledge(self, receipt: Receipt) -> None:
        """Delete, soon, what the hub's verified receipt covers. A receipt for another stream deletes nothing."""
        if receipt.stream != self._file.stream:
            self._counters.add("receipts_of_another_stream")
        elif max(receipt.upto, *(last for _, last in receipt.also), 0) > self._file.last_seq:
            self._counters.add("receipts_beyond_last")
            _log.error("a receipt names events that this outbox never made", extra={"upto": receipt.upto})
        else:
            self._intake.put_receipt(receipt)

    def pending(self, first: int, last: int, limit: int) -> list[OutboxRow]:
        """Committed rows numbered `first` to `last`, rising, at most `limit`.

        Raises:
            sqlite3.Error: if the file cannot be read.
        """
        with self._reader_lock:
            return self._reader.rows(first, last, limit)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` from the writer thread after each commit of events; it must not block."""
        self._listeners.append(listener)

    @property
    def stream(self) -> UUID:
        return self._file.stream

    @property
    def last_seq(self) -> int:
        """The highest number committed so far."""
        return self._file.last_seq

    def status(self) -> OutboxStatus:
        file = self._file
        size = sum(_size_bytes(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal"))
        state = self._state if self._worker.is_alive else "failed" if self.failure else "stopped"
        return OutboxStatus(
            state, file.stream, file.rows, file.last_seq, self._intake.waiting, size, self._intake.total_dropped
        )

    # --- for the supervisor --------------------------------------------------------------------------------------

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Commit what was recorded, then stop; whether that was done in time."""
        self._intake.close()
        return self._worker.stop(timeout_s)

    def close(self) -> None:
        """Close the file, after `stop`."""
        with self._reader_lock:
            self._reader.close()
            self._file.checkpoint()
            self._file.close()

    @property
    def failure(self) -> str | None:
        return self._worker.failure

    # --- the writer thread ---------------------------------------------------------------------------------------

    def _run(self, stopping: threading.Event) -> None:
        while True:
            if not self._carried:
                work = self._intake.take(GROUP_EVENTS, _IDLE_S, LINGER_S)
                self._carried = work.entries
                self._receipts.extend(one for one in work.receipts if one.stream == self._file.stream)
            if self._carried or self._receipts:
                self._write(stopping)
            elif stopping.is_set():
                return
            if stopping.is_set() and self._state != "ok":
                return  # the disk refuses; what it has taken is safe
            self._look_after_room()

    def _write(self, stopping: threading.Event) -> None:
        try:
            self._commit_or_make_room(stopping)
        except (CorruptOutbox, sqlite3.ProgrammingError) as error:  # damaged, or closed by a reopening that failed
            self._begin_again(error, stopping)
        except sqlite3.Error as error:
            self._refused("write_errors", str(error), stopping)

    def _commit_or_make_room(self, stopping: threading.Event) -> None:
        try:
            self._commit()
        except OutboxFull:
            self._make_room(stopping)
        else:
            self._state = "ok"

    def _commit(self) -> None:
        rows, numbered = self._encoded(self._carried)
        self._carried = [entry for entry, _ in numbered]
        more = self._file.append(rows, self._receipts)
        self._receipts = self._receipts if more else []
        for entry, row in numbered:
            if entry.number is not None:
                entry.number.set_result(row.seq)
        self._carried = []
        if rows:
            self._counters.add("events_committed", len(rows))
            for listener in self._listeners:
                listener()

    def _encoded(self, entries: Sequence[Entry]) -> tuple[list[NewRow], list[tuple[Entry, NewRow]]]:
        numbered: list[tuple[Entry, NewRow]] = []
        for entry in entries:
            try:
                row = self._encoder.row(entry.observation, self._file.stream, self._file.last_seq + 1 + len(numbered))
            except (ValueError, OverflowError, OSError) as error:
                self._counters.add("events_malformed")
                _log.error("an observation makes no event", extra={"device": entry.observation.device})
                if entry.number is not None and not entry.number.done():
                    entry.number.set_exception(ValueError(str(error)))
            else:
                numbered.append((entry, row))
        return [row for _, row in numbered], numbered

    def _make_room(self, stopping: threading.Event) -> None:
        """The quota or the disk is full: drop incoming events that are worth least, else the oldest stored ones."""
        reason = GapReason.QUOTA
        if self._ballast.free_bytes() < self._limits.ballast_bytes:
            reason = GapReason.DISK_FULL
            self._give_up_ballast()
        self._untold += self._intake.take_dropped()
        try:
            if self._delete_receipted() or self._drop_incoming():
                return
            dropped = room.drop_oldest(self._file, reason, self._untold, self._gap_row)
        except OutboxFull:
            self._refused("disk_full" if reason is GapReason.DISK_FULL else "quota_full", str(reason), stopping)
            return
        self._untold = Counter()
        self._counters.add("events_dropped", dropped.count)
        _log.warning("outbox full: events dropped", extra={"reason": str(reason), "count": dropped.count})
        if reason is GapReason.DISK_FULL:
            self._file.checkpoint()

    def _give_up_ballast(self) -> None:
        if self._ballast.is_held:
            _log.error("the disk is full: the ballast is given up", extra={"path": str(self._path.parent)})
            self._counters.add("ballast_released")
            self._ballast.release()
        self._file.checkpoint()
        self._file.freeze()
        self._next_hold_s = self._clock.monotonic_s() + _HOLD_BALLAST_EVERY_S

    def _delete_receipted(self) -> bool:
        """Before anything is dropped: delete what the hub has, in parts that fit the room there is; whether any did."""
        if not self._receipts:
            return False
        for limit in _DELETE_LIMITS:
            try:
                more = self._file.append((), self._receipts, limit)
            except OutboxFull:
                self._file.checkpoint()
                continue
            self._receipts = self._receipts if more else []
            return True
        if not self._carried:
            raise OutboxFull("no room even to delete")
        return False

    def _drop_incoming(self) -> bool:
        """Drop those of the waiting group that are worth less than all that is stored; whether there were any."""
        hopeless = room.split_hopeless(self._file, [entry.priority for entry in self._carried])
        gone = [entry for entry, lost in zip(self._carried, hopeless, strict=True) if lost]
        self._carried = [entry for entry, lost in zip(self._carried, hopeless, strict=True) if not lost]
        for entry in gone:
            self._untold[entry.observation.data.EVENT_CLASS] += 1
            if entry.number is not None:
                entry.number.set_exception(OverflowError("the outbox is full of events that are worth more"))
        self._counters.add("events_dropped", len(gone))
        return bool(gone)

    def _refused(self, counter: str, reason: str, stopping: threading.Event) -> None:
        """Nothing can be written now: keep the group, wait a little, go on."""
        if self._state == "ok":
            _log.error("the outbox cannot write; doors go on", extra={"reason": reason})
        self._state = "disk_full"
        self._counters.add(f"outbox_{counter}")
        stopping.wait(_RETRY_S)

    def _look_after_room(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_hold_s:
            self._next_hold_s = now_s + _HOLD_BALLAST_EVERY_S
            if self._ballast.hold():
                self._file.set_quota(self._limits.quota_bytes)
        if now_s < self._next_tell_s:
            return
        self._next_tell_s = now_s + _TELL_DROPS_EVERY_S
        self._untold += self._intake.take_dropped()
        if self._untold:
            self._tell_dropped()

    def _tell_dropped(self) -> None:
        try:
            room.tell_unnumbered(self._file, GapReason.QUOTA, self._untold, self._gap_row)
        except (OutboxFull, CorruptOutbox, sqlite3.Error):
            return  # told later; the next write meets the same fault and deals with it
        self._untold = Counter()
        for listener in self._listeners:
            listener()

    def _gap_row(self, gap: OutboxGap, seq: int) -> NewRow:
        observation = Observation(self._gateway, self._place, gap, now(self._clock))
        return self._encoder.row(observation, self._file.stream, seq)

    # --- opening -------------------------------------------------------------------------------------------------

    def _opened(self) -> OutboxFile:
        """Open the file. If it is damaged, move it aside and begin a new stream; if the disk is full, give it room."""
        try:
            return self._new_file()
        except CorruptOutbox as error:
            aside = self._move_aside()
            self._counters.add("outbox_corrupt")
            _log.error("outbox damaged: moved aside, a new stream begins", extra={"aside": aside.name})
            reason = f"{self._path.name} was damaged ({error}); moved aside as {aside.name}, a new stream begins"
            told = SourceRestarted(source="outbox", reason=reason[:300], attempt=1)
            self._intake.put(Observation(self._gateway, self._place, told, now(self._clock)))
        except (OutboxFull, sqlite3.OperationalError):  # SQLite's index of the log needs 32 KiB before anything
            if not self._ballast.is_held:
                raise
            self._counters.add("ballast_released")
            self._ballast.release()
        return self._new_file()

    def _new_file(self) -> OutboxFile:
        return OutboxFile(self._path, self._limits.quota_bytes, self._new_id())

    def _move_aside(self) -> Path:
        aside = self._path.with_name(f"{self._path.name}.corrupt-{int(self._clock.wall_s())}")
        for suffix in ("", "-wal", "-shm"):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        return aside

    def _begin_again(self, error: Exception, stopping: threading.Event) -> None:
        _log.error("outbox damaged while open", extra={"reason": str(error)})
        with self._reader_lock:
            former = self._file
            self._reader.close()
            former.close()
            try:
                self._file = self._opened()
                self._reader = OutboxReader(self._path)
            except (OutboxFull, CorruptOutbox, OSError, sqlite3.Error) as fault:
                self._refused("reopen_errors", str(fault), stopping)
                return
        if self._file.stream != former.stream:
            self._receipts.clear()  # they are for numbers of the former stream


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # not there, or moved aside at this moment
        return 0
