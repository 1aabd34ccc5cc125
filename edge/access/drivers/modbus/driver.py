"""Barriers, lifts and I/O blocks over Modbus TCP.

The thread `modbus-<device>` alone talks to the device. It reads the inputs every `poll_s`, and a command wakes it at
once. Pulses are ours: on, wait, off; where the connection is away when one ends, its off is the first thing written
when it is back. While the device is away commands are refused, so that none opens a door late.
"""

import random
import time
from dataclasses import dataclass
from itertools import groupby

from edge.access.config import Reader
from edge.access.drivers.coils import Coils
from edge.access.drivers.interface import (
    Driver,
    DriverContext,
    InputsReported,
    OutputDone,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
)
from edge.access.drivers.modbus.config import InputTable, ModbusDevice, ModbusInput
from edge.access.drivers.modbus.link import Link, LinkLost, Refused
from edge.access.drivers.relay_device import RelayDevice
from edge.backoff import Backoff
from protocols.access_events import ReaderOfflineReason

FIRST_RETRY_S, LONGEST_RETRY_S = 0.25, 10.0
STEADY_S = 5.0
"""A connection that held for so long begins the back-off anew."""

STOP_S = 12.0
"""Longer than the device may take to answer about what is under way and to be told to switch off."""

WATCHDOG_S = 1.0
"""The watchdog register gets its next number this often."""


@dataclass(frozen=True)
class _Span:
    """Neighbouring bits of one table, read at once."""

    table: InputTable
    address: int
    count: int


class ModbusDriver(RelayDevice):
    """One device."""

    def __init__(self, device: ModbusDevice, reader: str) -> None:
        coils = Coils(len(device.outputs), device.interlocked, device.min_off_s)
        backoff = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S, random.random)
        super().__init__("modbus", device.id, reader, coils, backoff, STEADY_S, STOP_S)
        self._device = device
        self._spans = _spans(device.inputs) or (_Span(InputTable.COIL, device.outputs[0], 1),)
        self._watchdog = 0
        self._maybe_on: set[int] = set()
        """Outputs that a write switched on, answered or not, and none has switched off since."""

    def _output_count(self) -> int:
        return len(self._device.outputs)

    def _session(self) -> tuple[ReaderOfflineReason, str]:
        """Connect and work until it fails or is to stop; returns why it ended."""
        device = self._device
        try:
            with Link(device.host, device.port, device.unit, device.timeout_s) as link:
                self._work(link)
        except LinkLost as error:
            return ReaderOfflineReason.NO_ANSWER, str(error)
        except Refused as error:
            return ReaderOfflineReason.UNKNOWN_DEVICE, str(error)
        except Exception as error:  # noqa: BLE001 - bytes that the library cannot read must not end the thread
            return ReaderOfflineReason.WORKER, f"the answer of {device.host} cannot be read: {error!r}"[:300]
        return ReaderOfflineReason.STOPPED, "the driver stops"

    def _work(self, link: Link) -> None:
        self._commands.void("the device was away")
        self._write_due(link)
        seen = self._read_inputs(link)
        self._commands.up.set()
        self._deliver(ReaderUp(self._reader, secure_channel=False))
        self._deliver(OutputsForgotten(self._reader))
        self._report(seen)
        self._keep_on(link, seen)
        self._commands.fail(self._coils.all_off(), "the driver stops")
        self._write_due(link)

    def _keep_on(self, link: Link, seen: dict[tuple[InputTable, int], bool]) -> None:
        """Carry out commands, end pulses and report inputs until the driver is to stop."""
        poll_s = watchdog_s = time.monotonic()
        while not self._commands.ending.is_set():
            self._commands.take(max(0.0, min(poll_s, self._coils.due_s()) - time.monotonic()))
            self._write_due(link)
            now_s = time.monotonic()
            if now_s >= poll_s:
                before, seen = seen, self._read_inputs(link)
                poll_s = now_s + self._device.poll_s
                if seen != before:
                    self._report(seen)
            if now_s >= watchdog_s and self._device.watchdog_register is not None:
                self._watchdog = (self._watchdog + 1) & 0xFFFF
                link.write_register(self._device.watchdog_register, self._watchdog)
                watchdog_s = now_s + WATCHDOG_S

    def _write_due(self, link: Link) -> None:
        while (write := self._coils.next_write(time.monotonic())) is not None:
            submitted_ns = time.monotonic_ns()
            if write.on:
                self._maybe_on.add(write.output)
            link.write_coil(self._device.outputs[write.output], write.on)
            if not write.on:
                self._maybe_on.discard(write.output)
            ticket = self._coils.wrote(write, time.monotonic())
            if ticket is not None:
                self._deliver(OutputDone(ticket, True, "", submitted_ns))

    def _read_inputs(self, link: Link) -> dict[tuple[InputTable, int], bool]:
        seen: dict[tuple[InputTable, int], bool] = {}
        for span in self._spans:
            for offset, bit in enumerate(link.read(span.table, span.address, span.count)):
                seen[span.table, span.address + offset] = bit
        return seen if self._device.inputs else {}

    def _report(self, seen: dict[tuple[InputTable, int], bool]) -> None:
        if self._device.inputs:
            active = tuple(seen[each.table, each.address] != each.inverted for each in self._device.inputs)
            self._deliver(InputsReported(self._reader, active))

    def _last_act(self) -> None:
        """The last act: if an output may be on, and the device can be reached at once, all are switched off."""
        self._coils.all_off()
        if not self._maybe_on:
            return
        device = self._device
        try:
            with Link(device.host, device.port, device.unit, device.timeout_s) as link:
                self._write_due(link)
        except (LinkLost, Refused) as error:
            detail = f"its outputs could not be switched off: {error}"
            self._deliver(ReaderDown(self._reader, ReaderOfflineReason.NO_ANSWER, detail))


def _spans(inputs: tuple[ModbusInput, ...]) -> tuple[_Span, ...]:
    """The fewest reads that touch no address which is not an input: devices refuse those that they do not have."""
    wanted = sorted({(each.table, each.address) for each in inputs})
    spans = []
    for _, run in groupby(enumerate(wanted), key=lambda row: (row[1][0], row[1][1] - row[0])):
        addresses = [place for _, place in run]
        spans.append(_Span(addresses[0][0], addresses[0][1], len(addresses)))
    return tuple(spans)


def make(device: ModbusDevice, readers: tuple[Reader, ...], _context: DriverContext) -> Driver:
    """The driver of one device."""
    return ModbusDriver(device, readers[0].id)
