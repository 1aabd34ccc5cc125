"""Fields are read as the models read them: the same events are taken, with the same content, and no others."""

import json
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.base import Instant, Message
from protocols.event_reading import EventFields, _known_types, fields_of, read_events
from protocols.events import EVENT_TYPES, Event, OutboxGap
from tests.protocols.test_events import event

CREDENTIAL = "017f22e2-79b0-7cc3-98c4-dc0c0c073991"
ODD = (None, True, -1, 0, 1, 1.5, "", "x", "1", CREDENTIAL, CREDENTIAL.upper(), CREDENTIAL.replace("-", ""), [], {})
LENGTHS = {"sha256": 64, "credential_hash": 32}


def sample(annotation: Any, name: str = "") -> Any:
    """A value that a field of this type takes."""
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return sample(get_args(annotation)[0], name)
    if get_origin(annotation) is tuple:
        return [sample(get_args(annotation)[0], name)]
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return data_of(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return next(iter(annotation)).value
    if annotation is Instant:
        return "2026-05-01T08:00:00Z"
    return {UUID: CREDENTIAL, int: 7, float: 0.5, bool: True, str: "a" * LENGTHS.get(name, 1)}.get(annotation, {})


def data_of(model: type[Message]) -> dict[str, Any]:
    if model is OutboxGap:
        return {"reason": "quota", "ranges": [[1, 2], [5, 9]], "dropped": {"video": 7}}
    return {name: sample(field.annotation, name) for name, field in model.model_fields.items()}


def message(item: dict[str, Any]) -> bytes:
    """As a gateway writes it."""
    return b'{"v":1,"events":[' + json.dumps(item, separators=(",", ":")).encode() + b"]}"


def without_nones(fields: Any) -> Any:
    if isinstance(fields, dict):
        return {key: without_nones(value) for key, value in fields.items() if value is not None}
    return [without_nones(each) for each in fields] if isinstance(fields, list | tuple) else fields


def by_model(item: dict[str, Any]) -> EventFields | None:
    try:
        return fields_of(Event.model_validate_json(json.dumps(item)))
    except ValidationError:
        return None


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_an_event_of_each_type_is_read_without_its_model(name: str) -> None:
    item = {"specversion": "1.0"} | event(type=name, data=data_of(EVENT_TYPES[name]))
    read = _known_types().validate_json(json.dumps(item))
    assert without_nones(read) == without_nones(by_model(item))


@given(st.sampled_from(sorted(EVENT_TYPES)), st.data())
def test_whatever_a_field_holds_the_models_decide(name: str, data: st.DataObject) -> None:
    item = {"specversion": "1.0"} | event(type=name, data=data_of(EVENT_TYPES[name]))
    inner = data.draw(st.booleans()) and item["data"]
    changed = item["data"] if inner else item
    field = data.draw(st.sampled_from(sorted(changed)))
    if data.draw(st.booleans()):
        changed[field] = data.draw(st.sampled_from(ODD))
    else:
        del changed[field]
    wanted, read = by_model(item), read_events(message(item))
    assert len(read.events) == (wanted is not None)
    if wanted is not None:
        fields = read.events[0]  # what has a default may be missing
        assert without_nones({**wanted, **fields, "data": {**wanted["data"], **fields["data"]}}) == without_nones(
            wanted
        )
