"""Stands in for the decision engine until it is there: cards alone, by the present `decide` function."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.access.config import AccessConfig
from edge.access.decision import decide
from edge.access.drivers.interface import DeviceDecided
from edge.access.presentations import Card, DoorStanding, Presentation
from edge.access.store import CredentialStore
from edge.clock import Clock
from protocols.access_events import AccessMethod, DenialReason, DoorMode, GrantReason


class Need(StrEnum):
    """What is still missing."""

    PIN = "pin"
    SECOND_PERSON = "second_person"


@dataclass(frozen=True)
class Decision:
    """What was decided."""

    granted: bool
    reason: DenialReason | None
    grant_reason: GrantReason | None
    credential: UUID | None
    credential_hash: str | None
    method: AccessMethod
    policy_version: int
    decision_us: int
    holder: str | None = None
    duress: bool = False
    needs: Need | None = None
    frees_door_until: float | None = None


class Decider(Protocol):
    """The decision engine, as the doors see it. One thread."""

    def decide(self, door: str, reader: str, presented: Presentation, standing: DoorStanding) -> Decision: ...
    def passed(self, door: str, reader: str, decision: Decision) -> None: ...
    def not_used(self, door: str, reader: str, decision: Decision) -> None: ...
    def device_verdict(self, door: str, reader: str, verdict: DeviceDecided) -> Decision: ...
    def heard_from_hub(self, wall_s: float) -> None: ...
    def clock_jumped(self, delta_s: float) -> None: ...
    def clock_settled(self) -> None: ...
    def forgive(self, area: str | None) -> None: ...
    def free_by_schedule(self, door: str, wall_s: float) -> tuple[bool, float | None]: ...
    def stale(self, wall_s: float) -> bool: ...


class CardsAlone:
    """Cards alone; nothing is remembered."""

    def __init__(self, store: CredentialStore, config: AccessConfig, zone: ZoneInfo, clock: Clock) -> None:
        self._store, self._zone, self._clock = store, zone, clock
        self._formats = {reader.id: reader.card_format for reader in config.reader}

    def decide(self, door: str, reader: str, presented: Presentation, standing: DoorStanding) -> Decision:
        if standing.lockdown or standing.mode is DoorMode.LOCKED or not isinstance(presented, Card):
            reason = DenialReason.LOCKDOWN if standing.lockdown else DenialReason.LOCKED
            return Decision(False, reason, None, None, None, AccessMethod.CARD, self._store.policy[0], 0)
        card = presented.data, presented.bit_count
        made = decide(self._store, door, card, self._formats[reader], self._clock.wall_s(), self._zone)
        return Decision(
            made.granted, made.reason, GrantReason.VALID if made.granted else None, made.credential,
            made.credential_hash, AccessMethod.CARD, made.policy_version, made.decision_us,
        )  # fmt: skip

    def device_verdict(self, door: str, reader: str, verdict: DeviceDecided) -> Decision:
        granted = verdict.granted and verdict.credential is not None
        reason = None if granted else DenialReason.TERMINAL_REFUSED
        return Decision(
            granted, reason, GrantReason.VALID if granted else None, verdict.credential, None, verdict.method,
            self._store.policy[0], 0,
        )  # fmt: skip

    def passed(self, door: str, reader: str, decision: Decision) -> None: ...
    def not_used(self, door: str, reader: str, decision: Decision) -> None: ...
    def heard_from_hub(self, wall_s: float) -> None: ...
    def clock_jumped(self, delta_s: float) -> None: ...
    def clock_settled(self) -> None: ...
    def forgive(self, area: str | None) -> None: ...

    def free_by_schedule(self, door: str, wall_s: float) -> tuple[bool, float | None]:
        return False, None

    def stale(self, wall_s: float) -> bool:
        return False
