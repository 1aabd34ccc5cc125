"""A device that asks before it opens ("background verification": Security PUSH 4.8, chapter 13).

It posts what was verified and waits; the doors decide, and their command to the strike goes back in the answer itself,
so that nobody waits for the next poll.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ASK_S = 2.0
"""The doors decide in milliseconds; a device waits for 10 s (TimeoutSec)."""


@dataclass(frozen=True)
class Control:
    """A command to a door's lock, and the ticket under which it was given."""

    text: str
    ticket: int


@dataclass
class _Ask:
    door: int
    loop: asyncio.AbstractEventLoop
    verdict: asyncio.Future[bool]
    is_decided: bool = False
    controls: list[Control] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """What became of an ask; `granted` is None when the doors did not decide in time. The controls were given
    meanwhile: for an answer that grants, else for the device's next poll."""

    granted: bool | None
    controls: tuple[Control, ...]


class Asks:
    """The open asks of one device, one at a time for each reader. `ask` in the event loop, the rest from any thread.

    Args:
        channels: door number by reader.
    """

    def __init__(self, channels: Mapping[str, int]) -> None:
        self._channels = channels
        self._lock = threading.Lock()
        self._open: dict[str, _Ask] = {}

    async def ask(self, reader: str, present: Callable[[], None]) -> Verdict:
        """Have something presented at a reader, and wait for what the doors decide."""
        loop = asyncio.get_running_loop()
        ask = _Ask(self._channels[reader], loop, loop.create_future())
        with self._lock:
            self._open[reader] = ask
        granted = None
        try:
            present()
            async with asyncio.timeout(ASK_S):
                granted = await ask.verdict
        except TimeoutError:
            pass  # said by the verdict
        finally:
            with self._lock:
                del self._open[reader]
        return Verdict(granted, tuple(ask.controls))

    def takes(self, reader: str, control: Control) -> bool:
        """Whether the answer to an ask at this reader's door can carry a command, which it then does."""
        with self._lock:
            for ask in self._open.values():
                if ask.door == self._channels[reader] and not ask.is_decided:
                    ask.controls.append(control)
                    return True
        return False

    def decided(self, reader: str, granted: bool) -> None:
        """The doors have decided what was presented at a reader. The strike's command came before."""
        with self._lock:
            ask = self._open.get(reader)
            if ask is None or ask.is_decided:
                return
            ask.is_decided = True
            ask.loop.call_soon_threadsafe(_settle, ask.verdict, granted)


def _settle(verdict: asyncio.Future[bool], granted: bool) -> None:
    if not verdict.done():
        verdict.set_result(granted)
