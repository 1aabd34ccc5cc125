"""The decision at a door with 100,000 credentials and every rule type in use; what the set costs in memory and time.

    python -m benchmarks.decision [--credentials 100000] [--asks 3000] [--json FILE]

Each kind of presentation is asked many times at doors whose rules use every field of the contract. Beside each ask, in
the same run, the least that any decision needs is timed: one HMAC-SHA256 of the text and one look-up in a dict of the
same size. QR codes are compared to that as well, though their signature alone costs more. "Processor" is the time in
which the deciding thread ran, without its waits: on a machine that does other work the difference is that work.

Memory is the resident set of a process of its own that opens the set from its file and has decided, and its peak while
it takes the whole set anew as the gateway does (parsing, checking, storing). Meanwhile a card is presented every 5 ms,
and its decision's time is counted from when it was due.
"""

import argparse
import gc
import hmac
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.access.decision import Decider, Decision
from edge.access.ledgers import Ledgers
from edge.access.presentations import CardAndPin, Code, DoorStanding, Number, Pin, Plate, Presentation
from edge.access.priority import prefer_this_thread
from edge.access.snapshot import read_snapshot
from edge.access.store import CredentialStore
from edge.clock import SystemClock
from edge.daemon import SWITCH_INTERVAL_S
from edge.identity import HubKey
from protocols.access_events import AccessMethod, DenialReason
from protocols.cards import CardNumber, keyed_hash, parse_text
from protocols.credentials import CredentialKind, CredentialRow, CredentialSet, total_digest
from protocols.passes import PassToken, write_token
from protocols.pins import holder_text, keyed_hash_of, pin_of_card_text, pin_text
from protocols.plates import plate_text
from protocols.rules import (
    AntiPassback,
    Area,
    DoorGroup,
    DoorRule,
    Interval,
    ReaderArea,
    Rules,
    Schedule,
    SpecialDay,
    Weekday,
)

CARD_KEY = b"benchmark" * 4
ZONE = ZoneInfo("Asia/Shanghai")
SITE = "bench"
SIGNING = Ed25519PrivateKey.from_private_bytes(b"benchmark-of-the-decision-engine")
HUB = HubKey(SIGNING.public_key().public_bytes_raw())
GROUPS, SCHEDULES, DOORS = 400, 60, 64
NORMAL = DoorStanding()
EVERY_S = 0.005


def card(number: int) -> CardNumber:
    return parse_text(f"w34:{number >> 16}:{number & 0xFFFF}")


def plate(number: int) -> str:
    return f"贵G{number % 100_000:05d}"


def _hashed(text: str) -> str:
    return keyed_hash_of(CARD_KEY, text)


def make_rules() -> Rules:
    """Several schedules and groups for each holder, holidays of three years, and doors with each kind of rule."""
    week = tuple(Interval(weekday=day, since=0, until=1440) for day in range(8))
    split = tuple(
        Interval(weekday=day, since=since, until=since + 180) for day in range(8) for since in (0, 300, 600, 900)
    )
    schedules = [Schedule(id="always", intervals=week, heeds_holidays=True)]
    schedules += [Schedule(id=f"s{n}", intervals=split, heeds_holidays=True) for n in range(SCHEDULES)]
    areas = tuple(ReaderArea(reader=reader, into=into) for reader, into in (("in", "hard"), ("out", None)))
    every = tuple(AccessMethod)
    plain = tuple(method for method in every if method is not AccessMethod.CARD_PIN)
    doors = (
        DoorRule(door="pin", methods=every, card_alone="s1"),
        DoorRule(door="two", methods=plain, two_persons=True),
        DoorRule(door="first", methods=plain, first_card="always", first_card_frees=True, free="s2"),
        DoorRule(door="hard", methods=plain, areas=areas, interlock="lobby"),
        *(DoorRule(door=f"d{n}", methods=plain, areas=areas, keeps_list=True) for n in range(DOORS)),
    )
    named = ("plain", "pin", "two", "first", "hard")
    groups = [
        DoorGroup(id=f"g{n}", doors=(f"d{n % DOORS}", *named), schedule="always" if n % 4 == 3 else f"s{n % SCHEDULES}")
        for n in range(GROUPS)
    ]
    start = date.today() - timedelta(days=365)  # noqa: DTZ011 - only that there are some
    special = tuple(
        SpecialDay(day=start + timedelta(days=9 * n), counts_as=Weekday.HOLIDAY if n % 3 else Weekday.MONDAY)
        for n in range(120)
    )
    area = Area(id="hard", anti_passback=AntiPassback.HARD)
    return Rules(schedules=tuple(schedules), groups=tuple(groups), special_days=special, doors=doors, areas=(area,))


