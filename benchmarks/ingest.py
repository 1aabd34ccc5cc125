"""How fast the hub stores events: MQTT QoS 1, seal, parse, link, commit, acknowledge, through a real Mosquitto.

    python -m benchmarks.ingest [--database sqlite|postgresql] [--rounds 3] [--holders 1000] [--quick] [--json FILE]

Each round has its own baseline, in the same database and with the same rows, links included, from tuples that are
ready in memory, 500 rows and one commit at a time. On SQLite it is the driver's executemany of `INSERT INTO event (...)
VALUES (...) ON CONFLICT (id) DO NOTHING`; on PostgreSQL it is staged COPY: into a temporary table, then one
`INSERT ... SELECT`. A second process publishes with its own frame writer, at most 1,000 messages unacknowledged. The
medians of the rounds' ratios are printed. Then 1,000 events a second, one in a message, are published at an even pace,
and the time from publishing to the commit is told.
"""

import argparse
import gc
import json
import multiprocessing
import os
import socket
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import func, insert, select

from cloud.broker.access import GatewayAccess
from cloud.broker.embedded import EmbeddedBroker
from cloud.broker.engines import BrokerKind, find_engine
from cloud.database.engine import Database
from cloud.database.tables import (
    Credential,
    Door,
    EventRecord,
    Gateway,
    Grid,
    GridPlace,
    Household,
    JointUnit,
    JointUnitPlace,
    Person,
    Place,
    Residency,
)
from cloud.database.types import to_us
from cloud.ingest.batch import Batch, StoredBatch
from cloud.ingest.counters import IngestCounters
from cloud.ingest.reading import MessageReader
from cloud.ingest.store import EVENT_COLUMNS, EVENT_FIELDS
from cloud.ingest.worker import IngestWorker
from cloud.ingest.writer import EventWriter
from cloud.register.paths import child_path
from cloud.signing import HubSigner
from protocols import topics
from protocols.events import Event, EventMessage
from protocols.sealing import seal_with_mac
from tests.support.databases import new_sqlite, running_cluster
from tests.support.events import FakeGateway, KnownKeys, granted, new_id, opened

GATEWAY = "bench"
PASSWORD = "a-password-for-a-benchmark"
RAW_BATCH = 500
WINDOW = 1000
HOLDERS = 1000
"""Persons with a card and a residency each, so that links are looked up in tables of some size (`--holders`)."""
DWELLINGS_A_UNIT, UNITS_A_GRID = 30, 8
CONNECT, CONNACK, PUBLISH_QOS1, PUBACK, DISCONNECT = 0x10, 0x20, 0x32, 0x40, 0xE0
TARGETS = {
    "sqlite": {"20 a message": 0.50, "1 a message": 0.15},
    "postgresql": {"20 a message": 0.40, "1 a message": 0.15},
}
TARGET_P99_MS = 50.0


STAGING = "CREATE TEMPORARY TABLE raw_event (LIKE event) ON COMMIT DELETE ROWS"


def insert_raw(cursor: Any, rows: Sequence[tuple[object, ...]]) -> None:
    """The baseline on SQLite."""
    cursor.execute("BEGIN IMMEDIATE")
    marks = ", ".join("?" * len(EVENT_FIELDS))
    cursor.executemany(f"INSERT INTO event ({EVENT_COLUMNS}) VALUES ({marks}) ON CONFLICT (id) DO NOTHING", rows)


def copy_raw(cursor: Any, rows: Sequence[tuple[object, ...]]) -> None:
    """The baseline on PostgreSQL."""
    with cursor.copy(f"COPY raw_event ({EVENT_COLUMNS}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    cursor.execute(
        f"INSERT INTO event ({EVENT_COLUMNS}) SELECT {EVENT_COLUMNS} FROM raw_event ORDER BY id"
        " ON CONFLICT (id) DO NOTHING"
    )


# --- The publisher: MQTT 3.1.1 frames written by hand, so that it costs less than what is measured


