"""How long staff's queries take among many stored events, and how fast events are linked anew.

    python -m benchmarks.linking [--database sqlite|postgresql] [--events 50000000] [--relink 1000000] [--json FILE]

Events of 2,000 doors and `--holders` card holders are put evenly into 365 days, in the order of time, with every index
there from the start. Then 200 different doors' nights, dwellings' weeks and credentials' months, each with its rows as
the routes give them, and the live queue's newest 200, each once: the 95th percentile is told, with whatever the system
has in its cache by then. At last every dwelling of as many holders as have `--relink` events moves to another grid, and
the hub's own relinking deals with what the triggers marked. 50 million events take some 50 GB of disk and hours to
make; begin with fewer.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import insert, select, text, update

from benchmarks.ingest import Filled, database_of, fill_register
from cloud.accounts.scope import WHOLE
from cloud.database.engine import Database
from cloud.database.tables import Door, Gateway, Grid, GridPlace, LinkCorrection
from cloud.ingest.postgresql_store import PostgresqlStore
from cloud.ingest.sqlite_store import SqliteStore
from cloud.linking.queries import Span, credential_events, door_events, dwelling_events
from cloud.linking.relinking import Relinker
from cloud.live.rows import newest, read_rows
from tests.support.events import new_id
from tests.support.stored_events import Scene, stored_events

DOORS, DOORS_A_GATEWAY = 2_000, 20
ASKED = 200
LIMIT = 200
ROWS_A_BATCH = 20_000
TARGET_MS = {"a door's night": 50.0, "a dwelling's week": 50.0, "a credential's month": 50.0, "the live queue": 20.0}
TARGET_RELINK_S = 120.0
T = TypeVar("T")


def fill(database: Database, register: Filled, events: int, end: datetime) -> Scene:
    """The doors and the events."""
    doors = [(f"g{i // DOORS_A_GATEWAY}", f"d{i % DOORS_A_GATEWAY}", register.gate) for i in range(DOORS)]
    with database.write() as connection:
        gateways = {gateway for gateway, _, _ in doors}
        connection.execute(insert(Gateway), [{"id": g, "created_at": end, "session": 0} for g in gateways])
        rows = [{"id": new_id(), "gateway_id": g, "device": d, "place_id": p, "name": d} for g, d, p in doors]
        connection.execute(insert(Door), rows)
    settle(database)
    scene = Scene(doors, [tuple(holder) for holder in register.holders], end - timedelta(days=365), end)
    store = (SqliteStore if database.dialect == "sqlite" else PostgresqlStore)(database)
    for part in batched(stored_events(scene, events), ROWS_A_BATCH):
        store.begin()
        store.insert_events(part)
        store.commit()
    store.close()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if database.dialect == "sqlite" else "VACUUM ANALYZE"))
    return scene


def batched(rows: Iterable[T], count: int) -> Iterator[list[T]]:
    """Lists of so many."""
    iterator = iter(rows)
    while part := list(islice(iterator, count)):
        yield part


def p95_ms(ask: Callable[[int], object], times: int) -> tuple[float, float]:
    """The median and the 95th percentile."""
    took = []
    for i in range(times):
        began = time.perf_counter()
        ask(i)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), statistics.quantiles(took, n=20)[18]


def questions(database: Database, scene: Scene) -> dict[str, Callable[[int], object]]:
    """What is asked, by its name: each number asks for another door, dwelling, credential and time."""

    def span(number: int, days: float) -> Span:
        until = scene.until - timedelta(days=number * 300 / ASKED)
        return Span(until - timedelta(days=days), until)

    def night(number: int) -> object:
        gateway, device, _ = scene.doors[number * 37 % len(scene.doors)]
        with database.read() as connection:
            return door_events(connection, WHOLE, gateway, device, span(number, 0.5), LIMIT)

    def week(number: int) -> object:
        with database.read() as connection:
            dwelling = scene.holders[number * 41 % len(scene.holders)][2]
            return dwelling_events(connection, WHOLE, dwelling, span(number, 7), LIMIT)

    def month(number: int) -> object:
        with database.read() as connection:
            credential = scene.holders[number * 43 % len(scene.holders)][0]
            return credential_events(connection, WHOLE, credential, span(number, 30), LIMIT)

    def queue(_number: int) -> object:
        with database.read() as connection:
            return read_rows(connection, [row.id for row in connection.execute(newest(LIMIT))])

    return dict(zip(TARGET_MS, (night, week, month, queue), strict=True))


def relink(database: Database, scene: Scene, events: int, wanted: int) -> dict[str, object]:
    """Move the dwellings of enough holders to another grid, and link their events anew."""
    holders = scene.holders[: max(1, round(len(scene.holders) * min(1.0, wanted / (events * 13 / 20))))]
    with database.write() as connection:
        grid = connection.scalars(select(Grid.id).order_by(Grid.id.desc())).first()
        for part in batched((holder[2] for holder in holders), 500):
            connection.execute(update(GridPlace).where(GridPlace.place_id.in_(part)).values(grid_id=grid))
    relinker, corrected = Relinker(database, lambda: datetime.now(UTC)), 0
    began, cpu = time.monotonic(), time.process_time()
    while (done := relinker.step()) is not None:
        corrected += done.corrected
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    with database.read() as connection:
        kept = connection.execute(text(f"SELECT count(*) FROM {LinkCorrection.__tablename__}")).scalar_one()
    if kept != corrected:
        raise RuntimeError(f"{corrected} events were corrected and {kept} corrections kept")
    million = took * 1_000_000 / max(corrected, 1)
    verdict = "reached" if million <= TARGET_RELINK_S else "MISSED"
    print(
        f"{database.dialect}: {corrected:,} events of {len(holders):,} dwellings linked anew in {took:.1f} s,"
        f" {cpu:.1f} s of this process's CPU: {million:.0f} s a million (target {TARGET_RELINK_S:.0f} s: {verdict})"
    )
    return {
        "corrected": corrected,
        "seconds": took,
        "cpu_seconds": cpu,
        "seconds_a_million": million,
        "target": TARGET_RELINK_S,
    }


def settle(database: Database) -> None:
    """Deal with the marks that filling the register left: no event is there yet."""
    relinker = Relinker(database, lambda: datetime.now(UTC))
    while relinker.step() is not None:
        pass


def measure(kind: str, events: int, wanted: int, holders: int) -> dict[str, object]:
    """Fill, ask, link anew."""
    result: dict[str, object] = {"database": kind, "events": events, "holders": holders}
    with tempfile.TemporaryDirectory() as name, database_of(kind, Path(name)) as database:
        began = time.monotonic()
        register = fill_register(database, holders)
        scene = fill(database, register, events, datetime.now(UTC))
        print(f"{kind}: {events:,} events stored in {time.monotonic() - began:.0f} s", flush=True)
        for name_, ask in questions(database, scene).items():
            middle, high = p95_ms(ask, ASKED)
            verdict = "reached" if high <= TARGET_MS[name_] else "MISSED"
            print(f"{kind}, {name_}: p50 {middle:.1f} ms, p95 {high:.1f} ms (target {TARGET_MS[name_]:.0f}: {verdict})")
            result[name_] = {"p50_ms": middle, "p95_ms": high, "target_ms": TARGET_MS[name_]}
        result["relinking"] = relink(database, scene, events, wanted)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--relink", type=int, default=1_000_000)
    parser.add_argument("--holders", type=int, default=20_000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    results = [
        measure(kind, options.events, options.relink, options.holders)
        for kind in options.database or ["sqlite", "postgresql"]
    ]
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
