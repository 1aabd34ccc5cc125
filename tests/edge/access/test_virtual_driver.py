"""The virtual device: what is said on its socket comes out as a reader's events, and outputs come back."""

import math
import socket
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.access.config import KeyFileFault, Reader
from edge.access.drivers.interface import (
    CardPresented,
    CodePresented,
    DeviceDecided,
    DoorOpenedByDevice,
    Driver,
    DriverContext,
    Feedback,
    InputsReported,
    KeysPressed,
    NumberPresented,
    OutputsForgotten,
    PlatePresented,
    PowerReported,
    ReaderDown,
    ReaderUp,
    TamperReported,
)
from edge.access.drivers.virtual.config import VirtualDevice
from edge.access.drivers.virtual.driver import ALLOW_VARIABLE, make
from edge.access.drivers.virtual.messages import MAX_LINE_BYTES, read_line
from edge.clock import SystemClock
from protocols.access_events import AccessMethod, DecidedBy, ReaderOfflineReason
from protocols.base import ProtocolError
from protocols.cards import CardFormat, decode_bytes, parse_text
from tests.support.deliveries import Deliveries
from tests.support.virtual import VirtualClient, VirtualRefused

A, B = "door-a", "door-b"


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_VARIABLE, "1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "v.sock"


def made(path: Path) -> Driver:
    device = VirtualDevice.model_validate({"id": "play", "kind": "virtual", "socket": str(path)})
    context = DriverContext(Path(), ZoneInfo("Asia/Shanghai"), SystemClock())
    return make(device, (Reader(id=A, device="play"), Reader(id=B, device="play", channel=2)), context)


@contextmanager
def running(path: Path) -> Iterator[tuple[Driver, Deliveries]]:
    driver, deliveries = made(path), Deliveries()
    driver.start(deliveries)
    try:
        yield driver, deliveries
    finally:
        driver.stop()


def test_it_is_not_made_unless_the_environment_allows_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("0", "true", ""):
        monkeypatch.setenv(ALLOW_VARIABLE, value)
        with pytest.raises(KeyFileFault, match=rf"device\.play\.kind: .* to allow it set {ALLOW_VARIABLE}=1"):
            made(path)
    monkeypatch.delenv(ALLOW_VARIABLE)
    with pytest.raises(KeyFileFault):
        made(path)


