"""The demo's child processes: each with a log file of its own, ended together, and noticed when one dies early."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_STOP_TIMEOUT_S = 10.0
_TAIL_LINES = 12


class DemoError(Exception):
    """A part of the demo did not come up; the text says which, why and what to look at."""


class Child:
    """One process, its output in `log`."""

    def __init__(self, name: str, command: Sequence[str], log: Path, *, gives_output: bool = False) -> None:
        self.name = name
        self.log = log
        self._file = log.open("ab")
        self.process = subprocess.Popen(  # noqa: S603 (every argument is made by the demo)
            command,
            stdin=subprocess.PIPE if gives_output else subprocess.DEVNULL,
            stdout=subprocess.PIPE if gives_output else self._file,
            stderr=self._file,
            text=gives_output,
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def failure(self) -> DemoError:
        """What to tell when this process ended by itself: its last lines."""
        tail = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        lines = "\n    ".join(tail)
        return DemoError(
            f"the {self.name} ended with status {self.process.returncode}; its log {self.log} ends:\n    {lines}"
        )

    def stop(self) -> None:
        """Ask the process and its own children to end; kill what stays."""
        if self.running:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_TIMEOUT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._file.close()


class Children:
    """Starts and stops the demo's processes; the last started stops first."""

    def __init__(self, log_folder: Path) -> None:
        self._logs = log_folder
        self._logs.mkdir(parents=True, exist_ok=True)
        self._children: list[Child] = []

    def start(self, name: str, command: Sequence[str], *, gives_output: bool = False) -> Child:
        child = Child(name, command, self._logs / f"{name.replace(' ', '-')}.log", gives_output=gives_output)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raise for a process that ended early.

        Raises:
            DemoError: naming it, with the end of its log.
        """
        for child in self._children:
            if not child.running:
                raise child.failure()

    def wait_until(self, what: str, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait for a condition while every process lives.

        Raises:
            DemoError: if a process dies or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"waited {timeout_s:.0f} s for {what}; look into {self._logs}")
            time.sleep(0.05)

    def stop(self) -> None:
        while self._children:
            self._children.pop().stop()


def python(*arguments: str) -> list[str]:
    """A command that this interpreter runs."""
    return [sys.executable, *arguments]


def gatehouse(*arguments: str) -> list[str]:
    """The `gatehouse` command of this installation."""
    return python("-m", "gatehouse.cli", *arguments)


def free_port(wanted: int = 0) -> int:
    """A free TCP port on loopback: `wanted`, if it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
