"""Events: every type is written and read back; an unknown one keeps its data; a bad one does not spoil the others."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.access_events import DoorForced
from protocols.base import MAX_EVENTS_PER_MESSAGE, ProtocolError
from protocols.event_reading import fields_of, read_events
from protocols.events import EVENT_TYPES, Clock, ClockState, Event, EventMessage, source_uri

ID = UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
STREAM = UUID("017f22e2-79b0-7cc3-98c4-dc0c0c073990")


def event(seq: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(ID),
        "source": source_uri("east", "d1"),
        "type": "door.forced.v1",
        "time": "2026-05-01T08:00:00Z",
        "subject": "d1",
        "gateway": "east",
        "place": "gate-east",
        "stream": str(STREAM),
        "seq": seq,
        "clock": {"state": "synced", "monotonic_ms": 5},
        "data": {},
    } | changes


def message(*events: Any) -> bytes:
    return json.dumps({"v": 1, "events": events}).encode()


def test_an_event_is_written_with_cloudevents_names_and_read_back() -> None:
    made = Event(
        id=ID,
        source=source_uri("east", "d1"),
        type=DoorForced.TYPE,
        time=datetime(2026, 5, 1, 8, tzinfo=UTC),
        subject="d1",
        gateway="east",
        place="gate-east",
        stream=STREAM,
        seq=1,
        clock=Clock(state=ClockState.SYNCED, monotonic_ms=5),
        data=DoorForced(),
    )
    body = EventMessage(v=1, events=(made,)).model_dump_json().encode()
    assert read_events(body).events == [fields_of(made)]
    assert EventMessage.model_validate_json(body).events == (made,)
    assert json.loads(body)["events"][0].keys() >= {"specversion", "id", "source", "type", "time", "subject", "data"}


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_type_s_name_version_and_class_are_told(name: str) -> None:
    kind = EVENT_TYPES[name]
    assert (kind.TYPE, name.rsplit(".", 1)[1]) == (name, "v1")
    assert kind.EVENT_CLASS.value in ("access", "alarm", "video", "device")


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_no_type_has_room_for_who_a_person_is(name: str) -> None:
    forbidden = {"name", "person", "face", "category", "id_number", "phone", "ethnicity", "religion", "score_of_person"}
    assert forbidden.isdisjoint(EVENT_TYPES[name].model_fields)


def test_an_unknown_type_keeps_its_data() -> None:
    read = read_events(message(event(type="lift.stuck.v3", data={"floor": 7})))
    assert (read.events[0]["data"], read.rejected) == ({"floor": 7}, ())


def test_unknown_fields_are_ignored_but_kept_in_the_raw_text() -> None:
    read = read_events(message(event(later="field")))
    assert json.loads(read.raw[0])["later"] == "field"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "b3d1f5f0-0000-4000-8000-000000000000"},
        {"seq": 0},
        {"seq": 2**53 + 1},
        {"gateway": "East"},
        {"time": "2026-05-01T08:00:00"},
        {"type": "door.forced"},
        {"data": []},
        {"subject": "张三"},
    ],
)
def test_a_bad_event_is_rejected_with_its_place_and_the_others_are_read(changes: dict[str, Any]) -> None:
    read = read_events(message(event(1), event(2) | changes, event(3)))
    assert [each["seq"] for each in read.events] == [1, 3]
    [rejected] = read.rejected
    assert rejected.reason
    assert rejected.stream == (None if changes.get("seq") in (0, 2**53 + 1) else STREAM)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        message(),
        b'{"v":2,"events":[{}]}',
        b'{"v":1,"events":{}}',
        b"[" * 100_000,
        message(*[{}] * (MAX_EVENTS_PER_MESSAGE + 1)),
    ],
)
def test_what_is_no_message_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_events(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["v", "events", "id", "seq", "stream", "data", "type"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_raises_anything_else(content: Any) -> None:
    for body in (json.dumps(content).encode(), message(content)):
        with contextlib.suppress(ProtocolError):
            read = read_events(body)
            assert len(read.events) == len(read.raw)
