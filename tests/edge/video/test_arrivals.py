"""When packets and their pictures were taken."""

from dataclasses import dataclass
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.video.arrivals import Arrivals
from edge.video.worker import Run
from tests.edge.video.parts import SetClock


@dataclass
class Sender:
    """What a stream says of itself."""

    time_base: Fraction = Fraction(1, 90_000)
    has_stamps: bool = True
    is_recording: bool = False


def packet(dts: int | None, pts: int | None = None) -> av.Packet:
    made = av.Packet(b"\x00\x00\x01\x41")
    made.dts, made.pts = dts, pts if pts is not None else dts
    return made


def test_a_picture_has_its_packet_s_time_and_reordered_ones_their_own() -> None:
    clock = SetClock(100.0)
    arrivals, run = Arrivals(clock, Sender()), Run(clock.monotonic_s)
    told = []
    for dts, pts in ((0, 9_000), (9_000, 36_000), (18_000, 18_000), (27_000, 27_000), (36_000, 63_000)):
        told.append(arrivals.place(packet(dts, pts), run))
        clock.at_s += 0.1
    assert [arrived.at_s for arrived in told] == pytest.approx([100.0, 100.1, 100.2, 100.3, 100.4])
    assert [arrived.ahead for arrived in told] == [9_000, 27_000, 0, 0, 27_000]
    shown = sorted(arrived.shown_s for arrived in told[1:])
    assert shown == pytest.approx([99.9, 100.0, 100.1, 100.4])  # never later than it came, in their own spacing


def test_made_up_stamps_are_not_believed() -> None:
    clock = SetClock(100.0)
    arrivals, run = Arrivals(clock, Sender(has_stamps=False)), Run(clock.monotonic_s)
    times = []
    for i in range(5):
        times.append(arrivals.place(packet(i * 3_600), run).at_s)
        clock.at_s += 0.5
    assert times == pytest.approx([100.0, 100.5, 101.0, 101.5, 102.0])


stamps = st.one_of(st.none(), st.integers(-(2**62), 2**62))


@given(st.lists(st.tuples(stamps, stamps, st.floats(0.0, 3.0)), max_size=50), st.booleans())
def test_whatever_the_stamps_times_rise_and_nothing_is_taken_after_it_came(
    sent: list[tuple[int | None, int | None, float]], has_stamps: bool
) -> None:
    clock = SetClock(100.0)
    arrivals, run = Arrivals(clock, Sender(has_stamps=has_stamps)), Run(clock.monotonic_s)
    last_s = 0.0
    for number, (dts, pts, gap_s) in enumerate(sent):
        clock.at_s += gap_s
        arrived = arrivals.place(packet(dts, pts), run)
        assert arrived.at_s > last_s
        assert arrived.shown_s <= arrived.at_s <= clock.at_s + 0.001 * (number + 1)
        assert arrived.at_s - arrived.shown_s <= 2.0
        assert arrived.ahead >= 0
        last_s = arrived.at_s
