"""How fast the hub stores events on the register of Anshun while its rules look at each of them.

    python -m benchmarks.city [--database sqlite|postgresql] [--rounds 3] [--scale anshun] [--quick] [--json FILE]

As `benchmarks.ingest` (real Mosquitto, 20 events a message, a baseline of the same rows in each round), on the register
that `gatehouse hub seed` makes, with the alarm engine of a hub in a process of its own, as in a hub with one worker.
Told are events a second until the last is committed, and until the rules have looked at the last; and the memory of
ingest and of the engine after each round.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
from prometheus_client import CollectorRegistry
from sqlalchemy import delete, func, insert, select

from benchmarks.ingest import GATEWAY, Bench, Filled, Holder, out_of_the_collectors_way, running_bench
from cloud.alarms.engine import AlarmEngine
from cloud.alarms.limits import Limits
from cloud.database.engine import Database, open_database
from cloud.database.tables import (
    Credential,
    Door,
    EventMark,
    EventRecord,
    Gateway,
    GridPlace,
    JointUnitPlace,
    Place,
    PlaceKind,
    Residency,
)
from cloud.duty.roster import DutyRoster
from cloud.register.ids import IdMaker
from cloud.register.seed.seeding import seed
from cloud.register.seed.structure import Scale, structure
from cloud.vault import KEY_BYTES, Vault

TARGETS = {"sqlite": 0.40, "postgresql": 0.40}
TARGET_RATE = 5_000
"""Events a second with PostgreSQL, linked and looked at by rules."""
PATIENCE_S = 300.0
_SPREAD = 50_000
"""Holders of cards whose events are made."""


def fill_city(database: Database, scale: Scale) -> Filled:
    """The seeded register, a gateway with the gate of one of its villages, and holders of cards from all over it."""
    now, began = datetime.now(UTC), time.monotonic()
    counts = seed(database, Vault(os.urandom(KEY_BYTES)), structure(scale), now.date())
    print(f"{counts['person']:,} persons made up in {time.monotonic() - began:.0f} s", flush=True)
    with database.write() as connection:
        gate = connection.execute(
            select(Place.id, GridPlace.grid_id)
            .join(GridPlace, GridPlace.place_id == Place.id)
            .where(Place.kind == PlaceKind.ENTRANCE)
            .order_by(Place.code)
            .limit(1)
        ).one()
        connection.execute(insert(Gateway).values(id=GATEWAY, created_at=now, session=0))
        connection.execute(
            insert(Door).values(id=IdMaker()(), gateway_id=GATEWAY, device="d-east", place_id=gate.id, name="E")
        )
        found = connection.execute(
            select(
                Credential.id,
                Residency.person_id,
                Residency.dwelling_id,
                func.coalesce(Residency.household_id, Residency.dwelling_id),
                GridPlace.grid_id,
                JointUnitPlace.joint_unit_id,
            )
            .join(Residency, Residency.person_id == Credential.person_id)
            .join(GridPlace, GridPlace.place_id == Residency.dwelling_id)
            .join(JointUnitPlace, JointUnitPlace.place_id == Residency.dwelling_id)
            .where(Residency.since <= now - timedelta(days=1), Residency.until.is_(None))
        ).all()
    step = max(1, len(found) // _SPREAD)
    return Filled(gate.id, gate.grid_id, [Holder(*row) for row in found[::step]])


def engine_process(pipe: Pipe, url: str) -> None:
    """The alarm engine of a hub, until it is told to stop; says what memory it has when asked."""
    database = open_database(url)
    engine = AlarmEngine(
        database,
        lambda: datetime.now(UTC),
        IdMaker(),
        Limits(),
        DutyRoster(ZoneInfo("Asia/Shanghai")),
        CollectorRegistry(),
    )
    engine.prepare()
    engine.start()
    pipe.send("ready")
    while pipe.recv() == "memory":
        pipe.send(psutil.Process().memory_info().rss)
    engine.stop()
    database.close()


class Engine:
    """The process of the alarm engine, from the outside."""

    def __init__(self, pipe: Pipe, database: Database) -> None:
        self._pipe = pipe
        self._database = database

    def wait_until_all_is_seen(self) -> None:
        """Return when no event is marked any more."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with self._database.read() as connection:
                if connection.execute(select(EventMark.event_id).limit(1)).first() is None:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the rules have not looked at every event after {PATIENCE_S:.0f} s")

    def memory_mib(self) -> float:
        self._pipe.send("memory")
        return float(self._pipe.recv()) / 2**20


