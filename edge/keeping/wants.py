"""Which events want a clip of which camera, and how events that come close together share one. Decides only."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from edge.clock import Moment
from edge.keeping.index import Grade
from edge.observations import Observation
from protocols.clip_events import MAX_CLIP_EVENTS
from protocols.topics import EventClass

if TYPE_CHECKING:
    from edge.video.sightings import Sighting

_TRACES_KEPT = 400
_FRAMES_KEPT = 4000
"""13 minutes at 5 a second."""
MAX_OPEN_CLIPS = 4
"""Of one camera at a time; an event beyond has none, and is counted."""


@dataclass(frozen=True)
class ClipEvent:
    """An event as far as its clip is concerned."""

    id: UUID
    type: str
    moment: Moment
    grade: Grade

    @classmethod
    def of(cls, event_id: UUID, observation: Observation) -> "ClipEvent":
        is_alarm = observation.data.EVENT_CLASS is EventClass.ALARM
        grade = Grade.ALARM if is_alarm else Grade.ORDINARY
        return cls(event_id, observation.data.TYPE, observation.moment, grade)


@dataclass(frozen=True)
class Extent:
    """How far a clip reaches around its events, in seconds."""

    before_s: float
    after_s: float
    longest_s: float


@dataclass
class ClipPlan:
    """A clip to be made. Times are monotonic seconds.

    Its id is that of the event that began it; several cameras that see one door have clips of the same id.
    """

    camera: str
    since_s: float
    until_s: float
    events: list[ClipEvent]

    @property
    def id(self) -> UUID:
        return self.events[0].id

    @property
    def key(self) -> str:
        """Its name on the disk and in the index."""
        return f"{self.id}.{self.camera}"

    @property
    def grade(self) -> Grade:
        """That of its weightiest event."""
        return Grade.ALARM if any(event.grade is Grade.ALARM for event in self.events) else Grade.ORDINARY

    def wall_s(self, monotonic_s: float) -> float:
        """A monotonic time as seconds since the epoch, by the clock as the first event saw it."""
        first = self.events[0].moment
        return first.wall_s + monotonic_s - first.monotonic_s


class Planner:
    """The open clips of one camera."""

    def __init__(self, camera: str, extent: Extent) -> None:
        self._camera, self._extent = camera, extent
        self.plans: list[ClipPlan] = []

    def want(self, event: ClipEvent) -> ClipPlan | None:
        """Put an event into an open clip, or begin one; None if too many are open."""
        extent = self._extent
        since_s, until_s = event.moment.monotonic_s - extent.before_s, event.moment.monotonic_s + extent.after_s
        for plan in self.plans:
            begins_within = plan.since_s <= event.moment.monotonic_s <= plan.until_s + extent.before_s
            is_short_enough = until_s - plan.since_s <= extent.longest_s and len(plan.events) < MAX_CLIP_EVENTS
            if begins_within and is_short_enough:
                plan.until_s = max(plan.until_s, until_s)
                plan.events.append(event)
                return plan
        if len(self.plans) >= MAX_OPEN_CLIPS:
            return None
        plan = ClipPlan(self._camera, since_s, until_s, [event])
        self.plans.append(plan)
        return plan


class Boxes:
    """Where tracks were, frame by frame; the detector's thread writes, the writer's reads. Bounded, the oldest go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: deque[tuple[float, Sequence[Sighting]]] = deque(maxlen=_FRAMES_KEPT)

    def __call__(self, at_s: float, sightings: "Sequence[Sighting]") -> None:
        """A frame's tracks (`edge.video.sightings.SightingSink`)."""
        with self._lock:
            self._frames.append((at_s, sightings))

    def between(self, since_s: float, until_s: float) -> list[dict[str, Any]]:
        """Lines of a side file: second in the clip, track, kind, score and box."""
        with self._lock:
            frames = [frame for frame in self._frames if since_s <= frame[0] <= until_s]
        return [
            {
                "at_s": round(at_s - since_s, 3),
                "track": each.track,
                "kind": each.kind,
                "score": round(each.score, 3),
                "box": [round(side, 4) for side in each.box],
            }
            for at_s, sightings in frames
            for each in sightings
        ]


@dataclass(frozen=True)
class Trace:
    """Where something was seen: a line of a clip's side file."""

    moment: Moment
    values: Mapping[str, Any]


@dataclass
class Traces:
    """What a camera's events said lately of tracks and boxes; bounded, the oldest go."""

    _kept: deque[Trace] = field(default_factory=lambda: deque(maxlen=_TRACES_KEPT))

    def note(self, event_id: UUID, observation: Observation) -> None:
        """Remember a camera's event with what it says."""
        values = observation.data.model_dump(mode="json", exclude_none=True)
        head = {"event": str(event_id), "type": observation.data.TYPE}
        self._kept.append(Trace(observation.moment, {**head, **values}))

    def between(self, since_s: float, until_s: float) -> Sequence[Trace]:
        return [trace for trace in self._kept if since_s <= trace.moment.monotonic_s <= until_s]
