"""A program of the site's own: JSON by POST, signed.

`X-Gatehouse-Signature` is `sha256=` and the HMAC-SHA256, in hex, of the timestamp header, a dot and the body. The
receiver compares it, refuses old timestamps, and takes each `Idempotency-Key` once.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime

from cloud.notify.channels.calling import Caller, check_status
from cloud.notify.channels.interface import read_secret
from cloud.notify.settings import WebhookSettings
from cloud.notify.wording import Message


class WebhookChannel:
    def __init__(self, settings: WebhookSettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._caller = Caller(settings.private, settings.timeout_s, settings.ca_file)

    def send(self, message: Message) -> str:
        """As `Channel.send`: any 2xx is an acceptance."""
        body = json.dumps(message.as_json(), ensure_ascii=False).encode()
        timestamp = str(int(self._now().timestamp()))
        secret = read_secret(self._settings.secret_file).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": str(message.key),
            "X-Gatehouse-Timestamp": timestamp,
            "X-Gatehouse-Signature": f"sha256={signature(secret, timestamp, body)}",
        }
        answer = self._caller.call("POST", self._settings.url, headers, body)
        check_status(answer)
        return f"status {answer.status}"


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over timestamp, dot and body, in hex."""
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
