"""Draws a bicycle, a motorcycle and an electric scooter from the side, facing right; our detector takes them for such.

Each is given as its colours and how much it covers (0 to 1): BGR [H,W,3] and [H,W,1]. The middle of the lower edge is
where it stands.
"""

from collections.abc import Sequence

import cv2
import numpy as np

Picture = np.ndarray
Point = tuple[float, float]
"""In the thing's own heights: from its middle to the right, from the floor up."""
Colour = tuple[int, int, int]

_FINE = 4
"""Everything is drawn so many times as large and shrunk, for smooth edges."""
BLACK, DARK, GREY, SILVER, LIGHT = (24, 24, 24), (52, 52, 52), (90, 90, 90), (146, 146, 146), (205, 205, 205)
RED, BRIGHT_RED, PINK, PALE_BLUE = (40, 40, 160), (40, 40, 200), (110, 110, 225), (190, 150, 110)


class Pen:
    """Draws with thicknesses and radii in heights of the thing.

    Args:
        height: of the thing, in pixels.
        size: of what is drawn on, across and up, in heights.
    """

    def __init__(self, height: int, size: tuple[float, float]) -> None:
        self._unit = height * _FINE
        self._small = int(height * size[0]), int(height * size[1])
        shape = self._small[1] * _FINE, self._small[0] * _FINE
        self._layer, self._cover = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)

    def bar(self, a: Point, b: Point, colour: Colour, thickness: float) -> None:
        """A line with round ends."""
        for canvas, ink in ((self._layer, colour), (self._cover, (255,))):
            cv2.line(canvas, self._at(a), self._at(b), ink, max(1, int(thickness * self._unit)), cv2.LINE_AA)

    def ring(self, centre: Point, radius: float, colour: Colour, thickness: float) -> None:
        for canvas, ink in ((self._layer, colour), (self._cover, (255,))):
            width = max(1, int(thickness * self._unit))
            cv2.circle(canvas, self._at(centre), int(radius * self._unit), ink, width, cv2.LINE_AA)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        for canvas, ink in ((self._layer, colour), (self._cover, (255,))):
            cv2.circle(canvas, self._at(centre), int(radius * self._unit), ink, -1, cv2.LINE_AA)

    def area(self, corners: Sequence[Point], colour: Colour) -> None:
        points = np.array([self._at(corner) for corner in corners], np.int32)
        for canvas, ink in ((self._layer, colour), (self._cover, (255,))):
            cv2.fillPoly(canvas, [points], ink, cv2.LINE_AA)

    def arc(self, centre: Point, radius: float, turn: tuple[float, float], colour: Colour, thickness: float) -> None:
        """A part of a ring, from one angle to another, in radians from the right upwards."""
        angles = np.linspace(*turn, 14)
        outer = [(centre[0] + radius * np.cos(a), centre[1] + radius * np.sin(a)) for a in angles]
        inner = radius - thickness
        self.area(
            [*outer, *((centre[0] + inner * np.cos(a), centre[1] + inner * np.sin(a)) for a in angles[::-1])], colour
        )

    def lift(self) -> tuple[Picture, Picture]:
        """What was drawn, and how much of it covers."""
        covered = cv2.resize(self._cover, self._small, interpolation=cv2.INTER_AREA)[..., None] / 255.0
        return cv2.resize(self._layer, self._small, interpolation=cv2.INTER_AREA), covered

    def _at(self, point: Point) -> tuple[int, int]:
        height, width = self._cover.shape
        return int(width / 2 + point[0] * self._unit), int(height - 4 * _FINE - point[1] * self._unit)


