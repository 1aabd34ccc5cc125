"""The limits and figures of alarms and matters: how soon each level must act, what counts as a flood or as chatter.

Defaults are those of EEMUA 191 and ANSI/ISA-18.2 where these have a figure. A site changes them in its configuration.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import Row

from cloud.alarms.states import Handling, Level, Priority

Seconds = Annotated[float, Field(gt=0, le=90 * 86400)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
KindCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
MATTER = "matter."
"""What stands before a matter's kind where an alarm has its rule's code, which has no full stop."""
_HOUR_S, _DAY_S = 3600.0, 86400.0


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


class MatterKind(_Values):
    """A kind of matter: its words, how urgent it is, and its limits, each at every level anew. Missed, it goes up."""

    title: Words
    title_zh: Words
    priority: Priority = Priority.P3
    accept_s: Seconds
    """From being entered, or coming to a level, until somebody takes it on."""
    begin_s: Seconds
    """From then until handling begins."""
    settle_s: Seconds
    """From then until it is closed."""

    @model_validator(mode="after")
    def _is_for_people(self) -> Self:
        if self.priority is Priority.JOURNAL:
            raise ValueError("a matter is never of the journal's priority: write 1, 2 or 3")
        return self

    def after_s(self, handling: Handling) -> float | None:
        """How long it may stay in a state."""
        return {Handling.NEW: self.accept_s, Handling.ACKED: self.begin_s, Handling.HANDLING: self.settle_s}.get(
            handling
        )


_OTHER = MatterKind(
    title="Other matter", title_zh="其他事项", accept_s=2 * _HOUR_S, begin_s=_DAY_S, settle_s=7 * _DAY_S
)
MATTER_KINDS: Mapping[str, MatterKind] = {
    "dispute": MatterKind(
        title="Dispute", title_zh="矛盾纠纷", accept_s=2 * _HOUR_S, begin_s=_DAY_S, settle_s=15 * _DAY_S
    ),
    "hazard": MatterKind(
        title="Hazard",
        title_zh="安全隐患",
        priority=Priority.P2,
        accept_s=900.0,
        begin_s=2 * _HOUR_S,
        settle_s=3 * _DAY_S,
    ),
    "repair": MatterKind(title="Repair", title_zh="报修", accept_s=4 * _HOUR_S, begin_s=_DAY_S, settle_s=7 * _DAY_S),
    "help": MatterKind(
        title="Request for help",
        title_zh="求助",
        priority=Priority.P2,
        accept_s=600.0,
        begin_s=1800.0,
        settle_s=_DAY_S,
    ),
    "other": _OTHER,
}
"""Those shipped. The limits are our own proposal; a site writes its own into its configuration."""


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
    matters: Mapping[KindCode, MatterKind] = Field(default=MATTER_KINDS, min_length=1, max_length=50)
    """The kinds of matters, by code; a table of one's own takes the place of those shipped."""

    def of(self, priority: Priority) -> LevelLimits | None:
        """Those of a priority; None for the journal."""
        return {Priority.P1: self.p1, Priority.P2: self.p2, Priority.P3: self.p3}.get(priority)

    def kind_of(self, rule: str) -> MatterKind | None:
        """The kind that a matter's `rule` names, one that is configured no more too; None: it is an alarm's."""
        return self.matters.get(rule.removeprefix(MATTER), _OTHER) if rule.startswith(MATTER) else None

    def due(self, rule: str, priority: Priority, level: Level, handling: Handling, since: datetime) -> datetime | None:
        """When an alarm that came to this level or state at `since` goes up a level, unless somebody acts. A matter at
        the district is overdue then."""
        kind = self.kind_of(rule)
        after_s = kind.after_s(handling) if kind is not None else self._after_s(priority, level, handling)
        return None if after_s is None else since + timedelta(seconds=after_s)

    def due_of(
        self, found: Row[*tuple[Any, ...]], level: Level, handling: Handling, since: datetime
    ) -> datetime | None:
        """As `due`, for a row of `alarm`; a limit that a person gave (`settle_by`) holds too."""
        limits = (self.due(found.rule, Priority(found.priority), level, handling, since), found.settle_by)
        return min((each for each in limits if each is not None), default=None)

    def _after_s(self, priority: Priority, level: Level, handling: Handling) -> float | None:
        own = self.of(priority)
        if own is None or level is Level.DISTRICT or handling not in (Handling.NEW, Handling.ACKED):
            return None
        return own.stay_s(level) if handling is Handling.NEW else own.begin_s
