"""Real readers for the tests: the demo's player in a process of its own, told what to do over its pipes; and a driver
for one reader."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.access.config import Reader, ReaderBus
from edge.access.drivers.interface import DriverEvent
from edge.access.drivers.osdp.driver import OsdpBus
from gatehouse.demo.played_plan import Plan
from tests.support.gateways import eventually

WAIT_S = 30.0


class OsdpPeer:
    """The readers of `plan`, until the block ends."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        path = folder / f"plan-{os.urandom(4).hex()}.json"
        path.write_text(plan.model_dump_json())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gatehouse.demo.osdp_readers", "--plan", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._changed = threading.Condition()
        self._seen: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> "OsdpPeer":
        self.wait(lambda seen: seen["saw"] == "ready")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._process.stdin.close()
        self._process.wait(WAIT_S)
        self._reader.join()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def do(self, what: str, reader: str, **how: Any) -> float:
        """Give an order; returns the monotonic time at which it was given."""
        given_s = time.monotonic()
        self._process.stdin.write(json.dumps({"do": what, "reader": reader, **how}) + "\n")
        return given_s

    @property
    def seen(self) -> list[dict[str, Any]]:
        with self._changed:
            return list(self._seen)

    def wait(self, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = WAIT_S) -> dict[str, Any]:
        """The first thing seen, ever, that is wanted."""
        with self._changed:
            found = self._changed.wait_for(lambda: next(filter(wanted, self._seen), None), timeout_s)
            assert found is not None, f"not seen within {timeout_s} s; seen: {self._seen}"
            return found

    def wait_output(self, reader: str, on: bool, after_s: float, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """The strike of a reader going on or off, at or after a monotonic time."""
        return self.wait(
            lambda seen: (
                (seen["saw"], seen.get("reader"), seen.get("on")) == ("output", reader, on) and seen["t"] >= after_s
            ),
            timeout_s,
        )

    def _read(self) -> None:
        for line in self._process.stdout:
            with self._changed:
                self._seen.append(json.loads(line))
                self._changed.notify_all()


class BusAtWork:
    """The driver of one bus with one reader, `r1`, on the line `link`, and what it has delivered."""

    def __init__(self, link: Path, address: int, key: bytes) -> None:
        bus = ReaderBus(id="bus1", port=str(link), baud_rate=115200)
        reader = Reader(id="r1", bus="bus1", address=address, scbk_file=link.with_suffix(".key"))
        self.driver = OsdpBus(bus, (reader,), {"r1": key})
        self.delivered: list[DriverEvent] = []

    def __enter__(self) -> "BusAtWork":
        self.driver.start(self.delivered.append)
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.stop()

    def of(self, kind: type[DriverEvent]) -> list[DriverEvent]:
        """What was delivered of one kind so far."""
        return [event for event in list(self.delivered) if isinstance(event, kind)]

    def wait(self, event: DriverEvent, timeout_s: float = WAIT_S) -> None:
        """Until an event was delivered."""
        eventually(lambda: event in self.delivered, timeout_s, f"{event}; delivered: {self.delivered}")
