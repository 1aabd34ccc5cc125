"""A real hub console for tests: real application, uvicorn on loopback, database, event writer and command service.

What is played is the broker alone: commands that would go to it are kept in `sent`, and a gateway's answers are given
with `answer`.
"""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import uvicorn
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry
from sqlalchemy import insert, select

from cloud.accounts import Passwords, open_accounts
from cloud.app import AppParts, create_app, server_config
from cloud.app_settings import AppSettings
from cloud.audit import AuditLog
from cloud.broker import Mirror, TlsFiles
from cloud.commands.service import CommandService
from cloud.database.engine import Database
from cloud.database.tables import (
    Account,
    AccountRole,
    Credential,
    Door,
    Gateway,
    Person,
    Place,
    PlaceKind,
    Residency,
    ResidencyRole,
)
from cloud.ingest.batch import Batch
from cloud.ingest.writer import EventWriter
from cloud.live.feed import LiveFeed
from cloud.register.paths import child_path
from cloud.signing import HubSigner
from protocols.commands import Reply, ReplyState
from protocols.events import Event
from tests.support import register as given
from tests.support.events import FakeGateway, KnownKeys, arrivals, new_id

PASSWORD = "correct horse battery"
GUARD, ADMINISTRATOR = "guard", "administrator"
FULL_NAME = "欧阳娜娜"
DOORS = {"d-east": "东门", "d-lobby": "3栋大堂门", "d-garage": "地库门"}
QUICK_PASSWORDS = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def utc_now() -> datetime:
    return datetime.now(UTC)


def wait_for(condition: Callable[[], Any], timeout_s: float = 30.0, what: str = "it") -> Any:
    """Wait until a condition is true and return its value; fails with `what` after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.01)
    return value


class Seed:
    """A community with three doors, one gateway and one resident, and the gateway's half of the wire."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.gateway = FakeGateway("gw-quiet")
        self.credential = new_id()
        community = _place(None, PlaceKind.COMMUNITY, "qt", "安静社区")
        building = _place(community, PlaceKind.BUILDING, "qt-3", "3栋")
        unit = _place(building, PlaceKind.UNIT, "qt-3-2", "2单元")
        dwelling = _place(unit, PlaceKind.DWELLING, "qt-3-2-501", "501")
        gate = _place(community, PlaceKind.ENTRANCE, "gate-east", "东门岗")
        person = new_id()
        long_ago = utc_now() - timedelta(days=1000)
        rows: list[tuple[type[Any], dict[str, Any]]] = [
            (Gateway, {"id": "gw-quiet", "created_at": long_ago, "enrolled_at": long_ago, "presence": "online"}),
            *((Place, each) for each in (community, building, unit, dwelling, gate)),
            (Person, {"id": person, "name": FULL_NAME}),
            (
                Residency,
                {
                    "id": new_id(),
                    "person_id": person,
                    "dwelling_id": dwelling["id"],
                    "role": ResidencyRole.OWNER,
                    "since": long_ago,
                },
            ),
            (
                Credential,
                {
                    "id": self.credential,
                    "person_id": person,
                    "number_sealed": b"sealed",
                    "number_index": "index",
                    "since": long_ago,
                },
            ),
        ]
        rows += [
            (Door, {"id": new_id(), "gateway_id": "gw-quiet", "device": code, "place_id": gate["id"], "name": name})
            for code, name in DOORS.items()
        ]
        with database.write() as connection:
            for table, values in rows:
                connection.execute(insert(table).values(**values))

    def store(self, *events: Event, received_at: datetime | None = None) -> None:
        """Store events as an ingest worker does."""
        writer = EventWriter(self.database)
        try:
            writer.store(Batch(received_at or utc_now(), arrivals(events)))
        finally:
            writer.close()


def _place(above: dict[str, Any] | None, kind: PlaceKind, code: str, name: str) -> dict[str, Any]:
    place = new_id()
    parent, path = (above["id"], above["path"]) if above else (None, None)
    return {"id": place, "parent_id": parent, "kind": kind, "code": code, "name": name, "path": child_path(path, place)}


