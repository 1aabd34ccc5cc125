"""When a frame was taken, on the gateway's own clock, from the time stamps a camera gives. Touches no clock itself.

Cameras' time stamps start anywhere, may be absent, stand still, go back or leap (measured: absent on the first packet,
non-monotonic for the first second, repeated where a clip loops). What is made of them here always rises, is never
later than the frame's arrival, and keeps the camera's own spacing while that is plausible.
"""

MOST_LATE_S = 2.0
"""A frame that seems older than this on arrival means that the camera's clock leapt: a network rarely delays more."""

LEAST_STEP_S = 0.0005
"""What two frames are apart at least, so that no two have one time."""


class Timeline:
    """Maps one connection's time stamps to monotonic seconds. Make a new one for each connection."""

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._last_s = float("-inf")
        self.rebases = 0
        """How often the camera's time stamps leapt and were anchored anew."""

    def place(self, stamp_s: float | None, arrival_s: float) -> float:
        """When the frame with time stamp `stamp_s` (s, None if it has none), arrived at `arrival_s`, was taken."""
        taken_s = arrival_s if stamp_s is None else self._anchored(stamp_s, arrival_s)
        self._last_s = max(taken_s, self._last_s + LEAST_STEP_S)
        return self._last_s

    def _anchored(self, stamp_s: float, arrival_s: float) -> float:
        if self._offset_s is None:
            self._offset_s = arrival_s - stamp_s
        taken_s = stamp_s + self._offset_s
        late = arrival_s - taken_s
        if 0 <= late <= MOST_LATE_S and taken_s > self._last_s:
            return taken_s
        if late > MOST_LATE_S or late < -MOST_LATE_S or taken_s <= self._last_s:
            self.rebases += 1
        self._offset_s = arrival_s - stamp_s  # this frame came sooner than any before: it is the better anchor
        return arrival_s
