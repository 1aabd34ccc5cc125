"""A ZKTeco device that asks before it opens, and one that fetches its commands late, at the doors of a real gateway."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from edge.access.config import AccessConfig
from edge.access.controller import AccessController
from edge.access.decision import Decider
from edge.access.drivers.interface import DriverContext
from edge.access.drivers.running import DriverSource
from edge.access.drivers.zkteco import asks
from edge.access.drivers.zkteco.driver import ZktecoDriver
from edge.access.drivers.zkteco.listener import Listeners
from edge.access.ledgers import Ledgers
from edge.access.status import DeviceState
from edge.access.store import CredentialStore
from edge.clock import SystemClock
from protocols.access_events import AccessDenied, AccessGranted, DecidedBy, DenialReason, GrantReason, ReaderOnline
from protocols.cards import parse_text
from tests.peers.zkteco import AccessController as Board
from tests.peers.zkteco import AttendanceTerminal, PushClient
from tests.support.deciding import card_row, verify
from tests.support.doors import CARD_KEY, ZONE, Recording, row, rules_for, whole_set
from tests.support.gateways import eventually

SERIAL = "3383154200002"
CARD = "w34:5:77"
NUMBER = str((5 << 16) + 77)
"""The card as the board spells it."""


class Site:
    """A gateway with a device of two doors."""

    def __init__(self, folder: Path, **keys: Any) -> None:
        self.config = AccessConfig.model_validate(
            {
                "device": [
                    {"id": "board", "kind": "zkteco", "serial": SERIAL, "listen_host": "127.0.0.1", "listen_port": 0}
                    | keys
                ],
                "reader": [
                    {"id": f"r{door}", "device": "board", "channel": door, "card_format": "w34"} for door in (1, 2)
                ],
                "door": [
                    {
                        "id": f"d{door}",
                        "place": "gate",
                        "readers": [f"r{door}"],
                        "strike": {"reader": f"r{door}", "output": 0},
                        "release_s": 3.0,
                    }
                    for door in (1, 2)
                ],
            }
        )
        self.recording = Recording()
        self.store = CredentialStore(folder / "credentials.db", CARD_KEY)
        self.ledgers = Ledgers(None)
        context = DriverContext(folder, ZONE, SystemClock())
        device = self.config.device[0]
        self.driver = ZktecoDriver(device, self.config.readers_of_device("board"), context, Listeners())
        decider = Decider(self.store, self.ledgers, "gate-house", verify, SystemClock(), ZONE)
        self.controller = AccessController(
            self.config,
            self.store,
            self.recording,
            SystemClock(),
            ZONE,
            decider=decider,
            sources=[DriverSource("board", ("r1", "r2"), lambda: self.driver)],
        )

    def permit(self, *rows: Any) -> None:
        self.store.replace(whole_set(self.store.head().version + 1, rules_for("d1", "d2"), *rows))

    def wait_online(self, device: PushClient) -> None:
        device.registered.wait(30)
        self.recording.wait(ReaderOnline, "r1")

    def told(self, kind: type) -> list[Any]:
        return [each.data for each in list(self.recording.all) if isinstance(each.data, kind)]

    def counted(self, name: str) -> int:
        return self.driver.counters[name]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with at_work(Site(tmp_path)) as made:
        yield made


@contextmanager
def at_work(site: Site) -> Iterator[Site]:
    """The site's controller, running."""
    site.controller.start()
    try:
        eventually(lambda: site.driver.port is not None, what="listening")
        yield site
    finally:
        site.controller.stop()
        site.ledgers.close()
        site.store.close()


@pytest.fixture
def board(site: Site) -> Iterator[Board]:
    with Board(site.driver.port, SERIAL, doors=2) as made:
        site.wait_online(made)
        yield made


def now() -> datetime:
    return datetime.now(ZONE).replace(microsecond=0, tzinfo=None)


def test_a_card_that_the_gateway_lets_in_opens_with_the_answer_and_is_told_once(site: Site, board: Board) -> None:
    resident = row(CARD, "all")
    site.permit(resident)
    board.polls = False  # nothing may depend on the next poll

    assert board.ask(now(), NUMBER, door=2) == "SUCCEED"

    assert board.open_s == {2: 3}
    granted = site.recording.wait(AccessGranted, "d2").data
    assert (granted.credential, granted.decided_by, granted.reason) == (
        resident.ref,
        DecidedBy.GATEWAY,
        GrantReason.VALID,
    )
    eventually(lambda: not board.waiting, what="the board's own record of it")
    assert len(site.told(AccessGranted)) == 1
    assert site.told(AccessDenied) == []
    assert site.controller.status().counters.strike_failures == 0
    assert site.controller.status().devices[0].state is DeviceState.ONLINE


