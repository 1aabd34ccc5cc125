"""The credential set that a gateway decides with: numbered, signed, sent whole or as the difference of two versions.

A row names a credential by an opaque id and its keyed hash: no person, no card number. `digest` sums up the whole set,
so that both sides can compare at every birth; a version never goes down.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from protocols.base import Hex128, Hex256, Instant, Message
from protocols.rules import RuleId, Rules

MAX_SNAPSHOT_BYTES = 64 * 1024 * 1024
_DIGEST_MODULUS = 1 << 256
Version = Annotated[int, Field(ge=0, le=2**53)]

POLICY_FORMAT = 2
"""The newest format of rows and rules; a gateway tells in its birth which one it reads (none told: 1)."""


class CredentialKind(StrEnum):
    """What `CredentialRow.hash` is the keyed hash of."""

    CARD = "card"
    """`protocols.cards.CardNumber.text`."""
    PIN = "pin"
    """`protocols.pins.pin_text`: four to eight digits that open a door by themselves."""
    PLATE = "plate"
    """`protocols.plates.normal_plate`."""
    PASS = "pass"  # noqa: S105 (no password)
    """A pass that is shown as a QR code: the row's own `ref`. The row carries what the token does not fix, and its
    absence from the set does not refuse the token."""


class CredentialRow(Message):
    """One credential: valid from `not_before` (inclusive) until `not_after` (exclusive), at the doors of `groups`.

    Nothing says who the holder is or what kind of person: only what a door has to know. Fields from `kind` on are of
    policy format 2; a set for a gateway that reads format 1 has rows of plain cards alone.
    """

    ref: UUID
    hash: Hex128
    not_before: Instant | None = None
    not_after: Instant | None = None
    groups: Annotated[tuple[RuleId, ...], Field(max_length=64)] = ()
    kind: CredentialKind = CredentialKind.CARD
    holder: Hex128 | None = None
    """The keyed hash of the holder under the gateway's own key: the same for all credentials of one person. Opaque; for
    two-person doors and anti-passback."""
    pin: Hex128 | None = None
    """The keyed hash of the PIN that goes with this card (`protocols.pins.pin_of_card_text`)."""
    duress_pin: Hex128 | None = None
    """That of the PIN that opens as well and raises a silent alarm."""
    duress: bool = False
    """A credential that always raises a silent alarm (a duress PIN that opens by itself)."""
    uses: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How often it opens a door, counted at this gateway; None: as often as its holder likes."""
    offline_s: Annotated[int, Field(ge=0, le=366 * 86_400)] | None = None
    """For how long after the last news of the hub it is still taken; None: for ever."""
    first: bool = False
    """Counts as a first card."""
    number: Annotated[str, StringConstraints(max_length=80)] | None = None
    """The card's own spelling, only where a door's device keeps a list of its own (`DoorRule.keeps_list`)."""

    def digest(self) -> int:
        """This row's share of the set's digest. Fields of format 2 count only where they say something."""
        bounds = (moment and moment.astimezone(UTC).isoformat() for moment in (self.not_before, self.not_after))
        text = "|".join((str(self.ref), self.hash, *(bound or "" for bound in bounds), *sorted(self.groups)))
        later = self.model_dump(mode="json", exclude=_FORMAT_1, exclude_defaults=True)
        if later:
            text += "|" + json.dumps(later, sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


_FORMAT_1 = {"ref", "hash", "not_before", "not_after", "groups"}


def total_digest(shares: Iterable[int]) -> str:
    """The digest of a set, 64 hex digits: the sum of its shares modulo 2^256, so a change costs only what changed."""
    return f"{sum(shares) % _DIGEST_MODULUS:064x}"


def moved_digest(digest: str, gone: Iterable[int], come: Iterable[int]) -> str:
    """The digest after some shares left and others came."""
    return f"{(int(digest, 16) - sum(gone) + sum(come)) % _DIGEST_MODULUS:064x}"


class Head(Message):
    """Retained on `down/cred`: the newest version and the digest of the set that it stands for."""

    v: Literal[1] = 1
    version: Version
    digest: Hex256
    rows: Annotated[int, Field(ge=0)]


class Delta(Message):
    """On `down/cred/delta`: what leads from version `since` to `version`, with the digest to arrive at."""

    v: Literal[1] = 1
    since: Version
    version: Version
    digest: Hex256
    upsert: Annotated[tuple[CredentialRow, ...], Field(max_length=1000)] = ()
    remove: Annotated[tuple[UUID, ...], Field(max_length=1000)] = ()
    rules: Rules | None = None

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.since >= self.version:
            raise ValueError("a delta must lead to a higher version")
        return self


class CredentialSet(Message):
    """The whole set; fetched over HTTP, sealed for `topics.credential_snapshot`."""

    v: Literal[1] = 1
    version: Version
    digest: Hex256
    rules: Rules
    rows: tuple[CredentialRow, ...]
