"""The worker against real brokers: stores, acknowledges after the commit, receipts, refuses, reconnects."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import func, insert, select

from cloud.broker.embedded import EmbeddedBroker
from cloud.broker.engines import BrokerKind, find_engine
from cloud.database.engine import Database
from cloud.database.tables import DeadLetter, EventRecord, Gateway
from cloud.ingest.batch import Batch, StoredBatch
from cloud.ingest.counters import IngestCounters
from cloud.ingest.handlers import IngestHandlers
from cloud.ingest.reading import MessageReader
from cloud.ingest.worker import IngestWorker, WorkerIdentity
from cloud.ingest.writer import DatabaseOutage, EventWriter
from cloud.signing import HubSigner
from protocols import sealing, topics
from protocols.commands import Ask, Reply, ReplyState, Want
from protocols.presence import GatewayState, Presence
from protocols.receipts import Receipt
from tests.support.databases import new_sqlite
from tests.support.events import NOON, FakeGateway, KnownKeys, opened
from tests.support.mqtt import Probe

DEADLINE_S = 20.0
PASSWORD = "a-gateway's-password-1"


def eventually(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    end = monotonic() + deadline_s
    while not condition():
        assert monotonic() < end, f"not within {deadline_s} s: {what}"
        sleep(0.01)


@dataclass
class Hub:
    """A broker, a database and one gateway's probe; makes workers."""

    broker: EmbeddedBroker
    database: Database
    gateway: FakeGateway
    registry: CollectorRegistry
    signer: HubSigner
    keys: KnownKeys
    workers: list[IngestWorker]
    probes: list[Probe]

    def start_worker(
        self,
        handlers: IngestHandlers | None = None,
        writer: EventWriter | None = None,
        identity: WorkerIdentity | None = None,
        counters: IngestCounters | None = None,
    ) -> IngestWorker:
        worker = IngestWorker(
            self.broker.hub_access,
            MessageReader(self.keys),
            writer or EventWriter(self.database),
            self.signer,
            counters or IngestCounters(self.registry),
            handlers or IngestHandlers(),
            identity or WorkerIdentity(),
        )
        self.workers.append(worker)
        worker.start()
        assert worker.wait_until_subscribed(DEADLINE_S)
        return worker

    def probe(self) -> Probe:
        """The gateway's own connection, listening for receipts."""
        where = self.broker.gateway_access
        probe = Probe(where.host, where.port, self.gateway.name, self.gateway.name, PASSWORD).connect()
        assert probe.subscribe(topics.receipt(self.gateway.name))
        self.probes.append(probe)
        return probe

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"gatehouse_ingest_{name}_total", labels) or 0.0

    def stored(self) -> int:
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(EventRecord)).scalar_one()

    def receipts(self, probe: Probe) -> list[Receipt]:
        """Every receipt that came, its signature checked."""
        topic = topics.receipt(self.gateway.name)
        return [
            Receipt.model_validate_json(sealing.open_with_signature(topic, payload, self._verify))
            for payload in probe.payloads(topic)
        ]

    def _verify(self, key_id: str, message: bytes, signature: bytes) -> bool:
        return key_id == self.signer.key_id and self.signer.sign(message) == signature


