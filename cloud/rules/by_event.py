"""What rules find in stored events. It only reads, and what it finds depends on what is stored, not on what ran before.

So it does not matter in which order events came, nor whether the hub was started anew in between.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, func, select

from cloud.alarms.causes import Cause
from cloud.alarms.places import Places
from cloud.database.among import among
from cloud.database.tables import Credential, EventRecord
from cloud.rules.book import WrittenRule
from cloud.rules.definition import KeyPart, Match, OnEvent, Repeated, RevokedCredential, TwoPlaces
from protocols.access_events import AccessGranted

_MAX_LOOKED_AT = 2000
"""Events of one device or person within one rule's window that are looked at; more are a flood of their own."""

_CLOSE_TOGETHER = timedelta(hours=1)
"""Events that lie within it are looked at by one query for their passages."""


class _Passage(NamedTuple):
    """Somebody was let in."""

    time: datetime
    gateway: str
    place_id: UUID | None


@dataclass(frozen=True)
class StoredEvent:
    """An event as it is stored, with what it was linked to. `data` is empty if the body cannot be read."""

    id: UUID
    type: str
    time: datetime
    received_at: datetime
    gateway: str
    subject: str
    place_id: UUID | None
    credential_id: UUID | None
    person_id: UUID | None
    dwelling_id: UUID | None
    grid_id: UUID | None
    data: dict[str, Any]


_COLUMNS = (
    EventRecord.id,
    EventRecord.type,
    EventRecord.time,
    EventRecord.received_at,
    EventRecord.gateway_id,
    EventRecord.subject,
    EventRecord.place_id,
    EventRecord.credential_id,
    EventRecord.person_id,
    EventRecord.dwelling_id,
    EventRecord.grid_id,
    EventRecord.body,
)
_FIELDS = [field.name for field in fields(StoredEvent)][:-1]


def read_events(connection: Connection, *conditions: Any, limit: int = _MAX_LOOKED_AT) -> list[StoredEvent]:
    """Stored events, by their time."""
    query = select(*_COLUMNS).where(*conditions).order_by(EventRecord.time, EventRecord.id).limit(limit)
    return [_stored(row) for row in connection.execute(query)]


def _stored(row: Row[*tuple[Any, ...]]) -> StoredEvent:
    *linked, body = row
    values: dict[str, Any] = dict(zip(_FIELDS, linked, strict=True))
    return StoredEvent(**values, data=_data(body))


def _data(body: str) -> dict[str, Any]:
    try:
        data = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError, RecursionError):  # stored by another version: it has no data that we know
        return {}
    return data if isinstance(data, dict) else {}


