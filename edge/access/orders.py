"""What the doors' thread is asked for by others: commands of operators, news of the clock."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from edge.access.outputs import Answer
from protocols.access_events import DoorMode


@dataclass(frozen=True)
class ReleaseOrder:
    """Release a door once, for its time."""

    door: str
    corr: UUID
    answer: Answer


@dataclass(frozen=True)
class ModeOrder:
    """Put a door into a mode until a moment (seconds since the epoch; None: until the next such order)."""

    door: str
    mode: DoorMode
    until_s: float | None
    corr: UUID
    answer: Answer


@dataclass(frozen=True)
class LockdownOrder:
    """Begin or end the lockdown of every door."""

    active: bool
    corr: UUID
    answer: Answer


@dataclass(frozen=True)
class ForgiveOrder:
    """Forget who is in an area; None: in every area."""

    area: str | None
    answer: Answer


@dataclass(frozen=True)
class LookAgain:
    """The wall clock jumped: what goes by it is to be looked at again."""


@dataclass(frozen=True)
class Stop:
    """End."""


Order = ReleaseOrder | ModeOrder | LockdownOrder | ForgiveOrder | LookAgain | Stop
MakeOrder = Callable[[Answer], Order]
