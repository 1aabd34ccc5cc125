"""Live video between a gateway and the hub, over one WebSocket that the gateway opens. Bytes and text alone.

The gateway says `Hello` with a nonce; from then on each order of the hub is sealed for that nonce and numbered, so that
nobody in the middle can start a camera, and no order of another connection can be played again. What the gateway sends
is text (`Report`) or a binary frame:

    offset  bytes
    0       1      version, 1
    1       1      kind: 1 init, 2 key, 3 delta, 4 still
    2       2      flags; bit 0: economy (only key frames are sent); others are ignored
    4       4      stream, as the order named it, from 1
    8       4      number within the stream, rising by one from 0
    12      8      when the picture was taken, milliseconds since the Unix epoch
    20             payload: an initialisation segment, one fragment of one picture (ISO/IEC 14496-12), or a JPEG

All integers are unsigned and big-endian. After a gap in the numbers a key frame comes first.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from protocols.base import DeviceId, Hex128, Message, ProtocolError, explain

PATH = "/api/v1/gateway/live"
VERSION = 1
MAX_TEXT_BYTES = 4096
"""Of a report or an order, its seal included."""

FLAG_ECONOMY = 1
_HEAD = struct.Struct("!BBHIIQ")
HEAD_BYTES = _HEAD.size

LEAST_LEASE_S, MOST_LEASE_S = 2.0, 60.0


class Kind(IntEnum):
    """What a frame's payload is."""

    INIT = 1
    KEY = 2
    DELTA = 3
    STILL = 4


MAX_PAYLOAD_BYTES = {Kind.INIT: 64 * 1024, Kind.KEY: 2 << 20, Kind.DELTA: 2 << 20, Kind.STILL: 512 * 1024}
MAX_FRAME_BYTES = HEAD_BYTES + max(MAX_PAYLOAD_BYTES.values())


@dataclass(frozen=True, slots=True)
class Frame:
    """One binary message."""

    kind: Kind
    stream: int
    number: int
    at_ms: int
    payload: bytes
    economy: bool = False


def encode_frame(frame: Frame) -> bytes:
    """The message's bytes.

    Raises:
        ProtocolError: if a field or the payload is out of its bounds.
    """
    _check_payload(frame.kind, len(frame.payload))
    flags = FLAG_ECONOMY if frame.economy else 0
    try:
        head = _HEAD.pack(VERSION, frame.kind, flags, frame.stream, frame.number & 0xFFFFFFFF, frame.at_ms)
    except struct.error as error:
        raise ProtocolError(f"a frame's head cannot hold this: {error}") from error
    if not frame.stream:
        raise ProtocolError("streams are numbered from 1")
    return head + frame.payload


def decode_frame(data: bytes) -> Frame:
    """Read a binary message.

    Raises:
        ProtocolError: if it is no frame of this version, or too large for its kind.
    """
    if len(data) < HEAD_BYTES:
        raise ProtocolError(f"a frame has at least {HEAD_BYTES} bytes, not {len(data)}")
    version, number_of_kind, flags, stream, number, at_ms = _HEAD.unpack_from(data)
    if version != VERSION:
        raise ProtocolError(f"frame version {version}, expected {VERSION}")
    try:
        kind = Kind(number_of_kind)
    except ValueError:
        raise ProtocolError(f"unknown kind of frame {number_of_kind}") from None
    if not stream:
        raise ProtocolError("streams are numbered from 1")
    _check_payload(kind, len(data) - HEAD_BYTES)
    return Frame(kind, stream, number, at_ms, data[HEAD_BYTES:], bool(flags & FLAG_ECONOMY))


def _check_payload(kind: Kind, size_bytes: int) -> None:
    if not 0 < size_bytes <= MAX_PAYLOAD_BYTES[kind]:
        raise ProtocolError(f"{kind.name.lower()} of {size_bytes} bytes; 1 to {MAX_PAYLOAD_BYTES[kind]} are allowed")


class Quality(StrEnum):
    """Which of a camera's streams."""

    SUB = "sub"
    MAIN = "main"


