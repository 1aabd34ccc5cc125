"""One door at work: its machine, who is expected to pass, and what it was told to be."""

import math
from collections.abc import Iterator

from edge.access.config import Door
from edge.access.door import DoorMachine, DoorState
from edge.access.modes import Commanded, StandingMode
from edge.access.passages import Passages
from edge.access.status import DoorStatus


class DoorAtWork:
    """Owned by the doors' thread; `status` is for any."""

    def __init__(self, config: Door) -> None:
        self.config = config
        self.machine = DoorMachine(
            config.release_s,
            config.held_after_s,
            config.relock,
            has_contact=config.contact is not None,
            warn_before_held_s=config.warn_before_held_s,
        )
        self.passages = Passages()
        self.mode = StandingMode()
        self.commanded: Commanded | None = None
        self.fire = False

    @property
    def id(self) -> str:
        return self.config.id

    @property
    def strike_reader(self) -> str:
        return self.config.strike.reader

    @property
    def deadline_s(self) -> float:
        """When its timers want to run (monotonic); infinity: never."""
        due_s = self.machine.deadline_s
        return min(math.inf if due_s is None else due_s, self.passages.deadline_s)

    @property
    def shows_passing(self) -> bool:
        """Whether its contact will tell who passes; not without one, nor while it stands open or free."""
        stands_open = self.machine.state in (DoorState.OPEN, DoorState.HELD, DoorState.FORCED)
        return self.config.contact is not None and not stands_open and self.machine.strike_left_s(0.0) != math.inf

    def status(self) -> DoorStatus:
        machine = self.machine
        return DoorStatus(
            self.config.id,
            self.config.place,
            machine.state,
            machine.strike_on,
            machine.contact_open,
            machine.mode,
            self.mode.cause,
        )


def in_interlock(door: DoorAtWork, groups: dict[str, str], doors: dict[str, DoorAtWork]) -> Iterator[DoorAtWork]:
    """The other doors of its interlock; `groups` names the interlock of each door that has one."""
    group = groups.get(door.id)
    if group is not None:
        for other in doors.values():
            if other is not door and groups.get(other.id) == group:
                yield other
