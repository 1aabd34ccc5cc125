"""What a rule is. It is stored as data, in versions, and checked here before it is.

A rule looks at events and at the state of devices. It cannot name a service category, a person or anything else of the
register's personal data: there is no field for it, unknown fields are refused, and the fields of events that `where`
may name are those of the contract, which hold none. The care rule (`NoPassage`) looks at agreements that people gave.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cloud.alarms.states import Audience, Level, Priority
from protocols.access_events import AccessDenied, AccessGranted
from protocols.event_data import EventData
from protocols.events import EVENT_TYPES

RuleCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Title = Annotated[str, StringConstraints(min_length=1, max_length=80)]
EventType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*(\.[a-z][a-z_]*)+\.v[1-9][0-9]*$", max_length=80)]
Delay = Annotated[float, Field(ge=0, le=30 * 86400)]
Window = Annotated[float, Field(gt=0, le=7 * 86400)]


class KeyPart(StrEnum):
    """What of an event tells one cause from another, beside the rule."""

    GATEWAY = "gateway"
    SUBJECT = "subject"
    """The device, with its gateway."""
    CREDENTIAL = "credential"
    DWELLING = "dwelling"


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Values):
    """Events of these types whose data has, for each field of `where`, one of the values."""

    types: Annotated[tuple[EventType, ...], Field(min_length=1, max_length=20)]
    where: dict[str, tuple[str | bool | int, ...]] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in self.types:
            kind = EVENT_TYPES.get(name)
            if kind is None:
                raise ValueError(f"{name} is no type of event; docs/contract.md lists them")
            for field, values in self.where.items():
                _check_field(kind, field, values)
        return self

    def fits(self, event_type: str, data: dict[str, Any]) -> bool:
        """Whether an event is one of these; a field that is missing has its default's value."""
        if event_type not in self.types:
            return False
        kind = EVENT_TYPES[event_type]
        return all(data.get(field, _default(kind, field)) in values for field, values in self.where.items())


class OnEvent(_Values):
    """Each such event is a finding. `ends` says that its cause is over; without it, it ends by the off-delay."""

    kind: Literal["event"] = "event"
    begins: Match
    ends: tuple[Match, ...] = ()
    per: Annotated[tuple[KeyPart, ...], Field(min_length=1)] = (KeyPart.SUBJECT,)

    @model_validator(mode="after")
    def _ends_where_it_began(self) -> Self:
        if self.ends and self.per != (KeyPart.SUBJECT,):
            raise ValueError("per: what events end is told apart by subject, the device that tells both")
        return self


class Repeated(_Values):
    """`times` such events with the same `per` within `within_s`."""

    kind: Literal["repeated"] = "repeated"
    begins: Match
    times: Annotated[int, Field(ge=2, le=1000)]
    within_s: Window
    per: Annotated[tuple[KeyPart, ...], Field(min_length=1)] = (KeyPart.SUBJECT,)

    @model_validator(mode="after")
    def _countable(self) -> Self:
        if not set(self.per) <= {KeyPart.SUBJECT, KeyPart.GATEWAY}:
            raise ValueError("per: repeats are counted by subject or by gateway")
        return self


class TwoPlaces(_Values):
    """One credential let in at doors of two gateways within `within_s`: nobody is that fast."""

    kind: Literal["two_places"] = "two_places"
    within_s: Window


class RevokedCredential(_Values):
    """A credential is presented that the register had revoked by then, and is refused; with `let_in`: opens a door."""

    kind: Literal["revoked_credential"] = "revoked_credential"
    let_in: bool = False


class GatewaySilent(_Values):
    """A gateway is not connected. Its doors and cameras are part of that and raise nothing of their own meanwhile."""

    kind: Literal["gateway_silent"] = "gateway_silent"


class ClockWrong(_Values):
    """A gateway says of its clock that it is not synchronised."""

    kind: Literal["clock_wrong"] = "clock_wrong"


class ChannelFailing(_Values):
    """A notification channel has sent nothing since it began to fail."""

    kind: Literal["channel_failing"] = "channel_failing"


