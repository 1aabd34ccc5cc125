"""One connection to a Modbus TCP device through pymodbus: reads and writes that end in time, and two ways to fail.

Specification: MODBUS Application Protocol V1.1b3, sections 6.1 (read coils), 6.2 (read discrete inputs), 6.5 (write
single coil), 6.6 (write single register) and 7 (exception codes).
"""

import logging
from types import TracebackType
from typing import Self

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from edge.access.drivers.modbus.config import InputTable

READ_COILS, READ_DISCRETE_INPUTS, WRITE_COIL, WRITE_REGISTER = 1, 2, 5, 6

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    6: "device busy",
    10: "gateway path unavailable",
    11: "the station behind the gateway does not answer",
}
_UNREACHED = (6, 10, 11)

# Every failure is raised here as well and reported by the driver; the library would log each attempt as an error.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class LinkLost(Exception):
    """The device cannot be reached or does not answer; the text is a sentence for a person."""


class Refused(Exception):
    """The device answers that it does not do what was asked; the text says what, and its word."""


class Link:
    """A connection. Use as a context manager, from one thread.

    Args:
        timeout_s: for the connection and for each answer; nothing is tried twice here.

    Raises:
        LinkLost: if it cannot be made.
    """

    def __init__(self, host: str, port: int, unit: int, timeout_s: float) -> None:
        self._where, self._unit, self._timeout_s = f"{host}:{port}", unit, timeout_s
        self._client = ModbusTcpClient(host, port=port, timeout=timeout_s, retries=0)
        if not self._client.connect():  # type: ignore[no-untyped-call]
            raise LinkLost(f"no connection to {self._where}: check its power, its network and the address")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def read(self, table: InputTable, address: int, count: int) -> tuple[bool, ...]:
        """`count` neighbouring bits.

        Raises:
            LinkLost, Refused.
        """
        ask = self._client.read_coils if table is InputTable.COIL else self._client.read_discrete_inputs
        what = f"{'coils' if table is InputTable.COIL else 'discrete inputs'} {address} to {address + count - 1}"
        try:
            answer = ask(address, count=count, device_id=self._unit)
        except (ModbusException, OSError) as error:
            raise self._lost(what) from error
        self._check(answer, READ_COILS if table is InputTable.COIL else READ_DISCRETE_INPUTS, f"read {what}")
        bits = tuple(bool(bit) for bit in answer.bits[:count])
        if len(bits) != count:
            raise LinkLost(f"{self._where} answers {len(bits)} of {count} bits")
        return bits

    def write_coil(self, address: int, on: bool) -> None:
        """Switch a coil.

        Raises:
            LinkLost, Refused.
        """
        try:
            answer = self._client.write_coil(address, on, device_id=self._unit)
        except (ModbusException, OSError) as error:
            raise self._lost(f"coil {address}") from error
        self._check(answer, WRITE_COIL, f"switch coil {address}")

    def write_register(self, address: int, value: int) -> None:
        """Set a holding register, 0 to 65535.

        Raises:
            LinkLost, Refused.
        """
        try:
            answer = self._client.write_register(address, value, device_id=self._unit)
        except (ModbusException, OSError) as error:
            raise self._lost(f"register {address}") from error
        self._check(answer, WRITE_REGISTER, f"write register {address}")

    def _lost(self, what: str) -> LinkLost:
        return LinkLost(f"{self._where} did not answer about {what} within {self._timeout_s:g} s")

    def _check(self, answer: ModbusPDU, function: int, what: str) -> None:
        if not answer.isError():
            if answer.function_code != function:
                raise LinkLost(f"{self._where} answers function {answer.function_code} to function {function}")
            return
        code = answer.exception_code
        word = _EXCEPTIONS.get(code, f"exception {code}")
        if code in _UNREACHED:
            raise LinkLost(f"{self._where} cannot {what} now: {word}")
        raise Refused(f"{self._where} (unit {self._unit}) refuses to {what}: {word}; check unit, outputs and inputs")
