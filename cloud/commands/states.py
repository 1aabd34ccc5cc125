"""The states of a command, the only ways from one to another, and the hub's own reasons for an end."""

from enum import StrEnum


class CommandState(StrEnum):
    """What a guard sees."""

    SENT = "sent"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    NO_ANSWER = "no_answer"


class HubCode(StrEnum):
    """Why the hub did not send a command, or gave it up; a gateway's own are `protocols.commands.FailureCode`."""

    GATEWAY_UNKNOWN = "gateway_unknown"
    GATEWAY_REVOKED = "gateway_revoked"
    GATEWAY_OFFLINE = "gateway_offline"
    GATEWAY_TOO_OLD = "gateway_too_old"
    """Its program does not know the command."""
    BROKER_AWAY = "broker_away"
    NO_ANSWER = "no_answer"


FINAL = frozenset({CommandState.DONE, CommandState.FAILED, CommandState.EXPIRED})

_ENDS = (CommandState.DONE, CommandState.FAILED, CommandState.EXPIRED)
_NEXT: dict[CommandState, tuple[CommandState, ...]] = {
    CommandState.SENT: (CommandState.ACCEPTED, *_ENDS, CommandState.NO_ANSWER),
    CommandState.ACCEPTED: (*_ENDS, CommandState.NO_ANSWER),
    CommandState.NO_ANSWER: _ENDS,  # an answer that came late still says what happened at the door
    CommandState.DONE: (),
    CommandState.FAILED: (),
    CommandState.EXPIRED: (),
}


def may_become(now: CommandState, then: CommandState) -> bool:
    """Whether a command in state `now` may go over to `then`."""
    return then in _NEXT[now]


def before(then: CommandState) -> tuple[CommandState, ...]:
    """The states from which a command may go over to `then`."""
    return tuple(state for state in CommandState if may_become(state, then))
