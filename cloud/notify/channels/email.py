"""E-mail over SMTP (RFC 5321) with STARTTLS (RFC 3207) or TLS from the start (RFC 8314).

The message's key is its Message-ID, so that a mail program shows a repeat once.
"""

import io
import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from cloud.notify.channels.calling import tls_context, tls_reason
from cloud.notify.channels.interface import Deadline, connect, read_secret
from cloud.notify.settings import EmailSettings
from cloud.notify.states import DeliveryFailed, Failure
from cloud.notify.wording import Message

_WAIT_S = 60.0
_MAX_HEARD_BYTES = 64 * 1024
_CODES = {421: Failure.SERVER_FAILED, 450: Failure.RATE_LIMITED, 451: Failure.SERVER_FAILED, 452: Failure.RATE_LIMITED}


class EmailChannel:
    def __init__(self, settings: EmailSettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now

    def send(self, message: Message) -> str:
        """As `Channel.send`, to `message.address`."""
        settings, deadline = self._settings, Deadline(self._settings.timeout_s)
        try:
            with _Line(settings, deadline) as line:
                if settings.username is not None and settings.password_file is not None:
                    line.login(settings.username, read_secret(settings.password_file))
                line.send_message(self._written(message), settings.sender, [message.address])
        except TimeoutError as error:
            raise DeliveryFailed(Failure.TIMED_OUT, f"{settings.host} does not answer in time") from error
        except ssl.SSLError as error:
            raise DeliveryFailed(Failure.TLS_FAILED, f"{settings.host}: {tls_reason(error)}") from error
        except smtplib.SMTPException as error:
            raise _failure(error) from error
        except OSError as error:
            detail = f"{settings.host}: {error.strerror or 'the connection broke'}"
            raise DeliveryFailed(Failure.UNREACHABLE, detail) from error
        return "250"

    def _written(self, message: Message) -> EmailMessage:
        written = EmailMessage()
        written["From"], written["To"] = self._settings.sender, message.address
        written["Subject"] = message.short[:200]
        written["Date"] = format_datetime(message.made_at)
        written["Message-ID"] = f"<{message.key}@{self._settings.sender.partition('@')[2]}>"
        written["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers it by machine
        written.set_content(message.text + "\n")
        return written


class _Line(smtplib.SMTP):
    """smtplib over a socket that `connect` opened, with one deadline for all that is said."""

    def __init__(self, settings: EmailSettings, deadline: Deadline) -> None:
        self._deadline = deadline
        self._settings = settings
        self._tls = None if settings.security == "none" else tls_context(settings.ca_file)
        try:
            super().__init__(settings.host, settings.port, local_hostname="localhost", timeout=deadline.left_s())
            if settings.security == "starttls":
                self.ehlo()
                self.starttls(context=self._tls)
                self.ehlo()
        except BaseException:  # whatever it was, nobody else has this socket to close it; raised on
            self.close()
            raise

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        plain = connect(host, port, self._settings.private, self._deadline)
        plain.settimeout(self._deadline.left_s())
        if self._settings.security != "tls" or self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=host)
        except OSError:
            plain.close()
            raise

    def send(self, s: bytes | str) -> None:  # type: ignore[override]
        """Say something, as long as there is time."""
        if self.sock is not None:
            self.sock.settimeout(self._deadline.left_s())
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Hear the answer, as long as there is time."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Heard(self.sock, self._deadline))
        return super().getreply()


class _Heard(io.RawIOBase):
    """What comes over a socket until the deadline, however slowly, and no more than so many bytes."""

    def __init__(self, line: socket.socket, deadline: Deadline) -> None:
        self._line, self._deadline, self._left = line, deadline, _MAX_HEARD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase.readinto`. Its errors are no OSError, which smtplib takes for a lost connection."""
        self._line.settimeout(self._deadline.left_s())
        try:
            size = self._line.recv_into(buffer)
        except TimeoutError as error:
            raise DeliveryFailed(Failure.TIMED_OUT, "the server does not answer in time") from error
        self._left -= size
        if self._left < 0:
            raise DeliveryFailed(Failure.ANSWER_TOO_LARGE, f"more than {_MAX_HEARD_BYTES} bytes")
        return size


def _failure(error: smtplib.SMTPException) -> DeliveryFailed:
    """What a server's answer means. Its words are not repeated: they may name the recipient."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            code = next(iter(error.recipients.values()))[0]
            if code >= 500:
                return DeliveryFailed(Failure.RECIPIENT_REFUSED, f"code {code}")
            return DeliveryFailed(Failure.RECIPIENT_DEFERRED, f"code {code}")
        case smtplib.SMTPAuthenticationError():
            return DeliveryFailed(Failure.WRONG_CREDENTIALS, f"code {error.smtp_code}")
        case smtplib.SMTPNotSupportedError():
            return DeliveryFailed(Failure.TLS_FAILED, "the server offers no STARTTLS, or no log-in")
        case smtplib.SMTPServerDisconnected():
            return DeliveryFailed(Failure.UNREACHABLE, "the server ended the connection")
        case smtplib.SMTPResponseException():
            code = error.smtp_code
            if not 400 <= code <= 599:
                return DeliveryFailed(Failure.ANSWER_NOT_UNDERSTOOD, f"code {code}")
            if code >= 500:
                return DeliveryFailed(Failure.REFUSED, f"code {code}")
            return DeliveryFailed(_CODES.get(code, Failure.SERVER_FAILED), f"code {code}", _WAIT_S)
    return DeliveryFailed(Failure.ANSWER_NOT_UNDERSTOOD, type(error).__name__)
