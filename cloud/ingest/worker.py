"""One ingest worker: a connection to the broker, and a thread that reads, stores and then acknowledges batches.

An MQTT acknowledgement belongs to the connection that brought the message: after a reconnection a broker may use the
same packet id for another one. So every message carries its connection's number, and an acknowledgement for an older
connection is dropped; the broker sends that message again, and its events are stored already.

The worker never acknowledges what is not committed (or refused for good), and never loses its session at the broker:
its client id is fixed and its session persistent.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from cloud.broker.access import HubAccess
from cloud.ingest.batch import Batch, Intake, StoredBatch
from cloud.ingest.client import BatchingClient, Published
from cloud.ingest.counters import IngestCounters
from cloud.ingest.handlers import HandlerThread, IngestHandlers
from cloud.ingest.inbox import Delivery, Inbox
from cloud.ingest.reading import MessageReader
from cloud.ingest.receipts import ReceiptPacer
from cloud.ingest.writer import DatabaseOutage, EventWriter
from cloud.signing import HubSigner
from protocols import topics
from protocols.events import EVENT_TYPES

LINGER_S = 0.005
"""How long a batch waits for company: one commit for several messages, and nobody notices 5 ms."""

BATCH_MESSAGES = 500
BATCH_BYTES = 2 * 1024 * 1024
"""About 5,000 events or a tenth of a second of a writer's lock, when a backlog comes. Live traffic never gets there."""

_KEEPALIVE_S = 30
_RECONNECT_S = (1, 5)
_BACKOFF_S = (0.1, 5.0)
_STOP_S = 10.0
_SHARE = "$share/hub/"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerIdentity:
    """Which of the hub's workers this is, 1, 2, ...; `shared`: they divide the messages (Mosquitto, EMQX, VerneMQ)."""

    number: int = 1
    shared: bool = False

    @property
    def topic_filter(self) -> str:
        return f"{_SHARE if self.shared else ''}{topics.UP_FILTER}"


