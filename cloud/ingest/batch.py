"""What ingest passes from the broker to the database: read messages, and the result of storing them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from cloud.ingest.arrival import Arrival
from protocols.commands import Ask, Reply
from protocols.presence import GatewayState
from protocols.receipts import Receipt


class Refused(StrEnum):
    """Why a message or an event was not taken; a counter's label and the head of a dead letter's reason."""

    OVERSIZED = "oversized"
    UNKNOWN_TOPIC = "unknown_topic"
    UNKNOWN_GATEWAY = "unknown_gateway"
    """Never enrolled, or revoked."""
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_VERSION = "unknown_version"
    MALFORMED = "malformed"
    BAD_EVENT = "bad_event"
    """One event of a readable message that the contract does not allow."""
    OTHER_GATEWAY = "other_gateway"
    """An event in the name of another gateway than the one whose key sealed it."""
    UNSTORABLE = "unstorable"
    """A sound event that the database does not take."""


@dataclass(frozen=True)
class Refusal:
    """Something that goes to the dead letters.

    With `stream` and `seq` it is receipted: its gateway sealed it, so it would send it again for ever. Without, nobody
    proved to be the sender or its number could not be read.
    """

    gateway: str | None
    topic: str
    reason: Refused
    detail: str
    payload: bytes = field(repr=False)
    stream: UUID | None = None
    seq: int | None = None


class Presence(NamedTuple):
    """A gateway's birth or will."""

    gateway: str
    state: GatewayState


class Answer(NamedTuple):
    """A gateway's answer to a command."""

    gateway: str
    reply: Reply


class Question(NamedTuple):
    """A gateway's question."""

    gateway: str
    ask: Ask


@dataclass
class Intake:
    """Messages as they are read, sorted by what is to be done with them."""

    arrivals: list[Arrival] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    presence: list[Presence] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """What one transaction stores."""

    received_at: datetime
    arrivals: Sequence[Arrival] = ()
    refusals: Sequence[Refusal] = ()
    presence: Sequence[Presence] = ()


@dataclass(frozen=True)
class StoredBatch:
    """What was committed.

    `inserted` are the ids that were new (32 hex digits), in the batch's order; `linked` is how many of these have a
    person. `receipts` are of every stream of the batch, resent events included. `presence` leaves out what an older
    session said.
    `unstorable` are events that the database refused, now dead letters.
    """

    inserted: Sequence[str] = ()
    linked: int = 0
    duplicates: int = 0
    receipts: Sequence[tuple[str, Receipt]] = ()
    presence: Sequence[Presence] = ()
    unstorable: int = 0