@pytest.fixture(params=[BrokerKind.MOSQUITTO, BrokerKind.NATS], ids=["mosquitto", "nats"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedBroker]:
    embedded = EmbeddedBroker(find_engine(request.param), tmp_path / "broker")
    embedded.start()
    yield embedded
    embedded.stop()


def hub_of(broker: EmbeddedBroker, database: Database) -> Iterator[Hub]:
    gateway = FakeGateway("g1")
    with database.write() as connection:
        connection.execute(insert(Gateway).values(id="g1", created_at=NOON, session=0))
    signer = HubSigner(bytes(32))
    hub = Hub(broker, database, gateway, CollectorRegistry(), signer, KnownKeys(gateway), [], [])
    yield hub
    for probe in hub.probes:
        probe.close()
    for worker in hub.workers:
        worker.stop()


@pytest.fixture
def hub(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Hub]:
    """On both brokers, with SQLite: the writer's own tests cover both databases."""
    database = new_sqlite(tmp_path)
    yield from hub_of(broker, database)
    database.close()


@pytest.fixture
def mosquitto_hub(database: Database, tmp_path: Path) -> Iterator[Hub]:
    """On Mosquitto, with both databases."""
    embedded = EmbeddedBroker(find_engine(BrokerKind.MOSQUITTO), tmp_path / "broker")
    embedded.start()
    yield from hub_of(embedded, database)
    embedded.stop()


def let_in(hub: Hub) -> Probe:
    """As the hub does: gateways come in once it has subscribed, for nats keeps nothing that nobody subscribed to."""
    hub.broker.set_gateways({hub.gateway.name: PASSWORD})
    return hub.probe()


def test_events_are_stored_acknowledged_and_receipted(hub: Hub) -> None:
    hub.start_worker()
    probe = let_in(hub)
    for _ in range(30):
        probe.publish(*hub.gateway.message(hub.gateway.event(opened())))
    probe.publish(*hub.gateway.message(*(hub.gateway.event(opened()) for _ in range(20))))
    eventually(lambda: any(receipt.upto == 50 for receipt in hub.receipts(probe)), "a receipt up to 50")
    assert hub.stored() == 50
    assert hub.counted("events_stored") == 50


def test_a_resent_event_is_receipted_again(hub: Hub) -> None:
    hub.start_worker()
    probe = let_in(hub)
    message = hub.gateway.message(hub.gateway.event(opened()))
    probe.publish(*message)
    eventually(lambda: len(hub.receipts(probe)) == 1, "the first receipt")
    probe.publish(*message)
    eventually(lambda: len(hub.receipts(probe)) == 2, "the second receipt")
    assert hub.stored() == 1
    assert hub.counted("events_duplicate") == 1


def test_receipts_are_at_most_ten_a_second(hub: Hub) -> None:
    hub.start_worker()
    probe = let_in(hub)
    began = monotonic()
    while monotonic() - began < 1.5:
        probe.publish(*hub.gateway.message(hub.gateway.event(opened())))
    sent = hub.gateway.last_seq
    eventually(lambda: any(receipt.upto == sent for receipt in hub.receipts(probe)), "the last receipt")
    assert len(hub.receipts(probe)) <= 10 * (monotonic() - began) + 2
    assert sent > len(hub.receipts(probe))


def refusals(gateway: FakeGateway) -> dict[str, tuple[str, bytes]]:
    """A message of each kind that must be refused, by the reason."""
    topic, payload = gateway.message(gateway.event(opened(), seq=900))
    foreign = FakeGateway("g2", key=gateway.key).event(opened(), seq=901)
    nameless = FakeGateway("g1").message(gateway.event(opened(), seq=902))
    newer = gateway.sealed(topic, b'{"v":2,"events":[]}')
    return {
        "bad_signature": (topic, payload[:-2] + b" }"),
        "other_key": nameless,
        "other_gateway": gateway.message(foreign),
        "malformed": gateway.sealed(topic, b"not json"),
        "unsealed": (topic, b'{"v":1,"events":[]}'),
        "oversized": (topic, b"gh1 hmac-sha256 k1 AAAA\n" + b"x" * 300_000),
        "unknown_version": newer,
        "bad_event": gateway.sealed(
            topic, json.dumps({"v": 1, "events": [{"stream": str(gateway.stream), "seq": 1}]}).encode()
        ),
    }


def test_each_bad_message_is_refused_counted_kept_and_stops_nothing(hub: Hub) -> None:
    hub.start_worker()
    probe = let_in(hub)
    bad = refusals(hub.gateway)
    for topic, payload in bad.values():
        probe.publish(topic, payload)
    probe.publish(*hub.gateway.message(hub.gateway.event(opened(), seq=2)))
    eventually(lambda: hub.stored() == 1, "the good event")
    eventually(lambda: sum(hub.counted("refused", reason=r) for r in REASONS) == len(bad), "all counted")
    assert {reason: hub.counted("refused", reason=reason) for reason in REASONS} == {
        "bad_signature": 2,
        "other_gateway": 1,
        "malformed": 2,
        "oversized": 1,
        "unknown_version": 1,
        "bad_event": 1,
    }
    with hub.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(DeadLetter)).scalar() == len(bad)
    eventually(lambda: any(receipt.upto == 2 for receipt in hub.receipts(probe)), "the poison event's receipt")
    assert not any(receipt.covers(900) or receipt.covers(902) for receipt in hub.receipts(probe))


