"""Clips over HTTP: gateways send them in parts, who is logged in looks at them, and each look is audited."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import CollectorRegistry, Counter
from starlette.concurrency import run_in_threadpool

from cloud.accounts import SignedIn
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import Clip
from cloud.media.clips import ClipStore, NoRoom, UploadFault, WrongPlace
from cloud.media.reach import is_shown
from cloud.media.senders import Senders
from protocols.base import ProtocolError
from protocols.clips import MAX_CLIP_BYTES, MAX_PART_BYTES, PREFIX, UploadState

Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Path(gt=0, le=2**53)]
Offset = Annotated[int, Path(ge=0, le=2**53)]
_LOOK_AGAIN = timedelta(minutes=10)
"""A player asks for many ranges of one clip: within this time they are one look."""
_LOOKS_REMEMBERED = 1000
_BYTES = {"type": "string", "format": "binary", "maxLength": MAX_PART_BYTES}
_STATE: dict[str, Any] = {"model": UploadState}
_FILM: dict[str, Any] = {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}}
_TEXTS = {
    202: "Taken; more is to come.",
    206: "The range that was asked for.",
    401: "Not proven to be from an enrolled gateway; or, for a person, not logged in.",
    404: "There is no such clip: not sent yet, or past its retention.",
    409: "The part does not begin where the hub's ends: go on at `offset`.",
    413: f"A part has at most {MAX_PART_BYTES} bytes, a clip at most {MAX_CLIP_BYTES}.",
    422: "The whole is not what its hash says, or no MP4; what there was of it is gone.",
    507: "The hub's disk has no room.",
}
_log = logging.getLogger(__name__)


class ClipIntake:
    """Checks parts of uploads, stores them and counts what became of them."""

    def __init__(self, store: ClipStore, senders: Senders, registry: CollectorRegistry) -> None:
        self._store, self._senders = store, senders
        self._outcomes = Counter(
            "gatehouse_clip_parts", "Parts of clips that gateways sent, by outcome", ["outcome"], registry=registry
        )

    def state(self, header: str, path: str, sha256: str) -> UploadState:
        """How far the upload is.

        Raises:
            HTTPException: 401 unproven.
        """
        return self._store.state(self._sender(header, "GET", path, b""), sha256)

    def take(self, header: str, path: str, sha256: str, size_bytes: int, offset: int, body: bytes) -> JSONResponse:
        """Take a part: 201 the clip is complete, 202 more is to come, 409 it goes on elsewhere.

        Raises:
            HTTPException: 401 unproven, 413 too large, 422 not the clip it claims to be, 507 disk full.
        """
        gateway = self._sender(header, "PUT", path, body)
        if size_bytes > MAX_CLIP_BYTES:
            raise self._refused("too_large", gateway, 413, f"a clip has at most {MAX_CLIP_BYTES} bytes")
        if not body:
            raise self._refused("empty", gateway, 422, "the part is empty")
        try:
            state = self._store.add(gateway, sha256, size_bytes, offset, body)
        except WrongPlace as error:
            self._outcomes.labels(error.kind).inc()
            return _told(409, error.state)
        except NoRoom as error:
            raise self._refused(error.kind, gateway, 507, str(error)) from error
        except UploadFault as error:
            raise self._refused(error.kind, gateway, 422, str(error)) from error
        except OSError as error:
            raise self._refused("disk", gateway, 507, f"the hub cannot store it: {error.strerror}") from error
        self._outcomes.labels("complete" if state.done else "taken").inc()
        return _told(201 if state.done else 202, state)

    def _sender(self, header: str, method: str, path: str, body: bytes) -> str:
        try:
            return self._senders.proven(header, method, path, body)
        except ProtocolError as error:
            raise self._refused("unproven", "-", 401, str(error)) from error

    def _refused(self, outcome: str, gateway: str, status: int, reason: str) -> HTTPException:
        self._outcomes.labels(outcome).inc()
        _log.warning("clip of gateway %s refused: %s", gateway, reason)
        return HTTPException(status, reason)


class Looks:
    """Audits who looks at which clip: once for all the ranges that a player asks for in a while."""

    def __init__(self, audit: AuditLog, now: Callable[[], datetime]) -> None:
        self._audit, self._now = audit, now
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[UUID, str], datetime] = OrderedDict()

    def note(self, account_id: UUID, sha256: str) -> None:
        """Write it down first: what cannot be audited is not shown.

        Raises:
            AuditError: if the database would not take it.
        """
        key, now = (account_id, sha256), self._now()
        with self._lock:
            last = self._last.get(key)
            if last is not None and timedelta() <= now - last < _LOOK_AGAIN:
                return
        self._audit.append("clip.view", account_id, {"sha256": sha256})
        with self._lock:
            self._last[key] = now
            self._last.move_to_end(key)
            while len(self._last) > _LOOKS_REMEMBERED:
                self._last.popitem(last=False)


def clip_upload_router(intake: ClipIntake) -> APIRouter:
    """The gateways' routes."""
    router = APIRouter(tags=["gateways"])

    @router.get(PREFIX + "{sha256}", response_model=UploadState, responses=_said(401))
    def get_state(sha256: Sha256, request: Request) -> JSONResponse:
        """How much of this clip the hub has of this gateway; where an upload that broke off goes on."""
        return _told(200, intake.state(request.headers.get("authorization", ""), request.url.path, sha256))

    @router.put(
        PREFIX + "{sha256}/{size_bytes}/{offset}",
        status_code=201,
        response_model=UploadState,
        responses={**_said(401, 413, 422, 507), 202: _STATE | _said(202)[202], 409: _STATE | _said(409)[409]},
        openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": _BYTES}}}},
    )
    async def put_part(sha256: Sha256, size_bytes: Size, offset: Offset, request: Request) -> Response:
        """The next part of a clip of `size_bytes`, which begins at `offset`. The last part completes the clip."""
        body = await request.body()  # bounded by cloud.console.border
        header, path = request.headers.get("authorization", ""), request.url.path
        return await run_in_threadpool(intake.take, header, path, sha256, size_bytes, offset, body)

    return router


