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
from pathlib import Path
from uuid import UUID

from edge.clock import Clock, now
from edge.counters import Counters
from edge.observations import Observation
from edge.outbox import room
from edge.outbox.ballast import Ballast
from edge.outbox.encoding import Encoder, moved
from edge.outbox.file import CorruptOutbox, NewRow, OutboxFile, OutboxFull
from edge.outbox.intake import Entry, Intake
from edge.outbox.rows import OutboxRow
from edge.outbox.status import OutboxLimits, OutboxStatus
from edge.outbox.storage import FAULTS, Storage
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


class Outbox:
    """Opens the file at once if the disk allows it, else as soon as it does; `start` begins writing.

    Whatever the disk does, observations are taken: they wait in the bounded queue.

    Args:
        folder: holds `outbox.db` and the ballast.
        gateway: this gateway's id.
        place: the place code of events about the gateway itself.
        limits: bounds; see `OutboxLimits`.
        clock_state: whether the wall clock is synchronised.
        random_bytes: a CSPRNG.
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
        self._state, self._reason = "ok", ""
        self._gap_reason = GapReason.QUOTA
        self._left: UUID | None = None
        """The stream that is to be left, since the hub has other events under its numbers."""
        self._listeners: list[Callable[[], None]] = []
        self._storage = Storage(
            folder / "outbox.db", limits.quota_bytes, self._ballast, self._new_id, clock.wall_s, counters
        )
        self._worker = Worker("outbox", self._run)
        try:
            self._open()
        except FAULTS as error:
            self._note_refusal("open_errors", error)

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

    def acknowledge(self, receipt: Receipt, sent: Receipt | None = None) -> None:
        """Delete, soon, what the hub's verified receipt covers. A receipt for another stream deletes nothing.

        One that names numbers which this file never gave shows that the file is an older copy, put back: the hub has
        other events under those numbers. Then all that waits is numbered anew in a new stream, and nothing is deleted.

        Args:
            sent: the part of the receipt that was sent since the start, if less than all of it may be deleted.
        """
        file = self._storage.file
        if file is None or receipt.stream != file.stream:
            self._counters.add("receipts_of_another_stream")
        elif max(receipt.upto, *(last for _, last in receipt.also), 0) > file.last_seq:
            self._counters.add("receipts_beyond_last")
            self._left = receipt.stream
        elif self._left != receipt.stream:
            self._intake.put_receipt(receipt if sent is None else sent)

    def pending(self, first: int, last: int, limit: int) -> list[OutboxRow]:
        """Committed rows numbered `first` to `last`, rising, at most `limit`; none while there is no file.

        Raises:
            sqlite3.Error: if the file cannot be read.
        """
        return self._storage.rows(first, last, limit)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` from the writer thread after each commit of events; it must not block."""
        self._listeners.append(listener)

    @property
    def stream(self) -> UUID | None:
        """The stream of what is numbered now; None while the file cannot be opened."""
        file = self._storage.file
        return file.stream if file is not None else None

    @property
    def last_seq(self) -> int:
        """The highest number committed so far; 0 while the file cannot be opened."""
        file = self._storage.file
        return file.last_seq if file is not None else 0

    def status(self) -> OutboxStatus:
        file = self._storage.file
        stream, rows, last_seq = (file.stream, file.rows, file.last_seq) if file is not None else (None, 0, 0)
        state, reason = self._state, self._reason
        if not self._worker.is_alive:
            state, reason = ("failed", self.failure) if self.failure else ("stopped", "")
        waiting, dropped = self._intake.waiting, self._intake.total_dropped
        return OutboxStatus(state, reason, stream, rows, last_seq, waiting, self._storage.size_bytes(), dropped)

    # --- for the supervisor --------------------------------------------------------------------------------------

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Commit what was recorded, then stop; whether that was done in time."""
        self._intake.close()
        return self._worker.stop(timeout_s)

    def close(self) -> None:
        """Close the file, after `stop`."""
        self._storage.close()

    @property
    def failure(self) -> str | None:
        return self._worker.failure

    # --- the writer thread ---------------------------------------------------------------------------------------

    def _run(self, stopping: threading.Event) -> None:
        while True:
            if self._storage.file is None and not self._open_again(stopping):
                if stopping.is_set():
                    return  # what waits was never numbered, and there is nowhere to put it
                continue
            if not self._carried:
                work = self._intake.take(GROUP_EVENTS, _IDLE_S, LINGER_S)
                self._carried = work.entries
                self._receipts.extend(one for one in work.receipts if one.stream == self._file.stream)
            if self._left == self._file.stream:
                self._write(stopping, self._leave_stream)
            if self._carried or self._receipts:
                self._write(stopping, self._commit)
            elif stopping.is_set():
                return
            if stopping.is_set() and self._state != "ok":
                return  # the disk refuses; what it has taken is safe
            self._look_after_room()

    def _write(self, stopping: threading.Event, change: Callable[[], None]) -> None:
        try:
            self._change_or_make_room(stopping, change)
        except CorruptOutbox as error:
            _log.error("outbox damaged while open", extra={"reason": str(error)})
            self._open_again(stopping)
        except sqlite3.Error as error:
            self._refused("write_errors", error, stopping)

    def _change_or_make_room(self, stopping: threading.Event, change: Callable[[], None]) -> None:
        try:
            change()
        except OutboxFull:
            self._make_room(stopping)
        else:
            self._state, self._reason = "ok", ""

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

    def _leave_stream(self) -> None:
        former, stream = self._file.stream, self._new_id()
        self._file.restart(stream, moved)
        self._receipts.clear()  # they are for numbers of the former stream
        rows = self._file.rows
        self._counters.add("outbox_put_back")
        _log.error(
            "the hub has events that this outbox never made: an older copy of the state folder was put back; "
            "a new stream begins",
            extra={"former": str(former), "stream": str(stream), "rows": rows},
        )
        self._tell_restarted(
            f"the hub has events of stream {former} that this outbox never made: an older copy of the state folder "
            f"was put back; {rows} waiting events go on in a new stream"
        )
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
        except OutboxFull as error:
            self._refused("disk_full" if reason is GapReason.DISK_FULL else "quota_full", error, stopping)
            return
        self._untold = Counter()
        self._counters.add("events_dropped", dropped.count)
        _log.warning("outbox full: events dropped", extra={"reason": str(reason), "count": dropped.count})
        if reason is GapReason.DISK_FULL:
            self._file.checkpoint()

    def _give_up_ballast(self) -> None:
        if self._ballast.is_held:
            _log.error("the disk is full: the ballast is given up", extra={"path": str(self._storage.path.parent)})
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

    def _refused(self, counter: str, error: Exception, stopping: threading.Event) -> None:
        """Nothing can be written now: keep the group, wait a little, go on."""
        self._note_refusal(counter, error)
        stopping.wait(_RETRY_S)

    def _note_refusal(self, counter: str, error: Exception) -> None:
        state = "disk_full" if self._storage.is_for_want_of_room(error) else "failed"
        if self._state != state:
            _log.error("the outbox cannot write; doors go on", extra={"state": state, "reason": str(error)})
        self._state, self._reason = state, f"{self._storage.path}: {error}"
        self._gap_reason = GapReason.DISK_FULL
        self._counters.add(f"outbox_{counter}")

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
            room.tell_unnumbered(self._file, self._gap_reason, self._untold, self._gap_row)
        except (OutboxFull, CorruptOutbox, sqlite3.Error):
            return  # told later; the next write meets the same fault and deals with it
        self._untold, self._gap_reason = Counter(), GapReason.QUOTA
        for listener in self._listeners:
            listener()

    def _gap_row(self, gap: OutboxGap, seq: int) -> NewRow:
        observation = Observation(self._gateway, self._place, gap, now(self._clock))
        return self._encoder.row(observation, self._file.stream, seq)

    # --- opening -------------------------------------------------------------------------------------------------

    @property
    def _file(self) -> OutboxFile:
        """The open file, for the writer alone: it works on nothing while there is none."""
        if self._storage.file is None:
            raise sqlite3.OperationalError("the outbox is not open")
        return self._storage.file

    def _open(self) -> None:
        damaged = self._storage.open()
        if damaged is not None:
            self._tell_restarted(damaged)

    def _open_again(self, stopping: threading.Event) -> bool:
        """Open the file, or open it anew; whether it is open now."""
        former = self.stream
        try:
            self._open()
        except FAULTS as fault:
            self._refused("open_errors", fault, stopping)
            return False
        if self._state != "ok":
            _log.warning("the outbox is open", extra={"last_seq": self.last_seq})
        self._state, self._reason = "ok", ""
        if self.stream != former:
            self._receipts.clear()  # they are for numbers of the former stream
        for listener in self._listeners:
            listener()
        return True

    def _tell_restarted(self, reason: str) -> None:
        told = SourceRestarted(source="outbox", reason=reason[:300], attempt=1)
        self._intake.put(Observation(self._gateway, self._place, told, now(self._clock)))
