"""31 OSDP readers on one gateway: what they cost when nobody comes, and how soon a strike is told to open.

    python -m benchmarks.osdp_bus [--readers 31] [--cards 100] [--credentials 100000] [--idle-s 20] [--per-line 31]

The readers are libosdp peripheral devices in a process of their own on a pseudo-terminal, so the wire's own time (at
9600 baud some 10 ms a frame) is not in it. Idle: processor time of the OSDP workers and of the gateway's threads that
serve doors, as a share of one core. Latency: from the card at the reader to the strike command taken by that reader,
both on the reader's side, so with the wait for the next poll (libosdp polls every 50 ms), decoding, the pipes, the
decision with all credentials in the store, and the way back. Beside it, in the same run, the gateway's own part: card
read from the line until the strike command is handed to libosdp. Cards come at random readers after random pauses.
Targets: p95 <= 150 ms, idle < 5 % of a core.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.doors import CARD_KEY, ZONE, card, make_set
from edge.access.config import AccessConfig
from edge.access.controller import AccessController
from edge.access.store import CredentialStore
from edge.clock import SystemClock
from edge.observations import Observation
from gatehouse.demo.played_plan import Plan, PlayedReader
from protocols.credentials import CredentialSet, total_digest
from protocols.rules import DoorGroup, Rules
from tests.support.gateways import eventually
from tests.support.osdp import OsdpPeer

_P95_MS, _IDLE_SHARE = 150.0, 0.05


def open_everywhere(count: int, doors: Sequence[str]) -> CredentialSet:
    """The credentials of `benchmarks.doors`, each of which opens every door."""
    whole = make_set(count)
    groups = tuple(DoorGroup(id=group.id, doors=tuple(doors), schedule="always") for group in whole.rules.groups)
    rules = Rules(schedules=whole.rules.schedules, groups=groups)
    digest = total_digest([rules.digest(), *(row.digest() for row in whole.rows)])
    return CredentialSet(version=1, digest=digest, rules=rules, rows=whole.rows)


class Site:
    """So many doors, each with a reader; `per_line` readers share a line."""

    def __init__(self, folder: Path, readers: int, per_line: int) -> None:
        numbers = range(readers)
        self.readers = [f"r{n}" for n in numbers]
        keys = [os.urandom(16) for _ in numbers]
        lines = [folder / f"line{n // per_line}" for n in numbers]
        for reader, key in zip(self.readers, keys, strict=True):
            path = folder / f"{reader}.key"
            path.write_text(key.hex())
            path.chmod(0o600)
        self.config = AccessConfig.model_validate(
            {
                "reader_bus": [
                    {"id": line.name, "port": str(line), "baud_rate": 115200} for line in dict.fromkeys(lines)
                ],
                "reader": [
                    {
                        **{"id": reader, "bus": lines[n].name, "address": n % per_line},
                        **{"scbk_file": folder / f"{reader}.key", "card_format": "w34"},
                    }
                    for n, reader in enumerate(self.readers)
                ],
                "door": [
                    {
                        **{"id": f"d{n}", "place": "p", "readers": [reader], "release_s": 0.5},
                        **{"strike": {"reader": reader, "output": 0}, "contact": {"reader": reader, "input": 0}},
                    }
                    for n, reader in enumerate(self.readers)
                ],
            }
        )
        self.plan = Plan(
            readers=tuple(
                PlayedReader(id=reader, link=lines[n], address=n % per_line, scbk_hex=keys[n].hex())
                for n, reader in enumerate(self.readers)
            )
        )


def _ignore(_observation: Observation) -> None:
    """Events are not what is measured."""


def doors_cpu_s() -> tuple[float, float]:
    """Processor time so far of the OSDP workers, and of this process's threads that serve doors."""
    me = psutil.Process()
    workers = [child for child in me.children() if "edge.access.drivers.osdp.worker" in child.cmdline()]
    worker_s = sum(sum(worker.cpu_times()[:2]) for worker in workers)
    served = {thread.native_id for thread in threading.enumerate() if thread.name.startswith(("doors", "osdp-"))}
    return worker_s, sum(each.user_time + each.system_time for each in me.threads() if each.id in served)


