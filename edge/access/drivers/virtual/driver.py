"""A made-up device for the demo and for tests: whoever holds its socket presents cards and opens doors.

No site can have it by accident: it is made only where the environment has GATEHOUSE_ALLOW_VIRTUAL=1. The thread
`virtual-<device>` owns the socket, its clients and the outputs' times.
"""

import contextlib
import math
import os
import queue
import selectors
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.access.config import ConfigFault, KeyFileFault, Reader
from edge.access.drivers.interface import (
    Deliver,
    Driver,
    DriverContext,
    Feedback,
    InputsReported,
    OutputDone,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
)
from edge.access.drivers.virtual.config import MAX_OUTPUTS, VirtualDevice
from edge.access.drivers.virtual.messages import (
    MAX_LINE_BYTES,
    Asked,
    AskInput,
    AskOnline,
    event_of,
    read_line,
    write_line,
)
from protocols.access_events import ReaderOfflineReason
from protocols.base import ProtocolError

ALLOW_VARIABLE = "GATEHOUSE_ALLOW_VIRTUAL"
MAX_CLIENTS = 8
MAX_UNSENT_BYTES = 256 * 1024
"""A client that leaves more than this unread is let go."""

MAX_WAITING = 256
"""More commands than this, and the newest is refused."""

RETRY_S = 1.0


@dataclass(frozen=True)
class _Output:
    reader: str
    output: int
    for_s: float | None
    ticket: int


@dataclass(frozen=True)
class _Shown:
    reader: str
    feedback: Feedback


@dataclass
class _Client:
    connection: socket.socket
    unread: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)


