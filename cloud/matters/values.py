"""What is asked and told of matters. Every length is bounded."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cloud.alarms.limits import KindCode, MatterKind
from cloud.alarms.values import AlarmAnswer, Note
from cloud.disclosure.values import Purpose

NUMBER_PATTERN = r"^[0-9]{4}-[0-9]{6,9}$"
MAX_TEXT = 2000
_EXAMPLE_ID = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"

MatterText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\+?[0-9][0-9 -]{2,23}$")]


class ReportedBy(StrEnum):
    """Who told of it."""

    RESIDENT = "resident"
    GRID_MEMBER = "grid_member"
    WINDOW = "window"
    """Staff of a centre's window who saw it themselves."""


class Reporter(BaseModel):
    """Who may be called back. Sealed in the database, masked in every answer but one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"name": "张伟", "phone": "13800000000"}]}
    )
    name: Name | None = None
    phone: Phone | None = None


class MaskedReporter(BaseModel):
    """`张*`, and a phone number's last two digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str | None
    phone: str | None


class _Where(BaseModel):
    """A place, a grid, or both; ids of the register."""

    place: UUID | None = None
    grid: UUID | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.place is None and self.grid is None:
            raise ValueError("name a place, a grid, or both")
        return self


class MatterRequest(_Where):
    """A matter to be entered. `request`: an id that the form makes, so that one sent twice is one matter."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "repair",
                    "text": "the lamp on the stairs of unit 2 is out",
                    "place": _EXAMPLE_ID,
                    "reported_by": "resident",
                    "reporter": {"name": "张伟", "phone": "13800000000"},
                }
            ]
        },
    )
    kind: KindCode
    text: MatterText
    reported_by: ReportedBy
    reporter: Reporter | None = None
    request: UUID | None = None


class PassOnRequest(_Where):
    """Where it goes, and why."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"grid": _EXAMPLE_ID, "note": "the stairs belong to the next grid"}]},
    )
    note: Note


class ReporterRequest(BaseModel):
    """What who reported it is asked for, in the asker's words."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"purpose": "to ask which lamp it is"}]}
    )
    purpose: Purpose


class MatterAnswer(BaseModel):
    """A matter with all that was done."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: str
    kind: str
    text: str
    reported_by: ReportedBy
    reporter: MaskedReporter | None
    entered_by: str | None
    """An account's name; null at the command line."""
    alarm: AlarmAnswer


class KindsAnswer(BaseModel):
    """The kinds that a matter may be of, by code."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kinds: Mapping[KindCode, MatterKind] = Field(description="As configured in `[web.alarms.matters]`.")
