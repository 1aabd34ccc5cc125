"""Strangers and broken devices at the listener: whatever they send, it keeps its bounds and serves the others."""

import asyncio
import http.client
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pytest

from edge.access.drivers.interface import DeviceDecided, ReaderDown, ReaderUp
from edge.access.drivers.zkteco import http as server
from edge.access.drivers.zkteco.http import MAX_BODY_BYTES, MAX_CONNECTIONS_PER_SOURCE, HttpServer, Reply
from edge.access.drivers.zkteco.listener import MAX_KEPT_BYTES
from edge.clock import SystemClock
from edge.counters import Counters
from protocols.access_events import ReaderOfflineReason
from protocols.zk_push import LineKeeper
from tests.edge.access.test_zkteco import SERIAL, Gateway, gateway, now
from tests.peers.zkteco import AccessController
from tests.support.certificates import make_certificates
from tests.support.gateways import eventually

CDATA = f"POST /iclock/cdata?SN={SERIAL}&table=rtlog HTTP/1.1\r\nHost: g\r\n"


@contextmanager
def site(folder: Path) -> Iterator[tuple[Gateway, int]]:
    with gateway(folder) as made:
        driver = made.add("board", doors=1)
        yield made, driver.port


def ask(port: int, data: bytes, wait_s: float = 20.0) -> bytes:
    """Send these bytes and read until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as peer:
        with suppress(OSError):
            peer.sendall(data)
        answer = b""
        with suppress(OSError):
            while part := peer.recv(65536):
                answer += part
                if b"Connection: close" not in answer and answer.count(b"\r\n\r\n"):
                    break
        return answer


def still_serves(made: Gateway, port: int) -> None:
    """An honest device gets through."""
    before = len(made.seen.of(DeviceDecided))
    with AccessController(port, SERIAL) as board:
        board.happen(datetime(2024, 1, 1, 0, before // 60, before % 60), 0, pin="1")  # noqa: DTZ001
        eventually(lambda: len(made.seen.of(DeviceDecided)) > before, what="the event of an honest device")


def event(index: int) -> bytes:
    return f"time={now():%Y-%m-%d %H:%M:%S}\tpin=1\teventaddr=1\tevent=0\tindex={index}".encode()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: g\r\n\r\n", b"404"),
        (b"GET /iclock/cdata HTTP/1.1\r\nHost: g\r\n\r\n", b"404"),
        (b"DELETE /iclock/cdata?SN=1 HTTP/1.1\r\nHost: g\r\n\r\n", b"404"),
        (b"GET /iclock/cdata?SN=UNLISTED HTTP/1.1\r\nHost: g\r\n\r\n", b"403"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /iclock/" + b"a" * 20000 + b" HTTP/1.1\r\nHost: g\r\n\r\n", b"431"),
        (b"GET /iclock/ping?SN=1 HTTP/1.1\r\nHost: g\r\n" + b"X: y\r\n" * 5000 + b"\r\n", b"431"),
        (CDATA.encode() + b"Content-Length: -5\r\n\r\nx", b"400"),
        (CDATA.encode() + b"Content-Length: 5, 6\r\n\r\nxxxxx", b"400"),
        (CDATA.encode() + b"Content-Length: 99999999999999999999999\r\n\r\nx", b"400"),
        (CDATA.encode() + b"Content-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\nxx", b"501"),
        (CDATA.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b""),
    ],
)
def test_what_is_no_devices_request_is_refused(tmp_path: Path, data: bytes, status: bytes) -> None:
    with site(tmp_path) as (made, port):
        answer = ask(port, data)
        assert answer.split(b" ")[1:2] == ([status] if status else []), answer[:200]
        still_serves(made, port)


def test_a_refused_upload_is_not_read(tmp_path: Path) -> None:
    with site(tmp_path) as (_, port):
        began_s = time.monotonic()
        head = b"POST /iclock/cdata?SN=UNLISTED&table=rtlog HTTP/1.1\r\nHost: g\r\nContent-Length: 900000000\r\n\r\n"
        assert b" 403 " in ask(port, head + b"x" * 1000)
        assert time.monotonic() - began_s < 15, "no 900 MB are waited for"


def test_chunked_bodies_and_expectations_are_understood(tmp_path: Path) -> None:
    with site(tmp_path) as (made, port):
        line = event(1)
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (line[:20], line[20:])) + b"0\r\n\r\n"
        assert b"HTTP/1.1 200" in ask(port, CDATA.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        made.seen.wait(DeviceDecided)
        body = event(2)
        head = CDATA.encode() + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
            peer.sendall(head)
            assert peer.recv(4096).startswith(b"HTTP/1.1 100")
            peer.sendall(body)
            assert peer.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_body_that_is_cut_short_counts_for_nothing(tmp_path: Path) -> None:
    with site(tmp_path) as (made, port):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(CDATA.encode() + b"Content-Length: 5000\r\n\r\n" + event(1) + b"\n")
        still_serves(made, port)
        assert len(made.seen.of(DeviceDecided)) == 1


def test_more_events_than_an_upload_may_have_are_refused(tmp_path: Path) -> None:
    with site(tmp_path) as (made, port):
        body = b"\n".join([event(1)] * (MAX_KEPT_BYTES // len(event(1)) + 10))
        answer = ask(port, CDATA.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body, wait_s=20)
        assert b" 413 " in answer
        assert not made.seen.of(DeviceDecided)
        still_serves(made, port)


def test_pictures_without_end_are_refused_and_cost_no_memory(tmp_path: Path) -> None:
    with site(tmp_path) as (made, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        chunk = b"x" * (1024 * 1024)
        count = MAX_BODY_BYTES // len(chunk) + 8
        with suppress(OSError):
            connection.request(
                "POST",
                f"/iclock/cdata?SN={SERIAL}&table=tabledata&tablename=biophoto&count=1",
                (chunk for _ in range(count)),
                {"Content-Length": str(count * len(chunk))},
            )
        connection.close()
        eventually(lambda: made.drivers[0].listener.counters["requests_too_large"] == 1, what="refused")
        still_serves(made, port)


def test_garbage_of_every_kind_does_not_stop_it(tmp_path: Path) -> None:
    chance = random.Random(3)
    good = CDATA.encode() + b"Content-Length: %d\r\n\r\n" % len(event(1)) + event(1)
    with site(tmp_path) as (made, port):
        for _ in range(150):
            data = bytearray(good)
            for _ in range(chance.randint(1, 12)):
                place = chance.randrange(len(data))
                data[place : place + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
            with socket.create_connection(("127.0.0.1", port), timeout=30) as peer, suppress(OSError):
                peer.sendall(bytes(data))
        still_serves(made, port)
        assert made.drivers[0].listener.counters["faults"] == 0


def test_too_many_connections_of_one_source_are_refused_and_the_rest_is_served(tmp_path: Path) -> None:
    with site(tmp_path) as (made, port):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(MAX_CONNECTIONS_PER_SOURCE)]
        eventually(lambda: ask(port, b"GET / HTTP/1.1\r\nHost: g\r\n\r\n") == b"", what="refused")
        assert made.drivers[0].listener.counters["connections_refused"] >= 1
        for peer in idle:
            peer.close()
        eventually(lambda: b" 404 " in ask(port, b"GET / HTTP/1.1\r\nHost: g\r\n\r\n"), what="served again")


class Echo:
    """A handler that takes every request."""

    def __init__(self) -> None:
        self.body = LineKeeper(lambda _: True, 100)

    def begin(self, method: str, target: str, source: str) -> "Echo":
        return Echo()

    async def finish(self) -> Reply:
        return Reply(f"{len(self.body.finish())}")


@contextmanager
def hasty_server() -> Iterator[tuple[int, Counters]]:
    """A server that waits 0.3 s for a header and 0.6 s for the rest."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    counters = Counters()
    loop = asyncio.new_event_loop()
    served = HttpServer(listening, None, Echo(), counters, SystemClock(), header_s=0.3, request_s=0.6)
    task = loop.create_task(served.serve())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listening.getsockname()[1], counters
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        listening.close()


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"GET /iclock/ping?SN=1 HTTP/1.1\r\n", b"X: y\r\n"),
        (CDATA.encode() + b"Content-Length: 100000\r\n\r\n", b"x"),
        (CDATA.encode() + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_a_request_that_trickles_is_ended_in_time(head: bytes, drop: bytes) -> None:
    with hasty_server() as (port, counters), socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        peer.sendall(head)
        began_s = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began_s < 25:
                peer.sendall(drop)
                peer.settimeout(0.02)
                with suppress(TimeoutError):
                    if peer.recv(1) == b"":
                        break
        assert time.monotonic() - began_s < 20, "it would never end by itself"
        eventually(lambda: counters["requests_too_slow"] == 1, what="counted")


def test_an_idle_connection_is_ended_without_a_fault() -> None:
    with hasty_server() as (port, counters), socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        assert peer.recv(1) == b""
        assert counters["requests_too_slow"] == 0


def test_requests_may_follow_each_other_on_one_connection() -> None:
    with hasty_server() as (port, _), socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        one = b"POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 3\r\n\r\na\nb"
        peer.sendall(one + one)
        answer = b""
        while answer.count(b"HTTP/1.1 200") < 2 or not answer.endswith(b"2"):
            answer += peer.recv(4096)
        assert answer.count(b"\r\n\r\n2") == 2


def test_the_line_may_be_encrypted(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    with gateway(tmp_path) as made:
        driver = made.add("board", doors=1, tls_certificate_file=str(files.certificate), tls_key_file=str(files.key))
        trust = ssl.create_default_context(cafile=str(files.ca))
        with AccessController(driver.port, tls=trust) as board:
            assert made.seen.wait(ReaderUp).secure_channel
            board.happen(now(), 0, pin="1")
            made.seen.wait(DeviceDecided)
        assert b"HTTP" not in ask(driver.port, b"GET / HTTP/1.1\r\nHost: g\r\n\r\n")

        other = made.add("plain", doors=1, serial="OTHER123")
        down = made.seen.wait(ReaderDown, lambda event: event.reader == "plain-1")
        assert (other.port, down.reason) == (None, ReaderOfflineReason.PORT)
        assert "another certificate" in down.detail


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.touch(mode=0o600)
    key.write_text("no key")
    with gateway(tmp_path) as made:
        made.add("board", doors=1, tls_certificate_file=str(tmp_path / "none.pem"), tls_key_file=str(key))
        assert made.seen.wait(ReaderDown).reason is ReaderOfflineReason.PORT


def test_limits_are_what_the_documentation_says() -> None:
    assert (server.MAX_CONNECTIONS, server.HEADER_S, server.REQUEST_S) == (64, 15.0, 30.0)
