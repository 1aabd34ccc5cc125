"""Which value something has from when until when: spans that never overlap, and what a new one does to them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

_V = TypeVar("_V")


@dataclass(frozen=True)
class Span(Generic[_V]):
    """`value` holds from `since` (inclusive) until `until` (exclusive); None: until further notice."""

    since: datetime
    until: datetime | None
    value: _V


class SpansOverlap(ValueError):
    """A span that cannot be taken in without cutting another one in two or reaching into a later one."""


def drawn(known: Sequence[Span[_V]], new: Span[_V]) -> list[Span[_V]]:
    """The spans after `new` was drawn into them; both are in order of time.

    A span that begins when `new` does is corrected. An earlier one that reaches into `new` ends where `new` begins. A
    span without an end lasts until the next one begins. What says nothing new changes nothing.

    Raises:
        SpansOverlap: if `new` ends within an earlier span that has an end, or after a later one begins.
        ValueError: if it ends before it begins.
    """
    if new.until is not None and new.until <= new.since:
        raise ValueError("it ends before it begins")
    earlier = [span for span in known if span.since < new.since]
    later = [span for span in known if span.since > new.since]
    if later and new.until is not None and new.until > later[0].since:
        raise SpansOverlap(f"another one begins on {_day(later[0].since, new)}, before this one ends")
    if later and new.until is None:
        new = replace(new, until=later[0].since)
    last = earlier[-1] if earlier else None
    if last is None or (last.until is not None and last.until <= new.since):
        return [*earlier, new, *later]
    if (last.value, last.until) == (new.value, new.until):
        return list(known)
    if last.until is not None and new.until is not None and new.until < last.until:
        raise SpansOverlap(f"it lies within another one, from {_day(last.since, new)} until {_day(last.until, new)}")
    return [*earlier[:-1], replace(last, until=new.since), new, *later]


def _day(moment: datetime, new: Span[_V]) -> str:
    """The day of a moment where the new span is told."""
    return f"{moment.astimezone(new.since.tzinfo):%Y-%m-%d}"
