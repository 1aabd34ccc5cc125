"""Decodes one connection's packets as little as its gear allows, and shows the pictures that are worth a look.

Asleep, a key frame is decoded now and then and compared with the last picture seen; where key frames are rare, packets
are decoded up to the present. When something stirs, everything since the last quiet look is decoded and looked at in
its order and with its own times: an onset is found where decoding every frame would have found it, a little later.

Sans-io: packets in, sights out. Waits for nothing, owns no thread.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.video.analysis import Followed
from edge.video.attention import Interest
from edge.video.decoder import Arrived, Decoder, Picture
from edge.video.eye import Eye, Glimpse
from edge.video.gears import Gear, Gearbox, GearTiming, Wake
from edge.video.motion import Luma, Motion
from edge.video.packet_buffer import BufferLimits, PacketBuffer
from edge.video.packet_sizes import SizeWatch

FIRST_KEYFRAME_S = 12.0
"""How long a connection may begin in the middle of a group of pictures: smart encoders send key frames so rarely."""

LATE_EVERY_S = 0.19
"""How far pictures that are looked at late are apart at least: so many wait for the detector at once."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A picture that was looked at, and its luma, small. `late`: packets after it had come already, decoding was
    catching up."""

    picture: Picture
    luma: Luma
    motion: Motion
    interest: Interest
    late: bool

    @property
    def wanted(self) -> bool:
        """Whether the detector should see it."""
        return self.interest.is_look


@dataclass
class WatchCounts:
    """What watching did since the gateway's start."""

    catch_ups: int = 0
    """How often decoding went back to the last quiet look."""
    pictures_caught_up: int = 0
    """Pictures looked at late."""
    longest_catch_up_s: float = 0.0
    """The most time that one of them took."""


