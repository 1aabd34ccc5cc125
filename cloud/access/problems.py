"""Errors of the API as problem details (RFC 9457): one media type, one shape, for every error of its routes."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from cloud.access.errors import InUse, NotNow, NotThere
from cloud.audit import AuditError
from cloud.register.errors import RegisterError
from cloud.vault import VaultError

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:gatehouse:problem:"
_SCHEMAS = "#/components/schemas/"
_TOLD = (HTTPException, RequestValidationError, RegisterError, SQLAlchemyError, AuditError, VaultError)
log = logging.getLogger(__name__)


class FieldError(BaseModel):
    """What is wrong with one field of the request."""

    model_config = ConfigDict(frozen=True)
    field: str
    problem: str
    remedy: str = ""


class Problem(BaseModel):
    """RFC 9457, with the fields at fault. `type` is a stable name of the kind of error."""

    model_config = ConfigDict(frozen=True)
    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path of the request.")
    errors: tuple[FieldError, ...] = ()


TITLES = {
    401: ("not-signed-in", "Nobody is signed in"),
    403: ("not-allowed", "This account or page may not do this"),
    404: ("not-there", "There is no such thing"),
    409: ("conflict", "The state of things does not allow it"),
    422: ("invalid", "The request breaks a rule"),
    503: ("unavailable", "The hub cannot do this now"),
}
"""Status -> the last part of `type`, and the title."""


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses of an operation, as FastAPI takes them for OpenAPI."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in (401, *statuses):
        example = _problem(status, _EXAMPLES[status], "/api/v1/access/doors/gw-east/d-lobby").model_dump(mode="json")
        found[status] = {
            "description": TITLES[status][1],
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}Problem"}, "example": example}},
        }
    return found


_EXAMPLES = {
    401: "log in first",
    403: "the role guard may not do this (set_doors)",
    404: "door: there is no door gw-east/d-lobby; the list of doors shows those there are",
    409: "door: group residents holds gw-east/d-lobby; take it out of there first",
    422: "methods: a face may never be the only way in",
    503: "the database cannot be used now; try again in a moment",
}


def problem_schemas() -> dict[str, Any]:
    """The schemas that `documented` refers to, for an OpenAPI document's components."""
    schema = Problem.model_json_schema(ref_template=_SCHEMAS + "{model}")
    return {**schema.pop("$defs"), "Problem": schema}


class ProblemRoute(APIRoute):
    """A route whose errors are problem details, those of the request's form and of the session too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler with our errors around it."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except _TOLD as error:
                return _response(problem_of(error, request.url.path))

        return handle


def problem_of(error: Exception, path: str) -> Problem:
    """What an error is told as."""
    match error:
        case HTTPException():
            return _problem(error.status_code, str(error.detail), path)
        case RequestValidationError():
            faults = [_field_error(fault["loc"], fault["msg"]) for fault in error.errors()]
            detail = "; ".join(f"{fault.field}: {fault.problem}" for fault in faults[:3])
            return _problem(422, detail, path, faults)
        case NotThere():
            return _problem(404, str(error), path, [_of_register(error)])
        case InUse() | NotNow():
            return _problem(409, str(error), path, [_of_register(error)])
        case RegisterError():
            return _problem(422, str(error), path, [_of_register(error)])
        case IntegrityError():
            return _problem(409, "somebody else changed this at the same moment; look at it and try again", path)
        case _:
            log.error("a request could not be carried out: %s", type(error).__name__)
            return _problem(503, "the database, audit or vault cannot be used now; the hub's log says why", path)


def _problem(status: int, detail: str, path: str, errors: list[FieldError] | None = None) -> Problem:
    name, title = TITLES.get(status, ("error", "It was refused"))
    return Problem(
        type=_TYPE + name, title=title, status=status, detail=detail, instance=path, errors=tuple(errors or ())
    )


def _of_register(error: RegisterError) -> FieldError:
    return FieldError(field=error.field, problem=error.problem, remedy=error.remedy)


def _field_error(where: tuple[int | str, ...], message: str) -> FieldError:
    steps = [str(step) for step in where if step not in ("body", "query", "path")]
    return FieldError(field=".".join(steps) or "body", problem=message.removeprefix("Value error, "))


def _response(problem: Problem) -> Response:
    return Response(problem.model_dump_json(), problem.status, media_type=MEDIA_TYPE)
