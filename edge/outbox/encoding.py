"""From an observation to the row that is stored: the event's JSON as the hub will read it, number included."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from edge.observations import Observation
from edge.outbox.file import NewRow
from edge.outbox.rows import priority_of
from protocols.events import Clock, ClockState, Event, OutboxGap, source_uri


class Encoder:
    """Makes rows of one stream. Ids rise with the wall clock and never go back (`protocols.ids`), but for those that an
    observation brings."""

    def __init__(self, gateway: str, new_id: Callable[[], UUID], clock_state: Callable[[], ClockState]) -> None:
        self._gateway = gateway
        self._new_id = new_id
        self._clock_state = clock_state

    def row(self, observation: Observation, stream: UUID, seq: int) -> NewRow:
        """The row numbered `seq`.

        Raises:
            ValueError: if the observation does not make a valid event (a wrong name of a device, a time out of range).
        """
        data, moment = observation.data, observation.moment
        event = Event(
            id=observation.id or self._new_id(),
            source=source_uri(self._gateway, observation.device),
            type=data.TYPE,
            time=datetime.fromtimestamp(moment.wall_s, UTC),
            subject=observation.device,
            gateway=self._gateway,
            place=observation.place,
            stream=stream,
            seq=seq,
            clock=Clock(state=self._clock_state(), monotonic_ms=int(moment.monotonic_s * 1000)),
            data=data,
        )
        return NewRow(
            seq,
            event.id,
            data.EVENT_CLASS,
            priority_of(data.TYPE),
            int(moment.wall_s * 1000),
            event.model_dump_json().encode(),
        )


def moved(body: bytes, stream: UUID, seq: int) -> bytes:
    """A stored event under another number of another stream; its id stays.

    A gap event keeps its counts and loses its ranges: they name numbers of the stream that is left.
    """
    event = json.loads(body)
    event["stream"], event["seq"] = str(stream), seq
    if event["type"] == OutboxGap.TYPE:
        event["data"]["ranges"] = []
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
