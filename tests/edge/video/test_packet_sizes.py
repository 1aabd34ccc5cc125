"""Growing packets: what wakes a camera, and what must not."""

import numpy as np
import pytest

from edge.video.packet_sizes import SizeWatch


def grew_at(sizes: list[float], rate: float = 10.0, watch: SizeWatch | None = None) -> list[float]:
    watch = watch or SizeWatch()
    return [i / rate for i, size in enumerate(sizes) if watch.see(int(size), i / rate)]


def noise(level: float, spread: float, count: int, seed: int = 1) -> list[float]:
    return list(np.maximum(10, np.random.default_rng(seed).normal(level, spread, count)))


@pytest.mark.parametrize(("level", "spread"), [(200, 20), (1500, 300), (6000, 600)])
def test_steady_sizes_are_quiet_and_a_walker_is_not(level: float, spread: float) -> None:
    sizes = noise(level, spread, 600)
    assert len(grew_at(sizes)) <= 3
    walker = sizes + noise(2.2 * level + 200, spread, 20)
    assert any(60.0 <= at_s <= 61.0 for at_s in grew_at(walker))


def test_rain_that_lasts_becomes_the_new_quiet() -> None:
    sizes = noise(300, 30, 300) + noise(900, 90, 1800)
    alarms = grew_at(sizes)
    assert any(at_s < 32.0 for at_s in alarms)
    assert not [at_s for at_s in alarms if at_s > 150.0]


def test_a_pattern_of_layers_is_no_growth() -> None:
    assert grew_at([900, 300] * 300) == []


def test_false_alarms_make_it_cautious_and_true_ones_bold_again() -> None:
    step = noise(300, 10, 100) + noise(520, 10, 5)
    assert grew_at(step)
    cautious = SizeWatch()
    for _ in range(4):
        cautious.was_right(moved=False)
    assert not grew_at(step, watch=cautious)
    again = SizeWatch()
    for _ in range(4):
        again.was_right(moved=False)
    for _ in range(8):
        again.was_right(moved=True)
    assert grew_at(step, watch=again)


def test_times_that_stand_still_harm_nothing() -> None:
    watch = SizeWatch()
    assert not any(watch.see(size, 5.0) for size in (10, 10_000, 0, 10**9))
