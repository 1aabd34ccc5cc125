"""What the clock does to alarms: those that nobody acknowledged or began in time go up a level, as do matters that were
not settled in time; shelves end; work orders become overdue.

Due times are columns of the alarm, so a restart forgets none. A hub that was away for long takes up one level at a time
at once, and each level is told.
"""

from datetime import datetime

from sqlalchemy import Connection, select

from cloud.alarms.desk import duty_of, take_off_shelf
from cloud.alarms.limits import Limits
from cloud.alarms.orders import mark_overdue, overdue_orders, overseers
from cloud.alarms.roster import Roster, announce, tell
from cloud.alarms.states import Handling, Level, Move, Priority
from cloud.alarms.steps import THE_HUB, change
from cloud.database.tables import Alarm

BATCH = 500


def escalate_due(connection: Connection, limits: Limits, roster: Roster, now: datetime) -> int:
    """Take every alarm that is due one level up; how many there were. Call it again until there are none."""
    due = (Alarm.due_at <= now, Alarm.closed_at.is_(None), Alarm.shelved_until.is_(None))
    query = select(Alarm.__table__).where(*due).order_by(Alarm.due_at, Alarm.id).limit(BATCH)
    risen = 0
    for found in connection.execute(query.with_for_update()).all():
        is_last = found.level >= Level.DISTRICT
        level = Level(min(found.level + 1, Level.DISTRICT))
        move, next_due = Move.OVERDUE, None
        if not is_last:
            move = Move.ESCALATED
            next_due = limits.due(found.rule, Priority(found.priority), level, Handling(found.handling), found.due_at)
        overdue = {"overdue": True, "settle_by": None}
        values = {"level": int(level), "due_at": next_due, **overdue}
        missed = {"level": int(level), "missed": found.handling}
        step = change(connection, found.id, found.revision, move, now, values, detail=missed)
        if step is not None:
            announce(connection, roster, found.id, step, duty_of(found, level, now))
            risen += 1
    return risen


def unshelve_due(connection: Connection, limits: Limits, roster: Roster, now: datetime) -> int:
    """Bring back every alarm whose shelf has ended; how many there were."""
    over = (Alarm.shelved_until <= now, Alarm.closed_at.is_(None))
    query = select(Alarm.__table__).where(*over).order_by(Alarm.shelved_until, Alarm.id).limit(BATCH)
    rows = connection.execute(query.with_for_update()).all()
    for found in rows:
        take_off_shelf(connection, found, limits, roster, now, THE_HUB)
    return len(rows)


def mark_orders_due(connection: Connection, roster: Roster, now: datetime) -> int:
    """Mark work orders whose time is over; how many. Told are the member, who gave it, and of the alarm's level those
    who see every order."""
    marked = [mark_overdue(connection, order, now, THE_HUB) for order in overdue_orders(connection, now, BATCH)]
    for found in marked:
        if found is not None:
            alarm, order, step = found
            on_duty = roster.on_duty(connection, duty_of(alarm, Level(alarm.level), now))
            duty = overseers(connection, on_duty.accounts)
            tell(connection, alarm.id, step, (order.assignee_id, order.given_by, *duty), now)
    return len(marked)
