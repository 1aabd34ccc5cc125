"""The gateway's side of one OSDP bus: starts the worker process, feeds it, and starts it again when it fails.

The thread `osdp-<bus>` owns the process. Commands are written to its pipe from the caller's thread, whole or not at
all, so that a stuck worker never holds a door: the command fails instead, and the missing heartbeat ends the worker.
"""

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edge.access.config import Reader, ReaderBus
from edge.access.drivers.interface import (
    CardPresented,
    Deliver,
    DriverEvent,
    DriverReport,
    DriverRestarted,
    Feedback,
    InputsReported,
    KeysPressed,
    OutputDone,
    OutputsForgotten,
    PowerReported,
    ReaderDown,
    ReaderUp,
    Rotated,
    TamperReported,
)
from edge.access.drivers.osdp.framing import BrokenFrame, Unpacker, pack
from edge.access.drivers.osdp.rotation import Rotations
from edge.access.priority import prefer_this_thread
from edge.counters import Counters
from protocols.access_events import ReaderOfflineReason

SILENT_WORKER_S = 5.0
"""A worker reports every second; one that is silent for this long is ended."""

BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 30.0
"""A worker that ran this long begins the back-off anew."""

STOP_S = 2.0

_WORKER = (sys.executable, "-m", "edge.access.drivers.osdp.worker")
_DETAIL = {
    ReaderOfflineReason.NO_ANSWER: "the reader does not answer: check its power, the two wires and its address",
    ReaderOfflineReason.KEY: "the reader answers but refuses the secure channel: its key is not the one in scbk_file",
}


