"""What the doors tell: events, each with its device, place and moment; and the events that a decision becomes."""

from dataclasses import dataclass
from datetime import datetime

from edge.access.interim import Decision
from edge.clock import Clock, Moment, now
from edge.observations import Observation, Recorder
from protocols.access_events import AccessDenied, AccessDuress, AccessGranted, DecidedBy, DenialReason, GrantReason
from protocols.event_data import EventData


@dataclass(frozen=True)
class Own:
    """The gateway itself, of which a lockdown and a stale policy are told."""

    gateway: str = "gateway"
    place: str = "site"


class Teller:
    """Hands events to the outbox."""

    def __init__(self, record: Recorder, clock: Clock, own: Own) -> None:
        self._record, self._clock, self._own = record, clock, own

    def tell(self, device: str, place: str, data: EventData, at: datetime | None = None) -> None:
        """Tell of `device`, now or as of a moment that has passed."""
        moment = now(self._clock)
        if at is not None:
            ago_s = max(0.0, moment.wall_s - at.timestamp())
            moment = Moment(moment.wall_s - ago_s, max(0.0, moment.monotonic_s - ago_s))
        self._record(Observation(device, place, data, moment))

    def tell_own(self, data: EventData) -> None:
        """Tell of the gateway itself."""
        self.tell(self._own.gateway, self._own.place, data)


def outcome_of(
    reader: str, decision: Decision, by: DecidedBy = DecidedBy.GATEWAY, detail: str = ""
) -> AccessGranted | AccessDenied:
    """The decision as the event that tells of it."""
    if decision.granted and decision.credential is not None:
        return AccessGranted(
            reader=reader,
            method=decision.method,
            credential=decision.credential,
            policy_version=decision.policy_version,
            decision_us=decision.decision_us,
            reason=decision.grant_reason or GrantReason.VALID,
            decided_by=by,
        )
    return AccessDenied(
        reader=reader,
        method=decision.method,
        reason=decision.reason or DenialReason.UNKNOWN_CREDENTIAL,
        credential=decision.credential,
        credential_hash=None if decision.credential else decision.credential_hash,
        policy_version=decision.policy_version,
        decision_us=decision.decision_us,
        decided_by=by,
        detail=detail,
    )


def duress_of(reader: str, decision: Decision) -> AccessDuress | None:
    """The silent alarm, if the decision calls for one."""
    if not decision.duress or decision.credential is None:
        return None
    return AccessDuress(reader=reader, credential=decision.credential)