def bicycle(height: int) -> tuple[Picture, Picture]:
    """With a red frame."""
    pen = Pen(height, (2.2, 1.3))
    back, front, crank = (-0.52, 0.33), (0.52, 0.33), (-0.06, 0.30)
    saddle, head, fork = (-0.20, 0.78), (0.38, 0.80), (0.41, 0.68)
    for hub in (back, front):
        for spoke in np.arange(14) * np.pi / 7:
            pen.bar(hub, (hub[0] + 0.31 * np.cos(spoke), hub[1] + 0.31 * np.sin(spoke)), SILVER, 0.006)
        pen.ring(hub, 0.31, BLACK, 0.045)
        pen.ring(hub, 0.285, SILVER, 0.012)
        pen.ring(hub, 0.02, GREY, 0.035)
    for a, b, thickness in (
        (back, crank, 0.03), (back, saddle, 0.025), (crank, saddle, 0.04), (crank, fork, 0.045), (saddle, head, 0.04),
    ):  # fmt: skip
        pen.bar(a, b, RED, thickness)
    pen.bar(fork, front, DARK, 0.04)
    pen.bar(head, (0.365, 0.90), DARK, 0.03)
    pen.bar((0.365, 0.90), (0.30, 0.95), DARK, 0.035)
    pen.bar((0.30, 0.95), (0.24, 0.93), BLACK, 0.045)
    pen.bar(saddle, (-0.215, 0.86), GREY, 0.03)
    pen.bar((-0.32, 0.88), (-0.10, 0.87), BLACK, 0.06)
    pen.ring(crank, 0.09, GREY, 0.02)
    pen.bar(crank, (-0.02, 0.14), GREY, 0.025)
    pen.bar((-0.07, 0.13), (0.04, 0.13), BLACK, 0.03)
    return pen.lift()


def motorcycle(height: int) -> tuple[Picture, Picture]:
    """With a red tank."""
    pen = Pen(height, (2.4, 1.25))
    back, front = (-0.62, 0.30), (0.66, 0.28)
    _thick_wheel(pen, back, 0.25)
    _thick_wheel(pen, front, 0.24)
    pen.bar(back, (-0.10, 0.33), DARK, 0.05)
    pen.bar((-0.55, 0.62), (-0.58, 0.33), SILVER, 0.035)
    pen.bar((0.36, 0.80), (0.05, 0.25), DARK, 0.05)
    _engine(pen)
    pen.area([(-0.45, 0.55), (-0.15, 0.58), (-0.10, 0.42), (-0.30, 0.38)], BLACK)
    pen.area([(-0.95, 0.55), (-0.90, 0.62), (-0.62, 0.70), (-0.42, 0.66), (-0.40, 0.56), (-0.66, 0.61)], RED)
    pen.area([(-0.98, 0.56), (-0.98, 0.64), (-0.90, 0.63), (-0.90, 0.56)], BRIGHT_RED)
    seat = [(-0.78, 0.72), (-0.70, 0.78), (-0.45, 0.76), (-0.22, 0.68), (0.0, 0.72)]
    pen.area([*seat, (-0.02, 0.60), (-0.45, 0.62), (-0.70, 0.66)], BLACK)
    tank = [(-0.08, 0.60), (0.0, 0.76), (0.14, 0.84), (0.30, 0.82), (0.38, 0.72)]
    pen.area([*tank, (0.30, 0.62), (0.10, 0.56)], RED)
    pen.area([(0.04, 0.76), (0.14, 0.81), (0.28, 0.79), (0.20, 0.77)], PINK)
    pen.bar((0.37, 0.85), front, SILVER, 0.05)
    pen.bar((0.41, 0.85), (front[0] + 0.03, front[1]), GREY, 0.03)
    pen.arc(front, 0.33, (0.25, 2.6), RED, 0.04)
    _handlebar(pen)
    pen.bar((-0.12, 0.15), (-0.20, 0.0), DARK, 0.03)
    return pen.lift()


