"""The driver of one ZKTeco device: joins it to the listener of its address, and passes on what the controller asks."""

from collections import Counter

from edge.access.config import ConfigFault, KeyFileFault, Reader
from edge.access.drivers.interface import Deliver, DriverContext, DriverReport, Feedback, Roster, RosterDriver
from edge.access.drivers.zkteco.commands import OPERATOR_WAITS_S
from edge.access.drivers.zkteco.config import ZktecoDevice
from edge.access.drivers.zkteco.device import PushDevice
from edge.access.drivers.zkteco.listener import ListenAddress, Listener, ListenerConflict, Listeners
from edge.access.drivers.zkteco.state import DeviceState
from edge.access.secret_files import read_secret
from edge.counters import Counters
from protocols.access_events import ReaderOfflineReason

STATE_FILE = "zkteco.db"
RELEASE_S = 3.0
"""How long a stop waits for the device to fetch and answer "off"."""

_LISTENERS = Listeners()
"""Shared by the devices of this process, since several of them call one port."""


def make(device: ZktecoDevice, readers: tuple[Reader, ...], context: DriverContext) -> RosterDriver:
    """The driver of one device.

    Raises:
        edge.access.config.KeyFileFault: if the TLS key cannot be read, or others may read it.
    """
    if device.tls_key_file is not None:
        try:
            read_secret(device.tls_key_file)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            fault = ConfigFault(f"device.{device.id}.tls_key_file", f"{device.tls_key_file}: {cause}")
            raise KeyFileFault((fault,)) from error
    return ZktecoDriver(device, readers, context, _LISTENERS)


class ZktecoDriver:
    """One device of the site file."""

    def __init__(
        self, device: ZktecoDevice, readers: tuple[Reader, ...], context: DriverContext, listeners: Listeners
    ) -> None:
        self._config, self._readers, self._context, self._listeners = device, readers, context, listeners
        self.counters = Counters()
        self._device: PushDevice | None = None
        self._state: DeviceState | None = None
        self._listener: Listener | None = None
        self._roster: Roster | None = None

    @property
    def name(self) -> str:
        return self._config.id

    @property
    def port(self) -> int | None:
        """Where the gateway listens for this device; None while it cannot."""
        return None if self._listener is None else self._listener.port

    @property
    def listener(self) -> Listener | None:
        return self._listener

    @property
    def device(self) -> PushDevice | None:
        return self._device

    def start(self, deliver: Deliver) -> None:
        """Listen for the device."""
        config = self._config
        self._state = DeviceState(self._context.state_dir / STATE_FILE, self.counters)
        self._device = PushDevice(
            config,
            self._readers,
            self._state,
            self._context.zone,
            self._context.clock,
            self.counters,
            deliver,
            encrypted=config.tls_key_file is not None,
        )
        if self._roster is not None:
            self._device.set_roster(self._roster)
        address = ListenAddress(
            str(config.listen_host), config.listen_port, config.tls_certificate_file, config.tls_key_file
        )
        try:
            self._listener = self._listeners.join(address, self._device, self._context.clock)
        except ListenerConflict as error:
            self._device.standing.lose(ReaderOfflineReason.PORT, str(error))

    def stop(self) -> None:
        """Switch off what is on, and end."""
        if self._device is not None and self._listener is not None:
            self._device.release_outputs(RELEASE_S)
            self._listeners.leave(self._listener, self._device)
        elif self._state is not None:
            self._state.close()
        self._listener = None

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """As in `interface.Driver`."""
        return self._device is not None and self._device.set_output(reader, output, for_s, ticket)

    @property
    def answer_s(self) -> float:
        """As in `interface.SlowDriver`: the device fetches a command at its next poll, and answers it then."""
        return OPERATOR_WAITS_S

    def feedback(self, reader: str, feedback: Feedback) -> None:
        """The device shows and sounds its own verdict, and the gateway's where it asked for one."""
        if self._device is not None:
            self._device.decided(reader, granted=feedback is Feedback.GRANTED)

    def report(self) -> DriverReport:
        """As in `interface.ReportingDriver`. What the listener counts is told by the first of the devices that share
        it, so that nothing is counted twice."""
        counts = Counter(self.counters.snapshot())
        listener = self._listener
        if listener is not None and self._device in listener.devices[:1]:
            counts.update(listener.counters.snapshot())
        return DriverReport(counts)

    def set_roster(self, roster: Roster) -> None:
        """As in `interface.RosterDriver`."""
        self._roster = roster
        if self._device is not None:
            self._device.set_roster(roster)
