"""Uses and anti-passback against a model that keeps plain lists, through grants, passages, restarts and nights."""

import tempfile
import uuid
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.access.decision import Decision
from protocols.access_events import DenialReason, GrantReason
from protocols.rules import AntiPassback, Area, DoorGroup, DoorRule, ReaderArea, Rules
from tests.support.deciding import MONDAY_0930, Deciding, card_row, holder
from tests.support.doors import ALWAYS, ZONE

MODES = {"hard": AntiPassback.HARD, "soft": AntiPassback.SOFT, "timed": AntiPassback.TIMED}
PEOPLE = 3
USES = 4
READERS = {"in-hard": "hard", "in-soft": "soft", "in-timed": "timed", "out": None}
RULES = Rules(
    schedules=(ALWAYS,),
    groups=(DoorGroup(id="all", doors=("d1",), schedule="always"),),
    doors=(DoorRule(door="d1", areas=tuple(ReaderArea(reader=name, into=into) for name, into in READERS.items())),),
    areas=tuple(Area(id=name, anti_passback=mode, minutes=10, forgives_at=240) for name, mode in MODES.items()),
)
CARDS = {f"w26:{person}:{kind}": person for person in range(PEOPLE) for kind in (1, 2)}
"""Two cards for each person: the first without limit, the second for four uses."""


def row_of(text: str, person: int) -> object:
    limited = {"uses": USES} if text.endswith(":2") else {}
    return card_row(text, "all", holder=holder(person), ref=uuid.uuid5(uuid.NAMESPACE_DNS, text), **limited)


class Model:
    """Who went where and when, and each use, as lists."""

    def __init__(self) -> None:
        self.moves: list[tuple[int, str | None, datetime]] = []
        self.used: list[str] = []

    def place(self, person: int) -> tuple[str | None, datetime] | None:
        moves = [(area, at) for who, area, at in self.moves if who == person]
        return moves[-1] if moves else None

    def is_inside(self, person: int, area: str, now: datetime) -> bool:
        place = self.place(person)
        if place is None or place[0] != area:
            return False
        four = now.replace(hour=4, minute=0, second=0, microsecond=0)
        last_four = four if four <= now else four - timedelta(days=1)
        if place[1] < last_four:
            return False
        return area != "timed" or now - place[1] < timedelta(minutes=10)


class Doors(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.site = Deciding(Path(self.folder.name))
        self.site.permit(RULES, *(row_of(text, person) for text, person in CARDS.items()))
        self.model = Model()
        self.open: list[tuple[str, str, Decision]] = []

    @rule(card=st.sampled_from(sorted(CARDS)), reader=st.sampled_from(sorted(READERS)))
    def present(self, card: str, reader: str) -> None:
        now, person, area = self.site.clock.at, CARDS[card], READERS[reader]

        decision = self.site.ask(card, reader=reader)

        limited = card.endswith(":2") and area is not None
        expected: DenialReason | GrantReason = GrantReason.VALID
        if limited and self.model.used.count(card) >= USES:
            expected = DenialReason.USED_UP
        elif area is not None and self.model.is_inside(person, area, now):
            is_soft = area == "soft"
            expected = GrantReason.SOFT_ANTI_PASSBACK if is_soft else DenialReason.ANTI_PASSBACK
        elif area is None:
            place = self.model.place(person)
            out_already = place is not None and place[0] is None
            forgiven = out_already and not self._is_since_four(place[1], now)
            expected = GrantReason.SOFT_ANTI_PASSBACK if out_already and not forgiven else GrantReason.VALID
        assert (decision.reason or decision.grant_reason) == expected
        assert decision.granted == isinstance(expected, GrantReason)
        if decision.granted:
            if limited:
                self.model.used.append(card)
            self.open.append((card, reader, decision))

    @staticmethod
    def _is_since_four(at: datetime, now: datetime) -> bool:
        four = now.replace(hour=4, minute=0, second=0, microsecond=0)
        return at >= (four if four <= now else four - timedelta(days=1))

    @rule(passes=st.booleans())
    def door_is_opened_or_not(self, passes: bool) -> None:
        for card, reader, decision in self.open:
            if passes:
                self.site.decider.passed("d1", reader, decision)
                self.model.moves.append((CARDS[card], READERS[reader], datetime.fromtimestamp(decision.at_s, ZONE)))
            else:
                self.site.decider.not_used("d1", reader, decision)
                if decision.spent:
                    self.model.used.remove(card)
        self.open.clear()

    @rule(minutes=st.sampled_from([1, 5, 9, 10, 300, 1200]))
    def time_passes(self, minutes: int) -> None:
        self.door_is_opened_or_not(True)
        self.site.clock.advance(minutes=minutes)

    @rule(area=st.sampled_from([*MODES, None]))
    def forgive(self, area: str | None) -> None:
        self.site.decider.forgive(area)
        kept = self.model.moves
        for person in range(PEOPLE):
            place = self.model.place(person)
            if place is not None and (area is None or place[0] == area):
                kept = [move for move in kept if move[0] != person]
        self.model.moves = kept

    @rule()
    def restart(self) -> None:
        self.site.again()

    @invariant()
    def no_card_is_used_more_often_than_it_may(self) -> None:
        if hasattr(self, "model"):
            assert all(self.model.used.count(card) <= USES for card in CARDS)

    def teardown(self) -> None:
        if hasattr(self, "site"):
            self.site.close()
            self.folder.cleanup()


TestDoors = Doors.TestCase
TestDoors.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
assert MONDAY_0930.tzinfo is ZONE
