"""The control socket: who is heard, what is bounded, and what a person is told, over real sockets."""

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import control_socket
from edge.control_socket import (
    LINE_S,
    MAX_CONNECTIONS,
    MAX_LINE_BYTES,
    SOCKET_NAME,
    Answer,
    ControlFault,
    ControlSocket,
    Say,
    give_order,
    reach,
)
from tests.support.gateways import eventually


class Desk:
    """Carries out orders: `greet` says what it is told to, `wait` ends when the test says so, `fail` fails."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.waiting = threading.Semaphore(0)
        self.carried_out = 0
        self.orders = {"greet": self.greet, "wait": self.wait, "fail": self.fail}

    def greet(self, fields: Mapping[str, Any], say: Say) -> Answer:
        say("on the way")
        return Answer(True, f"hello {fields['name']}")

    def wait(self, _fields: Mapping[str, Any], say: Say) -> Answer:
        say("waiting")
        self.waiting.release()
        assert self.go_on.wait(30.0)
        say("going on")
        self.carried_out += 1
        return Answer(False, "waited")

    def fail(self, _fields: Mapping[str, Any], _say: Say) -> Answer:
        raise RuntimeError("a secret of the code")


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.go_on.set()


@pytest.fixture
def control(tmp_path: Path, desk: Desk) -> Iterator[ControlSocket]:
    made = ControlSocket(tmp_path, desk.orders)
    made.start()
    yield made
    desk.go_on.set()
    made.stop()


def order(folder: Path, kind: str, say: Say = print, **fields: str) -> Answer:
    connection = reach(folder)
    assert connection is not None
    with connection:
        return give_order(connection, kind, say, **fields)


def raw(folder: Path, data: bytes) -> bytes:
    """All that comes back for these bytes."""
    connection = reach(folder)
    assert connection is not None
    with connection:
        connection.settimeout(10.0)
        told = b""
        with contextlib.suppress(BrokenPipeError):  # it need not read all of what is no order
            connection.sendall(data)
        with contextlib.suppress(ConnectionResetError):  # nor say goodbye to who sent that
            while part := connection.recv(4096):
                told += part
    return told


def test_an_order_is_carried_out_with_what_is_said_on_the_way(control: ControlSocket, tmp_path: Path) -> None:
    said: list[str] = []

    answer = order(tmp_path, "greet", said.append, name="wēi")

    assert answer == Answer(True, "hello wēi")
    assert said == ["on the way"]
    assert control.failure is None


def test_only_the_owner_may_open_it(control: ControlSocket) -> None:
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(control.path.stat().st_mode)


def test_another_user_is_refused_and_nothing_is_read_of_it(
    control: ControlSocket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "_user_of", lambda _: os.geteuid() + 4711)

    answer = order(tmp_path, "greet", name="x")

    assert not answer.done
    assert "own user and root" in answer.sentence


def test_the_kernel_tells_who_asks(control: ControlSocket, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert control_socket._user_of(ours) == os.geteuid()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"garbage\n", b"not a JSON object"),
        (b"[1]\n", b"not a JSON object"),
        (b"{}\n", b'\\"order\\"'),
        (b'{"order": ["greet"]}\n', b'\\"order\\"'),
        (b'{"order": "none"}\n', b"it knows: fail, greet, wait"),
        (b"x" * (MAX_LINE_BYTES + 2), b"more than 4096 bytes"),
        (b"x" * 100_000, b"more than 4096 bytes"),
        (b'{"order": "fail"}\n', b"RuntimeError"),
    ],
)
def test_what_is_no_order_is_refused_and_the_next_one_is_heard(
    control: ControlSocket, tmp_path: Path, data: bytes, told: bytes
) -> None:
    answered = raw(tmp_path, data)

    assert told in answered
    assert b'"done": false' in answered
    assert b"a secret" not in answered
    assert order(tmp_path, "greet", name="x").done


@given(data=st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_answered_and_end_the_connection(control: ControlSocket, tmp_path: Path, data: bytes) -> None:
    assert b'"done": false' in raw(tmp_path, data + b"\n")


def test_who_sends_nothing_is_let_go_in_time(control: ControlSocket, tmp_path: Path) -> None:
    begun_s = time.monotonic()

    assert b"nothing came in time" in raw(tmp_path, b'{"order"')

    assert time.monotonic() - begun_s < LINE_S + 15.0


def test_one_more_than_it_serves_is_told_so(control: ControlSocket, desk: Desk, tmp_path: Path) -> None:
    connections = [reach(tmp_path) for _ in range(MAX_CONNECTIONS)]
    for connection in connections:
        connection.sendall(b'{"order": "wait"}\n')
        assert desk.waiting.acquire(timeout=10.0)

    assert "too many orders" in order(tmp_path, "greet", name="x").sentence

    desk.go_on.set()
    for connection in connections:
        connection.close()
    eventually(lambda: order(tmp_path, "greet", name="x").done, what="a free place")


def test_an_order_is_carried_out_though_nobody_listens_any_more(
    control: ControlSocket, desk: Desk, tmp_path: Path
) -> None:
    connection = reach(tmp_path)
    connection.sendall(b'{"order": "wait"}\n')
    assert desk.waiting.acquire(timeout=10.0)
    connection.close()

    desk.go_on.set()

    eventually(lambda: desk.carried_out == 1, what="the order")
    assert order(tmp_path, "greet", name="x").done


def test_who_waits_while_the_gateway_ends_is_told_the_outcome(tmp_path: Path, desk: Desk) -> None:
    control = ControlSocket(tmp_path, desk.orders)
    control.start()
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.append(order(tmp_path, "wait")))
    waiting.start()
    assert desk.waiting.acquire(timeout=10.0)

    threading.Timer(0.1, desk.go_on.set).start()
    control.stop()
    waiting.join(30.0)

    assert answers == [Answer(False, "waited")]
    assert not control.path.exists()
    assert reach(tmp_path) is None


def test_a_gateway_that_ends_without_an_outcome_is_a_fault(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    theirs.close()
    with ours, pytest.raises(ControlFault):
        give_order(ours, "greet", print)


def test_what_a_killed_gateway_left_is_replaced_and_a_living_one_is_not(tmp_path: Path, desk: Desk) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / SOCKET_NAME))
    assert reach(tmp_path) is None
    first, second = ControlSocket(tmp_path, desk.orders), ControlSocket(tmp_path, desk.orders)
    first.start()
    try:
        with pytest.raises(OSError, match="another gateway"):
            second.start()
        assert order(tmp_path, "greet", name="x").done
    finally:
        first.stop()
    second.start()
    second.stop()


def test_a_file_in_the_way_is_left_alone(tmp_path: Path, desk: Desk) -> None:
    (tmp_path / SOCKET_NAME).write_text("mine")
    with pytest.raises(FileExistsError, match="no socket"):
        ControlSocket(tmp_path, desk.orders).start()
    assert (tmp_path / SOCKET_NAME).read_text() == "mine"


def test_a_state_folder_may_have_a_long_name(tmp_path: Path, desk: Desk) -> None:
    folder = tmp_path / ("long" * 30) / ("longer" * 20)
    folder.mkdir(parents=True)
    control = ControlSocket(folder, desk.orders)
    control.start()
    try:
        assert order(folder, "greet", name="x").done
    finally:
        control.stop()


def test_a_listener_that_broke_is_a_failure_and_can_be_started_again(control: ControlSocket, tmp_path: Path) -> None:
    control._listener.shutdown(socket.SHUT_RDWR)
    eventually(lambda: control.failure is not None, what="a failure")

    control.start()

    assert control.failure is None
    assert order(tmp_path, "greet", name="x").done
