"""One watched stream on its way to the hub: takes its packets, thins them if the uplink is spent, wraps them.

Used by the sending thread alone, but for `renew`. Nothing is sent here: `next` gives what is to be sent.
"""

from collections.abc import Callable

from edge.clock import Clock
from edge.live.budget import Budget
from edge.live.fragments import Fragmenter, NotPlayable
from edge.live.tap import LiveTap, PacketQueue, Taken
from protocols.base import ProtocolError
from protocols.live import Ended, Frame, Kind, LiveCode, Quality, Start, Started, Waiting, encode_frame

Outgoing = str | bytes
"""A report's JSON, or a frame."""


class Upstream:
    """A stream that the hub asked for.

    Args:
        order: the hub's.
        tap: where its packets come from.
        sub: the camera's sub stream, to be offered where this one does not play; None if this is it.
        wake: called when a packet came.
        is_unmasked: whether it shows what the camera's privacy masks hide in pictures.
    """

    def __init__(
        self,
        order: Start,
        tap: LiveTap,
        sub: LiveTap | None,
        clock: Clock,
        budget: Budget,
        wake: Callable[[], None],
        is_unmasked: bool = False,
    ) -> None:
        self.stream, self.camera, self.quality = order.stream, order.camera, order.quality
        self.lease_s = order.lease_s
        self.tap = tap
        self.queue = PacketQueue(wake)
        self.economy = False
        self.skipped = 0
        """Packets left out to save the uplink."""
        self._sub, self._clock, self._budget, self._is_unmasked = sub, clock, budget, is_unmasked
        self._ends_s = clock.monotonic_s() + order.lease_s
        self._fragmenter: Fragmenter | None = None
        self._run = 0
        self._number = 0
        self._said_waiting = False
        tap.join(self.queue)

    def renew(self) -> None:
        """Somebody still watches."""
        self._ends_s = self._clock.monotonic_s() + self.lease_s

    @property
    def has_lapsed(self) -> bool:
        """Whether the hub has not said for the time of the lease that somebody watches."""
        return self._clock.monotonic_s() > self._ends_s

    def leave(self) -> None:
        """Take no more packets."""
        self.tap.leave(self.queue)

    def next(self, rate_bytes_per_s: Callable[[], float]) -> list[Outgoing] | None:
        """What is to be sent for the next packet, nothing if it is left out; None if there is no packet.

        Args:
            rate_bytes_per_s: what all watched streams would take in full.

        Raises:
            NotPlayable: if browsers do not play the stream.
        """
        taken = self.queue.take()
        if taken is None:
            return self._waiting() or None
        self._said_waiting = False
        if not self._is_allowed(taken.packet.is_keyframe, rate_bytes_per_s):
            self.skipped += 1
            return []
        messages: list[Outgoing] = []
        if self._fragmenter is None or taken.run != self._run:
            messages += self._begin(taken)
        assert self._fragmenter is not None  # noqa: S101 (begun above)
        kind = Kind.KEY if taken.packet.is_keyframe else Kind.DELTA
        messages += self._frame(kind, self._fragmenter.fragment(taken.packet), taken.packet.at_s)
        return messages

    def refused(self, why: NotPlayable) -> Ended:
        """What the hub is told when the stream does not play."""
        offer = self._sub is not None and self._sub.head is not None and self._sub.head.codec == "h264"
        return Ended(
            stream=self.stream,
            code=LiveCode.CODEC_UNPLAYABLE,
            reason=str(why),
            offer=Quality.SUB if offer else None,
        )

    def _waiting(self) -> list[Outgoing]:
        if self.queue.is_fed or self._said_waiting:
            return []
        self._said_waiting = True
        report = Waiting(stream=self.stream, code=LiveCode.CAMERA_AWAY, reason="the camera sends no video just now")
        return [report.model_dump_json()]

    def _begin(self, taken: Taken) -> list[Outgoing]:
        self._fragmenter, self._run = Fragmenter(taken.head, taken.packet), taken.run
        width, height = taken.head.width, taken.head.height
        report = Started(
            stream=self.stream,
            quality=self.quality,
            mime=self._fragmenter.mime,
            width=width,
            height=height,
            unmasked=self._is_unmasked,
        )
        return [report.model_dump_json(), *self._frame(Kind.INIT, self._fragmenter.init(), taken.packet.at_s)]

    def _frame(self, kind: Kind, payload: bytes, at_s: float) -> list[Outgoing]:
        now_s = self._clock.monotonic_s()
        at_ms = round((self._clock.wall_s() - (now_s - at_s)) * 1000)
        try:
            data = encode_frame(Frame(kind, self.stream, self._number, max(at_ms, 0), payload, self.economy))
        except ProtocolError:  # a picture beyond every bound: what follows needs it
            self.skipped += 1
            self.economy = True
            return []
        self._number += 1
        self._budget.spend(len(data), now_s)
        return [data]

    def _is_allowed(self, is_keyframe: bool, rate_bytes_per_s: Callable[[], float]) -> bool:
        """Whether the uplink is to carry this packet; in economy only key frames, and those only as it can."""
        is_spent = self._budget.is_spent(self._clock.monotonic_s())
        if not is_keyframe:
            self.economy = self.economy or is_spent
            return not self.economy
        if is_spent:
            self.economy = True
            return self._fragmenter is None  # the first picture comes whatever it costs
        if self.economy and self._budget.carries(rate_bytes_per_s()):
            self.economy = False
        return True
