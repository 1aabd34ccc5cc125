"""What the clock does to alarms: those that nobody acknowledged or began in time go up a level; shelves end.

Due times are columns of the alarm, so a restart forgets none. A hub that was away for long takes up one level at a time
at once, and each level is told.
"""

from datetime import datetime

from sqlalchemy import Connection, select

from cloud.alarms.desk import duty_of, take_off_shelf
from cloud.alarms.limits import Limits
from cloud.alarms.roster import Roster, announce
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
        level = Level(min(found.level + 1, Level.DISTRICT))
        next_due = limits.due(Priority(found.priority), level, Handling(found.handling), found.due_at)
        values = {"level": int(level), "due_at": next_due, "overdue": True}
        missed = {"level": int(level), "missed": found.handling}
        step = change(connection, found.id, found.revision, Move.ESCALATED, now, values, detail=missed)
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
