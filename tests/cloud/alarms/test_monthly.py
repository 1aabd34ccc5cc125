"""Monthly figures against a slow and obvious count, at month boundaries, within scopes, and as CSV."""

import csv
import io
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, update

from cloud.accounts.scope import WHOLE, Scope
from cloud.alarms.monthly import MonthlyFigures, as_csv, month_bounds, monthly_figures
from cloud.alarms.reach import Sees
from cloud.alarms.states import Outcome, Source
from cloud.database.engine import Database
from cloud.database.tables import Alarm, Place
from tests.support.databases import new_sqlite
from tests.support.events import new_id
from tests.support.matters import Town

NOVEMBER = datetime(2026, 10, 31, 16, tzinfo=UTC)
"""Its first moment in China, eight hours before UTC's."""
DECEMBER = datetime(2026, 11, 30, 16, tzinfo=UTC)
US = timedelta(microseconds=1)


def row(
    town: Town,
    raised: datetime,
    place: str = "gate-east",
    source: str = "rule",
    acked: float | None = None,
    closed: float | None = None,
    level: int = 0,
    overdue: bool = False,
    outcome: str | None = None,
    rule: str = "door_forced",
    priority: int = 2,
    grid: str | None = None,
) -> dict[str, Any]:
    """A row of `alarm`; times in seconds after it was raised."""
    side = place.removeprefix("gate-").split("-")[0]
    return {
        "id": new_id(),
        "source": source,
        "rule": rule,
        "rule_version": 1,
        "key": str(new_id()),
        "priority": priority,
        "handling": "new" if closed is None else "closed",
        "condition": "cleared",
        "level": level,
        "audience": "duty",
        "place_id": town.places[place],
        "area_id": None if place.endswith("-town") else town.places[f"{side}-village"],
        "grid_id": town.grids[grid] if grid else None,
        "happened_at": raised,
        "raised_at": raised,
        "last_at": raised,
        "times": 1,
        "chatter_count": 1,
        "acked_at": None if acked is None else raised + timedelta(seconds=acked),
        "closed_at": None if closed is None else raised + timedelta(seconds=closed),
        "overdue": overdue,
        "outcome": outcome,
        "revision": 1,
    }


def store(town: Town, rows: Sequence[dict[str, Any]]) -> None:
    with town.database.write() as connection:
        for each in rows:
            connection.execute(insert(Alarm).values(**each))


def read(town: Town, month: str, scope: Scope = WHOLE, sees: Sees | None = None) -> list[MonthlyFigures]:
    with town.database.read() as connection:
        return list(monthly_figures(connection, scope, month, sees=sees or Sees()))


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


def test_a_month_is_chinas(town: Town) -> None:
    assert month_bounds("2026-11") == (NOVEMBER, DECEMBER)
    assert month_bounds("2026-12")[1] == datetime(2026, 12, 31, 16, tzinfo=UTC)
    store(town, [row(town, moment) for moment in (NOVEMBER - US, NOVEMBER, DECEMBER - US, DECEMBER)])
    counted = {month: read(town, month)[0].number for month in ("2026-10", "2026-11", "2026-12")}
    assert counted == {"2026-10": 1, "2026-11": 2, "2026-12": 1}


def test_figures_counted_by_hand(town: Town) -> None:
    store(
        town,
        [
            row(town, NOVEMBER, acked=10, closed=100, outcome=Outcome.FALSE_ALARM),
            row(town, NOVEMBER, acked=20, closed=200, level=2, overdue=True, outcome=Outcome.SETTLED),
            row(town, NOVEMBER, acked=90, overdue=True, rule="door_held"),
            row(town, NOVEMBER, priority=4, closed=0),
            row(town, NOVEMBER, source="matter", rule="matter.repair", level=1),
        ],
    )
    found = read(town, "2026-11")
    kinds = [(each.centre, each.centre_kind, each.source) for each in found]
    assert kinds == [
        ("xixiu", "district", Source.MATTER),
        ("xixiu", "district", Source.RULE),
        ("east-town", "township", Source.MATTER),
        ("east-town", "township", Source.RULE),
        ("east-village", "community", Source.MATTER),
        ("east-village", "community", Source.RULE),
    ]
    alarms = found[-1]
    assert alarms.acknowledge is not None
    assert alarms.close is not None
    spread = alarms.acknowledge
    assert (alarms.number, alarms.overdue, alarms.false_alarms, alarms.open) == (3, 2, 1, 1)
    assert (spread.mean_s, spread.median_s, spread.p90_s) == (40.0, 20.0, 90.0)
    assert (alarms.close.mean_s, alarms.close.median_s, alarms.close.p90_s) == (150.0, 150.0, 200.0)
    assert alarms.settled_at == {"guard": 1, "township": 1}
    assert alarms.kinds == {"door_forced": 2, "door_held": 1}
    assert (found[0].number, found[0].close, found[0].kinds) == (1, None, {"matter.repair": 1})


