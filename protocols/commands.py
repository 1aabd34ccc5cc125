"""Commands to a gateway and its answers; what correctness needs is in the payload (MQTT 5 properties mirror it).

A command lives for seconds: it is never retained, the gateway refuses it after `expires` by its own clock and refuses a
nonce that it has seen, so an old or repeated command never opens a door later.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from protocols.access_events import DoorMode
from protocols.base import DeviceId, Hex128, Instant, Message
from protocols.rules import RuleId

MAX_LIFETIME_S = 60.0
"""A gateway refuses a command whose `expires` is further than this after `issued`."""

ACCEPTED_SKEW_S = 30.0
"""How far in the gateway's future `issued` may lie before the command is refused."""


AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}$")]


class Action(StrEnum):
    DOOR_RELEASE = "door.release"
    DOOR_MODE = "door.mode"
    LOCKDOWN = "lockdown"
    FORGIVE = "antipassback.forgive"
    EVIDENCE_HOLD = "evidence.hold"


class DoorRelease(Message):
    """Release a door's strike once, for the time set for that door."""

    door: DeviceId


class DoorModeSet(Message):
    """Put a door into a mode until `until`, or until the next such command. `normal` gives it back to its rules."""

    door: DeviceId
    mode: DoorMode
    until: Instant | None = None


class Lockdown(Message):
    """Begin or end the lockdown of every door. A way out stays open.

    To begin takes two people: `confirmed_by` is the account that agreed, another than `issued_by`. A gateway refuses a
    beginning without.
    """

    active: bool
    confirmed_by: AccountId | None = None


class Forgive(Message):
    """Forget who is in an area (None: in every area)."""

    area: RuleId | None = None


class EvidenceHold(Message):
    """Begin or end a hold: what `camera` (None: every camera) filmed from `since` to `until` is not deleted.

    `hold` names the hold in the command that ends it; ending one that the gateway does not have fails.
    """

    hold: UUID
    active: bool
    camera: DeviceId | None = None
    since: Instant
    until: Instant

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.until <= self.since:
            raise ValueError("a hold ends after it begins")
        return self


_ARGUMENTS: dict[str, type[Message]] = {
    Action.DOOR_RELEASE: DoorRelease,
    Action.DOOR_MODE: DoorModeSet,
    Action.LOCKDOWN: Lockdown,
    Action.FORGIVE: Forgive,
    Action.EVIDENCE_HOLD: EvidenceHold,
}


class Command(Message):
    """Sealed with the hub's signature on `down/cmd/{corr}`. `issued_by` is an account's id, never a name.

    All zeros: the hub itself gave it.
    """

    v: Literal[1] = 1
    corr: UUID
    nonce: Hex128
    issued: Instant
    expires: Instant
    issued_by: AccountId
    reply_to: Annotated[str, StringConstraints(max_length=200)]
    action: Action
    args: DoorRelease | DoorModeSet | Lockdown | Forgive | EvidenceHold

    @model_validator(mode="before")
    @classmethod
    def _args_of_the_action(cls, given: Any) -> Any:
        """The action chooses what `args` is; an unknown one is refused below."""
        if isinstance(given, dict) and isinstance(given.get("args"), dict):
            model = _ARGUMENTS.get(given.get("action", ""))
            if model is not None:
                return given | {"args": model.model_validate(given["args"])}
        return given

    @model_validator(mode="after")
    def _args_fit(self) -> Self:
        if not isinstance(self.args, _ARGUMENTS[self.action]):
            raise ValueError(f"the arguments are not those of {self.action}")
        return self


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
    UNKNOWN_AREA = "unknown_area"
    NOT_CONFIRMED = "not_confirmed"
    """A lockdown that no second person confirmed."""
    DOORS_STOPPED = "doors_stopped"
    """The gateway's door controller does not run."""
    UNKNOWN_CAMERA = "unknown_camera"
    UNKNOWN_HOLD = "unknown_hold"
    KEEPING_STOPPED = "keeping_stopped"
    """The gateway keeps no video at present: there is no camera, or the disk cannot be used."""
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