def test_a_card_that_the_gateway_refuses_stays_before_the_door_and_is_told_once(site: Site, board: Board) -> None:
    site.permit(row(CARD, "closed"))

    assert board.ask(now(), NUMBER, door=1) == "FAILED"
    assert board.ask(now(), "4711", door=1, event=27) == "FAILED"

    eventually(lambda: not board.waiting, what="the board's own records")
    reasons = [denied.reason for denied in site.told(AccessDenied)]
    assert reasons == [DenialReason.OUTSIDE_SCHEDULE, DenialReason.UNKNOWN_CREDENTIAL]
    assert {denied.decided_by for denied in site.told(AccessDenied)} == {DecidedBy.GATEWAY}
    assert board.open_s == {}


def test_what_only_the_gateway_can_judge_is_judged(site: Site, board: Board) -> None:
    """A card of one use is in no device's list; the board does not know it (event 27)."""
    site.permit(card_row(CARD, "all", uses=1))

    verdicts = [board.ask(now(), NUMBER, event=27) for _ in range(2)]

    assert verdicts == ["SUCCEED", "FAILED"]
    eventually(lambda: bool(site.told(AccessDenied)), what="the second verdict")
    assert site.told(AccessDenied)[0].reason is DenialReason.USED_UP


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"verify": "15"}, id="a face"),
        pytest.param({"verify": "0000000000010000"}, id="a finger"),
        pytest.param({"verify": "3"}, id="a password"),
        pytest.param({"verify": "11"}, id="a card and a password"),
        pytest.param({"card": "0"}, id="no card"),
        pytest.param({"event": 24}, id="a refusal of the board's own"),
        pytest.param({"event": 101}, id="duress"),
        pytest.param({"door": 9}, id="a door that is not configured"),
        pytest.param({"card": str(1 << 40)}, id="a number that is no card of the reader's format"),
    ],
)
def test_anything_but_a_card_is_left_to_the_device(site: Site, board: Board, fields: dict[str, Any]) -> None:
    site.permit(row(CARD, "all"))

    assert board.ask(now(), **{"card": NUMBER, "pin": "1", **fields}) == "TIMEOUT"

    assert site.counted("asks_left_to_device") == 1
    assert site.told(AccessGranted) == []
    assert board.open_s == {}


def test_doors_that_do_not_decide_in_time_leave_it_to_the_device(
    site: Site, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asks, "ASK_S", 0.05)
    monkeypatch.setattr(site.driver, "feedback", lambda *_: None)
    site.permit(row(CARD, "all"))

    assert board.ask(now(), NUMBER) == "TIMEOUT"

    assert site.counted("asks_not_decided") == 1
    eventually(lambda: board.open_s == {1: 3}, what="the strike's command at the next poll")


def test_a_release_by_an_operator_while_a_card_is_refused_opens_at_the_next_poll(site: Site, board: Board) -> None:
    site.permit(row(CARD, "none"))
    switch, refused = site.driver.set_output, []

    def release_first(reader: str, *, granted: bool) -> None:
        """The doors' thread is about to refuse; the release reached the driver just before."""
        assert switch(reader, 0, 3.0, 10_000)
        refused.append(granted)
        decided(reader, granted=granted)

    device = site.driver.device
    assert device is not None
    decided = device.decided
    device.decided = release_first  # type: ignore[method-assign]

    assert board.ask(now(), NUMBER) == "FAILED"

    assert refused == [False]
    eventually(lambda: board.open_s == {1: 3}, what="the release")


def test_a_terminal_that_fetches_late_is_waited_for(tmp_path: Path) -> None:
    """An attendance terminal polls every two seconds at the best, which is longer than any other command may take."""
    with at_work(Site(tmp_path)) as site, AttendanceTerminal(site.driver.port, SERIAL) as terminal:
        site.wait_online(terminal)
        terminal.poll_s = 2.5
        slowed_s = time.monotonic()
        eventually(lambda: (terminal.last_empty_poll_s or 0.0) > slowed_s, what="a poll")
        polled_s = terminal.last_empty_poll_s
        assert polled_s is not None

        outcome = site.controller.release("d1", uuid4())

        assert (outcome.done, outcome.reason) == (True, "")
        assert time.monotonic() - polled_s > 2.4
        assert terminal.openings == 1


def test_a_terminal_that_does_not_fetch_fails_in_time_for_the_hub(tmp_path: Path) -> None:
    with at_work(Site(tmp_path)) as site, AttendanceTerminal(site.driver.port, SERIAL) as terminal:
        site.wait_online(terminal)
        terminal.polls = False
        terminal.upload_records("OPERLOG", [b"USER PIN=1"])
        eventually(lambda: not terminal.waiting, what="the end of the last poll")
        began_s = time.monotonic()

        outcome = site.controller.release("d1", uuid4())

        assert (outcome.done, outcome.reason) == (False, "the device did not fetch the command")
        assert 5.0 <= time.monotonic() - began_s < 8.0
        assert terminal.openings == 0


def test_the_boards_number_is_the_cards() -> None:
    card = parse_text(CARD)
    assert str(card.facility << 16 | card.number) == NUMBER
