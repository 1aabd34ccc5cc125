"""Divisions by their codes of GB/T 2260, as they were on a day. Anshun's are shipped with the tables."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, Select, or_, select

from cloud.database.tables import Division


@dataclass(frozen=True)
class DivisionOnDay:
    """A division as it was named and numbered on that day; `provisional` codes are not the standard's."""

    code: str
    name: str
    parent_code: str | None
    provisional: bool


def division_on(connection: Connection, code: str, day: date) -> DivisionOnDay | None:
    """The division that had this code on a day; None if there was none, or none is known."""
    found = connection.execute(_on(day).where(Division.code == code)).first()
    return DivisionOnDay(found.code, found.name, found.parent_code, found.provisional) if found else None


def divisions_of(connection: Connection, parent: str, day: date) -> list[DivisionOnDay]:
    """What a division was divided into on a day, by code."""
    rows = connection.execute(_on(day).where(Division.parent_code == parent).order_by(Division.code))
    return [DivisionOnDay(row.code, row.name, row.parent_code, row.provisional) for row in rows]


def _on(day: date) -> Select[str, str, str | None, bool]:
    columns = (Division.code, Division.name, Division.parent_code, Division.provisional)
    return select(*columns).where(Division.since <= day, or_(Division.until.is_(None), Division.until > day))
