"""Events about kept video: a clip is there, will not come, or the disk makes the gateway keep less.

The event that asks for a clip goes ahead before the clip is complete. The clip's id is that event's id, so the event
names its clip without another field; the SHA-256 follows in `clip.kept.v1`, which lists every event it belongs to.
"""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from protocols.base import Hex256, Instant
from protocols.event_data import EventData, Seconds, Text
from protocols.topics import EventClass

MAX_CLIP_EVENTS = 200
EventIds = Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MAX_CLIP_EVENTS)]


class ClipKept(EventData):
    """A clip is complete and on the gateway's disk; its upload follows. `subject` is the camera.

    `clip` is the id of the event that began it, `events` are all whose seconds it holds, that one first.
    """

    TYPE: ClassVar[str] = "clip.kept.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.VIDEO
    clip: UUID
    sha256: Hex256
    size_bytes: Annotated[int, Field(gt=0)]
    codec: Annotated[str, StringConstraints(max_length=40)]
    since: Instant
    until: Instant
    missing_s: Seconds = 0.0
    """How much of the time between `since` and `until` has no video: the camera was away."""
    events: EventIds
    whole: bool = True
    """False: the gateway was stopped in the middle, and this is what the disk had."""
    unmasked: bool = False
    """True: it shows what the camera's privacy masks black out in snapshots, since the camera sends it so."""


class ClipLossReason(StrEnum):
    """Why an event has no clip."""

    NO_VIDEO = "no_video"
    """The camera gave none around the event."""
    DISK_FULL = "disk_full"
    DISK_FAULT = "disk_fault"
    OVERLOADED = "overloaded"
    NOT_KEEPABLE = "not_keepable"
    """A kind of video that is not kept."""
    INTERRUPTED = "interrupted"
    """The gateway was stopped before anything of it was on disk."""


class ClipLost(EventData):
    """The clip of these events will not come. `subject` is the camera."""

    TYPE: ClassVar[str] = "clip.lost.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.VIDEO
    clip: UUID
    reason: ClipLossReason
    detail: Text = ""
    events: EventIds


class KeepingLevel(StrEnum):
    """What is still kept as the disk fills up, best first; each includes what the former gave up."""

    ALL = "all"
    NO_RECORDING = "no_recording"
    """Continuous recording has stopped."""
    ALARMS_ONLY = "alarms_only"
    """Only alarms get clips."""
    NO_CLIPS = "no_clips"
    """Events and their snapshots alone."""
    NOTHING = "nothing"
    """Events alone: no snapshots either."""


class KeepingChanged(EventData):
    """The gateway keeps less, or more again. `subject` is the gateway."""

    TYPE: ClassVar[str] = "keeping.changed.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    level: KeepingLevel
    free_bytes: Annotated[int, Field(ge=0)]
    detail: Text = ""


CLIP_EVENTS: tuple[type[EventData], ...] = (ClipKept, ClipLost, KeepingChanged)