def test_its_socket_is_for_its_own_user_and_goes_with_it(path: Path) -> None:
    with running(path), VirtualClient(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_its_readers_are_up_with_their_inputs_at_rest(path: Path) -> None:
    with running(path) as (_, deliveries):
        deliveries.wait_for(InputsReported, 2)

    assert deliveries.all[:6] == [
        event
        for reader in (A, B)
        for event in (ReaderUp(reader, False), OutputsForgotten(reader), InputsReported(reader, (False, False)))
    ]


def test_what_is_presented_is_delivered(path: Path) -> None:
    credential = uuid.uuid4()
    with running(path) as (_, deliveries), VirtualClient(path) as client:
        client.card(A, "w26:12:345")
        client.bits(B, b"\x80\x40", 10)
        client.number(A, "raw32:0badcafe")
        client.keys(A, "1234#")
        client.code(A, "GH1.token")
        client.plate(A, "京A12345", 0.9)
        client.verdict(A, True, credential=str(credential))
        client.verdict(B, False, method="card", by="board", card="w34:1:2", reason="expired")
        client.ask("opened", A)
        client.ask("tamper", A, active=True)
        client.ask("power", B, failed=True)

    card, bits = deliveries.of(CardPresented)
    assert decode_bytes(card.data, card.bit_count, CardFormat.W26) == parse_text("w26:12:345")
    assert (bits.reader, bits.data, bits.bit_count) == (B, b"\x80\x40", 10)
    assert deliveries.of(NumberPresented)[0].card == parse_text("raw32:0badcafe")
    assert deliveries.of(KeysPressed)[0].keys == "1234#"
    assert deliveries.of(CodePresented)[0].text == "GH1.token"
    assert (deliveries.of(PlatePresented)[0].plate, deliveries.of(PlatePresented)[0].confidence) == ("京A12345", 0.9)
    assert deliveries.of(DeviceDecided) == [
        DeviceDecided(A, True, AccessMethod.FACE, DecidedBy.TERMINAL, credential=credential),
        DeviceDecided(B, False, AccessMethod.CARD, DecidedBy.BOARD, card=parse_text("w34:1:2"), reason="expired"),
    ]
    assert deliveries.of(DoorOpenedByDevice) == [DoorOpenedByDevice(A)]
    assert deliveries.of(TamperReported) == [TamperReported(A, True)]
    assert deliveries.of(PowerReported) == [PowerReported(B, True)]


def test_contact_and_button_are_inputs(path: Path) -> None:
    with running(path) as (_, deliveries), VirtualClient(path) as client:
        client.contact(A, True)
        client.press(A)

    assert [each.active for each in deliveries.of(InputsReported) if each.reader == A] == [
        (False, False),
        (True, False),
        (True, True),
        (True, False),
    ]


def test_outputs_and_feedback_are_reported(path: Path) -> None:
    with running(path) as (driver, deliveries), VirtualClient(path) as client:
        deliveries.wait_for(InputsReported, 2)
        assert driver.set_output(A, 0, 0.2, ticket=1)
        done = deliveries.done(1)
        client.wait_for(lambda: [each["on"] for each in client.outputs(A)] == [True, False], "a pulse")
        driver.set_output(B, 3, math.inf, ticket=2)
        driver.feedback(B, Feedback.GRANTED)
        client.wait_for(lambda: client.shown(B) == ["granted"], "what the reader shows")

        assert done.done
        assert done.submitted_ns is not None
        assert client.outputs(B, 3) == [{"is": "output", "reader": B, "output": 3, "on": True, "for_s": None}]
        with VirtualClient(path) as late:
            assert late.is_on(B, 3), "who comes later sees how it stands"
        driver.set_output(B, 3, None, ticket=3)
        client.wait_for(lambda: not client.is_on(B, 3), "off as told")


def test_the_end_switches_every_output_off(path: Path) -> None:
    with running(path) as (driver, deliveries), VirtualClient(path) as client:
        deliveries.wait_for(InputsReported, 2)
        driver.set_output(A, 0, math.inf, ticket=1)
        client.wait_for(lambda: client.is_on(A), "on")
        driver.stop()
        client.wait_for(lambda: not client.is_on(A), "off at the end")


def test_a_reader_that_is_away_takes_nothing_until_it_is_back(path: Path) -> None:
    with running(path) as (driver, deliveries), VirtualClient(path) as client:
        client.online(A, False)
        assert deliveries.wait_for(ReaderDown).reason is ReaderOfflineReason.NO_ANSWER
        assert not driver.set_output(A, 0, 1.0, ticket=1)
        with pytest.raises(VirtualRefused, match="away"):
            client.card(A, "w26:12:345")
        client.contact(A, True)
        client.online(A, True)

    assert deliveries.of(InputsReported)[-1] == InputsReported(A, (True, False)), "the door was opened meanwhile"
    assert not deliveries.of(CardPresented)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nonsense\n", "JSON"),
        (b'{"do":"card","reader":"door-a","card":"w26:999999:1"}\n', "w26"),
        (b'{"do":"card","reader":"door-z","card":"w26:1:1"}\n', "there is no reader door-z"),
        (b'{"do":"input","reader":"door-a","input":2,"active":true}\n', "it has 2 inputs"),
        (b'{"do":"keys","reader":"door-a","keys":"12a"}\n', "pattern"),
        (b'{"do":"dance","reader":"door-a"}\n', "tag"),
        (b'{"do":"opened","reader":"door-a","extra":1}\n', "Extra inputs"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_connection_stays(path: Path, line: bytes, why: str) -> None:
    with running(path) as (_, deliveries), VirtualClient(path) as client:
        with pytest.raises(VirtualRefused, match=why):
            client.say(line)
        client.keys(A, "1")

    assert [type(each) for each in deliveries.all[6:]] == [KeysPressed]


def test_a_line_without_an_end_costs_the_connection_and_nothing_else(path: Path) -> None:
    with running(path) as (_, deliveries):
        deliveries.wait_for(InputsReported, 2)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            connection.sendall(b"x" * (MAX_LINE_BYTES + 1))
            _read_to_the_end(connection)
        with VirtualClient(path) as client:
            client.keys(A, "1")


def _read_to_the_end(connection: socket.socket) -> None:
    """Return when the other side has closed; a timeout fails."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return


def test_a_socket_that_a_killed_gateway_left_is_taken_over(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with running(path), VirtualClient(path) as client:
        client.keys(A, "1")


def test_a_file_in_its_place_is_left_alone_and_said(path: Path) -> None:
    path.write_text("mine")
    with running(path) as (_, deliveries):
        down = deliveries.wait_for(ReaderDown)

    assert down.reason is ReaderOfflineReason.PORT
    assert str(path) in down.detail
    assert path.read_text() == "mine"


@given(st.binary(max_size=200))
def test_no_line_does_more_than_be_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_line(line)


@pytest.mark.parametrize("given_path", ["relative.sock", "/" + "x" * 120, ""])
def test_a_path_that_cannot_be_bound_is_refused(given_path: str) -> None:
    with pytest.raises(ValidationError):
        VirtualDevice.model_validate({"id": "play", "kind": "virtual", "socket": given_path})
