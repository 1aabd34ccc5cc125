"""What ZKTeco devices push over HTTP ("ADMS"): requests under `/iclock`, and their bodies taken apart into lines.

Two protocols share the URLs and little else:

- **attendance** (Attendance PUSH 2.x, `DeviceType=att` or absent): positional records in the table ATTLOG;
- **access** (Security PUSH 3.x, `DeviceType=acc`): keyed records in the tables rtlog and rtstate.

Sources: ZKTeco "Security PUSH Communication Protocol" 3.1.2 (chapters 4 to 8, appendices 2, 3, 5) and "Attendance PUSH
Communication Protocol" 2.4.2 (chapters 3 to 11, appendices 3 to 7). The records in the lines are in `zk_push_records`,
what the gateway answers in `zk_push_replies`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl

from protocols.base import ProtocolError

MAX_TARGET_CHARS = 2048
MAX_LINE_BYTES = 16 * 1024
"""A device's parameters are one line of 2 to 3 KB; an event has some 200 bytes."""

_MAX_QUERY_FIELDS = 64
_SERIAL = re.compile(r"[A-Za-z0-9_-]{1,40}")
_TABLE = re.compile(r"[A-Za-z0-9_]{1,40}")


class Dialect(StrEnum):
    """Which of the two protocols a device speaks."""

    ATTENDANCE = "attendance"
    ACCESS = "access"


class Endpoint(StrEnum):
    """The last part of a request's path."""

    CDATA = "cdata"
    GETREQUEST = "getrequest"
    DEVICECMD = "devicecmd"
    REGISTRY = "registry"
    PUSH = "push"
    PING = "ping"
    QUERYDATA = "querydata"
    RTDATA = "rtdata"
    OTHER = "other"
    """Any other path under /iclock (exchange, fdata, file, ...)."""


_ENDPOINTS = {endpoint.value: endpoint for endpoint in Endpoint}


@dataclass(frozen=True)
class PushRequest:
    """One request; `query` has lower-case keys."""

    method: str
    endpoint: Endpoint
    serial: str
    query: Mapping[str, str]

    @property
    def table(self) -> str:
        """The kind of upload, in lower case; empty where there is none."""
        return self.query.get("table", "").lower()

    @property
    def asks(self) -> bool:
        """Whether the device asks for a verdict before it opens ("background verification"). What names a table is an
        upload of that table, whatever else it says."""
        is_upload = self.endpoint is Endpoint.CDATA and self.method == "POST"
        return is_upload and not self.table and bool(self.query.get("authtype"))

    @property
    def table_name(self) -> str:
        """As the device spells it, since the acknowledgement repeats it; empty if it is no name."""
        name = self.query.get("tablename", "")
        return name if _TABLE.fullmatch(name) else ""

    @property
    def declared_dialect(self) -> Dialect | None:
        """What the request itself tells about the dialect: its DeviceType, or a table that only one of them has."""
        kind = self.query.get("devicetype", "").lower()
        if kind:
            return Dialect.ACCESS if kind == "acc" else Dialect.ATTENDANCE
        if self.table in ("rtlog", "rtstate"):
            return Dialect.ACCESS
        return Dialect.ATTENDANCE if self.table in ("attlog", "operlog") else None


def parse_request(method: str, target: str) -> PushRequest:
    """Read a request line's method and target.

    Raises:
        ProtocolError: if it is none of a device's requests, or has no serial number.
    """
    if len(target) > MAX_TARGET_CHARS:
        raise ProtocolError(f"a request target of more than {MAX_TARGET_CHARS} characters")
    path, _, query_text = target.partition("?")
    folder, _, last = path.rstrip("/").rpartition("/")
    if folder.lower() != "/iclock" or method not in ("GET", "POST"):
        raise ProtocolError("not a request of a push device (GET or POST /iclock/...)")
    try:
        pairs = parse_qsl(query_text, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError as error:
        raise ProtocolError(f"unreadable query: {error}") from error
    query = {key.lower(): value for key, value in pairs}
    serial = query.get("sn", "")
    if not _SERIAL.fullmatch(serial):
        raise ProtocolError("no serial number (SN) in the request")
    return PushRequest(method, _endpoint(last), serial, query)


def _endpoint(name: str) -> Endpoint:
    return _ENDPOINTS.get(name.lower().removesuffix(".aspx"), Endpoint.OTHER)


class LineKeeper:
    """Takes a body apart into lines as it streams in, and keeps those that are wanted: memory stays bounded however
    much is thrown away.

    Args:
        wants: whether a line (its bytes so far, up to `MAX_LINE_BYTES`) is kept.
        max_kept_bytes: for all kept lines together.
    """

    def __init__(self, wants: Callable[[bytes], bool], max_kept_bytes: int) -> None:
        self._wants, self._room = wants, max_kept_bytes
        self._part = bytearray()
        self._too_long = False
        self._kept: list[bytes] = []
        self.line_count = 0
        """Lines that are not blank, kept or not."""
        self.too_long_count = 0

    def receive(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            ProtocolError: if the kept lines are too many.
        """
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._extend(piece)
            self._end_line()
        self._extend(rest)

    def finish(self) -> list[str]:
        """The kept lines, without their ends; undecodable bytes are replaced."""
        self._end_line()
        return [line.decode("utf-8", errors="replace") for line in self._kept]

    def _extend(self, piece: bytes) -> None:
        room = MAX_LINE_BYTES - len(self._part)
        self._too_long = self._too_long or len(piece) > room
        self._part += piece[:room]

    def _end_line(self) -> None:
        line, too_long = bytes(self._part).strip(b"\r\0 "), self._too_long
        self._part.clear()
        self._too_long = False
        if not line:
            return
        self.line_count += 1
        if not self._wants(line):
            return
        if too_long:
            self.too_long_count += 1
            return
        self._room -= len(line)
        if self._room < 0:
            raise ProtocolError("more records than one upload may have")
        self._kept.append(line)
