"""Boxes are followed by what the picture shows: drawn pictures whose motion is known to the pixel."""

import numpy as np
import pytest

from edge.video.flow import LONGEST_S, BoxFlow

HEIGHT, WIDTH = 200, 267
RANDOM = np.random.default_rng(4)
PLACE = RANDOM.integers(60, 200, (HEIGHT // 4 + 1, WIDTH // 4 + 1), np.uint8).repeat(4, 0).repeat(4, 1)[:HEIGHT, :WIDTH]
WALKER = RANDOM.integers(0, 255, (14, 6), np.uint8).repeat(4, 0).repeat(4, 1)
SIZE = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])


def picture(x: int, y: int, place: np.ndarray = PLACE) -> np.ndarray:
    """The place with a walker of 24 x 56 pixels whose corner is there."""
    drawn = place.copy()
    drawn[y : y + WALKER.shape[0], x : x + WALKER.shape[1]] = WALKER
    return drawn


def box(x: int, y: int) -> np.ndarray:
    return np.array([[x, y, x + WALKER.shape[1], y + WALKER.shape[0]]]) / SIZE


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (6, 0), (-7, 2), (3, -5)])
def test_a_walkers_step_is_found_to_a_pixel_and_what_stands_does_not_move(dx: int, dy: int) -> None:
    flow = BoxFlow()
    flow.see(picture(100, 80), 1.0, np.zeros((0, 4)))
    steps, known = flow.see(picture(100 + dx, 80 + dy), 1.2, np.concatenate([box(100, 80), box(20, 20)]))
    assert known.all()
    np.testing.assert_allclose(steps * SIZE[:2], [[dx, dy], [0, 0]], atol=1.0)


@pytest.mark.parametrize("dx", [10, 18, 26])
def test_a_long_step_is_found_about_where_it_is_expected(dx: int) -> None:
    """A walker close to the camera: a third of a metre in a fifth of a second are many pixels."""
    flow = BoxFlow()
    flow.see(picture(100, 80), 1.0, np.zeros((0, 4)))
    steps, known = flow.see(picture(100 + dx, 80), 1.2, box(100, 80), np.array([[18.0, 2.0]]) / SIZE[:2])
    assert known.all()
    np.testing.assert_allclose(steps * SIZE[:2], [[dx, 0]], atol=1.0)


def test_what_vanishes_has_no_step() -> None:
    """It would be found on the way there, at some place that looks a little like it, and not on the way back."""
    noise = np.random.default_rng(5).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
    flow = BoxFlow()
    flow.see(picture(100, 80), 1.0, np.zeros((0, 4)))
    assert not flow.see(noise, 1.2, box(100, 80))[1].any()


def test_nothing_is_followed_over_another_size_a_long_time_or_an_absence() -> None:
    flow = BoxFlow()
    assert not flow.see(picture(100, 80), 1.0, box(100, 80))[1].any(), "the first picture"
    assert flow.see(picture(103, 80), 1.2, box(100, 80))[1].all()
    small = picture(103, 80)[::2, ::2].copy()
    assert not flow.see(small, 1.4, box(103, 80))[1].any(), "another size"
    assert not flow.see(picture(103, 80), 1.6, box(103, 80))[1].any(), "and back"
    assert not flow.see(picture(103, 80), 1.7 + LONGEST_S, box(103, 80))[1].any(), "a long time"
    flow.forget()
    assert not flow.see(picture(103, 80), 1.8 + LONGEST_S, box(103, 80))[1].any(), "an absence"


def test_boxes_beyond_the_edge_and_empty_ones_do_no_harm() -> None:
    flow = BoxFlow()
    strange = np.array([[-0.5, -0.5, -0.1, 0.1], [0.9, 0.9, 1.6, 1.8], [0.5, 0.5, 0.5, 0.5]])
    flow.see(picture(100, 80), 1.0, strange)
    steps, known = flow.see(picture(100, 80), 1.2, strange)
    assert np.isfinite(steps).all()
    assert not known[0], "what is outside is not seen"