def idle_shares(for_s: float) -> tuple[float, float]:
    """The workers' and the gateway threads' shares of a core while nobody comes."""
    before, begun_s = doors_cpu_s(), time.monotonic()
    time.sleep(for_s)
    after, spent_s = doors_cpu_s(), time.monotonic() - begun_s
    return (after[0] - before[0]) / spent_s, (after[1] - before[1]) / spent_s


def latencies_ms(peer: OsdpPeer, readers: Sequence[str], cards: int, credentials: int) -> list[float]:
    """From each card at its reader to the strike command at that reader."""
    chance, taken = random.Random(1), []
    for _ in range(cards):
        time.sleep(chance.uniform(0.15, 0.35))
        reader, text = chance.choice(readers), card(chance.randrange(credentials)).text
        given_s = peer.do("card", reader, text=text)
        shown = peer.wait(lambda seen, r=reader, t=given_s: _is(seen, "presented", r, t))
        struck = peer.wait_output(reader, True, shown["t"] - 0.001)
        taken.append((struck["t"] - shown["t"]) * 1000)
    return taken


def _is(seen: dict[str, object], what: str, reader: str, after_s: float) -> bool:
    return seen["saw"] == what and seen.get("reader") == reader and float(str(seen["t"])) >= after_s


def spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50_ms": statistics.median(ordered),
        "p95_ms": ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))],
        "max_ms": ordered[-1],
    }


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    site = Site(folder, arguments.readers, arguments.per_line)
    store = CredentialStore(folder / "credentials.db", CARD_KEY)
    store.replace(open_everywhere(arguments.credentials, [door.id for door in site.config.door]))
    controller = AccessController(site.config, store, _ignore, SystemClock(), ZONE)
    with OsdpPeer(site.plan, folder) as peer:
        begun_s = time.monotonic()
        controller.start()
        try:
            eventually(lambda: all(each.online for each in controller.status().readers), 60.0, "every reader online")
            up_s = time.monotonic() - begun_s
            time.sleep(2.0)
            worker, gateway = idle_shares(arguments.idle_s)
            whole = latencies_ms(peer, site.readers, arguments.cards, arguments.credentials)
            time.sleep(0.5)  # the last confirmation
            own = [value / 1000 for value in controller.status().card_to_strike_us]
        finally:
            controller.stop()
            store.close()
    return {
        "start": {"all_online_s": up_s},
        "idle": {"workers": worker, "gateway_threads": gateway, "sum": worker + gateway},
        "card to strike": spread(whole),
        "of it in the gateway": spread(own),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=31)
    parser.add_argument("--per-line", type=int, default=31)
    parser.add_argument("--cards", type=int, default=100)
    parser.add_argument("--credentials", type=int, default=100_000)
    parser.add_argument("--idle-s", type=float, default=20.0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments)
    idle, whole = result["idle"], result["card to strike"]
    lines = -(-arguments.readers // arguments.per_line)
    print(f"{arguments.readers} readers on {lines} lines, all online after {result['start']['all_online_s']:.2f} s")
    print(f"idle: {idle['sum']:.1%} of a core (workers {idle['workers']:.1%}, gateway {idle['gateway_threads']:.1%})")
    for what in ("card to strike", "of it in the gateway"):
        row = result[what]
        print(f"{what:21} p50 {row['p50_ms']:6.1f} ms   p95 {row['p95_ms']:6.1f} ms   max {row['max_ms']:6.1f} ms")
    met = idle["sum"] < _IDLE_SHARE and whole["p95_ms"] <= _P95_MS
    print(f"idle under {_IDLE_SHARE:.0%} and p95 within {_P95_MS:.0f} ms: {'yes' if met else 'NO'}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    if not met:
        sys.exit(1)


if __name__ == "__main__":
    main()
