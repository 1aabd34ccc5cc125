"""Multipart bodies as devices send them, endless ones too (RFC 2046 section 5.1): bytes in, parts out.

Only parts that are asked for are kept, each up to a limit. Every other part (a picture) is thrown away as its bytes
come, so that no more of it is ever held than one piece off the wire and a delimiter's length.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from protocols.base import ProtocolError

MAX_HEADER_BYTES = 8 * 1024
MAX_PART_BYTES = 256 * 1024
MAX_SKIPPED_BYTES = 16 * 1024 * 1024

_BOUNDARY = re.compile(r"""boundary=(?:"([^"]*)"|([^\s;"]*))""", re.IGNORECASE)
_BOUNDARY_CHARACTERS = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_MAX_LENGTH_DIGITS = 10


@dataclass(frozen=True)
class Part:
    """A part that was asked for. Header names are in lower case."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Skipped:
    """A part that was thrown away unread."""

    headers: dict[str, str]
    byte_count: int


def boundary_of(content_type: str) -> str:
    """The boundary that a multipart Content-Type names.

    Raises:
        ProtocolError: if it is no multipart type, or has no boundary as RFC 2046 allows.
    """
    kind, _, parameters = content_type[:1024].partition(";")
    if not kind.strip().lower().startswith("multipart/"):
        raise ProtocolError("expected a multipart body")
    found = _BOUNDARY.search(parameters)
    boundary = (found[1] or found[2]) if found else ""
    if not _BOUNDARY_CHARACTERS.fullmatch(boundary):
        raise ProtocolError("the multipart type names no usable boundary")
    return boundary


class _State(Enum):
    SEEK = auto()
    """Before the next delimiter: the preamble, or what follows a part of stated length."""
    LINE = auto()
    """After a delimiter: the rest of its line."""
    HEADERS = auto()
    COUNTED = auto()
    """In a body of stated length."""
    DELIMITED = auto()
    """In a body that ends where the next delimiter begins."""
    ENDED = auto()


