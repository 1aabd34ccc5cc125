"""A child process that is kept running: started, watched, restarted with growing waits, told to reload.

Its lines of output go to the log. It knows nothing of brokers.
"""

import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from time import monotonic

from cloud.private_files import write_private

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 2.0
"""A start costs little, and without its broker the hub hears nothing: so the waits stay short."""
_STEADY_S = 10.0
"""After so long without a fault the next wait is short again."""
_STOP_S = 5.0
_KEPT_LINES = 20

log = logging.getLogger(__name__)


class ChildState(StrEnum):
    """new -> running -> waiting -> running ... -> stopped."""

    NEW = "new"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"


class Child:
    """One supervised program.

    Args:
        command: program and arguments.
        pid_file: remembers the process, so that one left over by a killed hub is ended before a new one starts.
        reloaded_line: the text in its output that says that SIGHUP was obeyed.
    """

    def __init__(self, command: list[str], pid_file: Path, reloaded_line: str) -> None:
        self._command = command
        self._pid_file = pid_file
        self._reloaded_line = reloaded_line
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._supervise, name=f"child {Path(command[0]).name}", daemon=True)
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._reloads = 0
        self._stopping = threading.Event()
        self.state = ChildState.NEW
        self.restarts = 0

    def start(self) -> None:
        """End what an earlier hub left over and start supervising."""
        self._end_left_over()
        self._thread.start()

    def stop(self) -> None:
        """End the program: SIGTERM, and SIGKILL after five seconds."""
        self._stopping.set()
        with self._changed:
            process = self._process
        if process is not None:
            _end(process)
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def last_lines(self) -> str:
        """The end of the program's output, for an error message."""
        return " | ".join(self._lines)

    def _last_line(self) -> str:
        return self._lines[-1] if self._lines else "no output"

    def reload(self, timeout_s: float) -> bool:
        """Send SIGHUP and wait until the program says that it obeyed. True also if it is not running: it reads its
        files when it starts."""
        with self._changed:
            if self._process is None or self._process.poll() is not None:
                return True
            seen = self._reloads
            self._process.send_signal(signal.SIGHUP)
            return self._changed.wait_for(lambda: self._reloads > seen or self._process is None, timeout_s)

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `ready()`; false if the time is over or the program ended before."""
        deadline = monotonic() + timeout_s
        while monotonic() < deadline and not self._stopping.is_set():
            if self.restarts:
                return False
            if self.state is ChildState.RUNNING and ready():
                return True
            self._stopping.wait(0.02)
        return False

    def _supervise(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stopping.is_set():
            began = monotonic()
            self._run_once()
            if self._stopping.is_set():
                break
            self.restarts += 1
            wait_s = _FIRST_WAIT_S if monotonic() - began > _STEADY_S else min(wait_s * 2, _LONGEST_WAIT_S)
            log.error("%s ended (%s); next start in %.1f s", self._command[0], self._last_line(), wait_s)
            self._stopping.wait(wait_s)
        self.state = ChildState.STOPPED

    def _run_once(self) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 (a program that find_engine chose, with our own files)
                self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
        except OSError as error:
            self._lines.append(str(error))
            self.state = ChildState.WAITING
            return
        write_private(self._pid_file, f"{process.pid}\n")
        with self._changed:
            self._process = process
            self.state = ChildState.RUNNING
        if self._stopping.is_set():
            _end(process)
        assert process.stdout is not None  # noqa: S101 (PIPE above)
        with process.stdout as output:
            for line in output:
                self._heard(line.rstrip())
        process.wait()
        with self._changed:
            self._process = None
            self.state = ChildState.WAITING
            self._changed.notify_all()
        self._pid_file.unlink(missing_ok=True)

    def _heard(self, line: str) -> None:
        self._lines.append(line)
        log.debug("%s: %s", Path(self._command[0]).name, line)
        if self._reloaded_line in line:
            with self._changed:
                self._reloads += 1
                self._changed.notify_all()

    def _end_left_over(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if [os.fsencode(word) for word in self._command] != words[: len(self._command)]:
                return
            log.warning("ending %s (process %d), left over by an earlier hub", self._command[0], pid)
            os.kill(pid, signal.SIGTERM)
            deadline = monotonic() + _STOP_S
            while Path(f"/proc/{pid}/cmdline").read_bytes():
                if monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                self._stopping.wait(0.02)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
