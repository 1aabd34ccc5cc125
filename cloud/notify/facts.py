"""Reads what may be told of the alarms of a message: the fields of `Fact`, and no other column."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select
from sqlalchemy.orm import aliased

from cloud.alarms.states import Level, Move, Priority
from cloud.database.tables import Alarm, AlarmStep, Matter, Notice, Place, PlaceKind
from cloud.notify.wording import Fact
from cloud.rules.book import read_titles

_Area, _Above = aliased(Place), aliased(Place)


def read_facts(connection: Connection, message: UUID) -> list[Fact]:
    """Of each alarm of a message, its newest step."""
    query = (
        select(
            Notice.alarm_id,
            Notice.level,
            Notice.priority,
            Notice.nobody_on_duty,
            Alarm.rule,
            Matter.title,
            Matter.title_zh,
            Alarm.happened_at,
            AlarmStep.move,
            Place.kind.label("kind"),
            Place.name.label("place"),
            _Above.name.label("above"),
            _Area.name.label("area"),
        )
        .join(Alarm, Alarm.id == Notice.alarm_id)
        .join(AlarmStep, (AlarmStep.alarm_id == Notice.alarm_id) & (AlarmStep.number == Notice.step))
        .outerjoin(Matter, Matter.id == Notice.alarm_id)
        .outerjoin(Place, Place.id == Alarm.place_id)
        .outerjoin(_Above, _Above.id == Place.parent_id)
        .outerjoin(_Area, _Area.id == Alarm.area_id)
        .where(Notice.message_id == message)
        .order_by(Notice.alarm_id, Notice.step)
    )
    titles = read_titles(connection)
    newest = {row.alarm_id: row for row in connection.execute(query)}
    return [_fact(row, titles) for row in newest.values()]


def _fact(row: Row[*tuple[Any, ...]], titles: dict[str, tuple[str, str]]) -> Fact:
    title, title_zh = (row.title, row.title_zh) if row.title else titles.get(row.rule, (row.rule, row.rule))
    return Fact(
        alarm=row.alarm_id,
        rule=row.rule,
        title=title,
        title_zh=title_zh,
        priority=Priority(row.priority),
        level=Level(row.level),
        move=Move(row.move),
        community=row.area,
        place=row.above if row.kind == PlaceKind.DWELLING else row.place,
        at=row.happened_at,
        nobody_on_duty=row.nobody_on_duty,
    )
