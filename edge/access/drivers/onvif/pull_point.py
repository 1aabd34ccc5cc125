"""The events of one session: subscribes, pulls, renews, and keeps what the configured inputs are."""

import contextlib
import threading
import time
from collections.abc import Callable

from edge.access.drivers.onvif.config import OnvifInput
from edge.onvif.client import OnvifClient, Refused, Unauthorised, Unreachable, Untrusted
from protocols import onvif
from protocols.base import ProtocolError
from protocols.onvif import Port, PortEvent

PULL_S = 2
"""So long the device holds a pull back when nothing happens; its silence is noticed `timeout_s` after."""

LIFETIME_S = 60
RENEW_S = 20.0
FIRST_STATES_S = 3.0
"""An input whose state the device has not told so long after the subscription counts as inactive."""

HASTE_S = 0.1
"""A device that does not hold pulls back is asked this often."""


class PullPoint:
    """One subscription. `subscribe` first, then `pull` in a thread of its own.

    Args:
        on_inputs: takes the state of all inputs, whenever one has changed.
        on_relay: takes what the device tells of a relay.
    """

    def __init__(
        self,
        client: OnvifClient,
        inputs: tuple[OnvifInput, ...],
        on_inputs: Callable[[tuple[bool, ...]], None],
        on_relay: Callable[[PortEvent], None],
    ) -> None:
        self._client, self._inputs = client, inputs
        self._on_inputs, self._on_relay = on_inputs, on_relay
        self._states: dict[str, bool] = {}
        self._told: tuple[bool, ...] | None = None
        self._ending = threading.Event()
        self.failure: Exception | None = None
        """Why pulling ended by itself."""

    def subscribe(self) -> None:
        """Make the pull point.

        Raises:
            Unreachable, Untrusted, Unauthorised, ProtocolError.
            Refused: also where a configured input is not there.
        """
        self._check_tokens()
        answer = self._client.call(onvif.EVENTS, onvif.create_pull_point(LIFETIME_S))
        self._subscription = onvif.read_subscription(answer)
        self._renew_at_s = time.monotonic() + RENEW_S
        self._first_until_s = time.monotonic() + FIRST_STATES_S
        with contextlib.suppress(Refused):  # optional, and most devices tell the first states anyway
            self._client.call_subscription(self._subscription, onvif.set_synchronization_point())

    def pull(self, on_failure: Callable[[], None]) -> None:
        """Pull until `end`, or until it fails: then `failure` is set and `on_failure` is called."""
        try:
            while not self._ending.is_set():
                self._pull_once()
            with contextlib.suppress(Unreachable, Untrusted, Unauthorised, Refused):
                self._client.call_subscription(self._subscription, onvif.unsubscribe())
        except Exception as error:  # noqa: BLE001 - whatever it is, the driver's own thread deals with it
            self.failure = error
            on_failure()

    def end(self) -> None:
        """Pull no more."""
        self._ending.set()

    def _pull_once(self) -> None:
        began_s = time.monotonic()
        request = onvif.pull_messages(PULL_S)
        answer = self._client.call_subscription(self._subscription, request, patience_s=PULL_S)
        events = onvif.read_messages(answer)
        for event in events:
            if event.port is Port.RELAY:
                self._on_relay(event)
            else:
                self._states[event.token] = event.active
                self._tell()
        self._tell()
        if time.monotonic() >= self._renew_at_s:
            self._client.call_subscription(self._subscription, onvif.renew(LIFETIME_S))
            self._renew_at_s = time.monotonic() + RENEW_S
        if time.monotonic() - began_s < HASTE_S and not events:
            self._ending.wait(HASTE_S)

    def _tell(self) -> None:
        known = all(each.token in self._states for each in self._inputs)
        if not known and time.monotonic() < self._first_until_s:
            return
        active = tuple(self._states.get(each.token, each.inverted) != each.inverted for each in self._inputs)
        if active != self._told:
            self._told = active
            self._on_inputs(active)

    def _check_tokens(self) -> None:
        """Where the device lists its inputs, the configured ones are among them."""
        if not self._client.has(onvif.DEVICE_IO):
            return
        try:
            there = onvif.read_digital_inputs(self._client.call(onvif.DEVICE_IO, onvif.get_digital_inputs()))
        except (Refused, ProtocolError):
            return
        missing = [each.token for each in self._inputs if each.token not in there]
        if missing:
            raise Refused(f'there is no input "{missing[0]}" (there are: {", ".join(there) or "none"}); check inputs')
