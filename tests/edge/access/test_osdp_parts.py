"""The sans-io parts of the OSDP driver: framing, the watchdog, and who is heard on a line."""

import contextlib
import itertools
import os
import tty
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.access.drivers.osdp.framing import MAX_SETUP_BYTES, BrokenFrame, Unpacker, pack
from edge.access.drivers.osdp.line import Line
from edge.access.drivers.osdp.watchdog import (
    FIRST_REPORT_AFTER_S,
    REPORT_AFTER_S,
    SILENCE_S,
    Loss,
    Order,
    Standing,
    Watchdog,
)
from protocols.access_events import ReaderOfflineReason

messages = st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=4), max_size=8)


@given(given_messages=messages, cuts=st.lists(st.integers(1, 40), min_size=1))
def test_frames_come_out_whole_however_the_stream_is_cut(
    given_messages: list[dict[str, int | str]], cuts: list[int]
) -> None:
    stream = b"".join(map(pack, given_messages))
    unpacker, taken, place, turn = Unpacker(), [], 0, 0
    while place < len(stream):
        size = cuts[turn % len(cuts)]
        taken += unpacker.receive(stream[place : place + size])
        place, turn = place + size, turn + 1

    assert taken == given_messages


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_broken_frame(data: bytes) -> None:
    unpacker = Unpacker()
    with contextlib.suppress(BrokenFrame):
        assert all(isinstance(message, dict) for message in unpacker.receive(data))


def test_a_frame_that_claims_too_much_is_broken() -> None:
    with pytest.raises(BrokenFrame, match="bytes"):
        Unpacker().receive((MAX_SETUP_BYTES + 1).to_bytes(4, "big"))