class MultipartReader:
    """One multipart body.

    Args:
        boundary: as `boundary_of` gives it.
        wanted: whether a part with these headers is to be kept.
    """

    def __init__(
        self,
        boundary: str,
        wanted: Callable[[dict[str, str]], bool],
        max_part_bytes: int = MAX_PART_BYTES,
        max_skipped_bytes: int = MAX_SKIPPED_BYTES,
    ) -> None:
        # a device may write the dashes into the boundary it names, and then not double them
        self._delimiter = b"--" + boundary.encode("ascii").removeprefix(b"--")
        self._wanted = wanted
        self._max_part_bytes, self._max_skipped_bytes = max_part_bytes, max_skipped_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._state = _State.SEEK
        self._headers: dict[str, str] = {}
        self._keep = False
        self._left = 0
        self._skipped = 0

    @property
    def ended(self) -> bool:
        """Whether the closing delimiter has come; what follows is ignored."""
        return self._state is _State.ENDED

    @property
    def held_bytes(self) -> int:
        """How much is held for a part that is not complete."""
        return len(self._buffer)

    def receive(self, data: bytes) -> list[Part | Skipped]:
        """Take the next bytes; returns the parts that they complete.

        Raises:
            ProtocolError: for headers or a part over the limit; the reader is of no use any more then.
        """
        self._buffer += data
        parts: list[Part | Skipped] = []
        while self._step(parts):
            pass
        return parts

    def _step(self, parts: list[Part | Skipped]) -> bool:
        """One transition of the state; False when it needs more bytes."""
        match self._state:
            case _State.SEEK:
                return self._seek()
            case _State.LINE:
                return self._line()
            case _State.HEADERS:
                return self._read_headers()
            case _State.COUNTED:
                return self._counted(parts)
            case _State.DELIMITED:
                return self._delimited(parts)
            case _State.ENDED:
                self._buffer.clear()
                return False

    def _go(self, state: _State) -> bool:
        self._state, self._searched = state, 0
        return True

    def _seek(self) -> bool:
        place = self._buffer.find(self._delimiter)
        if place < 0:
            self._drop(len(self._buffer) - len(self._delimiter) + 1)
            return False
        self._drop(place)
        del self._buffer[: len(self._delimiter)]
        self._skipped = 0
        return self._go(_State.LINE)

    def _line(self) -> bool:
        if self._buffer.startswith(b"--"):
            return self._go(_State.ENDED)
        end = self._buffer.find(b"\n", 0, 256)
        if end < 0:
            if len(self._buffer) >= 256:
                raise ProtocolError("no line end after a delimiter")
            return False
        del self._buffer[: end + 1]
        return self._go(_State.HEADERS)

    def _read_headers(self) -> bool:
        if self._buffer.startswith((b"\r\n", b"\n")):
            end, after = 0, self._buffer.index(b"\n") + 1
        else:
            found = [(self._buffer.find(mark, self._searched), len(mark)) for mark in (b"\r\n\r\n", b"\n\n")]
            ends = [(place, length) for place, length in found if place >= 0]
            end, length = min(ends, default=(-1, 0))
            after = end + length
            if end < 0:
                if len(self._buffer) > MAX_HEADER_BYTES:
                    raise ProtocolError(f"a part's headers are longer than {MAX_HEADER_BYTES} bytes")
                self._searched = max(0, len(self._buffer) - 3)
                return False
        if end > MAX_HEADER_BYTES:
            raise ProtocolError(f"a part's headers are longer than {MAX_HEADER_BYTES} bytes")
        self._headers = _headers(bytes(self._buffer[:end]))
        del self._buffer[: after - 1]  # the line end stays: a delimiter is found by the one before it
        return self._begin_body()

    def _begin_body(self) -> bool:
        self._keep = self._wanted(self._headers)
        self._skipped = 0
        length = self._headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS):
            return self._go(_State.DELIMITED)
        del self._buffer[:1]
        self._left = int(length)
        if self._left > (self._max_part_bytes if self._keep else self._max_skipped_bytes):
            raise ProtocolError(f"a part of {self._left} bytes is too long")
        return self._go(_State.COUNTED)

    def _counted(self, parts: list[Part | Skipped]) -> bool:
        if self._keep:
            if len(self._buffer) < self._left:
                return False
            parts.append(Part(self._headers, bytes(self._buffer[: self._left])))
            del self._buffer[: self._left]
        else:
            here = min(self._left, len(self._buffer))
            self._drop(here)
            self._left -= here
            if self._left:
                return False
            parts.append(Skipped(self._headers, self._skipped))
        self._skipped = 0
        return self._go(_State.SEEK)

    def _delimited(self, parts: list[Part | Skipped]) -> bool:
        needle = b"\n" + self._delimiter
        place = self._buffer.find(needle, self._searched)
        if self._keep and max(place, len(self._buffer) - len(needle)) > self._max_part_bytes:
            raise ProtocolError(f"a part is longer than {self._max_part_bytes} bytes")
        if place < 0:
            if self._keep:
                self._searched = max(0, len(self._buffer) - len(needle) + 1)
            else:
                self._drop(len(self._buffer) - len(needle) + 1)
            return False
        if self._keep:
            parts.append(Part(self._headers, bytes(self._buffer[1:place]).removesuffix(b"\r")))
            del self._buffer[: place + 1]
        else:
            self._drop(place + 1)
            parts.append(Skipped(self._headers, self._skipped))
        return self._go(_State.SEEK)

    def _drop(self, count: int) -> None:
        """Throw bytes away; they count as one thrown-away part until the next delimiter."""
        if count <= 0:
            return
        self._skipped += count
        if self._skipped > self._max_skipped_bytes:
            raise ProtocolError(f"more than {self._max_skipped_bytes} bytes without a part of use")
        del self._buffer[:count]


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.decode("latin-1").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers
