"""What a site says about keeping video: the `[keeping]` table of `site.toml`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from protocols.events import EVENT_TYPES
from protocols.topics import EventClass

MIB = 1024 * 1024
Mib = Annotated[int, Field(ge=1, le=64 * 1024 * 1024)]
Days = Annotated[float, Field(gt=0, le=3650)]

CLASSES = {"alarm": EventClass.ALARM, "video": EventClass.VIDEO, "access": EventClass.ACCESS}
_NEVER = {"clip.kept.v1", "clip.lost.v1", "keeping.changed.v1"}


class KeepingSection(BaseModel):
    """Clips of events, continuous recording, and how long either stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path | None = Field(
        default=None,
        title="Folder",
        description="Where video lies; by default `video` in the state folder. A local disk, not a network share.",
    )
    ring_mib: Mib = Field(
        default=128,
        title="Ring",
        description="MiB of memory for the newest packets of all cameras together; each gets an equal part.",
    )
    spill_mib: Annotated[int, Field(ge=0, le=64 * 1024 * 1024)] = Field(
        default=0,
        title="Spill",
        description="MiB on disk for what the ring has no room for, of cameras that are not recorded anyway; 0: none.",
    )
    before_s: Annotated[float, Field(ge=0, le=60)] = Field(
        default=5.0, title="Before", description="Seconds of a clip before its event; it begins at a keyframe."
    )
    after_s: Annotated[float, Field(ge=1, le=120)] = Field(
        default=10.0, title="After", description="Seconds of a clip after its event."
    )
    longest_s: Annotated[float, Field(ge=10, le=600)] = Field(
        default=120.0,
        title="Longest clip",
        description="Events close together share a clip up to this many seconds; then another begins.",
    )
    clip_events: tuple[str, ...] = Field(
        default=(
            "alarm",
            "person.entered_zone",
            "vehicle.entered_zone",
            "person.crossed_line",
            "vehicle.crossed_line",
        ),
        max_length=100,
        title="Events with clips",
        description="Classes (alarm, video, access) and types without their version, such as door.forced.",
    )
    clip_days: Days = Field(default=14.0, title="Days of clips", description="For clips without an alarm.")
    alarm_days: Days = Field(default=60.0, title="Days of alarms", description="For clips of alarms.")
    open_alarm_h: Annotated[float, Field(ge=0, le=24 * 365)] = Field(
        default=72.0,
        title="Open alarms",
        description="Hours for which a clip of an alarm is deleted for nothing, whatever the disk has left.",
    )
    clips_mib: Mib = Field(default=4096, title="Clips", description="MiB of all clips; beyond it the oldest go.")
    recording_days: Days = Field(default=7.0, title="Days of recording", description="For continuous recording.")
    recordings_mib: Mib = Field(
        default=65536, title="Recordings", description="MiB of continuous recording; beyond it the oldest goes."
    )
    segment_s: Annotated[float, Field(ge=5, le=600)] = Field(
        default=60.0, title="Segment", description="Seconds in one file of continuous recording."
    )
    free_mib: Annotated[int, Field(ge=0, le=64 * 1024 * 1024)] = Field(
        default=1024,
        title="Free space",
        description="MiB that stay free on the disk: below it recordings go, then clips, until they are free again.",
    )
    upload: Literal["all", "alarms", "none"] = Field(
        default="all", title="Upload", description="Which clips are sent to the hub."
    )
    upload_kib_per_s: Annotated[int, Field(ge=1, le=1024 * 1024)] = Field(
        default=1024, title="Upload rate", description="KiB a second at most for clips, so that events stay quick."
    )

    @field_validator("clip_events")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in CLASSES and f"{name}.v1" not in EVENT_TYPES:
                raise ValueError(f'no event is called "{name}": write alarm, video, access or a type like door.forced')
        return value

    def wanted_types(self) -> frozenset[str]:
        """The event types that get a clip, with their versions."""
        classes = {CLASSES[name] for name in self.clip_events if name in CLASSES}
        by_class = {name for name, kind in EVENT_TYPES.items() if kind.EVENT_CLASS in classes}
        by_name = {kind for kind in EVENT_TYPES if kind.rpartition(".")[0] in self.clip_events}
        return frozenset(by_class | by_name) - _NEVER
