"""Whose frame the detector sees next: nothing late, nothing lost uncounted, and shares as the priorities say."""

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.video.schedule import DEADLINE_S, MOST_GLANCES, MOST_LATE, Priority, Rate, Schedule, Tally

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("take"), st.just(0), st.just(False)),
        st.tuples(st.just("wait"), st.integers(1, 30), st.just(False)),
    ),
    max_size=120,
)


@given(st.lists(st.sampled_from(Priority), min_size=4, max_size=4), steps)
def test_no_frame_is_late_none_is_lost_uncounted_and_no_turn_is_wasted(
    priorities: list[Priority], doings: list[tuple[str, int, bool]]
) -> None:
    """A frame is the moment when it was handed in, and its number."""
    schedule: Schedule[tuple[float, int]] = Schedule(priorities)
    now_s, taken = 0.0, []
    for number, (doing, what, late) in enumerate(doings):
        if doing == "put":
            schedule.put(what, (now_s, number), now_s, late)
        elif doing == "wait":
            now_s += what / 20
        else:
            turn = schedule.take(now_s)
            assert turn is not None or schedule.is_empty, "whatever waits is served"
            taken += [] if turn is None else [(turn[0], *turn[1], now_s)]
    while (turn := schedule.take(now_s)) is not None:
        taken.append((turn[0], *turn[1], now_s))
    assert all(at_s - handed_in_s <= DEADLINE_S for _, handed_in_s, _, at_s in taken)
    assert len({number for _, _, number, _ in taken}) == len(taken), "none is served twice"
    for camera in range(4):
        tally = schedule.tally(camera)
        assert tally.asked == sum(doing == "put" and what == camera for doing, what, _ in doings)
        assert tally.asked == tally.analysed + tally.replaced + tally.expired
        assert tally.analysed == sum(of == camera for of, *_ in taken)


@given(st.lists(st.sampled_from(Priority), min_size=2, max_size=16), st.integers(50, 200))
def test_when_all_always_want_the_shares_are_those_of_the_priorities(priorities: list[Priority], turns: int) -> None:
    schedule: Schedule[None] = Schedule(priorities)
    for turn in range(turns):
        for camera in range(len(priorities)):
            schedule.put(camera, None, turn * 0.01)
        assert schedule.take(turn * 0.01) is not None
    worth = [schedule.tally(i).analysed / priority.weight for i, priority in enumerate(priorities)]
    assert max(worth) - min(worth) <= 1.0, "the virtual times stay within the longest step of each other"


def test_a_newer_frame_replaces_an_older_one_and_cameras_take_turns() -> None:
    schedule: Schedule[float] = Schedule([NORMAL] * 3)
    for at_s in (0.1, 0.2, 0.3):
        schedule.put(0, at_s, at_s)
    schedule.put(2, 0.25, 0.3)
    first = schedule.take(0.3)
    schedule.put(0, 0.4, 0.4)
    assert [first, schedule.take(0.4), schedule.take(0.4), schedule.take(0.4)] == [(0, 0.3), (2, 0.25), (0, 0.4), None]
    assert schedule.tally(0) == Tally(asked=4, analysed=2, replaced=2)


def test_a_frame_whose_deadline_has_passed_is_never_analysed() -> None:
    schedule: Schedule[str] = Schedule([NORMAL])
    schedule.put(0, "old", 0.0)
    assert schedule.take(DEADLINE_S + 0.01) is None
    assert schedule.tally(0) == Tally(asked=1, expired=1)


def test_the_frames_of_an_onset_keep_their_order_and_the_newest_comes_after_them() -> None:
    schedule: Schedule[int] = Schedule([NORMAL])
    for number in range(MOST_LATE + 2):
        schedule.put(0, number, 0.0, late=True)
    schedule.put(0, 99, 0.0)
    taken = [schedule.take(0.1) for _ in range(MOST_LATE + 1)]
    assert taken == [(0, number) for number in [*range(2, MOST_LATE + 2), 99]]
    assert schedule.tally(0).replaced == 2


