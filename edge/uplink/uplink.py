"""The uplink's thread: connects, says who is there, sends what the lanes hand out, and reads what the hub sends.

It owns the connection; other threads only put outgoing messages into a bounded queue and wake it. It holds no key of
the hub but the public one, and executes nothing itself: commands and credentials are handed to their own threads.
"""

import logging
import queue
import socket
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from pydantic import ValidationError

from edge.backoff import Backoff
from edge.clock import Clock
from edge.counters import Counters
from edge.identity import Identity
from edge.outbox import Outbox
from edge.uplink.commands import Commands
from edge.uplink.connection import BrokerRefused, BrokerUnreachable, Connection, Incoming, Will
from edge.uplink.credentials import CredentialSync
from edge.uplink.freshness import Freshness
from edge.uplink.lanes import Lanes
from edge.uplink.sent import SentNumbers
from edge.uplink.session import SessionCounter
from edge.worker import Worker
from protocols import topics
from protocols.base import ProtocolError
from protocols.commands import Ask, Reply
from protocols.credentials import POLICY_FORMAT
from protocols.events import ClockState
from protocols.presence import GatewayState, HubState, Presence
from protocols.receipts import Receipt
from protocols.sealing import open_with_signature, seal_with_mac

_log = logging.getLogger(__name__)

HEARTBEAT_S = 30.0
"""How often presence is published again, so that the hub can call a gateway silent after three of them."""
_SOON_S = 1.0
"""A change is told in the presence at most this often."""
_LONGEST_TURN_S = 0.5
_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 30.0
MAX_OUTGOING = 200
"""Answers and questions that wait to be sent. Policy when full: the new one is dropped and counted."""


@dataclass(frozen=True)
class UplinkSettings:
    """`protocol` is "3.1.1" or "5"; `backlog_events_per_s` bounds the backlog beside the live events."""

    protocol: str = "3.1.1"
    backlog_events_per_s: float = 8000.0


@dataclass(frozen=True)
class UplinkStatus:
    """What the console and `/metrics` show.

    `state` is connecting, refused, connected (the hub is away: the outbox is shut), or open.
    """

    state: str
    reason: str
    session: int
    without_receipt: int


