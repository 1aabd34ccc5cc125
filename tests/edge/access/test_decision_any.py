"""Whatever is presented, wherever and however the door stands: a decision comes, and it holds together."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.access.decision import Need
from edge.access.presentations import Card, CardAndPin, Code, DoorStanding, Number, Pin, Plate
from protocols.access_events import DenialReason, DoorMode, GrantReason
from protocols.cards import CardFormat, CardNumber, parse_text
from protocols.rules import AntiPassback, Area, DoorGroup, DoorRule, ReaderArea, Rules
from tests.support.deciding import Deciding, card_row, code, holder, pin_row, plate_row, token
from tests.support.doors import ALWAYS, NEVER

WAYS = (ReaderArea(reader="in", into="yard"), ReaderArea(reader="out"))
RULES = Rules(
    schedules=(ALWAYS, NEVER),
    groups=(DoorGroup(id="all", doors=("d1", "d2", "d3"), schedule="always"),),
    doors=(
        DoorRule(door="d1", methods=("card_pin", "qr"), areas=WAYS, free="never"),
        DoorRule(door="d2", two_persons=True, first_card="always"),
    ),
    areas=(Area(id="yard", anti_passback=AntiPassback.HARD),),
)
KNOWN = [
    Number(parse_text("w26:1:1")),
    Number(parse_text("w26:1:2")),
    CardAndPin(Number(parse_text("w26:1:1")), "2468"),
    CardAndPin(Number(parse_text("w26:1:1")), None),
    Plate("贵G12345"),
    code(token(doors=("d1", "d2"))),
]
cards = st.builds(Card, st.binary(max_size=40), st.integers(-5, 400))
numbers = st.builds(
    Number,
    st.builds(CardNumber, st.sampled_from(CardFormat), st.integers(0, 99), st.integers(0, 99), st.integers(1, 99)),
)
texts = st.text(st.characters(), max_size=30)
shown = st.one_of(
    cards,
    numbers,
    st.builds(Pin, texts | st.from_regex(r"[0-9]{3,9}", fullmatch=True)),
    st.builds(CardAndPin, cards | numbers, st.none() | texts),
    st.builds(Code, texts | st.builds("GQ1.{}.hub.{}".format, texts, texts)),
    st.builds(Plate, texts),
    st.sampled_from(KNOWN),
)
standings = st.builds(DoorStanding, st.sampled_from(DoorMode), st.booleans(), st.booleans())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Deciding]:
    made = Deciding(tmp_path)
    made.permit(
        RULES,
        card_row("w26:1:1", "all", pin="2468", holder=holder(1), uses=50),
        card_row("w26:1:2", "gone", offline_s=0),
        pin_row("2468", "all", duress=True),
        plate_row("贵G12345", "all", first=True),
    )
    yield made
    made.close()


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    presented=shown,
    door=st.sampled_from(["d1", "d2", "d3", "d9"]),
    reader=st.sampled_from(["in", "out", "none"]),
    standing=standings,
    passes=st.booleans(),
    jump=st.none() | st.floats(-1e9, 1e9),
)
def test_a_decision_always_comes_and_holds_together(
    site: Deciding,
    presented: object,
    door: str,
    reader: str,
    standing: DoorStanding,
    passes: bool,
    jump: float | None,
) -> None:
    if jump is None:
        site.decider.clock_settled()
    else:
        site.decider.clock_jumped(jump)

    decision = site.ask(presented, door, reader, standing)

    after = site.decider.passed if passes else site.decider.not_used
    after(door, reader, decision)
    site.clock.advance(seconds=7)
    assert decision.granted == (decision.reason is None)
    assert not (decision.granted and decision.needs)
    assert (decision.needs is Need.PIN) <= (decision.reason is DenialReason.PIN_MISSING)
    is_free = standing.mode is DoorMode.FREE and not standing.lockdown
    is_way_out = (door, reader) == ("d1", "out")
    if is_free:
        assert (decision.granted, decision.grant_reason) == (True, GrantReason.FREE_PASSAGE)
    elif is_way_out and decision.credential is not None and not standing.interlocked:
        assert decision.granted
    elif not is_way_out and (standing.lockdown or standing.mode is DoorMode.LOCKED or standing.interlocked):
        assert not decision.granted
