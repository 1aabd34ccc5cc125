"""The Modbus driver against npm's `modbus-serial`: pulses, inputs, an outage, a refusal, the end."""

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from edge.access.config import AccessConfig, Reader
from edge.access.drivers.interface import (
    Driver,
    DriverContext,
    InputsReported,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
)
from edge.access.drivers.modbus.config import ModbusDevice
from edge.access.drivers.modbus.driver import make
from edge.clock import SystemClock
from protocols.access_events import ReaderOfflineReason
from tests.peers.modbus import ModbusPeer
from tests.support.deliveries import Deliveries
from tests.support.gateways import eventually

READER = "lane-in"


@contextmanager
def running(port: int, **settings: Any) -> Iterator[tuple[Driver, Deliveries]]:
    given = {"outputs": (10, 11), "inputs": (20, 21), "poll_s": 0.1, "timeout_s": 0.5, **settings}
    device = ModbusDevice.model_validate(
        {"id": "barrier", "kind": "modbus", "host": "127.0.0.1", "port": port, **given}
    )
    context = DriverContext(Path(), ZoneInfo("Asia/Shanghai"), SystemClock())
    driver = make(device, (Reader(id=READER, device="barrier"),), context)
    deliveries = Deliveries()
    driver.start(deliveries)
    try:
        yield driver, deliveries
    finally:
        driver.stop()


@pytest.fixture
def peer() -> Iterator[ModbusPeer]:
    with ModbusPeer() as device:
        yield device


def test_it_comes_up_with_its_outputs_off_and_its_inputs_told(peer: ModbusPeer) -> None:
    peer.set_discrete(21, True)
    with running(peer.port) as (_, deliveries):
        assert deliveries.wait_for(InputsReported) == InputsReported(READER, (False, True))

        assert [type(event) for event in deliveries.all] == [ReaderUp, OutputsForgotten, InputsReported]
        assert deliveries.wait_for(ReaderUp) == ReaderUp(READER, secure_channel=False)
        eventually(lambda: peer.written(10) == peer.written(11) == [False], what="all outputs off")


def test_a_pulse_is_written_at_once_and_ended_in_time(peer: ModbusPeer) -> None:
    with running(peer.port, poll_s=5.0) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        asked_s = time.monotonic()
        assert driver.set_output(READER, 1, 0.4, ticket=1)
        done = deliveries.done(1)
        eventually(lambda: peer.written(11) == [False, True, False], what="on and off again")

    on, off = [write.at_s for write in peer.writes if write.address == 11][1:3]
    assert done.done
    assert done.submitted_ns is not None
    assert 0 <= done.submitted_ns / 1e9 - asked_s < 3.0, "long before the next poll"
    assert 0.35 <= off - on < 4.0
    assert True not in peer.written(10), "the other output was left alone"


def test_an_output_stays_on_until_it_is_told_off(peer: ModbusPeer) -> None:
    with running(peer.port) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, math.inf, ticket=1)
        deliveries.done(1)
        driver.set_output(READER, 0, None, ticket=2)

        assert deliveries.done(2).done
        eventually(lambda: peer.written(10) == [False, True, False], what="off as told")


def test_inputs_are_told_when_they_change_and_as_they_are_wired(peer: ModbusPeer) -> None:
    inputs = (20, {"address": 30, "inverted": True}, {"address": 5, "table": "coil"})
    with running(peer.port, inputs=inputs) as (_, deliveries):
        assert deliveries.wait_for(InputsReported).active == (False, True, False)
        peer.set_discrete(20, True)
        assert deliveries.wait_for(InputsReported, 2).active == (True, True, False)
        peer.set_discrete(30, True)
        assert deliveries.wait_for(InputsReported, 3).active == (True, False, False)
        peer.set_coil(5, True)
        assert deliveries.wait_for(InputsReported, 4).active == (True, False, True)


def test_an_interlocked_pair_is_never_on_together(peer: ModbusPeer) -> None:
    with running(peer.port, interlocked=((0, 1),), min_off_s=0.3) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, math.inf, ticket=1)
        deliveries.done(1)
        driver.set_output(READER, 1, math.inf, ticket=2)
        assert deliveries.done(2).done
        eventually(lambda: peer.written(11)[-1:] == [True], what="down goes on")

    last_up_off = next(write.at_s for write in peer.writes[3:] if (write.address, write.on) == (10, False))
    down_on = next(write.at_s for write in peer.writes if (write.address, write.on) == (11, True))
    assert down_on - last_up_off >= 0.25


def test_a_pulse_whose_end_fell_into_an_outage_is_ended_when_the_device_is_back(peer: ModbusPeer) -> None:
    with running(peer.port) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, 0.5, ticket=1)
        deliveries.done(1)
        peer.freeze()
        down = deliveries.wait_for(ReaderDown)
        peer.thaw()
        deliveries.wait_for(ReaderUp, 2)
        eventually(lambda: peer.written(10)[-1] is False, what="switched off after the outage")

    assert down.reason is ReaderOfflineReason.NO_ANSWER
    assert "did not answer" in down.detail
    assert len(deliveries.of(OutputsForgotten)) == len(deliveries.of(ReaderUp))