class Play:
    """A watchdog beside a reader that is there or not, in steps of 10 ms."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.watchdog = Watchdog(self.now_s)
        self.orders: list[tuple[float, Order]] = []
        self.standings: list[tuple[float, Standing]] = []

    def pass_time(self, seconds: float, *, up: bool, heard: bool) -> None:
        for _ in range(round(seconds * 100)):
            self.now_s += 0.01
            order, standing = self.watchdog.observe(up, heard, self.now_s)
            if order is not None:
                self.orders.append((self.now_s, order))
            if standing is not None:
                self.standings.append((self.now_s, standing))


def test_a_parked_reader_is_disabled_at_once_and_enabled_60_ms_later() -> None:
    play = Play()
    play.pass_time(1.0, up=True, heard=True)
    parked_s = play.now_s

    play.pass_time(0.2, up=False, heard=False)

    (disabled_s, first), (enabled_s, second) = play.orders
    assert (first, second) == (Order.DISABLE, Order.ENABLE)
    assert disabled_s - parked_s < 0.02
    assert 0.05 < enabled_s - disabled_s < 0.08


def test_a_short_drop_is_not_reported_and_a_long_one_is_once() -> None:
    play = Play()
    play.pass_time(1.0, up=True, heard=True)
    play.pass_time(REPORT_AFTER_S - 0.1, up=False, heard=False)
    play.pass_time(1.0, up=True, heard=True)
    assert [standing for _, standing in play.standings] == [Standing(True)]

    play.pass_time(60.0, up=False, heard=False)
    play.pass_time(1.0, up=True, heard=True)

    told = [standing for _, standing in play.standings]
    assert told == [Standing(True), Standing(False, Loss.NO_ANSWER), Standing(True)]


def test_a_reader_that_never_answered_is_reported() -> None:
    play = Play()
    play.pass_time(FIRST_REPORT_AFTER_S - 0.1, up=False, heard=False)
    assert not play.standings
    play.pass_time(0.2, up=False, heard=False)
    assert play.standings[0][1] == Standing(False, Loss.NO_ANSWER)


def test_a_reader_that_answers_without_a_secure_channel_holds_another_key() -> None:
    play = Play()
    play.pass_time(FIRST_REPORT_AFTER_S + 0.1, up=False, heard=True)
    assert play.standings[0][1] == Standing(False, Loss.KEY)


def test_a_reader_that_is_up_but_not_heard_is_restarted_before_the_library_sees_it() -> None:
    play = Play()
    play.pass_time(1.0, up=True, heard=True)
    silent_s = play.now_s

    play.pass_time(SILENCE_S + 0.1, up=True, heard=False)

    assert play.orders[0][1] is Order.DISABLE
    assert play.orders[0][0] - silent_s == pytest.approx(SILENCE_S, abs=0.05)


def test_a_reader_that_is_not_heard_is_down_whatever_the_library_still_believes() -> None:
    play = Play()
    play.pass_time(1.0, up=True, heard=True)
    silent_s = play.now_s

    play.pass_time(8.0, up=True, heard=False)
    play.pass_time(0.1, up=True, heard=True)

    assert [standing for _, standing in play.standings] == [
        Standing(True),
        Standing(False, Loss.NO_ANSWER),
        Standing(True),
    ]
    assert play.standings[1][0] - silent_s == pytest.approx(SILENCE_S + REPORT_AFTER_S, abs=0.05)


def test_a_reader_that_the_library_disables_late_is_enabled_again_at_once() -> None:
    play = Play()
    play.pass_time(1.0, up=True, heard=True)
    play.pass_time(0.2, up=False, heard=True)
    assert [order for _, order in play.orders] == [Order.DISABLE, Order.ENABLE]

    late_s = play.now_s + 0.01
    order, _ = play.watchdog.observe(False, False, late_s, enabled=False)
    assert order is None
    order, _ = play.watchdog.observe(False, False, late_s + 0.07, enabled=False)

    assert order is Order.ENABLE


def test_tries_of_a_dead_reader_grow_rare_and_never_end() -> None:
    play = Play()
    play.pass_time(120.0, up=False, heard=False)

    enabled = [at_s for at_s, order in play.orders if order is Order.ENABLE]
    gaps = [later - earlier for earlier, later in itertools.pairwise(enabled)]
    assert gaps[0] < 1.5
    assert max(gaps) <= 12.1
    assert play.now_s - enabled[-1] < 12.1


def test_a_reader_that_is_still_asked_for_its_inputs_is_linked_but_not_reported_up() -> None:
    play = Play()
    for ready in (False, False, True):
        order, standing = play.watchdog.observe(True, True, play.now_s + 0.1, ready=ready)
        assert order is None
        assert standing == (Standing(True) if ready else None)


def test_losses_are_reasons_of_the_contract() -> None:
    assert [ReaderOfflineReason(loss.value) for loss in Loss]


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    tty.setraw(master)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_a_line_hears_the_starts_of_replies_also_when_they_are_cut(pty: tuple[int, str]) -> None:
    master, name = pty
    line = Line(name, 115200, [1, 2])

    os.write(master, bytes([0xFF, 0x53, 0x81, 0x08, 0x53]))
    assert line.read(100) == bytes([0xFF, 0x53, 0x81, 0x08, 0x53])
    assert line.take_heard() == {1}
    os.write(master, bytes([0x82]))
    line.read(100)
    os.write(master, bytes([0x53, 0x01, 0x53, 0x83]))  # a command of our own, and an address that is not ours
    line.read(100)

    assert line.take_heard() == {2}
    assert line.take_heard() == set()
    assert line.read(100) == b""
    line.close()


def test_a_line_has_one_control_panel_at_a_time(pty: tuple[int, str]) -> None:
    _, name = pty
    first = Line(name, 115200, [1])
    with pytest.raises(OSError, match="uses this port"):
        Line(name, 115200, [1])
    first.close()
    Line(name, 115200, [1]).close()


def test_a_line_that_is_no_serial_port_is_a_clear_error(tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(OSError, match="not a serial port"):
        Line(os.devnull, 115200, [1])
    with pytest.raises(FileNotFoundError):
        Line(f"{tmp_path}/none", 115200, [1])
