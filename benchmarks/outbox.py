"""Put and drain rates of the gateway's outbox, as ratios to raw SQLite commits on the same disk in the same run.

    python -m benchmarks.outbox [--rounds 5] [--folder DIR]

Raw baselines, both WAL and synchronous=FULL with the outbox's own table: one row a commit, and 100 rows a commit. A
ratio above 1 against the first is what group commit brings; the ratio to the second is what numbering, validating and
encoding an event cost.
"""

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge.clock import SystemClock, now
from edge.counters import Counters
from edge.observations import Observation
from edge.outbox import Outbox, OutboxLimits
from protocols.access_events import DoorOpened, ReleaseCause
from protocols.events import ClockState
from protocols.receipts import Receipt

EVENTS = 6000
WRITERS = 32
BODY = b"x" * 480
"""About the size of an encoded event."""
_INSERT = "INSERT INTO outbox (id, class, prio, created_ms, body) VALUES (?, 'access', 1, 0, ?)"


def observation() -> Observation:
    return Observation("d-east", "gate-east", DoorOpened(cause=ReleaseCause.CREDENTIAL), now(SystemClock()))


def new_outbox(folder: Path) -> Outbox:
    limits = OutboxLimits(queue_events=EVENTS + WRITERS)
    outbox = Outbox(
        folder, "gw-bench", "site", limits, SystemClock(), lambda: ClockState.SYNCED, os.urandom, Counters()
    )
    outbox.start()
    return outbox


def raw_connection(folder: Path) -> sqlite3.Connection:
    outbox = new_outbox(folder)  # makes the same tables and index
    outbox.stop()
    outbox.close()
    connection = sqlite3.connect(folder / "outbox.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def raw_rate(folder: Path, rows_per_commit: int) -> float:
    """Rows a second of plain sqlite3."""
    connection = raw_connection(folder)
    rows = EVENTS if rows_per_commit > 1 else EVENTS // 6
    begun = time.perf_counter()
    for _ in range(rows // rows_per_commit):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT, [(os.urandom(16), BODY) for _ in range(rows_per_commit)])
        connection.execute("COMMIT")
    rate = rows / (time.perf_counter() - begun)
    connection.close()
    return rate


def put_rate(folder: Path) -> float:
    """Durable puts a second: writers that each wait until their event is on the disk."""
    outbox = new_outbox(folder)
    seen = observation()

    def write() -> None:
        for _ in range(EVENTS // WRITERS):
            outbox.put(seen, 60)

    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    begun = time.perf_counter()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rate = EVENTS / (time.perf_counter() - begun)
    outbox.stop()
    outbox.close()
    return rate


def record_rate(folder: Path) -> float:
    """Events a second from `record`, as doors and cameras call it, until all are on the disk."""
    outbox = new_outbox(folder)
    seen = observation()
    begun = time.perf_counter()
    for _ in range(EVENTS - 1):
        outbox.record(seen)
    outbox.put(seen, 60)
    rate = EVENTS / (time.perf_counter() - begun)
    outbox.stop()
    outbox.close()
    return rate


def drain_rate(folder: Path) -> float:
    """Events a second read in batches of 100 and deleted by receipt."""
    outbox = new_outbox(folder)
    for _ in range(EVENTS - 1):
        outbox.record(observation())
    last = outbox.put(observation(), 60)
    begun = time.perf_counter()
    for first in range(1, last + 1, 100):
        rows = outbox.pending(first, last, 100)
        outbox.acknowledge(Receipt(stream=outbox.stream, upto=rows[-1].seq))
    while outbox.status().rows:
        time.sleep(0.001)
    rate = EVENTS / (time.perf_counter() - begun)
    outbox.stop()
    outbox.close()
    return rate


MEASURED: dict[str, Callable[[Path], float]] = {
    "raw_one_row_a_commit": lambda folder: raw_rate(folder, 1),
    "raw_100_rows_a_commit": lambda folder: raw_rate(folder, 100),
    "put_32_writers": put_rate,
    "record": record_rate,
    "drain": drain_rate,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="a folder on the disk to measure")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in MEASURED}
    for _ in range(options.rounds):
        for name, measure in MEASURED.items():
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                rates[name].append(measure(Path(folder)))
    single, batch = rates["raw_one_row_a_commit"], rates["raw_100_rows_a_commit"]
    result = {
        "events_per_s": {name: round(statistics.median(values)) for name, values in rates.items()},
        "put_to_raw_single": _ratio(rates["put_32_writers"], single),
        "put_to_raw_batch": _ratio(rates["put_32_writers"], batch),
        "record_to_raw_batch": _ratio(rates["record"], batch),
        "drain_to_raw_batch": _ratio(rates["drain"], batch),
    }
    print(json.dumps(result, indent=2))


def _ratio(values: list[float], baseline: list[float]) -> float:
    """The median of each round's ratio to its own baseline."""
    return round(statistics.median(value / base for value, base in zip(values, baseline, strict=True)), 2)


if __name__ == "__main__":
    main()
