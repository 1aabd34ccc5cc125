"""The states of a camera's connection, as a table. The names are what the console shows."""

from enum import StrEnum


class CameraState(StrEnum):
    """Where a camera's connection stands."""

    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"
    STUCK = "stuck"
    STOPPED = "stopped"


class Signal(StrEnum):
    """What moves a camera's connection from state to state."""

    PICTURE = "picture"
    FAULT = "fault"
    RETRY = "retry"
    NO_PROGRESS = "no_progress"
    STOP = "stop"


TRANSITIONS: dict[CameraState, dict[Signal, CameraState]] = {
    CameraState.CONNECTING: {
        Signal.PICTURE: CameraState.ONLINE,
        Signal.FAULT: CameraState.WAITING,
        Signal.NO_PROGRESS: CameraState.STUCK,
        Signal.STOP: CameraState.STOPPED,
    },
    CameraState.ONLINE: {
        Signal.PICTURE: CameraState.ONLINE,
        Signal.FAULT: CameraState.WAITING,
        Signal.NO_PROGRESS: CameraState.STUCK,
        Signal.STOP: CameraState.STOPPED,
    },
    CameraState.WAITING: {
        Signal.RETRY: CameraState.CONNECTING,
        Signal.NO_PROGRESS: CameraState.STUCK,
        Signal.STOP: CameraState.STOPPED,
    },
    CameraState.STUCK: {
        Signal.RETRY: CameraState.CONNECTING,
        Signal.STOP: CameraState.STOPPED,
    },
    CameraState.STOPPED: {
        Signal.STOP: CameraState.STOPPED,
    },
}


def after(state: CameraState, signal: Signal) -> CameraState:
    """The state that follows.

    Raises:
        ValueError: if the signal has no meaning in that state, which is a fault of this program.
    """
    try:
        return TRANSITIONS[state][signal]
    except KeyError:
        raise ValueError(f"camera state {state.value} knows no signal {signal.value}") from None
