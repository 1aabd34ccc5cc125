"""A community of one door and two residents, put up with the product's own commands."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from openpyxl import Workbook

from gatehouse.demo.osdp_readers import Plan as ReaderPlan
from gatehouse.demo.osdp_readers import PlayedReader
from gatehouse.demo.watch import read_metrics
from tests.support.osdp import OsdpPeer
from tests.support.ports import free_port
from tests.support.site import GATEWAY, Process, Site, eventually

DOOR, READER, CARD, OTHER_CARD = "d-gate", "r-gate", "w26:52:1001", "w26:52:1002"
TENANT, TENANT_CARD = "李清照", "w26:52:1003"
GUARD, SECOND_GUARD, PASSWORD = "guard", "guard-two", "correct horse battery"
UP_S = 60.0


class Community:
    """Use as a context manager; `client` is a guard who is logged in to the console."""

    def __init__(self, folder: Path, broker: str, database_url: str | None) -> None:
        self.folder = folder
        self.site = Site(folder, broker, database_url)
        self.key = os.urandom(16).hex()
        self.health = f"http://127.0.0.1:{free_port()}"
        self.gateway = Process(
            [sys.executable, "-m", "gatehouse.cli", "edge", "--config", str(folder / "site.toml")],
            folder / "gateway.log",
        )
        self.client = httpx.Client(base_url=self.site.url, timeout=10, headers={"Origin": self.site.url})
        self.readers: OsdpPeer

    def __enter__(self) -> Self:
        self._write_site()
        self._write_register()
        code = self.hub("gateways", "add", GATEWAY).strip()
        self.hub("import", str(self.folder / "register.xlsx"))
        for account in (GUARD, SECOND_GUARD):
            self.hub("accounts", "add", account, "--password-file", "-", given=PASSWORD + "\n")
        self.site.start_hub()
        self.command("edge", "enroll", "--hub", self.site.url, "--state-dir", str(self.folder / "gateway"), given=code)
        self.readers = OsdpPeer(self._plan(), self.folder).__enter__()
        self.gateway.start()
        self.readers.wait(lambda seen: (seen["saw"], seen.get("active")) == ("secure", True), UP_S)
        eventually(lambda: self.credentials_version() > 0, UP_S, "the credentials are in force")
        answer = self.client.post("/login", data={"username": GUARD, "password": PASSWORD})
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.close()
        self.gateway.terminate()
        self.readers.__exit__(kind, error, at)
        self.site.close()

    def hub(self, *arguments: str, given: str | None = None) -> str:
        """Run `gatehouse hub ...`; its output."""
        return self.command("hub", "--config", str(self.folder / "hub.toml"), *arguments, given=given)

    def command(self, *arguments: str, given: str | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gatehouse.cli", *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=UP_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def act(self, account: str, *arguments: str) -> str:
        """Run `gatehouse hub doors ...` in the name of an account; its output."""
        name = ("--as", account, "--password-file", "-", "--hub", self.site.url)
        return self.hub("doors", *arguments, *name, given=PASSWORD + "\n")

    def credentials_version(self) -> int:
        try:
            return int(httpx.get(f"{self.health}/healthz", timeout=2).json()["credentials"]["version"])
        except httpx.HTTPError:
            return 0

    def metric(self, name: str) -> float:
        """A counter of the gateway, over all its labels."""
        return read_metrics(f"{self.health}/metrics").get(name, 0.0)

    def rows(self) -> list[dict[str, Any]]:
        """The newest events, as the guard's page reads them."""
        return list(self.client.get("/api/v1/events", params={"limit": 100}).json()["events"])

    def wait_for_row(self, type_name: str, after: int = 0) -> dict[str, Any]:
        """The newest row of a type, once there are more than `after` of them."""
        eventually(lambda: self.count(type_name) > after, 30, f"a row of type {type_name}")
        return next(row for row in self.rows() if row["type"] == type_name)

    def count(self, type_name: str) -> int:
        return sum(row["type"] == type_name for row in self.rows())

    def _write_site(self) -> None:
        key_file = self.folder / "reader.key"
        key_file.touch(mode=0o600)
        key_file.write_text(self.key)
        (self.folder / "site.toml").write_text(
            f"""
[gateway]
state_dir = "{self.folder / "gateway"}"
place = "garden"
[http]
port = {self.health.rpartition(":")[2]}
[[reader_bus]]
id = "bus"
port = "{self.folder / "line"}"
[[reader]]
id = "{READER}"
bus = "bus"
address = 0
scbk_file = "{key_file}"
card_format = "w26"
[[door]]
id = "{DOOR}"
place = "gate"
readers = ["{READER}"]
strike = {{ reader = "{READER}", output = 0 }}
contact = {{ reader = "{READER}", input = 0 }}
request_to_exit = {{ reader = "{READER}", input = 1 }}
release_s = 1.0
held_after_s = 30.0
"""
        )

    def _plan(self) -> ReaderPlan:
        reader = PlayedReader(
            id=READER, link=self.folder / "line", address=0, scbk_hex=self.key, contact_input=0, exit_input=1
        )
        return ReaderPlan(readers=(reader,))

    def _write_register(self) -> None:
        book = Workbook(write_only=True)
        sheets: dict[str, list[tuple[str, ...]]] = {
            "places": [
                ("code", "kind", "name", "parent"),
                ("garden", "community", "花园小区", ""),
                ("gate", "entrance", "东门", "garden"),
                ("b1", "building", "1栋", "garden"),
                ("b1-101", "dwelling", "101", "b1"),
            ],
            "schedules": [("code", "name", "days", "from", "until"), ("always", "全天", "mon-sun", "00:00", "24:00")],
            "doors": [("gateway", "device", "place", "name"), (GATEWAY, DOOR, "gate", "东门")],
            "door_groups": [("code", "name", "schedule", "doors"), ("all", "住户", "always", f"{GATEWAY}/{DOOR}")],
            "residents": [
                ("name", "dwelling", "role", "since", "card", "groups"),
                ("张三丰", "b1-101", "owner", "2020-01-01", CARD, "all"),
                ("欧阳修", "b1-101", "family", "2020-01-01", OTHER_CARD, "all"),
                (TENANT, "b1-101", "tenant", "2020-01-01", TENANT_CARD, "all"),
            ],
        }
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(row)
        book.save(self.folder / "register.xlsx")