class IngestWorker:
    """Consumes, stores, acknowledges, receipts. `start` once, `stop` once."""

    def __init__(
        self,
        access: HubAccess,
        reader: MessageReader,
        writer: EventWriter,
        signer: HubSigner,
        counters: IngestCounters,
        handlers: IngestHandlers = IngestHandlers(),  # noqa: B008 (frozen)
        identity: WorkerIdentity = WorkerIdentity(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._access = access
        self._reader = reader
        self._writer = writer
        self._signer = signer
        self._counters = counters
        self._identity = identity
        self._now = now
        self._handlers = HandlerThread(handlers, counters)
        self._inbox = Inbox(on_full=counters.full_inbox.inc)
        self._pacer = ReceiptPacer()
        self._generation = 0
        self._connection = threading.Lock()
        self._subscribed = threading.Event()
        self._stopping = threading.Event()
        self._client = self._make_client()
        self._thread = threading.Thread(target=self._run, name=f"ingest-{identity.number}", daemon=True)

    @property
    def subscribed(self) -> bool:
        """Whether messages can arrive: connected, and the broker granted the subscription."""
        return self._subscribed.is_set()

    @property
    def alive(self) -> bool:
        """Whether messages are being stored, or will be once broker and database are there."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Connect, now or as soon as the broker is there, and begin to store."""
        self._handlers.start()
        self._thread.start()
        self._client.connect_async(self._access.host, self._access.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    def wait_until_subscribed(self, timeout_s: float) -> bool:
        """Whether the broker granted the subscription in time; gateways may be let in after that."""
        return self._subscribed.wait(timeout_s)

    def stop(self) -> None:
        """Finish the batch that is being stored, then disconnect; the rest stays with the broker."""
        self._stopping.set()
        self._inbox.close()
        self._thread.join(_STOP_S)
        self._client.disconnect()
        self._client.loop_stop()
        self._handlers.stop()
        self._writer.close()

    # --- The connection's thread

    def _make_client(self) -> BatchingClient:
        name = f"hub-worker-{self._identity.number}"
        suffix = f"-{self._access.client_suffix}" if self._access.client_suffix else ""
        client = BatchingClient(name + suffix, self._on_published)
        client.username_pw_set(self._access.username, self._access.password)
        if self._access.ca_file is not None:
            client.tls_set(str(self._access.ca_file), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(10_000)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        return client

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            _logger.error("the broker refuses ingest worker %d: %s", self._identity.number, reason)
            return
        with self._connection:
            self._generation += 1
        self._counters.connects.inc()
        client.subscribe(self._identity.topic_filter, qos=1)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        self._subscribed.clear()
        with self._connection:
            self._generation += 1

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, codes: list[ReasonCode], _properties: Any) -> None:
        if any(code.is_failure for code in codes):
            self._counters.subscription_refused.inc()
            _logger.error("the broker refuses the subscription to %s", self._identity.topic_filter)
            return
        self._subscribed.set()

    def _on_published(self, message: Published) -> None:
        topic, payload, packet_id, qos = message
        self._inbox.put(Delivery(self._generation, packet_id, qos, topic, payload))

    # --- The storing thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait_s = self._pacer.wait_s(time.monotonic())
            if wait_s is not None and not self._subscribed.is_set():
                wait_s = max(wait_s, LINGER_S)  # nothing can be sent yet
            deliveries = self._inbox.take(BATCH_MESSAGES, BATCH_BYTES, LINGER_S, wait_s)
            if deliveries:
                self._handle(deliveries)
            self._send_due_receipts()

    def _handle(self, deliveries: list[Delivery]) -> None:
        intake = Intake()
        for delivery in deliveries:
            self._reader.read(delivery.topic, delivery.payload, intake)
        for answer in intake.answers:
            self._handlers.put(answer)
        for question in intake.questions:
            self._handlers.put(question)
        stored = self._store(intake)
        if stored is None:
            return
        self._acknowledge(deliveries)
        self._pacer.add(stored.receipts)
        if stored.inserted:
            self._client.publish(topics.HUB_STORED, b"", qos=0)
        for said in stored.presence:
            self._counters.presence.labels(said.state.state.value).inc()
            self._handlers.put(said)
        self._count(deliveries, intake, stored)

    def _store(self, intake: Intake) -> StoredBatch | None:
        """Store, however long the database is away; None if the worker stops meanwhile."""
        if not (intake.arrivals or intake.refusals or intake.presence):
            return StoredBatch()
        batch = Batch(self._now(), intake.arrivals, intake.refusals, intake.presence)
        pause_s, longest_s = _BACKOFF_S
        while True:
            try:
                return self._writer.store(batch)
            except DatabaseOutage as error:
                self._counters.outages.inc()
                _logger.error("%s; trying again in %.1f s", error, pause_s)
            if self._stopping.wait(pause_s):
                return None
            pause_s = min(pause_s * 2, longest_s)

    def _acknowledge(self, deliveries: list[Delivery]) -> None:
        """Acknowledge what the present connection brought."""
        with self._connection:
            present = [each for each in deliveries if each.generation == self._generation]
            self._client.ack_all(each.packet_id for each in present if each.qos)
        self._counters.late_acks.inc(len(deliveries) - len(present))

    def _send_due_receipts(self) -> None:
        """Publish what may be sent; while the connection is away it waits and grows no larger than one a stream."""
        if not self._subscribed.is_set():
            return
        for gateway, receipt in self._pacer.due(time.monotonic()):
            topic = topics.receipt(gateway)
            payload = self._signer.seal(topic, receipt.model_dump_json().encode())
            if self._client.publish(topic, payload, qos=1).rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._pacer.add([(gateway, receipt)])
            else:
                self._counters.receipts.inc()

    def _count(self, deliveries: list[Delivery], intake: Intake, stored: StoredBatch) -> None:
        counters = self._counters
        counters.batches.inc()
        counters.messages.inc(len(deliveries))
        counters.stored.inc(len(stored.inserted))
        counters.linked.inc(stored.linked)
        counters.duplicates.inc(stored.duplicates - stored.unstorable)
        counters.stale_presence.inc(len(intake.presence) - len(stored.presence))
        for refusal in intake.refusals:
            counters.refused.labels(refusal.reason.value).inc()
        if stored.unstorable:
            counters.refused.labels("unstorable").inc(stored.unstorable)
        unknown = sum(arrival.type not in EVENT_TYPES for arrival in intake.arrivals)
        counters.unknown_types.inc(unknown)
