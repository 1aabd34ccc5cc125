"""Asks one address everything that a person wants to know before it becomes a `[[camera]]`."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from edge.cameras.address import CameraAddress
from edge.cameras.advice import best_for_detection
from edge.cameras.measuring import Measured, measure
from edge.cameras.onvif_camera import Offer, OnvifCamera
from edge.clock import Clock
from edge.onvif.client import OnvifClient
from edge.video.address import Address, Transport
from edge.video.errors import StreamFault
from protocols.onvif_media import DeviceInformation, MediaProfile


@dataclass(frozen=True)
class Answers:
    """What the camera says over ONVIF."""

    information: DeviceInformation
    clock_offset_s: float | None
    has_events: bool
    most_masks: int
    """Privacy masks that can be set over ONVIF."""
    offers: tuple[Offer, ...]


@dataclass(frozen=True)
class StreamFound:
    """A stream: how it is set up, as far as that is known, and how it is, or why it cannot be read."""

    url: str
    profile: MediaProfile | None
    measured: Measured | None
    fault: str = ""


def ask(address: CameraAddress, password: str, clock: Clock) -> Answers:
    """Ask over ONVIF.

    Raises:
        Unreachable, Untrusted, Unauthorised, Refused (`edge.onvif.client`).
    """
    with OnvifClient(address, password, clock) as client:
        client.connect()
        camera = OnvifCamera(client, address.host)
        information, offers = camera.information(), camera.offers()
        clock_offset_s = client.clock_offset_s if client.clock_offset_s is not None else client.read_clock()
        source = next((each.profile.source for each in offers if each.profile.source), "")
        masks = camera.mask_options(source) if source else None
        return Answers(information, clock_offset_s, camera.has_events, masks.most if masks is not None else 0, offers)


def watch(
    url: str,
    username: str | None,
    password: str,
    seconds: float,
    profile: MediaProfile | None = None,
    progress: Callable[[float], None] = lambda _: None,
    transport: Transport = Transport.TCP,
) -> StreamFound:
    """Read a stream for some seconds; `transport` is how rtsp:// carries it."""
    parts = urlsplit(url)
    location = unquote(parts.path) if parts.scheme == "file" else url
    if username is not None:
        account = f"{quote(username, safe='')}:{quote(password, safe='')}"
        location = parts._replace(netloc=f"{account}@{parts.netloc}").geturl()
    try:
        return StreamFound(url, profile, measure(Address(location, parts.scheme, transport), seconds, progress))
    except StreamFault as fault:
        return StreamFound(url, profile, None, fault.detail)


def choose(streams: list[StreamFound]) -> tuple[StreamFound | None, StreamFound | None]:
    """The stream to analyse, and the larger one to keep as evidence, if there is such."""
    index = best_for_detection([each.measured for each in streams])
    if index is None:
        return None, None
    best = streams[index]
    larger = [each for each in streams if _rows(each) > _rows(best)]
    return best, max(larger, key=_rows, default=None)


def _rows(stream: StreamFound) -> int:
    return stream.measured.height if stream.measured is not None else 0