@contextmanager
def running_engine(database: Database) -> Iterator[Engine]:
    here, there = multiprocessing.Pipe()
    url = database.engine.url.render_as_string(hide_password=False)
    process = multiprocessing.get_context("spawn").Process(target=engine_process, args=(there, url), daemon=True)
    process.start()
    here.recv()
    yield Engine(here, database)
    here.send("stop")
    process.join(10)


def run_round(bench: Bench, engine: Engine, count: int) -> dict[str, float]:
    """One round: the raw rate, then the hub's with rules at work. The events are taken away again."""
    raw, _ = bench.raw_rate(bench.events(count))
    messages = bench.messages(bench.events(count), 20)
    with bench.worker() as writer, out_of_the_collectors_way():
        bench.publish(messages, None)
        began = time.monotonic()
        if not writer.wait_for(count, PATIENCE_S):
            raise RuntimeError(f"only {writer.count} of {count} events were stored in {PATIENCE_S:.0f} s")
        stored = time.monotonic() - began
        engine.wait_until_all_is_seen()
        seen = time.monotonic() - began
        bench.pipe.recv()
    with bench.database.write() as connection:
        linked = connection.execute(select(func.count(EventRecord.dwelling_id))).scalar_one()
        if linked != count // 2:
            raise RuntimeError(f"{linked} events were linked of {count // 2}")
        connection.execute(delete(EventRecord))
    return {
        "raw": raw,
        "stored": count / stored,
        "seen": count / seen,
        "ratio": count / stored / raw,
        "ingest_mib": psutil.Process().memory_info().rss / 2**20,
        "engine_mib": engine.memory_mib(),
    }


def measure(kind: str, rounds: int, count: int, scale: Scale) -> dict[str, Any]:
    """Each round's rates and memory, and their medians."""
    with running_bench(kind, partial(fill_city, scale=scale)) as bench, running_engine(bench.database) as engine:
        told = []
        for number in range(1, rounds + 1):
            told.append(run_round(bench, engine, count))
            line = "; ".join(f"{name} {value:,.2f}" for name, value in told[-1].items())
            print(f"{kind} round {number}: {line}", flush=True)
    middle = {name: statistics.median(each[name] for each in told) for name in told[0]}
    reached = middle["ratio"] >= TARGETS[kind] and (kind == "sqlite" or middle["stored"] >= TARGET_RATE)
    print(
        f"{kind}: {middle['stored']:,.0f} events a second stored and linked, {middle['ratio']:.0%} of the raw rate, "
        f"{middle['seen']:,.0f} a second until rules had looked at the last "
        f"(target {TARGETS[kind]:.0%}{f' and {TARGET_RATE:,}' if kind == 'postgresql' else ''}: "
        f"{'reached' if reached else 'MISSED'})"
    )
    return {"database": kind, "scale": scale, "events_a_round": count, "rounds": told, "median": middle}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=40_000, help="in a round")
    parser.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.ANSHUN, help="of the register")
    parser.add_argument("--quick", action="store_true", help="a village and one small round: shows that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rounds, count, scale = options.rounds, options.events // 20 * 20, options.scale
    if options.quick:
        rounds, count, scale = 1, 4_000, Scale.VILLAGE
    results = [measure(kind, rounds, count, scale) for kind in options.database or ["sqlite", "postgresql"]]
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
