"""Which streams are watched, and over which gateway's connection they come: orders go down, frames are handed on.

Lives on one event loop and is not thread-safe. A stream is started for its first viewer, renewed while one watches, and
stopped `LINGER_S` after the last has left. When a gateway's connection is lost its viewers stay and are told; when it
is back, the streams are started again.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from cloud.video.streams import Key, Stream, Viewer
from protocols.base import ProtocolError
from protocols.live import (
    Ended,
    Hello,
    Kind,
    LiveCode,
    Order,
    Quality,
    Renew,
    Report,
    Start,
    Started,
    Still,
    Stop,
    decode_frame,
)

LINGER_S = 10.0
RENEW_S = 3.0
LEASE_S = 12.0
MAX_VIEWERS = 200
MAX_VIEWERS_OF_SESSION = 32
MAX_STILLS_OF_GATEWAY = 8
STILL_TIMEOUT_S = 5.0
_ORDERS = 256


class Refused(Exception):
    """There is no video or picture; `code` says why."""

    def __init__(self, code: LiveCode, reason: str, offer: Quality | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.offer = code, reason, offer


class TooManyViewers(Exception):
    """More pages watch than the hub serves."""


@dataclass(eq=False)
class GatewayLink:
    """A gateway's connection. Orders wait in a queue that its socket empties; None ends the connection."""

    gateway: str
    orders: asyncio.Queue[Callable[[int], Order] | None] = field(default_factory=lambda: asyncio.Queue(_ORDERS))

    def give(self, order: Callable[[int], Order]) -> None:
        """Queue an order, made when its number is known. A gateway that takes none any more is cut off."""
        if self.orders.full():
            self.end()
        else:
            self.orders.put_nowait(order)

    def end(self) -> None:
        """Close the connection."""
        while not self.orders.empty():
            self.orders.get_nowait()
        self.orders.put_nowait(None)


