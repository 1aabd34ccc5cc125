"""Tailgating against grants: two real walkers, cut out of the demo's clip, come in as the test has them come.

The clip is drawn and encoded anew, H.264, and goes through the whole pipeline with our detector. One door, watched by a
rule with a line and by one with a zone; each episode begins when the grants of the one before it have run out.
"""

import pytest

from edge.video.replay import Happening
from protocols.camera_events import PersonPassedUnbidden, PersonTailgated
from protocols.event_data import EventData
from tests.edge.video.parts import camera, write_clip
from tests.edge.video.rules.played import GRANTED, of, play
from tests.edge.video.rules.walkers import RATE, Walk, behind_s, on_the_road, walkers

ALONE_S, A_SECOND_S, FOUR_SECONDS_S, TWO_CARDS_S, ABREAST_S, CLOSE_S = 9, 17, 25, 36, 44, 52
NO_CARD_S, GHOST_S, END_S = 59, 66, 72
"""When the first of each episode passes the line."""
WINDOW_S, MIN_S = 5.0, 2.0
GRANTS_S = (
    *(ALONE_S - 1.5, A_SECOND_S - 1.5, FOUR_SECONDS_S - 0.5, TWO_CARDS_S - 1.5, TWO_CARDS_S + 0.5),
    *(ABREAST_S - 1.5, CLOSE_S - 1.5, GHOST_S - 2.0, GHOST_S - 1.5),
)
LINE = {"id": "l-door", "points": [[0.5, 1.0], [0.5, 0.3]], "to_left": "in", "to_right": "out"}
ZONE = {"id": "z-door", "polygon": [[0.62, 0.3], [1.0, 0.3], [1.0, 1.0], [0.62, 1.0]], "classes": []}
RULES = [
    {"id": f"r-{where}", "kind": "tailgating", "door": "d-east", "window_s": WINDOW_S, "min_s": MIN_S, **place}
    for where, place in (("line", {"line": "l-door", "direction": "in"}), ("zone", {"zone": "z-door"}))
]
SEEN = {"r-line": (0.0, 0.6), "r-zone": (-2.6, -1.4)}
"""When somebody counts as come in, after the moment of passing the line. By the line: a tenth of a body height beyond
it, and at most two looks later. In the zone, where people appear at the picture's edge: three looks from there."""


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
        *(Walk(one, GHOST_S), Walk(other, GHOST_S + behind_s(0.6))),
    ]
    path = tmp_path_factory.mktemp("walkers") / "door.mp4"
    clip = write_clip(path, lambda i: on_the_road(walks, i / RATE), END_S * RATE, RATE)
    rules = [{**rule, "cool_down_s": 3.0} for rule in RULES]
    return play(clip, camera(zone=[ZONE], line=[LINE], rule=rules), [(at_s, "d-east", GRANTED) for at_s in GRANTS_S])


def told_of(happened: list[Happening], rule: str, begin_s: float, end_s: float) -> list[tuple[float, EventData]]:
    """What a rule tells of those who pass the line between two moments."""
    told = [*of(happened, PersonTailgated, rule), *of(happened, PersonPassedUnbidden, rule)]
    earliest_s = SEEN[rule][0] + MIN_S
    return [(at_s, data) for at_s, data in told if begin_s + earliest_s <= at_s < end_s + earliest_s]


@pytest.mark.parametrize("rule", SEEN)
@pytest.mark.parametrize(
    ("begin_s", "end_s"), [(ALONE_S, A_SECOND_S), (TWO_CARDS_S, ABREAST_S)], ids=["one on one", "two on two"]
)
def test_as_many_as_there_are_grants_are_nothing(
    happened: list[Happening], rule: str, begin_s: float, end_s: float
) -> None:
    assert told_of(happened, rule, begin_s, end_s) == []


@pytest.mark.parametrize("rule", SEEN)
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
    happened: list[Happening], rule: str, first_s: float, behind: float
) -> None:
    earliest_s, latest_s = SEEN[rule]
    [(at_s, told)] = told_of(happened, rule, first_s, first_s + 7.0)
    assert isinstance(told, PersonTailgated)
    assert (told.door, told.persons, told.grants) == ("d-east", 2, 1)
    assert earliest_s <= at_s - (first_s + behind + MIN_S) <= latest_s
    assert earliest_s <= told.since.timestamp() - first_s <= latest_s, "when the first of them came in"


@pytest.mark.parametrize("rule", SEEN)
def test_one_with_no_grant_passed_without_a_credential(happened: list[Happening], rule: str) -> None:
    earliest_s, latest_s = SEEN[rule]
    [(at_s, told)] = told_of(happened, rule, NO_CARD_S, GHOST_S)
    assert isinstance(told, PersonPassedUnbidden)
    assert (told.persons, told.grants) == (1, 0)
    assert earliest_s <= at_s - (NO_CARD_S + MIN_S) <= latest_s


@pytest.mark.parametrize("rule", SEEN)
def test_the_detector_s_box_between_two_who_walk_close_together_is_no_third(
    happened: list[Happening], rule: str
) -> None:
    assert told_of(happened, rule, GHOST_S, END_S) == []


def test_each_is_told_once_by_each_rule_with_a_picture(happened: list[Happening]) -> None:
    told = [each for each in happened if isinstance(each.data, (PersonTailgated, PersonPassedUnbidden))]
    assert len(told) == 2 * 5
    assert all(each.picture is not None for each in told)
