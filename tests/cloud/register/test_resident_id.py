"""Resident identity numbers: check character and date decide, the division does not."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.resident_id import BadResidentId, check_character, parse

ANSHUN = "520402199003071232"
"""Of a person of Anshun born before 2000, which a common library refuses for its division."""


def test_a_number_is_read_with_its_birth_and_division() -> None:
    found = parse(" 520402 19900307 1232 ")
    assert (found.text, found.birth, found.division) == (ANSHUN, date(1990, 3, 7), "520402")
    assert ANSHUN not in repr(found)


def test_a_known_number_that_ends_in_x() -> None:
    assert parse("11010519491231002x").text == "11010519491231002X"  # the example of GB 11643-1999


@pytest.mark.parametrize("text", ["", "123", "５２０４０２１９９００３０７１２３２", ANSHUN + "0", ANSHUN[:17] + "Y"])
def test_what_is_no_number_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadResidentId) as caught:
        parse(text)
    assert not text or text not in str(caught.value)


def test_a_date_that_does_not_exist_is_refused() -> None:
    body = "52040219900230123"
    with pytest.raises(BadResidentId, match="date of birth"):
        parse(body + check_character(body))


@given(place=st.integers(0, 16), digit=st.integers(1, 9))
def test_any_one_wrong_digit_is_found(place: int, digit: int) -> None:
    wrong = (int(ANSHUN[place]) + digit) % 10
    with pytest.raises(BadResidentId):
        parse(ANSHUN[:place] + str(wrong) + ANSHUN[place + 1 :])


@given(place=st.integers(0, 16))
def test_two_neighbours_changed_round_are_found(place: int) -> None:
    swapped = ANSHUN[:place] + ANSHUN[place + 1] + ANSHUN[place] + ANSHUN[place + 2 :]
    if swapped != ANSHUN:
        with pytest.raises(BadResidentId):
            parse(swapped)
