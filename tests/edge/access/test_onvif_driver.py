"""The ONVIF driver against a made-up camera (`tests/peers/onvif.py`): relays, inputs, passwords, clocks, outages."""

import gzip
import math
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge.access.config import KeyFileFault
from edge.access.drivers.interface import (
    DoorOpenedByDevice,
    InputsReported,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
)
from edge.access.drivers.onvif.config import OnvifDevice
from protocols.access_events import ReaderOfflineReason
from tests.peers.onvif import PASSWORD, OnvifPeer
from tests.support.certificates import make_certificates
from tests.support.gateways import eventually
from tests.support.onvif_doors import READER, running


@pytest.fixture
def peer() -> Iterator[OnvifPeer]:
    with OnvifPeer() as camera:
        yield camera


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def test_it_comes_up_and_tells_its_inputs(peer: OnvifPeer, password_file: Path) -> None:
    peer.inputs["in-2"] = True
    with running(peer.port, password_file) as (_, deliveries):
        assert deliveries.wait_for(InputsReported) == InputsReported(READER, (False, True))

    assert deliveries.all[:3] == [
        ReaderUp(READER, secure_channel=False),
        OutputsForgotten(READER),
        InputsReported(READER, (False, True)),
    ]
    assert not peer.refused
    assert peer.subscriptions == 0, "it unsubscribes at its end"


def test_a_pulse_is_ended_by_us_and_the_relay_would_fall_back_by_itself(peer: OnvifPeer, password_file: Path) -> None:
    relay = peer.relays["relay-1"]
    with running(peer.port, password_file) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        relay.switched.clear()
        peer.asked.clear()
        assert driver.set_output(READER, 0, 1.2, ticket=1)
        done = deliveries.done(1)
        assert (relay.mode, relay.delay) == ("Monostable", "PT2S")
        eventually(lambda: peer.asked.count("SetRelayOutputState") == 2, what="on and off")

    assert done.done
    assert done.submitted_ns is not None
    assert relay.switched[:2] == [True, False]


def test_the_same_pulse_again_sets_nothing_up(peer: OnvifPeer, password_file: Path) -> None:
    with running(peer.port, password_file) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        for ticket in (1, 2, 3):
            driver.set_output(READER, 0, 30.0, ticket=ticket)
            assert deliveries.done(ticket).done

    assert peer.asked.count("SetRelayOutputSettings") == 1


def test_on_until_further_notice_makes_the_relay_bistable(peer: OnvifPeer, password_file: Path) -> None:
    relay = peer.relays["relay-2"]
    relay.mode, relay.delay = "Monostable", "PT1S"
    with running(peer.port, password_file, relays=("relay-2",)) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, math.inf, ticket=1)
        assert deliveries.done(1).done
        assert relay.mode == "Bistable"
        assert relay.active
        driver.set_output(READER, 0, None, ticket=2)
        assert deliveries.done(2).done
        assert not relay.active


def test_a_relay_that_cannot_be_set_up_is_timed_by_us(peer: OnvifPeer, password_file: Path) -> None:
    relay = peer.relays["relay-1"]
    relay.settings_are_fixed = True
    with running(peer.port, password_file) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        relay.switched.clear()
        driver.set_output(READER, 0, 0.5, ticket=1)
        assert deliveries.done(1).done
        eventually(lambda: relay.switched == [True, False], what="on and off")

    assert relay.mode == "Bistable"


def test_a_relay_that_falls_back_too_soon_and_cannot_be_set_up_is_said(peer: OnvifPeer, password_file: Path) -> None:
    relay = peer.relays["relay-1"]
    relay.settings_are_fixed, relay.mode, relay.delay = True, "Monostable", "PT1S"
    with running(peer.port, password_file) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, math.inf, ticket=1)
        done = deliveries.done(1)
        driver.set_output(READER, 0, 0.3, ticket=2)

        assert not done.done
        assert "set it to bistable at the device" in done.detail
        assert deliveries.done(2).done, "a shorter pulse is possible"


def test_inputs_are_told_as_they_change(peer: OnvifPeer, password_file: Path) -> None:
    inputs = ({"token": "in-2", "inverted": True}, "in-1")
    with running(peer.port, password_file, inputs=inputs) as (_, deliveries):
        assert deliveries.wait_for(InputsReported).active == (True, False)
        peer.emit_motion()
        peer.set_input("in-1", True)
        assert deliveries.wait_for(InputsReported, 2).active == (True, True)
        peer.set_input("in-2", True)
        assert deliveries.wait_for(InputsReported, 3).active == (False, True)


@pytest.mark.parametrize(
    ("topic", "token", "state"),
    [
        ("tns1:Device/Trigger/tnshik:AlarmIn", "AlarmInToken", "State"),
        ("tns1:Device/tnsaxis:IO/Port", "port", "state"),
    ],
)
def test_other_makes_spell_their_inputs_in_their_own_way(
    peer: OnvifPeer, password_file: Path, topic: str, token: str, state: str
) -> None:
    peer.topic, peer.token_name, peer.state_name = topic, token, state
    with running(peer.port, password_file) as (_, deliveries):
        deliveries.wait_for(InputsReported)
        peer.set_input("in-1", True)
        assert deliveries.wait_for(InputsReported, 2).active == (True, False)


