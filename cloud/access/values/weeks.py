"""When: schedules, groups of doors that are granted during one, and the calendar of holidays."""

from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from cloud.access.values.base import DayMinute, DoorKeyValue, Name, example
from protocols.rules import RuleId


class IntervalValue(BaseModel):
    """Minutes after local midnight of a weekday (Monday 0 … Sunday 6, public holidays 7); `until` is outside."""

    model_config = example(weekday=0, since=480, until=1320)
    weekday: Annotated[int, Field(ge=0, le=7)]
    since: DayMinute
    until: DayMinute

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.since >= self.until:
            raise ValueError("an interval must end after it begins; split one that crosses midnight")
        return self


class ScheduleChange(BaseModel):
    """A week. If it heeds holidays, those have the hours of weekday 7, and make-up workdays those they stand for."""

    model_config = example(
        name="白天", heeds_holidays=True, intervals=[{"weekday": day, "since": 480, "until": 1320} for day in (0, 1, 7)]
    )
    name: Name
    heeds_holidays: bool = False
    intervals: Annotated[tuple[IntervalValue, ...], Field(max_length=200)]


class ScheduleValue(ScheduleChange):
    """A week with its code."""

    model_config = example(
        code="daytime", name="白天", heeds_holidays=False, intervals=[{"weekday": 0, "since": 480, "until": 1320}]
    )
    code: RuleId


class GroupChange(BaseModel):
    """Doors that are granted together, during one schedule."""

    model_config = example(name="住户", schedule="always", doors=[{"gateway": "gw-east", "device": "d-lobby"}])
    name: Name
    schedule: RuleId
    doors: Annotated[tuple[DoorKeyValue, ...], Field(max_length=1000)]


class GroupValue(GroupChange):
    """A group with its code and how many credentials have it."""

    model_config = example(
        code="residents",
        name="住户",
        schedule="always",
        doors=[{"gateway": "gw-east", "device": "d-lobby"}],
        credentials=812,
    )
    code: RuleId
    credentials: int = 0


class HolidayChange(BaseModel):
    """What a day counts as: 7 for a public holiday, or for a make-up workday the weekday whose hours hold."""

    model_config = example(counts_as=7, name="国庆节")
    counts_as: Annotated[int, Field(ge=0, le=7)]
    name: Name


class HolidayValue(HolidayChange):
    """A day of the holiday calendar."""

    model_config = example(day="2026-10-01", counts_as=7, name="国庆节")
    day: date
