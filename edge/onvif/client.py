"""SOAP over HTTP to one device: proves itself, ends in time, reads no more than it must, asks no other host.

Authentication is a WS-UsernameToken with the time by the device's own clock, and HTTP digest where the device asks for
that (Core, section 5.9.1 and 5.9.2). Basic is never answered, so the password itself is never sent.
"""

import contextlib
import os
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, Self

import httpx

from edge.clock import Clock
from edge.onvif.transport import BoundedTransport
from protocols import onvif
from protocols.base import ProtocolError
from protocols.onvif import Request, SoapFault, Subscription
from protocols.xml_reading import Element


class Unreachable(Exception):
    """No answer, or one that is no SOAP; the text is a sentence for a person."""


class Unauthorised(Exception):
    """The device refuses the user or password."""


class Untrusted(Exception):
    """Its certificate is not the one that is trusted."""


class Refused(Exception):
    """The device answers that it does not do what was asked; the text has its reason."""


class OnvifAddress(Protocol):
    """Where a device is and how it is spoken to; its configuration offers these."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def username(self) -> str | None:
        """None: it is spoken to as nobody."""
        ...

    @property
    def https(self) -> bool: ...

    @property
    def certificate(self) -> Path | None:
        """HTTPS: the device's own certificate (PEM), the only one that is then taken."""
        ...

    @property
    def timeout_s(self) -> float:
        """So long it may take to connect and to answer."""
        ...


class OnvifClient:
    """The device's services. Safe to use from several threads; `connect` comes first."""

    def __init__(self, device: OnvifAddress, password: str, clock: Clock) -> None:
        self._device, self._password, self._clock = device, password, clock
        host = f"[{device.host}]" if ":" in device.host else device.host
        self._origin = f"{'https' if device.https else 'http'}://{host}:{device.port}"
        self._http = httpx.Client(transport=BoundedTransport(trust(device)), follow_redirects=False, trust_env=False)
        self._digests = threading.local()
        self._offset = timedelta(0)
        self.clock_offset_s: float | None = None
        """How far the device's clock is ahead of ours, to the second; None before `connect`, or if it does not say."""
        self._paths: dict[str, str] = {onvif.DEVICE: onvif.DEVICE_PATH}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def connect(self) -> None:
        """Learn the device's clock and where its services are.

        Raises:
            Unreachable, Untrusted, Unauthorised, Refused.
        """
        told = self._told_time()
        if told is not None:
            self._offset = told - self._now()
            self.clock_offset_s = self._offset.total_seconds()
        answer = self.call(onvif.DEVICE, onvif.get_services())
        try:
            self._paths.update(onvif.read_services(answer))
        except ProtocolError as error:
            raise Unreachable(f"{self._where} lists its services wrongly: {error}") from None

    def read_clock(self) -> float | None:
        """Ask the time again, after `connect`: how far the device's clock is ahead of ours, to the second.

        Raises:
            Unreachable, Untrusted, Unauthorised.
        """
        told = self._told_time()
        if told is None:  # some tell it to their users alone
            with contextlib.suppress(Refused, ProtocolError):
                told = onvif.read_date_and_time(self.call(onvif.DEVICE, onvif.get_system_date_and_time()))
        if told is not None:
            self._offset = told - self._now()
            self.clock_offset_s = self._offset.total_seconds()
        return self.clock_offset_s

    def has(self, service: str) -> bool:
        """Whether the device offers a service, by its namespace."""
        return service in self._paths

    def call(self, service: str, request: Request) -> Element:
        """Ask a service.

        Raises:
            Unreachable, Untrusted, Unauthorised, Refused.
        """
        path = self._paths.get(service)
        if path is None:
            raise Refused(f"{self._where} has no service {service}")
        to = f"{self._origin}{path}" if service == onvif.EVENTS else ""
        return self._ask(path, request, to=to)

    def call_subscription(self, subscription: Subscription, request: Request, patience_s: float = 0.0) -> Element:
        """Ask a pull point, which may hold its answer back for `patience_s`.

        Raises:
            Unreachable, Untrusted, Unauthorised, Refused.
        """
        to = f"{self._origin}{subscription.path}"
        return self._ask(subscription.path, request, to=to, subscription=subscription, patience_s=patience_s)

    @property
    def _where(self) -> str:
        return f"{self._device.host}:{self._device.port}"

    def _told_time(self) -> datetime | None:
        """The device's time, which it tells to anybody; None from one that does not."""
        try:
            answer = self._ask(onvif.DEVICE_PATH, onvif.get_system_date_and_time(), secured=False)
            return onvif.read_date_and_time(answer)
        except (Unauthorised, Refused, ProtocolError):
            return None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_s(), UTC)

    def _ask(
        self,
        path: str,
        request: Request,
        *,
        to: str = "",
        subscription: Subscription | None = None,
        patience_s: float = 0.0,
        secured: bool = True,
    ) -> Element:
        security = ""
        if secured and self._device.username is not None:
            created = self._now() + self._offset
            security = onvif.username_token(self._device.username, self._password, os.urandom(16), created)
        content = onvif.envelope(request, security, to, subscription)
        status, data = self._post(path, request, content, patience_s)
        name = request.action.rpartition("/")[2].removesuffix("Request")
        try:
            return onvif.read_answer(data, f"{name}Response")
        except SoapFault as fault:
            if fault.is_unauthorised or status == httpx.codes.UNAUTHORIZED:
                raise Unauthorised(self._unauthorised()) from None
            raise Refused(f"{self._where} refuses {name}: {fault}") from None
        except ProtocolError as error:
            if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                raise Unauthorised(self._unauthorised()) from None
            raise Unreachable(f"{self._where} answers {name} with HTTP {status} and {error}") from None

    def _unauthorised(self) -> str:
        if self._device.username is None:
            return f"{self._where} wants a user: give username and password_file"
        return f"{self._where} refuses the user {self._device.username}: check username, password_file and its rights"

    def _post(self, path: str, request: Request, content: bytes, patience_s: float) -> tuple[int, bytes]:
        """One HTTP exchange: the status and the body, which the transport bounds."""
        timeout = httpx.Timeout(self._device.timeout_s, read=self._device.timeout_s + patience_s)
        headers = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{request.action}"'}
        try:
            response = self._http.post(
                f"{self._origin}{path}", content=content, headers=headers, timeout=timeout, auth=self._digest()
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Untrusted(f"{self._where} shows another certificate: check certificate ({error})") from error
            raise Unreachable(f"no answer from {self._where}: {error or type(error).__name__}") from error
        return response.status_code, response.content

    def _digest(self) -> httpx.Auth:
        """HTTP digest keeps a state, which no two threads may share."""
        if self._device.username is None:
            return httpx.Auth()
        if not hasattr(self._digests, "auth"):
            self._digests.auth = httpx.DigestAuth(self._device.username, self._password)
        auth: httpx.DigestAuth = self._digests.auth
        return auth


def trust(device: OnvifAddress) -> ssl.SSLContext | bool:
    """What is taken for the device over HTTPS.

    Raises:
        OSError: if the certificate's file cannot be read, or holds none (ssl.SSLError).
    """
    if not device.https:
        return False  # nothing is verified because nothing is encrypted
    if device.certificate is None:
        return ssl.create_default_context()
    context = ssl.create_default_context(cafile=str(device.certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not be its own issuer
    context.check_hostname = False  # the certificate itself is the device's name
    return context
