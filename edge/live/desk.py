"""Follows the hub's orders on one connection: which streams are watched, and what is sent next.

No socket and no thread of its own: `edge.live.link` brings orders in one thread and sends in another.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.clock import Clock
from edge.counters import Counters
from edge.live.budget import Budget
from edge.live.config import LiveSection
from edge.live.fragments import NotPlayable
from edge.live.masking import shows_what_is_masked
from edge.live.tap import LiveTap
from edge.live.upstream import Outgoing, Upstream
from edge.video.config import CameraConfig
from protocols.live import Ended, LiveCode, Order, Quality, Renew, Start, Still, Stop

_log = logging.getLogger(__name__)
MOST_STILLS = 8
"""Pictures that are asked for and not yet made."""
_BATCH = 16
"""Messages of one stream before the next one's turn."""


@dataclass(frozen=True)
class Seen:
    """A camera and its streams."""

    config: CameraConfig
    sub: LiveTap
    main: LiveTap | None


@dataclass(frozen=True)
class LiveStatus:
    """What is watched at this moment."""

    streams: int
    economy: int


class Desk:
    """One connection's streams. `give`, `tick` and `close` are for the listening thread, `collect` for the sending one.

    Args:
        cameras: by name.
        wake: called when there may be something to send; returns at once.
        wake_stills: called when a picture is asked for; returns at once.
    """

    def __init__(
        self,
        cameras: Mapping[str, Seen],
        section: LiveSection,
        clock: Clock,
        counters: Counters,
        wake: Callable[[], None],
        wake_stills: Callable[[], None],
    ) -> None:
        self._cameras, self._section, self._clock, self._counters = cameras, section, clock, counters
        self._wake, self._wake_stills = wake, wake_stills
        self._budget = Budget(section.uplink_kbit_per_s * 125)
        self._lock = threading.Lock()
        self._streams: dict[int, Upstream] = {}
        self._reports: deque[Outgoing] = deque()
        self._stills: deque[Still] = deque()

    def give(self, order: Order) -> None:
        """Follow an order that the hub signed."""
        if isinstance(order, Start):
            self._start(order)
        elif isinstance(order, Still):
            self._ask_still(order)
        elif isinstance(order, Stop):
            self._end(order.stream, None)
        elif isinstance(order, Renew):
            with self._lock:
                watched = [self._streams[number] for number in order.streams if number in self._streams]
            for upstream in watched:
                upstream.renew()

    def tick(self) -> None:
        """End what nobody says is still watched."""
        with self._lock:
            lapsed = [number for number, upstream in self._streams.items() if upstream.has_lapsed]
        for number in lapsed:
            self._counters.add("live_lapsed")
            why = "the hub did not say that anybody still watches"
            self._end(number, Ended(stream=number, code=LiveCode.NOT_RENEWED, reason=why))

    def close(self) -> None:
        """The connection is gone."""
        with self._lock:
            numbers = list(self._streams)
        for number in numbers:
            self._end(number, None)

    def collect(self) -> list[Outgoing]:
        """What is to be sent now: reports first, then of each stream in turn; nothing if there is nothing."""
        with self._lock:
            messages = list(self._reports)
            self._reports.clear()
            streams = list(self._streams.values())
        for upstream in streams:
            messages += self._of(upstream)
        return messages

    def next_still(self) -> Still | None:
        """The next picture that is to be made."""
        with self._lock:
            return self._stills.popleft() if self._stills else None

    def camera(self, name: str) -> Seen:
        return self._cameras[name]

    def report(self, report: Ended) -> None:
        """Say this to the hub."""
        with self._lock:
            self._reports.append(report.model_dump_json())
        self._wake()

    def status(self) -> LiveStatus:
        """Safe from any thread."""
        with self._lock:
            return LiveStatus(len(self._streams), sum(each.economy for each in self._streams.values()))

    def _start(self, order: Start) -> None:
        refusal = self._refusal(order)
        if refusal is not None:
            self._counters.add(f"live_refused_{refusal[0].value}")
            self.report(Ended(stream=order.stream, code=refusal[0], reason=refusal[1], offer=_offer(order, *refusal)))
            return
        seen = self._cameras[order.camera]
        main = seen.main if order.quality is Quality.MAIN else None
        sub = seen.sub if main is not None else None
        self._end(order.stream, None)
        is_unmasked = shows_what_is_masked(seen.config)
        upstream = Upstream(order, main or seen.sub, sub, self._clock, self._budget, self._wake, is_unmasked)
        with self._lock:
            self._streams[order.stream] = upstream
        _log.info("camera %s (%s) is watched, ticket %s", order.camera, order.quality, order.ticket)
        self._wake()

    def _refusal(self, order: Start) -> tuple[LiveCode, str] | None:
        seen = self._cameras.get(order.camera)
        if not self._section.enabled:
            return LiveCode.SWITCHED_OFF, "[live] enabled is false at this gateway"
        if seen is None:
            return LiveCode.UNKNOWN_CAMERA, f"this gateway has no camera {order.camera}"
        if shows_what_is_masked(seen.config) and not seen.config.live_unmasked:
            why = "its privacy masks are not in its video: let the camera draw them and set masked_in_camera = true"
            return LiveCode.MASKED, f"camera {order.camera}: {why}"
        if order.quality is Quality.MAIN and seen.main is None:
            return LiveCode.NO_MAIN_STREAM, f"camera {order.camera} has no main_url"
        with self._lock:
            if len(self._streams) >= self._section.streams and order.stream not in self._streams:
                return LiveCode.TOO_MANY, f"{self._section.streams} streams of this gateway are watched already"
        return None

    def _ask_still(self, order: Still) -> None:
        code, why = LiveCode.RATE_LIMITED, f"{MOST_STILLS} pictures are waited for already"
        if not self._section.enabled:
            code, why = LiveCode.SWITCHED_OFF, "[live] enabled is false at this gateway"
        elif order.camera not in self._cameras:
            code, why = LiveCode.UNKNOWN_CAMERA, f"this gateway has no camera {order.camera}"
        else:
            with self._lock:
                if len(self._stills) < MOST_STILLS:
                    self._stills.append(order)
                    self._wake_stills()
                    return
        self.report(Ended(stream=order.stream, code=code, reason=why))

    def _of(self, upstream: Upstream) -> list[Outgoing]:
        messages: list[Outgoing] = []
        while len(messages) < _BATCH:
            try:
                some = upstream.next(self._full_rate)
            except NotPlayable as why:
                self._end(upstream.stream, upstream.refused(why))
                break
            if some is None:
                break
            messages += some
        return messages

    def _full_rate(self) -> float:
        with self._lock:
            return sum(upstream.tap.bytes_per_s for upstream in self._streams.values())

    def _end(self, number: int, report: Ended | None) -> None:
        with self._lock:
            upstream = self._streams.pop(number, None)
        if upstream is None:
            return
        upstream.leave()
        self._counters.add("live_packets_dropped", upstream.queue.dropped)
        self._counters.add("live_packets_saved", upstream.skipped)
        _log.info("camera %s (%s) is watched no more", upstream.camera, upstream.quality)
        if report is not None:
            self.report(report)


def _offer(order: Start, code: LiveCode, _why: str) -> Quality | None:
    return Quality.SUB if code is LiveCode.NO_MAIN_STREAM and order.quality is Quality.MAIN else None
