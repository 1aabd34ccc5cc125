"""Holds of evidence, at the hub: what a case needs stays, whatever its days say, until the hold is ended; and what an
open alarm needs, until it is closed.

A hold of a gateway's evidence is begun and ended by a command to it (`cloud.access.api_commands`). The hub honours it
from the command on, whether or not the gateway could be reached. A hold of a person's data is the hub's alone
(`cloud.disclosure.requests`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, exists, not_, or_, select, true, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, aliased

from cloud.database.tables import Alarm, AlarmEvidence, Clip, CommandRecord, EventRecord, PersonHold, Picture
from protocols.commands import Action, EvidenceHold

COMES_LATE = timedelta(days=31)
"""Pictures and clips are known by when the hub received them; a gateway that was away sends them so much later."""
ALARM_MARGIN = timedelta(minutes=10)
"""What is seen so long before an alarm began and after it was found last belongs to it."""


@dataclass(frozen=True)
class Hold:
    """What a gateway's camera, or all of them, saw in a time."""

    gateway: str
    camera: str | None
    since: datetime
    until: datetime


def active_holds(connection: Connection) -> list[Hold]:
    """Those that a person began and nobody ended. The hub's own are of open alarms, which are spared as such."""
    ordered = (CommandRecord.action == Action.EVIDENCE_HOLD, CommandRecord.account_id.is_not(None))
    query = select(CommandRecord.gateway_id, CommandRecord.args).where(*ordered)
    found: dict[tuple[str, UUID], Hold] = {}
    for gateway, args in connection.execute(query.order_by(CommandRecord.issued_at, CommandRecord.corr)):
        told = EvidenceHold.model_validate(args)
        if told.active:
            found[gateway, told.hold] = Hold(gateway, told.camera, told.since, told.until)
        else:
            found.pop((gateway, told.hold), None)
    return list(found.values())


def free_events(holds: list[Hold]) -> ColumnElement[bool]:
    """The condition on `EventRecord`: no hold and no open alarm needs it. Without a camera, a hold needs all that the
    gateway told in the time; so does an alarm."""
    of_alarm = _is_of_open_alarm(EventRecord.gateway_id, EventRecord.time, ALARM_MARGIN)
    return and_(not_(of_alarm), *(not_(_holds_event(each)) for each in holds))


def free_files(kind: type[Picture] | type[Clip], holds: list[Hold]) -> ColumnElement[bool]:
    """The condition on pictures or clips: no hold and no open alarm may need it. Of which camera one is, only its
    events know."""
    of_alarm = _is_of_open_alarm(kind.gateway_id, kind.received_at, COMES_LATE)
    return and_(not_(of_alarm), *(not_(_holds_file(each, kind.gateway_id, kind.received_at)) for each in holds))


def free_person(person_id: InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None]) -> ColumnElement[bool]:
    """The condition on a column of person ids: no case holds that person's data; true where there is no person."""
    return ~exists().where(PersonHold.person_id == person_id, PersonHold.ended_at.is_(None))


def free_alarms(holds: list[Hold]) -> ColumnElement[bool]:
    """The condition on `Alarm`: no case needs it, and its gateway holds no clip for it any more.

    A hold needs the alarms of its gateway in its time, whichever device they are of: what a camera saw is asked for
    because of what a door told. A hold of a person's data needs those that an event of his began or continued.
    """
    of_alarm = EventRecord.id.in_((Alarm.first_event_id, Alarm.last_event_id))
    of_held_person = exists().where(of_alarm, not_(free_person(EventRecord.person_id)))
    clip_is_held = exists().where(AlarmEvidence.alarm_id == Alarm.id, AlarmEvidence.ended_at.is_(None))
    return and_(not_(of_held_person), not_(clip_is_held), *(not_(_holds_alarm(each)) for each in holds))


def _holds_event(hold: Hold) -> ColumnElement[bool]:
    of_camera = true() if hold.camera is None else EventRecord.subject == hold.camera
    return and_(
        EventRecord.gateway_id == hold.gateway,
        EventRecord.time >= hold.since,
        EventRecord.time <= hold.until,
        of_camera,
    )


def _holds_alarm(hold: Hold) -> ColumnElement[bool]:
    """False, not unknown, of an alarm of no gateway."""
    since, until = hold.since - ALARM_MARGIN, hold.until + ALARM_MARGIN
    of_gateway = and_(Alarm.gateway_id.is_not(None), Alarm.gateway_id == hold.gateway)
    return and_(of_gateway, Alarm.happened_at <= until, Alarm.last_at >= since)


def _holds_file(
    hold: Hold, gateway: InstrumentedAttribute[str], moment: InstrumentedAttribute[Any]
) -> ColumnElement[bool]:
    return and_(gateway == hold.gateway, moment >= hold.since, moment <= hold.until + COMES_LATE)


def _is_of_open_alarm(
    gateway: InstrumentedAttribute[str], moment: InstrumentedAttribute[Any], after: timedelta
) -> ColumnElement[bool]:
    """Whether an alarm that an event of this gateway raised is not closed, and this is of its time."""
    found = aliased(EventRecord)
    at, began, last = (type_coerce(each, BigInteger) for each in (moment, found.time, Alarm.last_at))
    return (
        select(Alarm.id)
        .join(found, or_(found.id == Alarm.first_event_id, found.id == Alarm.last_event_id))
        .where(Alarm.closed_at.is_(None), found.gateway_id == gateway)
        .where(at >= began - _us(ALARM_MARGIN), at <= last + _us(after))
        .exists()
    )


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
