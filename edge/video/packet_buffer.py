"""The packets since the last picture that was looked at, so that decoding can catch up when something stirs.

Bounded in packets, bytes and seconds. Sans-io: of a packet only its size, time and whether it is a key frame are known.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Packet(Protocol):
    """What is known of a packet."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def at_s(self) -> float:
        """When it was taken, monotonic seconds."""
        ...


@dataclass(frozen=True)
class BufferLimits:
    """The most a buffer holds: at 25 frames a second and 2 Mbit/s, 12 s are 300 packets and 3 MB."""

    packets: int = 300
    bytes: int = 4 << 20
    seconds: float = 12.0


P = TypeVar("P", bound=Packet)


class PacketBuffer(Generic[P]):
    """A group of pictures: packets in decoding order, the first `decoded` of which the decoder has had.

    While it is `rooted` it begins with a key frame, and decoding can begin anew from there. A group longer than the
    limits loses its root: what was decoded is dropped, and decoding can only go on. When even what was not decoded
    exceeds the limits, `add` says so and the caller has to decode it: nothing is ever lost, memory never grows.
    """

    def __init__(self, limits: BufferLimits | None = None) -> None:
        self._limits = limits if limits is not None else BufferLimits()
        self._packets: list[P] = []
        self._bytes = 0
        self._decoded = 0
        self.rooted = False

    @property
    def packets(self) -> tuple[P, ...]:
        """All that is held, oldest first."""
        return tuple(self._packets)

    @property
    def pending(self) -> tuple[P, ...]:
        """What the decoder has not had, oldest first."""
        return tuple(self._packets[self._decoded :])

    @property
    def size_bytes(self) -> int:
        """The bytes held."""
        return self._bytes

    def begin(self, keyframe: P) -> None:
        """Forget everything: a new group begins, not decoded."""
        self._packets = [keyframe]
        self._bytes = keyframe.size
        self._decoded = 0
        self.rooted = True

    def has_room(self, packet: P) -> bool:
        """Whether one more packet fits without losing the root."""
        limits = self._limits
        return (
            len(self._packets) < limits.packets
            and self._bytes + packet.size <= limits.bytes
            and (not self._packets or packet.at_s - self._packets[0].at_s <= limits.seconds)
        )

    def add(self, packet: P) -> bool:
        """Hold one more packet; False if that is more than the limits allow and what is pending has to be decoded."""
        fits = self.has_room(packet)
        if not fits:
            self.rooted = False
            self._drop_decoded()
            fits = self.has_room(packet)
        self._packets.append(packet)
        self._bytes += packet.size
        return fits

    def mark_decoded(self, count: int | None = None) -> None:
        """The decoder has had the first `count` packets, or all; without a root they are dropped."""
        self._decoded = len(self._packets) if count is None else count
        if not self.rooted:
            self._drop_decoded()

    def _drop_decoded(self) -> None:
        self._bytes -= sum(packet.size for packet in self._packets[: self._decoded])
        del self._packets[: self._decoded]
        self._decoded = 0
