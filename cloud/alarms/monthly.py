"""Monthly figures of centres: alarms and matters that came in a calendar month of China, and what became of them.

A community's centre counts what lies in its community; a township's and a district's count all of theirs. Only centres
that the account's scope covers as a whole have a row, so that no row is of a part. An account that is bound to a grid
has its grid's row alone. Times and outcomes are as they stand when one asks: a later end changes the month that it came
in. What lies in no place belongs to no centre. A month whose alarms may have gone by their days is not asked for
(`cloud.alarms.figures.check_whole`).
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from statistics import fmean, median
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import Connection, Row, func, select

from cloud.accounts.scope import Scope
from cloud.alarms.reach import EVERYTHING, Sees
from cloud.alarms.states import Level, Outcome, Priority, Source
from cloud.database.tables import Alarm, Grid, Place, PlaceKind
from cloud.register.paths import SEGMENT_BYTES

CHINA = ZoneInfo("Asia/Shanghai")
Month = Annotated[str, StringConstraints(pattern=r"^(20[0-9]{2})-(0[1-9]|1[0-2])$")]
_CENTRES = (PlaceKind.DISTRICT, PlaceKind.TOWNSHIP, PlaceKind.COMMUNITY)
_GRID = "grid"
_UTF8_MARK = "\ufeff"
"""Excel takes a CSV file for UTF-8 by it."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Spread(BaseModel):
    """Seconds. `p90_s`: the shortest time that nine of ten did not exceed (nearest rank)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    mean_s: float
    median_s: float
    p90_s: float


class MonthlyFigures(BaseModel):
    """A centre's month, of alarms or of matters. `close` is of those that are closed, `acknowledge` likewise."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    month: str
    centre: str
    centre_kind: str
    """district, township, community or grid."""
    source: Source
    number: int
    acknowledge: Spread | None
    close: Spread | None
    overdue: int
    false_alarms: int
    open: int
    settled_at: Mapping[str, int]
    """By the level at which it was closed: guard, community, township, district."""
    kinds: Mapping[str, int]
    """By rule, or by the matter's kind."""


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """From when until before when a month such as `2026-11` lasts in China.

    Raises:
        ValueError: if it is no month.
    """
    year, number = (int(part) for part in month.split("-"))
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    since, until = datetime(year, number, 1, tzinfo=CHINA), datetime(*following, 1, tzinfo=CHINA)
    return since.astimezone(UTC), until.astimezone(UTC)


def monthly_figures(
    connection: Connection, scope: Scope, month: str, *, sees: Sees = EVERYTHING
) -> Sequence[MonthlyFigures]:
    """The rows of a month, districts first; the journal is left out."""
    since, until = month_bounds(month)
    query = (
        select(
            Alarm.source,
            Alarm.rule,
            Alarm.level,
            func.coalesce(Alarm.area_id, Alarm.place_id).label("where"),
            Alarm.raised_at,
            Alarm.acked_at,
            Alarm.closed_at,
            Alarm.overdue,
            Alarm.outcome,
        )
        .where(sees.alarm(scope), Alarm.raised_at >= since, Alarm.raised_at < until)
        .where(Alarm.priority < Priority.JOURNAL)
    )
    centres = _grid_row(connection, scope.grid_id) if scope.grid_id else _Centres(connection, scope)
    tallies: dict[tuple[int, str, UUID, str], _Tally] = defaultdict(_Tally)
    for row in connection.execute(query):
        for centre in centres.of(row.where):
            tallies[centre.order, centre.name, centre.id, row.source].add(row)
    kinds = dict(enumerate((*_CENTRES, _GRID)))
    return [
        tally.figures(month, name, str(kinds[order]), Source(source))
        for (order, name, _, source), tally in sorted(tallies.items())
    ]


