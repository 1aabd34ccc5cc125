"""Where a camera's tracks are, frame by frame, for whoever keeps that beside the video. A track is a number alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.video.snapshot import Corners


@dataclass(frozen=True, slots=True)
class Sighting:
    """A track in one frame: `kind` is `person`, `bicycle` or `vehicle`, `box` in fractions of the frame."""

    track: int
    kind: str
    score: float
    box: Corners


class SightingSink(Protocol):
    """Takes the confirmed tracks of each frame that was analysed; called in the detector's thread, returns at once."""

    def __call__(self, at_s: float, sightings: Sequence[Sighting]) -> None:
        """What is in the frame that was taken at `at_s`, monotonic seconds; frames without any are left out."""
        ...
