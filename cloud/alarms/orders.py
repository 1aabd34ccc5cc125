"""Work orders: what a grid member is asked to do about an alarm or a matter, until when, and what came of it.

An order is seen by the member that it was given to and by those above, not by other members. Each of its moves is a
step of the alarm, so it is told and kept as these are. Whoever changes an order has locked its alarm first.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, insert, select, update
from sqlalchemy.orm import aliased

from cloud.access.errors import NotThere
from cloud.accounts.scope import Scope, scope_of
from cloud.alarms.errors import IllegalMove, NoSuchAlarm
from cloud.alarms.reach import SEE_OWN_ORDERS, Sees, covers
from cloud.alarms.roster import tell
from cloud.alarms.states import Move
from cloud.alarms.steps import By, change
from cloud.alarms.values import OrderRow
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, Alarm, Grid, Matter, Place, WorkOrder

if TYPE_CHECKING:
    from cloud.alarms.desk import Actor

MAX_ROWS = 200
_LONGEST = timedelta(days=90)


class OrderState(StrEnum):
    """How far the member is with it."""

    GIVEN = "given"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    DONE = "done"
    WITHDRAWN = "withdrawn"
    """By who gives orders, or because the alarm was closed or passed to another place."""


RUNNING = frozenset({OrderState.GIVEN, OrderState.ACCEPTED})
ORDER_STEPS: Mapping[Move, Mapping[OrderState, OrderState]] = MappingProxyType(
    {
        Move.ORDER_ACCEPTED: {OrderState.GIVEN: OrderState.ACCEPTED},
        Move.ORDER_REFUSED: {OrderState.GIVEN: OrderState.REFUSED},
        Move.ORDER_DONE: {OrderState.ACCEPTED: OrderState.DONE},
        Move.ORDER_WITHDRAWN: dict.fromkeys(RUNNING, OrderState.WITHDRAWN),
    }
)
"""Move -> the states in which it can be made, and where it leads."""


class NoSuchOrder(NotThere):
    """There is none, or it is not for the account to see: it is not said which."""

    def __init__(self) -> None:
        super().__init__("order", "there is no such work order", "the list of orders shows those there are")


class OrderDesk:
    """Gives orders and takes what members say of them. Of two people at once one wins; the other is told the state."""

    def __init__(self, database: Database, now: Callable[[], datetime], make_id: Callable[[], UUID]) -> None:
        self._database = database
        self._now = now
        self._make_id = make_id

    def give(self, alarm: UUID, actor: "Actor", assignee: str, what: str, due: datetime) -> UUID:
        """Ask a grid member, by account name, to do something by `due`; the order's id.

        Raises:
            NoSuchAlarm: as `cloud.alarms.desk`.
            NotThere: if there is no such grid member whose part of the hub the alarm lies in.
            IllegalMove: if the alarm is closed, or the member has an order of it that runs.
        """
        with self._database.write() as connection:
            found = _locked_alarm(connection, alarm, actor.sees, actor.scope)
            now, member = self._now(), _member(connection, assignee, alarm)
            _check_new(connection, found, member, due, now)
            order = self._make_id()
            step = _step(connection, found, Move.ORDERED, now, actor.by, what, order, to=assignee, due=due.isoformat())
            connection.execute(
                insert(WorkOrder).values(
                    id=order,
                    alarm_id=alarm,
                    assignee_id=member,
                    given_by=actor.account_id,
                    given_at=now,
                    due_at=due,
                    what=what,
                    state=OrderState.GIVEN,
                    revision=1,
                )
            )
            tell(connection, alarm, step, (member,), now)
            return order

    def accept(self, order: UUID, actor: "Actor", note: str = "") -> UUID:
        """Say that one will do it; the alarm's id."""
        return self._answer(order, actor, Move.ORDER_ACCEPTED, note)

    def refuse(self, order: UUID, actor: "Actor", reason: str) -> UUID:
        """Say why one will not; who gave it is told."""
        return self._answer(order, actor, Move.ORDER_REFUSED, reason)

    def finish(self, order: UUID, actor: "Actor", note: str) -> UUID:
        """Say what was done; who gave it is told."""
        return self._answer(order, actor, Move.ORDER_DONE, note)

    def withdraw(self, order: UUID, actor: "Actor", note: str) -> UUID:
        """Take an order back; the member is told."""
        with self._database.write() as connection:
            alarm, found = self._locked(connection, order, actor)
            step = _move(connection, alarm, found, Move.ORDER_WITHDRAWN, self._now(), actor.by, note)
            tell(connection, alarm.id, step, (found.assignee_id,), self._now())
            return UUID(str(alarm.id))

    def _answer(self, order: UUID, actor: "Actor", move: Move, note: str) -> UUID:
        with self._database.write() as connection:
            alarm, found = self._locked(connection, order, actor)
            if found.assignee_id != actor.account_id:
                raise IllegalMove("order", "it was given to somebody else", "withdraw it, and give another one")
            step = _move(connection, alarm, found, move, self._now(), actor.by, note)
            if move is not Move.ORDER_ACCEPTED:
                tell(connection, alarm.id, step, (found.given_by,), self._now())
            return UUID(str(alarm.id))

    def _locked(
        self, connection: Connection, order: UUID, actor: "Actor"
    ) -> tuple[Row[*tuple[Any, ...]], Row[*tuple[Any, ...]]]:
        """The alarm and the order, both locked."""
        seen = (actor.sees.alarm(actor.scope), actor.sees.order())
        query = select(WorkOrder.alarm_id).join(Alarm, Alarm.id == WorkOrder.alarm_id)
        alarm = connection.execute(query.where(WorkOrder.id == order, *seen)).scalar()
        if alarm is None:
            raise NoSuchOrder
        found = _locked_alarm(connection, alarm, actor.sees, actor.scope)
        locked = select(WorkOrder.__table__).where(WorkOrder.id == order).with_for_update()
        return found, connection.execute(locked).one()


