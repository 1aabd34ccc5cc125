"""A reader's key is changed while its bus works: what the reader and the file hold, and that nobody is alarmed."""

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.access.config import Reader, ReaderBus
from edge.access.drivers.interface import (
    CardPresented,
    DriverEvent,
    DriverRestarted,
    OutputDone,
    PowerReported,
    ReaderDown,
    ReaderUp,
    Rotated,
    TamperReported,
)
from edge.access.drivers.osdp.driver import OsdpBus
from edge.access.drivers.osdp.held_key import HeldKey
from edge.access.drivers.osdp.watchdog import REPORT_AFTER_S, Standing, Watchdog
from edge.access.drivers.osdp.worker import MAX_ASK_FAILURES, REKEY_PATIENCE_S
from gatehouse.demo.played_plan import Plan, PlayedReader
from tests.peers.line_in_the_middle import LineInTheMiddle, Mischief
from tests.peers.osdp_reader import ISTAT, KEYSET, LSTAT, OUT, OsdpReader
from tests.support.gateways import eventually
from tests.support.osdp import BusAtWork, OsdpPeer


class TwoReaders:
    """A bus with the readers `r1` and `r2`, their key files, and what the driver delivered."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.link = folder, folder / "line"
        self.old = {name: os.urandom(16) for name in ("r1", "r2")}
        for name, key in self.old.items():
            self.file(name).write_text(key.hex() + "\n")
            self.file(name).chmod(0o600)
        self.r2 = OsdpReader(folder / "none", 6, self.old["r2"])
        self.r1 = OsdpReader(self.link, 5, self.old["r1"], beside=(self.r2,))
        self.delivered: list[DriverEvent] = []
        self.told: list[str] = []
        self.driver = self.new_driver()

    def new_driver(self) -> OsdpBus:
        """As the gateway makes it at its start, with the keys that are in the files."""
        rows = tuple(
            Reader(id=name, bus="bus1", address=address, scbk_file=self.file(name))
            for name, address in (("r1", 5), ("r2", 6))
        )
        keys = {name: self.kept(name) for name in ("r1", "r2")}
        return OsdpBus(ReaderBus(id="bus1", port=str(self.link), baud_rate=115200), rows, keys)

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    @property
    def pending(self) -> Path:
        return self.folder / "r1.key.new"

    def kept(self, name: str = "r1") -> bytes:
        return bytes.fromhex(self.file(name).read_text())

    def start(self) -> None:
        self.driver.start(self.delivered.append)
        eventually(lambda: len(self.of(ReaderUp)) == 2, what="both readers up")

    def __enter__(self) -> "TwoReaders":
        self.r1.__enter__()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.stop()
        self.r1.__exit__()

    def of(self, kind: type[DriverEvent]) -> list[DriverEvent]:
        return [event for event in list(self.delivered) if isinstance(event, kind)]

    def rotate(self) -> Rotated:
        return self.driver.rotate_key("r1", self.told.append)

    def rotate_beside(self, then: Callable[[], None]) -> Rotated:
        """Rotate in a thread of its own, and do something as soon as the reader has heard of its new key."""
        outcome: list[Rotated] = []
        rotating = threading.Thread(target=lambda: outcome.append(self.rotate()))
        rotating.start()
        eventually(lambda: bool(self.r1.commands(KEYSET)), what="the new key on the line")
        then()
        rotating.join(20.0)
        return outcome[0]

    def shows_cards(self) -> None:
        """A card at either reader is read."""
        seen = len(self.of(CardPresented))
        self.r1.card(b"abcd", 26)
        self.r2.card(b"efgh", 26)
        eventually(lambda: len(self.of(CardPresented)) == seen + 2, what="two cards")

    @contextmanager
    def cards_all_along(self) -> Iterator[None]:
        """Cards at both readers, from before the block until after it; every one is read, once."""
        stop, shown = threading.Event(), 0

        def show() -> None:
            nonlocal shown
            while not stop.wait(0.05):
                shown += 1
                for reader in (self.r1, self.r2):
                    reader.card(shown.to_bytes(4, "big"), 32)

        showing = threading.Thread(target=show)
        showing.start()
        try:
            eventually(lambda: bool(self.of(CardPresented)), what="cards before")
            yield
            after = len(self.of(CardPresented))
            eventually(lambda: len(self.of(CardPresented)) > after + 10, what="cards after")
        finally:
            stop.set()
            showing.join()
        eventually(lambda: len(self.of(CardPresented)) >= 2 * shown, what=f"all {shown} cards of either reader")
        read = sorted((card.reader, card.data) for card in self.of(CardPresented))
        assert read == [(name, n.to_bytes(4, "big")) for name in ("r1", "r2") for n in range(1, shown + 1)]

    def nobody_was_alarmed(self) -> None:
        assert not self.of(ReaderDown)
        assert len(self.of(ReaderUp)) == 2, "each came up once, at the start"
        assert {event.active for event in self.of(TamperReported)} == {False}
        assert {event.failed for event in self.of(PowerReported)} == {False}


@pytest.fixture
def idle(tmp_path: Path) -> TwoReaders:
    """Not started."""
    return TwoReaders(tmp_path)


@pytest.fixture
def bus(idle: TwoReaders) -> Iterator[TwoReaders]:
    with idle:
        yield idle


def test_a_rotation_changes_both_keys_alarms_nobody_and_loses_no_card(bus: TwoReaders) -> None:
    with bus.cards_all_along():
        outcome = bus.rotate()

    assert outcome.done, outcome.sentence
    assert bus.kept() == bus.r1.key != bus.old["r1"]
    assert bus.kept("r2") == bus.r2.key == bus.old["r2"]
    assert stat.S_IMODE(bus.file("r1").stat().st_mode) == 0o600
    assert not bus.pending.exists()
    assert all(taken.secure for taken in bus.r1.commands(KEYSET))
    bus.nobody_was_alarmed()


def test_what_is_told_says_each_step_and_no_key_and_another_change_may_follow_at_once(bus: TwoReaders) -> None:
    outcome = bus.rotate()
    first, told = bus.kept(), list(bus.told)
    again = bus.rotate()

    assert all(part in said for part, said in zip(("kept in", "was sent", "acknowledged"), told, strict=True))
    assert "holds its new key" in outcome.sentence
    assert str(bus.file("r1")) in outcome.sentence
    everything = "".join([*bus.told, outcome.sentence, again.sentence]).lower()
    assert not [key for key in (bus.old["r1"], first, bus.r1.key) if key.hex() in everything]
    assert again.done
    assert bus.kept() == bus.r1.key != first
    bus.nobody_was_alarmed()


def test_a_strike_that_is_ordered_meanwhile_waits_and_opens(bus: TwoReaders) -> None:
    outcome = bus.rotate_beside(lambda: bus.driver.set_output("r1", 0, 1.0, 7))

    assert outcome.done
    eventually(lambda: bool(bus.of(OutputDone)), what="the strike's confirmation")
    assert [(done.ticket, done.done) for done in bus.of(OutputDone)] == [(7, True)]
    assert len(bus.r1.commands(OUT)) == 1
    bus.nobody_was_alarmed()


def test_a_reader_that_refuses_keeps_its_key_and_works_on(bus: TwoReaders) -> None:
    bus.r1.refuses = frozenset({KEYSET})

    outcome = bus.rotate()

    assert not outcome.done
    assert "did not take the new key: it holds its old one" in outcome.sentence
    assert bus.kept() == bus.r1.key == bus.old["r1"]
    assert not bus.pending.exists()
    bus.shows_cards()
    bus.nobody_was_alarmed()


def test_a_reader_that_acknowledges_and_keeps_its_old_key_is_found_out_and_no_card_is_lost(bus: TwoReaders) -> None:
    bus.r1.ignores = frozenset({KEYSET})

    with bus.cards_all_along():
        outcome = bus.rotate()

    assert not outcome.done
    assert "it holds its old one" in outcome.sentence
    assert bus.kept() == bus.r1.key == bus.old["r1"]
    assert not bus.pending.exists()
    bus.nobody_was_alarmed()


def test_a_reader_that_dies_with_the_new_key_and_is_soon_back_is_taken_up_unnoticed(bus: TwoReaders) -> None:
    bus.r1.dies_at = KEYSET

    def comes_back() -> None:
        eventually(lambda: bus.r1.silent, what="its death")
        assert bus.pending.exists()
        assert bus.kept() == bus.old["r1"]
        again = bus.rotate()
        assert not again.done
        assert "not settled yet" in again.sentence
        bus.r1.restart()

    outcome = bus.rotate_beside(comes_back)

    assert outcome.done, outcome.sentence
    assert bus.kept() == bus.r1.key != bus.old["r1"]
    assert not bus.pending.exists()
    bus.shows_cards()
    bus.nobody_was_alarmed()


@pytest.mark.parametrize("took_it", [True, False])
def test_a_gateway_that_ends_in_the_middle_takes_up_whichever_key_the_reader_holds(
    idle: TwoReaders, took_it: bool
) -> None:
    idle.r1.dies_at = KEYSET if took_it else None
    with idle:
        if not took_it:
            idle.r1.silent = True  # the key never reaches it
        rotating = threading.Thread(target=lambda: idle.told.append(idle.rotate().sentence))
        rotating.start()
        eventually(lambda: any("was sent" in said for said in idle.told), what="the new key on its way")
        eventually(lambda: idle.r1.silent, what="its death")
        idle.driver.stop()
        rotating.join(30.0)
        assert "both are kept" in idle.told[-1]
        assert idle.r1.key in (idle.kept(), bytes.fromhex(idle.pending.read_text()))
        idle.r1.restart()
        idle.delivered.clear()

        idle.driver = idle.new_driver()
        idle.start()

        eventually(lambda: not idle.pending.exists(), what="the change settled")
        assert idle.kept() == idle.r1.key
        assert (idle.r1.key == idle.old["r1"]) is not took_it
        idle.shows_cards()
        idle.nobody_was_alarmed()
        assert idle.rotate().done


def test_a_worker_that_is_killed_in_the_middle_costs_no_key(bus: TwoReaders) -> None:
    bus.r1.dies_at = KEYSET

    def kill() -> None:
        eventually(lambda: bus.r1.silent, what="the reader's death")
        os.kill(bus.driver.worker_pid, signal.SIGKILL)
        eventually(lambda: bool(bus.of(DriverRestarted)), what="a new worker")
        bus.r1.restart()

    outcome = bus.rotate_beside(kill)

    assert outcome.done, outcome.sentence
    assert bus.kept() == bus.r1.key != bus.old["r1"]
    bus.shows_cards()


def test_on_a_line_that_loses_and_spoils_frames_no_key_is_lost(idle: TwoReaders) -> None:
    idle.r1.link = idle.folder / "far"
    held_and_not_kept: list[bytes] = []
    calm = threading.Event()

    def watch() -> None:
        while not calm.wait(0.001):
            held = idle.r1.key
            kept = [read_if_there(path) for path in (idle.file("r1"), idle.pending, idle.file("r1"))]
            if held == idle.r1.key and held.hex() not in kept:
                held_and_not_kept.append(held)

    rotating, watching = threading.Thread(target=idle.rotate), threading.Thread(target=watch)
    with idle.r1, LineInTheMiddle(idle.link, idle.r1.link, Mischief(seed=5)) as line:
        idle.start()
        watching.start()
        try:
            line.mischief = Mischief(drop_rate=0.25, flip_rate=0.05, seed=5)
            rotating.start()
            eventually(lambda: bool(idle.r1.commands(KEYSET)) or not rotating.is_alive(), what="a change, or none")
            time.sleep(0.3)  # of mischief while the key is proven
            line.mischief = Mischief(seed=5)
            rotating.join()
            eventually(lambda: not idle.pending.exists(), 20.0, "the change settled")
        finally:
            calm.set()
            watching.join()
        idle.shows_cards()
        idle.driver.stop()

    assert not held_and_not_kept
    assert idle.kept() == idle.r1.key


def read_if_there(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def test_a_reader_that_is_not_connected_is_sent_nothing(idle: TwoReaders) -> None:
    idle.r1.silent = True
    with idle.r1:
        idle.driver.start(idle.delivered.append)
        eventually(lambda: bool(idle.of(ReaderUp)), what="the other reader")

        outcome = idle.rotate()

        idle.driver.stop()
    assert not outcome.done
    assert "not connected: no key was sent" in outcome.sentence
    assert idle.kept() == idle.old["r1"]
    assert not idle.pending.exists()


def test_a_disk_that_takes_no_new_key_leaves_the_reader_untouched(bus: TwoReaders) -> None:
    bus.pending.mkdir()  # stands for any reason why the file cannot be written

    outcome = bus.rotate()

    assert not outcome.done
    assert f"{bus.pending}: " in outcome.sentence
    assert "the reader was not touched" in outcome.sentence
    assert not bus.r1.commands(KEYSET)
    assert bus.kept() == bus.r1.key == bus.old["r1"]


def test_a_reader_of_libosdp_takes_a_new_key_too(tmp_path: Path) -> None:
    link, key = tmp_path / "line", os.urandom(16)
    link.with_suffix(".key").write_text(key.hex())
    link.with_suffix(".key").chmod(0o600)
    plan = Plan(readers=(PlayedReader(id="r1", link=link, address=5, scbk_hex=key.hex()),))
    with OsdpPeer(plan, tmp_path) as peer:
        with BusAtWork(link, 5, key) as bus:
            bus.wait(ReaderUp("r1", secure_channel=True))
            outcome = bus.driver.rotate_key("r1", print)
            peer.do("card", "r1", text="w26:12:345")
            eventually(lambda: bool(bus.of(CardPresented)), what="a card")
            assert not bus.of(ReaderDown)
        new = bytes.fromhex(link.with_suffix(".key").read_text())
        assert outcome.done
        assert new != key
        with BusAtWork(link, 5, new) as bus:
            bus.wait(ReaderUp("r1", secure_channel=True))


def test_a_reader_that_stays_away_is_reported_after_the_stated_limit() -> None:
    watchdog, now_s = Watchdog(100.0), 100.1
    assert watchdog.observe(True, True, now_s) == (None, Standing(True))
    watchdog.be_patient(now_s + REKEY_PATIENCE_S)
    reported_s = []
    for step in range(1, 1000):
        _, standing = watchdog.observe(False, False, now_s + step / 100)
        reported_s += [step / 100] * (standing is not None)

    assert reported_s == [pytest.approx(REKEY_PATIENCE_S, abs=0.02)]
    assert REPORT_AFTER_S < REKEY_PATIENCE_S <= 5.0


def test_a_tamper_and_a_power_failure_from_before_the_start_are_known_when_a_reader_comes_up(idle: TwoReaders) -> None:
    idle.r2.local_status = True, True
    with idle:
        before_it_is_up = idle.delivered[: idle.delivered.index(ReaderUp("r2", secure_channel=True))]

    assert TamperReported("r2", active=True) in before_it_is_up
    assert PowerReported("r2", failed=True) in before_it_is_up
    assert TamperReported("r1", active=True) not in idle.delivered


def test_a_reader_that_refuses_both_status_polls_is_soon_up(idle: TwoReaders) -> None:
    idle.r1.refuses = frozenset({ISTAT, LSTAT})
    begun_s = time.monotonic()
    with idle:
        up_s = time.monotonic() - begun_s
        idle.shows_cards()

    assert up_s < 8.0
    assert len(idle.r1.commands(ISTAT)) == len(idle.r1.commands(LSTAT)) == MAX_ASK_FAILURES
    assert not idle.of(ReaderDown)


STEPS = st.lists(st.sampled_from(["takes", "refuses", "takes silently", "pretends", "link", "trial"]), max_size=12)


@given(steps=STEPS, left=st.booleans())
def test_the_key_that_a_reader_holds_is_always_one_of_the_two_and_is_told_right(steps: list[str], left: bool) -> None:
    """Whatever readers do with a key, the one that they hold is kept, and is told to be held only when it is."""
    keys, made = HeldKey(b"0", b"left" if left else None), 0
    truth, newest = (b"left" if left else b"0"), b"left"
    for step in steps:
        if step in ("link", "trial"):
            tried = keys.in_use if step == "link" else keys.other
            if tried == truth:
                certain_before = keys.is_certain
                told = keys.linked() if step == "link" else keys.linked_under_other()
                assert told is (None if certain_before else truth == newest)
                assert keys.is_certain
        elif keys.is_certain:
            made += 1
            newest = str(made).encode()
            keys.sent(newest)
            assert keys.linked() is None, "a channel from before the answer proves nothing"
            truth = newest if step.startswith("takes") else truth
            keys.answered(taken=step in ("takes", "pretends"))
        assert truth in (keys.in_use, keys.other)
