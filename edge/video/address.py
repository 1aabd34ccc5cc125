"""Where a stream is found and how it is carried. Knows no video library: the configuration names these."""

from dataclasses import dataclass, field
from enum import StrEnum


class Transport(StrEnum):
    """How RTSP carries the video."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True)
class Address:
    """What FFmpeg is to open, password included, and how. Secret: never log or show it."""

    location: str = field(repr=False)
    scheme: str
    transport: Transport = Transport.TCP
