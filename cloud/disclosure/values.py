"""What is asked and told when a mask is lifted, or a person's history is read."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, model_validator

from cloud.access.values.base import example
from cloud.live.rows import EventRow
from protocols.base import Instant

LONGEST_HISTORY = timedelta(days=92)
Purpose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=200)]
CaseNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=64)]
_ID = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


class Masked(StrEnum):
    """What is told masked, or not at all, until it is asked for."""

    NAME = "name"
    PHONE = "phone"
    ID_TAIL = "id_tail"
    """The last four characters of the ID number; the whole of it is told to nobody."""


class RevealRequest(BaseModel):
    """What is to be seen of a person, and what for, in the asker's words."""

    model_config = example(fields=["phone"], purpose="water runs out of the dwelling, nobody opens")
    fields: Annotated[frozenset[Masked], Field(min_length=1)]
    purpose: Purpose


class Revealed(BaseModel):
    """What was asked for; null for what was not, or is not registered."""

    model_config = example(name=None, phone="13800000000", id_tail=None)
    name: str | None = None
    phone: str | None = None
    id_tail: str | None = None


class HistoryRequest(BaseModel):
    """A person's passages between two moments, 92 days at the most, for a case."""

    model_config = example(
        purpose="the person is reported missing by the family",
        case_number="2026-0117",
        since="2026-10-01T00:00:00+08:00",
        until="2026-10-08T00:00:00+08:00",
    )
    purpose: Purpose
    case_number: CaseNumber
    since: Instant
    until: Instant

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not timedelta() < self.until - self.since <= LONGEST_HISTORY:
            raise ValueError(f"until must be after since, by {LONGEST_HISTORY.days} days at the most")
        return self


class HistoryState(StrEnum):
    OPEN = "open"
    WAITING = "waiting"
    """Above the daily limit: another person has to confirm it."""
    OVER = "over"
    """A request is read within a day."""


class HistoryValue(BaseModel):
    """A request for a history, as it stands."""

    model_config = example(
        id=_ID,
        person=_ID,
        state="waiting",
        purpose="the person is reported missing by the family",
        case_number="2026-0117",
        since="2026-10-01T00:00:00+08:00",
        until="2026-10-08T00:00:00+08:00",
        asked_by=_ID,
        asked_at="2026-10-08T01:00:00Z",
        confirmed_by=None,
    )
    id: UUID
    person: UUID
    state: HistoryState
    purpose: str
    case_number: str
    since: datetime
    until: datetime
    asked_by: UUID
    asked_at: datetime
    confirmed_by: UUID | None


class HistoryAnswer(BaseModel):
    """The person's events within the account's part of the hub, newest first."""

    model_config = example(events=[], more=False)
    events: tuple[EventRow, ...]
    more: bool
    """There are older ones in that time; ask for a shorter one."""


class Look(BaseModel):
    """An entry of the audit about a person."""

    model_config = example(
        number=812, time="2026-10-08T01:00:00Z", account="wang", action="person.reveal", detail={"fields": "phone"}
    )
    number: int
    time: datetime
    account: str | None
    """The user name; null for what was done at the command line."""
    action: str
    detail: dict[str, str | int]


class SubjectWanted(BaseModel):
    """What a person asks for: to have all that the hub holds of him, or to have it erased."""

    model_config = example(kind="erase", purpose="the person asked at the window, form 3", case_number="2026-0204")
    kind: Literal["export", "erase"]
    purpose: Purpose
    case_number: CaseNumber


class RequestState(StrEnum):
    WAITING = "waiting"
    """For another person to confirm it."""
    OPEN = "open"
    LEFT = "left"
    """Carried out as far as cases allow; the hub goes on by itself when they are over."""
    DONE = "done"
    OVER = "over"
    """A request is carried out within a week."""


class SubjectRequestValue(BaseModel):
    """A person's request, as it stands."""

    model_config = example(
        id=_ID,
        person=_ID,
        kind="erase",
        state="waiting",
        purpose="the person asked at the window, form 3",
        case_number="2026-0204",
        asked_by=_ID,
        asked_at="2026-10-08T01:00:00Z",
        confirmed_by=None,
    )
    id: UUID
    person: UUID
    kind: str
    state: RequestState
    purpose: str
    case_number: str
    asked_by: UUID | None
    asked_at: datetime
    confirmed_by: UUID | None


class ErasureLine(BaseModel):
    """How much of something goes and how much stays, and why."""

    model_config = example(what="residencies", goes=1, stays=0, why="")
    what: str
    goes: int
    stays: int
    why: str


class ErasurePlan(BaseModel):
    """What an erasure would do, or did. `held_by`: the case for which nothing goes."""

    model_config = example(lines=[], held_by=None, is_whole=True)
    lines: tuple[ErasureLine, ...]
    held_by: str | None
    is_whole: bool
    """Whether nothing is left that a later erasure would take."""


class HoldWanted(BaseModel):
    """The case that needs a person's data."""

    model_config = example(purpose="asked for by the procuratorate, letter 7", case_number="2026-0117")
    purpose: Purpose
    case_number: CaseNumber


class HoldValue(BaseModel):
    """A hold of a person's data."""

    model_config = example(
        id=_ID,
        person=_ID,
        purpose="asked for by the procuratorate, letter 7",
        case_number="2026-0117",
        held_at="2026-10-08T01:00:00Z",
    )
    id: UUID
    person: UUID
    purpose: str
    case_number: str
    held_at: datetime


class PersonExport(BaseModel):
    """All that the hub holds of a person, by sections, each a list of entries. `left_out`: what this answer has not."""

    model_config = example(person={}, sections={"residencies": []}, left_out=[])
    person: dict[str, Any]
    sections: dict[str, list[dict[str, Any]]]
    left_out: tuple[str, ...]
