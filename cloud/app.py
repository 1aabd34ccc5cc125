"""The hub's web application: puts routers, border and background work together. It decides nothing by itself."""

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette

from cloud.access.api import access_router
from cloud.access.chores import AccessChores
from cloud.access.office import CommandSender, DoorOffice
from cloud.accounts import Accounts, Permission
from cloud.alarms.api import AlarmOffice, alarm_router
from cloud.alarms.desk import AlarmDesk
from cloud.alarms.engine import AlarmEngine
from cloud.alarms.evidence import EvidenceKeeper
from cloud.alarms.orders import OrderDesk
from cloud.alarms.orders_api import order_router
from cloud.alarms.roster import Roster
from cloud.app_settings import AppSettings
from cloud.audit import AuditLog
from cloud.categories.api import category_router
from cloud.categories.chores import CategoryChores
from cloud.console.account_api import SessionDesk, account_router
from cloud.console.account_pages import account_pages
from cloud.console.api import api_router
from cloud.console.border import SECURITY_HEADERS, Border, BorderRules
from cloud.console.described import described_api
from cloud.console.forwarded import ForwardedClient
from cloud.console.guard import Guard
from cloud.console.language import STATIC
from cloud.console.pages import pages_router
from cloud.console.sessions_api import sessions_router
from cloud.console.sign_on import SignOn
from cloud.database.engine import Database
from cloud.disclosure import Histories, disclosure_router
from cloud.disclosure.chores import ErasureChores
from cloud.disclosure.subject_api import subject_router
from cloud.duty.api import DutyOffice, duty_router
from cloud.duty.chores import DutyChores
from cloud.duty.roster import DutyRoster
from cloud.gateways.identity import GatewayIdentity
from cloud.linking.chores import RelinkingChores
from cloud.linking.routes import linking_router
from cloud.live.feed import LiveFeed
from cloud.live.socket import live_router
from cloud.matters.api import matter_router
from cloud.matters.desk import MatterDesk
from cloud.matters.page import matter_pages
from cloud.media.clip_routes import ClipIntake, Looks, clip_upload_router, clip_view_router, described_router
from cloud.media.clips import ClipStore
from cloud.media.routes import PictureIntake, upload_router, view_router
from cloud.media.senders import KeyFinder, Senders
from cloud.media.store import PictureStore
from cloud.notify.api import NotifyOffice, notify_router
from cloud.notify.outbox import NotifyingRoster
from cloud.notify.sender import NotifySender
from cloud.register.api import register_router
from cloud.register.ids import IdMaker
from cloud.retention import RetentionService
from cloud.sign_on.provider import Provider
from cloud.sign_on.subjects import Subjects
from cloud.signing import HubSigner
from cloud.vault import Vault
from cloud.video.gateway_socket import video_gateway_router
from cloud.video.service import VideoRelay
from cloud.video.viewers import Looking, video_view_router
from protocols.live import MAX_FRAME_BYTES

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AppParts:
    """What the application is made of.

    `health` gives the state of parts that the application does not know itself (the broker, the workers); any False
    makes `/healthz` say so. `gateway_routers` are the routes for gateways beside the pictures: enrolment, credentials.
    """

    database: Database
    now: Callable[[], datetime]
    accounts: Accounts
    audit: AuditLog
    keys: KeyFinder
    vault: Vault
    signer: HubSigner
    commands: CommandSender
    live: LiveFeed
    media_folder: Path
    """Pictures and clips, each in a folder of their own."""
    registry: CollectorRegistry
    settings: AppSettings = field(default_factory=AppSettings)
    gateway_routers: Sequence[APIRouter] = ()
    health: Callable[[], Mapping[str, bool]] = field(default=dict)


