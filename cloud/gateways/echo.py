"""Echoes the nonce of each birth, so that a gateway knows that its hub is there now and what the time is there.

It needs no state, so any process of the hub can do it. Who replays a birth gets an echo that its gateway has had.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from protocols import topics
from protocols.presence import Echo, GatewayState, Presence

Seal = Callable[[str, bytes], bytes]
"""(topic, body) -> the body under the hub's signature."""
Publish = Callable[[str, bytes, bool], None]
"""(topic, sealed message, retained)."""


class BirthEcho:
    """A handler of `up/state`."""

    def __init__(self, seal: Seal, publish: Publish, now: Callable[[], datetime]) -> None:
        self._seal, self._publish, self._now = seal, publish, now
        self.counts: Counter[str] = Counter()
        """echoes, without_nonce (births of older gateways)."""

    def on_state(self, gateway: str, state: GatewayState) -> None:
        """Answer one birth; a will is none."""
        if state.state is not Presence.ONLINE:
            return
        if state.nonce is None:
            self.counts["without_nonce"] += 1
            return
        topic = topics.echo(gateway)
        echo = Echo(nonce=state.nonce, time=self._now())
        self._publish(topic, self._seal(topic, echo.model_dump_json().encode()), False)
        self.counts["echoes"] += 1
