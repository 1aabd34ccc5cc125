"""A week offline: 300,000 events wait in the gateway's outbox while broker and hub are away, and are then delivered.

    python -m benchmarks.week [--events 300000] [--database sqlite|postgresql] [--json FILE]

The real gateway daemon, the real hub with its own Mosquitto, the default configuration of both. The events are made in
seven parts; after each the gateway's wall clock goes on by a day, and in the middle of the week the gateway is killed
(-9) and started again. Then the hub comes back. Told are: how many of the committed events are missing from the hub's
database, how many stand there twice (both must be 0), the size of the outbox's file, and events a second from the first
receipt to the empty outbox, beside the rate at which the same machine put them into the outbox in the same run.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.harness import LoadedSite
from tests.support.databases import running_cluster
from tests.support.site import GATEWAY, Site, eventually, outbox_rows

DAYS = 7
DAY_S = 86_400
TARGET_PER_S = 5_000
_BACK_S = 120.0
_DRAIN_S = 900.0


@contextlib.contextmanager
def site_of(kind: str, folder: Path) -> Iterator[LoadedSite]:
    """A running hub and an enrolled gateway with no configuration beyond where things are."""
    with contextlib.ExitStack() as stack:
        url = None
        if kind == "postgresql":
            cluster = stack.enter_context(running_cluster(durable=True))
            fresh = cluster.new_empty_database()
            url = cluster.url(str(fresh.engine.url.database))
            fresh.close()
        loaded = LoadedSite(Site(folder, "mosquitto", url), paced=True)
        stack.callback(loaded.close)
        loaded.start()
        yield loaded


def fill(loaded: LoadedSite, events: int) -> float:
    """Make the events of a week; events a second that the outbox took."""
    took_s = 0.0
    for day in range(DAYS):
        began_s = time.monotonic()
        loaded.burst(events // DAYS // 32 * 32)
        took_s += time.monotonic() - began_s
        if day == DAYS // 2:
            loaded.kill_gateway()
            loaded.start_gateway()
            loaded.order(f"jump {day * DAY_S}")
        loaded.order(f"jump {DAY_S}")
        print(f"day {day + 1}: {outbox_rows(loaded.state_dir):,} events wait", file=sys.stderr, flush=True)
    return len(loaded.journalled()) / took_s


def drain(loaded: LoadedSite) -> tuple[int, float]:
    """Events delivered and events a second, from the first one that the hub confirmed until the outbox is empty."""
    waiting = outbox_rows(loaded.state_dir)
    loaded.site.start_hub()
    eventually(lambda: outbox_rows(loaded.state_dir) < waiting, _BACK_S, "the first receipt comes")
    began_s, at_start = time.monotonic(), outbox_rows(loaded.state_dir)
    loaded.drain(_DRAIN_S)
    return waiting, at_start / (time.monotonic() - began_s)


def verdict(loaded: LoadedSite) -> tuple[int, int]:
    """Committed events that the database has not, and events that it has twice."""
    rows = [row[0] for row in loaded.site.rows(f"SELECT seq FROM event WHERE gateway_id = '{GATEWAY}'")]
    return len(set(loaded.journalled()) - set(rows)), len(rows) - len(set(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, site_of(options.database, Path(folder)) as loaded:
        loaded.burst(32)
        loaded.drain()
        loaded.site.hub.kill9()
        loaded.site.kill_broker()
        put_per_s = fill(loaded, options.events)
        size_mib = (loaded.state_dir / "outbox.db").stat().st_size / 2**20
        waiting, per_s = drain(loaded)
        lost, doubled = verdict(loaded)
    verdict_text = "reached" if per_s >= TARGET_PER_S and not lost and not doubled else "MISSED"
    print(f"{waiting:,} events waited a week in {size_mib:.0f} MiB; put at {put_per_s:,.0f} a second, durable")
    print(f"drained at {per_s:,.0f} a second = {per_s / put_per_s:.1f} times that; lost {lost}, doubled {doubled}")
    print(f"target: {TARGET_PER_S:,} a second, none lost, none doubled: {verdict_text}")
    if options.json:
        result = {"waiting": waiting, "put_per_s": put_per_s, "drain_per_s": per_s, "lost": lost, "doubled": doubled}
        options.json.write_text(json.dumps(result | {"outbox_mib": size_mib, "database": options.database}, indent=2))


if __name__ == "__main__":
    main()
