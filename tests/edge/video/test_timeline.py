"""Times of frames, whatever the camera writes on them."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge.video.timeline import MOST_LATE_S, Timeline

stamps = st.one_of(st.none(), st.floats(-1e6, 1e9))
gaps = st.floats(0.001, 5.0)


@given(st.lists(st.tuples(stamps, gaps), min_size=1, max_size=60))
def test_times_always_rise_and_are_never_far_from_arrival(frames: list[tuple[float | None, float]]) -> None:
    timeline, arrival_s, last_s = Timeline(), 1000.0, float("-inf")
    for stamp_s, gap_s in frames:
        arrival_s += gap_s
        taken_s = timeline.place(stamp_s, arrival_s)
        assert taken_s > last_s
        assert arrival_s - MOST_LATE_S <= taken_s <= arrival_s + 1e-6
        last_s = taken_s


@given(st.floats(-1e5, 1e5), st.lists(st.floats(0.0, 0.4), min_size=2, max_size=50))
def test_a_sound_camera_keeps_its_own_spacing_whatever_the_network_does(zero_s: float, delays: list[float]) -> None:
    timeline = Timeline()
    timeline.place(zero_s, 1000.0)  # the first came without delay
    taken = [timeline.place(zero_s + 0.5 * i, 1000.0 + 0.5 * i + delay) for i, delay in enumerate(delays, start=1)]
    assert all(abs(b - a - 0.5) < 1e-4 for a, b in itertools.pairwise(taken))
    assert timeline.rebases == 0


def test_a_burst_at_the_start_is_spread_no_further_than_it_arrived() -> None:
    timeline = Timeline()
    taken = [timeline.place(i / 10, 50.0 + i / 1000) for i in range(8)]
    assert taken[-1] <= 50.007 + 1e-3
    assert abs(timeline.place(0.8, 50.107) - 50.107) < 1e-6


def test_a_leap_and_a_standstill_fall_back_to_arrival() -> None:
    timeline = Timeline()
    assert timeline.place(5.0, 10.0) == 10.0
    assert timeline.place(90000.0, 10.1) == 10.1
    assert timeline.place(5.1, 10.2) == 10.2
    assert timeline.place(5.1, 10.3) == 10.3
    assert timeline.rebases == 3
