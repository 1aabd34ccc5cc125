"""The relay and what keeps its time; run by the application's lifespan."""

import asyncio
from collections.abc import Callable
from time import monotonic

from prometheus_client import CollectorRegistry, Gauge

from cloud.video.relay import RENEW_S, Relay

_COUNTED = ("frames", "bytes", "cuts", "stray", "malformed")


class VideoRelay:
    """The hub's live video.

    Args:
        registry: where its metrics go.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.relay = Relay(monotonic)
        now = Gauge("gatehouse_video_now", "Live video at this moment", ["what"], registry=registry)
        now.labels("gateways").set_function(lambda: self.relay.gateways)
        now.labels("streams").set_function(lambda: self.relay.streams)
        now.labels("viewers").set_function(lambda: self.relay.viewers)
        total = Gauge("gatehouse_video_total", "Live video since the start", ["what"], registry=registry)
        for what in _COUNTED:
            total.labels(what).set_function(self._counter(what))

    async def run(self) -> None:
        """Renew and stop streams until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            self.relay.tick()

    def _counter(self, what: str) -> Callable[[], float]:
        return lambda: self.relay.counts[what]
