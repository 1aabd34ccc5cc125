"""A UHPPOTE driver at work against a board, and what it delivers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from edge.access.config import Reader
from edge.access.drivers.interface import DriverContext, DriverEvent, InputsReported, ReaderUp
from edge.access.drivers.uhppote.config import UhppoteBoard
from edge.access.drivers.uhppote.driver import Timing, UhppoteDriver
from protocols.cards import CardFormat
from tests.peers.uhppote import FakeBoard
from tests.support.gateways import SetClock, eventually

ZONE = ZoneInfo("Asia/Shanghai")
QUICK = Timing(try_s=0.15, status_s=0.1, remote_control_s=0.2, back_off_s=(0.02, 0.1))
PUSHES_ALONE = Timing(try_s=0.5, status_s=3600.0, remote_control_s=3600.0, back_off_s=(0.02, 0.1))
"""Nothing is found by asking in between."""
READERS = ("r1", "r2", "r3", "r4")

E = TypeVar("E", bound=DriverEvent)


class Delivered:
    """What a driver delivered, in order."""

    def __init__(self) -> None:
        self.events: list[DriverEvent] = []

    def __call__(self, event: DriverEvent) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def wait(self, kind: type[E], count: int = 1, timeout_s: float = 30.0) -> list[E]:
        """The events of a kind, once there are so many; exactly so many."""
        eventually(lambda: len(self.of(kind)) >= count, timeout_s, f"{count} {kind.__name__} in {self.events}")
        assert len(self.of(kind)) == count
        return self.of(kind)


def readers(*channels: int, card_format: CardFormat = CardFormat.W26) -> tuple[Reader, ...]:
    return tuple(
        Reader(id=f"r{channel}", device="b1", channel=channel, card_format=card_format) for channel in channels
    )


def config_of(board: FakeBoard, **keys: Any) -> UhppoteBoard:
    given = {"id": "b1", "kind": "uhppote", "address": "127.0.0.1", "port": board.port, "serial": board.serial}
    return UhppoteBoard.model_validate(given | keys)


def make_driver(
    board: FakeBoard,
    clock: SetClock,
    folder: Path,
    *,
    timing: Timing = QUICK,
    at: tuple[Reader, ...] = readers(1, 2, 3, 4),
    **keys: Any,
) -> UhppoteDriver:
    return UhppoteDriver(config_of(board, **keys), at, DriverContext(folder, ZONE, clock), timing)


@contextmanager
def running(driver: UhppoteDriver, *, ready: bool = True) -> Iterator[Delivered]:
    """Run a driver; by default until the past was told and the doors' state is known."""
    delivered = Delivered()
    driver.start(delivered)
    try:
        if ready:
            eventually(lambda: bool(delivered.of(ReaderUp)), what=f"online: {delivered.events}")
            eventually(lambda: bool(delivered.of(InputsReported)), what=f"caught up: {delivered.events}")
        yield delivered
    finally:
        driver.stop()
