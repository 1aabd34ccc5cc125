"""What to send next: new events at once, a backlog beside them at a bounded rate, and again what got no receipt.

Sans-io: time, rows and receipts are passed in. Three bounds hold: messages the broker has not acknowledged, events the
hub has not receipted, and backlog events a second. Nothing here deletes a row; what was receipted is only forgotten.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edge.outbox import OutboxRow
from protocols.base import MAX_EVENTS_PER_MESSAGE
from protocols.receipts import Receipt
from protocols.topics import EventClass

MAX_BATCH_BYTES = 128 * 1024
RESEND_AFTER_S = 30.0
"""First wait for a receipt; each further wait doubles, with jitter."""
LONGEST_RESEND_S = 600.0
MAX_LIVE_UNACKNOWLEDGED = 40
MAX_BACKLOG_UNACKNOWLEDGED = 4
MAX_LIVE_WITHOUT_RECEIPT = 1000
MAX_BACKLOG_WITHOUT_RECEIPT = 1000
SPILL_EVENTS = 500
"""New events beyond this many unsent ones join the backlog, where a hundred go in a message."""

ReadRows = Callable[[int, int, int], list[OutboxRow]]
"""(first, last, limit) -> committed rows."""


@dataclass
class Message:
    """Events to be sent together, or sent and without a receipt."""

    topic_class: EventClass
    rows: tuple[OutboxRow, ...]
    attempts: int = 0
    due_s: float = 0.0
    packet_id: int | None = None
    waiting: set[int] | None = None
    """Numbers that no receipt has covered yet."""

    @property
    def is_batch(self) -> bool:
        return self.topic_class is EventClass.BATCH

    def body(self) -> bytes:
        """The JSON of `protocols.events.EventMessage`."""
        return b'{"v":1,"events":[' + b",".join(row.body for row in self.rows) + b"]}"


class Lanes:
    """State of one gate opening to the next; `open` begins anew with everything that is still in the outbox.

    Args:
        backlog_per_s: how many backlog events a second may be sent beside the live ones.
        jitter: a number in [0, 1) for each call.
    """

    def __init__(self, read: ReadRows, backlog_per_s: float, jitter: Callable[[], float]) -> None:
        self._read = read
        self._backlog_per_s = backlog_per_s
        self._jitter = jitter
        self._sent: list[Message] = []
        self._is_open = False
        self._live_next = self._backlog_next = 1
        self._backlog_last = 0
        self._credit = 0.0
        self._credit_at_s = 0.0

    def open(self, last_seq: int, now_s: float) -> None:
        """The gate opens: all up to `last_seq` is backlog, what comes later is live."""
        self._sent.clear()
        self._is_open = True
        self._backlog_next, self._backlog_last, self._live_next = 1, last_seq, last_seq + 1
        self._credit, self._credit_at_s = float(MAX_EVENTS_PER_MESSAGE), now_s

    def close(self) -> None:
        """The gate shuts: nothing is sent until it opens again."""
        self._is_open = False
        self._sent.clear()

    @property
    def without_receipt(self) -> int:
        """Events that were sent and that no receipt has covered yet."""
        return sum(len(message.waiting or ()) for message in self._sent)

    @property
    def backlog_is_read(self) -> bool:
        """Whether nothing is left to be read for the backlog."""
        return self._backlog_next > self._backlog_last

    def due(self, last_seq: int, now_s: float) -> list[Message]:
        """What to send now; each is then to be told to `sent`."""
        if not self._is_open:
            return []
        if last_seq - self._live_next + 1 > SPILL_EVENTS:
            self._spill(last_seq)
        messages = self._live(last_seq)
        room = MAX_BACKLOG_UNACKNOWLEDGED - self._unacknowledged(batches=True)
        if room > 0:
            messages += self._again(now_s, room)
        if (batch := self._backlog(now_s, room)) is not None:
            messages.append(batch)
        return messages

    def sent(self, message: Message, packet_id: int, now_s: float) -> None:
        """`message` went out now with this packet id."""
        wait = min(RESEND_AFTER_S * 2**message.attempts, LONGEST_RESEND_S)
        message.due_s = now_s + wait * (0.75 + 0.5 * self._jitter())
        message.attempts += 1
        message.packet_id = packet_id
        if message.waiting is None:
            message.waiting = {row.seq for row in message.rows}
            self._sent.append(message)

    def acknowledged(self, packet_ids: Iterable[int]) -> None:
        """The broker has these messages: room for more, and nothing else."""
        done = set(packet_ids)
        for message in self._sent:
            if message.packet_id in done:
                message.packet_id = None

    def receipted(self, receipt: Receipt) -> int:
        """Forget what a verified receipt covers; how many events that were."""
        count = 0
        for message in self._sent:
            covered = {seq for seq in message.waiting or () if receipt.covers(seq)}
            count += len(covered)
            (message.waiting or set()).difference_update(covered)
        self._sent = [message for message in self._sent if message.waiting]
        return count

    def next_due_s(self, now_s: float) -> float:
        """The moment at which something may become due by itself; far away if nothing can."""
        if not self._is_open or self._unacknowledged(batches=True) >= MAX_BACKLOG_UNACKNOWLEDGED:
            return now_s + 60.0  # an acknowledgement wakes the uplink by itself
        moments = [message.due_s for message in self._sent]
        if not self.backlog_is_read and self._backlog_room() > 0:
            missing = max(MAX_EVENTS_PER_MESSAGE - self._credit, 0.0)
            moments.append(self._credit_at_s + missing / self._backlog_per_s)
        return min(moments, default=now_s + 60.0)

    # --- the live lane -------------------------------------------------------------------------------------------

    def _live(self, last_seq: int) -> list[Message]:
        room = min(
            MAX_LIVE_UNACKNOWLEDGED - self._unacknowledged(batches=False),
            MAX_LIVE_WITHOUT_RECEIPT - self._waiting(batches=False),
        )
        if room <= 0 or self._live_next > last_seq:
            return []
        rows = self._read(self._live_next, last_seq, room)
        self._live_next = rows[-1].seq + 1 if len(rows) == room else last_seq + 1
        return [Message(row.event_class, (row,)) for row in rows]

    def _spill(self, last_seq: int) -> None:
        """More is new than goes one by one: the unsent ones join the backlog."""
        if self.backlog_is_read:
            self._backlog_next = self._live_next
        self._backlog_last, self._live_next = last_seq, last_seq + 1

    # --- the backlog ---------------------------------------------------------------------------------------------

    def _backlog(self, now_s: float, room: int) -> Message | None:
        self._credit = min(
            self._credit + (now_s - self._credit_at_s) * self._backlog_per_s, max(self._backlog_per_s / 4, 100.0)
        )
        self._credit_at_s = now_s
        limit = min(MAX_EVENTS_PER_MESSAGE, self._backlog_room())
        if self.backlog_is_read or room <= 0 or limit <= 0 or self._credit < MAX_EVENTS_PER_MESSAGE:
            return None
        rows = self._read(self._backlog_next, self._backlog_last, limit)
        if not rows:
            self._backlog_next = self._backlog_last + 1
            return None
        rows = _within_bytes(rows)
        self._backlog_next = rows[-1].seq + 1
        self._credit -= len(rows)
        waiting = {seq for message in self._sent for seq in message.waiting or ()}
        unsent = tuple(row for row in rows if row.seq not in waiting)
        return Message(EventClass.BATCH, unsent) if unsent else None

    def _backlog_room(self) -> int:
        return MAX_BACKLOG_WITHOUT_RECEIPT - self._waiting(batches=True)

    def _again(self, now_s: float, room: int) -> list[Message]:
        """Messages whose receipt is overdue, without what was receipted meanwhile."""
        overdue = [message for message in self._sent if message.due_s <= now_s][:room]
        for message in overdue:
            message.rows = tuple(row for row in message.rows if row.seq in (message.waiting or ()))
        return overdue

    def _unacknowledged(self, *, batches: bool) -> int:
        return sum(message.packet_id is not None and message.is_batch == batches for message in self._sent)

    def _waiting(self, *, batches: bool) -> int:
        return sum(len(message.waiting or ()) for message in self._sent if message.is_batch == batches)


def _within_bytes(rows: Sequence[OutboxRow]) -> list[OutboxRow]:
    """The first rows that fit a message; at least one."""
    taken: list[OutboxRow] = []
    size = 0
    for row in rows:
        size += len(row.body) + 1
        if taken and size > MAX_BATCH_BYTES:
            break
        taken.append(row)
    return taken