def clip_view_router(
    store: ClipStore, database: Database, looks: Looks, looking: Callable[[Request], SignedIn]
) -> APIRouter:
    """The console's route, with ranges (RFC 9110, section 14); `looking` asks who may look at clips."""
    router = APIRouter(tags=["clips"])

    @router.get(
        "/api/v1/clips/{sha256}",
        response_class=FileResponse,
        responses={**_said(401, 404), 200: _FILM, 206: _FILM | _said(206)[206]},
    )
    def get_clip(sha256: Sha256, who: Annotated[SignedIn, Depends(looking)], event: UUID | None = None) -> FileResponse:
        """The clip as MP4, whole or a range of it. Who looks at it is written into the audit first.

        Who sees a part of the hub names the event that the clip belongs to, where its gateway serves other parts too.
        """
        path = store.find(sha256)
        if path is None or not is_shown(database, Clip, sha256, who.scope, event):
            raise HTTPException(404, "no such clip: not sent yet, or past its retention")
        looks.note(who.account_id, sha256)
        headers = {"Cache-Control": "private, no-store"}
        return FileResponse(
            path, media_type="video/mp4", headers=headers, filename=f"{sha256}.mp4", content_disposition_type="inline"
        )

    return router


def described_router(*routers: APIRouter, signed_in: Callable[[Request], SignedIn]) -> APIRouter:
    """`/api/v1/media/openapi.json`: the routes of clips as an OpenAPI document, for who is logged in."""
    router = APIRouter(dependencies=[Depends(signed_in)])
    routes = [route for each in routers for route in each.routes]

    @router.get("/api/v1/media/openapi.json", include_in_schema=False)
    def document() -> dict[str, Any]:
        return get_openapi(
            title="Gatehouse: clips",
            version="1",
            description="Gateways prove themselves with `Authorization: Gatehouse ...` (docs/contract.md); who looks "
            "at clips is logged in.",
            routes=routes,
        )

    return router


def _said(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What each refusal means."""
    return {status: {"description": _TEXTS[status]} for status in statuses}


def _told(status: int, state: UploadState) -> JSONResponse:
    return JSONResponse(state.model_dump(), status)
