"""What a rule has found: a cause that began, goes on, or is over."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Cause(BaseModel):
    """Findings with the same `key` have the same cause. No person is named: the event that is named leads there."""

    model_config = ConfigDict(frozen=True)

    key: str
    rule: str
    rule_version: int
    at: datetime
    """When it was so, by the clock of who saw it."""
    active: bool = True
    """False: it is over."""
    event_id: UUID | None = None
    place_id: UUID | None = None
    area_id: UUID | None = None
    grid_id: UUID | None = None
    gateway_id: str | None = None
    subject: str | None = None
