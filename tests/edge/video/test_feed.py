"""Packets handed on: complete, in order, with times that rise, and to nobody who fails."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import pytest

from edge.video.decoder import Arrived
from edge.video.feed import PacketFeed
from edge.video.packets import StreamHead, VideoPacket
from tests.edge.video.watching import Encoding, arrivals, encode, scene
from tests.support.rtsp import annexb

HEAD = StreamHead("h264", 192, 144, b"", Fraction(1, 90_000))


@dataclass
class Keeper:
    """A sink that remembers, and raises at a packet of its choice."""

    raises_at: int | None = None
    heads: list[StreamHead] = field(default_factory=list)
    packets: list[VideoPacket] = field(default_factory=list)
    ends: int = 0

    def begin(self, head: StreamHead) -> None:
        self.heads.append(head)

    def take(self, packet: VideoPacket) -> None:
        if len(self.packets) == self.raises_at:
            raise OSError("the disk is gone")
        self.packets.append(packet)

    def end(self) -> None:
        self.ends += 1


def parcel(at_s: float, data: bytes = b"\x00\x00\x01\x41x", is_keyframe: bool = False, ahead: int = 0) -> Arrived:
    return Arrived(av.Packet(data), len(data), is_keyframe, at_s, at_s, ahead)


def test_every_packet_comes_with_times_that_begin_at_nought_and_rise() -> None:
    keeper = Keeper()
    feed = PacketFeed("c-east", [keeper])
    feed.begin(HEAD)
    for at_s, ahead in ((500.0, 3000), (500.1, 0), (500.1, 0), (500.2, 9000)):
        feed.take(parcel(at_s, ahead=ahead))
    feed.end()
    assert keeper.heads == [HEAD]
    assert [packet.dts for packet in keeper.packets] == [0, 9000, 9001, 18000]
    assert [packet.pts - packet.dts for packet in keeper.packets] == [3000, 0, 0, 9000]
    assert keeper.ends == 1


def test_a_sink_that_raises_is_left_out_until_the_next_connection_and_counted() -> None:
    weak, strong = Keeper(raises_at=1), Keeper()
    feed = PacketFeed("c-east", [weak, strong])
    feed.begin(HEAD)
    for i in range(4):
        feed.take(parcel(i * 0.1))
    feed.end()
    assert (len(weak.packets), len(strong.packets)) == (1, 4)
    assert (weak.ends, strong.ends, feed.faults) == (0, 1, 1)
    weak.raises_at = None
    feed.begin(HEAD)
    feed.take(parcel(1.0))
    assert len(weak.packets) == 2
    assert weak.packets[-1].dts == 0


def test_a_connection_that_replaces_another_ends_it_first() -> None:
    keeper = Keeper()
    feed = PacketFeed("c-east", [keeper])
    feed.begin(HEAD)
    feed.begin(HEAD)
    assert (len(keeper.heads), keeper.ends) == (2, 1)
    feed.end()
    feed.end()
    feed.take(parcel(1.0))
    assert (keeper.ends, keeper.packets) == (2, [])


@pytest.fixture
def changing(tmp_path: Path) -> list[Arrived]:
    """The packets of a camera that sends another size from its third key frame on, as a byte stream."""
    parcels: list[Arrived] = []
    for number, width in enumerate((192, 256)):
        clip = encode(tmp_path / f"{width}.mp4", scene(width=width), 10, Encoding(group=5))
        raw = annexb(clip, tmp_path / f"{width}.h264")
        with av.open(str(raw), format="h264") as container:
            packets = [packet for packet in container.demux() if packet.size]
        for i, packet in enumerate(packets):
            at_s = number + i * 0.1
            parcels.append(Arrived(packet, packet.size, packet.is_keyframe, at_s, at_s))
    return parcels


def test_another_size_is_a_new_head_before_its_first_packet(changing: list[Arrived]) -> None:
    keeper = Keeper()
    feed = PacketFeed("c-east", [keeper])
    feed.begin(HEAD)
    seen = []
    for parcel in changing:
        feed.take(parcel)
        seen.append((keeper.heads[-1].width, keeper.heads[-1].height))
    assert seen == [(192, 144)] * 10 + [(256, 144)] * 10
    assert len(keeper.heads) == feed.heads == 2
    assert keeper.heads[1].extradata.startswith(b"\x00\x00\x00\x01\x67")
    assert keeper.packets[10].dts == 0
    assert keeper.packets[10].is_keyframe


def test_what_a_sink_was_given_can_be_played(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", scene(), 30, Encoding(reordered=2))
    keeper = Keeper()
    feed = PacketFeed("c-east", [keeper])
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        size = context.width, context.height
        feed.begin(StreamHead("h264", *size, context.extradata or b"", stream.time_base))
        for arrived in arrivals(container):
            ahead = arrived.packet.pts - arrived.packet.dts
            feed.take(Arrived(arrived.packet, arrived.size, arrived.is_keyframe, arrived.at_s, arrived.shown_s, ahead))
    head = keeper.heads[0]
    player = av.CodecContext.create(head.codec, "r")
    player.extradata = head.extradata
    times = []
    for packet in [*keeper.packets, None]:
        copy = None
        if packet is not None:
            copy = av.Packet(packet.data)
            copy.pts, copy.dts = packet.pts, packet.dts
        times += [frame.pts for frame in player.decode(copy)]
    assert len(times) == 30
    assert times == sorted(times)