def test_a_device_that_tells_no_first_states_counts_as_at_rest(peer: OnvifPeer, password_file: Path) -> None:
    peer.tells_first_states = False
    with running(peer.port, password_file) as (_, deliveries):
        assert deliveries.wait_for(InputsReported).active == (False, False)


def test_a_device_that_does_not_hold_pulls_back_is_not_hammered(peer: OnvifPeer, password_file: Path) -> None:
    peer.holds_pulls = False
    with running(peer.port, password_file) as (_, deliveries):
        deliveries.wait_for(InputsReported)
        before, began_s = peer.asked.count("PullMessages"), time.monotonic()
        peer.set_input("in-1", True)
        deliveries.wait_for(InputsReported, 2)
        eventually(lambda: time.monotonic() - began_s > 1.0, what="a second passes")
        rate_hz = (peer.asked.count("PullMessages") - before) / (time.monotonic() - began_s)

    assert 1 <= rate_hz <= 15


def test_the_intercoms_own_opening_is_told_and_ours_is_not(peer: OnvifPeer, password_file: Path) -> None:
    with running(peer.port, password_file) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, 0.5, ticket=1)
        deliveries.done(1)
        eventually(lambda: peer.relays["relay-1"].switched[-2:] == [True, False], what="the pulse is over")
        peer.set_input("in-1", True)
        deliveries.wait_for(InputsReported, 2)
        assert not deliveries.of(DoorOpenedByDevice), "what was ours has arrived by now"
        peer.switch_relay("relay-2")
        deliveries.wait_for(DoorOpenedByDevice)


def test_a_device_whose_clock_is_wrong_is_spoken_to_by_its_own(peer: OnvifPeer, password_file: Path) -> None:
    peer.clock_offset = timedelta(days=-900, minutes=7)
    with running(peer.port, password_file) as (_, deliveries):
        deliveries.wait_for(ReaderUp)

    assert not peer.refused


def test_a_device_whose_clock_is_set_meanwhile_is_taken_up_again_soon(peer: OnvifPeer, password_file: Path) -> None:
    with running(peer.port, password_file) as (_, deliveries):
        deliveries.wait_for(InputsReported)
        peer.clock_offset = timedelta(hours=8)
        assert deliveries.wait_for(ReaderDown).reason is ReaderOfflineReason.UNAUTHORISED
        deliveries.wait_for(ReaderUp, 2)


def test_a_wrong_password_is_said_and_not_tried_again_and_again(peer: OnvifPeer, password_file: Path) -> None:
    password_file.write_text("another")
    with running(peer.port, password_file) as (driver, deliveries):
        down = deliveries.wait_for(ReaderDown)
        tries = len(peer.refused)
        assert not driver.set_output(READER, 0, 1.0, ticket=1)
        with pytest.raises(AssertionError, match="1 of 2 ReaderDown"):
            deliveries.wait_for(ReaderDown, 2, timeout_s=2.0)

    assert down.reason is ReaderOfflineReason.UNAUTHORISED
    assert "check username, password_file and its rights" in down.detail
    assert "another" not in down.detail
    assert tries == len(peer.refused) == 1


def test_a_device_that_wants_http_digest_gets_it(peer: OnvifPeer, password_file: Path) -> None:
    peer.http_digest = True
    with running(peer.port, password_file) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, 5.0, ticket=1)
        assert deliveries.done(1).done


def test_a_wrong_password_is_said_where_http_digest_is_wanted(peer: OnvifPeer, password_file: Path) -> None:
    peer.http_digest = True
    password_file.write_text("another")
    with running(peer.port, password_file) as (_, deliveries):
        assert deliveries.wait_for(ReaderDown).reason is ReaderOfflineReason.UNAUTHORISED


def test_over_https_the_devices_own_certificate_is_enough(tmp_path: Path, password_file: Path) -> None:
    tls = make_certificates(tmp_path)
    settings = {"https": True, "certificate": tls.certificate}
    with OnvifPeer(tls.certificate, tls.key) as peer, running(peer.port, password_file, **settings) as (_, deliveries):
        assert deliveries.wait_for(ReaderUp) == ReaderUp(READER, secure_channel=True)


def test_over_https_another_certificate_is_refused(tmp_path: Path, password_file: Path) -> None:
    (tmp_path / "other").mkdir()
    tls, other = make_certificates(tmp_path), make_certificates(tmp_path / "other")
    settings = {"https": True, "certificate": other.certificate}
    with OnvifPeer(tls.certificate, tls.key) as peer, running(peer.port, password_file, **settings) as (_, deliveries):
        down = deliveries.wait_for(ReaderDown)
        assert not peer.asked, "nothing was said to it"

    assert down.reason is ReaderOfflineReason.KEY
    assert "check certificate" in down.detail


