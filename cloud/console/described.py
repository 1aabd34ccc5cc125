"""`/api/v1/openapi.json`: everything that who is logged in can ask of the hub, as one OpenAPI document."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.openapi.utils import get_openapi

from cloud.access.problems import problem_schemas
from cloud.accounts import SignedIn


def described_api(routers: Sequence[APIRouter], signed_in: Callable[[Request], SignedIn]) -> APIRouter:
    """The document's route, for whoever is logged in."""
    router = APIRouter(dependencies=[Depends(signed_in)])

    @router.get("/api/v1/openapi.json", include_in_schema=False)
    def document() -> dict[str, Any]:
        return openapi_document(routers)

    return router


def openapi_document(routers: Sequence[APIRouter]) -> dict[str, Any]:
    """The OpenAPI document of these routers' operations."""
    document = get_openapi(
        title="Gatehouse",
        version="1",
        description="Browsers sign in at /login and send changes with the header X-Gatehouse-Token and the hub's own "
        "Origin; programs send `Authorization: Bearer` and a token. What lies outside the account's part of the hub "
        "is not there.",
        routes=[route for each in routers for route in each.routes],
    )
    document["components"]["schemas"].update(problem_schemas())
    return document
