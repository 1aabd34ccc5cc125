"""The limits and figures of alarms: how soon each level must act, what counts as a flood or as chatter.

Defaults are those of EEMUA 191 and ANSI/ISA-18.2 where these have a figure. A site changes them in its configuration.
"""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloud.alarms.states import Handling, Level, Priority

Seconds = Annotated[float, Field(gt=0, le=90 * 86400)]


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LevelLimits(_Values):
    """For one priority: seconds from raising until it reaches each level if nobody has acknowledged it; then seconds
    from acknowledging until handling must have begun, or it goes up one level and is overdue."""

    community_s: Seconds
    township_s: Seconds
    district_s: Seconds
    begin_s: Seconds

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.community_s < self.township_s < self.district_s:
            raise ValueError("each level's limit is longer than that of the level below it")
        return self

    def stay_s(self, level: Level) -> float | None:
        """How long it may stay unacknowledged at a level; None at the last, which has nobody above it."""
        limits = (0.0, self.community_s, self.township_s, self.district_s)
        return None if level is Level.DISTRICT else limits[level + 1] - limits[level]


class Limits(_Values):
    """Everything that a site may set of alarms."""

    p1: LevelLimits = LevelLimits(community_s=30, township_s=90, district_s=300, begin_s=300)
    p2: LevelLimits = LevelLimits(community_s=120, township_s=600, district_s=1800, begin_s=900)
    p3: LevelLimits = LevelLimits(community_s=600, township_s=3600, district_s=14400, begin_s=14400)
    chatter_within_s: Seconds = 60
    chatter_repeats: Annotated[int, Field(ge=2, le=100)] = 3
    flood_window_s: Seconds = 600
    flood_begins_above: Annotated[int, Field(ge=1, le=10_000)] = 10
    flood_ends_below: Annotated[int, Field(ge=1, le=10_000)] = 5
    shelve_at_most_s: Seconds = 12 * 3600
    hold_evidence_after_s: Annotated[float, Field(ge=0, le=48 * 3600)] = 12 * 3600
    """So long after an alarm began its gateway, which spares its clips for 72 h by itself, is told to hold them."""

    def of(self, priority: Priority) -> LevelLimits | None:
        """Those of a priority; None for the journal."""
        return {Priority.P1: self.p1, Priority.P2: self.p2, Priority.P3: self.p3}.get(priority)

    def due(self, priority: Priority, level: Level, handling: Handling, since: datetime) -> datetime | None:
        """When an alarm that came to this level or state at `since` goes up a level, unless somebody acts."""
        own = self.of(priority)
        if own is None or level is Level.DISTRICT or handling not in (Handling.NEW, Handling.ACKED):
            return None
        after_s = own.stay_s(level) if handling is Handling.NEW else own.begin_s
        return None if after_s is None else since + timedelta(seconds=after_s)
