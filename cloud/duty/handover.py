"""Handing over: who goes writes what is open and special, who comes accepts it. Both are only added to.

What is open is listed by the hub at that moment. Whoever reads it later sees no more of it than the role may see.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, insert, not_, select
from sqlalchemy.orm import aliased

from cloud.access.errors import NotNow, NotThere
from cloud.accounts.scope import WHOLE, Scope
from cloud.alarms.queue import MAX_ROWS, read_queue
from cloud.alarms.reach import Sees
from cloud.alarms.states import Level
from cloud.alarms.values import AlarmRow, QueueState
from cloud.database.tables import Account, Centre, Handover, HandoverAcceptance
from cloud.duty.desk import Planner, find_centre
from cloud.duty.values import HandoverRow, OpenItem
from cloud.register.paths import subtree

_Writer, _Accepter = aliased(Account), aliased(Account)


class NoSuchHandover(NotThere):
    """There is none, or it is not for the account to see: it is not said which."""

    def __init__(self) -> None:
        super().__init__("handover", "there is no such handover", "the list of handovers shows those there are")


class AlreadyAccepted(NotNow):
    """Somebody else was faster; the text says who."""

    def __init__(self, username: str) -> None:
        super().__init__("handover", f"{username} has accepted it already", "look at it")


def write_handover(
    connection: Connection,
    who: Planner,
    sees: Sees,
    centre: UUID,
    note: str,
    special: str,
    accept_within: timedelta,
) -> UUID:
    """Leave a handover, with the alarms and matters that are not closed and have come to the centre's level.

    Raises:
        NoSuchCentre: if there is none in the scope.
    """
    found = find_centre(connection, who.scope, centre)
    items = _open_items(connection, Scope(subtree(found.path)), sees, Level(found.level))
    made = who.make_id()
    connection.execute(
        insert(Handover).values(
            id=made,
            centre_id=centre,
            written_at=who.at,
            written_by=who.account_id,
            accept_by=who.at + accept_within,
            note=note,
            special=special,
            open_items=[each.model_dump(mode="json") for each in items[:MAX_ROWS]],
            more=len(items) > MAX_ROWS,
        )
    )
    return made


def accept_handover(connection: Connection, who: Planner, handover: UUID, note: str) -> None:
    """Take over. Of two at once one wins, and the other is told who.

    Raises:
        NoSuchHandover: if there is none in the scope.
        NotNow: if the account wrote it itself.
        AlreadyAccepted: if somebody has done so.
    """
    in_scope = (Handover.id == handover, who.scope.covers_place(Centre.place_id))
    query = select(Handover.written_by).join(Centre, Centre.id == Handover.centre_id).where(*in_scope)
    row = connection.execute(query.with_for_update(of=Handover)).first()
    if row is None:
        raise NoSuchHandover
    if row.written_by == who.account_id:
        raise NotNow("handover", "you wrote it yourself", "whoever takes over accepts it")
    taken = select(Account.username).join(HandoverAcceptance, HandoverAcceptance.accepted_by == Account.id)
    by = connection.execute(taken.where(HandoverAcceptance.handover_id == handover)).scalar()
    if by is not None:
        raise AlreadyAccepted(by)
    values = {"handover_id": handover, "accepted_at": who.at, "accepted_by": who.account_id, "note": note}
    connection.execute(insert(HandoverAcceptance).values(**values))


def read_handovers(
    connection: Connection,
    scope: Scope,
    sees: Sees,
    now: datetime,
    *,
    waiting: bool = False,
    handover: UUID | None = None,
    before: datetime | None = None,
    limit: int = MAX_ROWS,
) -> list[HandoverRow]:
    """The handovers of a scope, or those written before a moment, the newest first; `waiting`: those alone that nobody
    has accepted."""
    query = (
        select(Handover.__table__, Centre.name, _Writer.username.label("writer"))
        .add_columns(HandoverAcceptance.accepted_at, HandoverAcceptance.note.label("accepted_note"))
        .add_columns(_Accepter.username.label("accepter"))
        .join(Centre, Centre.id == Handover.centre_id)
        .join(_Writer, _Writer.id == Handover.written_by)
        .outerjoin(HandoverAcceptance, HandoverAcceptance.handover_id == Handover.id)
        .outerjoin(_Accepter, _Accepter.id == HandoverAcceptance.accepted_by)
        .where(scope.covers_place(Centre.place_id))
        .order_by(Handover.written_at.desc(), Handover.id.desc())
    )
    if waiting:
        query = query.where(_waits())
    if before is not None:
        query = query.where(Handover.written_at < before)
    if handover is not None:
        query = query.where(Handover.id == handover)
    return [
        HandoverRow(
            id=row.id,
            centre=row.centre_id,
            centre_name=row.name,
            written_at=row.written_at,
            written_by=row.writer,
            note=row.note,
            special=row.special,
            open_items=_shown(row.open_items, sees),
            more=row.more,
            accept_by=row.accept_by,
            overdue=row.accepted_at is None and row.accept_by < now,
            accepted_at=row.accepted_at,
            accepted_by=row.accepter,
            accepted_note=row.accepted_note,
        )
        for row in connection.execute(query.limit(limit))
    ]


def count_overdue(connection: Connection, now: datetime, scope: Scope = WHOLE) -> int:
    """How many handovers nobody has accepted in time."""
    query = (
        select(func.count())
        .select_from(Handover)
        .join(Centre, Centre.id == Handover.centre_id)
        .where(Handover.accept_by < now, _waits(), scope.covers_place(Centre.place_id))
    )
    return connection.execute(query).scalar_one()


def _waits() -> ColumnElement[bool]:
    accepted = select(HandoverAcceptance.handover_id).where(HandoverAcceptance.handover_id == Handover.id)
    return not_(accepted.correlate(Handover).exists())


def _open_items(connection: Connection, scope: Scope, sees: Sees, level: Level) -> list[OpenItem]:
    """One more than are listed at the most; the most urgent first, the shelved last."""
    found: list[OpenItem] = []
    for state in (QueueState.OPEN, QueueState.SHELVED):
        queue = read_queue(connection, scope, state, limit=MAX_ROWS + 1, sees=sees, from_level=level)
        found += [_item(row) for row in queue.items]
    return found[: MAX_ROWS + 1]


def _item(row: AlarmRow) -> OpenItem:
    return OpenItem(
        id=row.id,
        number=row.number,
        title=row.title,
        title_zh=row.title_zh,
        priority=row.priority,
        level=row.level,
        handling=row.handling,
        place=row.place,
        shelved=row.shelved_until is not None,
    )


def _shown(items: Sequence[object], sees: Sees) -> tuple[OpenItem, ...]:
    found = (OpenItem.model_validate(each) for each in items)
    return tuple(each for each in found if sees.matters or each.number is None)
