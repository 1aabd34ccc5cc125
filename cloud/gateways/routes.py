"""The HTTP addresses that gateways use: enrolment, and the snapshot of their credentials."""

import gzip
from collections.abc import Callable

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from cloud.gateways.enrolment import EnrolmentRefused, EnrolmentService
from cloud.gateways.identity import GatewayIdentity, NotAGateway
from protocols.enrolment import PATH as ENROL_PATH
from protocols.enrolment import EnrolmentAnswer, EnrolmentRequest

SNAPSHOT_PATH = "/api/v1/gateway/credentials"
_MAX_REQUEST_BYTES = 4096
_GZIP_FROM_BYTES = 2048
_GZIP_LEVEL = 3
"""Hashes hardly compress further than the fast levels get them."""


def gateway_router(
    enrolment: EnrolmentService, identity: GatewayIdentity, snapshot: Callable[[str], bytes | None]
) -> APIRouter:
    """The routes.

    Args:
        snapshot: gateway -> its sealed `CredentialSet`, None before the first was compiled.
    """
    router = APIRouter()

    @router.post(ENROL_PATH, response_model=EnrolmentAnswer)
    async def enrol(request: Request) -> EnrolmentAnswer:
        body = await _limited_body(request)
        try:
            wanted = EnrolmentRequest.model_validate_json(body)
        except ValidationError as error:
            raise HTTPException(422, "no enrolment request") from error
        address = request.client.host if request.client else "unknown"
        try:
            return await run_in_threadpool(enrolment.enrol, wanted, address)
        except EnrolmentRefused as refusal:
            headers = {"Retry-After": "60"} if refusal.too_many else None
            raise HTTPException(429 if refusal.too_many else 403, str(refusal), headers) from refusal

    @router.get(SNAPSHOT_PATH)
    def credentials(request: Request) -> Response:
        try:
            gateway = identity.prove(request.headers.get("authorization"), "GET", request.url.path)
        except NotAGateway as refusal:
            raise HTTPException(401, str(refusal), {"WWW-Authenticate": "Gatehouse"}) from refusal
        sealed = snapshot(gateway)
        if sealed is None:
            raise HTTPException(404, "no credentials were compiled for this gateway yet")
        headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
        if len(sealed) >= _GZIP_FROM_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
            sealed, headers["Content-Encoding"] = gzip.compress(sealed, _GZIP_LEVEL), "gzip"
        return Response(sealed, media_type="application/octet-stream", headers=headers)

    return router


async def _limited_body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_REQUEST_BYTES:
            raise HTTPException(413, f"an enrolment request has at most {_MAX_REQUEST_BYTES} bytes")
    return body
