"""The hub, put together: database, broker, ingest, distribution, commands and the web application.

The order at the start matters: the broker first admits the hub alone; once ingest has subscribed, gateways are let in
and told that the hub is there. So nothing that a gateway publishes finds no subscriber.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Protocol

import uvicorn
from prometheus_client import CollectorRegistry

from cloud.accounts import Recent, SessionLimits, open_accounts
from cloud.app import AppParts, create_app, server_config
from cloud.audit import AuditLog
from cloud.broker import Broker, HubClient
from cloud.commands import AuditedOutcomes, CommandService
from cloud.config import HttpSection, HubConfig
from cloud.credentials.answers import CredentialAnswers
from cloud.credentials.distribution import Distribution
from cloud.foundation import Foundation, HubError, new_id_maker, open_foundation, utc_now
from cloud.gateways import EnrolmentService, GatewayIdentity, GatewayKeys, Roster
from cloud.gateways.echo import BirthEcho
from cloud.gateways.rate import AttemptLimit
from cloud.gateways.routes import gateway_router
from cloud.hub_broker import make_broker
from cloud.hub_ingest import IngestKeeper
from cloud.hub_metrics import HubMetrics
from cloud.ingest.counters import IngestCounters
from cloud.ingest.handlers import IngestHandlers
from cloud.ingest.reading import MessageReader
from cloud.ingest.worker import IngestWorker, WorkerIdentity
from cloud.ingest.writer import EventWriter
from cloud.live.feed import LiveFeed
from cloud.private_files import write_private
from protocols.presence import GatewayState

_SUBSCRIBED_S = 30.0
_LOOK_S = 1.0

log = logging.getLogger(__name__)


class _Part(Protocol):
    """What can be started and stopped."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Hub:
    """A hub that can be started and stopped in one process; `run` does both around the web server."""

    def __init__(self, foundation: Foundation) -> None:
        config, database, vault = foundation.config, foundation.database, foundation.vault
        self._foundation = foundation
        self._started = contextlib.ExitStack()
        self._started.callback(database.close)
        self._open = threading.Event()
        self.registry = CollectorRegistry()
        self.broker = make_broker(config)
        self.keys = GatewayKeys(database, vault)
        self.roster = Roster(database, vault, self.broker)
        seal = foundation.signer.seal
        self.client = HubClient(
            self.broker.hub_access,
            _next_session(config.state_dir / "session"),
            seal,
            self._reconnected,
            self._stored,
            protocol=config.broker.protocol,
        )
        self.distribution = Distribution(database, vault, seal, self.client.publish)
        self.live = LiveFeed(database, utc_now, self.registry)
        self.commands = CommandService(
            database,
            seal,
            self.client.send,
            utc_now,
            new_id_maker(),
            os.urandom,
            self.live.command_changed,
            AuditedOutcomes(AuditLog(database, utc_now)),
        )
        self.enrolment = EnrolmentService(
            database,
            vault,
            foundation.signer.public_key,
            lambda: self.broker.gateway_access,
            self.roster.admitted,
            AttemptLimit(monotonic),
            utc_now,
        )
        answers = CredentialAnswers(database, seal, self.client.publish)
        self._echo = BirthEcho(seal, self.client.publish, utc_now)
        handlers = IngestHandlers(self.commands.answered, answers.on_ask, self._on_state)
        make = worker_maker(foundation, self.broker, self.keys, handlers, IngestCounters(self.registry))
        self.ingest = IngestKeeper(make, range(1, config.ingest.workers + 1))
        HubMetrics(
            self.registry,
            self.broker,
            self.client,
            {
                "hub_messages": ("What the hub's own connection did", self.client.counts),
                "ingest_workers": ("Ingest workers that died of a fault in the program", self.ingest.counts),
                "credential_distribution": ("Credential sets compiled and sent", self.distribution.counts),
                "credential_answers": ("Questions of gateways answered", answers.counts),
                "births": ("Births of gateways that were echoed", self._echo.counts),
                "commands": ("States that commands reached", self.commands.counts),
                "enrolments": ("Attempts at enrolment", self.enrolment.counts),
            },
        )

    def start(self) -> None:
        """Start every part but the web server.

        Raises:
            BrokerError: if the broker does not start.
            HubError: if the broker does not let the hub subscribe.
        """
        self._start(self.broker)
        self._start(self.ingest)
        self._start(self.client)
        if not self.ingest.wait_until_subscribed(_SUBSCRIBED_S):
            raise HubError(f"the broker did not grant the hub's subscription within {_SUBSCRIBED_S:.0f} s")
        self._start(self.roster)
        self._open.set()
        self.client.announce()
        self._start(self.distribution)
        self._start(self.commands)

    def stop(self) -> None:
        """Stop what was started, the last first: the hub says offline before ingest and the broker end."""
        self._started.close()

    def _start(self, part: _Part) -> None:
        part.start()
        self._started.callback(part.stop)

    def health(self) -> dict[str, bool]:
        """Which parts work, for `/healthz`."""
        return {
            "broker": self.broker.status().state == "running" and self.client.is_connected,
            "ingest": self.ingest.is_sound,
        }

    def app_parts(self) -> AppParts:
        """What the web application is made of."""
        foundation = self._foundation
        identity = GatewayIdentity(self.keys, utc_now)
        audit = AuditLog(foundation.database, utc_now)
        lasting = foundation.config.web.sessions
        limits = SessionLimits(absolute=lasting.absolute, idle=lasting.idle)
        recent = Recent(utc_now, timedelta(days=foundation.config.web.days_without_purpose))
        return AppParts(
            database=foundation.database,
            now=utc_now,
            accounts=open_accounts(foundation.database, audit, foundation.vault, utc_now, limits=limits, recent=recent),
            audit=audit,
            keys=self.keys,
            vault=foundation.vault,
            signer=foundation.signer,
            commands=self.commands,
            live=self.live,
            media_folder=foundation.config.state_dir,
            registry=self.registry,
            settings=foundation.config.web,
            gateway_routers=[gateway_router(self.enrolment, identity, self.distribution.snapshot)],
            health=self.health,
        )

    def _reconnected(self) -> None:
        self.broker.reconnected()
        self.distribution.connected()
        if self._open.is_set():
            threading.Thread(target=self._announce_again, name="hub announcer", daemon=True).start()

    def _announce_again(self) -> None:
        """After a lost broker: what gateways send before ingest has subscribed again would wait for a resend."""
        while self.client.is_connected and not self.ingest.wait_until_subscribed(_LOOK_S):
            pass
        self.client.announce()

    def _stored(self) -> None:
        self.live.wake()

    def _on_state(self, gateway: str, state: GatewayState) -> None:
        self._echo.on_state(gateway, state)
        self.live.wake()


