"""A whole site for tests: the real hub and the real gateway as processes, which can be killed and started again."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from cloud.config import HubConfig
from cloud.foundation import Foundation, open_foundation
from cloud.gateways import GatewayRegister
from edge.enrolment import enroll
from tests.support.ports import free_port

GATEWAY = "gw-site"
START_S = 40.0


def eventually(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait for a condition; fail at the deadline, saying what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


class Process:
    """One process with a log; `kill9` is a power cut for it and nobody else."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command, self._log = list(command), log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it was started and is over."""
        return self.process is not None and self.process.poll() is not None

    def kill9(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout_s: float = 20.0) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout_s)

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]


class Site:
    """A hub with its embedded broker, and the place for one gateway; everything in `folder`.

    Args:
        broker: mosquitto or nats.
        database_url: PostgreSQL's; SQLite in the hub's folder without one.
    """

    def __init__(self, folder: Path, broker: str, database_url: str | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = HubConfig.model_validate(
            {
                "state_dir": folder / "hub",
                "database": database_url,
                "http": {"port": self.port},
                "broker": {"kind": broker, "port": 0},
            }
        )
        self._write_configuration(folder / "hub.toml", broker, database_url)
        self.hub = Process(
            [sys.executable, "-m", "gatehouse.cli", "hub", "--config", str(folder / "hub.toml")],
            folder / "hub.log",
        )
        self.foundation: Foundation = open_foundation(self.config)

    def _write_configuration(self, path: Path, broker: str, database_url: str | None) -> None:
        lines = [f'state_dir = "{self.folder / "hub"}"']
        if database_url:
            lines.append(f'database = "{database_url}"')
        lines += ["[http]", f"port = {self.port}", "[broker]", f'kind = "{broker}"', "port = 0"]
        path.write_text("\n".join(lines) + "\n")

    def start_hub(self) -> None:
        """Start the hub and wait until it answers."""
        self.hub.start()
        self.wait_for_hub()

    def wait_for_hub(self) -> None:
        eventually(self.hub_answers, START_S, f"the hub answers; its log: {self.hub.log_tail()}")

    def hub_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def enrol(self, state_dir: Path) -> None:
        """Enrol the gateway through the running hub, with a one-time code."""
        register = GatewayRegister(
            self.foundation.database, self.foundation.vault, lambda: datetime.now(UTC), os.urandom
        )
        enroll(self.url, register.add(GATEWAY).text, state_dir, "test")

    def broker_pid(self) -> int | None:
        """The embedded broker's process, while the hub has one."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.hub.pid).children(recursive=True):
                if child.name() in {"mosquitto", "nats-server"}:
                    return child.pid
        return None

    def kill_broker(self) -> bool:
        """`kill -9` of the embedded broker; whether there was one."""
        pid = self.broker_pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    def rows(self, statement: str) -> list[Any]:
        """Rows of the hub's database."""
        with self.foundation.database.read() as connection:
            return list(connection.exec_driver_sql(statement))

    def close(self) -> None:
        with contextlib.suppress(AssertionError, ProcessLookupError, subprocess.TimeoutExpired):
            self.hub.terminate()
        with contextlib.suppress(AssertionError):
            self.hub.kill9()
        self.foundation.database.close()


def outbox_rows(state_dir: Path) -> int:
    """How many events the gateway's outbox still holds; read beside the running gateway."""
    with contextlib.closing(sqlite3.connect(f"file:{state_dir / 'outbox.db'}?mode=ro", uri=True, timeout=5)) as file:
        return int(file.execute("SELECT count(*) FROM outbox").fetchone()[0])


def new_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
