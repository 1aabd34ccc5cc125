"""Receipts name exactly what was stored: against a slow reference that lists every number."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.receipts import MAX_RANGES, Receipt

STREAM = UUID(int=7)


@given(st.sets(st.integers(1, 60)), st.integers(0, 70))
def test_a_receipt_covers_what_it_names_and_nothing_else(stored: set[int], asked: int) -> None:
    upto = 0
    while upto + 1 in stored:
        upto += 1
    also: list[tuple[int, int]] = []
    for seq in sorted(number for number in stored if number > upto):
        if also and also[-1][1] == seq - 1:
            also[-1] = (also[-1][0], seq)
        else:
            also.append((seq, seq))
    receipt = Receipt(stream=STREAM, upto=upto, also=tuple(also))
    assert Receipt.model_validate_json(receipt.model_dump_json()) == receipt
    assert receipt.covers(asked) == (asked == 0 or asked in stored)


@pytest.mark.parametrize("also", [((3, 2),), ((1, 4),), ((4, 6), (6, 8)), ((8, 9), (4, 5)), ((-2, -1),)])
def test_ranges_that_do_not_rise_are_refused(also: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValidationError):
        Receipt(stream=STREAM, upto=2, also=also)


def test_a_receipt_is_bounded() -> None:
    many = tuple((number * 2, number * 2) for number in range(1, MAX_RANGES + 2))
    with pytest.raises(ValidationError):
        Receipt(stream=STREAM, upto=0, also=many)
    assert len(Receipt(stream=STREAM, upto=0, also=many[:-1]).also) == MAX_RANGES
