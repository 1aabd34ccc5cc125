"""Real readers for the tests: the demo's player in a process of its own, told what to do over its pipes."""

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

from gatehouse.demo.played_plan import Plan

WAIT_S = 20.0


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
