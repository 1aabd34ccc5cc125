"""One HTTP request to an address of the configuration: no redirect, no proxy, limits on time and size.

`connect` chooses the address; h11 speaks HTTP/1.1 over the socket. Nothing is read from the environment.
"""

import json
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlsplit

import h11

from cloud.notify.channels.interface import Deadline, connect
from cloud.notify.states import DeliveryFailed, Failure

MAX_ANSWER_BYTES = 64 * 1024
_MAX_HEAD_BYTES = 32 * 1024
_CHUNK_BYTES = 16 * 1024
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Answer:
    """What came back. `retry_after_s`: from the header of that name (RFC 9110, section 10.2.3), if it is seconds."""

    status: int
    body: bytes
    retry_after_s: float | None = None

    def json(self) -> Any:
        """The body.

        Raises:
            DeliveryFailed: if it is no JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise DeliveryFailed(Failure.ANSWER_NOT_UNDERSTOOD, f"status {self.status}, no JSON") from error


@dataclass(frozen=True)
class Caller:
    """How a channel calls its host."""

    private: bool
    timeout_s: float
    ca_file: Path | None = None

    def call(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request and take its answer.

        Raises:
            DeliveryFailed: if there is none, or one that is too long.
        """
        parts, deadline = urlsplit(url), Deadline(self.timeout_s)
        host = parts.hostname or ""
        try:
            with closing(connect(host, parts.port or _PORTS[parts.scheme], self.private, deadline)) as plain:
                if parts.scheme == "http":
                    return _ask(plain, deadline, method, url, headers, body)
                plain.settimeout(deadline.left_s())
                with tls_context(self.ca_file).wrap_socket(plain, server_hostname=host) as line:
                    return _ask(line, deadline, method, url, headers, body)
        except TimeoutError as error:
            raise DeliveryFailed(Failure.TIMED_OUT, f"{host} does not answer in time") from error
        except ssl.SSLError as error:
            raise DeliveryFailed(Failure.TLS_FAILED, f"{host}: {tls_reason(error)}") from error
        except h11.RemoteProtocolError as error:
            raise DeliveryFailed(Failure.ANSWER_NOT_UNDERSTOOD, f"{host} does not speak HTTP") from error
        except OSError as error:
            raise DeliveryFailed(Failure.UNREACHABLE, f"{host}: {error.strerror or 'the connection broke'}") from error


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Checks certificate and name, from TLS 1.2 on.

    Raises:
        DeliveryFailed: if the file of authorities cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        raise DeliveryFailed(Failure.TLS_FAILED, f"ca_file: {error.strerror or 'no certificate in it'}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def tls_reason(error: ssl.SSLError) -> str:
    """In words."""
    return getattr(error, "verify_message", "") or error.reason or "TLS failed"


def check_status(answer: Answer) -> None:
    """Let 2xx pass.

    Raises:
        DeliveryFailed: for any other status, named by what it means.
    """
    status = answer.status
    if 200 <= status <= 299:
        return
    detail = f"status {status}"
    if 300 <= status <= 399:
        raise DeliveryFailed(Failure.REDIRECTED, detail)
    if status == 429:
        raise DeliveryFailed(Failure.RATE_LIMITED, detail, answer.retry_after_s or 60.0)
    if status in (401, 403):
        raise DeliveryFailed(Failure.WRONG_CREDENTIALS, detail)
    if status >= 500 or status == 408:
        raise DeliveryFailed(Failure.SERVER_FAILED, detail, answer.retry_after_s)
    raise DeliveryFailed(Failure.REFUSED, detail)


def _ask(line: socket, deadline: Deadline, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Host": parts.netloc, "Connection": "close", "User-Agent": "gatehouse", **headers}
    if body or method != "GET":
        sent["Content-Length"] = str(len(body))
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    wire = talk.send(h11.Request(method=method, target=target, headers=list(sent.items()))) or b""
    wire += (talk.send(h11.Data(data=body)) or b"") if body else b""
    line.settimeout(deadline.left_s())
    line.sendall(wire + (talk.send(h11.EndOfMessage()) or b""))
    return _answer(line, talk, deadline)


def _answer(line: socket, talk: h11.Connection, deadline: Deadline) -> Answer:
    status, retry_after, body = 0, "", bytearray()
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            line.settimeout(deadline.left_s())
            talk.receive_data(line.recv(_CHUNK_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
            retry_after = dict(event.headers).get(b"retry-after", b"").decode("ascii", "replace")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_ANSWER_BYTES:
                raise DeliveryFailed(Failure.ANSWER_TOO_LARGE, f"more than {MAX_ANSWER_BYTES} bytes")
        elif isinstance(event, h11.EndOfMessage):
            seconds = float(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else None
            return Answer(status, bytes(body), seconds)
        elif isinstance(event, h11.ConnectionClosed):
            raise DeliveryFailed(Failure.ANSWER_NOT_UNDERSTOOD, "the connection ended before the answer")
