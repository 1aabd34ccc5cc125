"""Clips in the event list: an event's clip stands on the event itself, whichever of the two was stored first.

A gateway tells of a clip seconds to minutes after its events, in an event of its own that lists them. That one makes no
row: the pages put what it says on the rows of its events. A gateway speaks of its own events alone.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, Row, Select, or_, select, text

from cloud.accounts.scope import WHOLE, Scope
from cloud.database.among import among
from cloud.database.tables import EventRecord
from cloud.database.tables.events import OF_CLIPS
from protocols.clip_events import ClipKept, ClipLost
from protocols.events import Event

CLIP_TYPES = (ClipKept.TYPE, ClipLost.TYPE)
BEFORE, AFTER = timedelta(seconds=10), timedelta(minutes=10)
"""A clip's news is received so long around its event; a clip lasts two minutes at most."""
MAX_NEWS = 1000


class EventClip(BaseModel):
    """One camera's clip of an event, or why there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: str
    told_by: UUID
    """The event that tells of it: who sees a part of the hub names it to watch the clip."""
    sha256: str | None = None
    seconds: float | None = None
    unmasked: bool = False
    """It shows what the camera's privacy masks hide in pictures."""
    lost: str | None = None
    """The reason why there is none (`protocols.clip_events.ClipLossReason`)."""


class ClipNews(BaseModel):
    """What a gateway told of one clip: the events of that gateway that it belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: str
    events: tuple[UUID, ...]
    clip: EventClip


_NEWS = select(EventRecord.id, EventRecord.gateway_id, EventRecord.subject, EventRecord.body).where(
    text(f"event.{OF_CLIPS}")
)
_Found = Row[UUID, str, str, str]
EventKey = tuple[str, UUID]
"""A gateway and the id of an event of it."""


def read_news(connection: Connection, ids: Collection[UUID], within: Scope = WHOLE) -> list[ClipNews]:
    """What these events tell of clips, oldest receipt first."""
    if not ids:
        return []
    query = _NEWS.where(among(connection, EventRecord.id, ids), within.covers_event()).order_by(
        EventRecord.received_at, EventRecord.id
    )
    return list(_told(connection.execute(query)))


def news_since(connection: Connection, moment: datetime, within: Scope = WHOLE) -> list[ClipNews]:
    """What was told of clips after a moment, the newest `MAX_NEWS`."""
    return list(
        _told(connection.execute(_newest(_NEWS.where(EventRecord.received_at > moment, within.covers_event()))))
    )


def clips_of(
    connection: Connection, events: Sequence[Row[*tuple[Any, ...]]], within: Scope = WHOLE
) -> Mapping[EventKey, tuple[EventClip, ...]]:
    """The clips of events, rows with `gateway_id`, `id` and `received_at`, by gateway and event; one query for all."""
    if not events:
        return {}
    wanted = {(event.gateway_id, event.id) for event in events}
    windows = _joined(sorted(event.received_at for event in events))
    query = _NEWS.where(within.covers_event(), or_(*(EventRecord.received_at.between(*window) for window in windows)))
    # Not the column itself: its index would be taken, and every event of these gateways be read.
    query = query.where((EventRecord.gateway_id + "").in_({gateway for gateway, _ in wanted}))
    found: dict[EventKey, list[EventClip]] = defaultdict(list)
    for news in _told(connection.execute(_newest(query)).all()):
        for key in {(news.gateway, event) for event in news.events} & wanted:
            found[key].append(news.clip)
    return {key: tuple(sorted(clips, key=lambda clip: clip.camera)) for key, clips in found.items()}


def _newest(query: Select[UUID, str, str, str]) -> Select[UUID, str, str, str]:
    return query.order_by(EventRecord.received_at.desc()).limit(MAX_NEWS)


def _joined(moments: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """The times around moments that rise, as few intervals as cover them."""
    windows: list[tuple[datetime, datetime]] = []
    for moment in moments:
        since, until = moment - BEFORE, moment + AFTER
        if windows and since <= windows[-1][1]:
            since = windows.pop()[0]
        windows.append((since, until))
    return windows


def _told(rows: Iterable[_Found]) -> Iterator[ClipNews]:
    for told_by, gateway, camera, body in rows:
        try:
            data = Event.model_validate_json(body).data
        except ValidationError:  # stored by another version of the hub
            continue
        if isinstance(data, ClipKept):
            seconds = (data.until - data.since).total_seconds()
            clip = EventClip(
                camera=camera, told_by=told_by, sha256=data.sha256, seconds=seconds, unmasked=data.unmasked
            )
            yield ClipNews(gateway=gateway, events=data.events, clip=clip)
        elif isinstance(data, ClipLost):
            clip = EventClip(camera=camera, told_by=told_by, lost=data.reason.value)
            yield ClipNews(gateway=gateway, events=data.events, clip=clip)
