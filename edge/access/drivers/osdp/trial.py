"""Finds out whether a reader holds the other of its two keys, without a loss for the rest of its bus.

libosdp has no way to give a reader of a running panel another key. So the panel rests for a moment, its channels as
they are (a reader gives one up after 8 s without a poll), and a panel for that reader alone speaks on the line. Only
when the key is proven is the bus's panel made anew.

The panel falls silent before it rests: it takes the reply that is on its way, which may be a card, and what it sends
then is lost, so that no reader answers it. It repeats that after its rest, as after any loss.
"""

from edge.access.drivers.osdp.line import Line
from edge.access.drivers.osdp.panel import Panel

SILENCE_S = 0.2
"""libosdp waits no longer for a reply either."""

TRY_S = 1.0
"""A handshake takes 0.4 s at 9600 baud."""

PAUSES_S = (0.0, 2.0, 10.0, 60.0, 300.0)
"""At least so long between a failed trial of a reader and its next one: each lets the rest of the bus wait."""


class Trial:
    """One attempt, from its making on."""

    def __init__(self, line: Line, address: int, key: bytes, now_s: float) -> None:
        self._line, self._address, self._key = line, address, key
        self._begin_s = now_s + SILENCE_S
        self._panel: Panel | None = None
        line.is_muted = True

    def waits(self, now_s: float) -> bool:
        """Whether the bus's panel still takes what is on its way, and nothing else happens."""
        self._line.is_muted = now_s < self._begin_s
        return self._line.is_muted

    def work(self, now_s: float) -> bool | None:
        """Go on; whether the reader holds the key, once that is known."""
        if self._panel is None:
            self._panel = Panel(self._line, [(self._address, self._key)])
        self._panel.work()
        if self._panel.linked():
            return True
        return False if now_s >= self._begin_s + TRY_S else None
