"""What the routes of door management have in common: who may, the shape of lists and answers, and example values."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict

from cloud.access.problems import ProblemRoute
from cloud.accounts import Permission
from cloud.console.guard import Dependency, Guard
from cloud.register.change import Change
from protocols.rules import RuleId

PREFIX = "/api/v1/access"
_ID = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"

GatewayName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,38}$", examples=["gw-east"])]
DeviceName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["d-lobby"])]
ReaderName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["r-lobby"])]
Code = Annotated[RuleId, Path(examples=["residents"])]
Identifier = Annotated[UUID, Path(examples=[_ID])]
Day = Annotated[date, Path(examples=["2026-10-01"])]
_Item = TypeVar("_Item")


class Listing(BaseModel, Generic[_Item]):
    """Everything there is, or the newest of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    items: tuple[_Item, ...]


class Changed(BaseModel):
    """Whether it was added, updated, or was so already."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"change": "updated"}]})
    change: Change


class Imported(BaseModel):
    """How many days were added, updated, or were so already."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"added": 33, "updated": 0, "unchanged": 6}]}
    )
    added: int
    updated: int
    unchanged: int


class Made(BaseModel):
    """The id of what was made."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"id": _ID}]})
    id: UUID


class Sent(BaseModel):
    """Commands on their way; how each ends is told by `/api/v1/commands/{corr}` and in the audit."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"commands": [_ID]}]})
    commands: tuple[UUID, ...]


@dataclass(frozen=True)
class Admission:
    """Who may: dependencies by what is asked for (`cloud.accounts.permissions`). `set_all` is for what concerns the
    whole hub; those that change something take requests of the hub's own page alone."""

    read: Dependency
    see_passes: Dependency
    see_notices: Dependency
    see_people: Dependency
    give: Dependency
    act: Dependency
    lock_down: Dependency
    deal: Dependency
    set_doors: Dependency
    set_all: Dependency
    hold: Dependency


def admission(guard: Guard) -> Admission:
    """By the session's cookie, the Origin and the page's token (`cloud.console.guard`)."""
    return Admission(
        read=guard.may(Permission.WATCH),
        see_passes=guard.may(Permission.SEE_PASSES),
        see_notices=guard.may(Permission.SEE_NOTICES),
        see_people=guard.may(Permission.SEE_PEOPLE),
        give=guard.may_change(Permission.GIVE),
        act=guard.may_change(Permission.OPERATE),
        lock_down=guard.may_change(Permission.LOCK_DOWN),
        deal=guard.may_change(Permission.SEE_NOTICES),
        set_doors=guard.may_change(Permission.SET_DOORS),
        set_all=guard.may_change(Permission.SET_DOORS, whole=True),
        hold=guard.may_change(Permission.HOLD_EVIDENCE),
    )


def new_router(tag: str, dependency: Dependency) -> APIRouter:
    """A router below `PREFIX` whose errors are problem details and whose routes all ask for that."""
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": [tag]}
    return APIRouter(prefix=PREFIX, dependencies=[Depends(dependency)], **options)
