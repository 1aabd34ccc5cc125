"""What a site says about its cameras' lines and rules, as read from `site.toml`. Values only."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.video.rules.hours import read_hours
from protocols.base import DeviceId
from protocols.camera_events import SceneFault

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
LONGEST_S = 24 * 3600.0


class RuleClass(StrEnum):
    """What a rule can watch for; `vehicle` is everything on wheels."""

    PERSON = "person"
    VEHICLE = "vehicle"
    BICYCLE = "bicycle"
    MOTORCYCLE = "motorcycle"
    CAR = "car"
    BUS = "bus"
    TRUCK = "truck"


WHEELED = frozenset(RuleClass) - {RuleClass.PERSON, RuleClass.VEHICLE}


def classes_meant(classes: Sequence[RuleClass]) -> frozenset[RuleClass]:
    """The classes with `vehicle` spelt out."""
    return frozenset(classes) - {RuleClass.VEHICLE} | (WHEELED if RuleClass.VEHICLE in classes else frozenset())


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LineConfig(_Section):
    """A line in a camera's picture with two directions."""

    id: DeviceId = Field(title="Line", description="The line's name in events, unique within its camera.")
    points: tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]] = Field(
        title="Ends", description="Its two ends as [x, y] in fractions of the frame; nobody crosses it beyond them."
    )
    to_left: DeviceId = Field(
        default="left",
        title="Direction to the left",
        description="Name of the direction of who goes to the left, for somebody who looks from the first end to the "
        "second.",
    )
    to_right: DeviceId = Field(default="right", title="Direction to the right", description="Name of the other one.")
    margin: float = Field(
        default=0.1,
        ge=0.0,
        le=1.0,
        title="Margin",
        description="How far beyond the line, on either side, a thing must be to count as there: a share of its own "
        "height.",
    )

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if self.points[0] == self.points[1]:
            raise ValueError(f'line "{self.id}": points: its two ends are one point')
        if self.to_left == self.to_right:
            raise ValueError(f'line "{self.id}": to_left and to_right need different names')
        return self

    @property
    def directions(self) -> tuple[str, str]:
        return self.to_left, self.to_right


class _Rule(_Section):
    id: DeviceId = Field(title="Rule", description="The rule's name in events, unique within its camera.")
    hours: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        title="Hours",
        description='When it holds, in the site\'s time, such as "mon-fri 22:00-06:00"; always, if left out.',
    )
    cool_down_s: float = Field(
        default=30.0,
        ge=0.0,
        le=LONGEST_S,
        title="Cool-down",
        description="For so long after an event of this rule it tells nothing; what then still holds is told.",
    )

    @field_validator("hours")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        read_hours(value)
        return value

    @property
    def zone_named(self) -> str | None:
        """The zone's id, None: the whole picture."""
        return getattr(self, "zone", None)

    @property
    def line_named(self) -> str | None:
        return getattr(self, "line", None)


class _ZoneRule(_Rule):
    zone: DeviceId | None = Field(
        default=None, title="Zone", description="A zone of this camera; the whole picture, if left out."
    )


class _Classed(_ZoneRule):
    min_s: float = Field(
        default=1.0,
        ge=0.0,
        le=LONGEST_S,
        title="Minimum time",
        description="How long it must have lasted before it is told.",
    )


