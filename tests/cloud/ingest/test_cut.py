"""A message is cut at its seams only where that changes nothing: the events and their text are the parsed ones."""

import json
from typing import Any

import pytest

from protocols.event_reading import fields_of, read_events
from protocols.events import Event, EventMessage
from tests.support.events import FakeGateway, granted, new_id, opened

SEAM = '},{"specversion":"1.0"'


def written(*events: Event, **fields: Any) -> bytes:
    """As a gateway writes it, with fields of a later version in each event."""
    items = [event.model_dump(mode="json") | fields for event in events]
    return ('{"v":1,"events":[' + ",".join(json.dumps(item, separators=(",", ":")) for item in items) + "]}").encode()


@pytest.mark.parametrize("fields", [{}, {"later": "field"}, {"later": SEAM}, {"later": "门\n"}, {"later": [{}, {}]}])
def test_events_and_their_text_are_those_of_the_message(fields: dict[str, Any]) -> None:
    gateway = FakeGateway("g1")
    body = written(gateway.event(opened()), gateway.event(granted(new_id())), gateway.event(opened()), **fields)
    read = read_events(body)
    assert [dict(event) for event in read.events] == [
        fields_of(each) for each in EventMessage.model_validate_json(body).events
    ]
    assert [json.loads(raw) for raw in read.raw] == json.loads(body)["events"]
    assert read.rejected == ()


def test_two_events_cannot_hide_in_one_piece() -> None:
    gateway = FakeGateway("g1")
    one, two = gateway.event(opened()).model_dump_json(), gateway.event(opened()).model_dump_json()
    for between in (" , ", ",\n"):
        assert len(read_events(f'{{"v":1,"events":[{one}{between}{two}]}}'.encode()).events) == 2
