"""The demo's notification channels: a program that takes webhooks, and a mail server that is not there.

The program is written as a site's own would be, from `docs/alarms.md`. The mail server's port is held by the demo but
nobody listens there: each connection is refused at once, and no other program can take it.
"""

import hashlib
import hmac
import json
import secrets
import socket
import threading
import time
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from gatehouse.demo.layout import PLAYED_GATES

HOST = "127.0.0.1"
DEAD = "mail"
"""The channel that fails."""
_OLDEST_S = 300.0
_LARGEST_BYTES = 256 * 1024


class Channels:
    """Both, from `with` to its end."""

    def __init__(self) -> None:
        self.key = secrets.token_hex(32)
        """Of the webhook's signatures."""
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._told = 0
        self._mail = socket.socket()
        channels = self

        class Desk(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = self.headers.get("Content-Length", "")
                fits = size.isdecimal() and int(size) <= _LARGEST_BYTES
                taken = fits and channels.take(self.headers, self.rfile.read(int(size)))
                self.send_response(HTTPStatus.NO_CONTENT if taken else HTTPStatus.UNAUTHORIZED)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the library's)
                """Silent."""

        self._server = ThreadingHTTPServer((HOST, 0), Desk)
        self._thread = threading.Thread(target=self._server.serve_forever, name="desk", daemon=True)

    def __enter__(self) -> Self:
        self._mail.bind((HOST, 0))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._mail.close()

    @property
    def told(self) -> int:
        """How many steps of alarms the program was told of, each once."""
        with self._lock:
            return self._told

    def configuration(self, key_file: Path) -> str:
        """Of the hub: the program is told of what comes to the district, the mailbox of what begins at one gate."""
        return f"""
[web.notify.channels.desk]
kind = "webhook"
url = "http://{HOST}:{self._server.server_port}/alarms"
secret_file = "{key_file}"
private = true
[web.notify.channels.{DEAD}]
kind = "email"
host = "{HOST}"
port = {self._mail.getsockname()[1]}
security = "none"
private = true
sender = "gatehouse@example.org"
to = {{ village = "village@example.org" }}
[web.notify.routes.district]
channel = "desk"
levels = ["district"]
[web.notify.routes.gate]
channel = "{DEAD}"
place = "{PLAYED_GATES[0].place}"
"""

    def take(self, headers: Message, body: bytes) -> bool:
        """Whether a message is the hub's own and of now. One that came before is taken, and not counted again."""
        sent_at = headers.get("X-Gatehouse-Timestamp", "")
        signed = hmac.new(self.key.encode(), sent_at.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"sha256={signed}".encode(), headers.get("X-Gatehouse-Signature", "").encode()):
            return False
        if abs(time.time() - int(sent_at)) > _OLDEST_S:
            return False
        message, key = json.loads(body), headers.get("Idempotency-Key", "")
        with self._lock:
            if key not in self._taken:
                self._taken.add(key)
                self._told += len(message["alarms"]) + message["more"]
        return True