def frame(head: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, low = divmod(rest, 128)
        length += bytes([low | (128 if rest else 0)])
        if not rest:
            return bytes([head]) + length + body


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def publish_frame(packet_id: int, topic: str, payload: bytes) -> bytes:
    return frame(PUBLISH_QOS1, text(topic) + struct.pack(">H", packet_id) + payload)


class RawPublisher:
    """One connection that publishes ready frames and counts acknowledgements (4 bytes each)."""

    def __init__(self, access: GatewayAccess) -> None:
        self._socket = socket.create_connection((access.host, access.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = text("MQTT") + bytes([4, 0b1100_0010]) + struct.pack(">H", 0)
        self._socket.sendall(frame(CONNECT, head + text(GATEWAY) + text(GATEWAY) + text(PASSWORD)))
        answer = self._socket.recv(4)
        if answer[:1] != bytes([CONNACK]) or answer[3] != 0:
            raise RuntimeError(f"the broker refuses the publisher: {answer!r}")
        self._acknowledged_bytes = 0

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """As fast as the window lets; returns when all are acknowledged by the broker."""
        frames = [publish_frame(1 + i % 65_000, *message) for i, message in enumerate(messages)]
        sent = 0
        while self._acknowledged_bytes < 4 * len(frames):
            room = min(WINDOW - (sent - self._acknowledged_bytes // 4), len(frames) - sent, 50)
            if room > 0:
                self._socket.sendall(b"".join(frames[sent : sent + room]))
                sent += room
            self._read(wait=room <= 0)

    def publish_paced(self, messages: Sequence[tuple[str, bytes]], per_second: float) -> list[float]:
        """At even paces; the monotonic second at which each was handed to the socket."""
        began, moments = time.monotonic(), []
        for i, message in enumerate(messages):
            wait = began + i / per_second - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self._socket.sendall(publish_frame(1 + i % 65_000, *message))
            moments.append(time.monotonic())
            self._read(wait=False)
        return moments

    def close(self) -> None:
        self._socket.sendall(bytes([DISCONNECT, 0]))
        self._socket.close()

    def _read(self, wait: bool) -> None:
        try:
            self._acknowledged_bytes += len(self._socket.recv(65536, 0 if wait else socket.MSG_DONTWAIT))
        except BlockingIOError:
            return


def publisher_process(pipe: Pipe, access: GatewayAccess) -> None:
    """Publishes what comes through the pipe: (messages, events a second or None); answers with the moments."""
    while (order := pipe.recv()) is not None:
        messages, per_second = order
        publisher = RawPublisher(access)
        pipe.send("ready")
        pipe.recv()
        if per_second is None:
            publisher.publish_all(messages)
            pipe.send([])
        else:
            pipe.send(publisher.publish_paced(messages, per_second))
        publisher.close()


# --- The hub


class TimedWriter(EventWriter):
    """Counts what was committed, and with `notes_moments` when."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.notes_moments = False
        self.committed: dict[int, float] = {}
        self.count = 0
        self._awaited: tuple[int, threading.Event] | None = None

    def wait_for(self, count: int, timeout_s: float) -> bool:
        """Whether so many are committed in time; asleep until then, so that it costs what is measured nothing."""
        reached = threading.Event()
        self._awaited = (count, reached)
        return self.count >= count or reached.wait(timeout_s)

    def store(self, batch: Batch) -> StoredBatch:
        stored = super().store(batch)
        if self.notes_moments:
            now = time.monotonic()
            self.committed |= {arrival.seq: now for arrival in batch.arrivals}
        self.count += len(stored.inserted)
        if self._awaited is not None and self.count >= self._awaited[0]:
            self._awaited[1].set()
        return stored


@dataclass
class Bench:
    """A running hub with one gateway, and the process that publishes for it."""

    database: Database
    gateway: FakeGateway
    register: "Filled"
    broker: EmbeddedBroker
    pipe: Pipe

    def events(self, count: int) -> list[Event]:
        """Half of them cards that are linked to a person and a dwelling, half of them doors that open."""
        now = datetime.now(UTC)
        return [
            self.gateway.event(
                granted(self.register.holder(i).card) if i % 2 else opened(), at=now + i * timedelta(microseconds=1)
            )
            for i in range(count)
        ]

    def messages(self, events: Sequence[Event], per_message: int) -> list[tuple[str, bytes]]:
        topic = topics.event(GATEWAY, topics.EventClass.BATCH if per_message > 1 else topics.EventClass.ACCESS)
        bodies = (
            EventMessage(v=1, events=tuple(events[i : i + per_message])).model_dump_json().encode()
            for i in range(0, len(events), per_message)
        )
        return [(topic, seal_with_mac(topic, body, self.gateway.key)) for body in bodies]

    @contextmanager
    def worker(self) -> Iterator[TimedWriter]:
        writer = TimedWriter(self.database)
        keys = KnownKeys(self.gateway)
        counters = IngestCounters(CollectorRegistry())
        worker = IngestWorker(self.broker.hub_access, MessageReader(keys), writer, HubSigner(os.urandom(32)), counters)
        worker.start()
        if not worker.wait_until_subscribed(20):
            raise RuntimeError("the worker cannot subscribe")
        self.broker.set_gateways({GATEWAY: PASSWORD})
        yield writer
        worker.stop()

    def publish(self, messages: Sequence[tuple[str, bytes]], per_second: float | None) -> None:
        """Begin to publish, once the publisher has everything; `pipe.recv()` waits for its end."""
        self.pipe.send((messages, per_second))
        self.pipe.recv()
        self.pipe.send("go")

    def raw_rate(self, events: Sequence[Event]) -> tuple[float, float]:
        """Rows a second, and CPU seconds a row, of the baseline; the rows are taken away again."""
        rows = raw_rows(events, self.register)
        connection = self.database.engine.raw_connection()
        cursor = connection.cursor()
        store = insert_raw if self.database.dialect == "sqlite" else copy_raw
        cursor.execute("SELECT 1" if self.database.dialect == "sqlite" else STAGING)
        connection.commit()
        with out_of_the_collectors_way():
            began, cpu = time.monotonic(), time.process_time()
            for i in range(0, len(rows), RAW_BATCH):
                store(cursor, rows[i : i + RAW_BATCH])
                connection.commit()
            took, cpu = time.monotonic() - began, time.process_time() - cpu
        cursor.execute("DELETE FROM event")
        connection.commit()
        connection.close()
        return len(rows) / took, cpu / len(rows)

    def hub_rate(self, events: Sequence[Event], per_message: int) -> tuple[float, float]:
        """Events a second, and CPU seconds an event of this process, from the first publish to the last commit."""
        messages = self.messages(events, per_message)
        with self.worker() as writer, out_of_the_collectors_way():
            self.publish(messages, None)
            began, cpu = time.monotonic(), time.process_time()
            if not writer.wait_for(len(events), 300):
                raise RuntimeError(f"only {writer.count} of {len(events)} events were stored in 300 s")
            took, cpu = time.monotonic() - began, time.process_time() - cpu
            self.pipe.recv()
        with self.database.write() as connection:
            stored = connection.execute(select(func.count()).select_from(EventRecord)).scalar_one()
            linked = connection.execute(select(func.count(EventRecord.dwelling_id))).scalar_one()
            if (stored, linked) != (len(events), len(events) // 2):
                raise RuntimeError(f"{stored} events stored and {linked} linked of {len(events)}")
            connection.execute(EventRecord.__table__.delete())
        return len(events) / took, cpu / len(events)

    def latency_ms(self, per_second: int, seconds: int) -> tuple[float, float]:
        """p50 and p99 from publishing to the commit, at an even pace."""
        events = self.events(per_second * seconds)
        messages = self.messages(events, 1)
        with self.worker() as writer, out_of_the_collectors_way():
            writer.notes_moments = True
            self.publish(messages, per_second)
            moments = self.pipe.recv()
            writer.wait_for(len(events), 60)
            took = [
                (writer.committed[event.seq] - moment) * 1000 for event, moment in zip(events, moments, strict=True)
            ]
        cuts = statistics.quantiles(took, n=100)
        return cuts[49], cuts[98]


class Holder(NamedTuple):
    """Who holds a card, and what an event of the card is linked to."""

    card: UUID
    person: UUID
    dwelling: UUID
    household: UUID
    grid: UUID
    joint_unit: UUID


@dataclass(frozen=True)
class Filled:
    """What the register holds: the gate of the door with its grid, and the holders."""

    gate: UUID
    grid: UUID
    holders: Sequence[Holder]

    def holder(self, number: int) -> Holder:
        """Whose card the event of this number shows: neighbours do not come one after the other."""
        return self.holders[number * 7919 % len(self.holders)]


@contextmanager
def out_of_the_collectors_way() -> Iterator[None]:
    """The benchmark's own events, which no hub would hold, are not looked through at each garbage collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def raw_rows(events: Sequence[Event], register: Filled) -> list[tuple[object, ...]]:
    """The rows that ingest stores of these events, links included, ready in memory."""
    received_us = to_us(datetime.now(UTC))
    rows: list[tuple[object, ...]] = []
    for i, event in enumerate(events):
        holder = register.holder(i) if i % 2 else None
        row = {
            "id": event.id.hex,
            "gateway_id": event.gateway,
            "stream": event.stream.hex,
            "seq": event.seq,
            "type": event.type,
            "subject": event.subject,
            "time": to_us(event.time),
            "received_at": received_us,
            "place_id": register.gate.hex,
            "grid_id": (holder.grid if holder else register.grid).hex,
            "body": event.model_dump_json(),
        }
        if holder:
            row |= {
                "credential_id": holder.card.hex,
                "person_id": holder.person.hex,
                "dwelling_id": holder.dwelling.hex,
                "household_id": holder.household.hex,
                "joint_unit_id": holder.joint_unit.hex,
            }
        rows.append(tuple(row.get(name) for name in EVENT_FIELDS))
    return rows


def fill_register(database: Database, count: int, to_a_dwelling: int = 1) -> Filled:
    """A gate in a grid, and so many persons, each with a card and a residency, in households that have a dwelling in a
    grid."""
    gate, village, now = new_id(), new_id(), datetime.now(UTC)
    units = [new_id() for _ in range(count // DWELLINGS_A_UNIT + 1)]
    grids = [new_id() for _ in range(len(units) // UNITS_A_GRID + 1)]
    homes = [(new_id(), new_id()) for _ in range(-(-count // to_a_dwelling))]
    holders = [
        Holder(
            new_id(),
            new_id(),
            *homes[i // to_a_dwelling],
            grid=grids[i // to_a_dwelling // DWELLINGS_A_UNIT // UNITS_A_GRID],
            joint_unit=units[i // to_a_dwelling // DWELLINGS_A_UNIT],
        )
        for i in range(count)
    ]
    since = {"since": now - timedelta(days=400)}
    path = child_path(None, village)
    places = [(village, "community"), (gate, "entrance"), *((dwelling, "dwelling") for dwelling, _ in homes)]
    with database.write() as connection:
        connection.execute(insert(Gateway).values(id=GATEWAY, created_at=now, session=0))
        connection.execute(
            insert(Place),
            [
                {
                    "id": id_,
                    "kind": kind,
                    "code": "gate-east" if id_ == gate else id_.hex,
                    "name": "x",
                    "path": path if id_ == village else child_path(path, id_),
                    "parent_id": None if id_ == village else village,
                }
                for id_, kind in places
            ],
        )
        connection.execute(
            insert(Door).values(id=new_id(), gateway_id=GATEWAY, device="d-east", place_id=gate, name="E")
        )
        named = {"name": "x", "place_id": village} | since
        connection.execute(insert(Grid), [{"id": id_, "code": id_.hex, "level": 1} | named for id_ in grids])
        connection.execute(insert(JointUnit), [{"id": id_, "code": id_.hex} | named for id_ in units])
        connection.execute(insert(GridPlace).values(place_id=gate, grid_id=grids[0], **since))
        fill_holders(connection, holders, since)
    return Filled(gate, grids[0], holders)


def fill_holders(connection: DatabaseConnection, holders: Sequence[Holder], since: dict[str, datetime]) -> None:
    """The rows of each holder."""
    rows: dict[type, list[dict[str, object]]] = {}
    housed: set[UUID] = set()
    for card, person, dwelling, household, grid, unit in holders:
        stay = {"id": new_id(), "person_id": person, "dwelling_id": dwelling, "household_id": household}
        of_home = (
            (Household, {"id": household, "code": household.hex, "dwelling_id": dwelling} | since),
            (GridPlace, {"place_id": dwelling, "grid_id": grid} | since),
            (JointUnitPlace, {"place_id": dwelling, "joint_unit_id": unit} | since),
        )
        for table, row in (
            (Person, {"id": person, "name": "x"}),
            (Credential, {"id": card, "person_id": person, "number_sealed": b"", "number_index": card.hex}),
            *(of_home if household not in housed else ()),
            (Residency, stay | {"role": "owner"} | since),
        ):
            rows.setdefault(table, []).append(row)
        housed.add(household)
    for table, values in rows.items():
        connection.execute(insert(table), values)


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[Database]:
    if kind == "sqlite":
        database = new_sqlite(folder)
        yield database
        database.close()
        return
    with running_cluster(durable=True) as cluster:
        database = cluster.new_database()
        yield database
        database.close()


@contextmanager
def running_bench(kind: str, fill: Callable[[Database], Filled]) -> Iterator[Bench]:
    """A hub with an empty database that `fill` puts a register into."""
    with tempfile.TemporaryDirectory() as name, database_of(kind, Path(name)) as database:
        broker = EmbeddedBroker(find_engine(BrokerKind.MOSQUITTO), Path(name) / "broker")
        broker.start()
        here, there = multiprocessing.Pipe()
        publisher = multiprocessing.get_context("spawn").Process(
            target=publisher_process, args=(there, broker.gateway_access), daemon=True
        )
        publisher.start()
        yield Bench(database, FakeGateway(GATEWAY), fill(database), broker, here)
        here.send(None)
        publisher.join(10)
        broker.stop()


def measure(kind: str, rounds: int, count: int, seconds: int, holders: int) -> dict[str, object]:
    """Every round's rates and ratios, and the latency."""
    result: dict[str, object] = {"database": kind, "events_per_round": count, "holders": holders}
    targets = TARGETS[kind]
    rates: dict[str, list[float]] = {name: [] for name in targets}
    ratios: dict[str, list[float]] = {name: [] for name in targets}
    cpu_ratios: dict[str, list[float]] = {name: [] for name in targets}
    with running_bench(kind, partial(fill_register, count=holders)) as bench:
        for number in range(1, rounds + 1):
            raw, raw_cpu = bench.raw_rate(bench.events(count))
            line = f"{kind} round {number}: raw {raw:,.0f} rows/s ({raw_cpu * 1e6:.1f} us CPU)"
            for name, per_message in (("20 a message", 20), ("1 a message", 1)):
                part = count if per_message > 1 else max(count // 4, 1000) // 20 * 20
                rate, cpu = bench.hub_rate(bench.events(part), per_message)
                rates[name].append(rate)
                ratios[name].append(rate / raw)
                cpu_ratios[name].append(cpu / raw_cpu)
                line += f"; {name} {rate:,.0f}/s = {rate / raw:.0%} ({cpu * 1e6:.1f} us CPU)"
            print(line, flush=True)
        p50, p99 = bench.latency_ms(1000, seconds)
    for name, target in targets.items():
        ratio = statistics.median(ratios[name])
        result[name] = {"ratio": ratio, "cpu_ratio": statistics.median(cpu_ratios[name]), "target": target}
        verdict = "reached" if ratio >= target else "MISSED"
        rate = result[f"{name}, a second"] = statistics.median(rates[name])
        print(f"{kind}, {name}: {rate:,.0f} a second, {ratio:.0%} of the raw rate (target {target:.0%}: {verdict})")
    verdict = "reached" if p99 < TARGET_P99_MS else "MISSED"
    print(f"{kind}, 1,000 events/s: publish to commit p50 {p50:.1f} ms, p99 {p99:.1f} ms (target 50 ms: {verdict})")
    result["latency_ms"] = {"p50": p50, "p99": p99, "target_p99": TARGET_P99_MS}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--holders", type=int, default=HOLDERS, help="persons with a card in the register")
    parser.add_argument("--quick", action="store_true", help="one small round: shows that it runs, not how fast it is")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rounds, count, seconds = (1, 4_000, 2) if options.quick else (options.rounds, 40_000, 10)
    kinds = options.database or ["sqlite", "postgresql"]
    results = [measure(kind, rounds, count, seconds, options.holders) for kind in kinds]
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
