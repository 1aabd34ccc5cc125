"""What is asked and told of duty."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from cloud.access.values.base import Name, Why, example
from cloud.alarms.states import Level
from cloud.duty.plan import Day, Members, RosterPlan, Username, Words
from cloud.register.change import Change

ROSTER_CODE = r"^[a-z0-9][a-z0-9_-]{0,30}$"
_ID = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Special = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CentreRequest(BaseModel):
    """The centre of a level (1 village or community, 2 township or street, 3 district or county), or a guard post (0),
    at a place."""

    model_config = example(place=_ID, level=1, name="安静社区综治中心")
    place: UUID
    level: Level
    name: Name
    closed: bool = False


class PostRequest(BaseModel):
    """What an account is at a centre."""

    model_config = example(account="zhang", function="值班长")
    account: Username
    function: Words


class ExceptionRequest(BaseModel):
    """Who works a shift of one date; without members those whom the roster names, again."""

    model_config = example(day="2026-12-24", shift="night", members=["li"], note="wang and li swapped")
    day: Day
    shift: Words
    members: Members | None = None
    note: Why = ""


class HandoverRequest(BaseModel):
    """What somebody leaves to whoever comes next; what is open is listed by the hub."""

    model_config = example(note="东门道闸已报修", special="3栋电梯夜间停用")
    note: Note
    special: Special = ""


class AcceptRequest(BaseModel):
    """That somebody has read it and takes over."""

    model_config = example(note="")
    note: Special = ""


class CentreChanged(_Values):
    """A centre and whether it is new, changed, or was so already."""

    id: UUID
    change: Change


class OnDuty(_Values):
    """Somebody on duty: the account, what it is at the centre, and the shift."""

    account: str
    functions: tuple[str, ...]
    roster: str
    shift: str
    since: datetime
    until: datetime


class PostRow(_Values):
    """What an account is at a centre now."""

    id: UUID
    account: str
    function: str
    since: datetime


class CentreRow(_Values):
    """A centre, and who is on duty there. `nobody_on_duty`: it has a roster, and nobody is."""

    id: UUID
    name: str
    level: int
    place: UUID
    place_name: str
    closed: bool
    has_roster: bool
    nobody_on_duty: bool
    on_duty: tuple[OnDuty, ...]


class VersionRow(_Values):
    """What a roster says from some day on, who wrote it and when. No account: the command line."""

    number: int
    written_at: datetime
    written_by: str | None
    plan: RosterPlan


class ChangeRow(_Values):
    """Who works a shift of one date; no members: as the roster says, again."""

    day: date
    shift: str
    members: tuple[str, ...] | None
    note: str
    written_at: datetime
    written_by: str | None


class RosterRow(_Values):
    """A roster with all it ever said, the newest first."""

    code: str
    versions: tuple[VersionRow, ...]
    changes: tuple[ChangeRow, ...]


class CentreAnswer(_Values):
    """A centre with its people and rosters."""

    centre: CentreRow
    posts: tuple[PostRow, ...]
    rosters: tuple[RosterRow, ...]


class LevelRow(_Values):
    """Who is told at one level. `everybody`: all staff of the level, for want of a roster or of somebody on duty."""

    level: int
    centre: str | None
    everybody: bool
    nobody_on_duty: bool
    on_duty: tuple[OnDuty, ...]


class Gap(_Values):
    """There is a roster and nobody is on duty, from `since` until `until`."""

    since: datetime
    until: datetime


class OpenItem(_Values):
    """An alarm or a matter that was not closed."""

    id: UUID
    number: str | None
    """A matter's."""
    title: str
    title_zh: str
    priority: int
    level: int
    handling: str
    place: str | None
    shelved: bool


class HandoverRow(_Values):
    """A handover: what was open when it was written, and who accepted it. `overdue`: nobody has, and it is late."""

    id: UUID
    centre: UUID
    centre_name: str
    written_at: datetime
    written_by: str
    note: str
    special: str
    open_items: tuple[OpenItem, ...]
    more: bool
    accept_by: datetime
    overdue: bool
    accepted_at: datetime | None
    accepted_by: str | None
    accepted_note: str | None


class HandoverList(_Values):
    """Handovers, the newest first, and how many of the account's part of the hub are overdue."""

    items: tuple[HandoverRow, ...]
    overdue: int