class ForbiddenRule(_Classed):
    """Nobody may be in the zone, or come over the line, in these hours."""

    kind: Literal["forbidden"]
    line: DeviceId | None = Field(
        default=None, title="Line", description="A line of this camera that nobody may cross, instead of a zone."
    )
    directions: tuple[DeviceId, ...] = Field(
        default=(), max_length=2, title="Directions", description="Of the line; both, if left out."
    )
    classes: tuple[RuleClass, ...] = Field(
        default=(RuleClass.PERSON,), min_length=1, title="Classes", description="Who may not."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.zone is not None and self.line is not None:
            raise ValueError(f'rule "{self.id}": give zone or line, not both')
        if self.directions and self.line is None:
            raise ValueError(f'rule "{self.id}": directions needs a line')
        return self


class LoiteringRule(_Classed):
    """Somebody stays too long."""

    kind: Literal["loitering"]
    min_s: float = Field(
        default=60.0, ge=1.0, le=LONGEST_S, title="Minimum time", description="How long somebody may stay."
    )


class LineCrossingRule(_Rule):
    """Each crossing of a line is told and counted."""

    kind: Literal["line_crossing"]
    line: DeviceId = Field(title="Line", description="A line of this camera.")
    directions: tuple[DeviceId, ...] = Field(
        default=(), max_length=2, title="Directions", description="Those that are told; both, if left out."
    )
    classes: tuple[RuleClass, ...] = Field(
        default=(RuleClass.PERSON, RuleClass.VEHICLE), min_length=1, title="Classes", description="Whose crossings."
    )
    cool_down_s: float = Field(
        default=0.0,
        ge=0.0,
        le=LONGEST_S,
        title="Cool-down",
        description="For so long after an event of this rule crossings are counted and not told.",
    )


class CrowdRule(_Classed):
    """Too many people at once."""

    kind: Literal["crowd"]
    persons: int = Field(default=6, ge=2, le=200, title="Persons", description="How many are a crowd.")
    min_s: float = Field(
        default=10.0, ge=0.0, le=LONGEST_S, title="Minimum time", description="How long they must have been so many."
    )
    cool_down_s: float = Field(
        default=300.0, ge=0.0, le=LONGEST_S, title="Cool-down", description="For so long no second crowd is told."
    )


class TailgatingRule(_ZoneRule):
    """More people come through a door than it let in."""

    kind: Literal["tailgating"]
    door: DeviceId = Field(title="Door", description="A door of this gateway, whose grants are counted.")
    line: DeviceId | None = Field(
        default=None, title="Line", description="A line of this camera that all who come in cross, and few others."
    )
    direction: DeviceId | None = Field(default=None, title="Direction", description="The line's direction inwards.")
    zone: DeviceId | None = Field(
        default=None,
        title="Zone",
        description="Instead of a line, the part of the picture in which people appear who come through the door.",
    )
    readers: tuple[DeviceId, ...] = Field(
        default=(),
        max_length=8,
        title="Readers",
        description="The door's readers that let in; a grant at another is somebody going out. All, if left out.",
    )
    window_s: float = Field(
        default=10.0, ge=1.0, le=120.0, title="Window", description="For so long after a grant its holder may come in."
    )
    min_s: float = Field(
        default=3.0,
        ge=0.0,
        le=60.0,
        title="Minimum time",
        description="So long is waited for a grant that comes after its holder passed, before anything is told.",
    )
    strict_exit: bool = Field(
        default=False,
        title="Exit button excuses nobody",
        description="Also tell who comes in over the line while the door is open for somebody going out.",
    )
    cool_down_s: float = Field(
        default=10.0, ge=0.0, le=LONGEST_S, title="Cool-down", description="People of one such time are one event."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.zone is None) == (self.line is None):
            raise ValueError(f'rule "{self.id}": needs a line, or else a zone')
        if (self.line is None) != (self.direction is None):
            raise ValueError(f'rule "{self.id}": line and direction go together')
        if self.strict_exit and self.line is None:
            raise ValueError(f'rule "{self.id}": strict_exit needs a line, for a zone has no direction')
        return self


class StandingRule(_Classed):
    """A vehicle stands where none may, such as in a fire lane."""

    kind: Literal["standing"]
    min_s: float = Field(
        default=60.0, ge=1.0, le=LONGEST_S, title="Minimum time", description="How long it may stand still."
    )
    classes: tuple[RuleClass, ...] = Field(
        default=(RuleClass.CAR, RuleClass.BUS, RuleClass.TRUCK, RuleClass.MOTORCYCLE),
        min_length=1,
        title="Classes",
        description="Which vehicles.",
    )
    cool_down_s: float = Field(
        default=0.0, ge=0.0, le=LONGEST_S, title="Cool-down", description="For so long no second vehicle is told."
    )


class TwoWheelerRule(_Classed):
    """An e-bike, motorcycle or bicycle in a lift or lobby."""

    kind: Literal["two_wheeler"]
    classes: tuple[RuleClass, ...] = Field(
        default=(RuleClass.BICYCLE, RuleClass.MOTORCYCLE),
        min_length=1,
        title="Classes",
        description="Which ones; an e-bike is seen as a motorcycle or as a bicycle.",
    )


class ObjectLeftRule(_Classed):
    """Something on wheels is put down and nobody stays with it."""

    kind: Literal["object_left"]
    min_s: float = Field(
        default=120.0, ge=1.0, le=LONGEST_S, title="Minimum time", description="How long it may stand alone."
    )
    classes: tuple[RuleClass, ...] = Field(
        default=(RuleClass.BICYCLE, RuleClass.MOTORCYCLE), min_length=1, title="Classes", description="Of what."
    )


class ObjectTakenRule(_Classed):
    """Something on wheels that stood for a while is no longer there."""

    kind: Literal["object_taken"]
    min_s: float = Field(
        default=60.0, ge=1.0, le=LONGEST_S, title="Minimum time", description="How long it must have stood before."
    )
    classes: tuple[RuleClass, ...] = Field(
        default=(RuleClass.BICYCLE, RuleClass.MOTORCYCLE), min_length=1, title="Classes", description="Of what."
    )
    cool_down_s: float = Field(
        default=0.0, ge=0.0, le=LONGEST_S, title="Cool-down", description="For so long no second one is told."
    )


class CameraHealthRule(_Rule):
    """The camera gives pictures, and not those of its scene."""

    kind: Literal["camera_health"]
    faults: tuple[SceneFault, ...] = Field(
        default=tuple(SceneFault), min_length=1, title="Faults", description="Which of them are told."
    )
    min_s: float = Field(
        default=10.0, ge=0.0, le=LONGEST_S, title="Minimum time", description="How long a fault must have lasted."
    )
    learn_s: float = Field(
        default=20.0, ge=2.0, le=3600.0, title="Learning", description="From how long of sound pictures it learns."
    )
    frozen_s: float = Field(
        default=60.0,
        ge=5.0,
        le=LONGEST_S,
        title="Frozen after",
        description="How long the picture must have been the same to the last grey level.",
    )
    cool_down_s: float = Field(
        default=60.0, ge=0.0, le=LONGEST_S, title="Cool-down", description="For so long no second fault is told."
    )


AnyRule = Annotated[
    ForbiddenRule
    | LoiteringRule
    | LineCrossingRule
    | CrowdRule
    | TailgatingRule
    | StandingRule
    | TwoWheelerRule
    | ObjectLeftRule
    | ObjectTakenRule
    | CameraHealthRule,
    Field(discriminator="kind"),
]
RULES: tuple[type[_Rule], ...] = (
    ForbiddenRule,
    LoiteringRule,
    LineCrossingRule,
    CrowdRule,
    TailgatingRule,
    StandingRule,
    TwoWheelerRule,
    ObjectLeftRule,
    ObjectTakenRule,
    CameraHealthRule,
)
KINDS = frozenset(kind for rule in RULES for kind in get_args(rule.model_fields["kind"].annotation))


def reference_faults(
    rules: Sequence[AnyRule], zones: Sequence[str], lines: Sequence[LineConfig]
) -> Iterator[tuple[str, str]]:
    """Where rules name what their camera does not have: the key's path within the camera, and what is wrong."""
    directions = {line.id: line.directions for line in lines}
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            yield f"rule.{index}.id", f'"{rule.id}" is used twice'
        seen.add(rule.id)
        if rule.zone_named is not None and rule.zone_named not in zones:
            yield f"rule.{index}.zone", _unknown(rule.id, "zone", rule.zone_named, zones)
        if rule.line_named is None:
            continue
        if rule.line_named not in directions:
            yield f"rule.{index}.line", _unknown(rule.id, "line", rule.line_named, list(directions))
            continue
        named = [rule.direction] if isinstance(rule, TailgatingRule) else getattr(rule, "directions", ())
        key = "direction" if isinstance(rule, TailgatingRule) else "directions"
        for direction in named:
            if direction not in directions[rule.line_named]:
                there = directions[rule.line_named]
                yield f"rule.{index}.{key}", _unknown(rule.id, f"direction of line {rule.line_named}", direction, there)


def _unknown(rule: str, what: str, named: str | None, there: Sequence[str]) -> str:
    return f'rule "{rule}": there is no {what} "{named}" (there are: {", ".join(there) or "none"})'
