"""The gateway's own connection to the hub for live video: opened at the start, idle until the hub asks.

One thread listens and keeps time, one sends, one makes pictures; each connection has its own of the last two, and none
outlives it. A send that cannot go on (a dead line) ends the connection after `STALL_S`.
"""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from edge.backoff import Backoff
from edge.clock import Clock
from edge.counters import Counters
from edge.identity import Identity
from edge.live.config import LiveSection
from edge.live.desk import Desk, LiveStatus, Seen
from edge.live.stills import NoPicture, Stills
from edge.worker import Worker
from protocols.base import ProtocolError
from protocols.http_auth import authorise
from protocols.live import (
    MAX_TEXT_BYTES,
    PATH,
    Ended,
    Frame,
    Hello,
    Kind,
    LiveCode,
    Still,
    channel,
    encode_frame,
    read_order,
)
from protocols.sealing import open_with_signature

_log = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 10.0
PING_S = 15.0
STALL_S = 15.0
TICK_S = 0.5
SEND_BUFFER_BYTES = 128 * 1024
"""Of the kernel: more would be old pictures that wait behind a narrow uplink, out of reach of the queues here."""
_CALM_S = 30.0
_STOP_S = 5.0


class LiveLink:
    """A part of the daemon.

    Args:
        cameras: by name, with the taps on their streams.
        jitter: a number in [0, 1) for each call.
    """

    def __init__(
        self,
        identity: Identity,
        cameras: Mapping[str, Seen],
        section: LiveSection,
        clock: Clock,
        counters: Counters,
        jitter: Callable[[], float],
        random_bytes: Callable[[int], bytes] = os.urandom,
        backoff: Backoff | None = None,
    ) -> None:
        self._identity, self._cameras, self._section = identity, cameras, section
        self._clock, self._counters, self._random_bytes = clock, counters, random_bytes
        self._backoff = backoff if backoff is not None else Backoff(1.0, 60.0, jitter)
        self._worker = Worker("live", self._run)
        self._lock = threading.Lock()
        self._connection: ClientConnection | None = None
        self._desk: Desk | None = None

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> None:
        """End the connection, also one that is stuck; returns within seconds."""
        self._worker.ask_to_stop()
        with self._lock:
            if self._connection is not None:
                _cut(self._connection)
        self._worker.stop(_STOP_S)

    @property
    def failure(self) -> str | None:
        return self._worker.failure

    @property
    def is_connected(self) -> bool:
        return self._desk is not None

    def status(self) -> LiveStatus:
        """What is watched. Safe from any thread."""
        desk = self._desk
        return desk.status() if desk is not None else LiveStatus(0, 0)

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            began_s = self._clock.monotonic_s()
            try:
                self._once(stopping)
            except (OSError, WebSocketException, ProtocolError) as error:
                if stopping.is_set():
                    return  # we cut it ourselves
                self._counters.add("live_connections_lost")
                _log.warning("live video: no connection to the hub: %s", str(error)[:200] or type(error).__name__)
            if self._clock.monotonic_s() - began_s > _CALM_S:
                self._backoff.reset()
            stopping.wait(self._backoff.next_s())

    def _once(self, stopping: threading.Event) -> None:
        """One connection, from opening to its end.

        Raises:
            OSError, WebSocketException: whatever ended it.
            ProtocolError: if the hub, or who says so, sent something wrong.
        """
        with self._open() as connection:
            _bound(connection.socket)
            with self._lock:
                self._connection = connection
            nonce = self._random_bytes(16).hex()
            session = _Session(connection, self._cameras, self._section, self._clock, self._counters)
            try:
                connection.send(Hello(nonce=nonce).model_dump_json())
                self._desk = session.desk
                session.start()
                self._listen(session.desk, connection, nonce, stopping)
            finally:
                self._desk = None
                with self._lock:
                    self._connection = None
                session.end()

    def _open(self) -> ClientConnection:
        identity = self._identity
        stamp = int(self._clock.wall_s())
        header = authorise(identity.gateway, identity.mac_key.secret, "GET", PATH, b"", stamp)
        return connect(
            identity.hub_url.replace("http", "ws", 1) + PATH,
            additional_headers={"Authorization": header},
            compression=None,  # of video it would cost much and gain nothing
            max_size=MAX_TEXT_BYTES,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=1.0,
            ping_interval=PING_S,
            ping_timeout=PING_S,
        )

    def _listen(self, desk: Desk, connection: ClientConnection, nonce: str, stopping: threading.Event) -> None:
        topic, last = channel(self._identity.gateway, nonce), 0
        while not stopping.is_set():
            desk.tick()
            try:
                message = connection.recv(timeout=TICK_S)
            except TimeoutError:
                continue
            if not isinstance(message, bytes):
                raise ProtocolError("the hub's orders are sealed, and binary")
            order = read_order(open_with_signature(topic, message, self._identity.hub_key.verify, MAX_TEXT_BYTES))
            if order.n <= last:
                raise ProtocolError("an order of the hub came twice, or out of turn")
            last = order.n
            desk.give(order)


class _Session:
    """The two threads of one connection that send and make pictures."""

    def __init__(
        self,
        connection: ClientConnection,
        cameras: Mapping[str, Seen],
        section: LiveSection,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._connection, self._clock, self._counters = connection, clock, counters
        self._news = threading.Event()
        self._asked = threading.Event()
        self._ending = threading.Event()
        self._stills = Stills(clock)
        self.desk = Desk(cameras, section, clock, counters, self._news.set, self._asked.set)
        self._threads = [
            threading.Thread(target=self._send, name="live-send", daemon=True),
            threading.Thread(target=self._picture, name="live-stills", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ending.set()
        self._news.set()
        self._asked.set()
        self.desk.close()
        _cut(self._connection)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_STOP_S)

    def _send(self) -> None:
        try:
            while not self._ending.is_set():
                self._news.wait(TICK_S)
                self._news.clear()
                while messages := self.desk.collect():
                    for message in messages:
                        self._connection.send(message)
        except (OSError, WebSocketException):
            self._counters.add("live_sends_failed")
            _cut(self._connection)  # the listening thread notices

    def _picture(self) -> None:
        while not self._ending.is_set():
            self._asked.wait(TICK_S)
            self._asked.clear()
            while not self._ending.is_set() and (order := self.desk.next_still()) is not None:
                self._make(order)

    def _make(self, order: Still) -> None:
        seen = self.desk.camera(order.camera)
        try:
            picture = self._stills.take(order.camera, seen.sub, seen.config.privacy_mask)
            at_ms = round((self._clock.wall_s() - (self._clock.monotonic_s() - picture.at_s)) * 1000)
            self._connection.send(encode_frame(Frame(Kind.STILL, order.stream, 0, max(at_ms, 0), picture.data)))
            self._counters.add("live_stills")
        except (NoPicture, ProtocolError, ValueError) as error:
            self.desk.report(Ended(stream=order.stream, code=LiveCode.NO_PICTURE, reason=str(error)[:300]))
        except (OSError, WebSocketException):
            _cut(self._connection)


def _bound(line: socket.socket) -> None:
    """Bound what the kernel holds of what was sent, and for how long it tries."""
    with contextlib.suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL_S * 1000))


def _cut(connection: ClientConnection) -> None:
    """End a connection even while a send is stuck in it."""
    with contextlib.suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)