REASONS = ("bad_signature", "other_gateway", "malformed", "oversized", "unknown_version", "bad_event")


def test_a_revoked_gateway_is_refused(hub: Hub) -> None:
    hub.start_worker()
    probe = let_in(hub)
    del hub.keys.gateways["g1"]
    probe.publish(*hub.gateway.message(hub.gateway.event(opened())))
    eventually(lambda: hub.counted("refused", reason="unknown_gateway") == 1, "the refusal")
    assert hub.stored() == 0


def test_answers_questions_and_presence_reach_their_handlers(hub: Hub) -> None:
    replies: list[tuple[str, Reply]] = []
    asks: list[tuple[str, Ask]] = []
    states: list[tuple[str, GatewayState]] = []

    def failing_first(gateway: str, ask: Ask) -> None:
        asks.append((gateway, ask))
        if len(asks) == 1:
            raise RuntimeError("a handler's own fault")

    handlers = IngestHandlers(
        lambda g, reply: replies.append((g, reply)), failing_first, lambda g, state: states.append((g, state))
    )
    hub.start_worker(handlers)
    probe = let_in(hub)
    gateway, corr = hub.gateway, uuid4()
    reply = Reply(corr=corr, state=ReplyState.DONE, time=NOON)
    probe.publish(*gateway.sealed(topics.ask("g1"), Ask(want=Want.CREDENTIALS, have=0).model_dump_json().encode()))
    probe.publish(*gateway.sealed(topics.ask("g1"), Ask(want=Want.CREDENTIALS, have=3).model_dump_json().encode()))
    probe.publish(*gateway.sealed(topics.response("g1", corr), reply.model_dump_json().encode()))
    probe.publish(*gateway.sealed(topics.response("g1", uuid4()), reply.model_dump_json().encode()))
    for state, session in ((Presence.ONLINE, 2), (Presence.OFFLINE, 1)):
        body = GatewayState(state=state, session=session).model_dump_json().encode()
        probe.publish(*gateway.sealed(topics.state("g1"), body), retain=True)
    eventually(lambda: (len(asks), len(replies), len(states)) == (2, 1, 1), "the calls")
    eventually(lambda: hub.counted("presence_stale") == 1, "the old session's will")
    assert [ask.have for _, ask in asks] == [0, 3]
    assert replies == [("g1", reply)]
    assert hub.counted("handler_errors", handler="question") == 1
    assert hub.counted("refused", reason="malformed") == 1
    with hub.database.read() as connection:
        assert connection.execute(select(Gateway.presence)).scalar() == "online"


class FlakyWriter(EventWriter):
    """A writer whose database is away for the first `failures` batches."""

    def __init__(self, database: Database, failures: int) -> None:
        super().__init__(database)
        self.failures = failures

    def store(self, batch: Batch) -> StoredBatch:
        if self.failures:
            self.failures -= 1
            raise DatabaseOutage("the database is away")
        return super().store(batch)


def test_a_batch_waits_for_the_database_and_is_not_acknowledged(hub: Hub) -> None:
    hub.start_worker(writer=FlakyWriter(hub.database, 3))
    probe = let_in(hub)
    probe.publish(*hub.gateway.message(hub.gateway.event(opened())))
    eventually(lambda: hub.stored() == 1, "stored after the outage")
    assert hub.counted("database_outages") == 3


def test_what_a_worker_did_not_store_is_stored_by_the_next(hub: Hub) -> None:
    """The first worker is stopped while its database is away: it acknowledged nothing, so nothing is lost."""
    first = hub.start_worker(writer=FlakyWriter(hub.database, 10**6))
    probe = let_in(hub)
    for _ in range(20):
        probe.publish(*hub.gateway.message(hub.gateway.event(opened())))
    eventually(lambda: hub.counted("database_outages") > 0, "the outage")
    first.stop()
    hub.workers.remove(first)
    hub.start_worker(counters=IngestCounters(CollectorRegistry()))
    eventually(lambda: hub.stored() == 20, "the redelivered events", deadline_s=40)


