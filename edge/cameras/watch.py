"""One camera's ONVIF side while the gateway runs: its motion events wake the gateway's own look, its clock is compared.

A pull point is subscribed to for ten minutes, renewed after eight (sooner where the camera grants less) with two
attempts, and made anew a minute after that failed: cameras cannot list their subscriptions, and stop sending when one
runs out. It is not cancelled after a fault, for some cameras end all of them then; only at the end. Some close the
connection when there is nothing to say. These are Home Assistant's rules. Nothing that fails here touches the video.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge.backoff import Backoff
from edge.cameras.address import CameraAddress, address_of, password_of
from edge.clock import Clock
from edge.onvif.client import OnvifClient, Refused, Unauthorised, Unreachable, Untrusted
from edge.video.config import CameraConfig
from edge.video.errors import VideoError
from edge.video.worker import Run
from protocols import onvif
from protocols.base import ProtocolError
from protocols.onvif import Subscription
from protocols.onvif_motion import MotionEvent, read_motion

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WatchTiming:
    """Time constants, in seconds.

    `pull_s`: so long the camera holds a pull back when nothing happens. `most_moving_s`: movement whose end was not
    told within this is held to be over. `locked_s`: the pause after a refused password, as cameras lock accounts.
    """

    pull_s: float = 3.0
    lifetime_s: int = 600
    renew_s: float = 480.0
    restart_s: float = 60.0
    locked_s: float = 300.0
    calm_s: float = 60.0
    clock_s: float = 480.0
    most_moving_s: float = 300.0
    haste_s: float = 0.2


class WatchState(StrEnum):
    """How it stands; the names are what the console shows."""

    CONNECTING = "connecting"
    LISTENING = "listening"
    """Its motion events come."""
    CLOCK_ONLY = "clock_only"
    """It answers and has no events, or they are not wanted."""
    WAITING = "waiting"
    """Before the next try, after a fault."""
    STOPPED = "stopped"


TRANSITIONS: dict[WatchState, frozenset[WatchState]] = {
    WatchState.CONNECTING: frozenset(
        (WatchState.LISTENING, WatchState.CLOCK_ONLY, WatchState.WAITING, WatchState.STOPPED)
    ),
    WatchState.LISTENING: frozenset((WatchState.WAITING, WatchState.STOPPED)),
    WatchState.CLOCK_ONLY: frozenset((WatchState.WAITING, WatchState.STOPPED)),
    WatchState.WAITING: frozenset((WatchState.CONNECTING, WatchState.STOPPED)),
    WatchState.STOPPED: frozenset((WatchState.CONNECTING,)),
}
"""What may follow what; a thread that crashed is begun anew from any."""

_FAULTS = (Unreachable, Untrusted, Unauthorised, Refused, ProtocolError, VideoError)


@dataclass(frozen=True)
class WatchStatus:
    """How a camera's ONVIF side is. Counters run from the gateway's start.

    `clock_offset_s` is how far its clock is ahead of ours, to the second, as read at `clock_read_s` (monotonic).
    """

    camera: str
    state: WatchState
    fault: str | None
    clock_offset_s: float | None
    clock_read_s: float | None
    moving: bool
    motions: int
    subscriptions: int


class OnvifWatch:
    """Watches one camera. `__call__` is the body of a worker's thread; `status` may be called from any.

    Args:
        camera: one with `[camera.onvif]`.
        wake: called with a reason when the camera sees movement, and every few seconds while it lasts; returns at once.
        backoff: how long to wait after the first faults; made anew by a session that held.
    """

    def __init__(
        self,
        camera: CameraConfig,
        wake: Callable[[str], None],
        clock: Clock,
        backoff: Backoff,
        timing: WatchTiming | None = None,
    ) -> None:
        self._camera, self._wake, self._clock, self._backoff = camera, wake, clock, backoff
        self._timing = timing if timing is not None else WatchTiming()
        self._state = WatchState.STOPPED
        self._fault: str | None = None
        self._clock_offset_s: float | None = None
        self._clock_read_s: float | None = None
        self._moving: dict[tuple[str, str], float] = {}
        self._motions = 0
        self._subscriptions = 0

    def status(self) -> WatchStatus:
        """How it is at this moment."""
        return WatchStatus(
            self._camera.id,
            self._state,
            self._fault,
            self._clock_offset_s,
            self._clock_read_s,
            bool(self._moving),
            self._motions,
            self._subscriptions,
        )

    def __call__(self, run: Run) -> None:
        """Watch until told to stop."""
        address = address_of(self._camera)
        if address is None:
            raise VideoError(f"camera {self._camera.id}: url names no host whose ONVIF could be asked")
        self._state = WatchState.STOPPED
        while not run.stopped:
            self._move(WatchState.CONNECTING)
            began_s = self._clock.monotonic_s()
            pause_s = self._session(address, run)
            if self._clock.monotonic_s() - began_s > self._timing.calm_s:
                self._backoff.reset()
            self._rest(run, max(pause_s, self._backoff.next_s()))
        self._move(WatchState.STOPPED)

    def _rest(self, run: Run, pause_s: float) -> None:
        self._moving.clear()
        if not run.stopped:
            self._move(WatchState.WAITING)
            run.pause(pause_s)

    def _session(self, address: CameraAddress, run: Run) -> float:
        """Connect and watch until it fails or the run is stopped; the least pause before the next try."""
        try:
            with OnvifClient(address, password_of(self._camera), self._clock) as client:
                run.beat()
                client.connect()
                self._read_clock(client)
                if self._wants_events(client):
                    self._listen(client, run)
                else:
                    self._keep_clock(client, run)
        except _FAULTS as error:
            self._note(str(error))
            if self._state is WatchState.LISTENING:  # it knew us a moment ago
                return self._timing.restart_s
            return self._timing.locked_s if isinstance(error, Unauthorised | Untrusted | VideoError) else 0.0
        return 0.0

    def _wants_events(self, client: OnvifClient) -> bool:
        return self._camera.onvif is not None and self._camera.onvif.events and client.has(onvif.EVENTS)

    def _keep_clock(self, client: OnvifClient, run: Run) -> None:
        self._begin(WatchState.CLOCK_ONLY)
        while not run.pause(self._timing.clock_s):
            self._read_clock(client)

    def _listen(self, client: OnvifClient, run: Run) -> None:
        answer = client.call(onvif.EVENTS, onvif.create_pull_point(self._timing.lifetime_s))
        subscription = onvif.read_subscription(answer)
        renew_at_s = self._renew_at_s(onvif.read_lifetime(answer))
        self._subscriptions += 1
        with contextlib.suppress(Refused):  # optional; most cameras tell the first states anyway
            client.call_subscription(subscription, onvif.set_synchronization_point())
        self._begin(WatchState.LISTENING)
        while not run.stopped:
            run.beat()
            self._pull(client, subscription, run)
            if self._clock.monotonic_s() + self._timing.pull_s >= renew_at_s:
                renew_at_s = self._renew(client, subscription, run)
                self._read_clock(client)
        with contextlib.suppress(*_FAULTS):
            client.call_subscription(subscription, onvif.unsubscribe())

    def _pull(self, client: OnvifClient, subscription: Subscription, run: Run) -> None:
        """One pull. A connection that breaks once is a camera that had nothing to say; twice in a row it is a fault."""
        began_s = self._clock.monotonic_s()
        request, patience_s = onvif.pull_messages(self._timing.pull_s), self._timing.pull_s
        try:
            answer = client.call_subscription(subscription, request, patience_s)
        except Unreachable:
            if run.pause(1.0):
                return
            answer = client.call_subscription(subscription, request, patience_s)
        events = read_motion(answer)
        for event in events:
            self._take(event)
        self._go_on()
        if not events and self._clock.monotonic_s() - began_s < self._timing.haste_s:
            run.pause(self._timing.haste_s)  # a camera that does not hold pulls back

    def _renew(self, client: OnvifClient, subscription: Subscription, run: Run) -> float:
        """Prolong the subscription; when it is due again."""
        request = onvif.renew(self._timing.lifetime_s)
        try:
            answer = client.call_subscription(subscription, request)
        except (Unreachable, Refused):
            run.pause(1.0)
            answer = client.call_subscription(subscription, request)
        return self._renew_at_s(onvif.read_lifetime(answer))

    def _renew_at_s(self, granted_s: float | None) -> float:
        wanted_s = self._timing.renew_s if granted_s is None else min(self._timing.renew_s, 0.8 * granted_s)
        return self._clock.monotonic_s() + max(1.0, wanted_s)

    def _take(self, event: MotionEvent) -> None:
        wanted = self._camera.onvif.source if self._camera.onvif is not None else None
        if wanted is not None and event.source not in ("", wanted):
            return
        key = event.topic, event.source
        if not event.active:
            self._moving.pop(key, None)
            return
        self._motions += not event.initial
        if event.lasting:
            self._moving[key] = self._clock.monotonic_s()
        self._wake(f"its own {event.topic}")

    def _go_on(self) -> None:
        """Movement that lasts is told again; one whose end was never told is over at last."""
        oldest_s = self._clock.monotonic_s() - self._timing.most_moving_s
        self._moving = {key: since_s for key, since_s in self._moving.items() if since_s > oldest_s}
        for topic, _ in list(self._moving)[:1]:
            self._wake(f"its own {topic} lasts")

    def _read_clock(self, client: OnvifClient) -> None:
        self._clock_offset_s = client.read_clock()
        self._clock_read_s = self._clock.monotonic_s()

    def _begin(self, state: WatchState) -> None:
        self._move(state)
        if self._fault is not None or self._subscriptions == 1:
            _log.info("camera %s: ONVIF %s", self._camera.id, state.value)
        self._fault = None

    def _note(self, fault: str) -> None:
        if fault != self._fault:
            _log.warning("camera %s: ONVIF: %s", self._camera.id, fault)
        self._fault = fault

    def _move(self, state: WatchState) -> None:
        if state is not self._state and state not in TRANSITIONS[self._state]:
            raise ValueError(f"a watch that is {self._state.value} does not become {state.value}")
        self._state = state
