"""What the routes of alarms take and give. No field holds a person: who may see them follows the event."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from cloud.alarms.states import Outcome, Source

Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QueueState(StrEnum):
    """Which alarms a list shows."""

    OPEN = "open"
    """Not closed and not shelved."""
    SHELVED = "shelved"
    CLOSED = "closed"
    """The journal among them."""


class AlarmRow(_Values):
    """An alarm of the list. Names are those of places, devices and of staff who handle it."""

    id: UUID
    source: Source
    number: str | None
    """A matter's."""
    rule: str
    """The rule's code; of a matter `matter.` and its kind."""
    title: str
    title_zh: str
    priority: int
    handling: str
    condition: str
    level: int
    place: str | None
    community: str | None
    grid: str | None
    gateway: str | None
    device: str | None
    event: UUID | None
    """The first event, if it began with one."""
    happened_at: datetime
    raised_at: datetime
    last_at: datetime
    times: int
    chattering: bool
    in_flood: bool
    sounds: bool
    """Whether it may make a sound: in a flood only priority 1 does."""
    acked_at: datetime | None
    acked_by: str | None
    handled_by: str | None
    closed_at: datetime | None
    closed_by: str | None
    outcome: str | None
    due_at: datetime | None
    overdue: bool
    shelved_until: datetime | None
    shelved_why: str | None
    revision: int


class StepRow(_Values):
    """What was done: who, when, from where. No account: the hub itself."""

    number: int
    at: datetime
    account: str | None
    origin: str
    move: str
    note: str
    detail: dict[str, Any]


class FloodRow(_Values):
    """An area where more alarms come than its operators can take in."""

    community: str | None
    since: datetime


class QueueAnswer(_Values):
    """The most urgent and oldest first; of closed ones the newest first. `shelved` counts all that are."""

    items: tuple[AlarmRow, ...]
    floods: tuple[FloodRow, ...]
    shelved: int


class OrderRow(_Values):
    """A work order. `assignee` and `given_by` are account names."""

    id: UUID
    alarm: UUID
    matter: str | None
    """The matter's number, if it is one."""
    rule: str
    priority: int
    place: str | None
    grid: str | None
    assignee: str | None
    given_by: str | None
    given_at: datetime
    due_at: datetime
    what: str
    state: str
    answered_at: datetime | None
    ended_at: datetime | None
    overdue_at: datetime | None


class AlarmAnswer(_Values):
    """With what was done, and the work orders that the account may see."""

    alarm: AlarmRow
    steps: tuple[StepRow, ...]
    orders: tuple[OrderRow, ...] = ()


class NoteRequest(_Values):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [{"note": "on my way"}]})
    note: Note


class PassUpRequest(NoteRequest):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"note": "needs the township", "until": "2026-11-30T10:00:00Z"}]},
    )
    until: AwareDatetime | None = None
    """A limit: closed by then, or it goes up further and counts as overdue."""


class OrderRequest(_Values):
    """`assignee`: the grid member's account name."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"assignee": "li", "what": "look at the stairs", "due": "2026-11-24T10:00:00Z"}]
        },
    )
    assignee: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    what: Note
    due: AwareDatetime


class AcknowledgeRequest(_Values):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [{"note": ""}]})
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


class ShelveRequest(_Values):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"until": "2026-11-23T18:00:00Z", "why": "painters at the door"}]},
    )
    until: AwareDatetime
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=300)]


class CloseRequest(_Values):
    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"outcome": "false_alarm", "note": "the wind"}]}
    )
    outcome: Outcome
    note: Note


class CentreFigures(_Values):
    """A community's month. Seconds are means over the alarms that were acknowledged or closed; None: there are none."""

    community: str | None
    alarms: int
    acknowledge_s: float | None
    close_s: float | None
    overdue: int
    false_alarms: int
    still_open: int


class Offender(_Values):
    """A source of many alarms."""

    key: str
    alarms: int
    share: Annotated[float, Field(ge=0, le=1)]


class HealthReport(_Values):
    """How alarms load those who handle them (EEMUA 191, ANSI/ISA-18.2), without the journal."""

    since: datetime
    until: datetime
    alarms: int
    per_10_min: float
    busiest_hour_per_10_min: float
    flood_share: float
    """Of the time, in any area."""
    priorities: dict[int, float]
    """Priority -> its share."""
    top_ten: tuple[Offender, ...]
    chattering: int
    stale: int
    """Active and open for more than a day."""
