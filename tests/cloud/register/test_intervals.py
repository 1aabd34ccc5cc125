"""Spans that are drawn anew never overlap, and change nothing but what the new one says; against painted days."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.register.intervals import Span, SpansOverlap, drawn

DAYS = 30
START = datetime(2026, 1, 1, tzinfo=UTC)


def moment(day: int) -> datetime:
    return START + timedelta(days=day)


def spans(*days: tuple[int, int | None, str]) -> list[Span[str]]:
    return [Span(moment(since), None if until is None else moment(until), value) for since, until, value in days]


def painted(known: list[Span[str]]) -> list[str | None]:
    """The value of each day: the slow and obvious form."""
    days: list[str | None] = [None] * DAYS
    for span in known:
        for day in range(DAYS):
            if span.since <= moment(day) and (span.until is None or moment(day) < span.until):
                assert days[day] is None, "two spans overlap"
                days[day] = span.value
    return days


def test_drawing_anew_ends_what_was() -> None:
    assert drawn(spans((0, None, "a")), *spans((10, None, "b"))) == spans((0, 10, "a"), (10, None, "b"))


def test_the_first_file_imported_again_changes_nothing() -> None:
    known = spans((0, 10, "a"), (10, None, "b"))
    assert drawn(known, *spans((0, None, "a"))) == known


def test_what_begins_at_the_same_time_is_corrected() -> None:
    assert drawn(spans((0, None, "a")), *spans((0, None, "b"))) == spans((0, None, "b"))
    assert drawn(spans((0, None, "a")), *spans((0, 5, "a"))) == spans((0, 5, "a"))


@pytest.mark.parametrize("new", [(5, 8, "b"), (0, 12, "a"), (2, 11, "b")])
def test_what_would_cut_another_in_two_or_reach_into_a_later_one_is_refused(new: tuple[int, int, str]) -> None:
    with pytest.raises(SpansOverlap):
        drawn(spans((0, 10, "a"), (10, None, "c")), *spans(new))


def test_what_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="before it begins"):
        drawn([], *spans((5, 5, "a")))


_day = st.integers(0, DAYS - 1)
_news = st.lists(st.tuples(_day, st.none() | _day, st.sampled_from("abc")), max_size=12)


@given(_news)
def test_any_spans_drawn_in_any_order_never_overlap(news: list[tuple[int, int | None, str]]) -> None:
    known: list[Span[str]] = []
    for since, until, value in news:
        before = painted(known)
        later = [span.since for span in known if span.since > moment(since)]
        try:
            known = drawn(known, *spans((since, until, value)))
        except ValueError:
            continue
        after = painted(known)
        end = DAYS if until is None else until
        end = min([end, *((each - START).days for each in later)])
        assert after[:since] == before[:since]
        assert after[since:end] == [value] * (end - since)
        if later:
            first = (later[0] - START).days
            assert after[first:] == before[first:]
        assert [span.since for span in known] == sorted({span.since for span in known})
