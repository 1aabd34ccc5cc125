"""A constant-velocity Kalman filter for many boxes at once, on real time differences.

Each of a box's four numbers (centre x, centre y, width, height) is filtered by itself as position and velocity, so a
covariance is three numbers and no matrix is ever inverted. Noise scales with the box's height, as in DeepSORT
(Wojke 2017, section 2.1) and ByteTrack. Units: frame heights and seconds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MEASURED = 0.05  # standard deviation of a detected box, in its heights
_VELOCITY_AT_FIRST = 1.0  # of an unknown velocity, heights per second: a brisk walker makes about 0.8
_ACCELERATION = 0.2  # spectral density's square root, heights per second^1.5: people turn and stop
_SIZE_CALM = 0.3  # a box's size changes more slowly than its place
_CALM = np.array([1.0, 1.0, _SIZE_CALM, _SIZE_CALM])


@dataclass
class BoxFilter:
    """The state of N boxes: `place`, `velocity` and covariance (`pp`, `pv`, `vv`), each [N,4] as cx, cy, w, h."""

    place: Floats
    velocity: Floats
    pp: Floats
    pv: Floats
    vv: Floats

    @classmethod
    def start(cls, measured: Floats) -> "BoxFilter":
        """Filters for boxes first seen at `measured` [N,4], at rest as far as is known."""
        scale = _scale(measured)
        return cls(
            place=measured.copy(),
            velocity=np.zeros_like(measured),
            pp=(2 * _MEASURED * scale) ** 2,
            pv=np.zeros_like(measured),
            vv=(_VELOCITY_AT_FIRST * scale) ** 2,
        )

    def predict(self, elapsed_s: float) -> None:
        """Move every box `elapsed_s` seconds on."""
        if not len(self.place):
            return
        noise = (_ACCELERATION * _scale(self.place)) ** 2
        self.place += self.velocity * elapsed_s
        self.place[:, 2:] = np.maximum(self.place[:, 2:], 1e-4)
        self.pp += elapsed_s * (2 * self.pv + elapsed_s * self.vv) + noise * elapsed_s**3 / 3
        self.pv += elapsed_s * self.vv + noise * elapsed_s**2 / 2
        self.vv += noise * elapsed_s

    def correct(self, rows: npt.NDArray[np.intp], measured: Floats, trust: Floats) -> None:
        """Boxes `rows` [M] were seen at `measured` [M,4], with scores `trust` [M]: a weak one counts for less."""
        if not len(rows):
            return
        expected = (_MEASURED * _scale(measured) * (1.5 - np.clip(trust, 0.0, 1.0))[:, None]) ** 2
        spread = self.pp[rows] + expected
        gain_place, gain_velocity = self.pp[rows] / spread, self.pv[rows] / spread
        surprise, doubt = measured - self.place[rows], 1 - gain_place
        self.place[rows] += gain_place * surprise
        self.velocity[rows] += gain_velocity * surprise
        self.vv[rows] -= gain_velocity * self.pv[rows]
        self.pv[rows] *= doubt
        self.pp[rows] *= doubt

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        """Forget all but `rows`."""
        for name in ("place", "velocity", "pp", "pv", "vv"):
            setattr(self, name, getattr(self, name)[rows])

    def add(self, measured: Floats) -> None:
        """Begin to follow boxes `measured` [M,4] as well."""
        new = BoxFilter.start(measured)
        for name in ("place", "velocity", "pp", "pv", "vv"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(new, name)]))


def _scale(boxes: Floats) -> Floats:
    return np.asarray(boxes[:, 3:4] * _CALM)
