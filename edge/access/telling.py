"""What the doors tell: events, each with its device, place and moment."""

from dataclasses import dataclass

from edge.access.decision import Decision
from edge.clock import Clock, Moment, now
from edge.observations import Observation, Recorder
from protocols.access_events import AccessDuress
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

    def tell(self, device: str, place: str, data: EventData, at_s: float | None = None) -> None:
        """Tell of `device`, now or as of a moment that has passed (seconds since the epoch)."""
        moment = now(self._clock)
        if at_s is not None:
            ago_s = max(0.0, moment.wall_s - at_s)
            moment = Moment(moment.wall_s - ago_s, max(0.0, moment.monotonic_s - ago_s))
        self._record(Observation(device, place, data, moment))

    def tell_own(self, data: EventData) -> None:
        """Tell of the gateway itself."""
        self.tell(self._own.gateway, self._own.place, data)


def duress_of(reader: str, decision: Decision) -> AccessDuress | None:
    """The silent alarm, if the decision calls for one."""
    if not decision.duress or decision.credential is None:
        return None
    return AccessDuress(reader=reader, credential=decision.credential)
