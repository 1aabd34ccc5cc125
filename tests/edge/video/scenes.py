"""Scenes drawn for the motion gate: luma [288,384] of a yard with rain, headlights, a tree or infrared, and people.

Each is a function of time, deterministic, with a sensor's noise. Someone who walks is a figure a fifth of the picture
high, darker or lighter than what is behind, with a head, a body and legs.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
Scene = Callable[[float], npt.NDArray[np.float32]]

HEIGHT, WIDTH = 288, 384


def _texture(seed: int, grain: float) -> npt.NDArray[np.float32]:
    rough = np.random.default_rng(seed).normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    smooth = cv2.GaussianBlur(rough, (0, 0), grain)
    return np.asarray(smooth / smooth.std(), np.float32)


_GROUND = 110 + 18 * _texture(1, 6.0) + 8 * _texture(2, 1.5)
_REFLECTANCE = np.asarray(np.clip(_GROUND / 110, 0.3, 2.0), np.float32)
_NOISE = np.random.default_rng(5).normal(0, 2.5, (11, HEIGHT, WIDTH)).astype(np.float32)


def day(at_s: float) -> npt.NDArray[np.float32]:
    """A still yard in daylight."""
    return np.array(_GROUND, np.float32)


def night(at_s: float) -> npt.NDArray[np.float32]:
    """The same yard, nearly dark."""
    return np.asarray(18 * _REFLECTANCE, np.float32)


def rain(at_s: float) -> npt.NDArray[np.float32]:
    """Heavy rain: 120 bright streaks, elsewhere in each picture."""
    picture = day(at_s)
    random = np.random.default_rng(round(at_s * 1000))
    streaks = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x, y, length in zip(
        random.integers(0, WIDTH, 120), random.integers(0, HEIGHT, 120), random.integers(8, 28, 120), strict=True
    ):
        cv2.line(streaks, (int(x), int(y)), (int(x) + int(length) // 5, int(y) + int(length)), 70, 1)
    return picture + streaks


def headlights(at_s: float) -> npt.NDArray[np.float32]:
    """A dark yard over which a car's light sweeps every six seconds; the car itself is not in the picture."""
    x = (at_s % 6.0) / 2.0 * (WIDTH + 240) - 120
    across, down = np.meshgrid(np.arange(WIDTH) - x, np.arange(HEIGHT) - 190)
    light = 140 * np.exp(-(across**2 / (2 * 60**2) + down**2 / (2 * 40**2)))
    return np.asarray((18 + light) * _REFLECTANCE, np.float32)


def tree(at_s: float) -> npt.NDArray[np.float32]:
    """The yard with a tree at its right third, whose leaves sway by some pixels at two rhythms."""
    picture = day(at_s)
    gust = 5 * np.sin(2.1 * at_s) + 3 * np.sin(5.3 * at_s + 1)
    leaves = 90 + 35 * _texture(3, 2.0)
    shift = np.array([[1, 0, gust], [0, 1, 0.4 * gust]], np.float32)
    swaying = cv2.warpAffine(leaves, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    crown = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.ellipse(crown, (310, 110), (70, 95), 0, 0, 360, 1.0, -1)
    return picture * (1 - crown) + swaying * crown


def infrared(at_s: float) -> npt.NDArray[np.float32]:
    """A yard whose camera switches to infrared at 20 s: other contrast, darker corners, and two seconds to settle."""
    if at_s < 20.0:
        return day(at_s)
    across, down = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    lamp = 1.1 - 0.55 * (across**2 + down**2)
    settle = 1.0 + 0.5 * np.exp(-(at_s - 20.0) / 0.6)
    return np.asarray(settle * lamp * (60 + 0.9 * (_GROUND - 110) + 20 * _texture(4, 8.0)), np.float32)


def seen(scene: Scene, at_s: float, walker: tuple[float, float] | None = None, shade: float = 45.0) -> Luma:
    """The camera's picture of a scene, with someone who stands at `walker` (x, y of the feet, pixels), if anyone."""
    picture = scene(at_s)
    if walker is not None:
        x, y = walker
        figure = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.ellipse(figure, (int(x), int(y) - 34), (8, 16), 0, 0, 360, 255, -1)
        cv2.circle(figure, (int(x), int(y) - 54), 5, 255, -1)
        stride = int(5 * np.sin(6 * at_s))
        cv2.line(figure, (int(x), int(y) - 20), (int(x) - stride, int(y)), 255, 5)
        cv2.line(figure, (int(x), int(y) - 20), (int(x) + stride, int(y)), 255, 5)
        body = cv2.GaussianBlur(figure, (3, 3), 0).astype(np.float32) / 255
        picture = picture * (1 - body) + shade * body
    return np.clip(picture + _NOISE[round(at_s * 1000) % len(_NOISE)], 0, 255).astype(np.uint8)
