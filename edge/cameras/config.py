"""Configuration of a camera's ONVIF side: the `[camera.onvif]` of a `[[camera]]`. Values only."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


class OnvifConfig(BaseModel):
    """How the camera is asked for its motion events and its clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")] | None = Field(
        default=None, title="Host", description="Where its ONVIF service is; else the host of the camera's url."
    )
    port: int = Field(default=80, ge=1, le=65535, title="Port", description="The port of its ONVIF service.")
    username: Annotated[str, StringConstraints(pattern=r"^[ -~]{1,64}$")] | None = Field(
        default=None,
        title="ONVIF user",
        description="Where the make keeps ONVIF users apart (Hikvision); else the camera's username and password.",
    )
    password_file: Path | None = Field(
        default=None, title="Password file", description="Holds that user's password; a file of mode 600."
    )
    https: bool = Field(default=False, title="HTTPS", description="Whether it is spoken to over HTTPS.")
    certificate: Path | None = Field(
        default=None,
        title="Certificate",
        description="HTTPS: the camera's own certificate (PEM); without it the machine's CAs decide.",
    )
    events: bool = Field(
        default=True,
        title="Motion events",
        description="Whether the camera's motion wakes the gateway's own look at it.",
    )
    source: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        title="Source",
        description="Of a recorder with several cameras: the token in its motion events that means this one.",
    )
    timeout_s: float = Field(
        default=3.0, ge=0.5, le=10.0, title="Time-out", description="Seconds it may take to connect and to answer."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file of [camera.onvif] go together")
        return self
