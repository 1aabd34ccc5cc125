"""The parts of the driver of UHPPOTE boards: its configuration, its link, and what it keeps on disk."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from uhppoted import encode

from edge.access.config import AccessConfig
from edge.access.drivers.interface import DriverContext
from edge.access.drivers.registry import make_driver
from edge.access.drivers.uhppote.board import Board, DoorMode, Overwritten
from edge.access.drivers.uhppote.config import AntiPassback, Interlock, UhppoteBoard
from edge.access.drivers.uhppote.driver import UhppoteDriver
from edge.access.drivers.uhppote.link import Link, NoAnswer
from edge.access.drivers.uhppote.listener import Listener
from edge.access.drivers.uhppote.position import Position
from edge.counters import Counters
from protocols.base import ProtocolError
from tests.peers.uhppote import FakeBoard
from tests.support.gateways import SetClock, eventually
from tests.support.uhppote import ZONE

SERIAL = 423187757
REQUEST = bytes(encode.get_status_request(SERIAL))
REPLY = REQUEST


# Configuration.


def board(**keys: Any) -> UhppoteBoard:
    return UhppoteBoard.model_validate({"id": "b1", "kind": "uhppote", "address": "10.0.0.9", "serial": SERIAL} | keys)


def test_a_boards_options_have_the_boards_numbers() -> None:
    codes = {mode.value: mode.code for mode in AntiPassback}
    assert codes == {"off": 0, "1:2,3:4": 1, "1,3:2,4": 2, "1:2,3": 3, "1:2,3,4": 4}
    codes = {mode.value: mode.code for mode in Interlock}
    assert codes == {"off": 0, "1+2": 1, "2+3": 2, "1+2,3+4": 3, "1+2+3": 4, "1+2+3+4": 8}


@pytest.mark.parametrize(
    "keys",
    [
        {"address": "board.example"},
        {"address": "fe80::1"},
        {"serial": 0},
        {"serial": 2**32},
        {"port": 0},
        {"decides": "nobody"},
        {"interlock": "1+4"},
        {"password": "x"},
    ],
)
def test_what_no_board_has_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        board(**keys)


def test_a_site_file_makes_the_driver(tmp_path: Path) -> None:
    site = AccessConfig.model_validate(
        {
            "device": [{"id": "b1", "kind": "uhppote", "address": "10.0.0.9", "serial": SERIAL}],
            "reader": [{"id": "r1", "device": "b1", "channel": 1}],
            "door": [{"id": "d1", "place": "p", "readers": ["r1"], "strike": {"reader": "r1", "output": 0}}],
        }
    )
    driver = make_driver(site.device[0], site.reader, DriverContext(tmp_path, ZONE, SetClock()))
    assert isinstance(driver, UhppoteDriver)
    assert driver.name == "b1"


# The link.


@contextmanager
def udp_peer(answer: Callable[[socket.socket, bytes, Any], None]) -> Iterator[int]:
    """A board that answers as told; its port."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    peer.settimeout(0.05)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                packet, sender = peer.recvfrom(2048)
            except (TimeoutError, ConnectionError):
                continue
            answer(peer, packet, sender)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield peer.getsockname()[1]
    finally:
        over.set()
        thread.join()
        peer.close()


@contextmanager
def tcp_peer(parts: tuple[bytes, ...]) -> Iterator[int]:
    """A board that takes a request, sends these parts and closes."""
    peer = socket.create_server(("127.0.0.1", 0))
    peer.settimeout(0.05)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = peer.accept()
            except TimeoutError:
                continue
            with connection:
                connection.recv(64)
                for part in parts:
                    connection.sendall(part)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield peer.getsockname()[1]
    finally:
        over.set()
        thread.join()
        peer.close()


def ask(port: int, *, tcp: bool = False, try_s: float = 0.2) -> bytes:
    return Link("127.0.0.1", port, SERIAL, tcp=tcp, try_s=try_s).ask(REQUEST)


def test_wrong_packets_before_the_reply_are_passed_over() -> None:
    other_board = REPLY[:4] + bytes(4) + REPLY[8:]
    other_function = REPLY[:1] + b"\x32" + REPLY[2:]

    def answer(peer: socket.socket, _: bytes, sender: Any) -> None:
        for packet in (b"", REPLY[:63], REPLY + b"\0", b"\x19" + REPLY[1:], other_board, other_function, REPLY):
            peer.sendto(packet, sender)

    with udp_peer(answer) as port:
        assert ask(port) == REPLY


def test_a_reply_from_another_address_is_none() -> None:
    def answer(_: socket.socket, __: bytes, sender: Any) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(REPLY, sender)

    with udp_peer(answer) as port, pytest.raises(NoAnswer, match="does not answer"):
        ask(port)


def test_a_flood_of_wrong_packets_cannot_hold_a_request() -> None:
    over = threading.Event()

    def flood(peer: socket.socket, _: bytes, sender: Any) -> None:
        ends_s = time.monotonic() + 20.0
        while not over.is_set() and time.monotonic() < ends_s:
            peer.sendto(b"nonsense", sender)

    with udp_peer(flood) as port:
        began_s = time.monotonic()
        try:
            with pytest.raises(NoAnswer):
                ask(port)
            assert time.monotonic() - began_s < 10.0
        finally:
            over.set()


