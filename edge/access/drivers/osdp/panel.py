"""libosdp's control panel over one open line, without its threads and queues: it works when it is told to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import osdp

from edge.access.drivers.osdp.line import Line
from edge.access.drivers.osdp.watchdog import Order


@dataclass(frozen=True)
class Completion:
    """A command that ended; `report` is the kind of a status command, and 0 for others."""

    address: int
    command: int
    report: int
    ok: bool
    was_sent: bool
    """False: it was taken out of the library's queue before the reader heard of it."""


class Panel:
    """The control panel of an open line. Channels are secure, or there is none.

    Args:
        readers: address and secure channel base key of each; its place is the index that the methods take.
    """

    def __init__(self, line: Line, readers: Sequence[tuple[int, bytes]]) -> None:
        self.line = line
        flags = [osdp.LibFlag.EnforceSecure]
        self._panel = osdp.ControlPanel(
            [osdp.PDInfo(address, line, scbk=key, flags=flags) for address, key in readers],
            log_level=osdp.LogLevel.Alert,
            command_completion_handler=self._completed,
        )
        self._context = self._panel.ctx
        self._context.set_event_callback(self._seen)  # in the place of the wrapper's, which fills a queue for ever
        self._events: list[tuple[int, dict[str, Any]]] = []
        self._completions: list[Completion] = []

    def work(self) -> None:
        """Let the library read, answer and poll."""
        self._context.refresh()

    def linked(self) -> int:
        """With whom a secure channel stands: a bit for each reader's index."""
        return int(self._context.status() & self._context.sc_status())

    def take_events(self) -> list[tuple[int, dict[str, Any]]]:
        """What readers reported: the reader's index, and the library's event."""
        events, self._events = self._events, []
        return events

    def take_completions(self) -> list[Completion]:
        """The commands that ended since the last call."""
        done, self._completions = self._completions, []
        return done

    def order(self, index: int, order: Order) -> None:
        if order is Order.DISABLE:
            self._context.disable_pd(index)
        else:
            self._context.enable_pd(index)

    def is_enabled(self, index: int) -> bool:
        return bool(self._context.is_pd_enabled(index))

    def submit(self, index: int, command: dict[str, int | bool]) -> bool:
        return bool(self._context.submit_command(index, command))

    def submit_key(self, index: int, key: bytes) -> bool:
        """Have the reader's key changed; its channel is opened anew under it as soon as it was acknowledged."""
        return bool(self._context.submit_command(index, {"command": osdp.Command.Keyset, "type": 1, "data": key}))

    def flush(self, index: int) -> None:
        """Take what was not sent yet out of a reader's queue; the library would send it whenever the reader is back."""
        self._context.flush_commands(index)

    def capability(self, index: int, which: int) -> int:
        """The compliance level that a reader declared; 0 is none."""
        level, _ = self._context.check_capability(index, which)
        return int(level)

    def _seen(self, index: int, event: dict[str, Any]) -> int:
        self._events.append((index, event))
        return 0

    def _completed(self, address: int, command: dict[str, Any], status: int) -> None:
        report = command["type"] if command["command"] == osdp.Command.Status else 0
        was_sent = status in (osdp.CompletionStatus.Ok, osdp.CompletionStatus.Failed)
        ok = status == osdp.CompletionStatus.Ok
        self._completions.append(Completion(address, command["command"], report, ok, was_sent))
