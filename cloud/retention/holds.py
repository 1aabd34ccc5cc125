"""Holds of evidence, at the hub: what a case needs stays, whatever its days say, until the hold is ended.

A hold is begun and ended by a command to its gateway (`cloud.access.api_commands`). The hub honours it from the command
on, whether or not the gateway could be reached.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, not_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from cloud.database.tables import Clip, CommandRecord, EventRecord, Picture
from protocols.commands import Action, EvidenceHold

COMES_LATE = timedelta(days=31)
"""Pictures and clips are known by when the hub received them; a gateway that was away sends them so much later."""


@dataclass(frozen=True)
class Hold:
    """What a gateway's camera, or all of them, saw in a time."""

    gateway: str
    camera: str | None
    since: datetime
    until: datetime


def active_holds(connection: Connection) -> list[Hold]:
    """Those that were begun and not ended."""
    query = select(CommandRecord.gateway_id, CommandRecord.args).where(CommandRecord.action == Action.EVIDENCE_HOLD)
    found: dict[tuple[str, UUID], Hold] = {}
    for gateway, args in connection.execute(query.order_by(CommandRecord.issued_at, CommandRecord.corr)):
        told = EvidenceHold.model_validate(args)
        if told.active:
            found[gateway, told.hold] = Hold(gateway, told.camera, told.since, told.until)
        else:
            found.pop((gateway, told.hold), None)
    return list(found.values())


def free_events(holds: list[Hold]) -> ColumnElement[bool]:
    """The condition on `EventRecord`: no hold needs it. Without a camera, that is all the gateway told in the time."""
    return and_(true(), *(not_(_holds_event(each)) for each in holds))


def free_files(kind: type[Picture] | type[Clip], holds: list[Hold]) -> ColumnElement[bool]:
    """The condition on pictures or clips: no hold may need it. Of which camera one is, only its events know."""
    return and_(true(), *(not_(_holds_file(each, kind.gateway_id, kind.received_at)) for each in holds))


def _holds_event(hold: Hold) -> ColumnElement[bool]:
    of_camera = true() if hold.camera is None else EventRecord.subject == hold.camera
    return and_(
        EventRecord.gateway_id == hold.gateway,
        EventRecord.time >= hold.since,
        EventRecord.time <= hold.until,
        of_camera,
    )


def _holds_file(
    hold: Hold, gateway: InstrumentedAttribute[str], moment: InstrumentedAttribute[Any]
) -> ColumnElement[bool]:
    return and_(gateway == hold.gateway, moment >= hold.since, moment <= hold.until + COMES_LATE)
