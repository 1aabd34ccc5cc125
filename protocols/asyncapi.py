"""The contract as an AsyncAPI 3.0 document, generated from the models: `docs/asyncapi.json`.

    python -m protocols.asyncapi            print it
    python -m protocols.asyncapi --write    write docs/asyncapi.json
    python -m protocols.asyncapi --check    exit status 1 if that file is not what would be written

JSON, because YAML would need a package that this folder may not import; AsyncAPI takes either. Operations are told from
the gateway's side. Schemas describe the JSON body, which follows the seal's head line (`protocols.sealing`).
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from protocols import topics
from protocols.base import Message
from protocols.commands import Ask, Command, Reply
from protocols.credentials import Delta, Head
from protocols.events import EVENT_TYPES, EventMessage
from protocols.presence import Echo, GatewayState, HubState
from protocols.receipts import Receipt

FILE = Path("docs/asyncapi.json")
_REF = "#/components/schemas/{model}"
_ANY_CORR = UUID(int=0)
_SEALED = "application/vnd.gatehouse.sealed"
Document = dict[str, Any]


@dataclass(frozen=True)
class _Channel:
    id: str
    address: str
    message: type[Message]
    from_gateway: bool
    retained: bool
    text: str


def _address(topic: str) -> str:
    return topic.replace("GATEWAY", "{gateway}").replace(str(_ANY_CORR), "{corr}").replace("batch", "{class}")


_CHANNELS = (
    _Channel(
        "events",
        topics.event("GATEWAY", topics.EventClass.BATCH),
        EventMessage,
        True,
        False,
        "Events: one when live, up to a hundred when an outage is made up for (class batch).",
    ),
    _Channel("gatewayState", topics.state("GATEWAY"), GatewayState, True, True, "Birth and last will of a gateway."),
    _Channel("replies", topics.response("GATEWAY", _ANY_CORR), Reply, True, False, "Answers to one command."),
    _Channel("questions", topics.ask("GATEWAY"), Ask, True, False, "What follows the version that the gateway has?"),
    _Channel(
        "commands",
        topics.command("GATEWAY", _ANY_CORR),
        Command,
        False,
        False,
        "A command of seconds; refused after its end, and a second time.",
    ),
    _Channel("receipts", topics.receipt("GATEWAY"), Receipt, False, False, "Which events the outbox may delete."),
    _Channel("echoes", topics.echo("GATEWAY"), Echo, False, False, "The nonce of a birth, and the hub's time."),
    _Channel(
        "credentialHead", topics.credential_head("GATEWAY"), Head, False, True, "The newest credential set's digest."
    ),
    _Channel(
        "credentialDeltas",
        topics.credential_delta("GATEWAY"),
        Delta,
        False,
        False,
        "What leads from one version of the credential set to the next.",
    ),
    _Channel("hubState", topics.HUB_STATE, HubState, False, True, "The hub's presence; outboxes stay shut without it."),
)

_PARAMETERS: Document = {
    "gateway": {"description": "The gateway's name, which is its user name and client id at the broker."},
    "corr": {"description": "The command's correlation id, a UUID."},
    "class": {"description": "What the events are about.", "enum": [str(kind) for kind in topics.EventClass]},
}


def document() -> Document:
    """The whole document; the same for the same models."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Gatehouse: gateway and hub",
            "version": "1.0.0",
            "description": "MQTT 3.1.1, QoS 1. A payload is one head line and a JSON body: "
            "'gh1 ALGORITHM KEY CODE' and a line feed; the code covers algorithm, key, topic and body. "
            "docs/contract.md tells the rest.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _SEALED,
        "channels": {channel.id: _channel(channel) for channel in _CHANNELS},
        "operations": {_operation_id(channel): _operation(channel) for channel in _CHANNELS},
        "components": {
            "messages": {channel.message.__name__: _message(channel) for channel in _CHANNELS},
            "schemas": _schemas(),
        },
    }


def text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _channel(channel: _Channel) -> Document:
    address = _address(channel.address)
    name = channel.message.__name__
    described: Document = {
        "address": address,
        "description": channel.text,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }
    parameters = {key: value for key, value in _PARAMETERS.items() if f"{{{key}}}" in address}
    return {**described, "parameters": parameters} if parameters else described


def _operation_id(channel: _Channel) -> str:
    return ("send" if channel.from_gateway else "receive") + channel.id[0].upper() + channel.id[1:]


def _operation(channel: _Channel) -> Document:
    return {
        "action": "send" if channel.from_gateway else "receive",
        "channel": {"$ref": f"#/channels/{channel.id}"},
        "messages": [{"$ref": f"#/channels/{channel.id}/messages/{channel.message.__name__}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }


def _message(channel: _Channel) -> Document:
    seal = "HMAC-SHA256 under the gateway's key" if channel.from_gateway else "the hub's Ed25519 signature"
    return {
        "name": channel.message.__name__,
        "summary": (channel.message.__doc__ or channel.text).strip().splitlines()[0],
        "description": f"Sealed with {seal}.",
        "contentType": _SEALED,
        "payload": {"$ref": _REF.format(model=channel.message.__name__)},
    }


def _schemas() -> Document:
    models: list[type[BaseModel]] = [channel.message for channel in _CHANNELS]
    models += EVENT_TYPES.values()
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    schemas: Document = found["$defs"]
    event = schemas["Event"]
    event["properties"]["data"] = {
        "type": "object",
        "description": "By `type`; an unknown type's data is kept as it is.",
    }
    event["allOf"] = [
        {
            "if": {"properties": {"type": {"const": name}}},
            "then": {"properties": {"data": {"$ref": _REF.format(model=model.__name__)}}},
        }
        for name, model in sorted(EVENT_TYPES.items())
    ]
    return schemas


def main(words: list[str]) -> int:
    """The command; the exit status."""
    if words == ["--write"]:
        FILE.write_text(text(), encoding="utf-8")
    elif words == ["--check"]:
        if not FILE.exists() or FILE.read_text(encoding="utf-8") != text():
            sys.stderr.write(f"{FILE} is not what the models say; run: python -m protocols.asyncapi --write\n")
            return 1
    elif words:
        sys.stderr.write(__doc__ or "")
        return 2
    else:
        sys.stdout.write(text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
