"""The tracker against `trackers`' ByteTrack on walks with known identities, and its own promises."""

import time

import numpy as np
import pytest
import supervision
from trackers import ByteTrackTracker

from edge.video.tracker import Seen, Tracker, TrackerConfig
from tests.edge.video.walks import HEIGHT, WIDTH, Labelled, WalkFrame, idf1, walks

SIZE = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])


def ours(frames: list[WalkFrame], config: TrackerConfig | None = None) -> tuple[list[Labelled], float]:
    """What our tracker finds, and the processor time it took."""
    tracker, found, cost = Tracker(WIDTH / HEIGHT, config), [], 0.0
    for frame in frames:
        kinds, sound = np.zeros(len(frame.scores), np.intp), frame.scores >= 0.4
        began = time.thread_time()
        seen = tracker.update(frame.boxes / SIZE, frame.scores, kinds, sound, frame.at_s)
        cost += time.thread_time() - began
        found.append((frame.boxes[list(seen.rows)].reshape(-1, 4), np.array(seen.ids, np.intp)))
    return found, cost


def yardstick(frames: list[WalkFrame], rate: float) -> list[Labelled]:
    """What `trackers`' ByteTrack finds, told the true frame rate, losing tracks after as many seconds as ours."""
    config = TrackerConfig()
    tracker = ByteTrackTracker(
        frame_rate=rate,
        lost_track_buffer=round(30 * config.lost_after_s),
        minimum_consecutive_frames=config.confirm_hits,
        track_activation_threshold=0.4,
        high_conf_det_threshold=0.4,
    )
    found = []
    for frame in frames:
        given = supervision.Detections(
            xyxy=frame.boxes.astype(np.float32),
            confidence=frame.scores.astype(np.float32),
            class_id=np.zeros(len(frame.scores), int),
        )
        seen = tracker.update(given)
        known = seen.tracker_id >= 0 if seen.tracker_id is not None else np.zeros(0, bool)
        ids = seen.tracker_id[known] if seen.tracker_id is not None else np.zeros(0, int)
        found.append((seen.xyxy[known].astype(float), ids.astype(np.intp)))
    return found


@pytest.mark.parametrize("walkers", [2.6, 6.7, 16.7])
def test_identities_are_kept_as_well_as_by_bytetrack(walkers: float) -> None:
    mine, theirs = [], []
    for seed in range(2):
        frames = walks(seed, walkers, seconds=30.0)
        truth = [(frame.truth, frame.identities) for frame in frames]
        mine.append(idf1(truth, ours(frames)[0]))
        theirs.append(idf1(truth, yardstick(frames, 5.0)))
    assert np.mean(mine) >= np.mean(theirs), (mine, theirs)
    assert np.mean(mine) > 0.75


def test_the_reference_score_is_right_on_a_case_worked_by_hand() -> None:
    box, other = np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([[50.0, 0.0, 60.0, 10.0]])
    one = np.array([1])
    truth: list[Labelled] = [(box, one)] * 4
    assert idf1(truth, truth) == 1.0
    assert idf1(truth, [(box, one), (box, one), (box, np.array([2])), (other, np.array([3]))]) == 0.5


def feed(
    tracker: Tracker, at_s: float, *boxes: tuple[float, float, float, float], score: float = 0.8, kind: int = 0
) -> Seen:
    count = len(boxes)
    return tracker.update(
        np.array(boxes).reshape(-1, 4),
        np.full(count, score),
        np.full(count, kind, np.intp),
        np.full(count, score >= 0.4),
        at_s,
    )


def at(x: float) -> tuple[float, float, float, float]:
    return x, 0.4, x + 0.08, 0.7


def test_a_track_is_confirmed_at_its_third_detection() -> None:
    tracker = Tracker(4 / 3)
    assert [feed(tracker, i * 0.2, at(0.1 + 0.01 * i)).ids for i in range(4)] == [(), (), (1,), (1,)]


@pytest.mark.parametrize("every_s", [0.1, 0.2, 0.4, 0.55])
def test_a_walker_stays_one_track_at_any_frame_rate(every_s: float) -> None:
    tracker = Tracker(4 / 3)
    ids = {i for n in range(int(4 / every_s)) for i in feed(tracker, n * every_s, at(0.1 + 0.15 * n * every_s)).ids}
    assert len(ids) == 1


def test_a_walker_hidden_for_two_seconds_is_the_same_track_after() -> None:
    tracker = Tracker(4 / 3)
    times = np.arange(0, 6, 0.2)
    seen = [feed(tracker, t, *([] if 2 < t < 4 else [at(0.1 + 0.12 * t)])) for t in times]
    assert {i for s in seen for i in s.ids} == {1}
    assert seen[-1].ids == (1,)


@pytest.mark.parametrize("every_s", [0.2, 0.55])
def test_a_track_that_was_missed_once_goes_on(every_s: float) -> None:
    tracker = Tracker(4 / 3)
    times = np.arange(12) * every_s
    seen = [feed(tracker, t, *([] if i == 6 else [at(0.1 + 0.1 * t)])) for i, t in enumerate(times)]
    assert (seen[6].ids, seen[6].ended) == ((), ())
    assert seen[7].ids == seen[-1].ids == (1,)


