"""Commands for a device's outputs: from any thread in, and out by the one thread that talks to the device.

While the device is away an "on" is refused, so that none opens a door late; an "off" is kept for when it is back.
"""

import contextlib
import queue
import threading
import time
from dataclasses import dataclass

from edge.access.drivers.coils import Coils
from edge.access.drivers.interface import Deliver, OutputDone

MAX_WAITING_COMMANDS = 64
"""More commands than this, and the newest is refused."""


@dataclass(frozen=True)
class _Command:
    output: int
    for_s: float | None
    ticket: int | None
    """None: an off that came while the device was away; nobody waits for its answer."""


class OutputCommands:
    """The commands of one device; `hand_over`, `end` and `wake` may be called from any thread."""

    def __init__(self, coils: Coils) -> None:
        self.coils = coils
        self.up = threading.Event()
        """Whether the device takes commands."""
        self.ending = threading.Event()
        """Whether the driver is to stop."""
        self._waiting: queue.Queue[_Command | None] = queue.Queue(MAX_WAITING_COMMANDS)
        self._deliver: Deliver = _forget

    def begin(self, deliver: Deliver) -> None:
        """Answer commands to `deliver` from now on."""
        self._deliver = deliver

    def end(self) -> None:
        """The driver is to stop."""
        self.ending.set()
        self.wake()

    def wake(self) -> None:
        """End the wait of whoever takes commands."""
        with contextlib.suppress(queue.Full):  # whoever takes from a full one wakes anyway
            self._waiting.put_nowait(None)

    def hand_over(self, output: int, for_s: float | None, ticket: int) -> bool:
        """Take a command, as `Driver.set_output` does; `output` is one of the device's."""
        up = self.up.is_set()
        if not up and for_s is not None:
            return False
        try:
            self._waiting.put_nowait(_Command(output, for_s, ticket if up else None))
        except queue.Full:
            return False
        return up

    def take(self, wait_s: float) -> None:
        """Wait for a command for at most `wait_s` seconds, and give all that are there to the coils."""
        try:
            self._take(self._waiting.get(timeout=wait_s) if wait_s > 0 else self._waiting.get_nowait())
            for _ in range(MAX_WAITING_COMMANDS):
                self._take(self._waiting.get_nowait())
        except queue.Empty:
            return

    def void(self, why: str) -> None:
        """The connection is gone, or new: nothing that waited is done any more, and an off among it is kept."""
        self.take(0.0)
        self.fail(self.coils.forget(), why)

    def fail(self, tickets: list[int], why: str) -> None:
        """Answer that these commands were not carried out."""
        for ticket in tickets:
            self._deliver(OutputDone(ticket, False, why, None))

    def rest(self, wait_s: float) -> None:
        """Wait before the next try to reach the device; offs that come meanwhile are kept."""
        until_s = time.monotonic() + wait_s
        while not self.ending.is_set() and (left_s := until_s - time.monotonic()) > 0:
            self.take(left_s)

    def _take(self, command: _Command | None) -> None:
        if command is None:
            return
        if command.ticket is None:
            self.coils.end(command.output)
        else:
            replaced = self.coils.command(command.output, command.for_s, command.ticket)
            self.fail(replaced, "a later command took its place")


def _forget(_event: object) -> None:
    """Nobody listens before the driver starts."""