class Uplink:
    """Starts and stops the thread.

    Args:
        version: of this software, told at birth.
        jitter: a number in [0, 1) for each call.
        freshness: decides what proves that the hub is there.
    """

    def __init__(
        self,
        identity: Identity,
        outbox: Outbox,
        commands: Commands,
        credentials: CredentialSync,
        session: SessionCounter,
        settings: UplinkSettings,
        clock: Clock,
        clock_state: Callable[[], ClockState],
        version: str,
        jitter: Callable[[], float],
        counters: Counters,
        freshness: Freshness,
    ) -> None:
        self._freshness = freshness
        self._identity, self._outbox, self._commands, self._credentials = identity, outbox, commands, credentials
        self._session, self._settings, self._clock, self._clock_state = session, settings, clock, clock_state
        self._version, self._counters = version, counters
        self._sent = SentNumbers()
        self._lanes = Lanes(outbox.pending, settings.backlog_events_per_s, jitter)
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S, jitter)
        self._outgoing: queue.Queue[tuple[str, bytes, UUID | None]] = queue.Queue(MAX_OUTGOING)
        self._state, self._reason = "connecting", ""
        self._hub_session = 0
        self._told_stream: UUID | None = None
        self._birth_due_s = 0.0
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._worker = Worker("uplink", self._run)
        outbox.on_commit(self.wake)
        commands.answer_with(self.answer)
        credentials.ask_with(self.ask, self.tell_soon)
        gateway = identity.gateway
        self._handlers: dict[str, Callable[[Incoming], None]] = {
            topics.HUB_STATE: self._on_hub_state,
            topics.receipt(gateway): self._on_receipt,
            topics.echo(gateway): freshness.on_echo,
            topics.credential_head(gateway): credentials.on_head,
            topics.credential_delta(gateway): credentials.on_delta,
        }

    # --- for other threads ---------------------------------------------------------------------------------------

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        self._worker.ask_to_stop()
        self.wake()
        return self._worker.stop(timeout_s)

    @property
    def failure(self) -> str | None:
        return self._worker.failure

    def status(self) -> UplinkStatus:
        return UplinkStatus(self._state, self._reason, self._session.current, self._lanes.without_receipt)

    def wake(self) -> None:
        """Make the thread look again at once; never blocks."""
        try:
            self._wake_write.send(b"\0")
        except BlockingIOError:
            return  # it is awake already

    def answer(self, reply: Reply) -> None:
        """Send a command's answer."""
        self._send_later(topics.response(self._identity.gateway, reply.corr), reply.model_dump_json(), reply.corr)

    def ask(self, question: Ask) -> None:
        """Send a question to the hub."""
        self._send_later(topics.ask(self._identity.gateway), question.model_dump_json(), None)

    def tell_soon(self) -> None:
        """Tell the hub soon how this gateway stands, and hear whether it is there and what its time is."""
        self._birth_due_s = min(self._birth_due_s, self._clock.monotonic_s() + _SOON_S)
        self.wake()

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                connection = self._connect()
            except BrokerUnreachable as error:
                self._note_unreachable(error)
                stopping.wait(self._backoff.next_s())
                continue
            try:
                self._serve(connection, stopping)
            finally:
                self._leave(connection)
            if not stopping.is_set():
                self._state, self._reason = "connecting", connection.lost_because or self._reason
                self._counters.add("uplink_lost")
                _log.warning("uplink lost", extra={"reason": self._reason})
                stopping.wait(self._backoff.next_s())

    def _connect(self) -> Connection:
        try:
            session = self._session.next()
        except OSError as error:
            self._counters.add("session_not_kept")
            _log.error("the session number cannot be kept", extra={"reason": str(error)})
            session = self._session.current
        gateway = self._identity.gateway
        topic = topics.state(gateway)
        will = Will(topic, self._sealed(topic, GatewayState(state=Presence.OFFLINE, session=session).model_dump_json()))
        connection = Connection(self._identity.broker, self._settings.protocol, will)
        connection.open()
        self._counters.add("uplink_connected")
        self._state, self._reason = "connected", "waiting for the hub"
        connection.subscribe([*self._handlers, topics.command_filter(gateway)])
        return connection

    def _note_unreachable(self, error: BrokerUnreachable) -> None:
        refused = isinstance(error, BrokerRefused)
        state = "refused" if refused else "connecting"
        if (state, str(error)) != (self._state, self._reason):
            _log.warning("no uplink", extra={"reason": str(error)})
        self._state, self._reason = state, str(error)
        self._counters.add("uplink_refused" if refused else "uplink_unreachable")

    def _serve(self, connection: Connection, stopping: threading.Event) -> None:
        self._birth(connection)
        self._credentials.ask_now()
        stream = self._told_stream
        while connection.is_alive and not stopping.is_set():
            stream = stream or self._outbox.stream
            if self._outbox.stream not in (stream, None):
                self._session.leap()  # what is kept beside the outbox may be as old, or as damaged, as the outbox was
                self._reason = "the outbox began a new stream"
                return
            now_s = self._clock.monotonic_s()
            self._send_due(connection, now_s)
            wait_s = min(self._lanes.next_due_s(now_s), self._birth_due_s) - now_s
            turn = connection.turn(self._wake_read, min(max(wait_s, 0.0), _LONGEST_TURN_S))
            self._lanes.acknowledged(turn.acknowledged)
            for message in turn.messages:
                self._receive(message)

    def _leave(self, connection: Connection) -> None:
        self._lanes.close()
        self._hub_session = 0
        if connection.is_alive:  # a clean goodbye: the broker drops the will, so the gateway says it itself
            topic = topics.state(self._identity.gateway)
            gone = GatewayState(state=Presence.OFFLINE, session=self._session.current).model_dump_json()
            connection.publish(topic, self._sealed(topic, gone), retain=True)
        connection.close()

    def _send_due(self, connection: Connection, now_s: float) -> None:
        while True:
            try:
                topic, body, corr = self._outgoing.get_nowait()
            except queue.Empty:
                break
            connection.publish(topic, self._sealed(topic, body), corr=corr)
        if now_s >= self._birth_due_s or self._told_stream != self._outbox.stream:
            self._birth(connection)
        if self._state == "open" and self._told_stream is not None:
            self._send_events(connection, now_s)

    def _send_events(self, connection: Connection, now_s: float) -> None:
        try:
            messages = self._lanes.due(self._outbox.last_seq, now_s)
        except sqlite3.Error as error:
            self._counters.add("outbox_read_errors")
            _log.error("the outbox cannot be read", extra={"reason": str(error)})
            return
        for message in messages:
            topic = topics.event(self._identity.gateway, message.topic_class)
            packet_id = connection.publish(topic, self._sealed(topic, message.body()))
            if packet_id is None:
                return
            again = message.attempts > 0
            self._lanes.sent(message, packet_id, now_s)
            self._sent.note(self._told_stream, (row.seq for row in message.rows))
            self._counters.add("messages_sent_again" if again else "messages_sent")
            self._counters.add("events_sent", len(message.rows))

    def _birth(self, connection: Connection) -> None:
        topic = topics.state(self._identity.gateway)
        outbox = self._outbox.status()
        if outbox.stream != self._told_stream and self._state == "open":
            self._open_gate()
        self._told_stream = outbox.stream
        state = GatewayState(
            state=Presence.ONLINE,
            session=self._session.current,
            version=self._version,
            stream=outbox.stream,
            outbox_rows=outbox.rows,
            clock=self._clock_state(),
            credentials=self._credentials.applied(),
            policy_format=POLICY_FORMAT,
            nonce=self._freshness.new_nonce(),
        )
        connection.publish(topic, self._sealed(topic, state.model_dump_json()), retain=True)
        self._birth_due_s = self._clock.monotonic_s() + HEARTBEAT_S
        if self._state == "open":  # on a quiet day nothing else tells that an older hub is there
            self._freshness.presume()

    def _open_gate(self) -> None:
        self._lanes.open(self._outbox.last_seq, self._clock.monotonic_s())
        self._state, self._reason = "open", ""
        self._backoff.reset()

    # --- what the hub sends --------------------------------------------------------------------------------------

    def _receive(self, message: Incoming) -> None:
        """Hand a message to who wants it. One that an older hub signed and that is not retained tells that it is there;
        of a retained one the broker alone says when it was sent."""
        handler = self._handlers.get(message.topic, self._commands.receive)
        try:
            handler(message)
            if not message.retained:
                self._freshness.presume()
        except (ProtocolError, ValidationError) as error:
            self._counters.add("messages_refused")
            reason = f"{error.error_count()} faults" if isinstance(error, ValidationError) else str(error)
            _log.warning("message refused", extra={"topic": message.topic, "reason": reason})

    def _on_hub_state(self, message: Incoming) -> None:
        state = HubState.model_validate_json(self._opened(message))
        if state.session < self._hub_session:
            self._counters.add("hub_state_stale")
            return
        self._hub_session = state.session
        if state.state is Presence.ONLINE and self._state != "open":
            self._open_gate()
            self._freshness.presume()
        elif state.state is Presence.OFFLINE:
            self._lanes.close()
            self._state, self._reason = "connected", "the hub is away"

    def _on_receipt(self, message: Incoming) -> None:
        receipt = Receipt.model_validate_json(self._opened(message))
        self._counters.add("receipts")
        if receipt.stream == self._outbox.stream:
            self._counters.add("events_receipted", self._lanes.receipted(receipt))
        self._outbox.acknowledge(receipt, self._sent.part_of(receipt))

    def _opened(self, message: Incoming) -> bytes:
        return open_with_signature(message.topic, message.payload, self._identity.hub_key.verify)

    # --- sending -------------------------------------------------------------------------------------------------

    def _sealed(self, topic: str, body: str | bytes) -> bytes:
        return seal_with_mac(topic, body.encode() if isinstance(body, str) else body, self._identity.mac_key)

    def _send_later(self, topic: str, body: str, corr: UUID | None) -> None:
        try:
            self._outgoing.put_nowait((topic, body.encode(), corr))
        except queue.Full:
            self._counters.add("answers_dropped")
        self.wake()
