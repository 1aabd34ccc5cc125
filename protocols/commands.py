"""Commands to a gateway and its answers; what correctness needs is in the payload (MQTT 5 properties mirror it).

A command lives for seconds: it is never retained, the gateway refuses it after `expires` by its own clock and refuses a
nonce that it has seen, so an old or repeated command never opens a door later.
"""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from protocols.base import DeviceId, Hex128, Instant, Message

MAX_LIFETIME_S = 60.0
"""A gateway refuses a command whose `expires` is further than this after `issued`."""

ACCEPTED_SKEW_S = 30.0
"""How far in the gateway's future `issued` may lie before the command is refused."""


class Action(StrEnum):
    DOOR_RELEASE = "door.release"


class DoorRelease(Message):
    """Release a door's strike once, for the time set for that door."""

    door: DeviceId


class Command(Message):
    """Sealed with the hub's signature on `down/cmd/{corr}`. `issued_by` is an account's id, never a name."""

    v: Literal[1] = 1
    corr: UUID
    nonce: Hex128
    issued: Instant
    expires: Instant
    issued_by: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}$")]
    reply_to: Annotated[str, StringConstraints(max_length=200)]
    action: Literal[Action.DOOR_RELEASE]
    args: DoorRelease


class ReplyState(StrEnum):
    """`accepted` comes first; exactly one of the others ends the command."""

    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"


class FailureCode(StrEnum):
    """Why a gateway did not carry a command out, for programs and for the reader's own language."""

    UNKNOWN_DOOR = "unknown_door"
    READER_OFFLINE = "reader_offline"
    """The reader that drives the strike is not there."""
    READER_FAILED = "reader_failed"
    """It did not take or not carry out the strike command."""
    NO_CONFIRMATION = "no_confirmation"
    """It did not confirm the strike command in time: the strike may be released or not."""
    OVERLOADED = "overloaded"
    DOORS_STOPPED = "doors_stopped"
    """The gateway's door controller does not run."""
    EXPIRED = "expired"
    FAULT = "fault"
    """A fault in the gateway's program."""


class Reply(Message):
    """Sealed with the gateway's key on `up/resp/{corr}`. `reason` is a sentence, in English.

    `code` says the same; an older gateway leaves it out, and a newer one may send one that is not in `FailureCode`.
    """

    v: Literal[1] = 1
    corr: UUID
    state: ReplyState
    time: Instant
    reason: Annotated[str, StringConstraints(max_length=300)] = ""
    code: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None


class Want(StrEnum):
    CREDENTIALS = "cred"


class Ask(Message):
    """On `up/ask`: send me what follows version `have` (0: nothing yet)."""

    v: Literal[1] = 1
    want: Literal[Want.CREDENTIALS]
    have: Annotated[int, Field(ge=0)]