def worker_maker(
    foundation: Foundation, broker: Broker, keys: GatewayKeys, handlers: IngestHandlers, counters: IngestCounters
) -> Callable[[int], IngestWorker]:
    """Number -> an ingest worker, not started, with connections of its own to broker and database."""

    def make(number: int) -> IngestWorker:
        return IngestWorker(
            broker.hub_access,
            MessageReader(keys),
            EventWriter(foundation.database),
            foundation.signer,
            counters,
            handlers,
            WorkerIdentity(number, foundation.config.ingest.is_shared),
            utc_now,
        )

    return make


def run(config: HubConfig, tell: Callable[[str], None]) -> None:
    """Run a hub until SIGTERM or SIGINT.

    Args:
        tell: hears the console's address once it can be opened.

    Raises:
        HubError, BrokerError, VaultError, DatabaseUrlError, DatabaseIsNewer, SQLAlchemyError, OSError: at the start.
    """
    hub = Hub(open_foundation(config))
    listener = listen(config.http)
    try:
        hub.start()
        server = _Server(server_config(create_app(hub.app_parts()), config.http.host, listener.getsockname()[1]))
        server.on_ready = lambda: _ready(tell, config, listener)
        server.run(sockets=[listener])
    finally:
        _notify("STOPPING=1")
        listener.close()
        hub.stop()


class _Server(uvicorn.Server):
    """Says when it serves, and leaves the way it was told to stop out of the exit status."""

    on_ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def listen(section: HttpSection, key: str = "[http]") -> socket.socket:
    """A socket that takes connections, which wait until somebody serves them; `key` is what set its address.

    Raises:
        HubError: if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in section.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((section.host, section.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise HubError(
            f"{key} {section.host}:{section.port} cannot be used: {error.strerror}; is another one running already?"
        ) from error
    return listener


def _ready(tell: Callable[[str], None], config: HubConfig, listener: socket.socket) -> None:
    host = f"[{config.http.host}]" if ":" in config.http.host else config.http.host
    tell(f"http://{host}:{listener.getsockname()[1]}")
    _notify("READY=1")


def _notify(state: str) -> None:
    """Tell systemd (sd_notify(3)); nothing without it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _next_session(path: Path) -> int:
    """This start's number: one more than the last one's, which the file holds."""
    number = int(path.read_text()) + 1 if path.exists() else 1
    write_private(path, f"{number}\n")
    return number
