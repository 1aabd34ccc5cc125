"""The real gateway daemon in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support.gateways import eventually
from tests.support.ports import free_port

COMMAND = "from gatehouse.edge_command import app; app()"


class Running:
    """A daemon process and where its health is served."""

    def __init__(
        self, folder: Path, extra: str = "", environment: dict[str, str] | None = None, state: Path | None = None
    ) -> None:
        self.port = free_port()
        site = folder / "site.toml"
        site.write_text(f'[gateway]\nstate_dir = "{state or folder / "state"}"\n[http]\nport = {self.port}\n{extra}')
        self.log = folder / "daemon.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, "--config", str(site)],
                stderr=log,
                env={**os.environ, **(environment or {})},
            )

    def health(self) -> dict[str, Any]:
        told: dict[str, Any] = self.get("/healthz").json()
        return told

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            self.get("/healthz")
        except httpx.HTTPError:
            return False
        return True

    def wait_up(self) -> None:
        eventually(self.is_up, 30, "healthz")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)
