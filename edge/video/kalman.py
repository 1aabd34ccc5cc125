"""A constant-velocity Kalman filter for many boxes at once, on real time differences.

Noise scales with the box's height, as in DeepSORT (Wojke 2017, section 2.1) and ByteTrack. In units of that height the
covariance of the centre's both coordinates and of the size is the same, so one of three numbers serves a box: no matrix
is ever inverted, and to predict all boxes is one matrix product. A size has no velocity. Units: frame heights, seconds.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MEASURED = 0.05  # standard deviation of a detected box, in its heights
_STEP = 0.05  # of a step seen between two pictures, in heights
_VELOCITY_AT_FIRST = 1.0  # of an unknown velocity, heights per second: a brisk walker makes about 0.8
_ACCELERATION = 0.25  # spectral density's square root, heights per second^1.5: people turn and stop

_PLACE, _VELOCITY, _PP, _PV, _VV, _ONE = slice(0, 4), slice(4, 6), 6, 7, 8, 9
_ROWS = 10


class BoxFilter:
    """N boxes, one column each: cx, cy, w, h, the centre's velocity, the covariance (pp, pv, vv in heights²) and 1."""

    def __init__(self) -> None:
        self._state: Floats = np.zeros((_ROWS, 0))
        self._step = np.eye(_ROWS)

    @property
    def place(self) -> Floats:
        """Where the boxes are: cx, cy, w, h [4,N]; writing to it moves them."""
        return self._state[_PLACE]

    @property
    def velocity(self) -> Floats:
        """How their centres move [2,N]; writing to it changes that."""
        return self._state[_VELOCITY]

    @property
    def covariance(self) -> Floats:
        """Of place, of place with velocity, and of velocity [3,N], in heights²."""
        return self._state[_PP : _VV + 1]

    def predict(self, elapsed_s: float) -> None:
        """Move every box `elapsed_s` seconds on."""
        step, t, noise = self._step, elapsed_s, _ACCELERATION**2
        step[0, 4] = step[1, 5] = step[_PV, _VV] = t
        step[_PP, _PV], step[_PP, _VV] = 2 * t, t * t
        step[_PP, _ONE], step[_PV, _ONE], step[_VV, _ONE] = noise * t**3 / 3, noise * t**2 / 2, noise * t
        self._state = step @ self._state

    def carry(self, steps: Floats, seen: Flags, elapsed_s: float) -> None:
        """Move every box `elapsed_s` seconds on: those that were seen to move [N] by their `steps` [2,N], the others as
        predicted. A step is a measurement of the velocity, too.
        """
        kept = self._state[:, seen]
        self.predict(elapsed_s)
        if elapsed_s <= 0.0 or not kept.shape[1]:
            return
        spread = (_STEP / elapsed_s) ** 2 + _ACCELERATION**2 * elapsed_s / 3
        gain = kept[_VV] / (kept[_VV] + spread)
        kept[_VELOCITY] += gain * (steps[:, seen] / elapsed_s - kept[_VELOCITY])
        kept[:2] += steps[:, seen]
        kept[_PP] += _STEP**2
        kept[_PV] *= 1 - gain
        kept[_VV] = (1 - gain) * kept[_VV] + _ACCELERATION**2 * elapsed_s
        self._state[:, seen] = kept

    def correct(self, measured: Floats, trust: Floats) -> None:
        """The boxes were seen at `measured` [4,N] with scores `trust` [N]: weak ones count less, and 0 means not seen.

        What stands in the columns of those that were not seen makes no difference.
        """
        state = self._state
        place, velocity, of_place, variance = state[_PLACE], state[_VELOCITY], state[_PP:_VV], state[_VV]
        spread = _MEASURED * 1.5 - _MEASURED * trust
        spread *= spread
        spread += of_place[0]
        gain = of_place * (trust > 0.0)
        gain /= spread
        surprise = measured - place
        velocity += gain[1] * surprise[:2]
        surprise *= gain[0]
        place += surprise
        variance -= gain[1] * of_place[1]
        of_place -= gain[0] * of_place

    def keep(self, columns: list[int]) -> None:
        """Forget all but `columns`."""
        self._state = self._state[:, columns]

    def add(self, measured: Floats) -> None:
        """Begin to follow boxes first seen at `measured` [4,M] as well, at rest as far as is known."""
        new = np.zeros((_ROWS, measured.shape[1]))
        new[_PLACE] = measured
        new[_PP], new[_VV], new[_ONE] = (2 * _MEASURED) ** 2, _VELOCITY_AT_FIRST**2, 1.0
        self._state = np.concatenate([self._state, new], axis=1)
