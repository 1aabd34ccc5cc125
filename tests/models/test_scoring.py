"""AP50, recall and precision against examples worked out by hand, and against a slow, obvious reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.scoring import FrameBoxes, Score, match, score

PERSON = [0.0, 0.0, 0.2, 0.4]
OTHER = [0.5, 0.5, 0.7, 0.9]
NOWHERE = [0.8, 0.0, 1.0, 0.2]


def frame(found: list[tuple[float, list[float]]], truth: list[list[float]]) -> FrameBoxes:
    boxes = np.array([box for _, box in found], np.float32).reshape(-1, 4)
    scores = np.array([value for value, _ in found], np.float32)
    return FrameBoxes(boxes, scores, np.array(truth, np.float32).reshape(-1, 4))


def test_everything_found_and_nothing_else_is_perfect() -> None:
    found = score([frame([(0.9, PERSON), (0.8, OTHER)], [PERSON, OTHER])], 0.4)

    assert found == Score(ap50=1.0, recall_at_one=1.0, recall=1.0, precision=1.0, labelled=2, frames=1)


def test_a_false_alarm_between_two_hits_costs_what_the_curve_says() -> None:
    """Hit, miss, hit: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1; area = 1/2 x 1 + 1/2 x 2/3 = 5/6."""
    found = score([frame([(0.9, PERSON), (0.8, NOWHERE), (0.7, OTHER)], [PERSON, OTHER])], 0.75)

    assert found.ap50 == pytest.approx(5 / 6)
    assert found.recall_at_one == 1.0
    assert (found.recall, found.precision) == (0.5, 0.5)


def test_recall_at_one_false_alarm_a_frame_stops_before_the_second() -> None:
    """One frame: the first false alarm is allowed, the hit after the second is not counted."""
    found = score([frame([(0.9, NOWHERE), (0.8, PERSON), (0.7, NOWHERE), (0.6, OTHER)], [PERSON, OTHER])], 0.4)

    assert found.recall_at_one == 0.5
    assert found.recall == 1.0


def test_a_second_box_on_the_same_person_is_a_false_alarm() -> None:
    assert match(frame([(0.6, PERSON), (0.9, PERSON)], [PERSON])).tolist() == [False, True]


def test_a_detection_takes_the_free_label_that_it_overlaps_most() -> None:
    shifted = [0.02, 0.0, 0.22, 0.4]

    assert match(frame([(0.9, PERSON), (0.8, shifted)], [shifted, PERSON])).tolist() == [True, True]


def test_half_an_overlap_is_a_hit_and_less_is_not() -> None:
    half, less = [0.0, 0.0, 0.2, 0.2], [0.0, 0.0, 0.2, 0.19]

    assert match(frame([(0.9, half)], [PERSON])).tolist() == [True]
    assert match(frame([(0.9, less)], [PERSON])).tolist() == [False]


def test_an_unlabelled_frame_adds_its_false_alarms() -> None:
    found = score([frame([(0.9, PERSON)], [PERSON]), frame([(0.95, NOWHERE)], [])], 0.4)

    assert found.ap50 == pytest.approx(0.5)
    assert found.precision == 0.5


def test_nothing_found_is_nothing_and_not_a_fault() -> None:
    found = score([frame([], [PERSON])], 0.4)

    assert (found.ap50, found.recall_at_one, found.recall, found.precision) == (0.0, 0.0, 0.0, 0.0)


def test_a_set_without_labels_has_no_score() -> None:
    with pytest.raises(ValueError, match="without a labelled box"):
        score([frame([(0.9, PERSON)], [])], 0.4)


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 5))
def test_the_area_is_that_of_the_definition(hits: list[bool], missed: int) -> None:
    """Against the definition: for each rank that hits, the best precision at that rank or a later one, over all."""
    labelled = sum(hits) + missed
    if labelled == 0:
        return
    frames = []
    for rank, hit in enumerate(hits):
        frames.append(frame([(1 - rank / 100, PERSON if hit else NOWHERE)], [PERSON] if hit else []))
    frames += [frame([], [PERSON])] * missed
    precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank in range(len(hits))]
    area = sum(max(precisions[rank:]) for rank, hit in enumerate(hits) if hit) / labelled

    assert score(frames, 0.4).ap50 == pytest.approx(area)
