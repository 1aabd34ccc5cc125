"""The OSDP driver against a reader that shares no code with libosdp: status, keys, signals and outputs on the line."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.access.drivers.interface import (
    CardPresented,
    Feedback,
    InputsReported,
    KeysPressed,
    OutputDone,
    PowerReported,
    ReaderUp,
    TamperReported,
)
from edge.access.drivers.osdp.framing import pack
from edge.access.drivers.osdp.worker import MAX_ASK_FAILURES
from tests.peers.osdp_reader import BUZ, FULL, ISTAT, LED, OUT, OsdpReader
from tests.support.gateways import eventually
from tests.support.osdp import BusAtWork

KEY = os.urandom(16)
UP = ReaderUp("r1", secure_channel=True)
OFF, ON, ON_FOR = 1, 2, 5
AMBER, BLACK, RED, GREEN = 3, 0, 1, 2


@pytest.fixture
def reader(tmp_path: Path) -> OsdpReader:
    """Not yet on the line."""
    return OsdpReader(tmp_path / "line", 5, KEY)


@pytest.fixture
def bus(reader: OsdpReader) -> Iterator[BusAtWork]:
    """The driver, with `reader` up."""
    with reader, BusAtWork(reader.link, 5, KEY) as made:
        made.wait(UP)
        yield made


def test_the_door_contact_is_known_when_a_reader_comes_up(reader: OsdpReader) -> None:
    reader.inputs = [True, False]
    with reader, BusAtWork(reader.link, 5, KEY) as bus:
        bus.wait(UP)

    assert InputsReported("r1", (True, False)) in bus.delivered[: bus.delivered.index(UP)]


def test_inputs_are_asked_for_again_when_the_line_was_away(reader: OsdpReader, bus: BusAtWork) -> None:
    reader.silent = True
    eventually(lambda: any(not isinstance(event, ReaderUp) for event in bus.delivered[-1:]), 20.0, "reader lost")
    reader.inputs = [True, True]
    reader.silent = False

    bus.wait(InputsReported("r1", (True, True)))


def test_a_reader_that_refuses_status_polls_is_soon_up_and_asked_no_more(reader: OsdpReader) -> None:
    reader.refuses = frozenset({ISTAT})
    begun_s = time.monotonic()
    with reader, BusAtWork(reader.link, 5, KEY) as bus:
        bus.wait(UP)
        up_s = time.monotonic() - begun_s
        reader.card(b"abcd", 26)
        eventually(lambda: bool(bus.of(CardPresented)), what="card")

        assert len(reader.commands(ISTAT)) == MAX_ASK_FAILURES
        assert bus.of(ReaderUp) == [UP]
        assert up_s < 5.0


def test_a_reader_without_contacts_is_not_asked(reader: OsdpReader) -> None:
    reader.capabilities.pop(1)
    with reader, BusAtWork(reader.link, 5, KEY) as bus:
        bus.wait(UP)

    assert not reader.commands(ISTAT)


def test_keys_are_digits_star_and_hash_and_nothing_else(reader: OsdpReader, bus: BusAtWork) -> None:
    reader.keys(b"1234")
    reader.keys(b"A\x01")  # function keys of some keypad
    reader.keys(b"\x7f*\x0d#0")

    eventually(lambda: len(bus.of(KeysPressed)) == 2, what="keys")
    assert [event.keys for event in bus.of(KeysPressed)] == ["1234", "**##0"]
    now_ns = time.monotonic_ns()
    assert all(now_ns - 20e9 < event.read_ns <= now_ns for event in bus.of(KeysPressed))


def test_tamper_and_power_are_told_apart(reader: OsdpReader, bus: BusAtWork) -> None:
    reader.local(tamper=False, power=True)
    bus.wait(PowerReported("r1", failed=True))
    assert TamperReported("r1", active=True) not in bus.delivered

    reader.local(tamper=True, power=False)
    bus.wait(TamperReported("r1", active=True))
    bus.wait(PowerReported("r1", failed=False))


@pytest.mark.parametrize("feedback", [Feedback.WAIT, Feedback.HELD_SOON])
def test_waiting_and_nearly_held_blink_amber_and_beep(reader: OsdpReader, bus: BusAtWork, feedback: Feedback) -> None:
    bus.driver.feedback("r1", feedback)

    eventually(lambda: bool(reader.commands(BUZ)), what="beeps")
    light, sound = reader.commands(LED)[0].data, reader.commands(BUZ)[0].data
    on, off, colour, other, timer = light[3], light[4], light[5], light[6], int.from_bytes(light[7:9], "little")
    assert (light[2], colour, other) == (2, AMBER, BLACK)
    assert on > 0 < off, "it blinks"
    assert timer >= 50, "for 5 s at least"
    assert sound[1] == 2
    long = sound[2] >= 5
    assert long == (feedback is Feedback.HELD_SOON)


def test_a_light_without_amber_blinks_red_and_green(reader: OsdpReader) -> None:
    reader.capabilities[4] = (3, 1)
    with reader, BusAtWork(reader.link, 5, KEY) as bus:
        bus.wait(UP)
        bus.driver.feedback("r1", Feedback.WAIT)
        eventually(lambda: bool(reader.commands(LED)), what="light")

    assert tuple(reader.commands(LED)[0].data[5:7]) == (RED, GREEN)


def test_a_reader_is_sent_no_signal_that_it_does_not_declare(reader: OsdpReader) -> None:
    reader.capabilities = {code: levels for code, levels in FULL.items() if code not in (4, 5)}
    with reader, BusAtWork(reader.link, 5, KEY) as bus:
        bus.wait(UP)
        for feedback in Feedback:
            bus.driver.feedback("r1", feedback)
        bus.driver.set_output("r1", 0, 1.0, 1)  # comes after them
        eventually(lambda: bool(bus.of(OutputDone)), what="output")

    assert not reader.commands(LED)
    assert not reader.commands(BUZ)


def outputs(reader: OsdpReader) -> list[tuple[int, int]]:
    """Control code and time in tenths of each output command so far."""
    return [(taken.data[1], int.from_bytes(taken.data[2:4], "little")) for taken in reader.commands(OUT)]


def test_a_pulse_is_one_timed_command_which_the_reader_ends_itself(reader: OsdpReader, bus: BusAtWork) -> None:
    bus.driver.set_output("r1", 1, 0.6, 7)

    eventually(lambda: bool(bus.of(OutputDone)), what="output")
    assert reader.commands(OUT)[0].data[0] == 1
    time.sleep(1.0)  # nothing is to come, so there is nothing to wait for
    assert outputs(reader) == [(ON_FOR, 6)]
    assert [(done.ticket, done.done) for done in bus.of(OutputDone)] == [(7, True)]


def test_a_reader_without_timed_outputs_is_switched_off_in_time(reader: OsdpReader) -> None:
    reader.capabilities[2] = (1, 2)
    with reader, BusAtWork(reader.link, 5, KEY) as bus:
        bus.wait(UP)
        bus.driver.set_output("r1", 0, 1.0, 1)
        eventually(lambda: len(outputs(reader)) == 2, what="on and off")
        on, off = reader.commands(OUT)

    assert outputs(reader) == [(ON, 0), (OFF, 0)]
    assert 0.8 < off.at_s - on.at_s < 2.0


def test_a_pulse_longer_than_one_command_can_say_is_renewed_to_its_end(reader: OsdpReader, bus: BusAtWork) -> None:
    bus.driver.set_output("r1", 0, 26.0, 1)

    eventually(lambda: len(outputs(reader)) == 2, 30.0, "a renewal")
    first, renewal = reader.commands(OUT)
    (_, first_tenths), (code, tenths) = outputs(reader)
    assert (first_tenths, code) == (255, ON_FOR)
    assert renewal.at_s - first.at_s < 25.5
    assert renewal.at_s + tenths / 10 == pytest.approx(first.at_s + 26.0, abs=0.5)
    assert len(bus.of(OutputDone)) == 1, "a renewal is nobody's command"


def test_until_further_notice_is_one_lasting_command_that_off_ends(reader: OsdpReader, bus: BusAtWork) -> None:
    bus.driver.set_output("r1", 0, math.inf, 1)
    eventually(lambda: outputs(reader) == [(ON, 0)], what="on")
    bus.driver.set_output("r1", 0, None, 2)

    eventually(lambda: outputs(reader) == [(ON, 0), (OFF, 0)], what="off")
    eventually(lambda: [done.ticket for done in bus.of(OutputDone)] == [1, 2], what="both confirmed")


def test_a_gateway_that_stops_releases_what_was_on_until_further_notice(reader: OsdpReader) -> None:
    with reader:
        with BusAtWork(reader.link, 5, KEY) as bus:
            bus.wait(UP)
            bus.driver.set_output("r1", 0, math.inf, 1)
            eventually(lambda: outputs(reader) == [(ON, 0)], what="on")
        eventually(lambda: outputs(reader)[-1] == (OFF, 0), what="off")


def test_a_gateway_that_dies_ends_pulses_and_leaves_free_passage_as_it_is(reader: OsdpReader) -> None:
    setup = {"id": "r1", "address": 5, "key": KEY.hex()}
    with reader:
        worker = subprocess.Popen(
            [sys.executable, "-m", "edge.access.drivers.osdp.worker"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        worker.stdin.write(pack({"port": str(reader.link), "baud_rate": 115200, "readers": [setup]}))
        worker.stdin.flush()
        eventually(lambda: bool(reader.commands(ISTAT)), what="a secure channel")
        time.sleep(0.3)  # the worker's own end of it
        for output, for_s in ((0, math.inf), (1, 200.0)):
            order = {"do": "output", "reader": "r1", "output": output, "for_s": for_s, "ticket": 1}
            worker.stdin.write(pack(order))
        worker.stdin.flush()
        eventually(lambda: len(reader.commands(OUT)) == 2, what="both on")

        worker.stdin.close()  # as the kernel does for a gateway that was killed

        assert worker.wait(30.0) == 0
        switched = [(taken.data[0], taken.data[1]) for taken in reader.commands(OUT)]
        assert switched == [(0, ON), (1, ON_FOR), (1, OFF)]


def test_a_peer_with_another_key_is_refused_by_both_implementations(reader: OsdpReader, tmp_path: Path) -> None:
    stranger = replace(reader, key=os.urandom(16))
    with stranger, BusAtWork(stranger.link, 5, KEY) as bus:
        eventually(lambda: bool(bus.delivered), what="a report")

    assert "key" in bus.delivered[0].detail
    assert not bus.of(ReaderUp)
