"""HTTP to one terminal: digest authentication, the configured host and no other, a limit on size and time for all.

Every fault leaves as a `DeviceFault` that says why the readers cannot be used, or as a `Refused` that says what the
device did not like about one request. The password is never sent in clear and never part of a text.
"""

import asyncio
import contextlib
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from edge.access.drivers.hikvision.config import HikvisionTerminal
from protocols import isapi
from protocols.access_events import ReaderOfflineReason
from protocols.base import ProtocolError

CONNECT_S = 4.0
READ_S = 8.0
WRITE_S = 4.0
TOTAL_S = 12.0
"""The end of every request but the stream, however slowly its bytes come."""

MAX_ANSWER_BYTES = 256 * 1024
MAX_CONNECTIONS = 6

_BAD_CHALLENGE = (KeyError, ValueError, NotImplementedError)
"""What httpx raises for a digest challenge that it cannot read."""

_JSON, _XML = "application/json", "application/xml"


class DeviceFault(Exception):
    """The device cannot be used at present."""

    def __init__(self, reason: ReaderOfflineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Refused(Exception):
    """The device answered, and does not do what was asked. `sub_code` is its own word, or empty."""

    def __init__(self, status: int, sub_code: str) -> None:
        super().__init__(f"it answers {status} {sub_code}".rstrip())
        self.status, self.sub_code = status, sub_code


class TerminalClient:
    """Requests to one device, for use within one event loop.

    Raises:
        OSError: if `ca_file` cannot be read, or is no certificate.
    """

    def __init__(self, device: HikvisionTerminal, password: str) -> None:
        self._device = device
        host = f"[{device.host}]" if ":" in device.host else device.host
        self._http = httpx.AsyncClient(
            base_url=f"{'https' if device.https else 'http'}://{host}:{device.web_port}",
            auth=httpx.DigestAuth(device.username, password),
            verify=_tls(device.ca_file, device.certificate_sha256) if device.https else False,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S, write=WRITE_S, pool=CONNECT_S),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=20.0),
            headers={"Accept-Encoding": "identity", "User-Agent": "gatehouse"},
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str) -> bytes:
        """The body of an answer of status 200.

        Raises:
            DeviceFault, Refused: as the module says.
        """
        return await self._ask("GET", path, None, "")

    async def send(self, method: str, path: str, body: bytes) -> bytes:
        """Send JSON (a path with `format=json`) or XML; the answer's body.

        Raises:
            DeviceFault, Refused: as the module says.
        """
        return await self._ask(method, path, body, _JSON if "format=json" in path else _XML)

    async def command(self, method: str, path: str, body: bytes) -> None:
        """As `send`, for what is answered by a `ResponseStatus` alone.

        Raises:
            DeviceFault, Refused: as the module says.
        """
        answer = await self.send(method, path, body)
        try:
            read = isapi.parse_answer(answer)
        except ProtocolError as error:
            raise self._nonsense(error) from error
        if not read.ok:
            raise Refused(200, read.sub_code or read.status)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, silent_after_s: float) -> AsyncIterator[httpx.Response]:
        """An answer whose body is read as it comes; silence of `silent_after_s` is a fault.

        Raises:
            DeviceFault, Refused: as the module says, also from within the body.
        """
        timeout = httpx.Timeout(silent_after_s, connect=CONNECT_S, write=WRITE_S, pool=CONNECT_S)
        request = self._http.build_request("GET", path, timeout=timeout)
        try:
            response = await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._fault(error, silent_after_s) from error
        except _BAD_CHALLENGE as error:
            raise self._unknown_digest() from error
        try:
            await self._check(response)
            yield response
        except httpx.HTTPError as error:
            raise self._fault(error, silent_after_s) from error
        finally:
            await response.aclose()

    def _nonsense(self, error: Exception) -> DeviceFault:
        return DeviceFault(
            ReaderOfflineReason.UNKNOWN_DEVICE, f"what answers at {self._device.host} is no ISAPI: {error}"
        )

    async def _ask(self, method: str, path: str, body: bytes | None, content_type: str) -> bytes:
        headers = {"Content-Type": content_type} if body is not None else {}
        try:
            async with (
                asyncio.timeout(TOTAL_S),
                self._http.stream(method, path, content=body, headers=headers) as response,
            ):
                await self._check(response)
                return await _read(response)
        except TimeoutError as error:
            why = f"the device did not answer within {TOTAL_S:.0f} s"
            raise DeviceFault(ReaderOfflineReason.NO_ANSWER, why) from error
        except httpx.HTTPError as error:
            raise self._fault(error, READ_S) from error
        except _BAD_CHALLENGE as error:
            raise self._unknown_digest() from error

    async def _check(self, response: httpx.Response) -> None:
        if response.status_code == 200:
            return
        if response.status_code == 401:
            why = "the device refuses the user or password: check username and password_file; it may also have locked"
            raise DeviceFault(ReaderOfflineReason.UNAUTHORISED, f"{why} this address out for a while")
        sub_code = ""
        with contextlib.suppress(ProtocolError, DeviceFault):  # the status says enough
            sub_code = isapi.parse_answer(await _read(response)).sub_code
        raise Refused(response.status_code, sub_code)

    def _fault(self, error: httpx.HTTPError, silent_s: float) -> DeviceFault:
        host = f"{self._device.host}:{self._device.web_port}"
        match error:
            case httpx.ConnectTimeout() | httpx.PoolTimeout():
                return DeviceFault(ReaderOfflineReason.NO_ANSWER, f"{host} cannot be reached within {CONNECT_S:.0f} s")
            case httpx.ConnectError():
                return DeviceFault(ReaderOfflineReason.NO_ANSWER, f"{host} cannot be reached: {_cause(error)}")
            case httpx.TimeoutException():
                return DeviceFault(ReaderOfflineReason.NO_ANSWER, f"{host} was silent for {silent_s:.0f} s")
            case httpx.RemoteProtocolError() | httpx.DecodingError():
                return DeviceFault(ReaderOfflineReason.NO_ANSWER, f"{host} broke off, or does not speak HTTP")
            case _:
                return DeviceFault(ReaderOfflineReason.NO_ANSWER, f"the connection to {host} failed: {_cause(error)}")

    def _unknown_digest(self) -> DeviceFault:
        why = "the device asks for a kind of authentication that is not known; set it to digest (MD5 or SHA-256)"
        return DeviceFault(ReaderOfflineReason.UNAUTHORISED, why)


