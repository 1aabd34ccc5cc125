"""The ring: whole groups of pictures, bounded by bytes and seconds, never waiting for who reads."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from edge.keeping.ring import PINNED_FACTOR, CameraRing
from edge.video.packets import StreamHead, VideoPacket

HEAD = StreamHead("h264", 64, 48, b"", Fraction(1, 10))
GROUP = 10


def packet(number: int, size: int = 100, at_s: float | None = None, group: int = GROUP) -> VideoPacket:
    return VideoPacket(bytes(size), number, number, number % group == 0, number / 10 if at_s is None else at_s)


def filled(count: int, quota_bytes: int = 10**6, keep_s: float = 20.0) -> CameraRing:
    ring = CameraRing(quota_bytes, keep_s)
    ring.begin(HEAD)
    for number in range(count):
        ring.take(packet(number))
    return ring


def test_it_keeps_seconds_in_whole_groups() -> None:
    ring = filled(1000, keep_s=5.0)
    held = ring.read(0)
    assert held[0].packet.is_keyframe
    assert 5.0 <= held[-1].packet.at_s - held[0].packet.at_s < 5.0 + GROUP / 10
    assert [each.number for each in held] == list(range(held[0].number, 1000))


def test_the_bytes_quota_goes_before_the_seconds() -> None:
    ring = filled(1000, quota_bytes=3000, keep_s=60)
    assert ring.status().size_bytes <= 3000
    assert ring.read(0)[0].packet.is_keyframe


def test_what_is_pinned_may_take_twice_the_quota_and_no_more() -> None:
    ring = filled(20, quota_bytes=3000, keep_s=60)
    ring.pin("clip", 1.0)
    for number in range(20, 55):
        ring.take(packet(number))
    assert ring.read(0)[0].packet.at_s <= 1.0
    assert ring.status().size_bytes > 3000
    for number in range(55, 1000):
        ring.take(packet(number))
        assert ring.status().size_bytes <= 3000 * PINNED_FACTOR
    ring.unpin("clip")
    ring.take(packet(1000))
    assert ring.status().size_bytes <= 3000


def test_a_single_group_without_end_does_not_eat_the_memory() -> None:
    ring = CameraRing(3000, 60)
    ring.begin(HEAD)
    for number in range(500):
        ring.take(packet(number, group=10**6))
        assert ring.status().size_bytes <= 3000 * PINNED_FACTOR
    assert ring.status().groups_too_large == 1
    ring.take(packet(0, at_s=51.0))
    assert len(ring.read(0)) == 1


def test_nothing_is_taken_before_a_keyframe_nor_before_the_first_connection() -> None:
    ring = CameraRing(3000, 60)
    ring.take(packet(0))
    ring.begin(HEAD)
    ring.take(packet(1))
    assert ring.read(0) == []
    ring.take(packet(10))
    assert [each.number for each in ring.read(0)] == [0]


def test_a_reader_finds_the_keyframe_before_a_moment_and_sees_what_was_lost() -> None:
    ring = filled(1000, keep_s=20)
    found = ring.read(ring.number_at(95.55))[0]
    assert (found.packet.is_keyframe, found.packet.at_s) == (True, 95.0)
    assert ring.read(5)[0].number > 5
    assert ring.read(1000) == []
    assert CameraRing(10, 10).number_at(5.0) == 0


def test_a_moment_in_a_gap_begins_after_it() -> None:
    ring = filled(100)
    ring.end()
    ring.begin(HEAD)
    ring.take(packet(0, at_s=60.0))
    assert ring.read(ring.number_at(30.0))[0].packet.at_s == 60.0
    assert ring.read(ring.number_at(9.95))[0].packet.at_s == 9.0


@given(
    st.lists(st.tuples(st.sampled_from(["key", "delta", "begin", "end"]), st.integers(1, 2000)), max_size=200),
    st.integers(500, 5000),
)
def test_whatever_comes_the_numbers_rise_groups_are_whole_and_the_bound_holds(
    steps: list[tuple[str, int]], quota_bytes: int
) -> None:
    ring, at_s = CameraRing(quota_bytes, 10.0), 0.0
    for what, size in steps:
        at_s += size / 1000
        if what == "begin":
            ring.begin(HEAD)
        elif what == "end":
            ring.end()
        else:
            ring.take(VideoPacket(bytes(size), 0, 0, what == "key", at_s))
        assert ring.status().size_bytes <= quota_bytes * PINNED_FACTOR
        held = ring.read(0)
        assert sum(len(each.packet.data) for each in held) == ring.status().size_bytes
        numbers = [each.number for each in held]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        if held:
            assert held[0].packet.is_keyframe
