"""The door board and the gateways' presence, as the console shows them."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, and_, select

from cloud.accounts.scope import WHOLE, Scope
from cloud.database.tables import DeviceState, Door, Gateway, Place


class DoorState(StrEnum):
    """What is known of a door; `unknown` until its contact has told."""

    CLOSED = "closed"
    OPEN = "open"
    HELD = "held"
    FORCED = "forced"
    UNKNOWN = "unknown"


_STATES = {state.value: state for state in DoorState}


class DoorRow(BaseModel):
    """A door of the board."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: str
    device: str
    name: str
    place: str
    state: DoorState
    since: datetime | None
    reachable: bool
    """Whether the door's gateway is connected, so that a release can reach it."""


class GatewayPresence(StrEnum):
    """Whether a gateway is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    NEVER = "never"
    REVOKED = "revoked"


class GatewayRow(BaseModel):
    """A gateway's presence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: str
    presence: GatewayPresence
    since: datetime | None


class Board(BaseModel):
    """Every door and every gateway of a scope at one moment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    doors: tuple[DoorRow, ...] = ()
    gateways: tuple[GatewayRow, ...] = ()


def read_board(connection: Connection, within: Scope = WHOLE) -> Board:
    """The doors within a scope and the gateways that have one, in two queries; doors by name, gateways by id."""
    gateways = tuple(
        GatewayRow(gateway=row.id, presence=_presence(row.enrolled_at, row.revoked_at, row.presence), since=row.at)
        for row in connection.execute(
            select(
                Gateway.id,
                Gateway.enrolled_at,
                Gateway.revoked_at,
                Gateway.presence,
                Gateway.presence_at.label("at"),
            )
            .where(within.covers_gateway(Gateway.id))
            .order_by(Gateway.id)
        )
    )
    online = {row.gateway for row in gateways if row.presence is GatewayPresence.ONLINE}
    doors = connection.execute(
        select(
            Door.gateway_id,
            Door.device,
            Door.name,
            Place.name.label("place"),
            DeviceState.state,
            DeviceState.since,
        )
        .join(Place, Place.id == Door.place_id)
        .outerjoin(
            DeviceState,
            and_(
                DeviceState.gateway_id == Door.gateway_id,
                DeviceState.device == Door.device,
                DeviceState.kind == "door",
            ),
        )
        .where(within.covers_place(Door.place_id))
        .order_by(Door.name, Door.gateway_id, Door.device)
    )
    return Board(
        gateways=gateways,
        doors=tuple(
            DoorRow(
                gateway=row.gateway_id,
                device=row.device,
                name=row.name,
                place=row.place,
                state=_STATES.get(row.state, DoorState.UNKNOWN),
                since=row.since,
                reachable=row.gateway_id in online,
            )
            for row in doors
        ),
    )


def _presence(enrolled_at: datetime | None, revoked_at: datetime | None, presence: str | None) -> GatewayPresence:
    if revoked_at is not None:
        return GatewayPresence.REVOKED
    if enrolled_at is None or presence is None:
        return GatewayPresence.NEVER
    return GatewayPresence.ONLINE if presence == GatewayPresence.ONLINE else GatewayPresence.OFFLINE


def changed(before: Board, after: Board) -> Board:
    """What of `after` was not so in `before`. A door that was removed shows when the page is read again."""
    doors, gateways = frozenset(before.doors), frozenset(before.gateways)
    return Board(
        doors=tuple(row for row in after.doors if row not in doors),
        gateways=tuple(row for row in after.gateways if row not in gateways),
    )