def test_each_account_has_the_rows_of_its_own_centres_as_a_whole(town: Town) -> None:
    rows = [row(town, NOVEMBER, place) for place in ("gate-east", "gate-west", "gate-west", "east-town")]
    store(town, [*rows, row(town, NOVEMBER, "east-501", grid="grid-1"), row(town, NOVEMBER, source="matter")])

    def seen(name: str) -> list[tuple[str, int]]:
        actor = town.actor(name)
        return [
            (each.centre, each.number)
            for each in read(town, "2026-11", actor.scope, actor.sees)
            if each.source == "rule"
        ]

    assert seen("district") == [
        ("xixiu", 5), ("east-town", 3), ("west-town", 2), ("east-village", 2), ("west-village", 2),
    ]  # fmt: skip
    assert seen("town-east") == [("east-town", 3), ("east-village", 2)]
    assert seen("centre-east") == [("east-village", 2)]
    assert seen("li") == [("grid-1", 1)]
    assert seen("guard-east") == [], "a compound is no centre"
    assert {each.source for each in read(town, "2026-11", WHOLE, Sees(matters=False))} == {Source.RULE}


def slow(rows: Sequence[dict[str, Any]], centre: UUID, paths: dict[UUID, bytes], month: str, source: str) -> Any:
    """The same figures, written down without thought of speed; None if there is nothing."""
    kept = []
    for each in rows:
        local = each["raised_at"] + timedelta(hours=8)
        lies = paths[each["place_id"]].startswith(paths[centre])
        if f"{local.year}-{local.month:02d}" == month and each["priority"] < 4 and each["source"] == source and lies:
            kept.append(each)
    if not kept:
        return None

    def spread(name: str) -> Any:
        values = sorted((e[name] - e["raised_at"]).total_seconds() for e in kept if e[name] is not None)
        if not values:
            return None
        middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
        p90 = next(v for v in values if sum(w <= v for w in values) * 10 >= 9 * len(values))
        return round(sum(values) / len(values), 1), round(middle, 1), round(p90, 1)

    closed = [each for each in kept if each["closed_at"] is not None]
    names = ("guard", "community", "township", "district")
    return {
        "number": len(kept),
        "acknowledge": spread("acked_at"),
        "close": spread("closed_at"),
        "overdue": len([each for each in kept if each["overdue"]]),
        "false_alarms": len([each for each in kept if each["outcome"] == "false_alarm"]),
        "open": len(kept) - len(closed),
        "settled_at": {n: c for i, n in enumerate(names) if (c := len([e for e in closed if e["level"] == i]))},
        "kinds": {r: len(list(g)) for r, g in itertools.groupby(sorted(e["rule"] for e in kept))},
    }


SECONDS = st.none() | st.integers(0, 40 * 86_400)
MOMENTS = st.one_of(
    st.sampled_from([NOVEMBER, DECEMBER]).flatmap(lambda m: st.integers(-2, 2).map(lambda n: m + n * US)),
    st.integers(-40 * 86_400, 70 * 86_400).map(lambda s: NOVEMBER + timedelta(seconds=s)),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "raised": MOMENTS,
            "place": st.sampled_from(["gate-east", "gate-west", "east-501", "west-town", "east-village"]),
            "source": st.sampled_from(["rule", "matter"]),
            "acked": SECONDS,
            "closed": SECONDS,
            "level": st.integers(0, 3),
            "overdue": st.booleans(),
            "outcome": st.sampled_from([None, "false_alarm", "settled"]),
            "rule": st.sampled_from(["a", "b", "matter.help"]),
            "priority": st.integers(1, 4),
        }
    ),
    max_size=25,
)


def test_figures_are_those_of_a_slow_count(tmp_path: Path) -> None:
    town = Town(new_sqlite(tmp_path))
    with town.database.read() as connection:
        paths = {each.id: each.path for each in connection.execute(Place.__table__.select())}

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(ROWS, st.sampled_from(["2026-10", "2026-11", "2026-12"]))
    def agree(wanted: list[dict[str, Any]], month: str) -> None:
        rows = [row(town, **each) for each in wanted]
        with town.database.engine.connect() as connection:  # open alarms are not deleted, but a transaction can end so
            if rows:
                connection.execute(insert(Alarm), rows)
            found = {(each.centre, each.source.value): each for each in monthly_figures(connection, WHOLE, month)}
            connection.rollback()
        expected = 0
        for centre in ("xixiu", "east-town", "west-town", "east-village", "west-village"):
            for source in ("rule", "matter"):
                right = slow(rows, town.places[centre], paths, month, source)
                expected += right is not None
                if right is None:
                    assert (centre, source) not in found
                    continue
                told = found[centre, source]
                for name, value in right.items():
                    given_value = getattr(told, name)
                    if name in ("acknowledge", "close") and given_value is not None:
                        given_value = tuple(given_value.model_dump().values())
                    assert given_value == pytest.approx(value, abs=0.11), (centre, source, name)
        assert len(found) == expected

    agree()
    town.database.close()


def test_as_csv_it_reads_back_and_is_no_formula(town: Town) -> None:
    store(town, [row(town, NOVEMBER, acked=10, closed=100, outcome=Outcome.FALSE_ALARM, rule="=cmd()")])
    with town.database.write() as connection:
        connection.execute(update(Place).where(Place.code == "east-village").values(name='=HYPERLINK("x"),东关'))
    text = as_csv(read(town, "2026-11"))
    assert text.startswith("\ufeffmonth,centre")
    lines = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    last = lines[-1]
    assert (last["centre"], last["kinds"]) == ('\'=HYPERLINK("x"),东关', "'=cmd():1")
    assert (last["number"], last["acknowledge_p90_s"], last["settled_at_guard"]) == ("1", "10.0", "1")
    assert len(lines) == 3