async def _read(response: httpx.Response) -> bytes:
    """The raw body, which is never unpacked.

    Raises:
        DeviceFault: if it is too long.
    """
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            why = f"the device answered with more than {MAX_ANSWER_BYTES} bytes"
            raise DeviceFault(ReaderOfflineReason.UNKNOWN_DEVICE, why)
    return bytes(body)


def _cause(error: BaseException) -> str:
    """The innermost cause that has words; httpx wraps the system's."""
    text = ""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause) or text
        cause = cause.__cause__ or cause.__context__
    return text[:200] or type(error).__name__


def _tls(ca_file: Path | None, certificate_sha256: str | None) -> ssl.SSLContext:
    if certificate_sha256 is None:
        return ssl.create_default_context(cafile=ca_file)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the handshake itself compares the fingerprint, below
    context.sslobject_class = _pinned(bytes.fromhex(certificate_sha256.replace(":", "")))
    return context


def _pinned(sha256: bytes) -> type[ssl.SSLObject]:
    """A TLS connection that ends its handshake only with one certificate, before a byte of a request is sent."""

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            shown: Any = self.getpeercert(binary_form=True)
            if not hmac.compare_digest(hashlib.sha256(shown or b"").digest(), sha256):
                raise ssl.SSLCertVerificationError("the device's certificate is not that of certificate_sha256")

    return Pinned
