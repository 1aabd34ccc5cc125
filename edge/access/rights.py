"""The rules of the policy, laid out for the questions that a decision asks. Values only: nothing here changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge.access.calendar import LocalMinute, WeekSchedule, lay_out
from protocols.access_events import AccessMethod
from protocols.rules import Area, DoorRule, Rules

_ANY = frozenset(DoorRule(door="any").methods)


@dataclass(frozen=True)
class DoorTerms:
    """What a door asks for; the default is a door without a rule."""

    methods: frozenset[AccessMethod] = _ANY
    card_alone: WeekSchedule | None = None
    free: WeekSchedule | None = None
    first_card: WeekSchedule | None = None
    first_card_frees: bool = False
    two_persons: bool = False
    leads: Mapping[str, str | None] = field(default_factory=dict)
    """By reader, the area that who passes there comes into (None: out of every area)."""
    keeps_list: bool = False

    def leads_out(self, reader: str) -> bool:
        """Whether a reader is at a way out."""
        return reader in self.leads and self.leads[reader] is None

    def wants_pin(self, at: LocalMinute) -> bool:
        """Whether a card needs its PIN at this minute."""
        if AccessMethod.CARD_PIN not in self.methods:
            return False
        return self.card_alone is None or not self.card_alone.covers(at)

    def takes(self, method: AccessMethod) -> bool:
        """Whether the door can be opened this way; a card's PIN counts as one way with the card."""
        if method in (AccessMethod.CARD, AccessMethod.CARD_PIN):
            return AccessMethod.CARD in self.methods or AccessMethod.CARD_PIN in self.methods
        return method in self.methods


_NO_TERMS = DoorTerms()


class CompiledRules:
    """Door groups, schedules, doors and areas, by their ids."""

    def __init__(self, rules: Rules) -> None:
        special = {day.day: day.counts_as for day in rules.special_days}
        weeks = {schedule.id: lay_out(schedule, special) for schedule in rules.schedules}
        self._groups = {group.id: (frozenset(group.doors), group.schedule) for group in rules.groups}
        self._doors = {rule.door: _terms(rule, weeks) for rule in rules.doors}
        self.schedules: Mapping[str, WeekSchedule] = weeks
        self.areas: Mapping[str, Area] = {area.id: area for area in rules.areas}

    def terms(self, door: str) -> DoorTerms:
        """What a door asks for."""
        return self._doors.get(door, _NO_TERMS)

    def schedule_ids_at(self, door: str, groups: Iterable[str]) -> list[str]:
        """The schedules under which `groups` open `door`; a group that is not there opens nothing."""
        held = (self._groups.get(group) for group in groups)
        return [entry[1] for entry in held if entry is not None and door in entry[0]]

    def schedules_at(self, door: str, groups: Iterable[str]) -> list[WeekSchedule]:
        """As `schedule_ids_at`, laid out."""
        return [self.schedules[schedule] for schedule in self.schedule_ids_at(door, groups)]

    @property
    def free_doors(self) -> Iterable[tuple[str, WeekSchedule]]:
        """The doors that stand free by a schedule."""
        return ((door, terms.free) for door, terms in self._doors.items() if terms.free is not None)


def _terms(rule: DoorRule, weeks: Mapping[str, WeekSchedule]) -> DoorTerms:
    def week(named: str | None) -> WeekSchedule | None:
        return None if named is None else weeks[named]

    return DoorTerms(
        methods=frozenset(rule.methods),
        card_alone=week(rule.card_alone),
        free=week(rule.free),
        first_card=week(rule.first_card),
        first_card_frees=rule.first_card_frees,
        two_persons=rule.two_persons,
        leads={area.reader: area.into for area in rule.areas},
        keeps_list=rule.keeps_list,
    )