class LiveCode(StrEnum):
    """Why there is no video, for programs and for the reader's own language."""

    UNKNOWN_CAMERA = "unknown_camera"
    NO_MAIN_STREAM = "no_main_stream"
    CAMERA_AWAY = "camera_away"
    """The camera sends nothing just now; video follows by itself when it does."""
    CODEC_UNPLAYABLE = "codec_unplayable"
    """Browsers do not play it (H.265, MJPEG); `offer` names the stream that they do."""
    MASKED = "masked"
    """The camera has privacy masks that its video would not show; see `masked_in_camera` and `live_unmasked`."""
    SWITCHED_OFF = "switched_off"
    """The site does not give live video."""
    TOO_MANY = "too_many"
    RATE_LIMITED = "rate_limited"
    NO_PICTURE = "no_picture"
    NOT_RENEWED = "not_renewed"
    """The hub did not say in time that somebody still watches."""
    STOPPED = "stopped"
    GATEWAY_AWAY = "gateway_away"
    """Said by the hub alone: the gateway has no connection for video."""


StreamNumber = Annotated[int, Field(ge=1, le=0xFFFFFFFF)]
Words = Annotated[str, StringConstraints(max_length=300)]
Mime = Annotated[str, StringConstraints(max_length=100, pattern=r"^[ -~]+$")]
Ticket = Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z-]{1,64}$")]
_OrderNumber = Annotated[int, Field(ge=1, le=2**53)]


class Hello(Message):
    """The gateway's first message. The nonce is random and new for each connection."""

    op: Literal["hello"] = "hello"
    v: Literal[1] = 1
    nonce: Hex128


class Started(Message):
    """An initialisation segment follows; again whenever the camera's stream changes. `mime` is as MSE wants it.

    `unmasked`: it shows what the camera's privacy masks hide in pictures, as the site allows (`live_unmasked`).
    """

    op: Literal["started"] = "started"
    stream: StreamNumber
    quality: Quality
    mime: Mime
    width: Annotated[int, Field(ge=0, le=65535)]
    height: Annotated[int, Field(ge=0, le=65535)]
    unmasked: bool = False


class Waiting(Message):
    """Nothing comes just now, and the stream stays asked for."""

    op: Literal["waiting"] = "waiting"
    stream: StreamNumber
    code: LiveCode
    reason: Words


class Ended(Message):
    """The stream, or the question for a still, is over. `offer` is a stream of the camera that would play."""

    op: Literal["ended"] = "ended"
    stream: StreamNumber
    code: LiveCode
    reason: Words
    offer: Quality | None = None


Report = Hello | Started | Waiting | Ended


class Start(Message):
    """Send a camera's stream under this number. It ends by itself `lease_s` after the last `Renew`.

    `ticket` stands in the hub's audit beside who watches.
    """

    op: Literal["start"] = "start"
    n: _OrderNumber
    stream: StreamNumber
    camera: DeviceId
    quality: Quality
    ticket: Ticket
    lease_s: Annotated[float, Field(ge=LEAST_LEASE_S, le=MOST_LEASE_S)]


class Renew(Message):
    """These streams are still watched."""

    op: Literal["renew"] = "renew"
    n: _OrderNumber
    streams: Annotated[tuple[StreamNumber, ...], Field(max_length=64)]


class Stop(Message):
    """Nobody watches this stream any more."""

    op: Literal["stop"] = "stop"
    n: _OrderNumber
    stream: StreamNumber


class Still(Message):
    """Send one picture of a camera under this number."""

    op: Literal["still"] = "still"
    n: _OrderNumber
    stream: StreamNumber
    camera: DeviceId
    ticket: Ticket


Order = Start | Renew | Stop | Still

_REPORTS: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="op")])
_ORDERS: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="op")])


def channel(gateway: str, nonce: str) -> str:
    """What orders on one connection are sealed for, in the place of an MQTT topic (`protocols.sealing`)."""
    return f"gh/v1/{gateway}/live/{nonce}"


def read_report(text: str) -> Report:
    """Read a gateway's text message.

    Raises:
        ProtocolError: if it is none.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise ProtocolError(f"a report of {len(text)} characters is larger than {MAX_TEXT_BYTES}")
    try:
        return _REPORTS.validate_json(text)
    except ValidationError as error:
        raise ProtocolError(f"no report: {explain(error)}") from error


def read_order(body: bytes) -> Order:
    """Read the body of an order whose seal was checked.

    Raises:
        ProtocolError: if it is none.
    """
    try:
        return _ORDERS.validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"no order: {explain(error)}") from error
