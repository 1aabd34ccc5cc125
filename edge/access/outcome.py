"""What a decision is, and the event that tells of it. Values alone: `edge.access.decision` decides."""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from edge.access.claims import Claim, Reading
from protocols.access_events import (
    AccessDenied,
    AccessGranted,
    AccessMethod,
    DecidedBy,
    DenialReason,
    GrantReason,
)


class Need(StrEnum):
    """What is still missing for a door to open."""

    PIN = "pin"
    """The PIN of the card: ask for it, and present `CardAndPin`."""
    SECOND_PERSON = "second_person"
    """Another person with a right here, within 15 seconds."""


@dataclass(frozen=True)
class Decision:
    """What was decided, by which credential under which policy, and how long that took."""

    granted: bool
    reason: DenialReason | None
    credential: UUID | None
    """None with `granted`: somebody unknown at a free door, which no event tells of."""
    credential_hash: str | None
    policy_version: int
    decision_us: int
    grant_reason: GrantReason = GrantReason.VALID
    method: AccessMethod = AccessMethod.CARD
    holder: str | None = None
    duress: bool = False
    """Raise a silent alarm, whether the door opens or not; nothing at the door may show it."""
    needs: Need | None = None
    frees_door_until: float | None = None
    """Wall seconds until which this first card frees the door."""
    locks_out_s: float | None = None
    """For how long this wrong try has locked the reader out, if it was one too many."""
    spent: tuple[UUID, ...] = ()
    """The credentials whose use was counted."""
    passing: tuple[bytes, ...] = ()
    """Who passes: one, or the two of a door for two."""
    at_s: float = 0.0
    """Wall seconds of the decision, or of the device's own."""


GRANTED = Decision(True, None, None, None, 0, 0)
"""What every decision is made from."""


def outcome_of(
    reader: str, decision: Decision, decided_by: DecidedBy = DecidedBy.GATEWAY, detail: str = ""
) -> AccessGranted | AccessDenied | None:
    """The decision as the event that tells of it; None for somebody unknown who was let in (at a free door, or by a
    device), which is no event of a credential."""
    if not decision.granted:
        return AccessDenied(
            reader=reader,
            method=decision.method,
            reason=decision.reason or DenialReason.UNKNOWN_CREDENTIAL,
            credential=decision.credential,
            credential_hash=None if decision.credential else decision.credential_hash,
            policy_version=decision.policy_version,
            decision_us=decision.decision_us,
            decided_by=decided_by,
            detail=detail,
        )
    if decision.credential is None:
        return None
    return AccessGranted(
        reader=reader,
        method=decision.method,
        credential=decision.credential,
        policy_version=decision.policy_version,
        decision_us=decision.decision_us,
        reason=decision.grant_reason,
        decided_by=decided_by,
    )


def denied(reason: DenialReason, claim: Claim | None = None, reading: Reading | None = None) -> Decision:
    """A refusal of a claim, or of what came to none."""
    return replace(
        GRANTED,
        granted=False,
        reason=reason,
        credential=None if claim is None else claim.ref,
        credential_hash=None if reading is None else reading.hash,
        holder=holder_of(claim),
        duress=claim is not None and claim.duress,
    )


def granted(claim: Claim, reading: Reading, reason: GrantReason) -> Decision:
    """A grant by a claim."""
    return replace(
        GRANTED,
        credential=claim.ref,
        credential_hash=reading.hash,
        grant_reason=reason,
        holder=holder_of(claim),
        duress=claim.duress,
        passing=(claim.who,),
    )


def holder_of(claim: Claim | None) -> str | None:
    """The keyed hash of whoever holds it, as 32 hex digits."""
    return None if claim is None or claim.holder is None else claim.holder.hex()
