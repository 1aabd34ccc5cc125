"""Relays and digital inputs of ONVIF cameras and intercoms.

The thread `onvif-<device>` connects, carries out commands and ends pulses; `onvif-<device>-events` pulls what the
inputs do, where inputs are configured. Where a relay can be made monostable it gets the pulse's length too, so that it
falls back by itself should the gateway die; we switch it off all the same. Either thread's failure ends the session of
both.
"""

import contextlib
import math
import random
import threading
import time
from dataclasses import replace

from edge.access.config import ConfigFault, KeyFileFault, Reader
from edge.access.drivers.coils import Coils, Write
from edge.access.drivers.interface import (
    DoorOpenedByDevice,
    Driver,
    DriverContext,
    InputsReported,
    OutputDone,
    OutputsForgotten,
    ReaderUp,
)
from edge.access.drivers.onvif.config import OnvifDevice
from edge.access.drivers.onvif.pull_point import PullPoint
from edge.access.drivers.relay_device import RelayDevice
from edge.access.secret_files import read_secret
from edge.backoff import Backoff
from edge.clock import Clock
from edge.onvif.client import OnvifClient, Refused, Unauthorised, Unreachable, Untrusted, trust
from protocols import onvif
from protocols.access_events import ReaderOfflineReason
from protocols.base import ProtocolError
from protocols.onvif import PortEvent, RelayMode, RelayOutput

MAX_OUTPUTS = 16
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 30.0
STEADY_S = 20.0
"""A session that held for so long begins the back-off anew."""

UNAUTHORISED_RETRY_S = 300.0
"""Devices lock an account after five to seven wrong passwords within half an hour."""

KEEPALIVE_S = 10.0
"""A device whose events are not read is asked for its relays this often."""

OWN_EVENT_S = 5.0
"""A relay's event this soon after we let it go is still about our own switching."""

STOP_S = 15.0


