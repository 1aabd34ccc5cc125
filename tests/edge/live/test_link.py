"""The gateway's connection against a hub that is played: whose orders it follows, and that nothing can hold it up."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from edge.backoff import Backoff
from edge.clock import SystemClock
from edge.counters import Counters
from edge.live.config import LiveSection
from edge.live.desk import Seen
from edge.live.link import LiveLink
from edge.live.tap import LiveTap
from edge.video.packets import VideoPacket
from protocols.enrolment import BrokerAccess
from protocols.http_auth import check
from protocols.live import PATH, Hello, Kind, Quality, Start, Stop, channel, decode_frame, read_report
from tests.edge.live.parts import clip_packets
from tests.edge.video.parts import camera
from tests.support.gateways import GATEWAY, Keys, eventually, make_keys

BROKER = BrokerAccess(host="127.0.0.1", port=1, username=GATEWAY, password="p" * 16)
WAIT_S = 20.0


class PlayedHub:
    """Takes connections; what it does with each is up to the test."""

    def __init__(self, keys: Keys, behave: Callable[["PlayedHub", ServerConnection, str], None]) -> None:
        self.keys, self._behave = keys, behave
        self.nonces: list[str] = []
        self.closed: list[int | None] = []
        self.headers: list[str] = []
        self._server = serve(
            self._take, "127.0.0.1", 0, compression=None, max_size=4 << 20, max_queue=1, close_timeout=0.2
        )
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def order(self, connection: ServerConnection, nonce: str, order: BaseModel) -> bytes:
        sealed = self.keys.sign(channel(GATEWAY, nonce), order)
        connection.send(sealed)
        return sealed

    def close(self) -> None:
        self._server.shutdown()

    def _take(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers.append(connection.request.headers["Authorization"])
        hello = read_report(str(connection.recv(timeout=WAIT_S)))
        assert isinstance(hello, Hello)
        self.nonces.append(hello.nonce)
        try:
            self._behave(self, connection, hello.nonce)
        except ConnectionClosed:
            self.closed.append(connection.close_code)


@contextmanager
def linked(behave: Callable[[PlayedHub, ServerConnection, str], None]) -> Iterator[tuple[PlayedHub, LiveLink, LiveTap]]:
    keys, tap = make_keys(), LiveTap()
    hub = PlayedHub(keys, behave)
    link = LiveLink(
        keys.identity(BROKER, hub.url),
        {"c-east": Seen(camera("c-east"), tap, None)},
        LiveSection(uplink_kbit_per_s=1_000_000),
        SystemClock(),
        Counters(),
        lambda: 0.5,
        backoff=Backoff(0.05, 0.2, lambda: 0.5),
    )
    link.start()
    try:
        yield hub, link, tap
    finally:
        link.stop()
        hub.close()


def start(n: int = 1) -> Start:
    return Start(n=n, stream=1, camera="c-east", quality=Quality.SUB, ticket="t", lease_s=30)


def until_closed(connection: ServerConnection) -> None:
    for _ in connection:
        pass
    raise ConnectionClosed(None, None)


def test_it_proves_itself_and_sends_what_is_ordered() -> None:
    kinds: list[Kind] = []

    def behave(hub: PlayedHub, connection: ServerConnection, nonce: str) -> None:
        hub.order(connection, nonce, start())
        for message in connection:
            if isinstance(message, bytes):
                kinds.append(decode_frame(message).kind)

    with linked(behave) as (hub, _, tap):
        eventually(lambda: tap.watchers == 1, WAIT_S, "the stream")
        head, packets = clip_packets(first_s=time.monotonic())
        tap.begin(head)
        for each in packets[:3]:
            tap.take(each)
        eventually(lambda: kinds == [Kind.INIT, Kind.KEY, Kind.DELTA, Kind.DELTA], WAIT_S, "the frames")
        check(hub.headers[0], hub.keys.message, "GET", PATH, b"", time.time())


@pytest.mark.parametrize("wrong", ["played again", "of another connection", "not sealed", "text", "of another key"])
def test_an_order_that_does_not_fit_ends_the_connection_and_all_streams(wrong: str) -> None:
    recorded: list[bytes] = []

    def behave(hub: PlayedHub, connection: ServerConnection, nonce: str) -> None:
        sealed = hub.order(connection, nonce, start())
        if wrong == "played again":
            connection.send(sealed)
        elif wrong == "of another connection":
            recorded.append(hub.keys.sign(channel(GATEWAY, nonce), start(2)))
            if len(recorded) == 1:
                return
            connection.send(recorded[0])
        elif wrong == "not sealed":
            connection.send(Stop(n=2, stream=1).model_dump_json().encode())
        elif wrong == "text":
            connection.send(Stop(n=2, stream=1).model_dump_json())
        else:
            connection.send(make_keys().sign(channel(GATEWAY, nonce), Stop(n=2, stream=1)))
        until_closed(connection)

    with linked(behave) as (hub, _, tap):
        eventually(lambda: bool(hub.closed), WAIT_S, "the gateway to leave")
        eventually(lambda: len(set(hub.nonces)) > 1, WAIT_S, "a new connection with a nonce of its own")
    assert tap.watchers == 0


def test_a_hub_that_takes_nothing_holds_up_neither_the_camera_nor_the_end() -> None:
    done = threading.Event()

    def behave(hub: PlayedHub, connection: ServerConnection, nonce: str) -> None:
        hub.order(connection, nonce, start())
        connection.socket.settimeout(None)
        done.wait(WAIT_S * 2)

    with linked(behave) as (_, link, tap):
        eventually(lambda: tap.watchers == 1, WAIT_S, "the stream")
        head, packets = clip_packets(first_s=time.monotonic())
        tap.begin(head)
        (queue,) = tap._queues
        large, sent = packets[0].data + bytes(1_000_000), iter(range(10_000))

        def is_stuck() -> bool:
            number = next(sent)
            tap.take(VideoPacket(large, number * 1000, number * 1000, True, time.monotonic()))
            return queue.dropped > 20

        eventually(is_stuck, WAIT_S, "packets to be dropped")
        began_s = time.monotonic()
        link.stop()
        assert time.monotonic() - began_s < 8
        assert not link.is_connected
        done.set()
    assert tap.watchers == 0
