"""What a site says about its cameras, as read from `site.toml`. Values only; a secret is named, never kept."""

import os
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edge.access.secret_files import read_secret
from edge.cameras.config import OnvifConfig
from edge.video.address import Address, Transport
from edge.video.errors import VideoError
from edge.video.rules.config import AnyRule, LineConfig, TailgatingRule, reference_faults
from edge.video.schedule import Priority
from edge.video.zones import Polygon, crossing_edges
from protocols.base import DeviceId, PlaceCode

SCHEMES = ("rtsp", "rtsps", "http", "https", "file")

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Corners = Annotated[tuple[tuple[Fraction, Fraction], ...], Field(min_length=3, max_length=100)]


class ObjectClass(StrEnum):
    """What a zone can watch for."""

    PERSON = "person"
    VEHICLE = "vehicle"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class DetectorConfig(_Section):
    """The detector that all cameras share."""

    model: str = Field(
        default="nanodet-g-416x256-int8",
        min_length=1,
        max_length=80,
        title="Model",
        description="Name of a detector in the manifest; `gatehouse models list` shows them.",
    )
    provider: Literal["cpu", "openvino", "cuda"] = Field(
        default="cpu",
        title="Provider",
        description="What computes it: cpu, openvino (Intel) or cuda (NVIDIA); the last two need another onnxruntime.",
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=16,
        title="Threads",
        description="Processor threads for one frame; more make a frame sooner ready and cost more in all.",
    )


class ZoneConfig(_Section):
    """A part of a camera's picture in which people or vehicles are reported."""

    id: DeviceId = Field(title="Zone", description="The zone's name in events, unique within its camera.")
    polygon: tuple[tuple[Fraction, Fraction], ...] = Field(
        min_length=3,
        max_length=100,
        title="Polygon",
        description="Corners as [x, y] in fractions of the frame from its top left; the sides must not cross.",
    )
    classes: tuple[ObjectClass, ...] = Field(
        default=(ObjectClass.PERSON, ObjectClass.VEHICLE),
        title="Classes",
        description="Whom the zone reports: person, vehicle or both; [] is a zone for rules alone.",
    )

    @field_validator("polygon")
    @classmethod
    def _simple(cls, value: Polygon) -> Polygon:
        fault = crossing_edges(value)
        if fault is not None:
            raise ValueError(f"a zone's sides must not touch or cross: side {fault[0] + 1} and side {fault[1] + 1} do")
        return value


