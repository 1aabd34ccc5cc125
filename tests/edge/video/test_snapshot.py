"""Pictures: what is cut out, which view is better, and how large the JPEG may be."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.video.snapshot import MOST_BYTES, cut, encode, quality_bound, sharpness

RANDOM = np.random.default_rng(5)
fractions = st.floats(0, 1)


def noise(height: int, width: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(40, 30), (576, 768), (1080, 1920), (3000, 200)])
def test_even_noise_fits_and_decodes(height: int, width: int) -> None:
    jpeg = encode(noise(height, width))
    assert len(jpeg.data) <= MOST_BYTES
    picture = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[:2] == (jpeg.height, jpeg.width)
    assert max(jpeg.height, jpeg.width) <= 640


def test_a_small_picture_is_not_enlarged() -> None:
    jpeg = encode(np.zeros((50, 40, 3), np.uint8))
    assert (jpeg.width, jpeg.height) == (40, 50)


def test_an_empty_picture_and_an_impossible_size_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        encode(np.zeros((0, 10, 3), np.uint8))
    with pytest.raises(ValueError, match="no picture fits"):
        encode(noise(100, 100), most_bytes=10)


@settings(max_examples=200)
@given(fractions, fractions, fractions, fractions, st.floats(0, 2))
def test_a_cut_is_never_empty_and_never_outside(a: float, b: float, c: float, d: float, margin: float) -> None:
    image = np.zeros((57, 76, 3), np.uint8)
    part = cut(image, (min(a, c), min(b, d), max(a, c), max(b, d)), margin)
    assert 1 <= part.shape[0] <= 57
    assert 1 <= part.shape[1] <= 76


def test_a_cut_is_a_copy() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    part = cut(image, (0.25, 0.25, 0.75, 0.75), 0.0)
    image[:] = 255
    assert part.shape == (10, 10, 3)
    assert not part.any()


def test_a_large_sharp_whole_view_is_the_best() -> None:
    assert quality_bound(0.8, (0.2, 0.2, 0.4, 0.8)) > quality_bound(0.8, (0.2, 0.2, 0.3, 0.5))
    assert quality_bound(0.8, (0.2, 0.2, 0.4, 0.8)) > quality_bound(0.5, (0.2, 0.2, 0.4, 0.8))
    assert quality_bound(0.8, (0.2, 0.2, 0.4, 0.8)) > quality_bound(0.8, (0.2, 0.4, 0.4, 1.0))
    picture = cv2.resize(noise(16, 8), (64, 128), interpolation=cv2.INTER_CUBIC)
    assert 0 <= sharpness(cv2.GaussianBlur(picture, (0, 0), 4)) < sharpness(picture) <= 1
