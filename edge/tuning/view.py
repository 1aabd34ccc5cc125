"""What is shown of a running pipeline: pictures with everything drawn on them, what stages cost, the latest events."""

from collections import deque
from dataclasses import dataclass

from edge.video.config import CameraConfig
from edge.video.drawing import draw_look
from edge.video.footage import bgr_of
from edge.video.masks import black_out
from edge.video.replay import Found, Happening, Look
from edge.video.snapshot import Image
from protocols.event_data import EventData

HOLD_S = 1.0
"""So long boxes stay on the picture after the detector has seen them."""

NEWS = 5
_WEIGHT = 0.1


@dataclass(frozen=True)
class Told:
    """An event, `at_s` seconds after the first frame, in a line."""

    at_s: float
    text: str


@dataclass
class Costs:
    """Running means of what the stages cost, in milliseconds, and counts since the start."""

    decode_ms: float = 0.0
    motion_ms: float = 0.0
    detect_ms: float = 0.0
    follow_ms: float = 0.0
    frames: int = 0
    looked: int = 0
    detected: int = 0


class View:
    """Follows one pipeline. Not shared between threads."""

    def __init__(self, camera: CameraConfig) -> None:
        self._camera = camera
        self._found: Found | None = None
        self._found_s = float("-inf")
        self.costs = Costs()
        self.news: deque[Told] = deque(maxlen=NEWS)
        """The latest events, the newest first."""
        self.motion_share = 0.0
        self.tracks = 0

    def begin(self) -> None:
        """A new connection, or the clip again from its start: what was seen before is gone."""
        self._found, self._found_s = None, float("-inf")

    def take(self, look: Look, decode_ms: float) -> Image | None:
        """The picture to show, BGR [H,W,3]; None for a frame that was not looked at."""
        costs = self.costs
        costs.frames += 1
        costs.decode_ms = _mean(costs.decode_ms, decode_ms, costs.frames)
        self.tell(look.happenings)
        if look.motion is None:
            return None
        costs.looked += 1
        costs.motion_ms = _mean(costs.motion_ms, look.motion_ms, costs.looked)
        self.motion_share = look.motion.share
        if look.found is not None:
            costs.detected += 1
            costs.detect_ms = _mean(costs.detect_ms, look.found.detect_ms, costs.detected)
            costs.follow_ms = _mean(costs.follow_ms, look.found.follow_ms, costs.detected)
            self._found, self._found_s = look.found, look.at_s
            self.tracks = len(look.found.seen.ids)
        return self._picture(look)

    def tell(self, happenings: tuple[Happening, ...]) -> None:
        """Events that came."""
        self.news.extendleft(Told(each.at_s, described(each.data)) for each in happenings)

    def _picture(self, look: Look) -> Image:
        shown = look.found.image.copy() if look.found is not None else bgr_of(look.frame)
        black_out(shown, self._camera.privacy_mask)
        found = self._found if look.at_s - self._found_s <= HOLD_S else None
        draw_look(shown, look, self._camera, found, [f"{each.at_s:.1f} s  {each.text}" for each in self.news])
        return shown


def described(data: EventData, width: int = 0) -> str:
    """An event's type, in `width` columns, and its plain values, in a line."""
    name = data.TYPE.rpartition(".v")[0]
    return "  ".join(
        [name.ljust(width), *(_worded(key, value) for key, value in data if isinstance(value, str | int | float))]
    )


def _worded(key: str, value: str | float) -> str:
    unit = " s" if key.endswith("_s") else ""
    shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f"{key.removesuffix('_s')} {shown}{unit}"


def _mean(mean: float, value: float, count: int) -> float:
    return mean + (value - mean) * max(_WEIGHT, 1 / count)
