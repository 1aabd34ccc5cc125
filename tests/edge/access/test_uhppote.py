"""The driver of UHPPOTE boards against a board that speaks the protocol over real sockets."""

import math
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from edge.access.drivers.interface import (
    CardPresented,
    DeviceDecided,
    DoorOpenedByDevice,
    InputsReported,
    NumberPresented,
    OutputDone,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
)
from edge.access.drivers.uhppote.driver import MAX_COMMANDS, Timing
from protocols.access_events import AccessMethod, DecidedBy, ReaderOfflineReason
from protocols.cards import CardFormat, CardNumber
from tests.peers.uhppote import FakeBoard, StoredCard, bcd
from tests.support.gateways import SetClock, eventually
from tests.support.uhppote import PUSHES_ALONE, QUICK, ZONE, Delivered, make_driver, readers, running

CARD = 10058400
AS_W26 = CardNumber(CardFormat.W26, 100, 58400, 26)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def board(clock: SetClock) -> Iterator[FakeBoard]:
    with FakeBoard(clock, ZONE) as board:
        yield board


def keep(board: FakeBoard, number: int = CARD, doors: tuple[int, ...] = (1, 1, 1, 1)) -> None:
    """Have the board keep a card that is always valid."""
    days = bcd(board.now().date() - timedelta(days=1)), bcd(board.now().date() + timedelta(days=1))
    board.slots.append(StoredCard(number, *days, doors))


def under_control(board: FakeBoard) -> None:
    eventually(board.is_remote, what="the board asks the gateway")


# Coming up.


@pytest.mark.parametrize("tcp", [False, True])
def test_a_board_is_set_up_and_its_readers_come_up(
    board: FakeBoard, clock: SetClock, tmp_path: Path, tcp: bool
) -> None:
    board.doors[2].mode = 1
    keys = {"anti_passback": "1,3:2,4", "interlock": "1+2+3+4"}
    with running(make_driver(board, clock, tmp_path, tcp=tcp, **keys)) as delivered:
        under_control(board)
        assert {up.reader for up in delivered.of(ReaderUp)} == {"r1", "r2", "r3", "r4"}
        assert not any(up.secure_channel for up in delivered.of(ReaderUp))
        assert {forgotten.reader for forgotten in delivered.of(OutputsForgotten)} == {"r1", "r2", "r3", "r4"}
        assert board.special
        assert (board.anti_passback, board.interlock) == (2, 8)
        assert board.listener[0] == "127.0.0.1"
        assert board.doors[2].mode == 3, "what an earlier run held open is let go"