def read_orders(
    connection: Connection, scope: Scope, sees: Sees, *, alarm: UUID | None = None, running: bool = True
) -> Sequence[OrderRow]:
    """The orders that an account sees, those due first; `running`: neither done, refused nor withdrawn."""
    query = _ORDERS.where(sees.alarm(scope), sees.order())
    if alarm is not None:
        query = query.where(WorkOrder.alarm_id == alarm)
    if running:
        query = query.where(WorkOrder.ended_at.is_(None))
    query = query.order_by(WorkOrder.due_at, WorkOrder.id).limit(MAX_ROWS)
    return [OrderRow(**row._mapping) for row in connection.execute(query)]


def read_order(connection: Connection, scope: Scope, sees: Sees, order: UUID) -> OrderRow:
    """One order.

    Raises:
        NoSuchOrder: if the account sees none.
    """
    row = connection.execute(_ORDERS.where(WorkOrder.id == order, sees.alarm(scope), sees.order())).first()
    if row is None:
        raise NoSuchOrder
    return OrderRow(**row._mapping)


def withdraw_open(connection: Connection, alarm: Row[*tuple[Any, ...]], now: datetime, by: By) -> Row[*tuple[Any, ...]]:
    """Withdraw every running order of a locked alarm, because it ends or goes elsewhere; the alarm as it is then."""
    query = select(WorkOrder.__table__).where(WorkOrder.alarm_id == alarm.id, WorkOrder.ended_at.is_(None))
    for order in connection.execute(query.order_by(WorkOrder.id).with_for_update()).all():
        step = _move(connection, alarm, order, Move.ORDER_WITHDRAWN, now, by, "")
        tell(connection, alarm.id, step, (order.assignee_id,), now)
        alarm = connection.execute(select(Alarm.__table__).where(Alarm.id == alarm.id)).one()
    return alarm


def overdue_orders(connection: Connection, now: datetime, limit: int) -> list[UUID]:
    """Running orders whose time is over and that are not marked yet."""
    over = (WorkOrder.due_at <= now, WorkOrder.ended_at.is_(None), WorkOrder.overdue_at.is_(None))
    return list(connection.execute(select(WorkOrder.id).where(*over).order_by(WorkOrder.due_at).limit(limit)).scalars())


def overseers(connection: Connection, accounts: Sequence[UUID]) -> Sequence[UUID]:
    """Those of the accounts that see every order of their part of the hub, not their own alone."""
    query = select(Account.id).where(Account.id.in_(accounts), Account.role.not_in(SEE_OWN_ORDERS))
    return list(connection.execute(query).scalars())


def mark_overdue(
    connection: Connection, order: UUID, now: datetime, by: By
) -> tuple[Row[*tuple[Any, ...]], Row[*tuple[Any, ...]], int] | None:
    """Mark an order as overdue: its alarm, the order and the step; None if it ended meanwhile."""
    of = connection.execute(select(WorkOrder.alarm_id).where(WorkOrder.id == order)).scalar_one()
    alarm = connection.execute(select(Alarm.__table__).where(Alarm.id == of).with_for_update()).one()
    found = connection.execute(select(WorkOrder.__table__).where(WorkOrder.id == order).with_for_update()).one()
    if found.ended_at is not None or found.overdue_at is not None:
        return None
    connection.execute(update(WorkOrder).where(WorkOrder.id == order).values(overdue_at=now))
    return alarm, found, _step(connection, alarm, Move.ORDER_OVERDUE, now, by, "", order)


