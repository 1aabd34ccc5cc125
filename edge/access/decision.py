"""The decision at a door: may this card pass here, now? A pure function of the credential store and the moment.

Reasons are looked for in the order of `DenialReason`. When several credentials carry the same card (it was handed on),
any that may pass opens; otherwise the reason of the one that came furthest is told.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.access.store import CompiledRules, CredentialStore, StoredCredential
from protocols.access_events import AccessDenied, AccessGranted, AccessMethod, DenialReason
from protocols.cards import CardFormat, UnreadableCard, decode_bytes

_ORDER = {reason: place for place, reason in enumerate(DenialReason)}


@dataclass(frozen=True)
class Decision:
    """What was decided, by which credential under which policy, and how long that took."""

    granted: bool
    reason: DenialReason | None
    credential: UUID | None
    credential_hash: str | None
    policy_version: int
    decision_us: int


def decide(
    store: CredentialStore,
    door: str,
    card: tuple[bytes, int],
    expected: CardFormat,
    wall_s: float,
    zone: ZoneInfo,
    counter_ns: Callable[[], int] = time.perf_counter_ns,
) -> Decision:
    """Decide for a card (packed bits and their count) at `door`, at `wall_s` seconds since the epoch."""
    began_ns = counter_ns()
    version, rules = store.policy
    reason, credential, card_hash = _judge(store, rules, door, card, expected, wall_s, zone)
    return Decision(
        granted=reason is None,
        reason=reason,
        credential=credential,
        credential_hash=card_hash,
        policy_version=version,
        decision_us=(counter_ns() - began_ns) // 1000,
    )


def outcome_of(reader: str, decision: Decision) -> AccessGranted | AccessDenied:
    """The decision as the event that tells of it."""
    if decision.reason is None and decision.credential is not None:
        return AccessGranted(
            reader=reader,
            method=AccessMethod.CARD,
            credential=decision.credential,
            policy_version=decision.policy_version,
            decision_us=decision.decision_us,
        )
    return AccessDenied(
        reader=reader,
        method=AccessMethod.CARD,
        reason=decision.reason or DenialReason.UNKNOWN_CREDENTIAL,
        credential=decision.credential,
        credential_hash=None if decision.credential else decision.credential_hash,
        policy_version=decision.policy_version,
        decision_us=decision.decision_us,
    )


def _judge(
    store: CredentialStore,
    rules: CompiledRules,
    door: str,
    card: tuple[bytes, int],
    expected: CardFormat,
    wall_s: float,
    zone: ZoneInfo,
) -> tuple[DenialReason | None, UUID | None, str | None]:
    try:
        card_hash = store.hash_of(decode_bytes(*card, expected))
    except UnreadableCard:
        return DenialReason.UNREADABLE, None, None
    furthest: tuple[DenialReason, UUID | None] = (DenialReason.UNKNOWN_CREDENTIAL, None)
    for credential in store.find(card_hash):
        reason = _why_not(credential, rules, door, wall_s, zone)
        if reason is None:
            return None, credential.ref, card_hash
        if _ORDER[reason] > _ORDER[furthest[0]]:
            furthest = reason, credential.ref
    return *furthest, card_hash


def _why_not(
    credential: StoredCredential, rules: CompiledRules, door: str, wall_s: float, zone: ZoneInfo
) -> DenialReason | None:
    now_us = int(wall_s * 1_000_000)
    if now_us < credential.not_before_us:
        return DenialReason.NOT_YET_VALID
    if now_us >= credential.not_after_us:
        return DenialReason.EXPIRED
    schedules = rules.schedules_at(door, credential.groups)
    if not schedules:
        return DenialReason.NO_RIGHT_AT_DOOR
    local = datetime.fromtimestamp(wall_s, zone)
    minute = local.hour * 60 + local.minute
    if any(schedule.covers(local.weekday(), minute) for schedule in schedules):
        return None
    return DenialReason.OUTSIDE_SCHEDULE