class EventRules:
    """Looks at events with some rules, within one transaction: `expect` them together, then `find` of each.

    Args:
        upto: what was received later is not looked at, as if it had not come yet; None: everything that is stored.
    """

    def __init__(self, connection: Connection, rules: Iterable[WrittenRule], upto: datetime | None = None) -> None:
        self._connection = connection
        self._by_type: dict[str, list[WrittenRule]] = {}
        for written in rules:
            for name in written.rule.event_types if written.rule.enabled else ():
                self._by_type.setdefault(name, []).append(written)
        self._upto = () if upto is None else (EventRecord.received_at <= upto,)
        self._places = Places(connection)
        self._all = [written for rules in self._by_type.values() for written in rules]
        self._revoked: dict[UUID, datetime] = {}
        self._passages: dict[UUID, list[_Passage]] = {}

    def expect(self, events: Sequence[StoredEvent]) -> None:
        """Read at once what rules will ask of the register and of other events, before `find` is called with these."""
        shown = {event.credential_id for event in events if event.credential_id is not None}
        if shown and any(isinstance(written.rule.when, RevokedCredential) for written in self._all):
            query = select(Credential.id, Credential.revoked_at)
            named = among(self._connection, Credential.id, shown)
            ended = query.where(named, Credential.revoked_at.is_not(None))
            self._revoked = {row.id: row.revoked_at for row in self._connection.execute(ended) if row.revoked_at}
        windows = [each.rule.when.within_s for each in self._all if isinstance(each.rule.when, TwoPlaces)]
        let_in = [event for event in events if event.type == AccessGranted.TYPE and event.person_id is not None]
        if windows and let_in:
            self._read_passages(sorted(let_in, key=lambda event: event.time), timedelta(seconds=max(windows)))

    def _read_passages(self, events: Sequence[StoredEvent], window: timedelta) -> None:
        """Where the credentials of these events were let in within a window of them, if at more than one gateway."""
        columns = (EventRecord.credential_id, EventRecord.time, EventRecord.gateway_id, EventRecord.place_id)
        several = func.min(EventRecord.gateway_id) != func.max(EventRecord.gateway_id)
        seen: dict[UUID, dict[_Passage, None]] = {}
        while events:  # those that lie close together are asked for in one query
            near = [event for event in events if event.time - events[0].time <= _CLOSE_TOGETHER]
            events = events[len(near) :]
            asked = (
                among(self._connection, EventRecord.person_id, {event.person_id for event in near}),
                EventRecord.time.between(near[0].time - window, near[-1].time + window),
                EventRecord.type == AccessGranted.TYPE,
                *self._upto,
            )
            at_several = select(EventRecord.credential_id).where(*asked).group_by(EventRecord.credential_id)
            suspects = set(self._connection.execute(at_several.having(several)).scalars()) - {None}
            if not suspects:
                continue
            for row in self._connection.execute(
                select(*columns).where(*asked, among(self._connection, columns[0], suspects))
            ):
                if row.credential_id is not None:
                    passage = _Passage(row.time, row.gateway_id, row.place_id)
                    seen.setdefault(row.credential_id, {})[passage] = None
        self._passages = {credential: list(passages) for credential, passages in seen.items()}

    def find(self, event: StoredEvent) -> Iterator[tuple[WrittenRule, Cause]]:
        """What the rules find in an event: causes that began or ended, in this order."""
        for written in self._by_type.get(event.type, ()):
            for cause in self._look(written, event):
                yield written, cause

    def _look(self, written: WrittenRule, event: StoredEvent) -> Iterator[Cause]:
        match written.rule.when:
            case OnEvent() as when:
                yield from self._on_event(written, when, event)
            case Repeated() as when:
                if self._is_repeated(when, event):
                    yield self._cause(written, when.per, event)
            case TwoPlaces() as when:
                if self._is_elsewhere(when, event):
                    yield self._cause(written, (KeyPart.CREDENTIAL,), event)
            case RevokedCredential():
                if self._is_revoked(event):
                    yield self._cause(written, (KeyPart.CREDENTIAL,), event)

    def _on_event(self, written: WrittenRule, when: OnEvent, event: StoredEvent) -> Iterator[Cause]:
        if when.begins.fits(event.type, event.data):
            cause = self._cause(written, when.per, event)
            yield cause
            if (over_at := self._ended_at(when.ends, event)) is not None:
                yield cause.model_copy(update={"active": False, "at": over_at})
        elif any(match.fits(event.type, event.data) for match in when.ends):
            yield self._cause(written, when.per, event, active=False)

    def _ended_at(self, ends: Sequence[Match], event: StoredEvent) -> datetime | None:
        """When what began with this event ended, if it was stored before it: events may come in any order."""
        types = [name for match in ends for name in match.types]
        if not types:
            return None
        later = (EventRecord.time > event.time, EventRecord.type.in_(types))
        found = read_events(self._connection, *_same_device(event), *later, *self._upto, limit=20)
        return next((each.time for each in found if any(end.fits(each.type, each.data) for end in ends)), None)

    def _is_repeated(self, when: Repeated, event: StoredEvent) -> bool:
        """Whether some span of `within_s` that holds this event holds enough of them."""
        if not when.begins.fits(event.type, event.data):
            return False
        window = timedelta(seconds=when.within_s)
        same = _same_device(event) if KeyPart.SUBJECT in when.per else (EventRecord.gateway_id == event.gateway,)
        around = (EventRecord.time >= event.time - window, EventRecord.time <= event.time + window)
        typed = (EventRecord.type.in_(when.begins.types), *self._upto)
        key = _key(event, when.per)
        moments = [
            each.time
            for each in read_events(self._connection, *same, *around, *typed)
            if when.begins.fits(each.type, each.data) and _key(each, when.per) == key
        ]
        spans = zip(moments, moments[when.times - 1 :], strict=False)
        return any(last - first <= window and first <= event.time <= last for first, last in spans)

    def _is_elsewhere(self, when: TwoPlaces, event: StoredEvent) -> bool:
        """Whether the credential was let in at another site at nearly the same time. Passes have no person: no."""
        window, here = timedelta(seconds=when.within_s), self._places.site(event.place_id)
        others = self._passages.get(event.credential_id, ()) if event.credential_id else ()
        return any(
            other.gateway != event.gateway
            and abs(other.time - event.time) <= window
            and (here is None or self._places.site(other.place_id) != here)
            for other in others
        )

    def _is_revoked(self, event: StoredEvent) -> bool:
        revoked_at = self._revoked.get(event.credential_id) if event.credential_id else None
        return revoked_at is not None and revoked_at <= event.time

    def _cause(self, written: WrittenRule, per: Sequence[KeyPart], event: StoredEvent, *, active: bool = True) -> Cause:
        place = event.place_id or self._places.of_gateway(event.gateway)
        return Cause(
            key=f"{written.rule.code}:{_key(event, per)}",
            rule=written.rule.code,
            rule_version=written.version,
            at=event.time,
            active=active,
            event_id=event.id,
            place_id=place,
            area_id=self._places.area(place),
            grid_id=event.grid_id or self._places.grid(place, event.time),
            gateway_id=event.gateway,
            subject=event.subject,
        )


def _same_device(event: StoredEvent) -> tuple[Any, ...]:
    return EventRecord.gateway_id == event.gateway, EventRecord.subject == event.subject


def _key(event: StoredEvent, per: Sequence[KeyPart]) -> str:
    """What tells causes apart. A part that an event does not have is the device that it came from."""
    device = f"{event.gateway}/{event.subject}"
    found = {
        KeyPart.GATEWAY: event.gateway,
        KeyPart.SUBJECT: device,
        KeyPart.CREDENTIAL: event.credential_id or event.data.get("credential") or event.data.get("credential_hash"),
        KeyPart.DWELLING: event.dwelling_id,
    }
    return ":".join(str(found[part] or device) for part in per)
