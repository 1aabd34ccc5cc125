"""The queue is read from the index of open alarms, however many were closed; what is to go from that of closed ones."""

from datetime import timedelta

from sqlalchemy import insert, text

from cloud.accounts.scope import WHOLE
from cloud.alarms.queue import read_queue
from cloud.alarms.states import Source
from cloud.database.engine import Database
from cloud.database.tables import Alarm
from cloud.retention.holds import Hold
from cloud.retention.service import BATCH, closed_before
from tests.support.events import NOON, new_id
from tests.support.plans import plans_of

ALARMS, OPEN = 20_000, 50
OF_OPEN = [
    index.name
    for index in Alarm.__table__.indexes
    if str(index.dialect_options["sqlite"]["where"]) == "closed_at IS NULL"
]


def fill(database: Database) -> None:
    """So many alarms, the last `OPEN` of them open."""
    rows = []
    for number in range(ALARMS):
        at = NOON + timedelta(minutes=number - ALARMS)
        is_open = number >= ALARMS - OPEN
        same = {"rule": "door_forced", "rule_version": 1, "audience": "duty", "level": 1, "times": 1, "revision": 1}
        rows.append(
            {
                **same,
                "id": new_id(),
                "key": f"door_forced:{number}",
                "priority": 1 + number % 3,
                "handling": "new" if is_open else "closed",
                "condition": "active" if is_open else "cleared",
                "happened_at": at,
                "raised_at": at,
                "last_at": at,
                "chatter_count": 1,
                "closed_at": None if is_open else at,
            }
        )
    with database.write() as connection:
        connection.execute(insert(Alarm), rows)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def test_the_queue_is_read_from_the_index_of_open_alarms(database: Database) -> None:
    fill(database)
    with database.read() as connection:
        asked = plans_of(connection, lambda: read_queue(connection, WHOLE))
    about_alarms = [plan for plan in asked if "alarm" in plan.replace("alarm_flood", "")]
    assert len(about_alarms) >= 2, asked
    for plan in about_alarms:
        assert any(index in plan for index in OF_OPEN), plan
        assert "Seq Scan on alarm " not in plan, plan


def test_what_is_to_go_is_read_in_order_from_the_index_of_closed_alarms(database: Database) -> None:
    fill(database)
    before = NOON - timedelta(minutes=ALARMS - 10)
    holds = [Hold("gw-east", None, NOON - timedelta(days=1), NOON)]
    with database.read() as connection:
        due = closed_before(Source.RULE, before, holds).limit(BATCH)
        (plan,) = plans_of(connection, lambda: connection.execute(due).all())
        assert len(connection.execute(due).all()) == 10
    assert "ix_alarm_closed" in plan, plan
    for bad in ("Seq Scan on alarm ", "SCAN alarm", "TEMP B-TREE", "Sort"):
        assert bad not in plan, plan