def test_at_a_busy_scene_s_pace_a_walker_hidden_for_two_seconds_is_the_same_track_after() -> None:
    tracker = Tracker(4 / 3)
    times = np.arange(0, 7, 0.55)
    seen = [feed(tracker, t, *([] if 2.5 < t < 4.5 else [at(0.05 + 0.11 * t)])) for t in times]
    assert {i for s in seen for i in s.ids} == {1}
    assert seen[-1].ids == (1,)


@pytest.mark.parametrize(("every_s", "same"), [(0.2, False), (0.55, True)])
def test_it_reaches_the_further_the_longer_it_did_not_look(every_s: float, same: bool) -> None:
    tracker = Tracker(4 / 3)
    for i in range(6):
        feed(tracker, i * every_s, at(0.3))
    leapt = feed(tracker, 6 * every_s, at(0.3 + 0.085))  # more than its own width to the side
    assert (leapt.ids == (1,)) is same


def test_an_early_sure_sight_confirms_and_an_unsure_one_does_not() -> None:
    for score, ids in ((0.8, (1,)), (0.5, ())):
        tracker = Tracker(4 / 3)
        feed(tracker, 0.0, at(0.3), score=score)
        assert feed(tracker, 0.55, at(0.33), score=score).ids == ids
        assert feed(tracker, 1.1, at(0.36), score=score).ids == (1,)


@pytest.mark.parametrize("walkers", [2.6, 6.7])
def test_at_a_busy_scene_s_pace_identities_are_kept_better_than_with_the_reach_of_close_looks(walkers: float) -> None:
    mine, close = [], []
    for seed in range(3):
        frames = walks(seed, walkers, seconds=60.0, rate=1.8)
        truth = [(frame.truth, frame.identities) for frame in frames]
        mine.append(idf1(truth, ours(frames)[0]))
        close.append(idf1(truth, ours(frames, TrackerConfig(reach_per_s=0.0, reach_tentative_per_s=0.0))[0]))
    assert np.mean(mine) > np.mean(close) + 0.05, (mine, close)
    assert np.mean(mine) > 0.8


def test_a_lost_track_ends_after_seconds_not_frames() -> None:
    for every_s in (0.1, 0.5):
        tracker = Tracker(4 / 3)
        for i in range(5):
            feed(tracker, i * 0.2, at(0.1 + 0.03 * i))
        ended_s = next(t for t in np.arange(0.8, 20, every_s) if feed(tracker, t).ended == (1,))
        assert 0.8 + 2.5 <= ended_s <= 0.8 + 2.5 + 2 * every_s


def test_it_is_looked_for_several_times_before_it_is_given_up() -> None:
    tracker = Tracker(4 / 3)
    for i in range(5):
        feed(tracker, i * 0.2, at(0.1 + 0.03 * i))
    assert [feed(tracker, t).ended for t in (4.0, 6.0, 8.0)] == [(), (), ()]
    assert feed(tracker, 10.0).ended == (1,)


def test_what_stood_long_is_given_up_late() -> None:
    tracker = Tracker(4 / 3)
    for t in np.arange(0, 14, 1.0):
        feed(tracker, t, at(0.3))
    assert all(feed(tracker, t).ended == () for t in np.arange(14, 32, 1.0))
    assert feed(tracker, 32.0, at(0.3)).ids == (1,)


def test_what_stands_still_and_was_not_looked_at_for_long_is_not_given_up_when_hidden_for_a_moment() -> None:
    tracker = Tracker(4 / 3)
    for t in np.arange(0, 14, 1.0):
        feed(tracker, t, at(0.3))
    assert all(feed(tracker, t).ended == () for t in np.arange(43.0, 46.0, 0.2))
    assert feed(tracker, 46.0, at(0.3)).ids == (1,)


def test_a_weak_detection_keeps_a_track_and_begins_none() -> None:
    tracker = Tracker(4 / 3)
    for i in range(3):
        feed(tracker, i * 0.2, at(0.3))
    assert feed(tracker, 0.6, at(0.3), score=0.3).ids == (1,)
    assert feed(tracker, 0.8, at(0.3), score=0.2).ids == ()
    other = Tracker(4 / 3)
    assert all(feed(other, i * 0.2, at(0.3), score=0.3).ids == () for i in range(10))
    assert not other.restless


def test_different_kinds_never_match() -> None:
    tracker = Tracker(4 / 3)
    for i in range(3):
        feed(tracker, i * 0.2, at(0.3))
    assert feed(tracker, 0.6, at(0.3), kind=2).ids == ()
    assert tracker.restless


