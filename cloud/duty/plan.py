"""What a roster says: shifts by the site's clock with who works them, or teams that take turns week by week."""

from datetime import date, time
from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from cloud.access.values.base import example
from protocols.rules import Weekday

EVERY_DAY = tuple(Weekday)
MAX_MEMBERS = 200
MAX_SHIFTS = 24
MAX_TEAMS = 53
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
Username = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=63)]
Members = Annotated[tuple[Username, ...], Field(max_length=MAX_MEMBERS)]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]


class Shift(BaseModel):
    """From `begins` until `ends`, which is on the next day if it is not later: equal, it is a whole day."""

    model_config = example(name="night", begins="20:00", ends="08:00", days=list(EVERY_DAY), members=["wang", "li"])
    name: Words
    begins: time
    ends: time
    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=8)] = EVERY_DAY
    """The days on which it begins: Monday 0 to Sunday 6, and 7 for a holiday of the calendar."""
    members: Members = ()

    @model_validator(mode="after")
    def _whole_minutes(self) -> Self:
        for each in (self.begins, self.ends):
            if each.tzinfo is not None or each.second or each.microsecond:
                raise ValueError("a shift begins and ends at whole minutes of the site's clock: write 20:00")
        return self


class Team(BaseModel):
    """A department or team that takes its turn."""

    model_config = example(name="民政科", members=["zhao", "qian"])
    name: Words
    members: Members


class RosterPlan(BaseModel):
    """What a roster says from `since` on, until the day before `until`.

    With `teams`, each in its turn works all shifts of seven days, the first from `anchor` on; without, each shift names
    its own people. Without shifts there is no roster from `since` on.
    """

    model_config = example(
        since="2026-12-01",
        shifts=[
            {"name": "day", "begins": "08:00", "ends": "20:00", "members": ["zhang"]},
            {"name": "night", "begins": "20:00", "ends": "08:00", "members": ["wang", "li"]},
        ],
    )
    since: Day
    until: Day | None = None
    shifts: Annotated[tuple[Shift, ...], Field(max_length=MAX_SHIFTS)] = ()
    teams: Annotated[tuple[Team, ...], Field(max_length=MAX_TEAMS)] = ()
    anchor: Day | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError("it ends before it begins")
        if len({shift.name for shift in self.shifts}) < len(self.shifts):
            raise ValueError("two shifts have the same name")
        if (self.anchor is not None) != bool(self.teams):
            raise ValueError("teams and the day from which the first one has its turn (anchor) belong together")
        if self.teams and any(shift.members for shift in self.shifts):
            raise ValueError("where teams take turns, shifts name nobody")
        return self

    @property
    def usernames(self) -> set[str]:
        """Everybody it names."""
        parts = (*(shift.members for shift in self.shifts), *(team.members for team in self.teams))
        return {name for members in parts for name in members}

    def covers(self, day: date) -> bool:
        """Whether it says anything of a day."""
        return self.since <= day and (self.until is None or day < self.until)

    def members(self, shift: Shift, day: date) -> tuple[str, ...]:
        """Who works a shift that begins on a day."""
        if self.anchor is None:
            return shift.members
        return self.teams[(day - self.anchor).days // 7 % len(self.teams)].members
