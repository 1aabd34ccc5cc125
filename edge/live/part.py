"""Live video as a part of the daemon: the taps are there from the beginning, the connection while the part runs.

The libraries for pictures and WebSockets are imported at its start, so that one that is missing costs live video alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from edge.clock import Clock
from edge.config import SiteConfig
from edge.counters import Counters
from edge.identity import Identity
from edge.live.desk import LiveStatus, Seen
from edge.live.tap import LiveTap
from edge.video.packets import PacketSink

if TYPE_CHECKING:
    from edge.live.link import LiveLink


class Live:
    """The taps of all cameras, and the connection to the hub.

    Args:
        jitter: a number in [0, 1) for each call.
    """

    def __init__(
        self, config: SiteConfig, identity: Identity, clock: Clock, counters: Counters, jitter: Callable[[], float]
    ) -> None:
        self._seen = {
            camera.id: Seen(camera, LiveTap(), LiveTap() if camera.main_url is not None else None)
            for camera in config.video.cameras
            if config.live.enabled
        }
        self._make: Callable[[], LiveLink] = lambda: _link(config, identity, self._seen, clock, counters, jitter)
        self._link: LiveLink | None = None

    @property
    def sub_sinks(self) -> Mapping[str, Sequence[PacketSink]]:
        """For cameras by name, who listens to their sub stream."""
        return {name: (seen.sub,) for name, seen in self._seen.items()}

    @property
    def main_sinks(self) -> Mapping[str, Sequence[PacketSink]]:
        """For cameras that have one, who listens to their main stream."""
        return {name: (seen.main,) for name, seen in self._seen.items() if seen.main is not None}

    def start(self) -> None:
        """Open the connection, in a thread of its own.

        Raises:
            ImportError: if a library is missing; the supervisor tries again.
        """
        link = self._make()
        link.start()
        self._link = link

    def stop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.stop()

    @property
    def failure(self) -> str | None:
        return self._link.failure if self._link is not None else None

    @property
    def is_connected(self) -> bool:
        return self._link is not None and self._link.is_connected

    def status(self) -> LiveStatus:
        """What is watched."""
        return self._link.status() if self._link is not None else LiveStatus(0, 0)


def _link(
    config: SiteConfig,
    identity: Identity,
    seen: Mapping[str, Seen],
    clock: Clock,
    counters: Counters,
    jitter: Callable[[], float],
) -> "LiveLink":
    from edge.live.link import LiveLink

    return LiveLink(identity, seen, config.live, clock, counters, jitter)
