"""The site file: read whole, checked whole, and every fault named with its key and line.

Reads the file and the key files that it names; opens no device and no socket. Doors and cameras have their own models
in `edge.access.config` and `edge.video.config`.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edge.access.config import AccessConfig, KeyFileFault, read_keys
from edge.errors import ConfigurationError
from edge.keeping.config import KeepingSection
from edge.live.config import LiveSection
from edge.toml_positions import Path, Positions, dotted
from edge.video.config import VideoConfig
from edge.video.rules.config import KINDS, TailgatingRule
from protocols.base import PlaceCode

_PLAINER = {"Field required": "is missing", "Extra inputs are not permitted": "there is no such key"}
_Model = TypeVar("_Model", bound=BaseModel)
MAX_FILE_BYTES = 4 * 1024 * 1024


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GatewaySection(_Section):
    """The gateway itself."""

    state_dir: FilePath = Field(
        default=FilePath("/var/lib/gatehouse"),
        title="State folder",
        description="Holds the identity, the outbox, the credentials and pictures; enrolment writes the identity here.",
    )
    time_zone: str = Field(
        default="Asia/Shanghai", title="Time zone", description="IANA name; the doors' weekly schedules are read in it."
    )
    place: PlaceCode = Field(
        default="site", title="Place", description="Place code of events about the gateway itself."
    )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone; write an IANA name such as Asia/Shanghai") from None
        return value


class HttpSection(_Section):
    """Where `/healthz` and `/metrics` are served: on this machine alone."""

    host: str = Field(default="127.0.0.1", title="Address", description="A loopback address.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=9470, title="Port", description="TCP port; 0 takes a free one and logs it."
    )

    @field_validator("host")
    @classmethod
    def _loopback(cls, value: str) -> str:
        try:
            loopback = ip_address(value).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ValueError("must be a loopback address such as 127.0.0.1; put a reverse proxy before it")
        return value


class OutboxSection(_Section):
    """How much the gateway keeps while the hub is away."""

    quota_mib: Annotated[int, Field(ge=1, le=1024 * 1024)] = Field(
        default=256, title="Outbox size", description="MiB of events; beyond it the least important, oldest ones go."
    )
    pictures_mib: Annotated[int, Field(ge=1, le=1024 * 1024)] = Field(
        default=512, title="Pictures", description="MiB of pictures that wait to be sent; beyond it the oldest go."
    )


class UplinkSection(_Section):
    """How the gateway speaks to the broker that enrolment named."""

    protocol: Literal["3.1.1", "5"] = Field(
        default="3.1.1", title="MQTT version", description="5 adds properties that repeat what the payload says."
    )
    backlog_events_per_s: Annotated[float, Field(ge=100, le=100_000)] = Field(
        default=8000.0, title="Backlog rate", description="Events a second sent beside new ones after an outage."
    )


class _Core(_Section):
    gateway: GatewaySection = GatewaySection()
    http: HttpSection = HttpSection()
    outbox: OutboxSection = OutboxSection()
    uplink: UplinkSection = UplinkSection()
    keeping: KeepingSection = KeepingSection()
    live: LiveSection = LiveSection()


@dataclass(frozen=True)
class SiteConfig:
    """A site file that has no fault."""

    gateway: GatewaySection
    http: HttpSection
    outbox: OutboxSection
    uplink: UplinkSection
    access: AccessConfig
    video: VideoConfig
    keeping: KeepingSection
    live: LiveSection

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.gateway.time_zone)


@dataclass(frozen=True)
class _Fault:
    path: Path
    message: str


def load_config(path: FilePath, *, with_keys: bool = True) -> SiteConfig:
    """Read and check a site file.

    Args:
        with_keys: whether the readers' key files are checked too; who makes them cannot.

    Raises:
        ConfigurationError: naming every fault as `file:line: key: what is wrong`, in the order of lines.
    """
    text = _read(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError((_syntax_fault(path, error),)) from error
    faults = list(_unknown_tables(document))
    core = _parse(_Core, document, faults)
    access = _parse(AccessConfig, document, faults)
    video = _parse(VideoConfig, document, faults)
    if access is not None:
        faults += _key_file_faults(access) if with_keys else []
        faults += _shared_names(access, video)
        faults += _doors_of_rules(access, video)
    if faults or core is None or access is None or video is None:
        raise ConfigurationError(tuple(_told(path, Positions(text), faults)))
    return SiteConfig(core.gateway, core.http, core.outbox, core.uplink, access, video, core.keeping, core.live)


def _read(path: FilePath) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigurationError((f"{path}: larger than {MAX_FILE_BYTES} bytes; this is no site file",))
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError((f"{path}: {error.strerror}; give the site file with --config",)) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError((f"{path}: not UTF-8 text ({error.reason} at byte {error.start})",)) from error


def _syntax_fault(path: FilePath, error: tomllib.TOMLDecodeError) -> str:
    found = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", str(error))
    if found is None:
        return f"{path}: {error}"
    return f"{path}:{found[2]}: column {found[3]}: {found[1]}"


def _keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _unknown_tables(document: Mapping[str, Any]) -> Iterator[_Fault]:
    known = _keys_of(_Core) | _keys_of(AccessConfig) | _keys_of(VideoConfig)
    for name in document:
        if name not in known:
            yield _Fault((name,), f"there is no such table (there are: {', '.join(sorted(known))})")


def _parse(model: type[_Model], document: Mapping[str, Any], faults: list[_Fault]) -> _Model | None:
    """The model's part of the document; its faults are added to `faults`."""
    part = {name: value for name, value in document.items() if name in _keys_of(model)}
    try:
        return model.model_validate(part)
    except ValidationError as error:
        listed = error.errors(include_url=False, include_input=False)
        places = [fault["loc"] for fault in listed]
        for fault in listed:
            if fault["type"] == "too_short" and any(_is_within(place, fault["loc"]) for place in places):
                continue  # short only because the fault within it left an element out
            faults.extend(_each(_without_kind(fault["loc"]), fault["msg"], fault.get("ctx", {})))
        return None