def test_ending_all_names_the_confirmed_and_numbers_go_on() -> None:
    tracker = Tracker(4 / 3)
    for i in range(3):
        feed(tracker, i * 0.2, at(0.3), at(0.6))
    feed(tracker, 0.6, at(0.3), at(0.6), at(0.9))
    assert sorted(tracker.end()) == [1, 2]
    assert (tracker.live, tracker.restless) == (0, False)
    assert [feed(tracker, 9 + i * 0.2, at(0.3)).ids for i in range(3)] == [(), (), (4,)]


Corners = tuple[float, float, float, float]


def hold(tracker: Tracker, until_s: float, *boxes: Corners, from_s: float = 0.0) -> None:
    for t in np.arange(from_s, until_s, 0.5):
        feed(tracker, t, *boxes)


def shifted(x: float, by: float) -> Corners:
    x1, y1, x2, y2 = at(x)
    return x1 + by, y1, x2 + by, y2


def test_who_does_not_move_for_ten_seconds_is_still_and_not_restless_when_missed() -> None:
    tracker = Tracker(4 / 3)
    hold(tracker, 9.0, at(0.3))
    assert (tracker.live, tracker.moving) == (1, 1)
    hold(tracker, 12.5, at(0.3), from_s=9.0)
    assert (tracker.live, tracker.moving, tracker.restless) == (1, 0, False)
    feed(tracker, 13.0)
    assert not tracker.restless
    assert tracker.following.still == (True,)
    np.testing.assert_allclose(tracker.following.boxes, [at(0.3)], atol=1e-6)


def test_how_often_it_is_looked_for_follows_from_what_it_does() -> None:
    tracker = Tracker(4 / 3)
    assert tracker.look_every_s == np.inf
    hold(tracker, 3.0, at(0.3))
    assert tracker.look_every_s == 2.0
    hold(tracker, 13.0, at(0.3), from_s=3.0)
    assert tracker.look_every_s == 30.0
    feed(tracker, 13.0)
    assert tracker.look_every_s == 5.0
    hold(tracker, 16.0, at(0.3), at(0.7), from_s=14.0)
    assert tracker.look_every_s == 2.0


def test_headlights_that_shift_a_parked_cars_box_for_a_moment_do_not_move_it() -> None:
    tracker = Tracker(4 / 3)
    hold(tracker, 15.0, at(0.3))
    for t in np.arange(15.0, 16.6, 0.2):
        assert feed(tracker, t, shifted(0.3, 0.06)).ids == (1,)
    hold(tracker, 30.0, at(0.3), from_s=16.6)
    assert tracker.moving == 0
    assert tracker.following.ids == (1,)


def test_a_parked_car_that_drives_off_moves_again_and_keeps_its_number() -> None:
    tracker = Tracker(4 / 3)
    hold(tracker, 15.0, at(0.3))
    ids = {i for t in np.arange(15.0, 19.0, 0.2) for i in feed(tracker, t, shifted(0.3, 0.1 * (t - 15.0))).ids}
    assert ids == {1}
    assert tracker.moving == 1


def test_a_slow_creep_is_movement() -> None:
    tracker = Tracker(4 / 3)
    for t in np.arange(0.0, 30.0, 0.5):
        feed(tracker, t, shifted(0.1, 0.02 * t))
    assert (tracker.live, tracker.moving) == (1, 1)


def behind_a_pillar(frame: WalkFrame, left: float, right: float) -> WalkFrame:
    """The frame without the detections whose middle is behind a pillar."""
    middle = (frame.boxes[:, 0] + frame.boxes[:, 2]) / 2
    seen = (middle < left) | (middle > right)
    return WalkFrame(frame.at_s, frame.truth, frame.identities, frame.boxes[seen], frame.scores[seen])


def test_walkers_who_vanish_behind_a_pillar_for_two_seconds_are_the_same_when_they_come_out() -> None:
    """Of one who walks straight on behind it, alone in the picture, the track before is the track after."""
    kept = 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        height, tracker = random.uniform(80, 150), Tracker(WIDTH / HEIGHT)
        speed = random.uniform(0.5, 0.9) * height
        width = 2.0 * speed
        before, after = set(), set()
        for t in np.arange(0.0, (WIDTH - 60) / speed, 0.2) + random.uniform(0, 0.03):
            x, y = 30 + speed * t, 400.0 + 5 * np.sin(t)
            if 350 < x < 350 + width:
                detected = np.zeros((0, 4))
            else:
                box = np.array([[x - 0.2 * height, y - height, x + 0.2 * height, y]])
                detected = box + random.normal(0, 0.03 * height, 4)
            given = np.full(len(detected), 0.8)
            kinds = np.zeros(len(detected), np.intp)
            ids = tracker.update(detected / SIZE, given, kinds, given >= 0.4, t).ids
            (before if x <= 350 else after).update(ids)
        kept += after == before
    assert kept >= 11


def test_a_pillar_in_a_crowd_costs_few_identities() -> None:
    frames = walks(3, 6.7, seconds=40.0)
    truth = [(frame.truth, frame.identities) for frame in frames]
    whole, hidden = ours(frames)[0], ours([behind_a_pillar(frame, 350, 430) for frame in frames])[0]
    assert idf1(truth, hidden) > idf1(truth, whole) - 0.15
