"""One more ingest worker as a process of its own, beside a hub that runs on the same database and broker.

It serves no console. Where it is told a port, `/healthz` and `/metrics` are there for programs on its own machine.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud.app import answers_queries, server_config
from cloud.audit import AuditLog
from cloud.broker import HubClient
from cloud.commands import AuditedOutcomes, CommandOutcome, CommandService
from cloud.config import HttpSection, HubConfig
from cloud.credentials.answers import CredentialAnswers
from cloud.database.engine import Database
from cloud.foundation import HubError, new_id_maker, open_foundation, utc_now
from cloud.gateways import GatewayKeys
from cloud.gateways.echo import BirthEcho
from cloud.hub import listen, worker_maker
from cloud.hub_broker import make_broker
from cloud.hub_ingest import IngestKeeper
from cloud.hub_metrics import HubMetrics
from cloud.ingest.counters import IngestCounters
from cloud.ingest.handlers import IngestHandlers

_POLL_S = 0.5
_STOP_S = 10.0
_HOST = "127.0.0.1"


def run_worker(config: HubConfig, number: int, metrics_port: int | None, tell: Callable[[str], None]) -> None:
    """Run one more ingest worker until SIGTERM or SIGINT.

    Args:
        metrics_port: where on loopback `/healthz` and `/metrics` are served; 0 takes a free port, None serves nothing.
        tell: hears where they are, and that the worker stores, once the broker has granted its subscription.

    Raises:
        HubError: if the configuration does not share the messages out, another worker has this number, or the port is
            taken.
        BrokerError, VaultError, DatabaseUrlError, DatabaseIsNewer, SQLAlchemyError, OSError: at the start.
    """
    if not config.ingest.shared:
        raise HubError("[ingest] shared is false: set it to true for the hub and all its workers")
    if number <= config.ingest.workers:
        raise HubError(f"workers 1 to {config.ingest.workers} run in the hub itself: use a higher number")
    foundation = open_foundation(config)
    broker = make_broker(config)
    client = HubClient(
        broker.hub_access,
        None,
        foundation.signer.seal,
        _nothing,
        _nothing,
        name=f"hub-answers-{number}",
        protocol=config.broker.protocol,
    )
    commands = CommandService(
        foundation.database,
        foundation.signer.seal,
        client.send,
        utc_now,
        new_id_maker(),
        os.urandom,
        _nothing_told,
        AuditedOutcomes(AuditLog(foundation.database, utc_now)),
    )
    answers = CredentialAnswers(foundation.database, foundation.signer.seal, client.publish)
    echo = BirthEcho(foundation.signer.seal, client.publish, utc_now)
    handlers = IngestHandlers(commands.answered, answers.on_ask, echo.on_state)
    keys = GatewayKeys(foundation.database, foundation.vault)
    registry = CollectorRegistry()
    ingest = IngestKeeper(worker_maker(foundation, broker, keys, handlers, IngestCounters(registry)), [number])
    HubMetrics(
        registry,
        None,
        client,
        {
            "hub_messages": ("What this worker's connection for answers did", client.counts),
            "ingest_workers": ("Ingest workers that died of a fault in the program", ingest.counts),
            "credential_answers": ("Questions of gateways answered", answers.counts),
            "births": ("Births of gateways that were echoed", echo.counts),
            "commands": ("States that commands reached", commands.counts),
        },
    )
    stopping = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda _number, _frame: stopping.set())
    with contextlib.ExitStack() as started:
        started.callback(foundation.database.close)
        if metrics_port is not None:
            app = operations_app(foundation.database, client, ingest, registry)
            tell(f"worker {number}: {started.enter_context(_served(app, metrics_port))}/metrics")
        client.start()
        started.callback(client.stop)
        ingest.start()
        started.callback(ingest.stop)
        while not ingest.wait_until_subscribed(_POLL_S):
            if stopping.is_set():
                return
        tell(f"worker {number} stores events")
        stopping.wait()


def operations_app(
    database: Database, client: HubClient, ingest: IngestKeeper, registry: CollectorRegistry
) -> Starlette:
    """`/healthz` and `/metrics`, as the hub's own."""

    def healthz(_request: Request) -> JSONResponse:
        health = {
            "database": answers_queries(database),
            "broker": client.is_connected,
            "ingest": ingest.is_sound,
        }
        sound = all(health.values())
        return JSONResponse({"status": "ok" if sound else "failing", "parts": health}, 200 if sound else 503)

    def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])


@contextlib.contextmanager
def _served(app: Starlette, port: int) -> Iterator[str]:
    """Serve on loopback in a thread; gives the address."""
    listener = listen(HttpSection(host=_HOST, port=port), "--metrics-port")
    server = uvicorn.Server(server_config(app, _HOST, port))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="worker's metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{_HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
        listener.close()


def _nothing() -> None:
    """Nobody to tell in this process."""


def _nothing_told(_outcome: CommandOutcome) -> None:
    """The hub's own process sees the outcome in the database."""
