"""The REST interface of the console: what a page reads at its start and after a gap, and the release of a door."""

from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import ColumnElement, and_, or_, select, true

from cloud.accounts import Permission, SignedIn
from cloud.audit import AuditLog
from cloud.console.guard import Guard
from cloud.database.engine import Database
from cloud.database.tables import CommandRecord, Door
from cloud.live.board import DoorRow, GatewayRow, read_board
from cloud.live.clips import ClipNews, news_since
from cloud.live.rows import EventRow, RowFilter, newest, newest_first, read_rows

MAX_ROWS = 200
GatewayName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,38}$")]
DeviceName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class DoorReleaser(Protocol):
    """`cloud.commands.CommandService`."""

    def release_door(self, gateway_id: str, door: str, account_id: UUID) -> UUID:
        """Send the signed command and return its correlation id; its outcome comes later."""
        ...


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EventsAnswer(_Answer):
    """Newest receipt first. `clips`: with `after`, what was told since of clips, also of earlier events."""

    events: tuple[EventRow, ...]
    clips: tuple[ClipNews, ...] = ()


class DoorsAnswer(_Answer):
    doors: tuple[DoorRow, ...]


class GatewaysAnswer(_Answer):
    gateways: tuple[GatewayRow, ...]


class ReleaseAnswer(_Answer):
    """The command is on its way; its outcome comes by the WebSocket, or from `/api/v1/commands/{corr}`."""

    corr: UUID


class CommandAnswer(_Answer):
    """`state` is sent, accepted, done, failed, expired or no_answer; `code` says why in a word, `reason` in English."""

    corr: UUID
    gateway: str
    door: str
    state: str
    reason: str
    code: str
    updated_at: datetime


def api_router(database: Database, guard: Guard, commands: DoorReleaser, audit: AuditLog) -> APIRouter:
    """Everything below `/api/v1` that a page needs, within the account's scope."""
    router = APIRouter(prefix="/api/v1")
    watching, operating = guard.may(Permission.WATCH), guard.may_change(Permission.OPERATE)

    @router.get("/events")
    def events(
        by: Annotated[SignedIn, Depends(watching)],
        after: Annotated[AwareDatetime | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = MAX_ROWS,
        only: RowFilter = RowFilter.ALL,
    ) -> EventsAnswer:
        with database.read() as connection:
            ids = [row.id for row in connection.execute(newest(limit, after, only, by.scope)).all()]
            clips = news_since(connection, after, by.scope) if after is not None else ()
            return EventsAnswer(events=tuple(newest_first(read_rows(connection, ids, by.scope))), clips=tuple(clips))

    @router.get("/doors")
    def doors(by: Annotated[SignedIn, Depends(watching)]) -> DoorsAnswer:
        with database.read() as connection:
            return DoorsAnswer(doors=read_board(connection, by.scope).doors)

    @router.get("/gateways")
    def gateways(by: Annotated[SignedIn, Depends(watching)]) -> GatewaysAnswer:
        with database.read() as connection:
            return GatewaysAnswer(gateways=read_board(connection, by.scope).gateways)

    @router.post("/doors/{gateway}/{device}/release", status_code=202)
    def release(
        gateway: GatewayName, device: DeviceName, signed_in: Annotated[SignedIn, Depends(operating)]
    ) -> ReleaseAnswer:
        query = select(Door.id).where(Door.gateway_id == gateway, Door.device == device)
        with database.read() as connection:
            known = connection.execute(query.where(signed_in.scope.covers_place(Door.place_id))).first()
        if known is None:
            raise HTTPException(404, "no such door")
        door: dict[str, Any] = {"gateway": gateway, "door": device}
        audit.append("door.release", signed_in.account_id, door)  # first: what cannot be audited does not happen
        corr = commands.release_door(gateway, device, signed_in.account_id)
        audit.append("door.release.sent", signed_in.account_id, {**door, "corr": str(corr)})
        return ReleaseAnswer(corr=corr)

    @router.get("/commands/{corr}")
    def command(corr: UUID, by: Annotated[SignedIn, Depends(watching)]) -> CommandAnswer:
        query = select(CommandRecord.__table__).where(CommandRecord.corr == corr, _seen_by(by))
        with database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise HTTPException(404, "no such command")
        return CommandAnswer(
            corr=row.corr,
            gateway=row.gateway_id,
            door=row.door,
            state=row.state,
            reason=row.reason,
            code=row.code,
            updated_at=row.updated_at,
        )

    return router


def _seen_by(who: SignedIn) -> ColumnElement[bool]:
    """Commands to a door that the account's scope covers; those to a whole gateway that it holds; and its own."""
    if who.scope.is_whole:
        return true()
    covered = select(Door.id).where(
        Door.gateway_id == CommandRecord.gateway_id,
        Door.device == CommandRecord.door,
        who.scope.covers_place(Door.place_id),
    )
    of_gateway = and_(
        CommandRecord.door == "",
        or_(who.scope.holds_gateway(CommandRecord.gateway_id), CommandRecord.account_id == who.account_id),
    )
    return or_(covered.exists(), of_gateway)
