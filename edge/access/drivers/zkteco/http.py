"""A small HTTP/1.1 server for devices, over h11: it bounds everything that a stranger can make it hold.

One asyncio task serves one connection. A request's header must be there within `HEADER_S` of the connection becoming
idle, and its body within `REQUEST_S`, however slowly they trickle. A body streams into a `LineKeeper`,
which keeps the lines that the handler wants; what is refused is never read.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol

import h11

from edge.clock import Clock
from edge.counters import Counters
from protocols.base import ProtocolError
from protocols.zk_push import LineKeeper

MAX_CONNECTIONS = 64
MAX_CONNECTIONS_PER_SOURCE = 16
MAX_HEADER_BYTES = 8 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024
"""Nearly all of such a body is pictures, which are thrown away as they come."""
HEADER_S = 15.0
"""Devices poll every second or two, so an idle connection is soon used again."""
REQUEST_S = 30.0
TLS_HANDSHAKE_S = 5.0
LINGER_S = 1.0

_READ_BYTES = 64 * 1024
_HEADER_READ_BYTES = 1024
"""h11 looks at the size of what is incomplete only, so a header must not come in whole at once."""
_PAUSE_S = 0.1
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """A plain-text answer; any other status than 200 ends the connection."""

    text: str
    status: int = 200


class Exchange(Protocol):
    """A request that is let in."""

    @property
    def body(self) -> LineKeeper: ...

    async def finish(self) -> Reply:
        """The body is there.

        Raises:
            ProtocolError: if it is too large after all.
        """
        ...


class Handler(Protocol):
    def begin(self, method: str, target: str, source: str) -> Exchange | Reply:
        """Let a request in, or answer it before its body is read. `source` is the peer's address."""
        ...


class HttpServer:
    """Serves connections of an already listening socket.

    Args:
        listening: non-blocking.
        counters: gets `connections_refused`, `requests_malformed`, `requests_too_slow`, `requests_too_large`.
    """

    def __init__(
        self,
        listening: socket.socket,
        tls: ssl.SSLContext | None,
        handler: Handler,
        counters: Counters,
        clock: Clock,
        header_s: float = HEADER_S,
        request_s: float = REQUEST_S,
    ) -> None:
        self._listening, self._tls, self._handler = listening, tls, handler
        self._counters, self._clock = counters, clock
        self._header_s, self._request_s = header_s, request_s
        self._open: dict[asyncio.Task[None], str] = {}

    async def serve(self) -> None:
        """Accept until cancelled, then end every connection."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    peer, address = await loop.sock_accept(self._listening)
                except OSError:  # out of descriptors, or the peer is gone already
                    self._counters.add("connections_refused")
                    await asyncio.sleep(_PAUSE_S)
                    continue
                self._admit(loop, peer, str(address[0]))
        finally:
            tasks = list(self._open)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _admit(self, loop: asyncio.AbstractEventLoop, peer: socket.socket, source: str) -> None:
        per_source = Counter(self._open.values())
        if len(self._open) >= MAX_CONNECTIONS or per_source[source] >= MAX_CONNECTIONS_PER_SOURCE:
            self._counters.add("connections_refused")
            peer.close()
            return
        task = loop.create_task(self._serve_peer(peer, source))
        self._open[task] = source
        task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _serve_peer(self, peer: socket.socket, source: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        handshake_s = TLS_HANDSHAKE_S if self._tls else None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, peer, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        except OSError:  # ssl.SSLError is one
            self._counters.add("connections_refused")
            peer.close()
            return
        connection = _Connection(reader, asyncio.StreamWriter(transport, protocol, reader, loop), self._clock)
        try:
            await self._exchanges(connection, source)
        except TimeoutError:
            if not connection.is_idle:
                self._counters.add("requests_too_slow")
        except h11.RemoteProtocolError:
            self._counters.add("requests_malformed")
        except OSError:
            self._counters.add("connections_lost")
        except Exception:  # noqa: BLE001 - one request's fault must not leave the other devices unheard
            self._counters.add("faults")
            _LOG.exception("zkteco: a request could not be handled")
        finally:
            transport.abort()

    async def _exchanges(self, connection: "_Connection", source: str) -> None:
        while True:
            async with asyncio.timeout(self._header_s):
                try:
                    request = await connection.next_request()
                except h11.RemoteProtocolError as error:
                    with contextlib.suppress(h11.LocalProtocolError):
                        await connection.send(Reply("bad request\n", error.error_status_hint or 400))
                    raise
            if request is None:
                return
            reply = await self._reply(connection, request, source)
            async with asyncio.timeout(self._request_s):
                await connection.send(reply)
            if not connection.reuse(reply):
                await connection.end()
                return

    async def _reply(self, connection: "_Connection", request: h11.Request, source: str) -> Reply:
        target = request.target.decode("ascii", errors="replace")
        exchange = self._handler.begin(request.method.decode("ascii"), target, source)
        if isinstance(exchange, Reply):
            return exchange
        try:
            async with asyncio.timeout(self._request_s):
                await connection.read_body(exchange.body)
            return await exchange.finish()
        except ProtocolError as error:
            self._counters.add("requests_too_large")
            _LOG.warning("zkteco: an upload was refused", extra={"source": source, "cause": str(error)})
            return Reply("too large\n", 413)


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: Clock) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)

    @property
    def is_idle(self) -> bool:
        """Nothing of a request is there."""
        return self._h11.their_state is h11.IDLE and not self._h11.trailing_data[0]

    async def next_request(self) -> h11.Request | None:
        """None: the peer ended the connection.

        Raises:
            h11.RemoteProtocolError: if it is no HTTP.
        """
        event = await self._next_event(_HEADER_READ_BYTES)
        return event if isinstance(event, h11.Request) else None

    async def read_body(self, body: LineKeeper) -> None:
        """Read a request's body into `body`.

        Raises:
            ProtocolError: if it is too large.
            h11.RemoteProtocolError: if it is cut short.
        """
        if self._h11.they_are_waiting_for_100_continue:
            self._writer.write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        size = 0
        while isinstance(event := await self._next_event(), h11.Data):
            size += len(event.data)
            if size > MAX_BODY_BYTES:
                raise ProtocolError(f"a body of more than {MAX_BODY_BYTES} bytes")
            body.receive(bytes(event.data))

    async def send(self, reply: Reply) -> None:
        """Send an answer whole."""
        content = reply.text.encode()
        headers = [
            ("Date", formatdate(self._clock.wall_s(), usegmt=True)),
            ("Content-Type", "text/plain;charset=UTF-8"),
            ("Content-Length", str(len(content))),
        ]
        if reply.status != 200:
            headers.append(("Connection", "close"))
        parts = (
            self._h11.send(h11.Response(status_code=reply.status, headers=headers)),
            self._h11.send(h11.Data(data=content)),
            self._h11.send(h11.EndOfMessage()),
        )
        self._writer.write(b"".join(part for part in parts if part))
        await self._writer.drain()

    async def end(self) -> None:
        """Let the peer read the answer: a socket that is closed with unread bytes would take it back."""
        with contextlib.suppress(OSError, TimeoutError):
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await self._reader.read(_READ_BYTES):
                    pass

    def reuse(self, reply: Reply) -> bool:
        """Whether another request may follow; if so, wait for it."""
        if reply.status != 200 or self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def _next_event(self, read_bytes: int = _READ_BYTES) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(await self._reader.read(read_bytes))
        return event
