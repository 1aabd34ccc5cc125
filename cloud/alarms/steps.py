"""Changes an alarm and writes the step that says so, together or not at all. Every change of an alarm passes here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, update

from cloud.alarms.states import Move
from cloud.database.tables import Alarm, AlarmStep

HUB_ORIGIN = "hub"


@dataclass(frozen=True)
class By:
    """Who did it, and from where; no account: the hub itself."""

    account_id: UUID | None = None
    origin: str = HUB_ORIGIN


THE_HUB = By()


def change(
    connection: Connection,
    alarm: UUID,
    revision: int,
    move: Move | None,
    at: datetime,
    values: dict[str, Any],
    by: By = THE_HUB,
    note: str = "",
    detail: Mapping[str, Any] = MappingProxyType({}),
    order: UUID | None = None,
) -> int | None:
    """Change an open alarm that nobody has changed since `revision`, by compare and set.

    Args:
        move: None changes it without a step, and leaves its revision: a count that rises.
        order: the work order that the step is about.

    Returns:
        The number of the step; None if somebody was faster, and nothing was changed.
    """
    number = revision + (move is not None)
    same = (Alarm.id == alarm) & (Alarm.revision == revision) & Alarm.closed_at.is_(None)
    done = connection.execute(update(Alarm).where(same).values(**values, revision=number))
    if done.rowcount == 0:
        return None
    if move is not None:
        write_step(connection, alarm, number, move, at, by, note, detail, order)
    return number


def write_step(
    connection: Connection,
    alarm: UUID,
    number: int,
    move: Move,
    at: datetime,
    by: By,
    note: str,
    detail: Mapping[str, Any],
    order: UUID | None = None,
) -> None:
    """Append a step."""
    connection.execute(
        insert(AlarmStep).values(
            alarm_id=alarm,
            number=number,
            at=at,
            account_id=by.account_id,
            origin=by.origin,
            move=move,
            order_id=order,
            note=note,
            detail=dict(detail),
        )
    )
