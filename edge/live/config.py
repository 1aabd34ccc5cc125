"""`[live]`: whether the site gives live video, and how much of its uplink that may take."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class LiveSection(BaseModel):
    """Live video to the hub."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        default=True, title="Live video", description="Whether the hub may ask for live video and pictures at all."
    )
    uplink_kbit_per_s: Annotated[int, Field(ge=64, le=1_000_000)] = Field(
        default=2000,
        title="Uplink",
        description="What all live video together may take; beyond it only key frames are sent, marked so.",
    )
    streams: Annotated[int, Field(ge=1, le=32)] = Field(
        default=8, title="Streams", description="How many streams may be watched at once."
    )
