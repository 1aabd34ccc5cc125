"""What ingest keeps of an event between its message and the database. Pure; it asks nobody."""

from collections.abc import Iterable
from typing import NamedTuple

from cloud.database.types import to_us
from cloud.ingest.coverage import Range
from cloud.ingest.projection import DeviceMove, move_of
from cloud.linking.links import LinkKey, link_key
from protocols.access_events import AccessDenied
from protocols.event_reading import EventFields
from protocols.events import OutboxGap


class Arrival(NamedTuple):
    """What is stored of an event whose seal was checked, and of a whole event no more: a batch of a thousand then
    stays within the processor's cache. The first seven are columns of the table `event`, in its order.
    """

    id: str
    """32 hex digits, as `stream`."""
    gateway: str
    stream: str
    seq: int
    type: str
    device: str
    time_us: int
    link: LinkKey
    move: DeviceMove | None
    """The state that it puts its device into."""
    gaps: tuple[Range, ...]
    """Numbers that it says will never come."""
    denied_for: str | None
    """Why a door stayed shut, if that is what it tells."""
    body: str
    """Its JSON as it came."""


def arrival_of(event: EventFields, body: str) -> Arrival:
    """What is stored of an event; `body` is its JSON as it came."""
    kind = event["type"]
    at_us = to_us(event["time"])
    return _arrival(
        Arrival,
        (
            event["id"].replace("-", ""),
            event["gateway"],
            event["stream"].replace("-", ""),
            event["seq"],
            kind,
            event["subject"],
            at_us,
            link_key(event, at_us),
            move_of(event),
            tuple(map(tuple, event["data"]["ranges"])) if kind == OutboxGap.TYPE else (),
            event["data"].get("reason") if kind == AccessDenied.TYPE else None,
            body,
        ),
    )


_arrival = tuple.__new__
"""Makes an `Arrival` of its fields at a third of the time of the call by name."""


def latest_moves(arrivals: Iterable[Arrival]) -> dict[tuple[str, str], tuple[Arrival, DeviceMove]]:
    """The last move of each (gateway, device) among these, by (stream, seq), sorted by device.

    Streams are UUIDv7, so a gateway's later outbox has the higher one. The order lets workers lock rows alike.
    """
    last: dict[tuple[str, str], tuple[Arrival, DeviceMove]] = {}
    for arrival in arrivals:
        if arrival.move is None:
            continue
        known = last.get((arrival.gateway, arrival.device))
        if known is None or (known[0].stream, known[0].seq) < (arrival.stream, arrival.seq):
            last[arrival.gateway, arrival.device] = (arrival, arrival.move)
    return dict(sorted(last.items()))