_Assignee, _Giver = aliased(Account), aliased(Account)
_ORDERS: Select[*tuple[Any, ...]] = (
    select(
        WorkOrder.id,
        WorkOrder.alarm_id.label("alarm"),
        Matter.number.label("matter"),
        Alarm.rule,
        Alarm.priority,
        Place.name.label("place"),
        Grid.name.label("grid"),
        _Assignee.username.label("assignee"),
        _Giver.username.label("given_by"),
        WorkOrder.given_at,
        WorkOrder.due_at,
        WorkOrder.what,
        WorkOrder.state,
        WorkOrder.answered_at,
        WorkOrder.ended_at,
        WorkOrder.overdue_at,
    )
    .join(Alarm, Alarm.id == WorkOrder.alarm_id)
    .outerjoin(Matter, Matter.id == WorkOrder.alarm_id)
    .outerjoin(Place, Place.id == Alarm.place_id)
    .outerjoin(Grid, Grid.id == Alarm.grid_id)
    .outerjoin(_Assignee, _Assignee.id == WorkOrder.assignee_id)
    .outerjoin(_Giver, _Giver.id == WorkOrder.given_by)
)


def _locked_alarm(connection: Connection, alarm: UUID, sees: Sees, scope: Scope) -> Row[*tuple[Any, ...]]:
    query = select(Alarm.__table__).where(Alarm.id == alarm, sees.alarm(scope)).with_for_update(of=Alarm)
    found = connection.execute(query).first()
    if found is None:
        raise NoSuchAlarm
    return found


def _member(connection: Connection, username: str, alarm: UUID) -> UUID:
    """The grid member's account, if the alarm lies in its part of the hub."""
    query = select(Account.id).where(
        Account.username == username, Account.role == AccountRole.GRID_MEMBER, Account.disabled_at.is_(None)
    )
    member = connection.execute(query).scalar()
    if member is not None:
        lies_there = select(Alarm.id).where(Alarm.id == alarm, covers(scope_of(connection, member)))
        if connection.execute(lies_there).first() is not None:
            return member
    raise NotThere("assignee", "there is no such grid member for this place", "name one whose grid it lies in")


def _check_new(
    connection: Connection, alarm: Row[*tuple[Any, ...]], member: UUID, due: datetime, now: datetime
) -> None:
    if alarm.closed_at is not None:
        raise IllegalMove("alarm", "it is closed", "look at its outcome")
    if not now < due <= now + _LONGEST:
        raise IllegalMove("due", "it is past, or more than 90 days away", "name another moment")
    same = (WorkOrder.alarm_id == alarm.id, WorkOrder.assignee_id == member, WorkOrder.ended_at.is_(None))
    if connection.execute(select(WorkOrder.id).where(*same)).first() is not None:
        raise IllegalMove("assignee", "this member has an order of it already", "withdraw that one first")


def _move(
    connection: Connection,
    alarm: Row[*tuple[Any, ...]],
    order: Row[*tuple[Any, ...]],
    move: Move,
    now: datetime,
    by: By,
    note: str,
) -> int:
    state = ORDER_STEPS[move].get(OrderState(order.state))
    if state is None:
        raise IllegalMove("order", f"it is {order.state}", "look at it again")
    answered = now if move in (Move.ORDER_ACCEPTED, Move.ORDER_REFUSED) else order.answered_at
    ended = None if state in RUNNING else now
    values = {"state": state, "answered_at": answered, "ended_at": ended, "revision": order.revision + 1}
    connection.execute(update(WorkOrder).where(WorkOrder.id == order.id).values(**values))
    return _step(connection, alarm, move, now, by, note, order.id)


def _step(
    connection: Connection,
    alarm: Row[*tuple[Any, ...]],
    move: Move,
    now: datetime,
    by: By,
    note: str,
    order: UUID,
    **detail: Any,
) -> int:
    step = change(connection, alarm.id, alarm.revision, move, now, {}, by, note[:500], detail, order)
    if step is None:
        raise IllegalMove("alarm", "somebody else changed it at the same moment", "look at it and try again")
    return step
