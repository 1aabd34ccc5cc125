"""HTTP servers on loopback that take messages: a plain one, and group robots as WeCom's and DingTalk's pages describe.

Robots answer 200 whatever happens, and say in `errcode` what did. DingTalk's checks `timestamp` (an hour at most away)
and `sign`; both take 20 messages in a minute. Written from the services' documentation, without our code.
"""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cloud.broker import TlsFiles


@dataclass(frozen=True)
class Got:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def raw(self) -> bytes:
        """Everything in it that is not HTTP's own."""
        lines = [self.method, self.path, *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\n".join(lines).encode() + b"\n" + self.body

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answers:
    """What is answered: status, body, further headers; `after_s`: how long that takes."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0


class HttpReceiver:
    """Keeps every request. `answer` decides what comes back. Use as a context manager."""

    def __init__(self, answer: Callable[[Got], Answers] = lambda _: Answers(), tls: TlsFiles | None = None) -> None:
        self.answer = answer
        self.got: list[Got] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", "0"))
                got = Got(self.command, self.path, dict(self.headers.items()), self.rfile.read(size))
                receiver.got.append(got)
                answers = receiver.answer(got)
                if answers.after_s:
                    receiver.stopping.wait(answers.after_s)
                try:
                    self.send_response(answers.status)
                    for name, value in {"Content-Length": str(len(answers.body)), **answers.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answers.body)
                except OSError:
                    self.close_connection = True

            do_GET = do_PUT = do_POST  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Silent."""

        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


def _told(code: int, text: str) -> Answers:
    body = json.dumps({"errcode": code, "errmsg": text}, ensure_ascii=False).encode()
    return Answers(200, body, {"Content-Type": "application/json; charset=UTF-8"})


class _Often:
    """Counts messages of the last minute."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def is_too_often(self) -> bool:
        self.times = [each for each in self.times if each > time.monotonic() - 60]
        if len(self.times) >= 20:
            return True
        self.times.append(time.monotonic())
        return False


class WecomRobot:
    """`POST /cgi-bin/webhook/send?key=KEY` (群机器人配置说明): text of 2048 bytes at most."""

    def __init__(self, key: str) -> None:
        self.key, self.often = key, _Often()

    def __call__(self, got: Got) -> Answers:
        if urlsplit(got.path).path != "/cgi-bin/webhook/send":
            return Answers(404, b"")
        if got.query.get("key") != self.key:
            return _told(93000, "invalid webhook url, hint: [1700000000], from ip: 127.0.0.1")
        try:
            content = got.json()["text"]["content"]
        except (ValueError, KeyError, TypeError):
            return _told(40008, "invalid message type")
        if got.json()["msgtype"] != "text" or not content:
            return _told(44004, "empty content")
        if len(content.encode()) > 2048:
            return _told(40058, "text.content exceed max length 2048")
        return _told(45009, "api freq out of limit") if self.often.is_too_often() else _told(0, "ok")


class DingtalkRobot:
    """`POST /robot/send?access_token=TOKEN&timestamp=MS&sign=...` (自定义机器人接入, 加签)."""

    def __init__(self, token: str, secret: str, now_s: Callable[[], float] = time.time) -> None:
        self.token, self.secret, self.now_s, self.often = token, secret, now_s, _Often()

    def __call__(self, got: Got) -> Answers:
        query = got.query
        if query.get("access_token") != self.token:
            return _told(300001, "token is not exist")
        timestamp = query.get("timestamp", "0")
        if abs(self.now_s() * 1000 - int(timestamp)) > 3_600_000:
            return _told(310000, "invalid timestamp")
        text = timestamp + "\n" + self.secret
        digest = hmac.new(self.secret.encode(), text.encode(), digestmod=hashlib.sha256).digest()
        if query.get("sign") != base64.b64encode(digest).decode():
            return _told(310000, "sign not match")
        if not got.headers.get("Content-Type", "").startswith("application/json"):
            return _told(43004, "无效的HTTP HEADER Content-Type")
        if got.json()["msgtype"] != "text" or not got.json()["text"]["content"]:
            return _told(400105, "description:不支持的消息类型")
        return (
            _told(130101, "send too fast, exceed 20 times per minute") if self.often.is_too_often() else _told(0, "ok")
        )
