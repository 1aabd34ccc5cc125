"""The credential set that a gateway decides with: numbered, signed, sent whole or as the difference of two versions.

A row names a credential by an opaque id and its keyed hash: no person, no card number. `digest` sums up the whole set,
so that both sides can compare at every birth; a version never goes down.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC
from enum import IntEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from protocols.base import DeviceId, Hex128, Hex256, Instant, Message

MAX_SNAPSHOT_BYTES = 64 * 1024 * 1024
_DIGEST_MODULUS = 1 << 256
Version = Annotated[int, Field(ge=0, le=2**53)]
RuleId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Minute = Annotated[int, Field(ge=0, le=24 * 60)]


class Weekday(IntEnum):
    """ISO 8601 weekday numbers less one, as `datetime.weekday()` gives them."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


class Interval(Message):
    """A span of a weekday, in minutes after local midnight; `until` itself is outside, and 1440 is the day's end."""

    weekday: Weekday
    since: Minute
    until: Minute

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.since >= self.until:
            raise ValueError("an interval must end after it begins; split one that crosses midnight")
        return self


class Schedule(Message):
    """A week, in the time zone of the gateway's site."""

    id: RuleId
    intervals: Annotated[tuple[Interval, ...], Field(max_length=200)]


class DoorGroup(Message):
    """Doors that are granted together, during one schedule."""

    id: RuleId
    doors: Annotated[tuple[DeviceId, ...], Field(max_length=1000)]
    schedule: RuleId


class Rules(Message):
    """Every door group and schedule of the gateway."""

    schedules: Annotated[tuple[Schedule, ...], Field(max_length=1000)] = ()
    groups: Annotated[tuple[DoorGroup, ...], Field(max_length=2000)] = ()

    @model_validator(mode="after")
    def _schedules_exist(self) -> Self:
        known = {schedule.id for schedule in self.schedules}
        for group in self.groups:
            if group.schedule not in known:
                raise ValueError(f"door group {group.id} names schedule {group.schedule}, which is not there")
        return self

    def digest(self) -> int:
        """This part's share of the set's digest."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


class CredentialRow(Message):
    """One credential: valid from `not_before` (inclusive) until `not_after` (exclusive), at the doors of `groups`."""

    ref: UUID
    hash: Hex128
    not_before: Instant | None = None
    not_after: Instant | None = None
    groups: Annotated[tuple[RuleId, ...], Field(max_length=64)] = ()

    def digest(self) -> int:
        """This row's share of the set's digest."""
        bounds = (moment and moment.astimezone(UTC).isoformat() for moment in (self.not_before, self.not_after))
        text = "|".join((str(self.ref), self.hash, *(bound or "" for bound in bounds), *sorted(self.groups)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


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
