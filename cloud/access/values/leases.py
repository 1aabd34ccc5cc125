"""Leases that end, what became of their warnings, and the grace after them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from cloud.access.values.base import example
from cloud.database.tables import ResidencyRole
from protocols.base import Instant

_NOTICE: dict[str, Any] = {
    "residency": "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1d",
    "name": "张*",
    "dwelling": "aj-3-2-501",
    "where": "3栋 2单元 501",
    "role": "tenant",
    "until": "2026-09-01T00:00:00+08:00",
    "ends_at": "2026-09-04T00:00:00+08:00",
    "in_grace": False,
    "days_left": 3,
    "warned": [7, 3],
    "dealt_with_at": "2026-08-29T09:30:00Z",
    "dealt_with_by": "wang",
}


class LeaseNotice(BaseModel):
    """A lease that ends soon, or has ended and is in grace, as everybody at the desk sees it: the name is masked.

    `days_left`, begun days, run to `until`, and in grace to `ends_at`. `warned` are the warnings told, in days before
    the end (0: in grace). `dealt_with_*` are empty while the latest warning is nobody's yet.
    """

    model_config = example(**_NOTICE)
    residency: UUID
    name: str
    dwelling: str
    where: str
    role: ResidencyRole
    until: datetime
    ends_at: datetime
    in_grace: bool
    days_left: int
    warned: tuple[int, ...] = ()
    dealt_with_at: datetime | None = None
    dealt_with_by: str | None = None


class LeaseValue(LeaseNotice):
    """The same with the person's id, to look up what the person holds."""

    model_config = example(person="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", **_NOTICE)
    person: UUID


class LeaseNotices(BaseModel):
    """The next leases to end, nearest first; `more`: there are others after these."""

    model_config = example(items=[_NOTICE], more=False)
    items: tuple[LeaseNotice, ...]
    more: bool


class DealtWith(BaseModel):
    """The warnings of the lease that ends then: if its end was moved meanwhile, there is nothing to mark."""

    model_config = example(until="2026-09-01T00:00:00+08:00")
    until: Instant


class GraceChange(BaseModel):
    """For how many seconds credentials go on after a residency's end, by role; a role that is left out: not at all."""

    model_config = example(grace_s={"tenant": 86_400, "family": 86_400})
    grace_s: dict[ResidencyRole, Annotated[int, Field(ge=0, le=366 * 86_400)]]
