"""A mail server on loopback: SMTP by RFC 5321, STARTTLS (RFC 3207), AUTH PLAIN and LOGIN (RFC 4954), or TLS at once.

Written from the standards. What it was sent is kept in `mails`; `replies` overrides the answer to a verb.
"""

import base64
import contextlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Self

from cloud.broker import TlsFiles


@dataclass
class Mail:
    """A message that was taken."""

    sender: str
    to: list[str]
    data: bytes
    encrypted: bool
    user: str | None


@dataclass
class SmtpServer:
    """Use as a context manager.

    Attributes:
        tls: its certificate; without it there is no STARTTLS.
        implicit: TLS from the first byte.
        user: name and password; then nothing is taken before AUTH.
        replies: verb -> (its argument -> an answer instead of the usual one, or None).
    """

    tls: TlsFiles | None = None
    implicit: bool = False
    user: tuple[str, str] | None = None
    replies: dict[str, Callable[[str], str | None]] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        owner = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    _Talk(owner, self).run()

        class Server(ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def context(self) -> ssl.SSLContext:
        assert self.tls is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls.certificate, self.tls.key)
        return context

    def __enter__(self) -> Self:
        serve = {"poll_interval": 0.01}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Talk:
    """One connection."""

    def __init__(self, owner: SmtpServer, handler: Any) -> None:
        self.owner, self.line = owner, handler.connection
        self.encrypted, self.authenticated = False, None
        if owner.implicit:
            self.line = owner.context().wrap_socket(self.line, server_side=True)
            self.encrypted = True
        self.file = self.line.makefile("rb")
        self._reset()

    def _reset(self) -> None:
        self.sender: str | None = None
        self.to: list[str] = []

    def say(self, text: str) -> None:
        self.line.sendall(text.encode() + b"\r\n")

    def run(self) -> None:
        self.say(self.owner.replies.get("CONNECT", lambda _: None)("") or "220 mail.example ESMTP")
        while raw := self.file.readline(2000):
            line = raw.decode().rstrip("\r\n")
            self.owner.heard.append(line)
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            instead = self.owner.replies.get(verb, lambda _: None)(rest)
            if instead is not None:
                self.say(instead)
                continue
            act = getattr(self, f"on_{verb.lower()}", None)
            if act is None:
                self.say("502 5.5.1 not implemented")
            elif act(rest) is False:
                return

    def on_ehlo(self, _rest: str) -> None:
        offers = ["mail.example", "8BITMIME", "SIZE 100000"]
        if self.owner.tls is not None and not self.encrypted:
            offers.append("STARTTLS")
        if self.owner.user is not None and self.encrypted:
            offers.append("AUTH PLAIN LOGIN")
        for each in offers[:-1]:
            self.say(f"250-{each}")
        self.say(f"250 {offers[-1]}")

    def on_starttls(self, _rest: str) -> None:
        self.say("220 go ahead")
        self.line = self.owner.context().wrap_socket(self.line, server_side=True)
        self.file, self.encrypted = self.line.makefile("rb"), True
        self._reset()

    def on_auth(self, rest: str) -> None:
        kind, _, first = rest.partition(" ")
        if kind.upper() == "PLAIN":
            _, user, password = base64.b64decode(first or self._more("334 ")).decode().split("\0")
        else:
            user = base64.b64decode(first or self._more("334 VXNlcm5hbWU6")).decode()
            password = base64.b64decode(self._more("334 UGFzc3dvcmQ6")).decode()
        is_right = (user, password) == self.owner.user
        self.authenticated = user if is_right else None
        self.say("235 2.7.0 welcome" if is_right else "535 5.7.8 wrong")

    def _more(self, ask: str) -> str:
        self.say(ask)
        return self.file.readline(2000).decode().strip()

    def on_mail(self, rest: str) -> None:
        if self.owner.user is not None and self.authenticated is None:
            self.say("530 5.7.0 authenticate first")
            return
        self.sender = rest.partition("<")[2].partition(">")[0]
        self.say("250 2.1.0 ok")

    def on_rcpt(self, rest: str) -> None:
        if self.sender is None:
            self.say("503 5.5.1 MAIL first")
            return
        self.to.append(rest.partition("<")[2].partition(">")[0])
        self.say("250 2.1.5 ok")

    def on_data(self, _rest: str) -> None:
        if not self.to:
            self.say("503 5.5.1 RCPT first")
            return
        self.say("354 end with a dot")
        lines = []
        while (line := self.file.readline(2000)) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        if line == b"":
            return
        after = self.owner.replies.get("AFTER DATA", lambda _: None)("")
        if after is None:
            assert self.sender is not None
            self.owner.mails.append(Mail(self.sender, self.to, b"".join(lines), self.encrypted, self.authenticated))
        self.say(after or "250 2.0.0 taken")
        self._reset()

    def on_rset(self, _rest: str) -> None:
        self._reset()
        self.say("250 ok")

    def on_noop(self, _rest: str) -> None:
        self.say("250 ok")

    def on_quit(self, _rest: str) -> bool:
        self.say("221 bye")
        return False
