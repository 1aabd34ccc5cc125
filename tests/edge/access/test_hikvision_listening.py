"""The server to which a Hikvision terminal sends its events: what it takes, and everything that it does not."""

import asyncio
import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from edge.access.drivers.hikvision import listening
from edge.access.drivers.hikvision.listening import MAX_BODY_BYTES, MAX_CONNECTIONS, EventServer
from tests.support.gateways import eventually

PATH = "/isapi/0123456789abcdef"
MESSAGE = json.dumps({"eventType": "AccessControllerEvent"}).encode()
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="event_log"\r\nContent-Type: application/json\r\n\r\n'
    + MESSAGE
    + b'\r\n--x\r\nContent-Disposition: form-data; name="Picture"; filename="Picture.jpg"\r\n\r\n'
    + b"\xff\xd8\xff\r\n--x--\r\n"
)


class Listening:
    """A server in a loop of its own, and what it took."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.server = EventServer(PATH, self.taken.append)
        self.server.allow(frozenset({"127.0.0.1"}))
        self.loop = asyncio.new_event_loop()
        self.port = self.loop.run_until_complete(self.server.start("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.close(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    @contextmanager
    def connected(self) -> Iterator["Client"]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            yield Client(connection)

    def ask(self, request: bytes) -> int:
        """The status of the answer; 0 for none."""
        with self.connected() as client:
            client.send(request)
            return client.status()


class Client:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # it was shut on us, which the answer shows
            self.connection.sendall(data)

    def status(self) -> int:
        answer = b""
        try:
            while b"\r\n\r\n" not in answer:
                piece = self.connection.recv(4096)
                if not piece:
                    break
                answer += piece
        except OSError:
            pass
        return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@pytest.fixture
def running() -> Iterator[Listening]:
    listening = Listening()
    try:
        yield listening
    finally:
        listening.close()


def post(body: bytes, kind: str = "application/json", path: str = PATH, method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (MESSAGE, "application/json"),
        (MESSAGE, 'application/xml; charset="UTF-8"'),
        (FORM, "multipart/form-data; boundary=x"),
    ],
)
def test_a_message_is_taken_alone_or_in_a_form(running: Listening, body: bytes, kind: str) -> None:
    assert running.ask(post(body, kind)) == 200
    assert running.taken == [MESSAGE]
    eventually(lambda: running.server.counters["taken"] == 1, what="a count")


def test_a_chunked_request_is_taken_and_one_that_waits_is_told_to_go_on(running: Listening) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(MESSAGE), MESSAGE)
    assert running.ask(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunked) == 200
    with running.connected() as client:
        client.send(f"{head}Content-Length: {len(MESSAGE)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert client.status() == 100
        client.send(MESSAGE)
        assert client.status() == 200
    assert running.taken == [MESSAGE, MESSAGE]


def test_what_is_no_message_is_not_read(running: Listening) -> None:
    assert running.ask(post(b"\xff\xd8" * 100_000, "image/jpeg")) == 200
    assert running.taken == []


def test_a_stranger_gets_no_word(running: Listening) -> None:
    running.server.allow(frozenset({"127.0.0.2", "::1"}))
    assert running.ask(post(MESSAGE)) == 0
    assert running.taken == []
    assert running.server.counters["refused_peer"] == 1


def test_ipv4_in_ipv6_is_ipv4(running: Listening) -> None:
    running.server.allow(frozenset({"::ffff:127.0.0.1"}))
    assert running.ask(post(MESSAGE)) == 200


@pytest.mark.parametrize(
    ("request_bytes", "status", "outcome"),
    [
        pytest.param(post(MESSAGE, path="/isapi/"), 404, "refused_path", id="another path"),
        pytest.param(post(MESSAGE, path=PATH + "/.."), 404, "refused_path", id="a longer path"),
        pytest.param(post(MESSAGE, method="PUT"), 405, "refused_method", id="another method"),
        pytest.param(post(b"x" * 300_000), 413, "too_long", id="a long message"),
        pytest.param(post(bytes(MAX_BODY_BYTES + 1), "image/jpeg"), 413, "too_long", id="a long picture"),
        pytest.param(post(b"x", "multipart/form-data"), 400, "malformed", id="no boundary"),
        pytest.param(
            post(b"--x\r\n" + b"h" * 10_000, "multipart/form-data; boundary=x"), 400, "malformed", id="headers"
        ),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, 431, "malformed", id="endless headers"),
        pytest.param(b"\x16\x03\x01\x02\x00" * 20, 400, "malformed", id="TLS"),
        pytest.param(
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "malformed", id="lengths"
        ),
    ],
)
def test_what_is_wrong_is_refused(running: Listening, request_bytes: bytes, status: int, outcome: str) -> None:
    answered = running.ask(request_bytes)
    eventually(lambda: running.server.counters[outcome] == 1, what=f"{outcome}: {running.server.counters}")
    assert answered in (status, 0)  # a client that still sends may miss the answer
    assert running.taken == []
    assert running.ask(post(MESSAGE)) == 200


def test_connections_have_a_limit_and_a_time(running: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "REQUEST_S", 1.0)
    with running.connected() as slow:
        slow.send(b"POST ")
        held = [running.connected() for _ in range(MAX_CONNECTIONS + 3)]
        clients = [each.__enter__() for each in held]
        for client in clients:
            client.send(b"P")
        eventually(lambda: running.server.counters["refused_full"] == 4, what="refused connections")
        eventually(lambda: running.server.counters["too_slow"] == MAX_CONNECTIONS, what="slow connections cut")
        assert slow.status() == 0
        for each in held:
            each.__exit__(None, None, None)
    assert running.ask(post(MESSAGE)) == 200


def test_a_client_that_goes_away_leaves_nothing(running: Listening) -> None:
    with running.connected() as client:
        client.send(post(MESSAGE)[:-5])
    eventually(lambda: sum(running.server.counters.snapshot().values()) == 1, what="the end of it")
    assert running.taken == []
    assert running.ask(post(MESSAGE)) == 200


def test_what_is_being_served_at_the_end_is_cut_off(running: Listening) -> None:
    with running.connected() as client:
        client.send(b"POST ")
        eventually(lambda: bool(asyncio.all_tasks(running.loop)), what="a request being served")
        asyncio.run_coroutine_threadsafe(running.server.close(), running.loop).result(5)
        assert client.status() == 0
        eventually(lambda: running.server.counters["broken_off"] == 1, what="its end")


def test_fuzz_no_request_ends_the_server(running: Listening) -> None:
    rng = random.Random(20261123)
    sources = [post(MESSAGE), post(FORM, "multipart/form-data; boundary=x")]
    for _ in range(300):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 5)):
            place = rng.randrange(len(data))
            if rng.random() < 0.5:
                data[place] = rng.randrange(256)
            else:
                del data[place : place + rng.randrange(30)]
                data += b"\n"
        with running.connected() as client:
            client.send(bytes(data))
    eventually(lambda: running.ask(post(MESSAGE)) == 200, what="an answer once the last of them are gone")
