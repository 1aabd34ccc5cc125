"""The REST interface of door management, below `/api/v1/access`, and its OpenAPI document.

What a role may do is in `cloud.accounts.permissions`; each route finds and changes what lies within the account's
scope, and what is outside it is not there. Every error is a problem detail (`cloud.access.problems`).
"""

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.openapi.utils import get_openapi

from cloud.access.api_commands import command_routes, hold_routes, lockdown_routes
from cloud.access.api_doors import area_routes, door_routes, group_routes, holiday_routes, schedule_routes
from cloud.access.api_people import credential_routes, lease_routes, notice_routes, pass_routes
from cloud.access.office import DoorOffice
from cloud.access.problems import ProblemRoute, problem_schemas
from cloud.access.routes import PREFIX, admission
from cloud.console.guard import Guard

VERSION = "1"


def access_router(office: DoorOffice, guard: Guard) -> APIRouter:
    """Every route, and `/api/v1/access/openapi.json` for whoever is signed in."""
    may = admission(guard)
    router = APIRouter()
    for part in (
        door_routes,
        area_routes,
        group_routes,
        schedule_routes,
        holiday_routes,
        credential_routes,
        pass_routes,
        lease_routes,
        notice_routes,
        command_routes,
        hold_routes,
        lockdown_routes,
    ):
        router.include_router(part(office, may))
    described = APIRouter(prefix=PREFIX, route_class=ProblemRoute, dependencies=[Depends(guard.signed_in)])

    @described.get("/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        return openapi_document(router)

    router.include_router(described)
    return router


def openapi_document(router: APIRouter) -> dict[str, Any]:
    """The OpenAPI document of the router's operations, with an example of each request and answer."""
    document = get_openapi(
        title="Gatehouse: doors",
        version=VERSION,
        description="Sign in at /login. Send changes with the header X-Gatehouse-Token and the hub's own Origin.",
        routes=router.routes,
    )
    schemas = document["components"]["schemas"]
    schemas.update(problem_schemas())
    for operations in document["paths"].values():
        for operation in operations.values():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in (body.get("content", {}).get("application/json") for body in bodies):
                if content is not None and "schema" in content:
                    content["example"] = _example(content["schema"], schemas)
    return document


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """The example that a schema's model gives, or for a list of models one that holds theirs."""
    found = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "examples" in found:
        return found["examples"][0]
    return {"items": [_example(found["properties"]["items"]["items"], schemas)]}
