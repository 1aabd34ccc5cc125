"""The types that every message is made of: names with their grammar, and the frozen base model.

Readers ignore fields they do not know, so that an older gateway and a newer hub understand each other; a breaking
change is a new `type` suffix or a new `v`.
"""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

MAX_MESSAGE_BYTES = 256 * 1024
"""The largest MQTT payload that either side sends or reads."""

MAX_EVENTS_PER_MESSAGE = 100
"""The largest number of events in one message; a live event travels alone."""

GatewayId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,38}$")]
"""A gateway's name: MQTT level, user name and client id. No dot, slash or wildcard, which brokers treat specially."""

DeviceId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A door, reader, camera or zone, unique within its gateway. Never a person's name."""

PlaceCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$")]
"""The register's code of a place (a gate, a lobby, a lane), opaque to the gateway."""

Hex256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Hex128 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]

Instant = AwareDatetime
"""A moment with its zone; written in UTC, RFC 3339."""


class Message(BaseModel):
    """A frozen value that was read from, or will be written to, a wire."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ProtocolError(ValueError):
    """Bytes that are not what the contract says; the text names what was expected and what came."""


def explain(error: ValidationError) -> str:
    """The first fault of a validation, in one line, without the offending value (it may be a secret)."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"]) or "message"
    return f"{where}: {first['msg']}"