class OnvifDriver(RelayDevice):
    """One device."""

    def __init__(self, device: OnvifDevice, reader: str, password: str, clock: Clock) -> None:
        coils = Coils(len(device.relays) or MAX_OUTPUTS)
        backoff = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S, random.random)
        super().__init__("onvif", device.id, reader, coils, backoff, STEADY_S, STOP_S)
        self._device, self._password, self._clock = device, password, clock
        self._relays: list[RelayOutput] = []
        self._was_up = False
        """Whether the present session began, or the last one had."""
        self._maybe_on: set[int] = set()
        """Outputs that we switched on, answered or not, and have not switched off since."""
        self._own_until_s: dict[int, float] = {}
        """Until when an "active" of a relay is of our own making."""

    def _output_count(self) -> int:
        return len(self._relays) or len(self._device.relays) or MAX_OUTPUTS

    def _pause_s(self, reason: ReaderOfflineReason) -> float:
        """Long after a wrong password. A session that had begun knew it: the device's clock was set."""
        if reason is ReaderOfflineReason.UNAUTHORISED and not self._was_up:
            return UNAUTHORISED_RETRY_S
        return super()._pause_s(reason)

    def _session(self) -> tuple[ReaderOfflineReason, str]:
        """Connect and work until it fails or is to stop; returns why it ended."""
        self._was_up = False
        try:
            with OnvifClient(self._device, self._password, self._clock) as client:
                self._work(client)
        except Unauthorised as error:
            return ReaderOfflineReason.UNAUTHORISED, str(error)
        except Untrusted as error:
            return ReaderOfflineReason.KEY, str(error)
        except Unreachable as error:
            return ReaderOfflineReason.NO_ANSWER, str(error)
        except (Refused, ProtocolError) as error:
            return ReaderOfflineReason.UNKNOWN_DEVICE, str(error)
        except Exception as error:  # noqa: BLE001 - nothing that a device answers may end the thread
            return ReaderOfflineReason.WORKER, f"unforeseen: {error!r}"[:300]
        return ReaderOfflineReason.STOPPED, "the driver stops"

    def _work(self, client: OnvifClient) -> None:
        client.connect()
        there = onvif.read_relay_outputs(client.call(onvif.DEVICE, onvif.get_relay_outputs()))
        self._relays = _chosen(self._device, there)
        self._commands.void("the device was away")
        self._write_due(client)
        point = self._subscribed(client)
        self._was_up = True
        self._commands.up.set()
        self._deliver(ReaderUp(self._reader, secure_channel=self._device.https))
        self._deliver(OutputsForgotten(self._reader))
        puller = self._pulling(point)
        try:
            self._keep_on(client, point)
        finally:
            self._commands.up.clear()
            if point is not None:
                point.end()
            self._release_all(client)
            if puller is not None:
                puller.join(STOP_S)

    def _pulling(self, point: PullPoint | None) -> threading.Thread | None:
        if point is None:
            return None
        name = f"onvif-{self._device.id}-events"
        puller = threading.Thread(target=point.pull, args=(self._commands.wake,), name=name, daemon=True)
        puller.start()
        return puller

    def _subscribed(self, client: OnvifClient) -> PullPoint | None:
        if not self._device.inputs:
            return None
        point = PullPoint(client, self._device.inputs, self._input_event, self._relay_event)
        point.subscribe()
        return point

    def _keep_on(self, client: OnvifClient, point: PullPoint | None) -> None:
        """Carry out commands and end pulses until the driver is to stop or the events fail."""
        asked_s = time.monotonic()
        while not self._commands.ending.is_set():
            if point is not None and point.failure is not None:
                raise point.failure
            self._commands.take(max(0.0, min(asked_s + KEEPALIVE_S, self._coils.due_s()) - time.monotonic()))
            self._write_due(client)
            if time.monotonic() >= asked_s + KEEPALIVE_S:
                asked_s = time.monotonic()
                if point is None:
                    client.call(onvif.DEVICE, onvif.get_relay_outputs())

    def _write_due(self, client: OnvifClient) -> None:
        while (write := self._coils.next_write(time.monotonic())) is not None:
            if write.output >= len(self._relays):
                self._coils.wrote(write, time.monotonic())  # an output that the device does not have
                continue
            submitted_ns = time.monotonic_ns()
            try:
                self._switch(client, write)
            except Refused as error:
                self._refused(write, str(error))
                continue
            ticket = self._coils.wrote(write, time.monotonic())
            if ticket is not None:
                self._deliver(OutputDone(ticket, True, "", submitted_ns))

    def _refused(self, write: Write, why: str) -> None:
        """An "on" that the device refuses fails alone; an "off" that it refuses makes it unusable."""
        if not write.on:
            raise Refused(why)
        ticket = self._coils.refuse(write)
        if ticket is not None:
            self._commands.fail([ticket], why)

    def _switch(self, client: OnvifClient, write: Write) -> None:
        token = self._relays[write.output].token
        if write.on:
            self._maybe_on.add(write.output)
            self._own_until_s[write.output] = math.inf
            self._prepare(client, write.output)
        client.call(onvif.DEVICE, onvif.set_relay_output_state(token, write.on))
        if not write.on and write.output in self._maybe_on:
            self._maybe_on.discard(write.output)
            self._own_until_s[write.output] = time.monotonic() + OWN_EVENT_S

    def _prepare(self, client: OnvifClient, output: int) -> None:
        """Make a relay fall back by itself after a pulse, or stay, as far as the device can be made to."""
        relay, left_s = self._relays[output], self._coils.left_s(output, time.monotonic())
        delay_s = float(math.ceil(left_s)) if math.isfinite(left_s) else relay.delay_s
        mode = RelayMode.MONOSTABLE if math.isfinite(left_s) else RelayMode.BISTABLE
        wanted = replace(relay, mode=mode, delay_s=delay_s)
        if wanted == relay:
            return
        with contextlib.suppress(Refused):
            client.call(onvif.DEVICE, onvif.set_relay_output_settings(wanted))
            there = onvif.read_relay_outputs(client.call(onvif.DEVICE, onvif.get_relay_outputs()))
            self._relays[output] = next((each for each in there if each.token == relay.token), relay)
        _check_serves(self._relays[output], left_s)

    def _input_event(self, active: tuple[bool, ...]) -> None:
        self._deliver(InputsReported(self._reader, active))

    def _relay_event(self, event: PortEvent) -> None:
        """A relay that we did not switch went on: the device let the door go."""
        for output, relay in enumerate(self._relays):
            ours = time.monotonic() < self._own_until_s.get(output, -math.inf)
            if relay.token == event.token and event.active and not event.initial and not ours:
                self._deliver(DoorOpenedByDevice(self._reader))

    def _release_all(self, client: OnvifClient) -> None:
        """The last act: every relay that may be on is switched off, if the device answers."""
        if not self._commands.ending.is_set() or not self._maybe_on:
            return
        with contextlib.suppress(Unreachable, Untrusted, Unauthorised, Refused):
            for output in sorted(self._maybe_on):
                client.call(onvif.DEVICE, onvif.set_relay_output_state(self._relays[output].token, False))


def _chosen(device: OnvifDevice, there: tuple[RelayOutput, ...]) -> list[RelayOutput]:
    """The relays that are the outputs, in their order."""
    if not device.relays:
        return list(there[:MAX_OUTPUTS])
    by_token = {relay.token: relay for relay in there}
    for token in device.relays:
        if token not in by_token:
            raise Refused(f'there is no relay "{token}" (there are: {", ".join(by_token) or "none"}); check relays')
    return [by_token[token] for token in device.relays]


def _check_serves(relay: RelayOutput, left_s: float) -> None:
    """A relay whose settings cannot be changed serves if it stays on for as long as it is to be."""
    if relay.mode is RelayMode.MONOSTABLE and relay.delay_s < left_s:
        raise Refused(
            f"relay {relay.token} falls back after {relay.delay_s:g} s and its settings cannot be changed; "
            "set it to bistable at the device"
        )


def make(device: OnvifDevice, readers: tuple[Reader, ...], context: DriverContext) -> Driver:
    """The driver of one device.

    Raises:
        KeyFileFault: if its password or certificate cannot be read.
    """
    try:
        password = read_secret(device.password_file)
    except (OSError, ValueError) as error:
        raise _file_fault(device, "password_file", error) from error
    try:
        trust(device)
    except OSError as error:
        raise _file_fault(device, "certificate", error) from error
    return OnvifDriver(device, readers[0].id, password, context.clock)


def _file_fault(device: OnvifDevice, key: str, error: Exception) -> KeyFileFault:
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return KeyFileFault((ConfigFault(f"device.{device.id}.{key}", f"{getattr(device, key)}: {cause}"),))