def create_app(parts: AppParts) -> FastAPI:
    """The application; its lifespan runs the live feed, the retention, the chores, relinking, the alarms."""
    pictures = PictureStore(parts.media_folder / "pictures", parts.database, parts.now)
    clips = ClipStore(parts.media_folder / "clips", parts.database, parts.now)
    senders = Senders(parts.keys, parts.now)
    guard = Guard(parts.accounts.sessions, parts.settings.https, parts.accounts.tokens)
    video = VideoRelay(parts.registry)
    roster = NotifyingRoster(DutyRoster(parts.settings.notify.zone), parts.settings.notify, IdMaker(), parts.registry)
    sender = NotifySender(
        parts.database, parts.settings.notify, parts.now, IdMaker(), parts.registry, parts.live.alarms_changed
    )
    app = FastAPI(
        title="Gatehouse hub",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan(parts, pictures, clips, video, roster, sender),
    )
    app.add_middleware(
        Border,
        rules=BorderRules(parts.settings.allowed_hosts, parts.settings.https),
        registry=parts.registry,
    )
    if parts.settings.trusted_proxies:
        app.add_middleware(ForwardedClient, trusted=parts.settings.trusted_proxies)
    app.add_exception_handler(Exception, _failed)
    app.include_router(pages_router(parts.accounts, guard, parts.live, parts.registry, _sign_on(parts)))
    find, may_look = parts.accounts.sessions.find_by_hash, guard.may(Permission.LOOK)
    office, alarms, matters = _office(parts), _alarm_office(parts, roster), _matter_desk(parts, roster)
    histories, sessions = Histories(office.make_id), SessionDesk(parts.accounts, parts.live)
    clip_views = clip_view_router(clips, parts.database, Looks(parts.audit, parts.now), may_look)
    clip_uploads = clip_upload_router(ClipIntake(clips, senders, parts.registry))
    for_accounts = (
        api_router(parts.database, guard, parts.commands, parts.audit),
        account_router(sessions, guard),
        sessions_router(parts.accounts, sessions, guard, parts.audit),
        access_router(office, guard),
        alarm_router(alarms, guard),
        order_router(alarms, OrderDesk(parts.database, parts.now, office.make_id), guard),
        matter_router(alarms, matters, guard),
        disclosure_router(office, guard, histories),
        notify_router(NotifyOffice(parts.database, sender, parts.settings.notify, parts.audit), guard),
        duty_router(_duty_office(parts), guard),
        linking_router(office, guard, histories),
        subject_router(office, guard),
        register_router(office, guard),
        category_router(office, guard, parts.settings.categories),
        view_router(pictures, parts.database, may_look),
        clip_views,
        video_view_router(video.relay, Looking(guard, find, parts.audit, parts.database)),
    )
    for router in for_accounts:
        app.include_router(router)
    app.include_router(matter_pages(alarms, matters, guard))
    app.include_router(account_pages(parts.accounts, sessions, guard, parts.live))
    app.include_router(described_api(for_accounts, guard.signed_in))
    app.include_router(live_router(parts.live.fanout, guard.hand_shake(Permission.WATCH), find))
    app.include_router(described_router(clip_views, clip_uploads, signed_in=guard.signed_in))
    app.include_router(upload_router(PictureIntake(pictures, senders, parts.registry)))
    app.include_router(clip_uploads)
    app.include_router(video_gateway_router(video.relay, GatewayIdentity(parts.keys, parts.now), parts.signer.seal))
    for router in parts.gateway_routers:
        app.include_router(router)
    app.include_router(_operations_router(parts, guard))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def server_config(app: Starlette, host: str, port: int) -> uvicorn.Config:
    """How the application is served: WebSocket messages uncompressed, nothing said about the software."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        ws_per_message_deflate=False,  # compression took most of the hub's time for many pages
        ws_max_size=MAX_FRAME_BYTES,  # a gateway's pictures; pages may send nothing
        ws_max_queue=4,
        server_header=False,
        proxy_headers=False,
        access_log=False,
        log_config=None,
        limit_concurrency=500,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=3,
    )


def _lifespan(
    parts: AppParts,
    pictures: PictureStore,
    clips: ClipStore,
    video: VideoRelay,
    roster: Roster,
    sender: NotifySender,
) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        retention = RetentionService(
            parts.database, pictures, clips, parts.audit, parts.now, parts.settings.retention, parts.registry
        )
        chores = AccessChores(parts.database, parts.now, parts.registry)
        alarms = AlarmEngine(
            parts.database,
            parts.now,
            IdMaker(),
            parts.settings.alarms,
            roster,
            parts.registry,
            parts.live.alarms_changed,
        )
        evidence = EvidenceKeeper(
            parts.database, parts.commands, parts.now, IdMaker(), parts.settings.alarms, parts.registry
        )
        relinking = RelinkingChores(parts.database, parts.now, parts.registry)
        categories = CategoryChores(parts.database, parts.now, parts.registry)
        duty = DutyChores(parts.database, parts.now, parts.registry)
        retention.start()
        categories.start()
        duty.start()
        erasures = ErasureChores(parts.database, parts.audit, parts.now, parts.registry)
        erasures.start()
        alarms.start()
        evidence.start()
        chores.start()
        relinking.start()
        await asyncio.to_thread(sender.start)
        feed = asyncio.create_task(parts.live.run(), name="live feed")
        relay = asyncio.create_task(video.run(), name="live video")
        try:
            yield
        finally:
            feed.cancel()
            relay.cancel()
            await asyncio.gather(feed, relay, return_exceptions=True)
            await asyncio.to_thread(retention.stop)
            await asyncio.to_thread(chores.stop)
            await asyncio.to_thread(categories.stop)
            await asyncio.to_thread(duty.stop)
            await asyncio.to_thread(erasures.stop)
            await asyncio.to_thread(evidence.stop)
            await asyncio.to_thread(alarms.stop)
            await asyncio.to_thread(relinking.stop)
            await asyncio.to_thread(sender.stop)

    return lifespan


def _sign_on(parts: AppParts) -> SignOn | None:
    """With a provider of log-ins in the configuration."""
    if parts.settings.oidc is None:
        return None

    def now_s() -> float:
        return parts.now().timestamp()

    subjects = Subjects(parts.database, parts.audit, parts.now)
    return SignOn(Provider(parts.settings.oidc, now_s), subjects, parts.vault, now_s, time.monotonic)


def _office(parts: AppParts) -> DoorOffice:
    return DoorOffice(
        database=parts.database,
        vault=parts.vault,
        signer=parts.signer,
        audit=parts.audit,
        commands=parts.commands,
        now=parts.now,
        make_id=IdMaker(),
    )


def _alarm_office(parts: AppParts, roster: Roster) -> AlarmOffice:
    desk = AlarmDesk(parts.database, parts.now, parts.settings.alarms, roster)
    kept = parts.settings.retention.figures
    return AlarmOffice(parts.database, desk, parts.audit, parts.now, kept, parts.live.alarms_changed)


def _matter_desk(parts: AppParts, roster: Roster) -> MatterDesk:
    return MatterDesk(parts.database, parts.vault, parts.now, IdMaker(), parts.settings.alarms, roster)


def _duty_office(parts: AppParts) -> DutyOffice:
    settings = parts.settings
    return DutyOffice(parts.database, parts.audit, parts.now, IdMaker(), settings.notify.zone, settings.duty)


def _operations_router(parts: AppParts, guard: Guard) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    def healthz() -> JSONResponse:
        health = {"database": answers_queries(parts.database), **parts.health()}
        sound = all(health.values())
        return JSONResponse({"status": "ok" if sound else "failing", "parts": health}, 200 if sound else 503)

    @router.get("/metrics")
    def metrics(request: Request) -> Response:
        if not _is_local(request):
            guard.may(Permission.READ_METRICS, whole=True)(request)
        return Response(generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def answers_queries(database: Database) -> bool:
    """Whether the database is there."""
    try:
        with database.read() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


def _is_local(request: Request) -> bool:
    """Whether a program on this machine asks, and not a proxy on this machine for somebody else."""
    forwarded = {"forwarded", "x-forwarded-for", "x-real-ip", "via"} & set(request.headers.keys())
    try:
        return not forwarded and ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False


def _failed(_request: Request, error: Exception) -> Response:
    _log.error("a request failed: %s", type(error).__name__)
    return JSONResponse({"detail": "the hub failed; its log says why"}, 500, headers=SECURITY_HEADERS)