class RunningConsole:
    """A console on a free port of loopback; it can be stopped and started again on the same port.

    With `tls` it is reached by HTTPS, with that certificate.
    """

    def __init__(
        self, database: Database, folder: Path, settings: AppSettings | None = None, tls: TlsFiles | None = None
    ) -> None:
        self.seed = Seed(database)
        self.database = database
        self.folder = folder
        self.settings = settings or AppSettings(https=tls is not None)
        self._tls = tls
        self.sent: list[tuple[str, bytes]] = []
        self.is_connected = True
        self.audit = AuditLog(database, utc_now)
        self.accounts = open_accounts(database, self.audit, given.vault(), utc_now, QUICK_PASSWORDS)
        for name, role in ((GUARD, AccountRole.GUARD), (ADMINISTRATOR, AccountRole.ADMINISTRATOR)):
            self.accounts.create_account(name, PASSWORD, role)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"{'https' if tls is not None else 'http'}://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.registry = CollectorRegistry()
        self.live = LiveFeed(self.database, utc_now, self.registry)
        self.commands = CommandService(
            self.database, lambda _topic, body: body, self._send, utc_now, new_id, os.urandom, self.live.command_changed
        )
        self.app = create_app(
            AppParts(
                database=self.database,
                now=utc_now,
                accounts=self.accounts,
                audit=self.audit,
                keys=KnownKeys(self.seed.gateway),
                vault=given.vault(),
                signer=HubSigner(b"s" * 32),
                commands=self.commands,
                live=self.live,
                media_folder=self.folder,
                registry=self.registry,
                settings=self.settings,
            )
        )
        config = server_config(self.app, "127.0.0.1", self.port)
        if self._tls is not None:
            config.ssl_certfile, config.ssl_keyfile = self._tls.certificate, self._tls.key
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="console under test")
        self._thread.start()
        self.commands.start()
        wait_for(lambda: self._server.started and self.live.is_watching, what="the console's start")

    def stop(self) -> None:
        self.commands.stop()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the console did not stop"

    @contextmanager
    def client(self, username: str | None = GUARD) -> Iterator[httpx.Client]:
        """An HTTP client, logged in as `username`; its Origin is the console's own."""
        trusted = True if self._tls is None else ssl.create_default_context(cafile=self._tls.ca)
        origin = {"Origin": self.url}
        with httpx.Client(base_url=self.url, headers=origin, timeout=10, verify=trusted) as client:
            if username == ADMINISTRATOR:
                client.cookies["gatehouse"] = self.session(ADMINISTRATOR)
            elif username is not None:
                answer = client.post("/login", data={"username": username, "password": PASSWORD})
                assert answer.status_code == 303, answer.text
            yield client

    def session(self, username: str) -> str:
        """The cookie of a session, without log-in: an administrator's asks for a code, which comes once in 30 s."""
        query = select(Account.id, Account.password_hash).where(Account.username == username)
        with self.database.read() as connection:
            account, password_hash = connection.execute(query).one()
        token = self.accounts.sessions.open(account, password_hash)
        assert token is not None
        return token

    def store(self, *events: Event) -> None:
        """Store events and wake the live feed, as ingest does."""
        self.seed.store(*events)
        self.live.wake()

    def answer(self, corr: UUID, state: ReplyState, reason: str = "", code: str | None = None) -> None:
        """A gateway's answer to a command."""
        self.commands.answered("gw-quiet", Reply(corr=corr, state=state, time=utc_now(), reason=reason, code=code))

    def last_command(self) -> UUID:
        """The command that was sent last, once there is one that was not asked for before."""
        topic, _ = wait_for(lambda: self.sent and self.sent.pop(), what="a command")
        return UUID(topic.rsplit("/", 1)[1])

    def _send(self, topic: str, message: bytes, _mirror: Mirror) -> bool:
        if self.is_connected:
            self.sent.append((topic, message))
        return self.is_connected
