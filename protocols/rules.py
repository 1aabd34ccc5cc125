"""The rules of a gateway's doors: schedules, holidays, door groups, and what each door asks for. Part of the policy.

Fields that are marked "format 2" are left out for a gateway that reads policy format 1.
"""

import hashlib
import json
from datetime import date
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from protocols.access_events import BIOMETRIC_METHODS, AccessMethod
from protocols.base import DeviceId, Message

RuleId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Minute = Annotated[int, Field(ge=0, le=24 * 60)]


class Weekday(IntEnum):
    """ISO 8601 weekday numbers less one, as `datetime.weekday()` gives them, and the days of the holiday calendar."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6
    HOLIDAY = 7
    """Format 2: a public holiday, in a schedule that heeds them."""


class Interval(Message):
    """A span of a weekday, in minutes after local midnight; `until` itself is outside, and 1440 is the day's end."""

    weekday: Weekday
    since: Minute
    until: Minute

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.since >= self.until:
            raise ValueError("an interval must end after it begins; split one that crosses midnight")
        return self


class Schedule(Message):
    """A week, in the time zone of the gateway's site."""

    id: RuleId
    intervals: Annotated[tuple[Interval, ...], Field(max_length=200)]
    heeds_holidays: bool = False
    """Format 2: on a public holiday the intervals of `HOLIDAY` hold, and on a make-up workday (调休) those of the
    weekday that it stands for. Without it holidays are days as others."""


class SpecialDay(Message):
    """Format 2: a day that the State Council's yearly notice sets apart: a holiday, or a workday in its stead."""

    day: date
    counts_as: Weekday
    """`HOLIDAY`, or for a make-up workday the weekday whose hours hold."""


class DoorGroup(Message):
    """Doors that are granted together, during one schedule."""

    id: RuleId
    doors: Annotated[tuple[DeviceId, ...], Field(max_length=1000)]
    schedule: RuleId


class AntiPassback(StrEnum):
    """What happens to somebody who comes in twice without having gone out."""

    OFF = "off"
    SOFT = "soft"
    """Let in, and told."""
    HARD = "hard"
    """Refused."""
    TIMED = "timed"
    """Refused for some minutes after the last entry."""


class Area(Message):
    """Format 2: a part of the site that is entered and left through readers."""

    id: RuleId
    anti_passback: AntiPassback = AntiPassback.OFF
    minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 10
    """Of timed anti-passback."""
    forgives_at: Annotated[int, Field(ge=0, lt=24 * 60)] | None = 4 * 60
    """The minute after local midnight at which it is forgotten who is where; None: never by itself."""


class ReaderArea(Message):
    """Format 2: who passes at this reader comes into this area (None: out of every area)."""

    reader: DeviceId
    into: RuleId | None = None


_ANY = (AccessMethod.CARD, AccessMethod.PIN, AccessMethod.QR, AccessMethod.PLATE, AccessMethod.FACE)


class DoorRule(Message):
    """Format 2: what a door asks for. A door without a rule takes any credential that has a right there."""

    door: DeviceId
    methods: Annotated[tuple[AccessMethod, ...], Field(min_length=1, max_length=len(AccessMethod))] = _ANY
    """Each opens by itself. `card_pin` and `card` together: the PIN is asked for outside `card_alone`."""
    card_alone: RuleId | None = None
    """The schedule in which a card needs no PIN, at a door with `card_pin`."""
    free: RuleId | None = None
    """The schedule in which the door stands free."""
    first_card: RuleId | None = None
    """The schedule in which nobody but holders of a first card gets in until one of these came; then, for the rest of
    that interval, others do."""
    first_card_frees: bool = False
    """That first card also frees the door for the rest of the interval."""
    two_persons: bool = False
    """Two different holders within 15 seconds."""
    interlock: RuleId | None = None
    """Of the doors with the same interlock one at the most is open or released."""
    areas: Annotated[tuple[ReaderArea, ...], Field(max_length=8)] = ()
    keeps_list: bool = False
    """A device at this door keeps card numbers itself (a board or a terminal), so the rows have `number`."""

    @model_validator(mode="after")
    def _not_by_the_body_alone(self) -> Self:
        if BIOMETRIC_METHODS.issuperset(self.methods):
            raise ValueError(f"door {self.door}: a face, finger, palm or vein may never be the only way in")
        return self


class Rules(Message):
    """Every door group and schedule of the gateway; from `special_days` on format 2."""

    schedules: Annotated[tuple[Schedule, ...], Field(max_length=1000)] = ()
    groups: Annotated[tuple[DoorGroup, ...], Field(max_length=2000)] = ()
    special_days: Annotated[tuple[SpecialDay, ...], Field(max_length=2000)] = ()
    doors: Annotated[tuple[DoorRule, ...], Field(max_length=1000)] = ()
    areas: Annotated[tuple[Area, ...], Field(max_length=500)] = ()

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        schedules = {schedule.id for schedule in self.schedules}
        areas = {area.id for area in self.areas}
        for group in self.groups:
            if group.schedule not in schedules:
                raise ValueError(f"door group {group.id} names schedule {group.schedule}, which is not there")
        for door in self.doors:
            for named in (door.card_alone, door.free, door.first_card):
                if named is not None and named not in schedules:
                    raise ValueError(f"door {door.door} names schedule {named}, which is not there")
            for area in door.areas:
                if area.into is not None and area.into not in areas:
                    raise ValueError(f"door {door.door} names area {area.into}, which is not there")
        return self

    def digest(self) -> int:
        """This part's share of the set's digest. What is of format 2 counts only where it says something."""
        dump = self.model_dump(mode="json")
        text = json.dumps(_without_silence(dump), sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def _without_silence(dump: dict[str, Any]) -> dict[str, Any]:
    """The rules as format 1 writes them where they use nothing of format 2."""
    for schedule in dump["schedules"]:
        if not schedule["heeds_holidays"]:
            del schedule["heeds_holidays"]
    return {name: part for name, part in dump.items() if part or name in ("schedules", "groups")}
