"""Leases that end, and the grace after them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from cloud.access.values.base import example
from cloud.database.tables import ResidencyRole


class LeaseValue(BaseModel):
    """A residency that ends, and which warnings were told (days before the end)."""

    model_config = example(
        residency="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1d",
        person="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        name="张*",
        dwelling="aj-3-2-501",
        role="tenant",
        until="2026-09-01T00:00:00+08:00",
        ends_at="2026-09-04T00:00:00+08:00",
        warned=[7, 3],
    )
    residency: UUID
    person: UUID
    name: str
    dwelling: str
    role: ResidencyRole
    until: datetime
    ends_at: datetime
    warned: tuple[int, ...] = ()


class GraceChange(BaseModel):
    """For how many seconds credentials go on after a residency's end, by role; a role that is left out: not at all."""

    model_config = example(grace_s={"tenant": 86_400, "family": 86_400})
    grace_s: dict[ResidencyRole, Annotated[int, Field(ge=0, le=366 * 86_400)]]
