"""Routes of notifications: what was told to whom, how channels fare, and a test of one."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict

from cloud.access.errors import NotNow, NotThere
from cloud.access.problems import ProblemRoute, documented
from cloud.access.routes import Listing
from cloud.accounts import Permission, SignedIn
from cloud.alarms.reach import Sees
from cloud.audit import AuditLog
from cloud.console.guard import Guard
from cloud.database.engine import Database
from cloud.notify.queue import TooOften
from cloud.notify.record import MAX_ROWS, ChannelRow, NoticeRow, read_channels, read_notices
from cloud.notify.sender import NotifySender
from cloud.notify.settings import ChannelName, NotifySettings

_Limit = Annotated[int, Query(ge=1, le=MAX_ROWS)]
_Channel = Annotated[ChannelName, Path(examples=["wecom-centre"])]


@dataclass(frozen=True)
class NotifyOffice:
    """What the routes work with."""

    database: Database
    sender: NotifySender
    settings: NotifySettings
    audit: AuditLog


class Tried(BaseModel):
    """What became of a test. `failure` is a name of `cloud.notify.states.Failure`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sent: bool
    failure: str | None
    detail: str


def notify_router(office: NotifyOffice, guard: Guard) -> APIRouter:
    """Everything below `/api/v1/notify`."""
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["notifications"]}
    router = APIRouter(prefix="/api/v1/notify", **options)
    sees, sees_all = guard.may(Permission.SEE_ALARMS), guard.may(Permission.SEE_ALARMS, whole=True)
    tries = guard.may_change(Permission.SET_RULES, whole=True)

    @router.get("/notices", responses=documented(403, 422, 503))
    def notices(
        by: Annotated[SignedIn, Depends(sees)],
        alarm: UUID | None = None,
        channel: ChannelName | None = None,
        before: Annotated[AwareDatetime | None, Query()] = None,
        limit: _Limit = MAX_ROWS,
    ) -> Listing[NoticeRow]:
        """What channels told of the alarms that the account may see, or are to tell; the newest first."""
        with office.database.read() as connection:
            return Listing(items=tuple(read_notices(connection, by.scope, Sees.by(by), alarm, channel, before, limit)))

    @router.get("/channels", responses=documented(403, 503), dependencies=[Depends(sees_all)])
    def channels() -> Listing[ChannelRow]:
        """Every channel and how it fares; no addresses, no secrets. For who is bound to no part of the hub."""
        with office.database.read() as connection:
            return Listing(items=tuple(read_channels(connection, office.settings)))

    @router.post("/channels/{channel}/test", responses=documented(403, 404, 409, 422, 503))
    def test(channel: _Channel, by: Annotated[SignedIn, Depends(tries)]) -> Tried:
        """Send a test message to the channel's group or first recipient, and wait for what becomes of it."""
        if channel not in office.settings.channels:
            raise NotThere("channel", f"there is no channel {channel!r}", "the list of channels shows those there are")
        office.audit.append("notify.test", by.account_id, {"channel": channel})
        try:
            outcome = office.sender.test(channel)
        except TooOften as error:
            raise NotNow("channel", "it has sent as much as it may within a minute", "try again in a minute") from error
        return Tried(sent=outcome.sent, failure=outcome.failure, detail=outcome.detail)

    return router
