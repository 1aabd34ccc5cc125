"""What is asked and told of service categories."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from cloud.access.values.base import example
from cloud.categories.kinds import KindCode
from cloud.disclosure.values import Purpose

_ID = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_BASIS = "Order of the State Council 649, article 11; decision 2026-17 of the township"
Basis = Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=300)]
Officer = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=63)]


class CategoryState(StrEnum):
    HOLDS = "holds"
    LAPSED = "lapsed"
    """Its review date is over."""
    ENDED = "ended"


class KindValue(BaseModel):
    """A category that there is."""

    model_config = example(code="renter", name="Renter", name_zh="租户")
    code: str
    name: str
    name_zh: str


class NewCategory(BaseModel):
    """An entry to be made: why, from when, and the last day until which it holds, a year ahead at the most."""

    model_config = example(
        category="minimum_living_allowance",
        legal_basis=_BASIS,
        officer="zhou",
        since="2026-01-01",
        review_on="2026-12-31",
        purpose="the township granted the allowance",
    )
    category: KindCode
    legal_basis: Basis
    officer: Officer | None = None
    """The user name of the officer who is responsible; left out: whoever makes the entry."""
    since: date | None = None
    """Left out: today."""
    review_on: date
    purpose: Purpose


class CategoryReview(BaseModel):
    """That an entry was reviewed and goes on, until a further day; perhaps on another basis or with another officer."""

    model_config = example(
        review_on="2027-12-31", legal_basis=None, officer=None, purpose="the yearly review, form 12 of 2026"
    )
    review_on: date
    legal_basis: Basis | None = None
    officer: Officer | None = None
    purpose: Purpose


class CategoryEnd(BaseModel):
    """Why an entry ends before its review date."""

    model_config = example(purpose="the person moved to another district")
    purpose: Purpose


class CategoryQuery(BaseModel):
    """What is looked for, and what for. `after`: the last id of the page before."""

    model_config = example(purpose="visits before the cold spell", person=None, category="elderly_living_alone")
    purpose: Purpose
    person: UUID | None = None
    category: KindCode | None = None
    past: bool = False
    """Also those that lapsed or were ended and are not gone yet."""
    after: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 100


class CategoryValue(BaseModel):
    """An entry. The person's name is masked."""

    model_config = example(
        id=_ID,
        person=_ID,
        name="张*",
        category="minimum_living_allowance",
        legal_basis=_BASIS,
        officer="zhou",
        state="holds",
        since="2026-01-01T00:00:00+08:00",
        review_at="2027-01-01T00:00:00+08:00",
        ended_at=None,
    )
    id: UUID
    person: UUID
    name: str
    category: str
    legal_basis: str
    officer: str
    state: CategoryState
    since: datetime
    review_at: datetime
    """From then on it has lapsed."""
    ended_at: datetime | None


class CategoryFound(BaseModel):
    """Entries of people within the account's part of the hub. `more`: ask again with `after` set to the last id."""

    model_config = example(items=[], more=False)
    items: tuple[CategoryValue, ...]
    more: bool


class CategoryNotice(BaseModel):
    """An entry that lapses soon, or lapsed and is not gone. Whose it is, and which category: that is a look-up."""

    model_config = example(
        id=_ID, officer="zhou", mine=True, review_at="2027-01-01T00:00:00+08:00", days_left=7, told=[30, 7]
    )
    id: UUID
    officer: str
    mine: bool
    review_at: datetime
    days_left: int
    """0: it lapses today; below: it has lapsed."""
    told: tuple[int, ...]
    """So many days before it lapses the hub told the officer, the first first."""
