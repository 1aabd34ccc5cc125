"""Agreements of people who live alone to be looked after. Nothing but the consent is kept; it can be ended any time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from cloud.access.errors import NotNow, NotThere
from cloud.database.tables import CareAgreement, Place, Residency
from cloud.register.errors import RegisterError

FEWEST_HOURS, MOST_HOURS = 12, 720
_OLDEST_CONSENT = timedelta(days=30)


class CareValue(BaseModel):
    """An agreement, with the code of the dwelling."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    person: UUID
    dwelling: str
    hours: int
    consent: str
    since: datetime
    until: datetime | None


def agree(
    connection: Connection,
    make_id: Callable[[], UUID],
    person: UUID,
    hours: int,
    consent: str,
    now: datetime,
    since: datetime | None = None,
) -> UUID:
    """Write down that a person agreed to a visit after so many hours without a passage, and how; its id.

    Args:
        since: when the person agreed, at most 30 days ago; None: now.

    Raises:
        RegisterError: if the person lives nowhere now, for hours out of 12 to 720, without the consent's trace, or
            for a consent of the future or of long ago.
        NotNow: if there is an agreement already.
    """
    if not FEWEST_HOURS <= hours <= MOST_HOURS:
        raise RegisterError("hours", f"{hours} is too few or too many", f"choose {FEWEST_HOURS} to {MOST_HOURS}")
    if not consent.strip():
        raise RegisterError("consent", "it is empty", "say how the person agreed, such as 'signed form 12 of 2026'")
    if since is not None and not now - _OLDEST_CONSENT <= since <= now:
        raise RegisterError("since", f"{since:%Y-%m-%d} is not in the last 30 days", "ask the person anew")
    holds = (CareAgreement.person_id == person, *_holds(CareAgreement, now))
    if connection.execute(select(CareAgreement.id).where(*holds)).first() is not None:
        raise NotNow("person", "there is an agreement already", "end it before you write another")
    lives = select(Residency.dwelling_id).where(Residency.person_id == person, *_holds(Residency, now))
    dwelling = connection.execute(lives.order_by(Residency.since.desc(), Residency.id.desc())).scalar()
    if dwelling is None:
        raise RegisterError("person", "nobody of this id lives anywhere now", "the register has the ids of persons")
    identifier = make_id()
    values = {"id": identifier, "person_id": person, "dwelling_id": dwelling, "hours": hours, "since": since or now}
    connection.execute(insert(CareAgreement).values(**values, consent=consent.strip()[:200]))
    return identifier


def end_agreement(connection: Connection, identifier: UUID, now: datetime) -> None:
    """End an agreement now; its alarm, if there is one, clears by itself.

    Raises:
        NotThere: if there is none of that id that holds.
    """
    holds = (CareAgreement.id == identifier, *_holds(CareAgreement, now))
    if connection.execute(update(CareAgreement).where(*holds).values(until=now)).rowcount == 0:
        raise NotThere("agreement", "there is no such agreement that holds", "the list shows those there are")


def agreements(connection: Connection, now: datetime) -> list[CareValue]:
    """Those that hold, by dwelling."""
    query = (
        select(CareAgreement.__table__, Place.code)
        .join(Place, Place.id == CareAgreement.dwelling_id)
        .where(*_holds(CareAgreement, now))
        .order_by(Place.code, CareAgreement.id)
    )
    return [
        CareValue(
            id=row.id,
            person=row.person_id,
            dwelling=row.code,
            hours=row.hours,
            consent=row.consent,
            since=row.since,
            until=row.until,
        )
        for row in connection.execute(query)
    ]


def _holds(table: type[CareAgreement] | type[Residency], at: datetime) -> tuple[ColumnElement[bool], ...]:
    return table.since <= at, or_(table.until.is_(None), table.until > at)
