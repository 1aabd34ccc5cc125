"""`PUT /api/v1/gateway/pictures/{sha256}` for gateways, `GET /api/v1/pictures/{sha256}` for who is logged in."""

import hashlib
import logging
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse
from prometheus_client import CollectorRegistry, Counter
from starlette.concurrency import run_in_threadpool

from cloud.accounts import SignedIn
from cloud.database.engine import Database
from cloud.database.tables import Picture
from cloud.media import jpeg
from cloud.media.reach import is_shown
from cloud.media.senders import Senders
from cloud.media.store import PictureStore
from protocols.base import ProtocolError

MAX_PICTURE_BYTES = 512 * 1024
UPLOAD_PREFIX = "/api/v1/gateway/pictures/"
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
_log = logging.getLogger(__name__)


class PictureIntake:
    """Checks an upload, stores it and counts what became of it."""

    def __init__(self, store: PictureStore, senders: Senders, registry: CollectorRegistry) -> None:
        self._store = store
        self._senders = senders
        self._outcomes = Counter(
            "gatehouse_pictures", "Pictures that gateways sent, by outcome", ["outcome"], registry=registry
        )

    def take(self, header: str, path: str, sha256: str, body: bytes) -> int:
        """The HTTP status: 201 stored, 200 known already.

        Raises:
            HTTPException: 401 unproven, 413 too large, 422 not the picture it claims to be, 507 disk full.
        """
        gateway = self._sender(header, path, body)
        if len(body) > MAX_PICTURE_BYTES:
            raise self._refused("too_large", gateway, 413, f"a picture has at most {MAX_PICTURE_BYTES} bytes")
        if hashlib.sha256(body).hexdigest() != sha256:
            raise self._refused("wrong_hash", gateway, 422, "the SHA-256 in the path is not the body's")
        try:
            jpeg.check(body)
        except jpeg.NotAPicture as error:
            raise self._refused("not_a_picture", gateway, 422, f"not a JPEG picture: {error}") from error
        try:
            is_new = self._store.add(sha256, body, gateway)
        except OSError as error:
            raise self._refused("disk", gateway, 507, f"the hub cannot store it: {error.strerror}") from error
        self._outcomes.labels("stored" if is_new else "known").inc()
        return 201 if is_new else 200

    def _sender(self, header: str, path: str, body: bytes) -> str:
        try:
            return self._senders.proven(header, "PUT", path, body)
        except ProtocolError as error:
            raise self._refused("unproven", "-", 401, str(error)) from error

    def _refused(self, outcome: str, gateway: str, status: int, reason: str) -> HTTPException:
        self._outcomes.labels(outcome).inc()
        _log.warning("picture of gateway %s refused: %s", gateway, reason)
        return HTTPException(status, reason)


def upload_router(intake: PictureIntake) -> APIRouter:
    """The gateways' route."""
    router = APIRouter()

    @router.put(UPLOAD_PREFIX + "{sha256}")
    async def put_picture(sha256: Sha256, request: Request) -> Response:
        body = await request.body()  # bounded by cloud.console.border
        header = request.headers.get("authorization", "")
        return Response(status_code=await run_in_threadpool(intake.take, header, request.url.path, sha256, body))

    return router


def view_router(store: PictureStore, database: Database, looking: Callable[[Request], SignedIn]) -> APIRouter:
    """The console's route; `looking` is the dependency that asks who may look at pictures."""
    router = APIRouter()

    @router.get("/api/v1/pictures/{sha256}")
    def get_picture(
        sha256: Sha256, by: Annotated[SignedIn, Depends(looking)], event: UUID | None = None
    ) -> FileResponse:
        path = store.find(sha256)
        if path is None or not is_shown(database, Picture, sha256, by.scope, event):
            raise HTTPException(404, "no such picture: not sent yet, or past its retention")
        headers = {"Cache-Control": "private, max-age=86400, immutable", "Content-Disposition": "inline"}
        return FileResponse(path, media_type="image/jpeg", headers=headers)

    return router