def test_a_killed_broker_loses_nothing_that_is_sent_again(mosquitto_hub: Hub) -> None:
    hub = mosquitto_hub
    hub.start_worker()
    probe = let_in(hub)
    messages = [hub.gateway.message(hub.gateway.event(opened())) for _ in range(50)]
    for message in messages[:25]:
        probe.publish(*message)
    hub.broker.stop()
    eventually(lambda: not hub.workers[0].subscribed, "the worker noticed")
    hub.broker.start()
    eventually(lambda: hub.workers[0].subscribed, "the worker is back")
    probe = hub.probe()
    for message in messages:
        probe.publish(*message)
    eventually(lambda: any(receipt.upto == 50 for receipt in hub.receipts(probe)), "a receipt for all")
    assert hub.stored() == 50


def test_an_acknowledgement_of_an_older_connection_is_dropped(mosquitto_hub: Hub) -> None:
    """The broker goes while a batch waits for the database; the late acknowledgement must not reach its successor."""
    hub = mosquitto_hub
    writer = FlakyWriter(hub.database, 10**6)
    worker = hub.start_worker(writer=writer)
    probe = let_in(hub)
    probe.publish(*hub.gateway.message(hub.gateway.event(opened())))
    eventually(lambda: hub.counted("database_outages") > 0, "the batch is being tried")
    hub.broker.stop()
    eventually(lambda: not worker.subscribed, "the worker noticed")
    hub.broker.start()
    eventually(lambda: worker.subscribed, "the worker is back")
    writer.failures = 0
    eventually(lambda: hub.counted("late_acks") >= 1, "the late acknowledgement")
    assert hub.stored() == 1


def test_workers_share_one_subscription(mosquitto_hub: Hub) -> None:
    hub = mosquitto_hub
    registries = [CollectorRegistry() for _ in range(3)]
    for number, registry in enumerate(registries, 1):
        hub.start_worker(identity=WorkerIdentity(number, shared=True), counters=IngestCounters(registry))
    probe = let_in(hub)
    for _ in range(150):
        probe.publish(*hub.gateway.message(hub.gateway.event(opened())))
    eventually(lambda: hub.stored() == 150, "all events")

    def shares() -> list[float]:
        return [registry.get_sample_value("gatehouse_ingest_events_stored_total") or 0 for registry in registries]

    eventually(lambda: sum(shares()) == 150, "all counted, which is after the commit")
    assert all(share > 0 for share in shares())
    eventually(lambda: any(receipt.upto == 150 for receipt in hub.receipts(probe)), "one receipt for all")


def test_other_processes_are_woken_after_the_commit(hub: Hub) -> None:
    hub.start_worker()
    access = hub.broker.hub_access
    listener = Probe(access.host, access.port, "console-1", access.username, access.password).connect()
    hub.probes.append(listener)
    assert listener.subscribe(topics.HUB_STORED, qos=0)
    probe = let_in(hub)
    probe.publish(*hub.gateway.message(hub.gateway.event(opened())))
    assert listener.wait_for(topics.HUB_STORED) == b""
    assert hub.stored() == 1


def test_the_stored_body_keeps_fields_that_this_version_does_not_know(mosquitto_hub: Hub) -> None:
    hub = mosquitto_hub
    hub.start_worker()
    probe = let_in(hub)
    event = json.loads(hub.gateway.event(opened()).model_dump_json())
    event["data"]["colour"] = "绿"
    body = json.dumps({"v": 1, "events": [event]}).encode()
    probe.publish(*hub.gateway.sealed(topics.event("g1", topics.EventClass.ACCESS), body))
    eventually(lambda: hub.stored() == 1, "stored")
    with hub.database.read() as connection:
        row = connection.execute(select(EventRecord.id, EventRecord.body)).one()
    assert row.id == UUID(event["id"])
    assert json.loads(row.body) == event
