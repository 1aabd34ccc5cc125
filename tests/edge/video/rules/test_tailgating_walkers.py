"""Tailgating against grants: two real walkers, cut out of the demo's clip, come over a line as the test has them come.

The clip is drawn and encoded anew, H.264, and goes through the whole pipeline with our detector. One door; each episode
begins when the grants of the one before it have run out.
"""

import pytest

from edge.video.replay import Happening
from protocols.camera_events import PersonPassedUnbidden, PersonTailgated
from tests.edge.video.parts import camera, write_clip
from tests.edge.video.rules.played import GRANTED, of, play
from tests.edge.video.rules.walkers import RATE, Walk, behind_s, on_the_road, walkers

ALONE_S, A_SECOND_S, FOUR_SECONDS_S, TWO_CARDS_S, ABREAST_S, CLOSE_S, NO_CARD_S, END_S = 9, 17, 25, 36, 44, 52, 60, 66
"""When the first of each episode passes the line."""
WINDOW_S, MIN_S = 5.0, 2.0
GRANTS_S = (
    *(ALONE_S - 1.5, A_SECOND_S - 1.5, FOUR_SECONDS_S - 0.5, TWO_CARDS_S - 1.5, TWO_CARDS_S + 0.5),
    *(ABREAST_S - 1.5, CLOSE_S - 1.5),
)
SEEN_WITHIN_S = 0.6
"""From the foot on the line to the look that finds it a tenth of a body height beyond, and a look more."""
LINE = {"id": "l-door", "points": [[0.5, 1.0], [0.5, 0.3]], "to_left": "in", "to_right": "out"}
RULE = {
    **{"id": "r-door", "kind": "tailgating", "door": "d-east", "line": "l-door", "direction": "in"},
    **{"window_s": WINDOW_S, "min_s": MIN_S, "cool_down_s": 3.0},
}


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> list[Happening]:
    """What is told of all episodes."""
    one, other = walkers()
    walks = [
        Walk(one, ALONE_S),
        *(Walk(one, A_SECOND_S), Walk(other, A_SECOND_S + 1.0)),
        *(Walk(one, FOUR_SECONDS_S), Walk(other, FOUR_SECONDS_S + 4.0)),
        *(Walk(one, TWO_CARDS_S), Walk(other, TWO_CARDS_S + 1.0)),
        *(Walk(one, ABREAST_S), Walk(other, ABREAST_S + behind_s(0.5), nearer=0.25)),
        *(Walk(one, CLOSE_S), Walk(other, CLOSE_S + behind_s(1.0))),
        Walk(one, NO_CARD_S),
    ]
    path = tmp_path_factory.mktemp("walkers") / "door.mp4"
    clip = write_clip(path, lambda i: on_the_road(walks, i / RATE), END_S * RATE, RATE)
    return play(clip, camera(line=[LINE], rule=[RULE]), [(at_s, "d-east", GRANTED) for at_s in GRANTS_S])


def told_between(happened: list[Happening], since_s: float, until_s: float) -> list[tuple[float, PersonTailgated]]:
    return [
        told
        for kind in (PersonTailgated, PersonPassedUnbidden)
        for told in of(happened, kind)
        if since_s < told[0] < until_s
    ]


def test_one_on_one_grant_is_nothing(happened: list[Happening]) -> None:
    assert told_between(happened, 0.0, A_SECOND_S) == []


@pytest.mark.parametrize(
    ("first_s", "behind"),
    [
        (A_SECOND_S, 1.0),
        (FOUR_SECONDS_S, 4.0),
        (ABREAST_S, behind_s(0.5)),
        (CLOSE_S, behind_s(1.0)),
    ],
    ids=["a second behind", "four seconds behind", "side by side", "a body's width behind"],
)
def test_two_on_one_grant_are_told_when_the_second_s_card_would_have_come(
    happened: list[Happening], first_s: float, behind: float
) -> None:
    [(at_s, told)] = told_between(happened, first_s, first_s + 8.0)
    assert isinstance(told, PersonTailgated)
    assert (told.door, told.persons, told.grants) == ("d-east", 2, 1)
    assert 0.0 < at_s - (first_s + behind + MIN_S) <= SEEN_WITHIN_S
    assert 0.0 < told.since.timestamp() - first_s <= SEEN_WITHIN_S, "when the first of them came in"
    assert told.box.left < 0.5, "the one who came in last, beyond the line"


def test_two_on_two_grants_are_nothing(happened: list[Happening]) -> None:
    assert told_between(happened, TWO_CARDS_S, ABREAST_S) == []


def test_one_with_no_grant_passed_without_a_credential(happened: list[Happening]) -> None:
    [(at_s, told)] = told_between(happened, NO_CARD_S, END_S)
    assert isinstance(told, PersonPassedUnbidden)
    assert (told.persons, told.grants) == (1, 0)
    assert 0.0 < at_s - (NO_CARD_S + MIN_S) <= SEEN_WITHIN_S


def test_each_is_told_once_with_a_picture(happened: list[Happening]) -> None:
    assert len(told_between(happened, 0.0, END_S + 1.0)) == 5
    assert all(each.picture is not None for each in happened if isinstance(each.data, PersonTailgated))
