"""What a guard sees of a person and a dwelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.live.masking import dwelling_text, masked_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [("张伟", "张*"), ("王", "王*"), ("欧阳娜娜", "欧阳*"), ("欧阳", "欧*"), ("Li Na", "L*"), (" 李 雷 ", "李*")],
)
def test_a_surname_and_a_star_are_shown(name: str, shown: str) -> None:
    assert masked_name(name) == shown


@given(st.text(min_size=3, max_size=40))
def test_no_more_than_two_characters_are_ever_shown(name: str) -> None:
    assert len(masked_name(name)) <= 3
    assert masked_name(name).endswith("*")


def test_a_dwelling_is_told_from_the_building_down_without_repeats() -> None:
    assert dwelling_text(["3栋", "2单元", "501"]) == "3栋 2单元 501"
    assert dwelling_text(["3栋", "3栋2单元", "3栋2单元501"]) == "3栋2单元501"
    assert dwelling_text([None, None]) is None
