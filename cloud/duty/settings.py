"""What an operator sets of duty."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class DutySettings(BaseModel):
    """Below `[web.duty]`. The site's clock is that of `[web.notify] time_zone`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accept_within_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 30
    """How soon somebody should accept a handover; after that it counts as overdue."""

    @property
    def accept_within(self) -> timedelta:
        return timedelta(minutes=self.accept_within_minutes)
