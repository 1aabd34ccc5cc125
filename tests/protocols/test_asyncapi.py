"""The AsyncAPI document: what is committed is what the models say, and its parts hold together (AsyncAPI 3.0.0)."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from protocols import asyncapi, topics
from protocols.events import EVENT_TYPES

DOCUMENT = json.loads(asyncapi.text())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_the_committed_document_is_what_the_models_say() -> None:
    assert asyncapi.main(["--check"]) == 0


def test_it_is_the_same_every_time() -> None:
    assert asyncapi.text() == asyncapi.text()


def test_the_root_has_what_the_standard_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    assert set(DOCUMENT) <= {
        "asyncapi",
        "id",
        "info",
        "servers",
        "defaultContentType",
        "channels",
        "operations",
        "components",
    }


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 40
    for reference in found:
        assert resolve(reference) is not None


@pytest.mark.parametrize("channel", DOCUMENT["channels"].values(), ids=DOCUMENT["channels"])
def test_a_channel_declares_just_the_parameters_of_its_address(channel: dict[str, Any]) -> None:
    assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {}))
    assert len(channel["messages"]) == 1


@pytest.mark.parametrize("operation", DOCUMENT["operations"].values(), ids=DOCUMENT["operations"])
def test_an_operation_s_messages_are_its_channel_s(operation: dict[str, Any]) -> None:
    assert operation["action"] in ("send", "receive")
    address = resolve(operation["channel"]["$ref"])["address"]
    assert (operation["action"] == "send") == ("/up/" in address)
    for message in operation["messages"]:
        assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")


def test_every_topic_of_the_layout_has_its_channel() -> None:
    corr = UUID(int=0)
    layout = {
        topics.event("g", topics.EventClass.BATCH),
        topics.state("g"),
        topics.response("g", corr),
        topics.ask("g"),
        topics.command("g", corr),
        topics.receipt("g"),
        topics.echo("g"),
        topics.credential_head("g"),
        topics.credential_delta("g"),
        topics.HUB_STATE,
    }
    values = {"{gateway}": "g", "{corr}": str(corr), "{class}": "batch"}
    addresses = set()
    for channel in DOCUMENT["channels"].values():
        address = channel["address"]
        for name, value in values.items():
            address = address.replace(name, value)
        addresses.add(address)
    assert addresses == layout


def test_every_event_type_leads_to_the_schema_of_its_data() -> None:
    rules = DOCUMENT["components"]["schemas"]["Event"]["allOf"]
    told = {
        rule["if"]["properties"]["type"]["const"]: rule["then"]["properties"]["data"]["$ref"].rsplit("/", 1)[1]
        for rule in rules
    }
    assert told == {name: model.__name__ for name, model in EVENT_TYPES.items()}


def test_an_unknown_option_is_answered_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert asyncapi.main(["--nonsense"]) == 2
    assert "--check" in capsys.readouterr().err
