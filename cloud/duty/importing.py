"""Takes centres, who works there, rosters and swaps from a workbook or CSV files: all of it, or nothing and the faults
by row. Importing a file again changes nothing.

A roster takes a row for each shift, with who works it; or where teams take turns a row for each shift without people
and one for each team, in the order of their turns.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlalchemy import Connection, select

from cloud.accounts.scope import WHOLE
from cloud.alarms.states import Level
from cloud.database.engine import Database
from cloud.database.tables import Centre, Place
from cloud.duty.desk import Planner, give_post, put_centre, put_exception, put_roster
from cloud.duty.plan import EVERY_DAY, RosterPlan, Shift, Team
from cloud.duty.values import ROSTER_CODE
from cloud.notify.settings import LevelName
from cloud.register.cells import NONE, day_start, list_of, minute_of_day, one_of, weekdays
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.files import SheetRow, SheetRows, UnreadableFile, opened
from cloud.register.importing import row_error, row_faults
from cloud.register.layout import Column, Sheet
from cloud.register.report import ImportReport, RowError

LEVELS = {
    "岗亭": LevelName.GUARD,
    "门岗": LevelName.GUARD,
    "村": LevelName.COMMUNITY,
    "社区": LevelName.COMMUNITY,
    "乡镇": LevelName.TOWNSHIP,
    "街道": LevelName.TOWNSHIP,
    "区县": LevelName.DISTRICT,
}
_OF_CENTRE = (Column("place", "位置编码", True, "aj"), Column("level", "级别", True, "community"))
CENTRES = Sheet("centres", "综治中心", (*_OF_CENTRE, Column("name", "名称", True, "安静社区综治中心")))
CENTRE_POSTS = Sheet(
    "centre_posts",
    "中心岗位",
    (*_OF_CENTRE, Column("account", "账号", True, "zhang"), Column("function", "岗位", True, "值班长")),
)
ROSTERS = Sheet(
    "rosters",
    "值班表",
    (
        *_OF_CENTRE,
        Column("roster", "值班表", True, "desk"),
        Column("since", "开始日期", True, "2026-12-01"),
        Column("until", "结束日期", False, ""),
        Column("shift", "班次", False, "night"),
        Column("from", "上班时间", False, "20:00"),
        Column("to", "下班时间", False, "08:00"),
        Column("days", "值班日", False, "每天;节假日"),
        Column("team", "轮值科室", False, ""),
        Column("anchor", "轮值起始日", False, ""),
        Column("accounts", "值班账号", False, "wang;li"),
    ),
)
SWAPS = Sheet(
    "swaps",
    "调班",
    (
        *_OF_CENTRE,
        Column("roster", "值班表", True, "desk"),
        Column("day", "日期", True, "2026-12-24"),
        Column("shift", "班次", True, "night"),
        Column("accounts", "值班账号", True, "li"),
        Column("note", "备注", False, "换班"),
    ),
)
SHEETS = (CENTRES, CENTRE_POSTS, ROSTERS, SWAPS)
_MIDNIGHT_MINUTE = 24 * 60
_DAY = timedelta(days=1)
_ANY_ZONE = ZoneInfo("UTC")
"""Rosters are of days, not of moments: it does not matter where a day is read."""

_T = TypeVar("_T")
_CODE = re.compile(ROSTER_CODE)
Cells = Mapping[str, str]
Block = tuple[str, Level, str, date]
"""The rows that make one plan: place, level, roster, first day."""


class _TakenBack(Exception):
    """Ends the transaction of an import that is not to stay."""


@dataclass
class _Plan:
    """What the rows of a plan said so far. `row`: the first of them."""

    row: int
    until: date | None
    anchor: date | None = None
    shifts: list[Shift] = field(default_factory=list)
    teams: list[Team] = field(default_factory=list)

    def made(self, since: date) -> RosterPlan:
        anchor = (self.anchor or since) if self.teams else self.anchor
        return _checked(
            "roster",
            lambda: RosterPlan(
                since=since,
                until=self.until,
                shifts=tuple(self.shifts),
                teams=tuple(self.teams),
                anchor=anchor,
            ),
        )


def import_duty(
    database: Database, path: Path, now: datetime, make_id: Callable[[], UUID], *, dry_run: bool = False
) -> ImportReport:
    """Import a workbook, a CSV file of rosters, or a folder of CSV files; with `dry_run` only check it."""
    report = ImportReport(dry_run)
    try:
        with opened(path, sheets=SHEETS, lone=ROSTERS) as file, database.write() as connection:
            report.ignored_sheets = file.ignored
            taker = _Taker(connection, Planner(None, WHOLE, now, make_id), report)
            for read in file.sheets:
                taker.take(read)
            if not report.imported:
                raise _TakenBack
    except _TakenBack:
        pass
    except UnreadableFile as error:
        report.add_error(error.error)
    return report


class _Taker:
    """Takes sheets up, one after the other; a faulty row is reported and the others are still checked."""

    def __init__(self, connection: Connection, who: Planner, report: ImportReport) -> None:
        self._connection = connection
        self._who = who
        self._report = report
        self._centres: dict[tuple[str, Level], UUID] = {}

    def take(self, read: SheetRows) -> None:
        if read.sheet is ROSTERS:
            self._take_rosters(read)
            return
        put = {CENTRES.key: self._put_centre, CENTRE_POSTS.key: self._put_post, SWAPS.key: self._put_swap}
        for row in self._sound(read):
            self._told(read, row.number, partial(put[read.sheet.key], row.cells))

    def _sound(self, read: SheetRows) -> Iterator[SheetRow]:
        """The rows without a fault; the others are reported."""
        for row in read.rows():
            faults = [row] if isinstance(row, RowError) else [*row.faults, *row_faults(read, row)]
            for fault in faults:
                self._report.add_error(fault)
            if not isinstance(row, RowError) and not faults:
                yield row

    def _told(self, read: SheetRows, number: int, put: Callable[[], Change | None]) -> None:
        try:
            change = put()
        except RegisterError as error:
            self._report.add_error(row_error(read, number, error))
        else:
            if change is not None:
                self._report.count(read.sheet.key.replace("_", " "), change)

    def _put_centre(self, cells: Cells) -> Change:
        place, level = self._place(cells), _level(cells)
        self._centres[cells["place"], level], change = put_centre(
            self._connection, self._who, place, level, cells["name"]
        )
        return change

    def _put_post(self, cells: Cells) -> Change:
        centre = self._centre(cells["place"], _level(cells))
        return give_post(self._connection, self._who, centre, cells["account"], _short(cells, "function", 60))[1]

    def _put_swap(self, cells: Cells) -> Change:
        return put_exception(
            self._connection,
            self._who,
            self._centre(cells["place"], _level(cells)),
            cells["roster"],
            _day(cells["day"], "day"),
            cells["shift"],
            _accounts(cells),
            _short(cells, "note", 200),
        )

    def _take_rosters(self, read: SheetRows) -> None:
        plans: dict[Block, _Plan] = {}
        for row in self._sound(read):
            self._told(read, row.number, partial(_add_row, plans, row))
        rosters: defaultdict[tuple[str, Level, str], list[tuple[date, _Plan]]] = defaultdict(list)
        for (place, level, code, since), plan in plans.items():
            rosters[place, level, code].append((since, plan))
        for (place, level, code), written in rosters.items():
            written.sort(key=lambda each: each[0])
            self._told(read, written[0][1].row, partial(self._put_roster, place, level, code, written))

    def _put_roster(self, place: str, level: Level, code: str, written: list[tuple[date, _Plan]]) -> Change:
        plans = [plan.made(since) for since, plan in written]
        return put_roster(self._connection, self._who, self._centre(place, level), code, plans)

    def _place(self, cells: Cells) -> UUID:
        found = self._connection.execute(select(Place.id).where(Place.code == cells["place"])).scalar()
        if found is None:
            raise RegisterError("place", f"there is no place {cells['place'][:40]!r}", "add it, or correct the code")
        return found

    def _centre(self, place: str, level: Level) -> UUID:
        if (place, level) not in self._centres:
            query = select(Centre.id).join(Place, Place.id == Centre.place_id)
            found = self._connection.execute(query.where(Place.code == place, Centre.level == int(level))).scalar()
            if found is None:
                raise RegisterError(
                    "place", f"there is no centre of this level at {place[:40]!r}", "add it to the sheet of centres"
                )
            self._centres[place, level] = found
        return self._centres[place, level]


def _add_row(plans: dict[Block, _Plan], row: SheetRow) -> None:
    """Add a shift or a team to the plan that the row is of."""
    cells = row.cells
    if _CODE.fullmatch(cells["roster"]) is None:
        raise RegisterError("roster", f"{cells['roster'][:40]!r} is no code", "write small letters, digits and dashes")
    since = _day(cells["since"], "since")
    until = _day(cells["until"], "until") + _DAY if "until" in cells else None
    plan = plans.setdefault((cells["place"], _level(cells), cells["roster"], since), _Plan(row.number, until))
    if until is not None and plan.until not in (None, until):
        raise RegisterError("until", "rows of the same roster end on different days", "write one last day")
    plan.until = plan.until or until
    if "anchor" in cells:
        plan.anchor = _day(cells["anchor"], "anchor")
    if "team" in cells:
        plan.teams.append(_team(cells))
    else:
        plan.shifts.append(_shift(cells))


def _team(cells: Cells) -> Team:
    if "shift" in cells:
        raise RegisterError("team", "the row names a team and a shift", "give each a row of its own")
    return _checked("team", lambda: Team(name=cells["team"], members=_accounts(cells)))


def _shift(cells: Cells) -> Shift:
    for column in ("shift", "from", "to"):
        if column not in cells:
            raise RegisterError(column, "the cell is empty", "name the shift with its times, or a team")
    return _checked(
        "shift",
        lambda: Shift(
            name=cells["shift"],
            begins=_clock(cells["from"], "from"),
            ends=_clock(cells["to"], "to"),
            days=tuple(weekdays(cells["days"], "days")) if "days" in cells else EVERY_DAY,
            members=_accounts(cells),
        ),
    )


def _checked(column: str, make: Callable[[], _T]) -> _T:
    try:
        return make()
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise RegisterError(column, problem[:200], "correct the row") from error


def _accounts(cells: Cells) -> tuple[str, ...]:
    return tuple(name for name in list_of(cells.get("accounts", "").lower()) if name not in NONE)


def _level(cells: Cells) -> Level:
    return one_of(cells["level"], "level", LevelName, LEVELS).level


def _day(text: str, column: str) -> date:
    return day_start(text, column, _ANY_ZONE).date()


def _clock(text: str, column: str) -> time:
    minute = minute_of_day(text, column) % _MIDNIGHT_MINUTE
    return time(minute // 60, minute % 60)


def _short(cells: Cells, column: str, characters: int) -> str:
    text = cells.get(column, "")
    if len(text) > characters:
        raise RegisterError(column, f"it is longer than {characters} characters", "shorten it")
    return text
