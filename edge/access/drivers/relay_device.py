"""A device with outputs that one thread of ours talks to, one session after another: what Modbus and ONVIF share."""

import threading
import time
from abc import ABC, abstractmethod

from edge.access.drivers.coils import Coils
from edge.access.drivers.interface import Deliver, Feedback, ReaderDown
from edge.access.drivers.output_commands import OutputCommands
from edge.access.priority import prefer_this_thread
from edge.backoff import Backoff
from protocols.access_events import ReaderOfflineReason


class RelayDevice(ABC):
    """A `Driver` of one reader; a make does one session.

    Args:
        make: the first part of the thread's name.
        steady_s: a session that held for so long begins the back-off anew.
        stop_s: for how long `stop` waits for the session to end.
    """

    def __init__(
        self, make: str, name: str, reader: str, coils: Coils, backoff: Backoff, steady_s: float, stop_s: float
    ) -> None:
        self._name, self._reader, self._coils, self._backoff = name, reader, coils, backoff
        self._steady_s, self._stop_s = steady_s, stop_s
        self._commands = OutputCommands(coils)
        self._thread = threading.Thread(target=self._run, name=f"{make}-{name}", daemon=True)

    @property
    def name(self) -> str:
        return self._name

    def start(self, deliver: Deliver) -> None:
        """As in `interface.Driver`."""
        self._deliver = deliver
        self._commands.begin(deliver)
        self._thread.start()

    def stop(self) -> None:
        """As in `interface.Driver`."""
        self._commands.end()
        self._thread.join(self._stop_s)

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """As in `interface.Driver`. An off that finds the device away is done when it is back."""
        if reader != self._reader or not 0 <= output < self._output_count():
            return False
        return self._commands.hand_over(output, for_s, ticket)

    def feedback(self, reader: str, feedback: Feedback) -> None:  # noqa: B027 (there is nothing to do)
        """Relays and coils show nothing."""

    @abstractmethod
    def _output_count(self) -> int:
        """How many outputs it has, as far as that is known."""

    @abstractmethod
    def _session(self) -> tuple[ReaderOfflineReason, str]:
        """Connect and work until it fails or is to stop; returns why it ended. Never raises."""

    def _pause_s(self, reason: ReaderOfflineReason) -> float:  # noqa: ARG002 (for makes that tell them apart)
        """How long to wait after a session that ended so."""
        return self._backoff.next_s()

    def _last_act(self) -> None:  # noqa: B027 (for makes that have one)
        """After the last session, on the same thread."""

    def _run(self) -> None:
        prefer_this_thread()
        while not self._commands.ending.is_set():
            began_s = time.monotonic()
            reason, detail = self._session()
            self._commands.up.clear()
            self._commands.void(detail)
            if self._commands.ending.is_set():
                break
            if time.monotonic() - began_s > self._steady_s:
                self._backoff.reset()
            self._deliver(ReaderDown(self._reader, reason, detail))
            self._commands.rest(self._pause_s(reason))
        self._last_act()