class VirtualDriver:
    """One device with all its readers."""

    def __init__(self, device: VirtualDevice, readers: tuple[str, ...]) -> None:
        self._device, self._readers = device, readers
        self._inputs = {reader: [False] * device.inputs for reader in readers}
        self._on_until_s: dict[tuple[str, int], float] = {}
        """The outputs that are on, and until when."""
        self._online = dict.fromkeys(readers, False)
        self._clients: dict[socket.socket, _Client] = {}
        self._waiting: queue.Queue[_Output | _Shown] = queue.Queue(MAX_WAITING)
        self._wake_sender, self._wake_receiver = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"virtual-{device.id}")

    @property
    def name(self) -> str:
        return self._device.id

    def start(self, deliver: Deliver) -> None:
        """As in `interface.Driver`."""
        self._deliver = deliver
        self._thread.start()

    def stop(self) -> None:
        """As in `interface.Driver`."""
        self._stopping.set()
        self._wake()
        self._thread.join()

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """As in `interface.Driver`."""
        if not self._online.get(reader, False) or not 0 <= output < MAX_OUTPUTS:
            return False
        return self._hand_over(_Output(reader, output, for_s, ticket))

    def feedback(self, reader: str, feedback: Feedback) -> None:
        """As in `interface.Driver`."""
        self._hand_over(_Shown(reader, feedback))

    def _hand_over(self, what: _Output | _Shown) -> bool:
        try:
            self._waiting.put_nowait(what)
        except queue.Full:
            return False
        self._wake()
        return True

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # one that is full wakes anyway
            self._wake_sender.send(b"\0")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with _listening(Path(self._device.socket)) as server:
                    self._serve(server)
            except OSError as error:
                detail = f"its socket {self._device.socket} cannot be used: {error.strerror or error}"
                for reader in self._readers:
                    self._lose(reader, ReaderOfflineReason.PORT, detail)
                self._stopping.wait(RETRY_S)
        self._wake_sender.close()
        self._wake_receiver.close()

    def _serve(self, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            selector.register(self._wake_receiver, selectors.EVENT_READ)
            for reader in self._readers:
                self._find(reader)
            while not self._stopping.is_set():
                for key, _ in selector.select(self._wait_s()):
                    self._ready(selector, server, key.fileobj)
                self._take_waiting()
                self._end_pulses()
                self._send_all(selector)
            self._on_until_s = dict.fromkeys(self._on_until_s, -math.inf)
            self._end_pulses()
            self._send_all(selector)
            for client in list(self._clients.values()):
                self._let_go(selector, client)

    def _ready(self, selector: selectors.BaseSelector, server: socket.socket, ready: Any) -> None:
        if ready is server:
            self._accept(selector, server)
        elif ready is self._wake_receiver:
            self._wake_receiver.recv(4096)
        elif ready in self._clients:
            self._receive(selector, self._clients[ready])

    def _accept(self, selector: selectors.BaseSelector, server: socket.socket) -> None:
        connection, _ = server.accept()
        if len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        client = self._clients[connection] = _Client(connection)
        selector.register(connection, selectors.EVENT_READ)
        for reader, output in sorted(self._on_until_s):
            client.unsent += _output_line(reader, output, True)
        client.unsent += write_line({"is": "ready", "readers": list(self._readers)})

    def _receive(self, selector: selectors.BaseSelector, client: _Client) -> None:
        try:
            data = client.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.unread += data
        *lines, rest = bytes(client.unread).split(b"\n")
        client.unread = bytearray(rest)
        for line in lines:
            client.unsent += write_line(self._answer(line))
        if not data or len(client.unread) > MAX_LINE_BYTES:
            self._let_go(selector, client)

    def _let_go(self, selector: selectors.BaseSelector, client: _Client) -> None:
        selector.unregister(client.connection)
        client.connection.close()
        self._clients.pop(client.connection, None)

    def _send_all(self, selector: selectors.BaseSelector) -> None:
        for client in list(self._clients.values()):
            try:
                sent = client.connection.send(client.unsent) if client.unsent else 0
                del client.unsent[:sent]
            except BlockingIOError:
                pass
            except OSError:
                self._let_go(selector, client)
                continue
            if len(client.unsent) > MAX_UNSENT_BYTES:
                self._let_go(selector, client)
                continue
            writing = selectors.EVENT_WRITE if client.unsent else 0
            selector.modify(client.connection, selectors.EVENT_READ | writing)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            if len(line) > MAX_LINE_BYTES:
                raise ProtocolError(f"a line is at most {MAX_LINE_BYTES} bytes")
            asked = read_line(line)
            if asked.reader not in self._readers:
                raise ProtocolError(f"there is no reader {asked.reader} (there are: {', '.join(self._readers)})")
            self._do(asked)
        except ProtocolError as error:
            return {"error": str(error)}
        return {"ok": True}

    def _do(self, asked: Asked) -> None:
        if isinstance(asked, AskOnline):
            if asked.online:
                self._find(asked.reader)
            else:
                self._lose(asked.reader, ReaderOfflineReason.NO_ANSWER, "it was told to be away")
            return
        if isinstance(asked, AskInput):
            self._change_input(asked)
        elif self._online[asked.reader]:
            self._deliver(event_of(asked, time.monotonic_ns()))
        else:
            raise ProtocolError("the reader is away")

    def _change_input(self, asked: AskInput) -> None:
        if asked.input >= self._device.inputs:
            raise ProtocolError(f"it has {self._device.inputs} inputs")
        self._inputs[asked.reader][asked.input] = asked.active
        if self._online[asked.reader]:
            self._report_inputs(asked.reader)

    def _find(self, reader: str) -> None:
        self._online[reader] = True
        self._deliver(ReaderUp(reader, secure_channel=False))
        self._deliver(OutputsForgotten(reader))
        self._report_inputs(reader)

    def _lose(self, reader: str, reason: ReaderOfflineReason, detail: str) -> None:
        self._online[reader] = False
        self._deliver(ReaderDown(reader, reason, detail))

    def _report_inputs(self, reader: str) -> None:
        self._deliver(InputsReported(reader, tuple(self._inputs[reader])))

    def _take_waiting(self) -> None:
        for _ in range(MAX_WAITING):
            try:
                what = self._waiting.get_nowait()
            except queue.Empty:
                return
            if isinstance(what, _Shown):
                self._report(write_line({"is": "feedback", "reader": what.reader, "kind": what.feedback.value}))
            else:
                self._switch(what)

    def _switch(self, command: _Output) -> None:
        place = command.reader, command.output
        if command.for_s is None:
            self._on_until_s.pop(place, None)
        else:
            self._on_until_s[place] = time.monotonic() + command.for_s
        self._report(_output_line(*place, command.for_s is not None, command.for_s))
        self._deliver(OutputDone(command.ticket, True, "", time.monotonic_ns()))

    def _end_pulses(self) -> None:
        now_s = time.monotonic()
        for place in [place for place, until_s in self._on_until_s.items() if until_s <= now_s]:
            del self._on_until_s[place]
            self._report(_output_line(*place, False))

    def _wait_s(self) -> float | None:
        until_s = min(self._on_until_s.values(), default=math.inf)
        return None if math.isinf(until_s) else max(0.0, until_s - time.monotonic())

    def _report(self, line: bytes) -> None:
        for client in self._clients.values():
            client.unsent += line


def _output_line(reader: str, output: int, on: bool, for_s: float | None = None) -> bytes:
    """JSON has no infinity: on until further notice has no time."""
    seconds = for_s if for_s is not None and math.isfinite(for_s) else None
    return write_line({"is": "output", "reader": reader, "output": output, "on": on, "for_s": seconds})


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """A listening socket of mode 600 at a path; what a former run left there is taken away, and nothing else.

    Raises:
        OSError: if it cannot be made.
    """
    server = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(server.fileno(), 0o600)  # before the bind, so that it never stands open
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
        server.bind(str(path))
        try:
            server.listen(MAX_CLIENTS)
            yield server
        finally:
            path.unlink(missing_ok=True)
    finally:
        server.close()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def make(device: VirtualDevice, readers: tuple[Reader, ...], _context: DriverContext) -> Driver:
    """The driver of one device.

    Raises:
        KeyFileFault: unless the environment allows made-up devices.
    """
    if os.environ.get(ALLOW_VARIABLE) != "1":
        cause = f"it is for demos and tests, whoever holds its socket opens doors; to allow it set {ALLOW_VARIABLE}=1"
        raise KeyFileFault((ConfigFault(f"device.{device.id}.kind", cause),))
    return VirtualDriver(device, tuple(reader.id for reader in readers))