def _without_kind(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A fault's place without the kind of rule, which pydantic puts after the rule's number."""
    is_kind = [before in KINDS and place[i - 2 : i - 1] == ("rule",) for i, before in enumerate(place)]
    return tuple(step for step, drop in zip(place, is_kind, strict=True) if not drop)


def _is_within(place: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _each(place: tuple[int | str, ...], message: str, context: Mapping[str, Any]) -> Iterator[_Fault]:
    """One fault, or the several that a cross-reference check lists in its context."""
    listed = context.get("faults")
    if not listed:
        yield _Fault(place, _PLAINER.get(message, message.removeprefix("Value error, ")))
    for path, text in listed or ():
        yield _Fault((*place, *_steps(path)), text)


def _steps(path: str) -> Path:
    return tuple(int(step) if step.isdigit() else step for step in path.split("."))


def _key_file_faults(access: AccessConfig) -> Iterator[_Fault]:
    try:
        read_keys(access)
    except KeyFileFault as error:
        for fault in error.faults:
            yield _Fault(_steps(fault.path), fault.message)


def _shared_names(access: AccessConfig, video: VideoConfig | None) -> Iterator[_Fault]:
    """Doors, readers and cameras share one set of names: an event's `subject`."""
    rows = [
        ("reader", [reader.id for reader in access.reader]),
        ("door", [door.id for door in access.door]),
        ("camera", [camera.id for camera in (video.cameras if video else ())]),
    ]
    taken: dict[str, str] = {}
    for kind, names in rows:
        for index, name in enumerate(names):
            other = taken.setdefault(name, kind)
            if other != kind:
                yield _Fault((kind, index, "id"), f'"{name}" is already the id of a {other}')


def _doors_of_rules(access: AccessConfig, video: VideoConfig | None) -> Iterator[_Fault]:
    """A rule about a door speaks of one of this gateway's, and of that door's readers."""
    doors = {door.id: door.readers for door in access.door}
    for number, camera in enumerate(video.cameras if video else ()):
        for index, rule in enumerate(camera.rules):
            if not isinstance(rule, TailgatingRule):
                continue
            at: Path = ("camera", number, "rule", index)
            if rule.door not in doors:
                there = ", ".join(doors) or "none"
                yield _Fault((*at, "door"), f'rule "{rule.id}": there is no door "{rule.door}" (there are: {there})')
            elif not set(rule.readers) <= set(doors[rule.door]):
                there = ", ".join(doors[rule.door])
                yield _Fault((*at, "readers"), f'rule "{rule.id}": door "{rule.door}" has other readers ({there})')


def _told(path: FilePath, positions: Positions, faults: Iterable[_Fault]) -> Iterator[str]:
    placed = sorted((positions.line(fault.path), dotted(fault.path), fault.message) for fault in faults)
    for line, key, message in placed:
        yield f"{path}:{line}: {key}: {message}"
