"""What an ONVIF camera says of itself and its video: make, profiles, where streams and stills are, privacy masks.

Standards: ONVIF Core Specification (device service: GetDeviceInformation), ONVIF Media Service Specification, ONVIF
Media 2 Service Specification (profiles, streaming URIs, privacy masks). Bodies out, values in, as `protocols.onvif`; no
sockets.
"""

import math
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from protocols.base import ProtocolError
from protocols.onvif import DEVICE, Request, token_of
from protocols.xml_reading import Element

MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"

MAX_PROFILES = 64
MAX_MASKS = 64
MAX_MASK_CORNERS = 100
MAX_URI = 500

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class DeviceInformation:
    """The device's own words about itself; empty where it says nothing."""

    manufacturer: str
    model: str
    firmware: str
    serial: str


@dataclass(frozen=True)
class MediaProfile:
    """A stream that the device offers, as it is set up there; 0 where it does not say.

    `source` is the token of the video source's configuration, which masks name; `codec` is FFmpeg's name of it.
    """

    token: str
    name: str
    source: str
    codec: str
    width: int
    height: int
    fps: float
    keyframe_every: int
    """Frames from keyframe to keyframe."""
    bitrate_kbps: int


@dataclass(frozen=True)
class PrivacyMask:
    """A polygon that the camera blots out; corners in fractions of the picture from its top left."""

    token: str
    source: str
    corners: Corners
    enabled: bool
    kind: str
    """`Color`, `Pixelated` or `Blurred`."""


@dataclass(frozen=True)
class MaskOptions:
    """What masks the camera can have."""

    most: int
    most_corners: int
    kinds: tuple[str, ...]
    rectangles_only: bool


_CODECS = {"H264": "h264", "H265": "hevc", "HEVC": "hevc", "JPEG": "mjpeg", "MJPEG": "mjpeg", "MPEG4": "mpeg4"}


def get_device_information() -> Request:
    return Request(f"{DEVICE}/GetDeviceInformation", f'<GetDeviceInformation xmlns="{DEVICE}"/>')


def get_profiles(service: str) -> Request:
    """Of `MEDIA` or `MEDIA2`."""
    inner = "<Type>VideoSource</Type><Type>VideoEncoder</Type>" if service == MEDIA2 else ""
    return Request(f"{service}/GetProfiles", f'<GetProfiles xmlns="{service}">{inner}</GetProfiles>')


def get_stream_uri(service: str, profile: str) -> Request:
    """RTSP over TCP, of a profile of `MEDIA` or `MEDIA2`."""
    token = f"<ProfileToken>{escape(profile)}</ProfileToken>"
    if service == MEDIA2:
        inner = f"<Protocol>RTSP</Protocol>{token}"
    else:
        inner = (
            f'<StreamSetup xmlns:t="{_SCHEMA}"><t:Stream>RTP-Unicast</t:Stream><t:Transport>'
            f"<t:Protocol>RTSP</t:Protocol></t:Transport></StreamSetup>{token}"
        )
    return Request(f"{service}/GetStreamUri", f'<GetStreamUri xmlns="{service}">{inner}</GetStreamUri>')


def get_snapshot_uri(service: str, profile: str) -> Request:
    inner = f"<ProfileToken>{escape(profile)}</ProfileToken>"
    return Request(f"{service}/GetSnapshotUri", f'<GetSnapshotUri xmlns="{service}">{inner}</GetSnapshotUri>')


def get_masks(source: str) -> Request:
    return _media2("GetMasks", f"<ConfigurationToken>{escape(source)}</ConfigurationToken>")


def get_mask_options(source: str) -> Request:
    return _media2("GetMaskOptions", f"<ConfigurationToken>{escape(source)}</ConfigurationToken>")


def create_mask(mask: PrivacyMask) -> Request:
    """The device gives it a token of its own."""
    return _media2("CreateMask", _mask_body(mask, ""))


def set_mask(mask: PrivacyMask) -> Request:
    return _media2("SetMask", _mask_body(mask, f' token="{escape(mask.token, {chr(34): "&quot;"})}"'))


def read_device_information(answer: Element) -> DeviceInformation:
    """Of `GetDeviceInformationResponse`."""
    names = ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber")
    return DeviceInformation(*(_shown(answer.text_of(name)) for name in names))


def read_profiles(answer: Element) -> tuple[MediaProfile, ...]:
    """The profiles with video in the device's order (`GetProfilesResponse` of either service)."""
    profiles = (_profile(each) for each in list(answer.all("Profiles"))[:MAX_PROFILES])
    return tuple(each for each in profiles if each is not None)