class Watcher:
    """Watches one connection. Not shared between threads.

    Args:
        decoder: the connection's.
        eye: finds movement.
        gears: the camera's gearbox, shifted here alone.
        timing: when it looks in sleep.
        monotonic_s: the monotonic clock, to measure with.
        counts: where it counts.
        limits: the most that waits to be decoded.
    """

    def __init__(
        self,
        decoder: Decoder,
        eye: Eye,
        gears: Gearbox,
        timing: GearTiming,
        monotonic_s: Callable[[], float],
        counts: WatchCounts,
        limits: BufferLimits | None = None,
    ) -> None:
        self._decoder = decoder
        self._eye = eye
        self._gears = gears
        self._timing = timing
        self._monotonic_s = monotonic_s
        self._counts = counts
        self._buffer: PacketBuffer[Arrived] = PacketBuffer(limits)
        self._sizes = SizeWatch()
        self._first_s: float | None = None
        self._began = False
        self._seen_s = float("-inf")
        self._woken_by_size = False
        self._keyframe_s: float | None = None
        self._has_long_groups = False
        self.size: tuple[int, int] | None = None
        """Width and height of the newest picture; None before the first."""
        self.starved_since_s: float | None = None
        """Since when every picture that was wanted has failed, by the monotonic clock; None while they come."""

    def take(self, arrived: Arrived, followed: Followed, call: bool = False) -> Iterator[Sight]:
        """The next packet: what is to be seen, if anything.

        Args:
            arrived: the packet.
            followed: who is being followed now.
            call: whether somebody calls for the camera to be awake.
        """
        if not self._has_begun(arrived):
            return
        if arrived.is_keyframe:
            self._measure_group(arrived.at_s)
        grew = not arrived.is_keyframe and self._sizes.see(arrived.size, arrived.at_s)
        why = self._stirring(grew, followed, call)
        if self._gears.gear is Gear.ASLEEP:
            yield from self._asleep(arrived, why, followed)
            return
        if why is not None:
            self._gears.stir(why, arrived.at_s)
        if arrived.is_keyframe:
            self._buffer.begin(arrived)
        else:
            self._buffer.add(arrived)
        self._buffer.mark_decoded()
        yield from self._see((arrived,), followed, arrived)

    def _has_begun(self, arrived: Arrived) -> bool:
        """Whether a key frame came, or none for so long that the camera may send none."""
        if self._first_s is None:
            self._first_s = arrived.at_s
            self._gears.start(arrived.at_s)
        self._began |= arrived.is_keyframe or arrived.at_s - self._first_s > FIRST_KEYFRAME_S
        return self._began

    def _measure_group(self, at_s: float) -> None:
        if self._keyframe_s is not None:
            self._has_long_groups = at_s - self._keyframe_s > self._timing.look_after_s
        self._keyframe_s = at_s

    @property
    def _look_after_s(self) -> float:
        """How long it sleeps at a stretch: where every packet has to be decoded anyway, a look more costs nothing."""
        return self._timing.look_every_s if self._has_long_groups else self._timing.look_after_s

    def _stirring(self, grew: bool, followed: Followed, call: bool) -> Wake | None:
        if call:
            return Wake.CAMERA
        if followed.restless:
            return Wake.TRACK
        return Wake.PACKETS if grew and self._gears.gear is Gear.ASLEEP else None

    def _asleep(self, arrived: Arrived, why: Wake | None, followed: Followed) -> Iterator[Sight]:
        """The packet waits; a look now and then decides what becomes of those that wait."""
        buffer, unseen_s = self._buffer, arrived.shown_s - self._seen_s
        can_jump = arrived.is_keyframe and buffer.rooted and buffer.has_room(arrived)
        if can_jump and why is None and unseen_s >= 0.95 * self._timing.look_every_s:
            yield from self._look_at_keyframe(arrived, followed)
        elif not buffer.add(arrived):
            yield from self._go_on(followed, arrived)
        elif why is not None:
            self._wake(why, arrived)
            pending = buffer.pending
            buffer.mark_decoded()
            yield from self._catch_up(self._see(pending, followed, arrived))
        elif unseen_s >= self._look_after_s:
            yield from self._look_ahead(followed, arrived)
        if arrived.is_keyframe and not buffer.rooted:
            yield from self._go_on(followed, arrived)
            buffer.begin(arrived)
            buffer.mark_decoded()

    def _look_at_keyframe(self, keyframe: Arrived, followed: Followed) -> Iterator[Sight]:
        """Jump to a key frame; what lies between is decoded only if this picture differs from the last seen."""
        picture, can_go_on = self._decoder.decode_alone(keyframe)
        self._judge(picture)
        glimpse = self._eye.glimpse(picture) if picture is not None else None
        if glimpse is None or glimpse.stirs(followed):
            self._buffer.add(keyframe)
            yield from self._go_back(glimpse, followed, keyframe)
            return
        self._buffer.begin(keyframe)
        self._buffer.mark_decoded(1 if can_go_on else 0)
        yield self._accept(glimpse, followed)

    def _look_ahead(self, followed: Followed, now: Arrived) -> Iterator[Sight]:
        """No key frame came for long: decode up to the present; the last picture tells whether to look at the rest."""
        kept, newest = self._decode_pending(now)
        self._judge(newest)
        glimpse = self._eye.glimpse(newest) if newest is not None else None
        if glimpse is not None and not glimpse.stirs(followed):
            yield self._accept(glimpse, followed)
            return
        self._wake(Wake.DAMAGE if glimpse is None else Wake.PICTURE, now)
        yield from self._catch_up(
            self._look(picture, followed, late=picture is not newest)
            for picture in kept
            if self._is_due(picture.at_s, late=picture is not newest)
        )

    def _decode_pending(self, now: Arrived) -> tuple[list[Picture], Picture | None]:
        """Decode all that waits: the pictures that may have to be looked at, and the newest, which is one of them."""
        kept: list[Picture] = []
        newest = None
        last_s = self._seen_s
        for packet in self._buffer.pending:
            for newest in self._decoder.decode(packet, packet is now or packet.shown_s - last_s > LATE_EVERY_S):
                if newest.at_s - last_s > LATE_EVERY_S:
                    kept.append(newest)
                    last_s = newest.at_s
        self._buffer.mark_decoded()
        if newest is not None and newest not in kept[-1:]:
            kept.append(newest)
        return kept, newest

    def _accept(self, glimpse: Glimpse, followed: Followed) -> Sight:
        picture = glimpse.picture
        interest = self._eye.accept(glimpse, followed)
        self._seen_s = picture.at_s
        self._gears.see(moves=False, at_s=picture.at_s)
        return Sight(picture, glimpse.luma, glimpse.motion, interest, late=False)

    def _go_back(self, glimpse: Glimpse | None, followed: Followed, now: Arrived) -> Iterator[Sight]:
        """A key frame differs, or failed: begin again with the one before, and see all since the last quiet look."""
        self._wake(Wake.DAMAGE if glimpse is None else Wake.PICTURE, now)
        self._decoder.restart()
        packets = self._buffer.packets
        self._buffer.mark_decoded()
        yield from self._catch_up(self._see(packets, followed, now))

    def _go_on(self, followed: Followed, now: Arrived) -> Iterator[Sight]:
        """See all that waits, in sleep: for groups of pictures that cannot be begun again."""
        pending = self._buffer.pending
        self._buffer.mark_decoded()
        yield from self._see(pending, followed, now)

    def _catch_up(self, sights: Iterator[Sight]) -> Iterator[Sight]:
        """Count what is seen late, and measure how long it takes."""
        began_s, counts = self._monotonic_s(), self._counts
        counts.catch_ups += 1
        for sight in sights:
            counts.pictures_caught_up += sight.late
            yield sight
        counts.longest_catch_up_s = max(counts.longest_catch_up_s, self._monotonic_s() - began_s)

    def _see(self, packets: tuple[Arrived, ...], followed: Followed, now: Arrived) -> Iterator[Sight]:
        """Decode packets in their order, and look at the pictures whose time it is."""
        for packet in packets:
            late = packet is not now
            is_wanted = self._is_due(packet.shown_s, late)
            if self._decoder.is_intra and not is_wanted:
                continue
            pictures = self._decoder.decode(packet, is_wanted)
            if pictures or is_wanted:
                self._judge(pictures[-1] if pictures else None)
            for picture in pictures:
                if self._is_due(picture.at_s, late):
                    yield self._look(picture, followed, late)

    def _is_due(self, at_s: float, late: bool) -> bool:
        """Whether a picture taken then is to be looked at: not again, and not too soon after the one before."""
        return at_s - self._seen_s > (LATE_EVERY_S if late else 0.0) and self._eye.is_due(at_s)

    def _look(self, picture: Picture, followed: Followed, late: bool) -> Sight:
        luma, motion, interest = self._eye.look(picture, followed)
        self._seen_s = picture.at_s
        self._gears.see(interest.is_awake, picture.at_s)
        if self._woken_by_size and (motion.moves or self._gears.gear is Gear.ASLEEP):
            self._sizes.was_right(motion.moves)
            self._woken_by_size = False
        return Sight(picture, luma, motion, interest, late)

    def _judge(self, picture: Picture | None) -> None:
        """Remember whether a picture that was wanted came."""
        if picture is not None:
            self.starved_since_s = None
            self.size = picture.image.width, picture.image.height
        elif self.starved_since_s is None:
            self.starved_since_s = self._monotonic_s()

    def _wake(self, why: Wake, now: Arrived) -> None:
        self._gears.stir(why, now.at_s)
        self._woken_by_size = why is Wake.PACKETS