def test_who_slept_has_saved_up_nothing() -> None:
    schedule: Schedule[None] = Schedule([NORMAL, NORMAL])
    for turn in range(50):
        schedule.put(0, None, turn * 0.1)
        schedule.take(turn * 0.1)
    taken = []
    for turn in range(50, 60):
        schedule.put(0, None, turn * 0.1)
        schedule.put(1, None, turn * 0.1)
        taken.append(schedule.take(turn * 0.1))
    assert sorted(turn[0] for turn in taken if turn is not None) == [0] * 5 + [1] * 5


class Site:
    """Cameras that ask at their own rates, and a detector that takes `cost_s` a frame, in simulated time."""

    def __init__(self, priorities: list[Priority], rates: list[float], cost_s: float) -> None:
        self.schedule: Schedule[float] = Schedule(priorities)
        self.rates = rates
        self.cost_s = cost_s
        self.oldest_s = 0.0

    def run(self, seconds: float) -> list[Rate]:
        coming = [(i * 0.013, i) for i, rate in enumerate(self.rates) if rate]
        now_s = 0.0
        while now_s < seconds:
            while coming and coming[0][0] <= now_s:
                at_s, camera = heapq.heappop(coming)
                self.schedule.put(camera, at_s, now_s)
                heapq.heappush(coming, (at_s + 1 / self.rates[camera], camera))
            turn = self.schedule.take(now_s)
            if turn is None:
                now_s = coming[0][0]
                continue
            self.oldest_s = max(self.oldest_s, now_s - turn[1])
            now_s += self.cost_s
        return [self.schedule.rate(camera, now_s) for camera in range(len(self.rates))]


SIXTEEN = [HIGH] * 4 + [NORMAL] * 8 + [LOW] * 4


def test_sixteen_cameras_with_time_for_all_get_all_they_ask_for() -> None:
    site = Site(SIXTEEN, [5.0, 0.5] * 8, cost_s=0.016)  # 44 frames a second of 62
    rates = site.run(31.0)
    assert not any(rate.is_degraded for rate in rates)
    assert [rate.analysed for rate in rates] == pytest.approx([5.0, 0.5] * 8, abs=0.25)
    assert site.oldest_s < 0.4


def test_sixteen_busy_cameras_on_half_a_detector_degrade_by_priority_and_never_fall_behind() -> None:
    site = Site(SIXTEEN, [5.0] * 16, cost_s=0.025)  # 80 frames a second are asked for, 40 can be looked at
    rates = site.run(31.0)
    shares = {p: [rate.analysed for rate, of in zip(rates, SIXTEEN, strict=True) if of is p] for p in Priority}
    assert shares[HIGH] == pytest.approx([40 * 4 / 36] * 4, rel=0.1)
    assert shares[NORMAL] == pytest.approx([40 * 2 / 36] * 8, rel=0.1)
    assert shares[LOW] == pytest.approx([40 / 36] * 4, rel=0.1)
    assert sum(rate.analysed for rate in rates) == pytest.approx(40, rel=0.05), "no turn is wasted"
    assert all(rate.is_degraded for rate in rates)
    assert site.oldest_s <= DEADLINE_S


def test_what_a_quiet_camera_does_not_use_goes_to_the_others() -> None:
    site = Site([HIGH, NORMAL, NORMAL], [0.5, 5.0, 5.0], cost_s=0.2)  # five a second
    rates = site.run(61.0)
    assert rates[0].analysed == pytest.approx(0.5, abs=0.11)
    assert not rates[0].is_degraded
    assert [rate.analysed for rate in rates[1:]] == pytest.approx([2.25, 2.25], rel=0.1)


def test_a_detector_slower_than_the_deadline_shows_no_old_frame_to_anyone() -> None:
    site = Site([NORMAL] * 4, [5.0] * 4, cost_s=1.5)
    rates = site.run(61.0)
    assert site.oldest_s <= DEADLINE_S
    assert all(rate.is_degraded for rate in rates)
    assert min(site.schedule.tally(i).analysed for i in range(4)) >= 9, "each has its turn"


def test_a_camera_that_asks_for_nothing_is_not_degraded() -> None:
    assert Site([NORMAL, NORMAL], [5.0, 0.0], cost_s=0.5).run(31.0)[1] == Rate()


