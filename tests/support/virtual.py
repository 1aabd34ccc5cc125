"""The other end of a virtual device's socket: presents cards, opens doors, and sees what the outputs do."""

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

ANSWER_S = 30.0


class VirtualRefused(Exception):
    """The device did not do what it was told."""


class VirtualClient:
    """A connection. Use as a context manager; safe to use from one thread at a time."""

    def __init__(self, path: Path | str, timeout_s: float = 10.0) -> None:
        self._socket = _connected(str(path), timeout_s)
        self._changed = threading.Condition()
        self._answers: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        """Everything that it reported, in order."""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.wait_for(lambda: any(each["is"] == "ready" for each in self.reports), "it is ready")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def card(self, reader: str, card: str) -> None:
        """Present a card by its text, such as `w26:12:345`, as the bits that a reader sends."""
        self.ask("card", reader, card=card)

    def bits(self, reader: str, data: bytes, bit_count: int) -> None:
        """Present a card by its packed bits."""
        self.ask("bits", reader, data=data.hex(), bit_count=bit_count)

    def number(self, reader: str, card: str) -> None:
        """Present a card that the device has read by itself."""
        self.ask("number", reader, card=card)

    def keys(self, reader: str, keys: str) -> None:
        """Press keys: digits, `*` and `#`."""
        self.ask("keys", reader, keys=keys)

    def code(self, reader: str, text: str) -> None:
        """Hold a QR code before it."""
        self.ask("code", reader, text=text)

    def plate(self, reader: str, plate: str, confidence: float = 1.0) -> None:
        """Drive up with a number plate."""
        self.ask("plate", reader, plate=plate, confidence=confidence)

    def verdict(self, reader: str, granted: bool, **more: str) -> None:
        """Let the device decide; `method`, `by`, `card`, `credential` and `reason` as in `AskVerdict`."""
        self.ask("verdict", reader, granted=granted, **more)

    def set_input(self, reader: str, number: int, active: bool) -> None:
        """Change an input."""
        self.ask("input", reader, input=number, active=active)

    def contact(self, reader: str, is_open: bool, number: int = 0) -> None:
        """Open or close the door."""
        self.set_input(reader, number, is_open)

    def press(self, reader: str, number: int = 1) -> None:
        """Press the button and let it go."""
        self.set_input(reader, number, True)
        self.set_input(reader, number, False)

    def online(self, reader: str, online: bool) -> None:
        """Lose the reader, or find it again."""
        self.ask("online", reader, online=online)

    def is_on(self, reader: str, output: int = 0) -> bool:
        """Whether an output is on, as last reported."""
        return next((bool(each["on"]) for each in reversed(self.outputs(reader, output))), False)

    def outputs(self, reader: str, output: int = 0) -> list[dict[str, Any]]:
        """Every report about an output."""
        return [each for each in list(self.reports) if self._is_about(each, "output", reader, output)]

    def shown(self, reader: str) -> list[str]:
        """What the reader showed."""
        return [each["kind"] for each in list(self.reports) if self._is_about(each, "feedback", reader)]

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = ANSWER_S) -> None:
        """Wait until a condition on the reports holds; fail at the deadline."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), f"not within {timeout_s} s: {what}"

    def ask(self, do: str, reader: str, **more: Any) -> None:
        """Ask for anything and wait until it is done.

        Raises:
            VirtualRefused: with the device's reason.
        """
        self.say(json.dumps({"do": do, "reader": reader, **more}).encode() + b"\n")

    def say(self, line: bytes) -> None:
        """Send a line as it is, and wait for its answer."""
        with self._changed:
            before = len(self._answers)
            self._socket.sendall(line)
            assert self._changed.wait_for(lambda: len(self._answers) > before, ANSWER_S), "no answer"
            answer = self._answers[before]
        if "error" in answer:
            raise VirtualRefused(answer["error"])

    @staticmethod
    def _is_about(report: dict[str, Any], kind: str, reader: str, output: int | None = None) -> bool:
        return report["is"] == kind and report["reader"] == reader and output in (None, report.get("output"))

    def _read(self) -> None:
        try:
            for line in self._socket.makefile("rb"):
                message = json.loads(line)
                with self._changed:
                    (self.reports if "is" in message else self._answers).append(message)
                    self._changed.notify_all()
        except (OSError, ValueError):
            return


def _connected(path: str, timeout_s: float) -> socket.socket:
    """A connection, waited for: the gateway may still be starting."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except OSError:
            connection.close()
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(0.02)
        else:
            return connection