def read_stream_uri(answer: Element) -> str:
    """The address in `GetStreamUriResponse` or `GetSnapshotUriResponse`, without an account in it.

    Raises:
        ProtocolError: if it is none that could be opened.
    """
    uri = answer.text_of("MediaUri", "Uri") or answer.text_of("Uri")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise ProtocolError("a stream's address that is none") from None
    sound = len(uri) <= MAX_URI and uri.isascii() and uri.isprintable() and " " not in uri
    if parts.scheme not in ("rtsp", "rtsps", "http", "https") or not parts.hostname or not sound:
        raise ProtocolError("a stream's address that cannot be opened")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def read_masks(answer: Element) -> tuple[PrivacyMask, ...]:
    """Of `GetMasksResponse`."""
    return tuple(_mask(each) for each in list(answer.all("Masks"))[:MAX_MASKS])


def read_mask_options(answer: Element) -> MaskOptions:
    """Of `GetMaskOptionsResponse`."""
    options = answer.child("Options")
    if options is None:
        raise ProtocolError("no Options in the answer")
    kinds = tuple(each.text[:40] for each in list(options.all("Types"))[:8])
    only = options.attributes.get("RectangleOnly", "").lower() in ("true", "1")
    return MaskOptions(_count(options.text_of("MaxMasks")), _count(options.text_of("MaxPoints")), kinds, only)


def _profile(element: Element) -> MediaProfile | None:
    """Media1 has the configurations in the profile, Media2 in a `Configurations` of it."""
    holder = element.child("Configurations") or element
    source = holder.child("VideoSource") or holder.child("VideoSourceConfiguration")
    encoder = holder.child("VideoEncoder") or holder.child("VideoEncoderConfiguration")
    if encoder is None:
        return None
    told = encoder.text_of("Encoding")[:20]
    every = encoder.attributes.get("GovLength") or encoder.text_of("H264", "GovLength")
    return MediaProfile(
        token=token_of(element),
        name=_shown(element.text_of("Name")),
        source="" if source is None else source.attributes.get("token", "")[:64],
        codec=_CODECS.get(told.upper(), _shown(told).lower()),
        width=_count(encoder.text_of("Resolution", "Width")),
        height=_count(encoder.text_of("Resolution", "Height")),
        fps=_positive(encoder.text_of("RateControl", "FrameRateLimit")),
        keyframe_every=_count(every),
        bitrate_kbps=_count(encoder.text_of("RateControl", "BitrateLimit")),
    )


def _mask(element: Element) -> PrivacyMask:
    polygon = element.child("Polygon")
    points = list(polygon.all("Point"))[:MAX_MASK_CORNERS] if polygon else []
    return PrivacyMask(
        token=token_of(element),
        source=element.text_of("ConfigurationToken")[:64],
        corners=tuple(_corner(each) for each in points),
        enabled=element.text_of("Enabled").lower() in ("true", "1"),
        kind=_shown(element.text_of("Type"))[:40],
    )


def _mask_body(mask: PrivacyMask, attributes: str) -> str:
    """ONVIF's normalised coordinates run from -1 to 1, left to right and bottom to top."""
    points = "".join(f'<t:Point x="{2 * x - 1:.5f}" y="{1 - 2 * y:.5f}"/>' for x, y in mask.corners)
    return (
        f'<Mask xmlns:t="{_SCHEMA}"{attributes}><ConfigurationToken>{escape(mask.source)}</ConfigurationToken>'
        f"<Polygon>{points}</Polygon><Type>{escape(mask.kind)}</Type>"
        f"<Enabled>{'true' if mask.enabled else 'false'}</Enabled></Mask>"
    )


def _corner(point: Element) -> tuple[float, float]:
    try:
        x, y = float(point.attributes.get("x", "")), float(point.attributes.get("y", ""))
    except ValueError:
        raise ProtocolError("a mask's corner is no point") from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ProtocolError("a mask's corner is no point")
    return min(1.0, max(0.0, (x + 1) / 2)), min(1.0, max(0.0, (1 - y) / 2))


def _count(text: str) -> int:
    """A whole number that is not negative; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 < value <= 1000 else 0.0


def _shown(text: str) -> str:
    """What a device says of itself, fit for a terminal: one line, printable, not long."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:80]


def _media2(name: str, inner: str) -> Request:
    return Request(f"{MEDIA2}/{name}", f'<{name} xmlns="{MEDIA2}">{inner}</{name}>')