def test_a_late_reply_answers_no_later_request() -> None:
    asked: list[Any] = []

    def answer(peer: socket.socket, packet: bytes, sender: Any) -> None:
        asked.append(sender)
        if len(asked) > 1:
            peer.sendto(packet[:63] + b"\x01", asked[0])  # late, for the first try
            peer.sendto(packet, sender)

    with udp_peer(answer) as port:
        assert ask(port) == REPLY


def test_tcp_replies_come_in_pieces() -> None:
    with tcp_peer((REPLY[:1], REPLY[1:40], REPLY[40:])) as port:
        assert ask(port, tcp=True) == REPLY


@pytest.mark.parametrize("parts", [(), (REPLY[:63],), (bytes(64),)], ids=["nothing", "too little", "nonsense"])
def test_a_tcp_connection_that_closes_is_no_answer_and_takes_no_time(parts: tuple[bytes, ...]) -> None:
    with tcp_peer(parts) as port:
        began_s, used_s = time.monotonic(), time.process_time()
        with pytest.raises(NoAnswer):
            ask(port, tcp=True, try_s=20.0)
        assert time.monotonic() - began_s < 10.0
        assert time.process_time() - used_s < 2.0


def test_nobody_there_is_no_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for tcp in (False, True):
        with pytest.raises(NoAnswer, match=f"127.0.0.1 port {port}"):
            ask(port, tcp=tcp)


def test_what_waits_in_the_background_lets_others_go_first() -> None:
    order: list[str] = []
    gate = threading.Event()

    def answer(peer: socket.socket, packet: bytes, sender: Any) -> None:
        gate.wait(30)
        peer.sendto(packet, sender)

    with udp_peer(answer) as port:
        link = Link("127.0.0.1", port, SERIAL, tcp=False, try_s=30.0)

        def one(name: str, background: bool) -> None:
            link.ask(REQUEST, background=background)
            order.append(name)

        def begin(name: str, background: bool, ready: Callable[[], bool]) -> threading.Thread:
            thread = threading.Thread(target=one, args=(name, background))
            thread.start()
            eventually(ready, what=name)
            return thread

        threads = [begin("first", False, lambda: link._busy)]
        threads.append(begin("list", True, lambda: len(link._turn._waiters) == 1))  # type: ignore[attr-defined]
        threads.append(begin("door", False, lambda: link._waiting == 1))
        gate.set()
        for thread in threads:
            thread.join(30)
    assert order == ["first", "door", "list"]


@given(
    st.binary(min_size=60, max_size=60), st.sampled_from(["status", "record", "card_at", "door_control", "listener"])
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_reply_raises_anything_unforeseen(rest: bytes, question: str) -> None:
    class Parrot(Link):
        def ask(self, request: bytes, *, background: bool = False, tries: int = 3) -> bytes:
            return bytes(request[:4]) + rest

    there = Board(Parrot("127.0.0.1", 1, SERIAL, tcp=False), SERIAL)
    ask_it = getattr(there, question)
    with contextlib.suppress(ProtocolError, Overwritten):
        ask_it(*([1] if question in ("record", "card_at", "door_control") else []))


def test_a_doors_mode_that_is_none_counts_as_shut() -> None:
    with FakeBoard(SetClock(), ZONE) as fake:
        fake.doors[1].mode = 9
        link = Link("127.0.0.1", fake.port, fake.serial, tcp=False)
        assert Board(link, fake.serial).door_control(1) == (DoorMode.SHUT, 5)


# The port for events.


def test_a_storm_of_packets_is_counted_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.access.drivers.uhppote.listener._LOOK_S", 60.0)
    counters = Counters()
    woken: list[int] = []
    listener = Listener(0, "127.0.0.1", SERIAL, counters, woken.append)
    with FakeBoard(SetClock(), ZONE, serial=SERIAL) as fake:
        good = fake.status()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for size in range(100):
                sender.sendto(bytes(size), ("127.0.0.1", listener.port))
                eventually(lambda size=size: counters["broken_packets"] == size + 1)
            sender.sendto(good, ("127.0.0.1", listener.port))
        eventually(lambda: bool(woken), what="it still listens")
    finally:
        began_s = time.monotonic()
        listener.close()
    assert time.monotonic() - began_s < 20.0, "it need not look again to end"


# The position.


def test_a_position_is_kept_for_its_board_alone(tmp_path: Path) -> None:
    position = Position(tmp_path, SERIAL)
    assert position.next is None
    position.save(78)
    position.make_durable()
    assert Position(tmp_path, SERIAL).next == 78
    assert Position(tmp_path, SERIAL + 1).next is None
    assert [path.name for path in tmp_path.iterdir()] == ["events.json"]
    assert (tmp_path / "events.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"serial": 423187757}', '{"serial": 423187757, "next": -4}', "1"])
def test_a_file_that_is_none_is_no_position(tmp_path: Path, text: str) -> None:
    (tmp_path / "events.json").write_text(text)
    assert Position(tmp_path, SERIAL).next is None
