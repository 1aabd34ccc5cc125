"""Persons, as far as doors need them, and their credentials. Names are masked; no number and no PIN comes out."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, model_validator

from cloud.access.values.base import example
from cloud.database.tables import ResidencyRole
from protocols.base import Instant
from protocols.credentials import CredentialKind
from protocols.rules import RuleId
from protocols.strength import Strength


class PersonValue(BaseModel):
    """A person of a dwelling; the name is masked."""

    model_config = example(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        name="张*",
        role="tenant",
        since="2025-09-01T00:00:00+08:00",
        until="2026-09-01T00:00:00+08:00",
    )
    id: UUID
    name: str
    role: ResidencyRole
    since: datetime
    until: datetime | None = None


class CredentialChange(BaseModel):
    """What may be changed of a credential. `pin` and `duress_pin` go with a card: left out they stay as they are, an
    empty text takes them away."""

    model_config = example(groups=["residents"], since=None, until=None, first=False, pin="2580", duress_pin="0852")
    groups: Annotated[frozenset[RuleId], Field(max_length=64)]
    since: Instant | None = None
    until: Instant | None = None
    uses: Annotated[int, Field(ge=1, le=10_000)] | None = None
    offline_s: Annotated[int, Field(ge=0, le=366 * 86_400)] | None = None
    first: bool = False
    duress: bool = False
    pin: Annotated[str, StringConstraints(pattern=r"^([0-9]{4,8})?$")] | None = Field(default=None, repr=False)
    duress_pin: Annotated[str, StringConstraints(pattern=r"^([0-9]{4,8})?$")] | None = Field(default=None, repr=False)


class NewCredential(CredentialChange):
    """A card, a PIN that opens by itself, or a plate, for a person. `number` is the card's, the PIN, or the plate."""

    model_config = example(
        person="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", kind="plate", number="贵G12345", groups=["garage"]
    )
    person: UUID
    kind: CredentialKind = CredentialKind.CARD
    number: Annotated[str, StringConstraints(min_length=4, max_length=80)] = Field(repr=False)

    @model_validator(mode="after")
    def _no_pass(self) -> Self:
        if self.kind is CredentialKind.PASS:
            raise ValueError("kind: passes are made at /passes")
        return self


class CredentialValue(BaseModel):
    """A credential as it stands. Its number is shown by its last two characters alone, its PINs not at all."""

    model_config = example(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c",
        person="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        kind="card",
        ends_with="45",
        strength="good",
        groups=["residents"],
        ends_at="2026-09-01T00:00:00+08:00",
        has_pin=True,
    )
    id: UUID
    person: UUID
    kind: CredentialKind
    ends_with: str
    strength: Strength
    groups: tuple[RuleId, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    ends_at: datetime | None = None
    """When it really ends: its own end, or the lease's with grace, whichever is first."""
    uses: int | None = None
    offline_s: int | None = None
    first: bool = False
    duress: bool = False
    has_pin: bool = False
    has_duress_pin: bool = False