class CameraConfig(_Section):
    """One camera: where its stream is found, who may read it, and what is watched in it."""

    id: DeviceId = Field(title="Camera", description="The camera's name in events, unique within the gateway.")
    place: PlaceCode = Field(title="Place", description="The register's code of the place that the camera sees.")
    url: str = Field(
        max_length=500,
        repr=False,
        title="Address",
        description="rtsp://, rtsps://, http://, https:// or file:// address; prefer the H.264 sub-stream.",
    )
    main_url: str | None = Field(
        default=None,
        max_length=500,
        repr=False,
        title="Main stream",
        description="Address of the full-size stream, kept as evidence and never decoded; without it, url serves both.",
    )
    transport: Transport = Field(
        default=Transport.TCP,
        title="Transport",
        description="How rtsp:// carries the video: tcp, or udp where the camera knows nothing else.",
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=100, title="User name", description="The camera account's name, if any."
    )
    password_file: Path | None = Field(
        default=None,
        title="Password file",
        description="File whose first line is the camera account's password; its mode has to be 600.",
    )
    password_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        default=None,
        title="Password variable",
        description="Environment variable that holds the password; instead of a password file.",
    )
    zones: tuple[ZoneConfig, ...] = Field(
        default=(),
        alias="zone",
        max_length=50,
        title="Zones",
        description="The zones watched; without one the camera is tracked and reports nothing but its own state.",
    )
    lines: tuple[LineConfig, ...] = Field(
        default=(), alias="line", max_length=50, title="Lines", description="Lines that rules speak of."
    )
    rules: tuple[AnyRule, ...] = Field(
        default=(), alias="rule", max_length=100, title="Rules", description="What is to be told; see the rules' keys."
    )
    person_score: float = Field(
        default=0.40,
        ge=0.25,
        le=0.95,
        title="Person score",
        description="A detection below this score starts no track of a person.",
    )
    vehicle_score: float = Field(
        default=0.35,
        ge=0.25,
        le=0.95,
        title="Vehicle score",
        description="A detection below this score starts no track of a vehicle.",
    )
    analyses_per_s: float = Field(
        default=5.0,
        ge=0.5,
        le=15.0,
        title="Analysis rate",
        description="Frames looked at per second at most; more costs processor time and finds faster movement.",
    )
    busy_analyses_per_s: float = Field(
        default=1.8,
        ge=0.5,
        le=15.0,
        title="Analysis rate of a busy scene",
        description="Frames looked at per second at most once something has moved for two seconds; more where people "
        "pass the picture within two seconds. A camera with a tailgating rule looks at analyses_per_s all the time.",
    )
    priority: Priority = Field(
        default=Priority.NORMAL,
        title="Priority",
        description="Whose frames come first when there is not time for all: high, normal or low; 4 : 2 : 1.",
    )
    motion_sensitivity: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        title="Motion sensitivity",
        description="0 wakes the detector only for large, clear movement; 1 for the slightest.",
    )
    record: Literal["continuous", "events", "none"] = Field(
        default="events",
        title="Recording",
        description="What of its video is kept: all of it, clips of events, or nothing.",
    )
    masked_in_camera: bool = Field(
        default=False,
        title="Masked in the camera",
        description="Whether the camera itself blacks out privacy_mask, so that clips and recordings are masked too.",
    )
    keep_days: Annotated[float, Field(gt=0, le=3650)] | None = Field(
        default=None, title="Days of recording", description="Of this camera; [keeping] recording_days otherwise."
    )
    keep_mib: Annotated[int, Field(ge=1, le=64 * 1024 * 1024)] | None = Field(
        default=None, title="MiB of recording", description="Of this camera; beyond it its own oldest goes."
    )
    motion_mask: tuple[Corners, ...] = Field(
        default=(),
        max_length=20,
        title="Motion mask",
        description="Polygons, as a zone's, in which movement wakes nothing: a flag, a road behind the fence.",
    )
    privacy_mask: tuple[Corners, ...] = Field(
        default=(),
        max_length=20,
        title="Privacy mask",
        description="Polygons painted black in all that is analysed, kept or shown as a picture: a neighbour's window.",
    )
    live_unmasked: bool = Field(
        default=False,
        title="Live unmasked",
        description="Give live video though it shows what privacy_mask hides; without masks it is given anyway.",
    )
    onvif: OnvifConfig | None = Field(
        default=None,
        title="ONVIF",
        description="[camera.onvif]: the camera's motion events and clock; without it only its video is read.",
    )

    @field_validator("motion_mask", "privacy_mask")
    @classmethod
    def _simple(cls, value: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
        for number, polygon in enumerate(value, start=1):
            fault = crossing_edges(polygon)
            if fault is not None:
                sides = f"side {fault[0] + 1} and side {fault[1] + 1}"
                raise ValueError(f"a mask's sides must not touch or cross: of polygon {number}, {sides} do")
        return value

    @field_validator("url", "main_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            _check_address(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("give password_file or password_env, not both")
        has_password = self.password_file is not None or self.password_env is not None
        if has_password and self.username is None:
            raise ValueError("a password needs a username")
        if self.transport is Transport.UDP and self.parts.scheme != "rtsp":
            raise ValueError("transport: udp is for rtsp:// alone")
        if self.onvif is not None and self.onvif.host is None and not self.parts.hostname:
            raise ValueError("[camera.onvif] needs a host, as url names none")
        if len({zone.id for zone in self.zones}) != len(self.zones):
            raise ValueError("two zones of one camera have the same id")
        if len({line.id for line in self.lines}) != len(self.lines):
            raise ValueError("two lines of one camera have the same id")
        faults = list(reference_faults(self.rules, [zone.id for zone in self.zones], self.lines))
        if faults:
            told = f"camera {self.id}: " + "; ".join(text for _, text in faults)
            raise PydanticCustomError("reference", "{text}", {"text": told, "faults": faults})
        return self

    @property
    def busy_looks_per_s(self) -> float:
        """How often a busy scene is looked at: where people are counted through a door, as often as a calm one."""
        counts_people = any(isinstance(rule, TailgatingRule) for rule in self.rules)
        return self.analyses_per_s if counts_people else min(self.analyses_per_s, self.busy_analyses_per_s)

    @property
    def parts(self) -> SplitResult:
        """The address, taken apart."""
        return urlsplit(self.url)

    @property
    def address(self) -> str:
        """The address as a person may see it: no account, no query (some cameras keep a token there)."""
        parts = self.parts
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def stream(self, environment: Mapping[str, str] = os.environ) -> Address:
        """What is opened for analysis. Secret: never log or show it.

        Raises:
            VideoError: if the password cannot be read.
        """
        return Address(self.location(environment), self.parts.scheme, self.transport)

    def main_stream(self, environment: Mapping[str, str] = os.environ) -> Address:
        """What is opened for evidence. Secret: never log or show it.

        Raises:
            VideoError: if the password cannot be read, or there is no main stream.
        """
        if self.main_url is None:
            raise VideoError(f"camera {self.id} has no main_url")
        parts = urlsplit(self.main_url)
        transport = self.transport if parts.scheme == "rtsp" else Transport.TCP
        return Address(self._located(parts, environment), parts.scheme, transport)

    def location(self, environment: Mapping[str, str] = os.environ) -> str:
        """What FFmpeg is to open for analysis: a path, or the address with the account in it. Secret, too.

        Raises:
            VideoError: if the password cannot be read.
        """
        return self._located(self.parts, environment)

    def _located(self, parts: SplitResult, environment: Mapping[str, str]) -> str:
        if parts.scheme == "file":
            return unquote(parts.path)
        if self.username is None:
            return parts.geturl()
        account = quote(self.username, safe="")
        password = self.password(environment)
        if password is not None:
            account += ":" + quote(password, safe="")
        return parts._replace(netloc=f"{account}@{parts.netloc}").geturl()

    def password(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The account's password; None if there is none. Secret: never log or show it.

        Raises:
            VideoError: if it cannot be read.
        """
        if self.password_env is not None:
            value = environment.get(self.password_env)
            if value is None:
                raise VideoError(f"camera {self.id}: the environment variable {self.password_env} is not set")
            return value
        if self.password_file is None:
            return None
        try:
            return read_secret(self.password_file).splitlines()[0]
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            raise VideoError(f"camera {self.id}: password file {self.password_file}: {cause}") from None


def password_notes(cameras: Sequence[CameraConfig]) -> Iterator[str]:
    """Which cameras' passwords cannot be read at present, and why; such a camera stays offline, the gateway runs."""
    for camera in cameras:
        try:
            camera.password()
        except VideoError as error:
            yield f"{error}; until then it is offline"


def _check_address(value: str) -> None:
    """Raises: ValueError: if it is no address that can be opened, or holds an account."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("is not an address such as rtsp://10.0.0.5:554/stream2") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"must begin with one of {', '.join(scheme + '://' for scheme in SCHEMES)}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user name or password: use username and password_file")
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError("a file is named by its whole path: file:///path/to/clip.mp4")
    if parts.scheme != "file" and not parts.hostname:
        raise ValueError("names no host")


class VideoConfig(_Section):
    """All of a gateway's cameras and the detector they share."""

    detector: DetectorConfig = Field(
        default=DetectorConfig(), title="Detector", description="The detector that all cameras share."
    )
    cameras: tuple[CameraConfig, ...] = Field(
        default=(), alias="camera", max_length=64, title="Cameras", description="The cameras of this gateway."
    )

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len({camera.id for camera in self.cameras}) != len(self.cameras):
            raise ValueError("two cameras have the same id")
        return self