class Relay:
    """All gateways' connections, streams and viewers.

    Args:
        monotonic_s: a monotonic clock.
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._links: dict[str, GatewayLink] = {}
        self._streams: dict[Key, Stream] = {}
        self._by_number: dict[int, Stream] = {}
        self._stills: dict[int, tuple[str, asyncio.Future[bytes]]] = {}
        self._number = 0
        self.counts: Counter[str] = Counter()
        """Frames, bytes, cuts of slow viewers, malformed and stray messages."""

    # --- gateways ---

    @property
    def gateways(self) -> int:
        return len(self._links)

    def gateway_joined(self, link: GatewayLink) -> None:
        """A gateway is connected: its latest connection counts, and what is watched is asked for anew."""
        former = self._links.get(link.gateway)
        self._links[link.gateway] = link
        if former is not None:
            former.end()
        for stream in self._of(link.gateway):
            self._order_start(stream)

    def gateway_left(self, link: GatewayLink) -> None:
        """A gateway's connection is gone; its viewers wait."""
        if self._links.get(link.gateway) is not link:
            return
        del self._links[link.gateway]
        for stream in self._of(link.gateway):
            stream.wait(_waiting(LiveCode.GATEWAY_AWAY, "the gateway is not connected just now"))
        for number, (gateway, answer) in list(self._stills.items()):
            if gateway == link.gateway and not answer.done():
                answer.set_exception(Refused(LiveCode.GATEWAY_AWAY, "the gateway's connection was lost"))
                self._stills.pop(number, None)

    def take_frame(self, link: GatewayLink, data: bytes) -> None:
        """A binary message of a gateway.

        Raises:
            ProtocolError: if it is malformed.
        """
        frame = decode_frame(data)
        self.counts["frames"] += 1
        self.counts["bytes"] += len(data)
        if frame.kind is Kind.STILL:
            gateway, answer = self._stills.get(frame.stream, ("", None))
            if gateway == link.gateway and answer is not None and not answer.done():
                answer.set_result(frame.payload)
            return
        stream = self._of_link(link, frame.stream)
        if stream is None:
            return
        cuts = sum(viewer.cuts for viewer in stream.viewers)
        stream.take(frame.kind, data)
        self.counts["cuts"] += sum(viewer.cuts for viewer in stream.viewers) - cuts

    def take_report(self, link: GatewayLink, report: Report) -> None:
        """A text message of a gateway.

        Raises:
            ProtocolError: if it is out of place.
        """
        if isinstance(report, Hello):
            raise ProtocolError("a second hello on one connection")
        if report.stream in self._stills:
            self._still_refused(link, report)
            return
        stream = self._of_link(link, report.stream)
        if stream is None:
            return
        if isinstance(report, Started):
            stream.begin(_started(report))
        elif isinstance(report, Ended):
            self.counts[f"ended_{report.code.value}"] += 1
            self._remove(stream)
            for viewer in stream.viewers:
                viewer.end(ended(report.code, report.reason, report.offer))
        else:
            stream.wait(_waiting(report.code, report.reason))

    # --- viewers ---

    @property
    def viewers(self) -> int:
        return sum(len(stream.viewers) for stream in self._streams.values())

    @property
    def streams(self) -> int:
        return len(self._streams)

    def join(self, key: Key, viewer: Viewer) -> Stream:
        """Begin to watch.

        Raises:
            TooManyViewers: if too many do already.
        """
        everyone = [each for stream in self._streams.values() for each in stream.viewers]
        own = sum(each.session == viewer.session for each in everyone)
        if len(everyone) >= MAX_VIEWERS or own >= MAX_VIEWERS_OF_SESSION:
            raise TooManyViewers("too many streams are watched already")
        stream = self._streams.get(key)
        if stream is None:
            stream = Stream(key, self._next_number(), viewer.ticket)
            self._streams[key] = self._by_number[stream.number] = stream
            if not self._order_start(stream):
                stream.wait(_waiting(LiveCode.GATEWAY_AWAY, "the gateway is not connected just now"))
        stream.join(viewer)
        return stream

    def leave(self, stream: Stream, viewer: Viewer) -> None:
        """Watch no more."""
        stream.leave(viewer, self._monotonic_s())

    async def still(self, gateway: str, camera: str, ticket: str) -> bytes:
        """A camera's picture now, a JPEG.

        Raises:
            Refused: if there is none.
        """
        link = self._links.get(gateway)
        if link is None:
            raise Refused(LiveCode.GATEWAY_AWAY, "the gateway is not connected just now")
        if sum(of == gateway for of, _ in self._stills.values()) >= MAX_STILLS_OF_GATEWAY:
            raise Refused(LiveCode.RATE_LIMITED, "this gateway makes other pictures just now")
        number = self._next_number()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._stills[number] = (gateway, answer)
        link.give(lambda n: Still(n=n, stream=number, camera=camera, ticket=ticket))
        try:
            async with asyncio.timeout(STILL_TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise Refused(LiveCode.NO_PICTURE, f"the gateway sent none within {STILL_TIMEOUT_S:.0f} s") from None
        finally:
            self._stills.pop(number, None)

    # --- time ---

    def tick(self) -> None:
        """Every `RENEW_S`: renew what is watched, stop what nobody watches any more."""
        now_s = self._monotonic_s()
        for stream in list(self._streams.values()):
            since_s = stream.unwatched_since_s
            if since_s is not None and now_s - since_s >= LINGER_S:
                self._remove(stream)
                self._give(stream, _stop(stream.number))
        for gateway, link in self._links.items():
            numbers = tuple(stream.number for stream in self._of(gateway))
            for first in range(0, len(numbers), 64):
                link.give(_renew(numbers[first : first + 64]))

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _of(self, gateway: str) -> list[Stream]:
        return [stream for stream in self._streams.values() if stream.key.gateway == gateway]

    def _of_link(self, link: GatewayLink, number: int) -> Stream | None:
        """The stream of that number, if it is this gateway's: late messages of a stopped one are left out."""
        stream = self._by_number.get(number)
        if stream is None or stream.key.gateway != link.gateway or self._links.get(link.gateway) is not link:
            self.counts["stray"] += 1
            return None
        return stream

    def _order_start(self, stream: Stream) -> bool:
        key, number, ticket = stream.key, stream.number, stream.ticket

        def start(n: int) -> Start:
            return Start(n=n, stream=number, camera=key.camera, quality=key.quality, ticket=ticket, lease_s=LEASE_S)

        return self._give(stream, start)

    def _give(self, stream: Stream, order: Callable[[int], Order]) -> bool:
        link = self._links.get(stream.key.gateway)
        if link is None:
            return False
        link.give(order)
        return True

    def _remove(self, stream: Stream) -> None:
        self._by_number.pop(stream.number, None)
        if self._streams.get(stream.key) is stream:
            del self._streams[stream.key]

    def _still_refused(self, link: GatewayLink, report: Report) -> None:
        if not isinstance(report, Ended):
            raise ProtocolError("a still is answered by a picture or an end")
        gateway, answer = self._stills[report.stream]
        if gateway == link.gateway and not answer.done():
            answer.set_exception(Refused(report.code, report.reason, report.offer))


def _stop(number: int) -> Callable[[int], Stop]:
    return lambda n: Stop(n=n, stream=number)


def _renew(numbers: tuple[int, ...]) -> Callable[[int], Renew]:
    return lambda n: Renew(n=n, streams=numbers)


def _started(report: Started) -> str:
    return json.dumps(
        {
            "kind": "started",
            "stream": report.quality.value,
            "mime": report.mime,
            "width": report.width,
            "height": report.height,
            "unmasked": report.unmasked,
        }
    )


def _waiting(code: LiveCode, reason: str) -> str:
    return json.dumps({"kind": "waiting", "code": code.value, "reason": reason})


def ended(code: LiveCode, reason: str, offer: Quality | None = None) -> str:
    """The text with which a viewer's stream ends."""
    return json.dumps({"kind": "ended", "code": code.value, "reason": reason, "offer": offer and offer.value})
