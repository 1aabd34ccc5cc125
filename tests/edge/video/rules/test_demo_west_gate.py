"""The demo's tailgating: its clip through the whole pipeline by its own rules, against the cards that it presents.

How long after the server sends it the gateway sees a picture hangs on what else the machine does, so the same people
are also judged against cards that come sooner.
"""

import tomllib

import pytest

from edge.video.replay import Happening
from gatehouse.demo.camera_rules import EAST, EAST_CLIP, RESIDENTS_COME_S, rule_lines
from gatehouse.demo.layout import BOARD_DOOR
from protocols.camera_events import PersonPassedUnbidden, PersonTailgated
from tests.edge.video.parts import camera
from tests.edge.video.rules.played import GRANTED, of, play
from tests.support.rtsp import CLIPS

RULE = "r-west"
SOONER_S = (0.0, 1.5, 3.0, 4.0)


@pytest.fixture(scope="module")
def happened() -> list[Happening]:
    """What the rule tells, and its copies for doors at which the cards come sooner."""
    [drawing] = tomllib.loads("\n".join(("[[camera]]", *rule_lines(EAST))))["camera"]
    [rule] = [each for each in drawing["rule"] if each["id"] == RULE]
    assert rule["door"] == BOARD_DOOR.id
    copies = [rule | {"id": f"{RULE}{number}", "door": f"{BOARD_DOOR.id}{number}"} for number in range(len(SOONER_S))]
    news = [
        (at_s - sooner_s, f"{BOARD_DOOR.id}{number}", GRANTED)
        for number, sooner_s in enumerate(SOONER_S)
        for at_s in RESIDENTS_COME_S
    ]
    return play(CLIPS / EAST_CLIP, camera(EAST, **drawing | {"rule": copies}), news)


@pytest.mark.parametrize("number", range(len(SOONER_S)))
def test_on_each_card_somebody_comes_in_with_its_holder(happened: list[Happening], number: int) -> None:
    told = of(happened, PersonTailgated, f"{RULE}{number}")
    assert len(told) >= len(RESIDENTS_COME_S)
    assert {each.grants for _, each in told} == {1}
    for card_s in RESIDENTS_COME_S:
        assert any(card_s < at_s < card_s + 8 for at_s, _ in told), f"on the card at {card_s} s"


def test_some_come_in_with_no_card_at_all(happened: list[Happening]) -> None:
    assert of(happened, PersonPassedUnbidden, f"{RULE}1")
