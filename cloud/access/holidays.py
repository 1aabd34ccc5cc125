"""The holiday calendar: days that count as a holiday or as another weekday. Dates come from files, never from rules."""

import csv
import io
from collections.abc import Iterable
from datetime import date
from importlib.resources import files

from sqlalchemy import Connection, delete, select

from cloud.access.errors import NotThere
from cloud.access.values.weeks import HolidayChange, HolidayValue
from cloud.database.tables import SpecialDay
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.upsert import put
from protocols.rules import Weekday

MAX_DAYS = 2000
"""As many as a gateway reads."""
MAX_FILE_BYTES = 256 * 1024
SHIPPED = ("china-2026",)
"""Calendars that come with this version (`cloud/access/calendars`)."""
_COLUMNS = ["day", "counts_as", "name"]


def list_holidays(connection: Connection, year: int | None = None) -> list[HolidayValue]:
    """Every special day, or those of a year, by date."""
    query = select(SpecialDay.__table__).order_by(SpecialDay.day)
    if year is not None:
        query = query.where(SpecialDay.day >= date(year, 1, 1), SpecialDay.day <= date(year, 12, 31))
    return [HolidayValue.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def put_holidays(connection: Connection, days: Iterable[HolidayValue]) -> dict[Change, int]:
    """Add days or change what they count as; how many of each.

    Raises:
        RegisterError: if there are then more than a gateway reads.
    """
    counts = dict.fromkeys(Change, 0)
    for each in days:
        values = {"counts_as": each.counts_as, "name": each.name}
        counts[put(connection, SpecialDay, {"day": each.day}, values)] += 1
    if len(connection.execute(select(SpecialDay.day).limit(MAX_DAYS + 1)).all()) > MAX_DAYS:
        raise RegisterError("day", f"more than {MAX_DAYS} special days", "remove those of past years")
    return counts


def put_holiday(connection: Connection, day: date, change: HolidayChange) -> Change:
    """Add one day, or change it.

    Raises:
        RegisterError: as `put_holidays`.
    """
    counts = put_holidays(connection, [HolidayValue(day=day, counts_as=change.counts_as, name=change.name)])
    return next(change for change, count in counts.items() if count)


def remove_holiday(connection: Connection, day: date) -> None:
    """Make a day a day as others.

    Raises:
        NotThere: if it is none that is set apart.
    """
    if connection.execute(delete(SpecialDay).where(SpecialDay.day == day)).rowcount == 0:
        raise NotThere("day", f"{day} is no special day", "the list of holidays shows those there are")


def read_shipped(name: str) -> list[HolidayValue]:
    """A calendar that comes with this version.

    Raises:
        NotThere: if there is none of this name.
    """
    if name not in SHIPPED:
        raise NotThere("calendar", f"there is no calendar {name!r}", f"those that come along: {', '.join(SHIPPED)}")
    return read_calendar((files("cloud.access.calendars") / f"{name}.csv").read_text(encoding="utf-8"))


def read_calendar(text: str) -> list[HolidayValue]:
    """A calendar file: columns day (2026-10-01), counts_as (holiday, or monday to sunday) and name.

    Raises:
        RegisterError: naming the line of the first fault.
    """
    if len(text.encode()) > MAX_FILE_BYTES:
        raise RegisterError("file", f"it has more than {MAX_FILE_BYTES} bytes", "this is no calendar")
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    if rows.fieldnames != _COLUMNS:
        raise RegisterError("file", "the first line does not name the columns", f"write {','.join(_COLUMNS)}")
    found: dict[date, HolidayValue] = {}
    for number, row in enumerate(rows, 2):
        value = _day(number, row)
        if value.day in found:
            raise RegisterError(f"line {number}", f"{value.day} stands there twice", "keep one of the lines")
        found[value.day] = value
    return list(found.values())


def _day(number: int, row: dict[str, str | None]) -> HolidayValue:
    try:
        counts_as = Weekday[(row["counts_as"] or "").strip().upper()]
        day = date.fromisoformat((row["day"] or "").strip())
        return HolidayValue(day=day, counts_as=int(counts_as), name=row["name"] or "")
    except (KeyError, ValueError) as error:
        raise RegisterError(
            f"line {number}", "it is no special day", "write for example 2026-10-01,holiday,国庆节"
        ) from error