def test_a_glance_waits_for_older_frames_of_its_camera_alone() -> None:
    schedule: Schedule[str] = Schedule([NORMAL, NORMAL])
    schedule.put_glance(0, "before", 0.0)
    schedule.put(0, "look", 0.1)
    schedule.put_glance(0, "after", 0.2)
    schedule.put_glance(1, "other", 0.3)
    assert [schedule.take_glance(0.4) for _ in range(3)] == [(0, "before"), (1, "other"), None]
    assert not schedule.is_empty
    assert [schedule.take(0.4), schedule.take_glance(0.4)] == [(0, "look"), (0, "after")]
    assert schedule.is_empty
    assert not schedule.has_work
    assert schedule.tally(0) == Tally(asked=1, analysed=1), "glances are not counted as frames"


def test_what_the_detector_never_sees_is_glanced_at_in_its_order() -> None:
    schedule: Schedule[str] = Schedule([NORMAL])
    schedule.put(0, "replaced", 0.0)
    schedule.put_glance(0, "between", 0.1)
    schedule.put(0, "expired", 0.2)
    schedule.put_glance(0, "last", 0.3)
    assert schedule.take(0.3 + DEADLINE_S) is None
    taken = [schedule.take_glance(0.3 + DEADLINE_S) for _ in range(5)]
    assert taken == [(0, name) for name in ("replaced", "between", "expired", "last")] + [None]


def test_of_many_glances_the_oldest_give_way_and_are_counted() -> None:
    schedule: Schedule[int] = Schedule([NORMAL])
    schedule.put(0, -1, 0.0)
    for number in range(MOST_GLANCES + 3):
        schedule.put_glance(0, number, 0.0)
    assert schedule.take(0.0) == (0, -1)
    assert schedule.take_glance(0.0) == (0, 3)
    assert schedule.tally(0).unfollowed == 3


def test_an_onset_comes_before_those_who_are_busy_for_long_and_leaves_them_a_turn_of_four() -> None:
    schedule: Schedule[None] = Schedule([HIGH, NORMAL, NORMAL])
    turns = []
    for turn in range(24):
        schedule.put(0, None, turn * 0.1)
        schedule.put(1, None, turn * 0.1)
        schedule.put(2, None, turn * 0.1, onset=turn < 16)
        taken = schedule.take(turn * 0.1)
        turns.append(taken and taken[0])
    assert turns[:16] == [2, 2, 2, 0, 2, 2, 2, 1, 2, 2, 2, 0, 2, 2, 2, 0]
    assert turns[16:].count(2) >= 1, "an onset has cost its camera nothing of its share"


def test_onsets_take_turns_by_priority() -> None:
    schedule: Schedule[None] = Schedule([HIGH, NORMAL, LOW])
    for turn in range(70):
        for camera in range(3):
            schedule.put(camera, None, turn * 0.01, onset=True)
        schedule.take(turn * 0.01)
    assert [schedule.tally(camera).analysed for camera in range(3)] == [40, 20, 10]


def test_a_visit_to_a_quiet_camera_is_seen_though_fifteen_busy_ones_want_four_times_what_there_is() -> None:
    """Its onset's frames, 0.2 s apart, each within a quarter of a second; the busy ones' rates hardly fall."""

    def run(onset: bool) -> tuple[int, int]:
        schedule: Schedule[float] = Schedule([NORMAL] * 16)
        now_s, busy, seen, longest_s = 0.0, 0, 0, 0.0
        asked = [0] * 16
        while now_s < 10.0:
            for camera in range(15):
                if asked[camera] <= now_s * 1.8:
                    schedule.put(camera, now_s, now_s)
                    asked[camera] += 1
            if 5.0 <= now_s < 7.0 and asked[15] <= (now_s - 5.0) * 5:
                schedule.put(15, now_s, now_s, onset=onset)
                asked[15] += 1
            turn = schedule.take(now_s)
            seen += turn is not None and turn[0] == 15
            busy += turn is not None and turn[0] != 15
            longest_s = max(longest_s, now_s - turn[1] if turn is not None and turn[0] == 15 else 0.0)
            now_s += 0.15
        assert longest_s <= 0.25 or not onset
        return seen, busy

    (seen, busy), (before, busy_before) = run(onset=True), run(onset=False)
    assert seen >= 9
    assert before <= 4, "in turn, it gets a sixteenth"
    assert busy >= 0.85 * busy_before