def test_a_setting_that_the_board_refuses_is_named_until_it_takes_it(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    board.refuse_interlock = True
    driver = make_driver(board, clock, tmp_path, interlock="1+2+3+4")
    with running(driver):
        under_control(board)
        (complaint,) = driver.report().complaints
        assert complaint.startswith("the board refuses a setting: its interlock; ")
        assert driver.report().counts["settings_refused"] == 1
        board.refuse_interlock = False
        board.power_cycle()
        eventually(lambda: driver.report().complaints == (), what="no complaint")
        assert board.interlock == 8


def test_a_clock_that_is_off_is_set_to_the_sites_time(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    board.clock_off = timedelta(hours=-9)
    with running(make_driver(board, clock, tmp_path)):
        assert board.clock_off == timedelta(0)
        board.clock_off = timedelta(seconds=2)
        requests = board.requests[0x20]
        eventually(lambda: board.requests[0x20] > requests + 2, what="the state was asked for")
        assert board.clock_off == timedelta(seconds=2), "two seconds are close enough"
        board.clock_off = timedelta(seconds=3)
        eventually(lambda: board.clock_off == timedelta(0), what="set again")


def test_another_board_at_the_address_is_named(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path, serial=405419896)
    with running(driver, ready=False) as delivered:
        downs = delivered.wait(ReaderDown, 4)
        assert {down.reason for down in downs} == {ReaderOfflineReason.UNKNOWN_DEVICE}
        assert "serial number 423187757, not 405419896" in downs[0].detail
        assert not driver.set_output("r1", 0, 5.0, 1)


def test_a_port_that_is_taken_is_said(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        driver = make_driver(board, clock, tmp_path, listen_port=taken.getsockname()[1])
        with running(driver, ready=False) as delivered:
            assert delivered.wait(ReaderDown, 4)[0].reason is ReaderOfflineReason.PORT
            taken.close()
            delivered.wait(ReaderUp, 4)


def test_readers_that_a_board_cannot_have_never_come_up(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    at = (*readers(1, 9), *readers(2, card_format=CardFormat.W37))
    with running(make_driver(board, clock, tmp_path, at=at)) as delivered:
        assert {down.reader: down.reason for down in delivered.of(ReaderDown)} == {
            "r9": ReaderOfflineReason.UNKNOWN_DEVICE,
            "r2": ReaderOfflineReason.UNKNOWN_DEVICE,
        }
        assert [up.reader for up in delivered.of(ReaderUp)] == ["r1"]


# Cards, with the gateway deciding.


def test_the_gateway_decides_and_opens(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path, timing=PUSHES_ALONE)
    with running(driver) as delivered:
        under_control(board)
        began_ns = time.monotonic_ns()
        assert not board.swipe(CARD, 3), "the board itself opens nothing"
        (presented,) = delivered.wait(NumberPresented)
        assert (presented.reader, presented.card) == ("r3", AS_W26)
        assert began_ns <= presented.read_ns <= time.monotonic_ns()
        assert driver.set_output("r3", 0, 6.2, ticket=17)
        (done,) = delivered.wait(OutputDone)
        assert (done.ticket, done.done) == (17, True)
        assert done.submitted_ns is not None
        assert board.doors[3].openings == [7], "whole seconds, rounded up"
        assert not delivered.of(DoorOpenedByDevice), "that opening was ours"
        assert not delivered.of(DeviceDecided)


def test_the_exit_reader_of_a_door_is_a_reader_of_its_own(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    with running(make_driver(board, clock, tmp_path, at=readers(1, 2, 5))) as delivered:
        under_control(board)
        board.swipe(CARD, 1)
        board.swipe(CARD, 1, out=True)
        board.swipe(CARD, 2, out=True)
        assert [each.reader for each in delivered.wait(NumberPresented, 3)] == ["r1", "r5", "r2"]


def test_a_number_that_is_no_card_of_the_format_is_left_to_be_refused(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    with running(make_driver(board, clock, tmp_path)) as delivered:
        under_control(board)
        board.swipe(10065536, 1)
        (presented,) = delivered.wait(CardPresented)
        assert (presented.data, presented.bit_count) == ((10065536).to_bytes(4, "big"), 32)


def test_a_raw_reader_gives_the_bare_number(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    at = readers(1, card_format=CardFormat.RAW)
    with running(make_driver(board, clock, tmp_path, at=at)) as delivered:
        under_control(board)
        board.swipe(0x0BADCAFE, 1)
        assert delivered.wait(NumberPresented)[0].card.text == "raw32:0badcafe"


def test_a_swipe_whose_push_is_lost_is_found_by_asking(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        under_control(board)
        board.lose_pushes = True
        board.swipe(CARD, 1)
        delivered.wait(NumberPresented)
        assert driver.counters["events_not_pushed"] >= 1


def test_the_board_is_kept_under_control_and_taken_back_when_it_restarts(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path, timing=PUSHES_ALONE)
    with running(driver) as delivered:
        under_control(board)
        board.special = False  # whatever a make forgets
        board.power_cycle()
        under_control(board)
        assert board.special
        eventually(lambda: len(delivered.of(OutputsForgotten)) == 8, what="outputs are said anew")
        assert driver.counters["board_starts"] == 1


def test_a_board_that_decided_though_it_should_ask_is_told_again(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    with running(make_driver(board, clock, tmp_path, timing=PUSHES_ALONE)) as delivered:
        under_control(board)
        board.remote = False
        board.swipe(CARD, 1)
        (decided,) = delivered.wait(DeviceDecided)
        assert (decided.granted, decided.reason) == (False, "unknown_card")
        under_control(board)


def test_remote_control_is_renewed_before_the_board_falls_back(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    with running(make_driver(board, clock, tmp_path)):
        under_control(board)
        renewed = board.requests[0xA0]
        eventually(lambda: board.requests[0xA0] >= renewed + 3, what="renewed")
    assert Timing().remote_control_s <= 30 / 2
    assert not board.remote, "a gateway that stops leaves the deciding to the board at once"


# Cards, with the board deciding.


def test_what_the_board_decides_is_told_with_its_time_and_reason(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    board.remote = True
    keep(board, doors=(1, 0, 1, 1))
    with running(make_driver(board, clock, tmp_path, decides="board")) as delivered:
        assert not board.remote
        assert board.swipe(CARD, 1)
        assert not board.swipe(CARD, 2)
        granted, denied = delivered.wait(DeviceDecided, 2)
        at = board.now().replace(tzinfo=ZONE)
        assert granted == DeviceDecided("r1", True, AccessMethod.CARD, DecidedBy.BOARD, AS_W26, at=at)
        assert denied == DeviceDecided(
            "r2", False, AccessMethod.CARD, DecidedBy.BOARD, AS_W26, at=at, reason="no_access_rights"
        )
        assert delivered.events.index(DoorOpenedByDevice("r1")) == delivered.events.index(granted) + 1


# Doors.


def test_contacts_buttons_and_fire_are_reported(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    with running(make_driver(board, clock, tmp_path, at=readers(2))) as delivered:
        assert delivered.wait(InputsReported) == [InputsReported("r2", (False, False, False))]
        board.contact(2, True)
        assert delivered.wait(InputsReported, 2)[-1] == InputsReported("r2", (True, False, False))
        board.doors[2].button = True
        assert delivered.wait(InputsReported, 3)[-1] == InputsReported("r2", (True, True, False))
        board.doors[2].button, board.inputs = False, 1
        assert delivered.wait(InputsReported, 4)[-1] == InputsReported("r2", (True, False, True))


def test_a_door_that_opens_and_shuts_at_once_is_told_twice(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    with running(make_driver(board, clock, tmp_path, at=readers(2), timing=PUSHES_ALONE)) as delivered:
        board.contact(2, True)
        board.contact(2, False)
        assert [each.active[0] for each in delivered.wait(InputsReported, 3)] == [False, True, False]


def test_a_button_lets_the_door_go(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    with running(make_driver(board, clock, tmp_path)) as delivered:
        board.press(4)
        board.contact(4, True)
        assert delivered.wait(DoorOpenedByDevice) == [DoorOpenedByDevice("r4")]
        eventually(lambda: InputsReported("r4", (True, False, False)) in delivered.events, what="the door opens")
        opened = delivered.events.index(InputsReported("r4", (True, False, False)))
        assert delivered.events.index(DoorOpenedByDevice("r4")) < opened


def test_an_opening_by_other_software_is_told(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        assert driver.set_output("r1", 0, 5, 1)
        delivered.wait(OutputDone)
        board._special(2, 1, 0, 44)  # a second one, which is not ours
        assert delivered.wait(DoorOpenedByDevice) == [DoorOpenedByDevice("r1")]


def test_a_door_is_held_open_until_it_is_let_go(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        assert driver.set_output("r1", 0, math.inf, 1)
        delivered.wait(OutputDone, 1)
        assert board.doors[1].mode == 1
        assert driver.set_output("r1", 0, None, 2)
        delivered.wait(OutputDone, 2)
        assert board.doors[1].mode == 3
        assert driver.set_output("r2", 0, math.inf, 3)
        delivered.wait(OutputDone, 3)
    assert board.doors[2].mode == 3, "a gateway that stops lets go"


def test_a_pulse_ends_a_door_held_open(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        assert driver.set_output("r1", 0, 900.0, 1)
        assert driver.set_output("r1", 0, 5.0, 2)
        delivered.wait(OutputDone, 2)
        assert (board.doors[1].mode, board.doors[1].openings) == (3, [5])


def test_what_a_board_refuses_is_not_done(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        board.refuse_openings = True
        assert driver.set_output("r1", 0, 5, 1)
        assert driver.set_output("r1", 1, 5, 2)
        refused, unknown = delivered.wait(OutputDone, 2)
        assert (refused.done, refused.detail) == (False, "the board refuses, by its interlock or its settings")
        assert (unknown.done, unknown.detail) == (False, "a door of a UHPPOTE board has one output, 0")
        assert not driver.set_output("r9", 0, 5, 3)


def test_a_lost_reply_is_asked_for_again(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path, timing=PUSHES_ALONE)
    with running(driver) as delivered:
        board.drop_replies = 1
        assert driver.set_output("r1", 0, 5, 1)
        assert delivered.wait(OutputDone)[0].done
        assert not delivered.of(ReaderDown)


def test_commands_do_not_pile_up_without_bound(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path, timing=Timing(try_s=0.5, back_off_s=(0.02, 0.1)))
    with running(driver) as delivered:
        board.silent = True
        began_s = time.monotonic()
        taken = [driver.set_output("r1", 0, 5, ticket) for ticket in range(3 * MAX_COMMANDS)]
        assert time.monotonic() - began_s < 10.0, "handing over never waits for the board: each try takes half a second"
        assert MAX_COMMANDS <= sum(taken) <= MAX_COMMANDS + 1
        done = delivered.wait(OutputDone, sum(taken))
        assert {each.ticket for each in done} == {ticket for ticket, was in enumerate(taken) if was}
        assert not any(each.done for each in done)


# Outages.


def go_away(board: FakeBoard, delivered: Delivered) -> None:
    board.silent = True
    downs = len(delivered.of(ReaderDown))
    eventually(lambda: len(delivered.of(ReaderDown)) == downs + 4, what="the loss is told")


def come_back(board: FakeBoard, delivered: Delivered) -> None:
    board.silent = False
    ups = len(delivered.of(ReaderUp))
    eventually(lambda: len(delivered.of(ReaderUp)) == ups + 4, what="the return is told")


def test_an_outage_is_told_once_with_its_reason(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        go_away(board, delivered)
        down = delivered.of(ReaderDown)[0]
        assert down.reason is ReaderOfflineReason.NO_ANSWER
        assert f"127.0.0.1 port {board.port} does not answer" in down.detail
        assert not driver.set_output("r1", 0, 5, 1)
        come_back(board, delivered)
        under_control(board)
        assert len(delivered.of(ReaderDown)) == 4
        assert driver.set_output("r1", 0, 5, 2)


def test_in_an_outage_the_board_decides_and_the_gateway_learns_of_it_once(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    keep(board)
    with running(make_driver(board, clock, tmp_path)) as delivered:
        under_control(board)
        board.swipe(CARD, 1)
        delivered.wait(NumberPresented, 1)
        go_away(board, delivered)
        clock.advance(20)
        assert not board.swipe(CARD, 2), "the board still waits for the gateway"
        asked_at = board.now()
        clock.advance(11)
        assert board.swipe(CARD, 1), "30 s after it last heard of the gateway it falls back to its list"
        assert not board.swipe(999, 1)
        granted_at = board.now()
        board.contact(1, True)
        clock.advance(3600)
        reported = len(delivered.events)
        come_back(board, delivered)
        decided = delivered.wait(DeviceDecided, 3)
        assert [(each.reader, each.granted, each.reason) for each in decided] == [
            ("r2", False, "gateway_away"),
            ("r1", True, ""),
            ("r1", False, "unknown_card"),
        ]
        assert [each.at for each in decided] == [
            asked_at.replace(tzinfo=ZONE),
            granted_at.replace(tzinfo=ZONE),
            granted_at.replace(tzinfo=ZONE),
        ]
        under_control(board)
        board.swipe(CARD, 4)
        assert [each.reader for each in delivered.wait(NumberPresented, 2)] == ["r1", "r4"]
        assert not delivered.of(DoorOpenedByDevice), "an opening of an hour ago is none of now"
        eventually(lambda: InputsReported("r1", (True, False, False)) in delivered.events[reported:], what="its state")
        assert InputsReported("r1", (False, False, False)) not in delivered.events[reported:]


def test_a_restart_goes_on_where_it_stopped(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    keep(board)
    with running(make_driver(board, clock, tmp_path)) as delivered:
        under_control(board)
        board.swipe(CARD, 1)
        delivered.wait(NumberPresented, 1)
    clock.advance(60)
    for number in range(100):
        board.swipe(number + 1, 1)
    clock.advance(60)
    with running(make_driver(board, clock, tmp_path)) as delivered:
        decided = delivered.wait(DeviceDecided, 100)
        assert [each.card.number for each in decided if each.card] == list(range(1, 101))
        assert not delivered.of(NumberPresented)
    with running(make_driver(board, clock, tmp_path)) as delivered:
        assert not delivered.of(DeviceDecided)


def test_a_board_seen_for_the_first_time_begins_now(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    board.swipe(CARD, 1)
    with running(make_driver(board, clock, tmp_path)) as delivered:
        under_control(board)
        board.swipe(CARD, 2)
        assert delivered.wait(NumberPresented)[0].reader == "r2"
        assert not delivered.of(DeviceDecided)


def test_a_long_past_is_told_before_the_board_has_to_ask(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    asked_meanwhile: list[bool] = []
    with running(make_driver(board, clock, tmp_path)) as delivered:
        under_control(board)
        go_away(board, delivered)
        clock.advance(60)
        for number in range(300):
            board.swipe(number + 1, 1)
        clock.advance(60)
        board.before_reply = lambda function: asked_meanwhile.append(board.is_remote()) if function == 0xB0 else None
        come_back(board, delivered)
        delivered.wait(DeviceDecided, 300)
        assert not any(asked_meanwhile[:300]), "a card at the door would have waited for the past"
        under_control(board)


def test_events_that_the_ring_overwrote_are_counted(clock: SetClock, tmp_path: Path) -> None:
    with FakeBoard(clock, ZONE, ring=10) as board:
        driver = make_driver(board, clock, tmp_path)
        with running(driver) as delivered:
            go_away(board, delivered)
            clock.advance(60)
            for number in range(25):
                board.swipe(number + 1, 1)
            clock.advance(60)
            come_back(board, delivered)
            decided = delivered.wait(DeviceDecided, 10)
            assert [each.card.number for each in decided if each.card] == list(range(16, 26))
            assert driver.counters["events_lost"] == 15


def test_a_ring_that_begins_anew_is_told_from_its_first_event(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        under_control(board)
        for _ in range(5):
            board.swipe(CARD, 1)
        delivered.wait(NumberPresented, 5)
        go_away(board, delivered)
        board.erase_events()
        clock.advance(60)
        board.swipe(7, 1)
        come_back(board, delivered)
        (decided,) = delivered.wait(DeviceDecided)
        assert decided.card == CardNumber(CardFormat.W26, 0, 7, 26)
        assert driver.counters["event_rings_begun_anew"] == 1


def test_a_full_disk_stops_no_door(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    (tmp_path / "events.json").mkdir()  # nothing can be renamed over a folder
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        under_control(board)
        board.swipe(CARD, 1)
        board.swipe(CARD, 2)
        assert [each.reader for each in delivered.wait(NumberPresented, 2)] == ["r1", "r2"]
        assert driver.counters["positions_not_kept"] >= 2


# What others may send.


def test_forged_events_open_nothing_and_are_counted(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path, timing=PUSHES_ALONE)
    with running(driver) as delivered, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        under_control(board)
        forged = bytearray(board.status())
        forged[8:12] = (1000).to_bytes(4, "little")
        forged[12:20] = bytes([1, 0, 1, 1]) + CARD.to_bytes(4, "little")
        forged[27] = 5
        foreign = bytes(forged[:4]) + (405419896).to_bytes(4, "little") + bytes(forged[8:])
        attacker.bind(("127.0.0.2", 0))
        attacker.sendto(forged, board.listener)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as insider:
            insider.bind(("127.0.0.1", 0))
            for packet in (bytes(forged), foreign, b"", b"\x17\x20", bytes(64), bytes(2000)):
                insider.sendto(packet, board.listener)
        eventually(lambda: driver.counters["broken_packets"] == 4, what=str(driver.counters.snapshot()))
        assert driver.counters["foreign_senders"] == 1
        assert driver.counters["foreign_boards"] == 1
        board.swipe(CARD, 2)  # a true one, after all of them
        assert [each.reader for each in delivered.wait(NumberPresented)] == ["r2"]


def test_a_board_that_answers_nonsense_is_not_believed(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path, timing=QUICK)
    status = board.status
    with running(driver) as delivered:
        board.status = lambda: status()[:63]  # type: ignore[method-assign]
        eventually(lambda: len(delivered.of(ReaderDown)) == 4, what="nonsense is no answer")
        board.status = status  # type: ignore[method-assign]
        eventually(lambda: len(delivered.of(ReaderUp)) == 8, what="it recovers")


def test_stopping_takes_little_time_though_the_board_is_away(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    board.silent = True
    driver = make_driver(board, clock, tmp_path, timing=Timing())
    with running(driver, ready=False):
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5.0
