"""The small HTTP server to which a terminal in "listening" mode sends its events.

It takes POST requests from the device's address, to one path that nobody can guess, and answers when the events were
handed over. Pictures are thrown away as they come. Everything has a limit: connections, headers, body, time.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import TypeAlias

import h11

from edge.counters import Counters
from protocols.base import ProtocolError
from protocols.isapi import MAX_MESSAGE_BYTES, is_message
from protocols.multipart import MultipartReader, Part, boundary_of

MAX_CONNECTIONS = 8
MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 8 * 1024 * 1024
REQUEST_S = 15.0
_PIECE_BYTES = 16 * 1024

_Handler: TypeAlias = Callable[[bytes], None]


class _Refusal(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, name: str) -> None:
        super().__init__(name)
        self.status, self.name = status, name


class EventServer:
    """One listening socket.

    Args:
        path: the only one that is served.
        take: gets each message (JSON or XML) of a request; never raises.
    """

    def __init__(self, path: str, take: _Handler) -> None:
        self._path, self._take = path.encode("ascii"), take
        self._allowed: frozenset[str] = frozenset()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.counters = Counters()
        """Requests by outcome: `taken`, `refused_peer`, `refused_full`, `refused_path`, `too_slow`, `malformed`, …"""

    async def start(self, address: str, port: int) -> int:
        """Listen; returns the port.

        Raises:
            OSError: if it cannot be bound.
        """
        self._server = await asyncio.start_server(self._serve, address, port, limit=_PIECE_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    def allow(self, addresses: frozenset[str]) -> None:
        """Take requests from these addresses, and from no other."""
        self._allowed = frozenset(_plain(address) for address in addresses)

    async def close(self) -> None:
        """Stop listening, and cut off what is being served."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        refusal = self._refuse_connection(str(peer[0]) if peer else "")
        if refusal:
            self.counters.add(refusal)
            writer.transport.abort()
            return
        task = asyncio.current_task()
        if task is not None:
            self._serving.add(task)
        outcome = "broken_off"
        try:
            async with asyncio.timeout(REQUEST_S):
                outcome = await self._answer(reader, writer)
        except TimeoutError:
            outcome = "too_slow"
        except (OSError, asyncio.CancelledError):
            pass  # the task ends here either way, and the outcome says so
        finally:
            if task is not None:
                self._serving.discard(task)
            self.counters.add(outcome)
            if outcome in ("too_slow", "broken_off"):
                writer.transport.abort()
            else:
                writer.close()

    def _refuse_connection(self, peer: str) -> str:
        if _plain(peer) not in self._allowed:
            return "refused_peer"
        return "refused_full" if len(self._serving) >= MAX_CONNECTIONS else ""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        status, outcome = 200, "taken"
        try:
            await self._take_request(http, reader, writer)
        except _Refusal as refusal:
            status, outcome = refusal.status, refusal.name
        except ProtocolError:
            status, outcome = 400, "malformed"
        except h11.RemoteProtocolError as error:
            status, outcome = error.error_status_hint, "malformed"
        if http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [("Content-Length", "0"), ("Connection", "close")]
            with contextlib.suppress(h11.LocalProtocolError):
                writer.write(http.send(h11.Response(status_code=status, headers=headers)) or b"")
                writer.write(http.send(h11.EndOfMessage()) or b"")
                await writer.drain()
        return outcome

    async def _take_request(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body: _Body | None = None
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                if http.they_are_waiting_for_100_continue:
                    writer.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                http.receive_data(await reader.read(_PIECE_BYTES))
            elif isinstance(event, h11.Request):
                self._check(event)
                body = _Body(_content_type(event), self._take)
            elif isinstance(event, h11.Data) and body is not None:
                body.receive(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and body is not None:
                body.end()
                return
            else:
                raise _Refusal(400, "broken_off")

    def _check(self, request: h11.Request) -> None:
        if not hmac.compare_digest(bytes(request.target), self._path):
            raise _Refusal(404, "refused_path")
        if request.method != b"POST":
            raise _Refusal(405, "refused_method")


class _Body:
    """One request's body: a multipart one, or one message."""

    def __init__(self, content_type: str, take: _Handler) -> None:
        self._take = take
        self._bytes = 0
        self._message = bytearray()
        self._multipart: MultipartReader | None = None
        self._is_message = is_message({"content-type": content_type})
        if content_type.lower().lstrip().startswith("multipart/"):
            self._multipart = MultipartReader(boundary_of(content_type), is_message, MAX_MESSAGE_BYTES, MAX_BODY_BYTES)

    def receive(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > MAX_BODY_BYTES:
            raise _Refusal(413, "too_long")
        if self._multipart is not None:
            for part in self._multipart.receive(data):
                if isinstance(part, Part):
                    self._take(part.body)
        elif self._is_message:
            if self._bytes > MAX_MESSAGE_BYTES:
                raise _Refusal(413, "too_long")
            self._message += data

    def end(self) -> None:
        if self._message:
            self._take(bytes(self._message))


def _content_type(request: h11.Request) -> str:
    found = (bytes(value) for name, value in request.headers if bytes(name) == b"content-type")
    return next(found, b"application/json").decode("latin-1")


def _plain(address: str) -> str:
    """An address in its one spelling; IPv4 inside IPv6 is IPv4."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
