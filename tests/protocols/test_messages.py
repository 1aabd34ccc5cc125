"""Presence, commands and answers: what is written is read back, and what breaks the contract is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from protocols import topics
from protocols.commands import Action, Ask, Command, DoorRelease, FailureCode, Reply, ReplyState, Want
from protocols.events import ClockState
from protocols.presence import CredentialsApplied, Echo, GatewayState, HubState, Presence

NOW = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)


def command(**changes: Any) -> dict[str, Any]:
    corr = uuid4()
    fields: dict[str, Any] = {
        "corr": corr,
        "nonce": "0" * 32,
        "issued": NOW,
        "expires": NOW + timedelta(seconds=8),
        "issued_by": str(UUID(int=1)),
        "reply_to": topics.response("east", corr),
        "action": Action.DOOR_RELEASE,
        "args": DoorRelease(door="d1"),
    }
    return fields | changes


MESSAGES = [
    Command(**command()),
    Reply(corr=uuid4(), state=ReplyState.FAILED, time=NOW, reason="the door is held"),
    Reply(corr=uuid4(), state=ReplyState.FAILED, time=NOW, reason="no such door", code=FailureCode.UNKNOWN_DOOR),
    Ask(want=Want.CREDENTIALS, have=0),
    GatewayState(state=Presence.OFFLINE, session=3),
    GatewayState(
        state=Presence.ONLINE,
        session=3,
        version="0.1",
        stream=uuid4(),
        outbox_rows=4,
        clock=ClockState.UNSYNCED,
        credentials=CredentialsApplied(version=2, digest="a" * 64),
    ),
    HubState(state=Presence.ONLINE, session=1),
    Echo(nonce="0" * 32, time=NOW),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_back_and_unknown_fields_are_ignored(message: Any) -> None:
    kind = type(message)
    assert kind.model_validate_json(message.model_dump_json()) == message
    assert kind.model_validate({**message.model_dump(mode="json"), "of_a_later_version": 1}) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_of_another_version_is_refused(message: Any) -> None:
    with pytest.raises(ValidationError):
        type(message).model_validate({**message.model_dump(mode="json"), "v": 2})


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "0" * 31},
        {"nonce": "G" * 32},
        {"issued": NOW.replace(tzinfo=None)},
        {"issued_by": "张三"},
        {"action": "door.weld"},
        {"args": {"door": "../d1"}},
        {"args": {}},
        {"reply_to": "x" * 201},
    ],
)
def test_a_command_that_breaks_the_contract_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Command(**command(**changes))


@pytest.mark.parametrize("session", [0, -1])
def test_a_session_counts_from_one(session: int) -> None:
    with pytest.raises(ValidationError):
        HubState(state=Presence.ONLINE, session=session)


def test_a_message_is_frozen() -> None:
    with pytest.raises(ValidationError):
        MESSAGES[0].corr = uuid4()  # type: ignore[union-attr]  # that it fails is what is tested


def test_a_reply_of_an_older_gateway_has_no_code_and_of_a_newer_one_perhaps_another() -> None:
    old = Reply.model_validate_json(f'{{"corr":"{uuid4()}","state":"failed","time":"2026-05-01T00:00:00Z"}}')
    new = Reply.model_validate_json(
        f'{{"corr":"{uuid4()}","state":"failed","time":"2026-05-01T00:00:00Z","code":"strike_jammed"}}'
    )
    assert (old.code, new.code) == (None, "strike_jammed")
