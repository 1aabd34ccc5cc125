"""Looks at one camera's pictures, at most so many a second, for movement that is worth the detector."""

from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.video.frame import VideoFrame

from edge.video.analysis import Followed
from edge.video.attention import Attention, Interest
from edge.video.decoder import Picture
from edge.video.motion import NO_MOTION, Luma, Motion, MotionGate, small_luma


@dataclass(frozen=True)
class Glimpse:
    """A picture seen in sleep, and what the motion gate makes of it; not yet learnt from."""

    picture: Picture
    luma: Luma
    motion: Motion
    gate: MotionGate

    def stirs(self, followed: Followed) -> bool:
        """Whether something is different from the last time, and not just those who stand still shifting their feet."""
        motion = self.motion
        return motion.recalibrated or (motion.moves and not motion.is_within(followed.still))


class Eye:
    """One connection's eye. Not shared between threads.

    Args:
        gate: what finds movement.
        looks_per_s: how often it looks at most while awake.
        busy_looks_per_s: how often at most the detector is asked once the scene has been busy for a while; as often, if
            nothing is said.
    """

    def __init__(self, gate: MotionGate, looks_per_s: float, busy_looks_per_s: float | None = None) -> None:
        self._every_s = 1.0 / looks_per_s
        self._due_s = float("-inf")
        self._gate = gate
        self._attention = Attention(1.0 / min(looks_per_s, busy_looks_per_s or looks_per_s))

    def is_due(self, at_s: float) -> bool:
        """Whether it is time for another look; a tenth early counts, for cameras tremble."""
        return at_s >= self._due_s - 0.1 * self._every_s

    def look(self, picture: Picture, followed: Followed) -> tuple[Luma, Motion, Interest]:
        """The picture's luma, small; whether something moves in it, as far as that matters; and what it is worth."""
        luma = small_luma(luma_of(picture.image))
        if self._attention.only_follows(picture.at_s):
            self._looked(picture.at_s)
            return luma, NO_MOTION, Interest.FOLLOW
        motion = self._gate.see(luma, picture.at_s)
        return luma, motion, self._judge(motion, picture.at_s, followed)

    def glimpse(self, picture: Picture) -> Glimpse:
        """Look without learning: if it stirs, the pictures before this one are looked at first."""
        gate, luma = deepcopy(self._gate), small_luma(luma_of(picture.image))
        return Glimpse(picture, luma, gate.see(luma, picture.at_s), gate)

    def accept(self, glimpse: Glimpse, followed: Followed) -> Interest:
        """Learn from a glimpse that showed nothing new."""
        self._gate = glimpse.gate
        return self._judge(glimpse.motion, glimpse.picture.at_s, followed)

    def _judge(self, motion: Motion, at_s: float, followed: Followed) -> Interest:
        self._looked(at_s)
        return self._attention.wants(motion, at_s, followed)

    def _looked(self, at_s: float) -> None:
        self._due_s = max(self._due_s + self._every_s, at_s + 0.5 * self._every_s)


def luma_of(image: VideoFrame) -> Luma:
    """The brightness [H,W] of a frame: the decoder's own plane, not copied, where its format has one of 8 bits."""
    if not (image.format.is_planar and not image.format.is_rgb and image.format.components[0].bits == 8):
        image = image.reformat(format="gray")
    plane = image.planes[0]
    buffer = cast(memoryview, plane)  # it offers the buffer protocol, which its type does not say
    return np.frombuffer(buffer, np.uint8).reshape(-1, plane.line_size)[: image.height, : image.width]