def test_while_the_device_is_away_an_on_is_refused_and_an_off_is_kept(peer: ModbusPeer) -> None:
    with running(peer.port) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, math.inf, ticket=1)
        deliveries.done(1)
        peer.kill()
        deliveries.wait_for(ReaderDown)
        assert not driver.set_output(READER, 1, 5.0, ticket=2)
        assert not driver.set_output(READER, 0, None, ticket=3)
        peer.writes.clear()
        peer.start()
        deliveries.wait_for(InputsReported, 2)

        assert True not in peer.written(10) + peer.written(11), "nothing opens late"
        assert deliveries.all[-3:] == [ReaderUp(READER, False), OutputsForgotten(READER), deliveries.all[-1]]


def test_a_device_that_lost_its_power_gets_an_output_back_that_is_on_until_further_notice(peer: ModbusPeer) -> None:
    with running(peer.port) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, math.inf, ticket=1)
        deliveries.done(1)
        peer.kill()
        peer.writes.clear()
        peer.start()
        deliveries.wait_for(ReaderUp, 2)
        eventually(lambda: peer.written(10) == [True], what="on again")


def test_a_command_under_way_when_the_device_falls_silent_is_answered(peer: ModbusPeer) -> None:
    with running(peer.port) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        peer.freeze()
        handed_over = driver.set_output(READER, 0, 1.0, ticket=1)
        assert handed_over
        done = deliveries.done(1)
        peer.thaw()
        deliveries.wait_for(ReaderUp, 2)
        eventually(lambda: peer.written(10)[-1] is False, what="an on that may have been taken is undone")

    assert not done.done
    assert "did not answer" in done.detail


def test_an_address_that_the_device_does_not_have_is_said_with_its_remedy(peer: ModbusPeer) -> None:
    with running(peer.port, inputs=(20, 500)) as (_, deliveries):
        down = deliveries.wait_for(ReaderDown)

    assert down.reason is ReaderOfflineReason.UNKNOWN_DEVICE
    assert "discrete inputs 500 to 500: illegal data address; check unit, outputs and inputs" in down.detail


def test_a_busy_device_counts_as_away_and_is_tried_again(peer: ModbusPeer) -> None:
    peer.refuse(6)
    with running(peer.port) as (_, deliveries):
        assert deliveries.wait_for(ReaderDown).reason is ReaderOfflineReason.NO_ANSWER
        peer.refuse(0)
        deliveries.wait_for(ReaderUp)


def test_nobody_there_is_said_and_the_driver_ends_soon() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with running(unheard.getsockname()[1]) as (driver, deliveries):
            down = deliveries.wait_for(ReaderDown)
            assert not driver.set_output(READER, 0, 1.0, ticket=1)
            began_s = time.monotonic()
            driver.stop()

    assert time.monotonic() - began_s < 5.0
    assert "no connection to 127.0.0.1" in down.detail


def test_the_end_switches_off_what_is_on(peer: ModbusPeer) -> None:
    with running(peer.port) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        driver.set_output(READER, 0, math.inf, ticket=1)
        deliveries.done(1)

    eventually(lambda: peer.written(10) == [False, True, False], what="off at the end")


def test_the_watchdog_register_gets_another_number_every_second(peer: ModbusPeer) -> None:
    with running(peer.port, watchdog_register=40) as (_, deliveries):
        deliveries.wait_for(ReaderUp)
        eventually(lambda: peer.registers[:2] == [(40, 1), (40, 2)], what="the gateway lives")


def test_outputs_and_readers_that_are_not_there_are_refused(peer: ModbusPeer) -> None:
    with running(peer.port) as (driver, deliveries):
        deliveries.wait_for(InputsReported)
        assert not driver.set_output(READER, 2, 1.0, ticket=1)
        assert not driver.set_output("other", 0, 1.0, ticket=2)


@pytest.mark.parametrize(
    "answer",
    [b"\x00" * 64, b"\xff" * 300, b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256)) * 40],
    ids=["zeros", "ones", "http", "everything"],
)
def test_a_peer_that_talks_nonsense_does_not_end_the_driver(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_talk, args=(server, answer), daemon=True).start()
        with running(server.getsockname()[1]) as (_, deliveries):
            deliveries.wait_for(ReaderDown, 3)

        assert not deliveries.of(ReaderUp)


def _talk(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)
                connection.recv(100)
        except OSError:
            return


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"outputs": (1, 1)}, "stands there twice"),
        ({"outputs": (1, 2), "interlocked": ((0, 2),)}, "is not two different outputs"),
        ({"outputs": (1, 2), "interlocked": ((1, 1),)}, "is not two different outputs"),
        ({"outputs": ()}, "at least 1 item"),
        ({"outputs": (70000,)}, "less than or equal to 65535"),
        ({"outputs": (1,), "poll_s": 0.01}, "greater than or equal to 0.1"),
        ({"outputs": (1,), "host": "a b"}, "should match pattern"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        ModbusDevice.model_validate({"id": "barrier", "kind": "modbus", "host": "10.0.0.9", **given})


def test_a_barrier_has_one_channel() -> None:
    with pytest.raises(ValidationError, match='device "barrier" has channels 1 to 1'):
        AccessConfig.model_validate(
            {
                "device": [{"id": "barrier", "kind": "modbus", "host": "10.0.0.9", "outputs": [0]}],
                "reader": [{"id": READER, "device": "barrier", "channel": 2}],
                "door": [{"id": "d", "place": "p", "readers": [READER], "strike": {"reader": READER, "output": 0}}],
            }
        )
