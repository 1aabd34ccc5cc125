"""A frame comes into the network as the manifest says, and boxes come back to where they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import FrameError
from models.fitting import InputSpec, Resize, fit

SIDE = st.integers(1, 200)


@given(SIDE, SIDE, st.sampled_from(Resize), st.floats(0, 1), st.floats(0, 1))
def test_a_point_on_the_canvas_comes_back_to_its_place_in_the_frame(
    width: int, height: int, resize: Resize, across: float, down: float
) -> None:
    _, place = fit(np.zeros((height, width, 3), np.uint8), InputSpec(96, 64, resize))
    point = np.array([[across, down]], np.float32)
    canvas = point * [place.width, place.height] + [place.left, place.top]

    back = place.to_frame(np.hstack([canvas, canvas]).astype(np.float32))

    np.testing.assert_allclose(back, np.hstack([point, point]), atol=1e-4)


@given(SIDE, SIDE, st.sampled_from(Resize))
def test_any_size_fills_the_input(width: int, height: int, resize: Resize) -> None:
    tensor, _ = fit(np.full((height, width, 3), 200, np.uint8), InputSpec(96, 64, resize))

    assert tensor.shape == (1, 64, 96, 3)
    assert tensor.dtype == np.uint8
    assert np.isin(tensor, [114, 200]).all()


def test_a_letterbox_pads_below_or_on_both_sides() -> None:
    wide = np.full((10, 40, 3), 200, np.uint8)

    top, _ = fit(wide, InputSpec(40, 20, Resize.LETTERBOX_TOP_LEFT))
    centre, _ = fit(wide, InputSpec(40, 20, Resize.LETTERBOX_CENTRE, padding=7))

    assert [int(row[0, 0]) for row in top[0]] == [200] * 10 + [114] * 10
    assert [int(row[0, 0]) for row in centre[0]] == [7] * 5 + [200] * 10 + [7] * 5


def test_colour_order_layout_and_normalisation_follow_the_manifest() -> None:
    blue = np.zeros((4, 6, 3), np.uint8)
    blue[:, :, 0] = 100
    spec = InputSpec(
        6, 4, layout="nchw", dtype="float32", colour="rgb", mean=(1.0, 2.0, 10.0), deviation=(1.0, 2.0, 3.0)
    )

    tensor, _ = fit(blue, spec)

    assert tensor.shape == (1, 3, 4, 6)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0, :, 0, 0], [-1.0, -1.0, 30.0])


def test_a_mirrored_view_of_a_frame_is_accepted() -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    frame[:, :4] = 255

    tensor, _ = fit(frame[:, ::-1], InputSpec(8, 8))

    assert tensor[0, 0, :, 0].tolist() == [0] * 4 + [255] * 4


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_anything_but_an_8_bit_colour_picture_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(FrameError, match="a frame must be uint8"):
        fit(frame, InputSpec(8, 8))
