"""UUIDv7: the layout of RFC 9562, and strictly rising also when the clock is not."""

import os
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.ids import UuidV7Maker, unix_ms


def test_an_id_has_version_variant_and_time() -> None:
    made = UuidV7Maker(lambda: 1_777_777_777.123, os.urandom)()
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert unix_ms(made) == 1_777_777_777_123


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=200))
def test_ids_rise_whatever_the_clock_does(clock: list[float]) -> None:
    times = iter(clock)
    maker = UuidV7Maker(lambda: next(times), os.urandom)
    ids = [maker() for _ in clock]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("filling", [b"\x00", b"\xff"])
def test_a_standing_clock_gives_rising_ids_past_the_counter_s_end(filling: bytes) -> None:
    maker = UuidV7Maker(lambda: 1.0, lambda count: filling * count)
    ids = [maker() for _ in range(5000)]
    assert ids == sorted(set(ids))
    assert unix_ms(ids[-1]) <= 1002


def test_another_version_has_no_time() -> None:
    with pytest.raises(ValueError, match="version 4"):
        unix_ms(uuid4())
    assert unix_ms(UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")) == 0x017F22E279B0  # RFC 9562, appendix A.6
