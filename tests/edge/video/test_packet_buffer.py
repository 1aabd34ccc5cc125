"""The packets that wait to be decoded: complete from a key frame on, or from where the decoder is; never too many."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from edge.video.packet_buffer import BufferLimits, PacketBuffer

LIMITS = BufferLimits(packets=8, bytes=1000, seconds=3.0)


@dataclass(frozen=True)
class Parcel:
    number: int
    size: int
    at_s: float


def test_a_group_is_held_from_its_key_frame_on() -> None:
    buffer: PacketBuffer[Parcel] = PacketBuffer(LIMITS)
    group = [Parcel(i, 10, i * 0.1) for i in range(5)]
    buffer.begin(group[0])
    buffer.mark_decoded()
    assert all(buffer.add(parcel) for parcel in group[1:])
    assert buffer.rooted
    assert buffer.packets == tuple(group)
    assert buffer.pending == tuple(group[1:])
    buffer.mark_decoded()
    assert (buffer.pending, buffer.packets) == ((), tuple(group))


def test_a_group_too_long_loses_what_was_decoded_and_its_root_and_nothing_else() -> None:
    buffer: PacketBuffer[Parcel] = PacketBuffer(LIMITS)
    parcels = [Parcel(i, 10, i * 0.1) for i in range(20)]
    buffer.begin(parcels[0])
    for parcel in parcels[1:8]:
        buffer.add(parcel)
    buffer.mark_decoded(6)
    assert not buffer.has_room(parcels[8])
    assert buffer.add(parcels[8])
    assert not buffer.rooted
    assert buffer.packets == buffer.pending == tuple(parcels[6:9])
    assert all(buffer.add(parcel) for parcel in parcels[9:14])
    assert not buffer.add(parcels[14])  # the caller has to decode now
    assert buffer.pending == tuple(parcels[6:15])
    buffer.mark_decoded()
    assert buffer.packets == ()
    assert buffer.size_bytes == 0


moves = st.lists(
    st.tuples(st.sampled_from(["key", "other", "decode"]), st.integers(1, 400), st.floats(0.0, 1.0)), max_size=80
)


@given(moves)
def test_nothing_pending_is_lost_and_the_limits_hold(moves: list[tuple[str, int, float]]) -> None:
    buffer: PacketBuffer[Parcel] = PacketBuffer(LIMITS)
    at_s, owed, since_key = 0.0, [], None
    for number, (what, size, gap_s) in enumerate(moves):
        at_s += gap_s
        parcel = Parcel(number, size, at_s)
        if what == "key":
            buffer.begin(parcel)
            owed, since_key = [parcel], [parcel]
        elif what == "other":
            owed.append(parcel)
            if since_key is not None:
                since_key.append(parcel)
            if not buffer.add(parcel):
                assert buffer.pending == tuple(owed)
                buffer.mark_decoded()
                owed = []
        else:
            buffer.mark_decoded()
            owed = []
        assert buffer.pending == tuple(owed)
        assert buffer.size_bytes == sum(parcel.size for parcel in buffer.packets)
        if buffer.rooted:
            assert buffer.packets == tuple(since_key or ())
        else:
            since_key = None
        if len(buffer.packets) > 1:
            assert len(buffer.packets) <= LIMITS.packets
            assert buffer.size_bytes <= LIMITS.bytes
            assert buffer.packets[-1].at_s - buffer.packets[0].at_s <= LIMITS.seconds