def test_after_an_outage_a_relay_whose_pulse_is_over_is_switched_off(peer: OnvifPeer, password_file: Path) -> None:
    relay = peer.relays["relay-1"]
    relay.settings_are_fixed = True
    with running(peer.port, password_file) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, 3.0, ticket=1)
        deliveries.done(1)
        over_s = time.monotonic() + 3.0
        peer.stop()
        down = deliveries.wait_for(ReaderDown)
        eventually(lambda: time.monotonic() > over_s, what="the end of the pulse")
        assert not driver.set_output(READER, 0, 5.0, ticket=2), "nothing opens late"
        relay.switched.clear()
        peer.start()
        relay.active = True
        deliveries.wait_for(InputsReported, 2)
        eventually(lambda: bool(relay.switched), what="the relay's off")
        assert relay.switched == [False]
    assert down.reason is ReaderOfflineReason.NO_ANSWER
    assert len(deliveries.of(OutputsForgotten)) == 2


def test_a_subscription_that_the_device_forgot_is_made_anew(peer: OnvifPeer, password_file: Path) -> None:
    with running(peer.port, password_file) as (_, deliveries):
        deliveries.wait_for(InputsReported)
        peer.drop_subscriptions()
        deliveries.wait_for(InputsReported, 2)
        peer.set_input("in-1", True)
        assert deliveries.wait_for(InputsReported, 3).active == (True, False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"relays": ("relay-9",)}, 'there is no relay "relay-9" (there are: relay-1, relay-2); check relays'),
        ({"inputs": ("in-1", "in-9")}, 'there is no input "in-9" (there are: in-1, in-2); check inputs'),
    ],
)
def test_what_the_device_does_not_have_is_said(
    peer: OnvifPeer, password_file: Path, settings: dict[str, Any], said: str
) -> None:
    with running(peer.port, password_file, **settings) as (_, deliveries):
        down = deliveries.wait_for(ReaderDown)

    assert (down.reason, down.detail) == (ReaderOfflineReason.UNKNOWN_DEVICE, said)


def test_the_end_switches_off_what_is_on_and_is_soon(peer: OnvifPeer, password_file: Path) -> None:
    with running(peer.port, password_file) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, math.inf, ticket=1)
        deliveries.done(1)
        began_s = time.monotonic()

    assert not peer.relays["relay-1"].active
    assert time.monotonic() - began_s < 5.0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 302 Found\r\nLocation: http://198.51.100.7/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + b"<" * 4_000_000,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=x\r\nContent-Encoding: gzip\r\n\r\nnope",
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n\r\n' + b"x" * 4_000_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(50_000_000)),
        b"\x00" * 100,
        b"HTTP/1.1 200 OK\r\n\r\n<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    ],
    ids=["text", "redirect", "large", "encoding", "large-challenge", "gzip-bomb", "zeros", "entity"],
)
def test_a_peer_that_talks_nonsense_does_not_end_the_driver(answer: bytes, password_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_talk, args=(server, answer), daemon=True).start()
        with running(server.getsockname()[1], password_file) as (_, deliveries):
            deliveries.wait_for(ReaderDown, 2)

        assert {down.reason for down in deliveries.of(ReaderDown)} == {ReaderOfflineReason.NO_ANSWER}


def test_an_answer_that_does_not_end_is_ended(password_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_drip, args=(server,), daemon=True).start()
        with running(server.getsockname()[1], password_file, timeout_s=0.5) as (_, deliveries):
            down = deliveries.wait_for(ReaderDown)

    assert "the answer does not end" in down.detail


def _drip(server: socket.socket) -> None:
    try:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)
    except OSError:
        return


def _talk(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(answer)
            except OSError:
                continue


def test_a_password_that_others_may_read_is_refused(password_file: Path) -> None:
    password_file.chmod(0o644)
    with (
        pytest.raises(KeyFileFault, match=r"device\.gate\.password_file: .*others may read it"),
        running(1, password_file),
    ):
        pass


def test_a_certificate_that_is_none_is_refused(password_file: Path) -> None:
    settings = {"https": True, "certificate": password_file}
    with pytest.raises(KeyFileFault, match=r"device\.gate\.certificate"), running(1, password_file, **settings):
        pass


@pytest.mark.parametrize(
    "given", [{"host": "a/b"}, {"username": "é"}, {"relays": ("",)}, {"inputs": ("x" * 65,)}, {"port": 0}]
)
def test_a_configuration_that_cannot_work_is_refused(given: dict[str, Any]) -> None:
    sound = {"id": "gate", "kind": "onvif", "host": "10.0.0.9", "username": "u", "password_file": "p"}
    OnvifDevice.model_validate(sound)
    with pytest.raises(ValidationError):
        OnvifDevice.model_validate({**sound, **given})
