"""Keeps one stream connected: opens it, lets it be read, and connects again after every fault.

The state table is in `states`. What is read is the owner's business; here is only whether, and why not.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from edge.backoff import Backoff
from edge.clock import Clock
from edge.video.address import Address
from edge.video.errors import StreamFault, VideoError
from edge.video.states import CameraState, Signal, after
from edge.video.stream import OPEN_TIMEOUT_S, READ_TIMEOUT_S, Stream
from edge.video.worker import Run
from protocols.events import CameraFault

_LOOK_S = 2.0
"""So often it is looked whether there is another password for a camera that refuses the one there was."""

_TRUSTED_REFUSALS = 3
"""An account that worked before may be refused so often in a row, by a camera that is starting, before it counts."""


@dataclass(frozen=True)
class Timing:
    """The time constants of reading cameras, in seconds.

    `stuck_s` is above what opening and reading may take together, so that only a decoder or a name look-up that hangs
    is given up; `calm_s` of pictures make the next fault a first one. `refused_s` is waited once a camera refuses the
    account, as for its ONVIF: cameras lock an account after five to seven tries.
    """

    open_s: float = OPEN_TIMEOUT_S
    read_s: float = READ_TIMEOUT_S
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0
    calm_s: float = 10.0
    stuck_s: float = 20.0
    refused_s: float = 300.0

    @property
    def starved_s(self) -> float:
        """How long packets may come without one sound picture: with a look every 2.2 s in sleep, noticed within 5 s."""
        return 0.8 * self.read_s


class Connection:
    """One stream's connection. `keep` is the body of a worker's thread; the rest is safe to call from any thread.

    Args:
        find: what to open; asked for every try.
        clock: the gateway's clocks.
        backoff: how long to wait after a fault.
        timing: time constants.
        lost: told of every fault, in the thread that noticed it.
    """

    def __init__(
        self,
        find: Callable[[], Address],
        clock: Clock,
        backoff: Backoff,
        timing: Timing,
        lost: Callable[[StreamFault], None],
    ) -> None:
        self._find = find
        self._clock = clock
        self._backoff = backoff
        self._timing = timing
        self._lost = lost
        self._lock = threading.Lock()
        self._state = CameraState.CONNECTING
        self._flows_since_s = 0.0
        self.fault: StreamFault | None = None
        """The last fault, until pictures come again."""
        self.faults: Counter[CameraFault] = Counter()
        self.connections = 0
        self._address: Address | None = None
        self._worked: Address | None = None
        self._refusals = 0

    @property
    def state(self) -> CameraState:
        """Where it stands."""
        return self._state

    def keep(self, run: Run, read: Callable[[Stream, Run], None]) -> None:
        """Connect and `read` until told to stop; `read` returns or raises `StreamFault` when a connection is over."""
        if self.state in (CameraState.CONNECTING, CameraState.ONLINE) and self.connections:
            self._fail(StreamFault(CameraFault.SILENT, "the camera's reader failed and was started again"), run)
        while not run.stopped:
            if self.state is not CameraState.CONNECTING:
                self._signal(Signal.RETRY, run)
            self._fail(self._once(run, read), run)
            self._pause(run)

    def flows(self, run: Run) -> bool:
        """What is expected of the stream comes; False if this thread was told to stop."""
        if self._state is CameraState.ONLINE:
            if self._clock.monotonic_s() - self._flows_since_s > self._timing.calm_s:
                self._backoff.reset()
            return not run.stopped
        if not self._signal(Signal.PICTURE, run):
            return False
        self._flows_since_s = self._clock.monotonic_s()
        self._worked = self._address
        self.fault = None
        return True

    def stuck(self) -> None:
        """The thread makes no progress and is given up: called by the supervisor."""
        self._signal(Signal.NO_PROGRESS)
        self._note(StreamFault(CameraFault.SILENT, "the decoder or the connection hangs"))

    def stop(self) -> None:
        """The stream is no longer read: the thread has ended or is given up."""
        self._signal(Signal.STOP)

    def _signal(self, signal: Signal, run: Run | None = None) -> bool:
        """Move to the next state; False, and nothing is moved, if it comes from a thread that was told to stop."""
        with self._lock:
            if run is not None and run.stopped:
                return False
            self._state = after(self._state, signal)
            return True

    def _once(self, run: Run, read: Callable[[Stream, Run], None]) -> StreamFault:
        """One connection, from opening to its end; why it ended."""
        self.connections += 1
        try:
            address = self._find()
        except VideoError as error:
            return StreamFault(CameraFault.UNAUTHORISED, str(error))
        self._address = address
        try:
            stream = Stream(address, self._clock.monotonic_s, self._timing.open_s, self._timing.read_s)
        except StreamFault as fault:
            self._refusals = self._refusals + 1 if fault.fault is CameraFault.UNAUTHORISED else 0
            return fault
        self._refusals = 0
        try:
            with stream:
                read(stream, run)
        except StreamFault as fault:
            return fault
        return StreamFault(CameraFault.ENDED, "the stream ended")

    def _pause(self, run: Run) -> None:
        """Wait for the next try; after a refusal for minutes, or until there is another password."""
        wait_s = self._backoff.next_s()
        borne = _TRUSTED_REFUSALS if self._worked == self._address else 0
        if self._refusals <= borne:
            run.pause(wait_s)
            return
        until_s = self._clock.monotonic_s() + max(wait_s, self._timing.refused_s)
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            if run.pause(min(left_s, _LOOK_S)) or self._has_another_account():
                return

    def _has_another_account(self) -> bool:
        try:
            return self._find() != self._address
        except VideoError:  # being written just now, perhaps
            return False

    def _fail(self, fault: StreamFault, run: Run) -> None:
        if self._signal(Signal.FAULT, run):
            self._note(fault)

    def _note(self, fault: StreamFault) -> None:
        self.fault = fault
        self.faults[fault.fault] += 1
        self._lost(fault)
