"""Tailgating against grants on real footage: the demo's clip through the whole pipeline; only the cards are made up.

Eight people come westwards over a line. When was read from the pictures, to the second: two who walk together at 5, two
a good second apart at 14 and 16, one at 19.5, one at 23, two together at 25.5. Three doors stand at the same line.
"""

import pytest

from edge.video.replay import Happening
from protocols.camera_events import PersonPassedUnbidden, PersonTailgated
from tests.edge.video.parts import camera
from tests.edge.video.rules.played import GRANTED, of, play
from tests.support.rtsp import CLIPS

COME_S = (5.0, 5.9, 14.1, 16.0, 19.4, 23.0, 25.5, 26.4)
CARD_BEFORE_S = 1.0
MIN_S = 2.0
SEEN_WITHIN_S = 0.7
LINE = {"id": "l-road", "points": [[0.7, 0.9], [0.7, 0.1]], "to_left": "in", "to_right": "out"}
WHO_HAS_A_CARD = {
    "d-all": COME_S,
    "d-one-of-two": (5.0, 14.1, 19.4, 23.0, 25.5),
    "d-nobody": (),
}


@pytest.fixture(scope="module")
def happened() -> list[Happening]:
    """What the three doors' rules tell of the clip."""
    common = {"kind": "tailgating", "line": "l-road", "direction": "in", "window_s": 4.0, "min_s": MIN_S}
    rules = [{"id": f"r{door[1:]}", "door": door, "cool_down_s": 0.0, **common} for door in WHO_HAS_A_CARD]
    news = [(at_s - CARD_BEFORE_S, door, GRANTED) for door, comes_s in WHO_HAS_A_CARD.items() for at_s in comes_s]
    return play(CLIPS / "gate-east.mp4", camera(line=[LINE], rule=rules), news)


def after(*times_s: float) -> list[object]:
    """When an event about those who came at these times is told: not before their cards could have come."""
    return [pytest.approx(at_s + MIN_S, abs=SEEN_WITHIN_S) for at_s in times_s]


def test_eight_with_eight_cards_are_nothing(happened: list[Happening]) -> None:
    assert of(happened, PersonTailgated, "r-all") == of(happened, PersonPassedUnbidden, "r-all") == []


def test_who_walks_in_with_another_on_one_card_is_told_with_the_count(happened: list[Happening]) -> None:
    told = of(happened, PersonTailgated, "r-one-of-two")
    assert [at_s for at_s, _ in told] == after(5.9, 16.0, 26.4)
    counts = [(each.persons, each.grants) for _, each in told]
    assert counts == [(2, 1), (2, 1), (3, 2)], "within the last window three came and two had a card"
    assert of(happened, PersonPassedUnbidden, "r-one-of-two") == []


def test_the_first_of_them_is_since_when(happened: list[Happening]) -> None:
    since = [told.since.timestamp() for _, told in of(happened, PersonTailgated, "r-one-of-two")]
    assert since == [pytest.approx(at_s, abs=SEEN_WITHIN_S) for at_s in (5.0, 14.1, 23.0)]


def test_without_a_card_everybody_is_told(happened: list[Happening]) -> None:
    told = of(happened, PersonPassedUnbidden, "r-nobody")
    assert [at_s for at_s, _ in told] == after(*COME_S)
    assert {(each.persons, each.grants) for _, each in told} == {(1, 0)}