class NoPassage(_Values):
    """Somebody who lives alone, and agreed to it, has not passed a door for longer than agreed.

    The hours are the agreement's; this is the only rule about a person, and it knows nothing but the agreement.
    """

    kind: Literal["no_passage"] = "no_passage"


class TenancyEnds(_Values):
    """A tenant's or lodger's residency ends within `days`."""

    kind: Literal["tenancy_ends"] = "tenancy_ends"
    days: Annotated[int, Field(ge=1, le=90)]


class Occupancy(_Values):
    """More credentials come and go for a dwelling than people are registered there: at least `above` more of them, each
    on `on_days` of the last `of_days` days."""

    kind: Literal["occupancy"] = "occupancy"
    above: Annotated[int, Field(ge=1, le=100)]
    on_days: Annotated[int, Field(ge=1, le=31)]
    of_days: Annotated[int, Field(ge=1, le=31)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.on_days > self.of_days:
            raise ValueError("on_days is no more than of_days")
        return self


ByEvent = OnEvent | Repeated | TwoPlaces | RevokedCredential
BySurvey = GatewaySilent | ClockWrong | ChannelFailing | NoPassage | TenancyEnds | Occupancy
When = Annotated[ByEvent | BySurvey, Field(discriminator="kind")]


class Rule(_Values):
    """One rule. `on_delay_s`: for how long its cause must hold before there is an alarm. `off_delay_s`: how long the
    cause must be away before the alarm counts as cleared; for causes that nothing ends, how long after the last one."""

    code: RuleCode
    enabled: bool = True
    title: Title
    title_zh: Title
    priority: Priority
    audience: Audience = Audience.DUTY
    first_level: Level = Level.GUARD
    on_delay_s: Delay = 0.0
    off_delay_s: Delay = 60.0
    part_of_gateway: bool = False
    """Whether its cause is explained by the loss of the gateway, and then raises nothing of its own."""
    when: When

    @model_validator(mode="after")
    def _care_for_care(self) -> Self:
        if isinstance(self.when, NoPassage) and self.audience is not Audience.UNIT_HEAD:
            raise ValueError("audience: whom someone agreed to be looked after by is the unit's head: unit_head")
        return self

    @property
    def event_types(self) -> frozenset[str]:
        """The types of events that it has to look at."""
        match self.when:
            case OnEvent():
                return frozenset(self.when.begins.types).union(*(match.types for match in self.when.ends))
            case Repeated():
                return frozenset(self.when.begins.types)
            case TwoPlaces():
                return frozenset({AccessGranted.TYPE})
            case RevokedCredential():
                return frozenset({AccessGranted.TYPE if self.when.let_in else AccessDenied.TYPE})
            case _:
                return frozenset()


def event_types_of(rules: Sequence[Rule]) -> frozenset[str]:
    """The types that the rules in force look at."""
    return frozenset().union(*(rule.event_types for rule in rules if rule.enabled))


def _check_field(kind: type[EventData], field: str, values: Sequence[str | bool | int]) -> None:
    known = kind.model_fields.get(field)
    if known is None:
        raise ValueError(f"{kind.TYPE} has no field {field!r}; it has {', '.join(kind.model_fields)}")
    if isinstance(known.annotation, type) and issubclass(known.annotation, StrEnum):
        allowed: set[Any] = {each.value for each in known.annotation}
    elif known.annotation is bool:
        allowed = {True, False}
    else:
        raise ValueError(f"{field!r} of {kind.TYPE} is no choice between words, so a rule cannot ask for it")
    if wrong := [value for value in values if value not in allowed]:
        raise ValueError(f"{field!r} of {kind.TYPE} is never {wrong[0]!r}")


def _default(kind: type[EventData], field: str) -> Any:
    known = kind.model_fields.get(field)
    return None if known is None or known.is_required() else known.default


KINDS: tuple[type[BaseModel], ...] = (*get_args(ByEvent), *get_args(BySurvey))