class OsdpBus:
    """One bus.

    Args:
        readers: those of the bus.
        keys: the secure channel base key of each reader, by its id.
    """

    def __init__(self, bus: ReaderBus, readers: tuple[Reader, ...], keys: Mapping[str, bytes]) -> None:
        self._bus = bus
        self._readers = tuple(reader.id for reader in readers)
        self._addresses = {reader.id: reader.address for reader in readers}
        self._rotations = Rotations(readers, keys)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name=f"osdp-{bus.id}")
        self._pipe_lock = threading.Lock()
        self._pipe: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.counters = Counters()
        self._reader_restarts = 0
        """Of the present worker's readers: how often its watchdogs disabled one that had fallen silent."""

    @property
    def name(self) -> str:
        return self._bus.id

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id, while one runs."""
        return None if self._process is None else self._process.pid

    def start(self, deliver: Deliver) -> None:
        """Start the worker and keep it running."""
        self._deliver = deliver
        self._thread.start()

    def stop(self) -> None:
        """End the worker; it switches its outputs off first."""
        self._stopping.set()
        self._send({"do": "stop"})
        self._close_pipe()
        self._thread.join()
        self._rotations.stop()

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """As in `interface.Driver`."""
        return self._send({"do": "output", "reader": reader, "output": output, "for_s": for_s, "ticket": ticket})

    def feedback(self, reader: str, feedback: Feedback) -> None:
        """As in `interface.Driver`."""
        self._send({"do": "feedback", "reader": reader, "kind": feedback.value})

    def report(self) -> DriverReport:
        """As in `interface.ReportingDriver`."""
        return DriverReport(self.counters.snapshot())

    def rotate_key(self, reader: str, say: Callable[[str], None]) -> Rotated:
        """As in `interface.RekeyingDriver`."""
        return self._rotations.rotate(reader, lambda new: self._send_key(reader, new), say)

    def _send_key(self, reader: str, new: bytes) -> bool:
        """Each worker learns of a new key either by this order or by its setup, never by both."""
        with self._pipe_lock:
            self._rotations.heard_of(reader, new)
            if self._write({"do": "rekey", "reader": reader, "key": new.hex()}):
                return True
            self._rotations.heard_of(reader, None)
            return False

    def _send(self, message: dict[str, Any]) -> bool:
        with self._pipe_lock:
            is_taken = self._write(message)
        if not is_taken:
            self.counters.add("commands_not_taken")
        return is_taken

    def _write(self, message: dict[str, Any]) -> bool:
        """With `_pipe_lock` held."""
        if self._pipe is None:
            return False
        frame = pack(message)
        try:
            return os.write(self._pipe, frame) == len(frame)
        except (BlockingIOError, BrokenPipeError):
            return False

    def _setup(self) -> bytes:
        rows = [
            {"id": reader, "address": address, **self._rotations.keys_of(reader)}
            for reader, address in self._addresses.items()
        ]
        return pack({"port": self._bus.port, "baud_rate": self._bus.baud_rate, "readers": rows})

    def _supervise(self) -> None:
        prefer_this_thread()
        failures = 0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            why = self._run_worker()
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - began_s > STEADY_S else failures
            for reader in self._readers:
                self._lose(reader, ReaderOfflineReason.WORKER, why)
            self._stopping.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
            failures += 1
            if not self._stopping.is_set():
                self.counters.add("worker_restarts")
                self._deliver(DriverRestarted(self.name, why, failures))

    def _run_worker(self) -> str:
        """Run one worker to its end; returns why it ended."""
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                _WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, process_group=0
            )
        except OSError as error:
            return f"the worker cannot be started: {error.strerror}"
        self._process = process
        try:
            self._open_pipe(process)
            why = self._read_reports(process)
        finally:
            self._close_pipe()
            self._end(process)
        return why or f"the worker ended with status {process.returncode}"

    def _open_pipe(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None:
            raise RuntimeError("the worker was started without a pipe")
        self._reader_restarts = 0
        with self._pipe_lock:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(self._setup())  # less than a pipe holds, so that this waits for nobody
            self._pipe = os.dup(process.stdin.fileno())
            os.set_blocking(self._pipe, False)
        process.stdin.close()
        if self._stopping.is_set():
            self._close_pipe()

    def _close_pipe(self) -> None:
        with self._pipe_lock:
            pipe, self._pipe = self._pipe, None
            if pipe is not None:
                os.close(pipe)

    def _read_reports(self, process: subprocess.Popen[bytes]) -> str:
        """Deliver what the worker reports; returns why it must end, or nothing when it ended by itself."""
        if process.stdout is None:
            raise RuntimeError("the worker was started without a pipe")
        unpacker = Unpacker()
        while True:
            ready, _, _ = select.select([process.stdout], [], [], SILENT_WORKER_S)
            if not ready:
                return f"the worker was silent for {SILENT_WORKER_S:.0f} s"
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                return ""
            try:
                for report in unpacker.receive(data):
                    self._take(report)
            except BrokenFrame as error:
                return f"the worker reported nonsense: {error}"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._process = None

    def _take(self, report: dict[str, Any]) -> None:
        match report["is"]:
            case "port_down":
                for reader in self._readers:
                    self._lose(reader, ReaderOfflineReason.PORT, report["detail"])
            case "down":
                reason = ReaderOfflineReason(report["reason"])
                self._lose(report["reader"], reason, _DETAIL[reason])
            case "alive":
                self.counters.add("reader_restarts", max(0, report["restarts"] - self._reader_restarts))
                self._reader_restarts = report["restarts"]
            case "rekey" | "key":
                self._rotations.take(report)
            case _:
                for event in _events(report):
                    self._deliver(event)

    def _lose(self, reader: str, reason: ReaderOfflineReason, detail: str) -> None:
        self._deliver(ReaderDown(reader, reason, detail))


def _events(report: dict[str, Any]) -> Iterable[DriverEvent]:
    reader = report.get("reader", "")
    match report["is"]:
        case "card":
            yield CardPresented(reader, bytes.fromhex(report["data"]), report["bits"], report["read_ns"])
        case "keys" if report["keys"]:
            yield KeysPressed(reader, report["keys"], report["read_ns"])
        case "inputs":
            yield InputsReported(reader, tuple(report["active"]))
        case "local":
            yield TamperReported(reader, report["tamper"])
            yield PowerReported(reader, report["power"])
        case "link":
            yield OutputsForgotten(reader)
        case "up":
            yield ReaderUp(reader, secure_channel=True)
        case "done":
            yield OutputDone(report["ticket"], report["ok"], report["detail"], report["submitted_ns"])
