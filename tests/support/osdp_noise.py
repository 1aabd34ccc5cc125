"""Cards at libosdp readers on a bad line: how many reach the driver, how many not, and whether any other does.

The readers (libosdp peripheral devices in a process of their own) share one line, and a `LineInTheMiddle` sits between
it and the driver's worker. Cards are presented at an even pace whatever state the line is in, each with a number of its
own. Lost is a card that the driver had not delivered `QUIET_S` after the last delivery.
"""

import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edge.access.config import Reader, ReaderBus
from edge.access.drivers.interface import CardPresented, DriverEvent, ReaderDown, ReaderUp
from edge.access.drivers.osdp.driver import OsdpBus
from gatehouse.demo.played_plan import Plan, PlayedReader
from protocols.cards import encode_bytes, parse_text
from tests.peers.line_in_the_middle import LineInTheMiddle, Mischief
from tests.support.gateways import eventually
from tests.support.osdp import OsdpPeer

QUIET_S = 4.0
_START_S = 30.0


@dataclass(frozen=True)
class Heard:
    """What became of the cards; `frames` as in `LineInTheMiddle.seen`."""

    total: int
    lost: int
    doubled: int
    forged: int
    reported_down: int
    seconds: float
    frames: Counter[str]


def card_text(number: int) -> str:
    return f"w26:{number >> 16 & 0xFF}:{number & 0xFFFF}"


def present_on_a_bad_line(
    folder: Path, mischief: Mischief, cards: int, readers: int = 4, every_s: float = 0.06
) -> Heard:
    """Present so many cards, one after another at the readers in turn, and wait for what arrives."""
    ids = [f"r{number}" for number in range(1, readers + 1)]
    keys = {reader: os.urandom(16) for reader in ids}
    far, near = folder / "far", folder / "near"
    plan = Plan(
        readers=tuple(
            PlayedReader(id=reader, link=far, address=n, scbk_hex=keys[reader].hex()) for n, reader in enumerate(ids)
        )
    )
    rows = tuple(Reader(id=reader, bus="b", address=n, scbk_file=folder / "none") for n, reader in enumerate(ids))
    driver = OsdpBus(ReaderBus(id="b", port=str(near), baud_rate=115200), rows, keys)
    delivered: list[DriverEvent] = []
    calm = Mischief(seed=mischief.seed)
    with OsdpPeer(plan, folder) as peer, LineInTheMiddle(near, far, calm) as line:
        driver.start(delivered.append)
        try:
            _all_up(delivered, readers)
            line.mischief = mischief
            begun_s = time.monotonic()
            numbers = random.Random(mischief.seed).sample(range(1 << 24), cards)
            for place, number in enumerate(numbers):
                peer.do("card", ids[place % readers], text=card_text(number))
                time.sleep(every_s)
            _until_quiet(delivered, cards)
            seconds = time.monotonic() - begun_s
        finally:
            driver.stop()
    return _count(numbers, delivered, seconds, line.seen)


def _all_up(delivered: list[DriverEvent], readers: int) -> None:
    eventually(lambda: sum(isinstance(each, ReaderUp) for each in list(delivered)) >= readers, _START_S, "readers up")


def _until_quiet(delivered: list[DriverEvent], cards: int) -> None:
    count, since_s = -1, time.monotonic()
    while count < cards and time.monotonic() - since_s < QUIET_S:
        now = sum(isinstance(each, CardPresented) for each in list(delivered))
        if now != count:
            count, since_s = now, time.monotonic()
        time.sleep(0.02)


def _count(numbers: list[int], delivered: list[DriverEvent], seconds: float, frames: Counter[str]) -> Heard:
    presented = {encode_bytes(parse_text(card_text(number))) for number in numbers}
    came = Counter(each.data for each in delivered if isinstance(each, CardPresented))
    return Heard(
        total=len(presented),
        lost=len(presented - set(came)),
        doubled=sum(count - 1 for data, count in came.items() if data in presented),
        forged=sum(count for data, count in came.items() if data not in presented),
        reported_down=sum(isinstance(each, ReaderDown) for each in delivered),
        seconds=seconds,
        frames=frames,
    )
