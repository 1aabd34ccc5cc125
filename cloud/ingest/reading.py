"""From a message's topic and bytes to what ingest stores: checks the seal, then the content.

It never raises for content: what is refused becomes a `Refusal` with a named reason. Logs tell reason and gateway,
never the payload.
"""

import json
import logging
from functools import lru_cache
from typing import Protocol, TypeVar
from uuid import UUID

from pydantic import ValidationError

from cloud.ingest.arrival import arrival_of
from cloud.ingest.batch import Answer, Intake, Presence, Question, Refusal, Refused
from protocols import sealing
from protocols.base import MAX_MESSAGE_BYTES, Message, ProtocolError, explain
from protocols.commands import Ask, Reply
from protocols.event_reading import EventFields, read_events
from protocols.presence import GatewayState
from protocols.sealing import MacKey
from protocols.topics import Channel, UpTopic, parse_up

_logger = logging.getLogger(__name__)

_TOPICS_REMEMBERED = 4096
_MAX_SESSION = 2**53
_SEAL_HEAD = b"gh1 "
_M = TypeVar("_M", bound=Message)


class KeySource(Protocol):
    """Where the gateways' message keys are looked up."""

    def key(self, gateway_id: str) -> MacKey | None:
        """The gateway's present key; None for one that is unknown or revoked."""
        ...


class MessageReader:
    """Reads the messages of all gateways. Used by one thread."""

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self._parse_up = lru_cache(_TOPICS_REMEMBERED)(parse_up)

    def read(self, topic: str, payload: bytes, intake: Intake) -> None:
        """Put what a message holds, or why it is refused, into `intake`."""
        try:
            where = self._parse_up(topic)
        except ProtocolError as error:
            return self._refuse(intake, None, topic, payload, Refused.UNKNOWN_TOPIC, str(error))
        if len(payload) > MAX_MESSAGE_BYTES:
            detail = f"{len(payload)} bytes, more than {MAX_MESSAGE_BYTES}"
            return self._refuse(intake, where.gateway, topic, payload, Refused.OVERSIZED, detail)
        key = self._keys.key(where.gateway)
        if key is None:
            detail = "no such gateway is enrolled, or it was revoked"
            return self._refuse(intake, where.gateway, topic, payload, Refused.UNKNOWN_GATEWAY, detail)
        try:
            body = sealing.open_with_mac(topic, payload, key)
        except sealing.BadSeal as error:
            return self._refuse(intake, where.gateway, topic, payload, Refused.BAD_SIGNATURE, str(error))
        except ProtocolError as error:
            reason = Refused.MALFORMED if payload.startswith(_SEAL_HEAD) else _unsealed_reason(payload)
            return self._refuse(intake, where.gateway, topic, payload, reason, str(error))
        return self._read_body(where, topic, body, intake)

    def _read_body(self, where: UpTopic, topic: str, body: bytes, intake: Intake) -> None:
        try:
            match where.channel:
                case Channel.EVENT:
                    self._read_events(where.gateway, topic, body, intake)
                case Channel.STATE:
                    intake.presence.append(Presence(where.gateway, _read_state(body)))
                case Channel.RESPONSE:
                    intake.answers.append(Answer(where.gateway, _read_reply(body, where.detail)))
                case Channel.ASK:
                    intake.questions.append(Question(where.gateway, _read(Ask, body)))
        except ProtocolError as error:
            reason = Refused.UNKNOWN_VERSION if _is_other_version(body) else Refused.MALFORMED
            self._refuse(intake, where.gateway, topic, body, reason, str(error))

    def _read_events(self, gateway: str, topic: str, body: bytes, intake: Intake) -> None:
        read = read_events(body)
        for event, raw in zip(read.events, read.raw, strict=True):
            if event["gateway"] == gateway:
                intake.arrivals.append(arrival_of(event, raw))
            else:
                self._refuse_event(intake, gateway, topic, event, raw)
        for bad in read.rejected:
            _log(gateway, Refused.BAD_EVENT, bad.reason)
            raw_bytes = bad.raw.encode("utf-8", "backslashreplace")
            intake.refusals.append(
                Refusal(gateway, topic, Refused.BAD_EVENT, bad.reason, raw_bytes, bad.stream, bad.seq)
            )

    def _refuse_event(self, intake: Intake, gateway: str, topic: str, event: EventFields, raw: str) -> None:
        detail = f"the event names gateway {event['gateway']}"
        _log(gateway, Refused.OTHER_GATEWAY, detail)
        intake.refusals.append(
            Refusal(gateway, topic, Refused.OTHER_GATEWAY, detail, raw.encode(), UUID(event["stream"]), event["seq"])
        )

    def _refuse(
        self, intake: Intake, gateway: str | None, topic: str, payload: bytes, reason: Refused, detail: str
    ) -> None:
        _log(gateway, reason, detail)
        intake.refusals.append(Refusal(gateway, topic, reason, detail, payload))


def _log(gateway: str | None, reason: Refused, detail: str) -> None:
    _logger.warning("refused a message of gateway %s: %s (%.200s)", gateway or "?", reason.value, detail)


def _read(model: type[_M], body: bytes) -> _M:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"{model.__name__}: {explain(error)}") from error


def _read_state(body: bytes) -> GatewayState:
    state = _read(GatewayState, body)
    if state.session > _MAX_SESSION:
        raise ProtocolError(f"GatewayState: session is larger than {_MAX_SESSION}")
    return state


def _read_reply(body: bytes, corr: str) -> Reply:
    reply = _read(Reply, body)
    if str(reply.corr) != corr:
        raise ProtocolError("Reply: corr is not the topic's")
    return reply


def _unsealed_reason(payload: bytes) -> Refused:
    """A frame `gh2 ...` is of another version; anything else is no frame."""
    is_frame = payload[:2] == b"gh" and payload[2:3].isdigit()
    return Refused.UNKNOWN_VERSION if is_frame else Refused.MALFORMED


def _is_other_version(body: bytes) -> bool:
    try:
        outer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(outer, dict) and outer.get("v", 1) != 1