def make_row(number: int) -> CredentialRow:
    """Of ten rows seven are cards, and one each a PIN, a plate and a pass; each with four groups, a holder, an end."""
    ref, kind = uuid.UUID(int=number + 1), CredentialKind.CARD
    row_hash, more = keyed_hash(CARD_KEY, card(number)), {}
    match number % 10:
        case 7:
            kind, row_hash = CredentialKind.PIN, _hashed(pin_text(f"{number:08d}"))
            more = {"duress": number % 100 == 7}
        case 8:
            kind, row_hash = CredentialKind.PLATE, _hashed(plate_text(plate(number)))
        case 9:
            kind, row_hash = CredentialKind.PASS, _hashed(str(ref))
        case digit:
            more = {"pin": _hashed(pin_of_card_text(ref, "2468")), "duress_pin": _hashed(pin_of_card_text(ref, "2469"))}
            more |= {"number": card(number).text} if digit == 1 else {}
            more |= {"first": True} if digit == 2 else {}
            more |= {"uses": 10_000} if digit == 3 else {}
    return CredentialRow(
        ref=ref,
        hash=row_hash,
        kind=kind,
        holder=_hashed(holder_text(uuid.UUID(int=number // 2 + 1))),
        not_before="2020-01-01T00:00:00Z",
        not_after=f"2090-01-01T00:00:{number % 60:02d}Z",
        groups=tuple(f"g{(number + step) % GROUPS}" for step in (0, 1, 2, 3)),
        offline_s=30 * 86_400 if number % 5 == 0 else None,
        **more,
    )


def make_set(count: int) -> CredentialSet:
    rules, rows = make_rules(), tuple(make_row(number) for number in range(count))
    digest = total_digest([rules.digest(), *(row.digest() for row in rows)])
    return CredentialSet(version=1, digest=digest, rules=rules, rows=rows)


def code_of(number: int) -> str:
    """The pass of a row."""
    since = datetime.now(UTC) - timedelta(hours=1)
    token = PassToken(
        ref=uuid.UUID(int=number + 1),
        site=SITE,
        doors=("plain",),
        since=since,
        until=since + timedelta(days=7),
        days=tuple(range(7)),
        hours=(0, 1440),
        uses=1000,
        offline_s=86_400,
        holder=_hashed(holder_text(uuid.UUID(int=number))),
    )
    return write_token(token, HUB.key_id, SIGNING.sign)


@dataclass(frozen=True)
class Ask:
    """One presentation, the text that any system would have to hash for it, and the reason that must come."""

    shown: Presentation
    text: str
    door: str
    reader: str = "in"
    reason: DenialReason | None = None


class Draw:
    """Draws presentations from the rows of one kind, which the last digit of a row's number tells."""

    def __init__(self, count: int, asks: int) -> None:
        self._count, self._asks, self._chance = count, asks, random.Random(1)

    def numbers(self, *digits: int) -> list[int]:
        tens = [self._chance.randrange(self._count // 10) * 10 for _ in range(self._asks)]
        return [ten + self._chance.choice(digits) for ten in tens]

    def cards(self, door: str, *digits: int, reader: str = "in") -> list[Ask]:
        return [card_ask(number, door, reader) for number in self.numbers(*digits or (0, 4, 5))]

    def unknown(self) -> list[Ask]:
        numbers = range(self._count, self._count + self._asks)
        return [card_ask(number, "plain", reason=DenialReason.UNKNOWN_CREDENTIAL) for number in numbers]

    def with_pin(self, digits: str) -> list[Ask]:
        numbers = self.numbers(0, 4, 5)
        return [Ask(CardAndPin(Number(card(n)), digits), card(n).text, "pin") for n in numbers]

    def in_and_out(self) -> list[Ask]:
        half = self.numbers(0, 4, 5)[: self._asks // 2]
        return [card_ask(number, "hard", reader) for number in half for reader in ("in", "out")]

    def pairs(self) -> list[Ask]:
        first = DenialReason.SECOND_PERSON_MISSING
        half = self.numbers(0)[: self._asks // 2]
        return [card_ask(n + step, "two", reason=None if step else first) for n in half for step in (0, 4)]


def card_ask(number: int, door: str, reader: str = "in", reason: DenialReason | None = None) -> Ask:
    return Ask(Number(card(number)), card(number).text, door, reader, reason)


def make_asks(count: int, asks: int) -> dict[str, list[Ask]]:
    """The presentations of each kind."""
    draw = Draw(count, asks)
    return {
        "card": draw.cards("plain"),
        "unknown card": draw.unknown(),
        "card with uses": draw.cards("plain", 3),
        "card + PIN": draw.with_pin("2468"),
        "duress PIN": draw.with_pin("2469"),
        "PIN": [Ask(Pin(f"{n:08d}"), pin_text(f"{n:08d}"), "plain") for n in draw.numbers(7)],
        "plate": [Ask(Plate(plate(n)), plate_text(plate(n)), "plain") for n in draw.numbers(8)],
        "QR code": [Ask(Code(code_of(n)), str(n), "plain") for n in draw.numbers(9)],
        "first card": draw.cards("first", 2),
        "after a first card": draw.cards("first"),
        "anti-passback": draw.in_and_out(),
        "two persons": draw.pairs(),
        "way out": draw.cards("hard", reader="out"),
    }


def figures(values_us: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum, in milliseconds."""
    ordered = sorted(values_us)
    p99 = ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    return {"p50_ms": statistics.median(ordered) / 1000, "p99_ms": p99 / 1000, "max_ms": ordered[-1] / 1000}


def measure(decider: Decider, asks: dict[str, list[Ask]], count: int) -> dict[str, dict[str, float]]:
    """Each kind beside its own baseline: the keyed hash of the text and a look-up in a dict."""
    bare = {hmac.digest(CARD_KEY, card(number).text.encode(), "sha256")[:16]: number for number in range(count)}
    result = {}
    for kind, some in asks.items():
        decisions, baseline, busy = [], [], []
        for ask in some:
            began_ns = time.perf_counter_ns()
            bare.get(hmac.digest(CARD_KEY, ask.text.encode(), "sha256")[:16])
            middle_ns, busy_ns = time.perf_counter_ns(), time.thread_time_ns()
            decision = decider.decide(ask.door, ask.reader, ask.shown, NORMAL)
            decider.passed(ask.door, ask.reader, decision)
            end_ns = time.perf_counter_ns()
            busy.append((time.thread_time_ns() - busy_ns) / 1000)
            _check(kind, ask, decision)
            baseline.append((middle_ns - began_ns) / 1000)
            decisions.append((end_ns - middle_ns) / 1000)
        least = figures(baseline)
        row = figures(decisions)
        least_of = {"baseline_p50_ms": least["p50_ms"], "baseline_p99_ms": least["p99_ms"]}
        result[kind] = row | least_of | {"cpu_p99_ms": figures(busy)["p99_ms"]}
    return result


def _check(kind: str, ask: Ask, decision: Decision) -> None:
    is_duress = kind == "duress PIN"
    if decision.reason is not ask.reason or (kind != "PIN" and decision.duress is not is_duress):
        raise SystemExit(f"{kind}: {decision} where {ask.reason} was expected")


def make_decider(folder: Path) -> tuple[CredentialStore, Ledgers, Decider]:
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # as the daemon does
    store, ledgers = CredentialStore(folder / "credentials.db", CARD_KEY), Ledgers(folder / "access.db")
    return store, ledgers, Decider(store, ledgers, SITE, HUB.verify, SystemClock(), ZONE)


# --- in a process of its own ---------------------------------------------------------------------------------------


def memory_mib(name: str) -> float:
    """`VmRSS` or `VmHWM` of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def open_and_weigh(folder: Path, count: int) -> dict[str, float]:
    """What a gateway's doors weigh once their set is read and has been used."""
    empty_mib = memory_mib("VmRSS")
    store, ledgers, decider = make_decider(folder)
    loaded_mib = memory_mib("VmRSS")
    for number in range(0, count, 10):
        decision = decider.decide("hard", "in", Number(card(number)), NORMAL)
        decider.passed("hard", "in", decision)
    result = {"imports_mib": empty_mib, "loaded_mib": loaded_mib, "used_mib": memory_mib("VmRSS")}
    result["load_s"] = store.load_s
    ledgers.close()
    store.close()
    return result


def take_snapshot(folder: Path, body: Path) -> dict[str, float]:
    """Take the whole set as the gateway does, from its bytes, while somebody presents a card every 5 ms."""
    store, ledgers, decider = make_decider(folder)
    stop, waited_us = threading.Event(), []

    def present() -> None:
        prefer_this_thread()
        shown, due_s = Number(card(0)), time.perf_counter()
        while not stop.is_set():
            decider.decide("plain", "in", shown, NORMAL)
            waited_us.append((time.perf_counter() - due_s) * 1e6)
            due_s += EVERY_S
            time.sleep(max(0.0, due_s - time.perf_counter()))

    presenting = threading.Thread(target=present)
    presenting.start()
    began_s, busy_s = time.perf_counter(), time.process_time()
    store.replace(read_snapshot(body.read_bytes()))
    applied_s = time.perf_counter() - began_s
    stop.set()
    presenting.join()
    result = {
        "apply_s": applied_s,
        "cpu_s": time.process_time() - busy_s,
        "peak_mib": memory_mib("VmHWM"),
        **figures(waited_us),
    }
    result["asked"] = len(waited_us)
    ledgers.close()
    store.close()
    return result


def alone(*words: str) -> dict[str, float]:
    """One of the two above, in a process of its own."""
    run = subprocess.run([sys.executable, "-m", "benchmarks.decision", *words], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(run.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--credentials", type=int, default=100_000)
    parser.add_argument("--asks", type=int, default=3000, help="presentations of each kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--only", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    count = arguments.credentials
    if arguments.only:
        what, folder, *rest = arguments.only
        weighed = open_and_weigh(Path(folder), count) if what == "weigh" else take_snapshot(Path(folder), Path(*rest))
        print(json.dumps(weighed))
        return
    with tempfile.TemporaryDirectory() as name:
        result = _all(Path(name), count, arguments.asks)
    for line in _told(result, count):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


def _all(folder: Path, count: int, asks: int) -> dict[str, dict[str, float]]:
    (folder / "taken").mkdir()
    body = folder / "snapshot.json"
    body.write_text(make_set(count).model_dump_json(exclude_defaults=True))
    size = ("--credentials", str(count))
    snapshot = alone(*size, "--only", "snapshot", str(folder / "taken"), str(body))
    snapshot["body_mib"] = body.stat().st_size / 2**20
    memory = alone(*size, "--only", "weigh", str(folder / "taken"))
    store, ledgers, decider = make_decider(folder / "taken")
    ledgers.presence.forget(None)
    ledgers.flush()
    prefer_this_thread()
    gc.collect()
    gc.freeze()  # as the daemon does once it has settled
    kinds = measure(decider, make_asks(count, asks), count)
    ledgers.close()
    store.close()
    return {"snapshot": snapshot, "memory": memory, **kinds}


def _told(result: dict[str, dict[str, float]], count: int) -> Iterator[str]:
    snapshot, memory = result["snapshot"], result["memory"]
    yield f"{count} credentials, every rule type in use; baseline: one HMAC and one dict look-up"
    for kind, row in result.items():
        if "baseline_p50_ms" in row:
            median, slow = (row[which] / row[f"baseline_{which}"] for which in ("p50_ms", "p99_ms"))
            yield (
                f"{kind:19} p50 {row['p50_ms']:7.4f} ms   p99 {row['p99_ms']:7.4f} ms   max {row['max_ms']:8.3f} ms   "
                f"processor p99 {row['cpu_p99_ms']:.3f} ms   "
                f"{median:5.1f} times the baseline (p99: {slow:.1f})"
            )
    yield (
        f"memory: {memory['imports_mib']:.0f} MiB before the set, {memory['loaded_mib']:.0f} MiB with it, "
        f"{memory['used_mib']:.0f} MiB after {count // 10} people moved; read from disk in {memory['load_s']:.2f} s"
    )
    yield (
        f"snapshot of {snapshot['body_mib']:.0f} MiB: in force after {snapshot['apply_s']:.2f} s "
        f"({snapshot['cpu_s']:.2f} s of a processor), peak {snapshot['peak_mib']:.0f} MiB"
    )
    yield (
        f"beside it {snapshot['asked']:.0f} decisions, one every 5 ms: p50 {snapshot['p50_ms']:.3f} "
        f"p99 {snapshot['p99_ms']:.3f} max {snapshot['max_ms']:.1f} ms after they were due"
    )


if __name__ == "__main__":
    main()