def electric_scooter(height: int) -> tuple[Picture, Picture]:
    """An e-bike as couriers ride it: a step for both feet, and a box behind."""
    pen = Pen(height, (2.3, 1.3))
    back, front = (-0.58, 0.295), (0.62, 0.295)
    _thick_wheel(pen, back, 0.235)
    _thick_wheel(pen, front, 0.235)
    pen.bar((0.40, 0.92), front, SILVER, 0.06)
    pen.bar((0.44, 0.92), (front[0] + 0.04, front[1]), GREY, 0.03)
    pen.arc(front, 0.335, (0.3, 2.5), RED, 0.06)
    pen.area([(0.20, 0.24), (0.32, 0.60), (0.34, 0.90), (0.48, 0.92), (0.50, 0.66), (0.40, 0.38), (0.32, 0.20)], RED)
    pen.area([(0.38, 0.60), (0.40, 0.84), (0.45, 0.84), (0.46, 0.62)], PALE_BLUE)
    pen.area([(-0.24, 0.18), (-0.24, 0.27), (0.36, 0.27), (0.36, 0.18)], DARK)
    body = [(-0.20, 0.20), (-0.14, 0.60), (-0.40, 0.68), (-0.88, 0.66), (-0.94, 0.56), (-0.72, 0.50), (-0.50, 0.50)]
    pen.area([*body, (-0.36, 0.36), (-0.32, 0.20)], RED)
    pen.bar((-0.20, 0.34), (-0.34, 0.58), DARK, 0.015)
    pen.bar((-0.34, 0.58), (-0.86, 0.60), LIGHT, 0.02)
    pen.bar((-0.52, 0.58), back, SILVER, 0.05)
    pen.bar(back, (-0.20, 0.26), DARK, 0.06)
    pen.area([(-0.80, 0.235), (-0.78, 0.305), (-0.30, 0.235), (-0.30, 0.185)], LIGHT)
    pen.area([(-0.96, 0.56), (-0.96, 0.66), (-0.88, 0.65), (-0.88, 0.56)], BRIGHT_RED)
    seat = [(-0.86, 0.68), (-0.82, 0.77), (-0.48, 0.79), (-0.28, 0.73), (-0.10, 0.73)]
    pen.area([*seat, (-0.10, 0.62), (-0.44, 0.68)], BLACK)
    pen.area([(-0.98, 0.72), (-0.98, 0.98), (-0.66, 0.98), (-0.66, 0.76)], DARK)
    _handlebar(pen)
    pen.bar((-0.20, 0.18), (-0.28, 0.0), DARK, 0.03)
    return pen.lift()


def _thick_wheel(pen: Pen, hub: Point, radius: float) -> None:
    """A wheel with a fat tyre and five spokes; the radius is that of the tyre's middle."""
    rim = radius - 0.06
    pen.ring(hub, radius, BLACK, 0.11)
    pen.ring(hub, rim, SILVER, 0.02)
    for spoke in np.arange(5) * 2 * np.pi / 5 + 0.3:
        pen.bar(hub, (hub[0] + rim * np.cos(spoke), hub[1] + rim * np.sin(spoke)), SILVER, 0.03)
    pen.ring(hub, 0.10, GREY, 0.02)
    pen.disc(hub, 0.05, GREY)


def _engine(pen: Pen) -> None:
    """With its exhaust."""
    pen.area([(-0.85, 0.22), (-0.80, 0.28), (-0.20, 0.20), (0.12, 0.16), (0.12, 0.11), (-0.25, 0.14)], LIGHT)
    pen.area([(-0.18, 0.17), (0.20, 0.14), (0.26, 0.30), (0.22, 0.52), (0.02, 0.55), (-0.20, 0.45)], GREY)
    for fin in (0.36, 0.40, 0.44, 0.48):
        pen.bar((0.02, fin), (0.24, fin - 0.02), LIGHT, 0.015)
    pen.disc((-0.02, 0.27), 0.10, SILVER)
    pen.disc((-0.02, 0.27), 0.06, GREY)
    pen.disc((0.14, 0.25), 0.06, SILVER)
    pen.bar((0.22, 0.36), (0.30, 0.15), SILVER, 0.045)
    pen.bar((0.30, 0.15), (0.0, 0.12), SILVER, 0.045)


def _handlebar(pen: Pen) -> None:
    """With the lamp, the instruments and a mirror."""
    pen.disc((0.50, 0.82), 0.085, DARK)
    pen.disc((0.52, 0.82), 0.07, LIGHT)
    pen.area([(0.34, 0.88), (0.36, 0.98), (0.46, 0.98), (0.48, 0.90)], BLACK)
    pen.bar((0.40, 0.94), (0.22, 1.0), SILVER, 0.035)
    pen.bar((0.26, 0.99), (0.12, 0.96), BLACK, 0.05)
    pen.bar((0.34, 0.97), (0.30, 1.14), DARK, 0.015)
    pen.area([(0.22, 1.12), (0.24, 1.19), (0.36, 1.19), (0.36, 1.12)], DARK)