def as_csv(figures: Iterable[MonthlyFigures]) -> str:
    """One line for each, with a header; what a spreadsheet would take for a formula begins with an apostrophe."""
    levels = [level.name.lower() for level in Level]
    times = [f"{what}_{each}" for what in ("acknowledge", "close") for each in Spread.model_fields]
    counts = ["overdue", "false_alarms", "open"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    head = ["month", "centre", "centre_kind", "source", "number", *times, *counts]
    writer.writerow([*head, *(f"settled_at_{level}" for level in levels), "kinds"])
    for each in figures:
        spreads = [*_cells(each.acknowledge), *_cells(each.close)]
        kinds = " ".join(f"{kind}:{count}" for kind, count in each.kinds.items())
        values = [each.month, _safe(each.centre), each.centre_kind, each.source.value, each.number, *spreads]
        settled = [each.settled_at.get(level, 0) for level in levels]
        writer.writerow([*values, each.overdue, each.false_alarms, each.open, *settled, _safe(kinds)])
    return _UTF8_MARK + text.getvalue()


# --- Centres


@dataclass(frozen=True)
class _Centre:
    order: int
    """Its kind's place among `_CENTRES`; a grid comes last."""
    id: UUID
    name: str


@dataclass(frozen=True)
class _OneGrid:
    centre: _Centre | None

    def of(self, _place: UUID | None) -> Sequence[_Centre]:
        return () if self.centre is None else (self.centre,)


class _Centres:
    """The centres that a community or another place lies under, itself included, within a scope."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection, self._scope = connection, scope
        self._known: dict[UUID | None, Sequence[_Centre]] = {None: ()}

    def of(self, place: UUID | None) -> Sequence[_Centre]:
        if place not in self._known:
            self._known[place] = self._read(place)
        return self._known[place]

    def _read(self, place: UUID | None) -> Sequence[_Centre]:
        path = self._connection.execute(select(Place.path).where(Place.id == place)).scalar() or b""
        paths = [path[:end] for end in range(SEGMENT_BYTES, len(path) + 1, SEGMENT_BYTES)]
        query = select(Place.id, Place.name, Place.kind).where(Place.path.in_(paths), Place.kind.in_(_CENTRES))
        rows = self._connection.execute(query.where(self._scope.covers_place(Place.id)))
        return [_Centre(_CENTRES.index(PlaceKind(row.kind)), row.id, row.name) for row in rows]


def _grid_row(connection: Connection, grid: UUID) -> _OneGrid:
    name = connection.execute(select(Grid.name).where(Grid.id == grid)).scalar()
    return _OneGrid(None if name is None else _Centre(len(_CENTRES), grid, name))


# --- Counting


@dataclass
class _Tally:
    """What is counted of one row of the figures."""

    number: int = 0
    overdue: int = 0
    false_alarms: int = 0
    acknowledge_s: list[float] = field(default_factory=list)
    close_s: list[float] = field(default_factory=list)
    settled_at: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row[*tuple[Any, ...]]) -> None:
        self.number += 1
        self.overdue += bool(row.overdue)
        self.false_alarms += row.outcome == Outcome.FALSE_ALARM
        self.kinds[row.rule] += 1
        if row.acked_at is not None:
            self.acknowledge_s.append((row.acked_at - row.raised_at).total_seconds())
        if row.closed_at is not None:
            self.close_s.append((row.closed_at - row.raised_at).total_seconds())
            self.settled_at[Level(row.level).name.lower()] += 1

    def figures(self, month: str, centre: str, kind: str, source: Source) -> MonthlyFigures:
        return MonthlyFigures(
            month=month,
            centre=centre,
            centre_kind=kind,
            source=source,
            number=self.number,
            acknowledge=_spread(self.acknowledge_s),
            close=_spread(self.close_s),
            overdue=self.overdue,
            false_alarms=self.false_alarms,
            open=self.number - len(self.close_s),
            settled_at=dict(sorted(self.settled_at.items())),
            kinds=dict(sorted(self.kinds.items())),
        )


def _spread(seconds: list[float]) -> Spread | None:
    if not seconds:
        return None
    rank = ceil(len(seconds) * 9 / 10)
    values = fmean(seconds), median(seconds), sorted(seconds)[rank - 1]
    mean_s, median_s, p90_s = (round(value, 1) for value in values)
    return Spread(mean_s=mean_s, median_s=median_s, p90_s=p90_s)


def _cells(spread: Spread | None) -> list[float | str]:
    return ["", "", ""] if spread is None else [spread.mean_s, spread.median_s, spread.p90_s]


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
