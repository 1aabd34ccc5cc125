"""Reads the body of an event message into plain fields, many thousand events a second.

The models of `protocols.events` say what an event is, and everything here is derived from them: `_schema` makes of each
model a `TypedDict` with the same fields and constraints, which pydantic's core fills without making an object for each
part. It knows UUIDs in their usual spelling alone and the event types of this version alone; an event that it does not
take is read by its model, which decides.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin
from uuid import UUID

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from protocols.base import MAX_EVENTS_PER_MESSAGE, Message, ProtocolError, explain
from protocols.events import EVENT_TYPES, Event, EventMessage


class EventFields(TypedDict):
    """A sound event: the fields of `Event`; UUIDs in their usual spelling (36 lower-case characters).

    What has a default may be missing in `data`.
    """

    id: str
    source: str
    type: str
    time: datetime
    subject: str
    gateway: str
    place: str
    stream: str
    seq: int
    clock: dict[str, Any]
    data: dict[str, Any]


@dataclass(frozen=True)
class Rejected:
    """An event that could not be read. Its place in the stream is known if at least that could be read."""

    raw: str
    reason: str
    stream: UUID | None
    seq: int | None


@dataclass(frozen=True)
class ReadEvents:
    """What a message held: the events that are sound, and the ones that are not.

    `raw` is the JSON of each event of `events` with every field that came, also those this version does not know.
    """

    events: Sequence[EventFields]
    raw: Sequence[str]
    rejected: Sequence[Rejected]


_HEAD, _TAIL = b'{"v":1,"events":[', b"]}"
_SEAM = '},{"specversion":'
_CUT = '}\n{"specversion":'


def read_events(body: bytes) -> ReadEvents:
    """Read the body of an event message; one bad event does not spoil the others.

    Raises:
        ProtocolError: if the message itself is malformed, of an unknown version, empty or too long.
    """
    if (read := _read_pieces(body)) is not None:
        return read
    try:
        events = EventMessage.model_validate_json(body).events
        raw = [to_json(item).decode() for item in from_json(body)["events"]]
        return ReadEvents([fields_of(event) for event in events], raw, ())
    except ValidationError as error:
        whole = explain(error)
    try:
        outer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"event message is not JSON: {error}") from error
    items = outer.get("events") if isinstance(outer, dict) else None
    version_is_known = isinstance(outer, dict) and outer.get("v") == 1
    if not version_is_known or not isinstance(items, list) or not 0 < len(items) <= MAX_EVENTS_PER_MESSAGE:
        raise ProtocolError(f"event message: {whole}")
    return _read_each(items)


def fields_of(event: Event) -> EventFields:
    """An event as plain fields."""
    if event.type in EVENT_TYPES:
        return _known_types().validate_json(event.model_dump_json())
    fields: Any = event.model_dump(mode="json")
    fields["time"] = event.time
    return fields  # type: ignore[no-any-return]


def _read_pieces(body: bytes) -> ReadEvents | None:
    """The events of a message as gateways write it, each with its own piece of the text; None if it is not like that.

    Where it is cut needs no trust: JSON values with commas between them are exactly the elements of an array, so if
    each piece by itself is a sound event, the message has these events and no others.
    """
    if not (body.startswith(_HEAD) and body.endswith(_TAIL)):
        return None
    try:
        inner = body[len(_HEAD) : -len(_TAIL)].decode()
        pieces = inner.replace(_SEAM, _CUT).split("\n") if _SEAM in inner else [inner]
        if len(pieces) > MAX_EVENTS_PER_MESSAGE:
            return None
        read = _known_types().validate_json
        return ReadEvents([_read_piece(read, piece) for piece in pieces], pieces, ())
    except ValueError:
        return None


def _read_piece(read: Any, piece: str) -> EventFields:
    try:
        return read(piece)  # type: ignore[no-any-return]
    except ValidationError:
        return fields_of(Event.model_validate_json(piece))


def _read_each(items: list[Any]) -> ReadEvents:
    events: list[EventFields] = []
    raw: list[str] = []
    rejected: list[Rejected] = []
    for item in items:
        try:
            text = json.dumps(item)
            events.append(fields_of(Event.model_validate_json(text)))
            raw.append(text)
        except ValidationError as error:
            rejected.append(_rejected(item, explain(error)))
    return ReadEvents(events, raw, rejected)


def _rejected(item: Any, reason: str) -> Rejected:
    fields = item if isinstance(item, dict) else {}
    try:
        stream = UUID(fields["stream"])
    except (KeyError, ValueError, TypeError, AttributeError):
        stream = None
    seq = fields.get("seq")
    sound = stream is not None and type(seq) is int and 1 <= seq <= 2**53
    return Rejected(json.dumps(item), reason, stream if sound else None, seq if sound else None)


# --- Schemas of plain fields

_HEX = "[0-9a-f]"
_UUID = Annotated[str, StringConstraints(pattern=f"^{_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}}$")]
_UUID7 = Annotated[
    str, StringConstraints(pattern=f"^{_HEX}{{8}}-{_HEX}{{4}}-7{_HEX}{{3}}-[89ab]{_HEX}{{3}}-{_HEX}{{12}}$")
]


@cache
def _known_types() -> TypeAdapter[EventFields]:
    """Reads an event of a known type: `type` chooses the schema of `data`."""
    schemas = [_schema(Event, id=_UUID7, type=Literal[name], data=_schema(kind)) for name, kind in EVENT_TYPES.items()]
    union: Any = Annotated[Union[tuple(schemas)], Field(discriminator="type")]  # noqa: UP007 (there is no other way)
    return TypeAdapter(union)


def _schema(model: type[Message], **instead: Any) -> Any:
    """A TypedDict of a model's fields, with other types for some."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind: Any = instead.get(name) or _plain(field.annotation)
        if field.metadata and name not in instead:
            kind = Annotated[(kind, *field.metadata)]
        fields[name] = kind if field.is_required() else NotRequired[kind]
    return TypedDict(model.__name__, fields)  # type: ignore[operator]


def _plain(annotation: Any) -> Any:
    """The type of a field without UUIDs and models."""
    if annotation is UUID:
        return _UUID
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return _schema(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return Literal[tuple(each.value for each in annotation)]
    if get_origin(annotation) in (Union, UnionType):
        return Union[tuple(_plain(part) for part in get_args(annotation))]  # noqa: UP007 (there is no other way)
    if get_origin(annotation) is tuple:
        return tuple[tuple(part if part is Ellipsis else _plain(part) for part in get_args(annotation))]  # type: ignore[misc]
    return annotation
