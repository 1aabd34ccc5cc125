"""How much is done about one camera's video: three gears, a table of what shifts them, and a clock of quiet.

Sans-io: decides and counts, decodes nothing. `asleep`: packets are only received, and a picture is decoded every second
or two to compare it with the last. `watching`: pictures are compared several times a second. `detecting`: they go to
the detector, too.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Gear(StrEnum):
    """What is done about a camera's video. The names are what the console shows."""

    ASLEEP = "asleep"
    WATCHING = "watching"
    DETECTING = "detecting"


class Cue(StrEnum):
    """What shifts the gears."""

    START = "start"
    """A connection stands: its first seconds are watched whatever they show."""
    STIR = "stir"
    """Something may be moving: packets grew, a picture differs, or the camera says so."""
    MOTION = "motion"
    """Something moves in the picture, or someone followed was missed."""
    STILL = "still"
    """Nothing has moved for a moment."""
    QUIET = "quiet"
    """Nothing has stirred for long."""


TRANSITIONS: dict[Gear, dict[Cue, Gear]] = {
    Gear.ASLEEP: {
        Cue.START: Gear.WATCHING,
        Cue.STIR: Gear.WATCHING,
        Cue.MOTION: Gear.DETECTING,
        Cue.STILL: Gear.ASLEEP,
        Cue.QUIET: Gear.ASLEEP,
    },
    Gear.WATCHING: {
        Cue.START: Gear.WATCHING,
        Cue.STIR: Gear.WATCHING,
        Cue.MOTION: Gear.DETECTING,
        Cue.STILL: Gear.WATCHING,
        Cue.QUIET: Gear.ASLEEP,
    },
    Gear.DETECTING: {
        Cue.START: Gear.WATCHING,
        Cue.STIR: Gear.DETECTING,
        Cue.MOTION: Gear.DETECTING,
        Cue.STILL: Gear.WATCHING,
        Cue.QUIET: Gear.DETECTING,  # it has to be still first
    },
}


class Wake(StrEnum):
    """Why a camera was woken."""

    PACKETS = "packets"
    """Its packets grew."""
    PICTURE = "picture"
    """A picture looked at in sleep differs from those before."""
    CAMERA = "camera"
    """Somebody called for it: the camera's own motion event, a door, a person."""
    TRACK = "track"
    """Someone who is followed was missed."""
    DAMAGE = "damage"
    """A picture could not be decoded: every packet is tried, so that a garbled stream is soon noticed."""


QUIET_AFTER_S = 4.0
"""How long nothing stirs before a camera sleeps: longer than the detector lingers, shorter than a pause in a talk."""


@dataclass(frozen=True)
class GearTiming:
    """The time constants of the gears, in seconds.

    `look_every_s`: in sleep, key frames are looked at no more often. `look_after_s`: in sleep, a picture is looked at
    no less often; where key frames are rarer, packets are decoded up to one. An infinite `quiet_after_s` never sleeps.
    """

    quiet_after_s: float = QUIET_AFTER_S
    look_every_s: float = 1.0
    look_after_s: float = 2.2


class Gearbox:
    """One camera's gear. Times are monotonic seconds and rise. Not shared between threads, but read by any.

    Args:
        quiet_after_s: how long nothing stirs before it sleeps.
    """

    def __init__(self, quiet_after_s: float = QUIET_AFTER_S) -> None:
        self._quiet_after_s = quiet_after_s
        self._stirred_s = 0.0
        self._counted_s: float | None = None
        self.gear = Gear.WATCHING
        self.wakes: Counter[Wake] = Counter()
        """How often it was woken, by the reason."""
        self.gear_s = dict.fromkeys(Gear, 0.0)
        """How long it was in each gear while connected."""

    def start(self, at_s: float) -> None:
        """A connection stands."""
        self._counted_s = None
        self._shift(Cue.START, at_s)
        self._stirred_s = at_s

    def stir(self, why: Wake, at_s: float) -> None:
        """Something may be moving; wakes a camera that sleeps."""
        if self.gear is Gear.ASLEEP:
            self.wakes[why] += 1
        self._shift(Cue.STIR, at_s)
        self._stirred_s = at_s

    def see(self, moves: bool, at_s: float) -> None:
        """A picture was looked at, perhaps late: whether the detector should follow what moves in it."""
        if moves:
            self._stirred_s = max(self._stirred_s, at_s)
        self._shift(Cue.MOTION if moves else Cue.STILL, at_s)
        if at_s - self._stirred_s >= self._quiet_after_s:
            self._shift(Cue.QUIET, at_s)

    def _shift(self, cue: Cue, at_s: float) -> None:
        if self._counted_s is not None:
            at_s = max(at_s, self._counted_s)
            self.gear_s[self.gear] += at_s - self._counted_s
        self._counted_s = at_s
        self.gear = TRANSITIONS[self.gear][cue]
