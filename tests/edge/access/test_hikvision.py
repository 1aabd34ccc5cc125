"""The driver of a Hikvision terminal against a fake one that speaks ISAPI over real sockets."""

import json
import math
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from edge.access.config import KeyFileFault, Reader
from edge.access.drivers.hikvision.config import HikvisionTerminal
from edge.access.drivers.hikvision.driver import HikvisionDriver, make
from edge.access.drivers.hikvision.timing import Timing
from edge.access.drivers.interface import (
    DeviceDecided,
    DoorOpenedByDevice,
    DriverContext,
    DriverEvent,
    InputsReported,
    OutputDone,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
    Roster,
    RosterEntry,
    TamperReported,
)
from edge.clock import SystemClock
from protocols.access_events import AccessMethod, DecidedBy, ReaderOfflineReason
from protocols.cards import CardFormat, CardNumber, parse_text
from tests.peers.hikvision import JPEG, FakeTerminal, part, running
from tests.support.certificates import make_certificates
from tests.support.gateways import eventually

ZONE = ZoneInfo("Asia/Shanghai")
QUICK = Timing(retry_s=0.05, longest_retry_s=0.2, gap_s=0.05, search_retry_s=0.2, roster_retry_s=0.2, settings_s=0.2)
READERS = (
    Reader(id="r1", device="t1", channel=1, card_format=CardFormat.W26),
    Reader(id="r2", device="t1", channel=2, card_format=CardFormat.RAW),
)
CREDENTIAL = UUID("01234567-89ab-cdef-0123-456789abcdef")
Kind = TypeVar("Kind")


class Site:
    """A driver beside a terminal, and what it delivered."""

    def __init__(self, terminal: FakeTerminal, folder: Path, **config: Any) -> None:
        self.terminal, self.folder, self.config = terminal, folder, config
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        self.events: list[DriverEvent] = []
        self.timing = QUICK
        self.pulses_s: dict[str, float] = {}

    def device(self) -> HikvisionTerminal:
        password = self.folder / "password"
        password.write_text("A-long-1\n")
        password.chmod(0o600)
        given = {"host": "127.0.0.1", "port": self.terminal.port, "username": "gatehouse", "password_file": password}
        return HikvisionTerminal.model_validate({"id": "t1", "kind": "hikvision", **given, **self.config})

    @contextmanager
    def driving(self, password: str = "A-long-1") -> Iterator[HikvisionDriver]:
        context = DriverContext(self.state, ZONE, SystemClock(), self.pulses_s)
        driver = HikvisionDriver(self.device(), READERS, password, context, self.timing, random.random)
        driver.start(self.events.append)
        try:
            yield driver
        finally:
            driver.stop()

    def seen(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def wait(self, kind: type[Kind], count: int = 1, timeout_s: float = 30.0) -> Kind:
        """The `count`-th event of a kind."""
        eventually(lambda: len(self.seen(kind)) >= count, timeout_s, f"{count} {kind.__name__} in {self.events}")
        return self.seen(kind)[count - 1]

    def wait_online(self) -> None:
        """Both readers are up, and the log has been searched."""
        self.wait(ReaderUp, 2)

        def searched() -> bool:
            return any("AcsEvent" in path for _, path, _ in list(self.terminal.requests))

        eventually(searched, what="a search of the log")

    def cards(self) -> list[str]:
        return [event.card.text for event in self.seen(DeviceDecided) if event.card]


@pytest.fixture
def terminal() -> Iterator[FakeTerminal]:
    with running(FakeTerminal()) as terminal:
        yield terminal


@pytest.fixture
def site(terminal: FakeTerminal, tmp_path: Path) -> Site:
    return Site(terminal, tmp_path)


@pytest.fixture
def listening(terminal: FakeTerminal, tmp_path: Path) -> Site:
    return Site(terminal, tmp_path, mode="listening", listen_address="127.0.0.1", silent_after_s=60.0)


def card_pass(terminal: FakeTerminal, number: int, **more: Any) -> dict[str, Any]:
    return terminal.happen(0x01, cardNo=str(number), employeeNoString=CREDENTIAL.hex, **more)


def wait_for_the_next_second() -> None:
    """Entries carry whole seconds, by which a log that was begun anew is told from the old one."""
    began = int(time.time())
    eventually(lambda: int(time.time()) > began + 1, what="the second after the next")


# Events


@pytest.mark.parametrize("spelling", ["json", "xml"])
def test_a_card_that_the_terminal_let_in_is_told_with_its_credential_and_time(
    site: Site, terminal: FakeTerminal, spelling: str
) -> None:
    with site.driving():
        site.wait_online()
        entry = card_pass(terminal, (12 << 16) + 345, spelling=spelling)
        told = site.wait(DeviceDecided)

    assert told == DeviceDecided(
        reader="r1",
        granted=True,
        method=AccessMethod.CARD,
        by=DecidedBy.TERMINAL,
        card=parse_text("w26:12:345"),
        credential=CREDENTIAL,
        at=datetime.fromisoformat(entry["time"]),
        reason="",
    )
    assert told.at is not None
    assert told.at.tzinfo == ZONE


@pytest.mark.parametrize(
    ("minor", "fields", "granted", "method", "reason"),
    [
        (0x4B, {}, True, AccessMethod.FACE, ""),
        (0x26, {}, True, AccessMethod.FINGERPRINT, ""),
        (0x45, {}, True, AccessMethod.FINGERPRINT, ""),
        (0x27, {}, False, AccessMethod.FINGERPRINT, "not_recognised"),
        (0x36, {}, True, AccessMethod.FACE, ""),
        (0x4C, {}, False, AccessMethod.FACE, "not_recognised"),
        (0x01, {"cardReaderKind": 3, "cardNo": "77"}, True, AccessMethod.QR, ""),
        (0x02, {"cardNo": "77"}, True, AccessMethod.CARD_PIN, ""),
        (0x65, {}, True, AccessMethod.PIN, ""),
        (0x97, {}, False, AccessMethod.PIN, "wrong_pin"),
        (0x08, {"cardNo": "77"}, False, AccessMethod.CARD, "expired"),
        (0x07, {"cardNo": "77"}, False, AccessMethod.CARD, "outside_schedule"),
        (0x09, {"cardNo": "77"}, False, AccessMethod.CARD, "unknown_card"),
    ],
)
def test_verdicts_are_told_with_their_method_and_reason(
    site: Site,
    terminal: FakeTerminal,
    minor: int,
    fields: dict[str, Any],
    granted: bool,
    method: AccessMethod,
    reason: str,
) -> None:
    with site.driving():
        site.wait_online()
        terminal.happen(minor, door=2, **fields)
        told = site.wait(DeviceDecided)

    assert (told.reader, told.granted, told.method, told.reason) == ("r2", granted, method, reason)
    assert told.credential is None
    wanted = CardNumber(CardFormat.RAW, 0, 77, 32) if method in (AccessMethod.CARD, AccessMethod.CARD_PIN) else None
    assert told.card == wanted


def test_contacts_button_tamper_and_foreign_openings_are_told(site: Site, terminal: FakeTerminal) -> None:
    with site.driving():
        site.wait(InputsReported, 2)  # as the device says it stands
        terminal.happen(0x17)
        assert site.wait(DoorOpenedByDevice) == DoorOpenedByDevice("r1")
        terminal.happen(0x18)
        terminal.happen(0x19)
        terminal.happen(0x1A)
        terminal.happen(0x19, door=2)
        terminal.happen(0x404, major=1)
        terminal.happen(0x405, major=1)
        terminal.happen(0x400, major=3, door=2, netUser="someone else")
        site.wait(DoorOpenedByDevice, 2)

    of_r1 = [event.active for event in site.seen(InputsReported) if event.reader == "r1"]
    assert of_r1[-4:] == [(False, True, False), (False, False, False), (True, False, False), (False, False, False)]
    assert site.seen(InputsReported)[-1] == InputsReported("r2", (True, False, False))
    assert [event.active for event in site.seen(TamperReported) if event.reader == "r2"][-2:] == [True, False]
    assert site.seen(DoorOpenedByDevice)[-1] == DoorOpenedByDevice("r2")


def test_how_the_doors_stand_is_asked_at_once(site: Site, terminal: FakeTerminal) -> None:
    terminal.contacts = [1, 0]
    with site.driving():
        site.wait(InputsReported, 2)
    assert site.seen(InputsReported)[:2] == [
        InputsReported("r1", (True, False, False)),
        InputsReported("r2", (False, False, False)),
    ]


def test_no_byte_of_a_picture_gets_out(site: Site, terminal: FakeTerminal, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with site.driving():
        site.wait_online()
        terminal.happen(0x4B, employeeNoString=CREDENTIAL.hex, picture=JPEG)
        terminal.send_raw(part("application/octet-stream", JPEG) + b"--MIME_boundary\r\n\r\n" + JPEG + b"\r\n")
        terminal.happen(0x4B, employeeNoString=CREDENTIAL.hex, name="Zhang San", picture=JPEG)
        site.wait(DeviceDecided, 2)

    kept = b"".join(path.read_bytes() for path in site.state.iterdir())
    for trace in (repr(site.events), kept.decode("latin-1"), caplog.text):
        assert "PICTURE" not in trace
        assert "Zhang" not in trace
        assert r"\xff\xd8" not in trace


# Each event once


def test_what_happened_while_the_stream_was_cut_is_searched_page_by_page(site: Site, terminal: FakeTerminal) -> None:
    with site.driving():
        site.wait_online()
        card_pass(terminal, 1)
        site.wait(DeviceDecided)
        for number in range(2, 100):
            card_pass(terminal, number, told=False)
        terminal.cut_streams()
        card_pass(terminal, 100, told=False)
        site.wait(DeviceDecided, 100)
        card_pass(terminal, 101)
        site.wait(DeviceDecided, 101)

    assert sorted(site.cards()) == sorted(f"w26:0:{number}" for number in range(1, 102))


@pytest.mark.parametrize("by_number", [True, False])
def test_stream_and_search_may_overlap(site: Site, terminal: FakeTerminal, by_number: bool) -> None:
    terminal.searches_by_number = by_number
    with site.driving() as driver:
        site.wait_online()
        lost = card_pass(terminal, 1, told=False)
        seen = card_pass(terminal, 2)
        site.wait(DeviceDecided, 2)  # the missing number set off a search
        terminal.tell(seen)
        terminal.tell(lost, current=False)
        eventually(lambda: driver.counters["repeated_events"] >= 2, what="repeated events")
        card_pass(terminal, 3)
        site.wait(DeviceDecided, 3)

    assert sorted(site.cards()) == ["w26:0:1", "w26:0:2", "w26:0:3"]


@pytest.mark.parametrize("by_number", [True, False])
def test_a_restart_doubles_nothing_and_loses_nothing(site: Site, terminal: FakeTerminal, by_number: bool) -> None:
    terminal.searches_by_number = by_number
    with site.driving():
        site.wait_online()
        for number in range(1, 6):
            card_pass(terminal, number)
        site.wait(DeviceDecided, 5)
    card_pass(terminal, 6, told=False)
    with site.driving():
        site.wait(DeviceDecided, 6)
        for entry in terminal.log:
            terminal.tell(entry, current=False)  # as some firmware does at each connection
        card_pass(terminal, 7)
        site.wait(DeviceDecided, 7)

    assert site.cards() == [f"w26:0:{number}" for number in range(1, 8)]


def test_what_was_before_the_first_connection_is_not_told(site: Site, terminal: FakeTerminal) -> None:
    old = card_pass(terminal, 1, ago=timedelta(hours=1))
    with site.driving() as driver:
        site.wait_online()
        terminal.tell(old, current=False)
        eventually(lambda: driver.counters["repeated_events"] >= 1, what="the old entry")
        card_pass(terminal, 2)
        site.wait(DeviceDecided)

    assert site.cards() == ["w26:0:2"]


def test_a_log_that_was_begun_anew_goes_on_being_told(site: Site, terminal: FakeTerminal) -> None:
    terminal.next_serial = 5000
    with site.driving():
        site.wait_online()
        card_pass(terminal, 1)
        kept = site.state / "log.json"
        eventually(lambda: kept.exists() and json.loads(kept.read_bytes())["mark"] == 5000, what="the mark")
        wait_for_the_next_second()
        terminal.begin_log_anew()
        terminal.cut_streams()
        card_pass(terminal, 2, told=False)
        site.wait(DeviceDecided, 2)
        site.wait(ReaderUp, 4)
        card_pass(terminal, 3)
        site.wait(DeviceDecided, 3)

    assert site.cards() == ["w26:0:1", "w26:0:2", "w26:0:3"]


def test_another_device_at_the_same_address_has_a_log_of_its_own(site: Site, terminal: FakeTerminal) -> None:
    terminal.next_serial = 5000
    with site.driving():
        site.wait_online()
        card_pass(terminal, 1)
        site.wait(DeviceDecided)
        terminal.begin_log_anew()
        terminal.serial_number = "ANOTHER"
        terminal.cut_streams()
        site.wait(ReaderUp, 4)
        card_pass(terminal, 2)
        site.wait(DeviceDecided, 2)

    assert site.cards() == ["w26:0:1", "w26:0:2"]


def test_a_contact_in_the_log_is_told_as_it_ended_and_openings_of_the_past_open_nothing(
    site: Site, terminal: FakeTerminal
) -> None:
    terminal.refusing["/ISAPI/AccessControl/AcsWorkStatus"] = (400, "notSupport")
    with site.driving():
        site.wait_online()
        terminal.happen(0x19)
        site.wait(InputsReported)
    before = len(site.events)
    terminal.happen(0x1A, told=False)
    terminal.happen(0x17, told=False)
    terminal.happen(0x19, told=False)
    terminal.happen(0x1A, told=False)
    with site.driving():
        site.wait(InputsReported, 2)

    later = [event for event in site.events[before:] if isinstance(event, InputsReported | DoorOpenedByDevice)]
    assert later == [InputsReported("r1", (False, False, False))]


def test_a_button_that_the_stream_tells_after_the_fact_opens_nothing(site: Site, terminal: FakeTerminal) -> None:
    with site.driving():
        site.wait_online()
        terminal.tell(terminal.happen(0x17, told=False), current=False)
        terminal.happen(0x17, door=2)
        site.wait(DoorOpenedByDevice)
    assert site.seen(DoorOpenedByDevice) == [DoorOpenedByDevice("r2")]


def test_a_firmware_without_search_still_tells_what_happens(site: Site, terminal: FakeTerminal) -> None:
    terminal.refusing["/ISAPI/AccessControl/AcsEvent"] = (400, "notSupport")
    with site.driving() as driver:
        site.wait(ReaderUp, 2)
        for number in (1, 2, 3):
            card_pass(terminal, number)
        site.wait(DeviceDecided, 3)
        eventually(lambda: driver.counters["failed_searches"] >= 1, what="a refused search")
    with site.driving():
        site.wait(ReaderUp, 4)
        for entry in terminal.log:
            terminal.tell(entry, current=False)
        card_pass(terminal, 4)
        site.wait(DeviceDecided, 4)

    assert site.cards() == [f"w26:0:{number}" for number in (1, 2, 3, 4)]


def test_a_poisoned_entry_of_the_log_stops_nothing(site: Site, terminal: FakeTerminal) -> None:
    with site.driving() as driver:
        site.wait_online()
        card_pass(terminal, 1)
        site.wait(DeviceDecided)
        terminal.happen(0x01, told=False, cardNo="7" * 100)
        card_pass(terminal, 3)
        site.wait(DeviceDecided, 2)
        eventually(lambda: driver.counters["unreadable_entries"] >= 1, what="the entry")


# The connection


def test_a_stream_that_is_silent_past_its_heartbeat_is_opened_anew(terminal: FakeTerminal, tmp_path: Path) -> None:
    site = Site(terminal, tmp_path, silent_after_s=2.5)
    with site.driving():
        site.wait_online()
        began_s = time.monotonic()
        while time.monotonic() < began_s + 3.0:
            terminal.heartbeat()
            threading.Event().wait(0.2)
        assert not site.seen(ReaderDown)

        down = site.wait(ReaderDown)
        site.wait(ReaderUp, 4)

    assert down.reason is ReaderOfflineReason.NO_ANSWER
    assert "silent" in down.detail


def test_a_stream_of_which_nothing_is_a_part_counts_as_silent(terminal: FakeTerminal, tmp_path: Path) -> None:
    site = Site(terminal, tmp_path, silent_after_s=1.0)
    with site.driving():
        site.wait_online()

        def trickle() -> bool:
            terminal.send_raw(b"x")
            return bool(site.seen(ReaderDown))

        eventually(trickle, what="a reader that is down")


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"--MIME_boundary\r\nContent-Type: text/xml\r\nContent-Length: 999999999\r\n\r\n", id="long part"),
        pytest.param(b"--MIME_boundary\r\n" + b"X" * 20_000, id="headers without end"),
        pytest.param(b"--MIME_boundary--\r\n", id="its end"),
        pytest.param(bytes(17 * 1024 * 1024), id="endless nothing"),
    ],
)
def test_garbage_on_the_stream_costs_a_reconnection_and_no_event(
    site: Site, terminal: FakeTerminal, garbage: bytes
) -> None:
    with site.driving():
        site.wait_online()
        card_pass(terminal, 1)
        site.wait(DeviceDecided)
        terminal.send_raw(garbage)
        down = site.wait(ReaderDown)
        site.wait(ReaderUp, 4)
        card_pass(terminal, 2, told=False)
        terminal.cut_streams()
        site.wait(DeviceDecided, 2)

    assert down.reason is ReaderOfflineReason.NO_ANSWER
    assert site.cards() == ["w26:0:1", "w26:0:2"]


def test_unreadable_messages_are_counted_and_the_stream_goes_on(site: Site, terminal: FakeTerminal) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "a">]><x>&a;</x>'
    with site.driving() as driver:
        site.wait_online()
        for body in (bomb, b'{"a":' * 20_000, b"[]", b"\xff\xfe", b"<x"):
            terminal.send_raw(part("application/json", body))
        card_pass(terminal, 1)
        site.wait(DeviceDecided)
        assert driver.counters["unreadable_messages"] == 5

    assert not site.seen(ReaderDown)


@pytest.mark.parametrize("stream_type", ["multipart/mixed", "text/html", "multipart/mixed; boundary=" + "x" * 80])
def test_a_stream_without_a_usable_boundary_is_no_stream(site: Site, terminal: FakeTerminal, stream_type: str) -> None:
    terminal.stream_type = stream_type
    with site.driving():
        down = site.wait(ReaderDown)

    assert "cannot be read" in down.detail
    assert not site.seen(ReaderUp)


def test_a_device_that_goes_and_comes_back_is_down_and_up(site: Site, terminal: FakeTerminal) -> None:
    with site.driving():
        site.wait_online()
        terminal.stop()
        eventually(lambda: any("cannot be reached" in down.detail for down in site.seen(ReaderDown)), what="no answer")
        terminal.start()
        site.wait(ReaderUp, 4)
        assert site.wait(OutputsForgotten, 4).reader == "r2"

    downs = site.seen(ReaderDown)
    assert {down.reason for down in downs} == {ReaderOfflineReason.NO_ANSWER}
    assert {down.reader for down in downs} == {"r1", "r2"}


def test_a_wrong_password_is_told_and_not_tried_again_soon(site: Site, terminal: FakeTerminal) -> None:
    with site.driving("Another-1") as driver:
        down = site.wait(ReaderDown)
        assert driver.set_output("r1", 0, 5.0, 1)
        done = site.wait(OutputDone)
        threading.Event().wait(0.7)  # in which an unreachable device would be tried several times

    assert down.reason is ReaderOfflineReason.UNAUTHORISED
    assert "password_file" in down.detail
    assert not done.done
    assert terminal.unauthorised == 1  # a device locks out after five
    assert "Another-1" not in repr(site.events)


def test_a_digest_that_the_device_has_forgotten_is_renewed(site: Site, terminal: FakeTerminal) -> None:
    with site.driving() as driver:
        site.wait_online()
        terminal.forget_nonces()
        assert driver.set_output("r1", 0, 5.0, 1)
        assert site.wait(OutputDone).done


@pytest.mark.parametrize(
    "challenge",
    [
        'Digest realm="x", nonce="y", algorithm=WHIRLPOOL, qop="auth"',
        'Digest realm="x", nonce="y", qop="auth-int"',
        "Digest nonsense",
        'Basic realm="x"',
        "",
    ],
)
def test_a_strange_challenge_is_no_crash_and_gets_no_password(
    site: Site, terminal: FakeTerminal, challenge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "challenge", lambda: challenge)
    with site.driving() as driver:
        site.wait(ReaderDown)
        assert driver.counters["faults"] == 0
    assert terminal.unauthorised == 0


@pytest.mark.parametrize(
    ("path", "given", "reason"),
    [
        ("/ISAPI/System/deviceInfo", b"<html>a printer</html>", ReaderOfflineReason.UNKNOWN_DEVICE),
        ("/ISAPI/System/deviceInfo", b"x" * 300_000, ReaderOfflineReason.UNKNOWN_DEVICE),
        ("/ISAPI/System/deviceInfo", b"", ReaderOfflineReason.UNKNOWN_DEVICE),
    ],
)
def test_what_is_no_terminal_is_told_as_such(
    site: Site, terminal: FakeTerminal, path: str, given: bytes, reason: ReaderOfflineReason
) -> None:
    terminal.answering[path] = given
    with site.driving():
        assert site.wait(ReaderDown).reason is reason


def test_a_redirect_is_not_followed(site: Site, terminal: FakeTerminal) -> None:
    terminal.refusing["/ISAPI/System/deviceInfo"] = (302, "")
    with site.driving():
        assert "302" in site.wait(ReaderDown).detail
    assert not any(path == "/elsewhere" for _, path, _ in terminal.requests)


def test_a_user_without_the_right_to_events_is_told(site: Site, terminal: FakeTerminal) -> None:
    terminal.refusing["/ISAPI/Event/notification/alertStream"] = (403, "lowPrivilege")
    with site.driving():
        down = site.wait(ReaderDown)
    assert "lowPrivilege" in down.detail
    assert "rights" in down.detail


# https


def _fingerprint(certificate: Path) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256()).hex(":")


@pytest.mark.parametrize("by", ["ca_file", "certificate_sha256"])
def test_over_https_the_device_is_the_one_with_the_certificate(tmp_path: Path, by: str) -> None:
    files = make_certificates(tmp_path)
    terminal = FakeTerminal()
    terminal.use_tls(files.certificate, files.key)
    trust = {"ca_file": files.ca} if by == "ca_file" else {"certificate_sha256": _fingerprint(files.certificate)}
    with running(terminal):
        site = Site(terminal, tmp_path, https=True, **trust)
        with site.driving():
            assert site.wait(ReaderUp).secure_channel


@pytest.mark.parametrize("by", ["ca_file", "certificate_sha256"])
def test_over_https_another_certificate_gets_no_request(tmp_path: Path, by: str) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    files, others = make_certificates(tmp_path / "own"), make_certificates(tmp_path / "other")
    terminal = FakeTerminal()
    terminal.use_tls(files.certificate, files.key)
    trust = {"ca_file": others.ca} if by == "ca_file" else {"certificate_sha256": _fingerprint(others.certificate)}
    with running(terminal):
        site = Site(terminal, tmp_path, https=True, **trust)
        with site.driving():
            assert "certificate" in site.wait(ReaderDown).detail.lower()
    assert terminal.requests == []


# Commands


@pytest.mark.parametrize(("for_s", "command"), [(5.0, "open"), (math.inf, "alwaysOpen"), (None, "close")])
def test_a_door_is_commanded_and_the_outcome_told(
    site: Site, terminal: FakeTerminal, for_s: float | None, command: str
) -> None:
    with site.driving() as driver:
        site.wait_online()
        before_ns = time.monotonic_ns()
        assert driver.set_output("r2", 0, for_s, 77)
        done = site.wait(OutputDone)
        assert terminal.commands == [(2, command)]
    assert (done.ticket, done.done) == (77, True)
    assert done.submitted_ns is not None
    assert before_ns < done.submitted_ns < time.monotonic_ns()


def test_our_own_remote_opening_is_not_the_devices(site: Site, terminal: FakeTerminal) -> None:
    with site.driving() as driver:
        site.wait_online()
        driver.set_output("r1", 0, 5.0, 1)
        site.wait(OutputDone)
        terminal.happen(0x400, major=3)
        terminal.happen(0x17, door=2)
        site.wait(DoorOpenedByDevice)
    assert site.seen(DoorOpenedByDevice) == [DoorOpenedByDevice("r2")]


def test_a_door_that_was_left_open_is_under_control_again_at_the_end(site: Site, terminal: FakeTerminal) -> None:
    with site.driving() as driver:
        site.wait_online()
        driver.set_output("r1", 0, math.inf, 1)
        site.wait(OutputDone)
    assert terminal.commands == [(1, "alwaysOpen"), (1, "close")]


def test_a_refused_command_is_told(site: Site, terminal: FakeTerminal) -> None:
    terminal.refusing["/ISAPI/AccessControl/RemoteControl"] = (403, "lowPrivilege")
    with site.driving() as driver:
        site.wait_online()
        driver.set_output("r1", 0, 5.0, 1)
        done = site.wait(OutputDone)
    assert not done.done
    assert "lowPrivilege" in done.detail
    assert not site.seen(ReaderDown)


def test_unknown_outputs_take_nothing(site: Site) -> None:
    with site.driving() as driver:
        assert not driver.set_output("r1", 1, 5.0, 1)
        assert not driver.set_output("r9", 0, 5.0, 1)
    assert not driver.set_output("r1", 0, 5.0, 1)


def test_commands_never_block_and_never_come_late(site: Site, terminal: FakeTerminal) -> None:
    with site.driving() as driver:
        site.wait_online()
        terminal.stalling.set()
        began_s = time.monotonic()
        taken = [driver.set_output("r1", 0, 5.0, ticket) for ticket in range(100)]
        took_s = time.monotonic() - began_s
        site.wait(OutputDone, 64, timeout_s=15.0)
        terminal.stalling.clear()

    assert took_s < 1.0
    assert sum(taken) == 64
    assert driver.counters["orders_dropped"] == 36
    assert not any(done.done for done in site.seen(OutputDone))
    assert {done.ticket for done in site.seen(OutputDone)} == set(range(64))
    assert len(terminal.commands) <= 1  # the first one was on its way; no other opened a door later


def test_it_ends_within_seconds_even_when_the_device_hangs(site: Site, terminal: FakeTerminal) -> None:
    with site.driving() as driver:
        site.wait_online()
        driver.set_output("r1", 0, math.inf, 1)
        site.wait(OutputDone)
        terminal.stalling.set()
        began_s = time.monotonic()
    took_s = time.monotonic() - began_s
    terminal.stalling.clear()
    assert took_s < 6.0
    assert driver.counters["left_open_at_stop"] == 1


# How long a door opens


def test_the_open_duration_of_each_door_is_made_the_site_files(site: Site, terminal: FakeTerminal) -> None:
    terminal.open_s = {1: 3, 2: 5}
    site.pulses_s = {"r1": 6.5, "r2": 5.0}
    with site.driving() as driver:
        eventually(lambda: terminal.open_s == {1: 7, 2: 5}, what="the new time")
        eventually(lambda: driver.counters["settings_written"] == 1, what="it counted")
        ((door, sent),) = terminal.door_params_sent
        assert driver.report().complaints == ()

    assert door == 1
    assert sent == {
        "doorName": "Gate & yard",
        "magneticType": "alwaysClose",
        "openButtonType": "alwaysOpen",
        "openDuration": "7",
        "disabledOpenDuration": "15",
        "magneticAlarmTimeout": "30",
        "enableDoorLock": "true",
    }, "the rest goes back as it was, without passwords and what is read-only"


def test_a_door_that_is_set_otherwise_at_the_device_is_set_back(site: Site, terminal: FakeTerminal) -> None:
    site.pulses_s = {"r1": 5.0}
    with site.driving():
        site.wait_online()
        terminal.open_s[1] = 200
        eventually(lambda: terminal.open_s[1] == 5, what="the time set back")


def test_a_device_that_keeps_its_open_duration_is_complained_of_until_it_does_not(
    site: Site, terminal: FakeTerminal
) -> None:
    site.pulses_s = {"r1": 8.0, "r2": 300.0}
    terminal.refuses_settings = True
    too_long = "door 2 opens for 255 s, the longest that the device knows, not 300 s"
    with site.driving() as driver:

        def complaint() -> str:
            return " | ".join(driver.report().complaints)

        eventually(lambda: "door 1 opens for 5 s, not 8 s (it answers 403 lowPrivilege)" in complaint(), what="refused")
        assert "give the gateway's user the right" in complaint()
        terminal.refuses_settings, terminal.keeps_open_duration = False, True
        eventually(lambda: "door 1 opens for 5 s, not 8 s (it took the new time" in complaint(), what="not kept")
        terminal.keeps_open_duration = False
        eventually(lambda: driver.report().complaints == (too_long,), what="it is as wanted")
        assert terminal.open_s == {1: 8, 2: 255}
        terminal.refusing["/ISAPI/AccessControl/Door/param/1"] = (404, "notSupport")
        eventually(lambda: "for how long door 1 opens is not known" in complaint(), what="nothing is told")
        site.wait(ReaderUp, 2)
        assert site.seen(ReaderDown) == []


def test_a_door_that_is_no_strike_is_left_as_it_is_set(site: Site, terminal: FakeTerminal) -> None:
    site.pulses_s = {"r2": 9.0}
    terminal.open_s = {1: 3, 2: 3}
    with site.driving():
        eventually(lambda: terminal.open_s[2] == 9, what="the other door's time")
    assert [path for _, path, _ in terminal.requests if path.endswith("Door/param/1")] == []
    assert terminal.open_s[1] == 3


# Listening


def test_a_listening_gateway_is_sent_events_with_and_without_pictures(listening: Site, terminal: FakeTerminal) -> None:
    with listening.driving():
        listening.wait_online()
        card_pass(terminal, 1)
        card_pass(terminal, 2, picture=JPEG, spelling="xml")
        card_pass(terminal, 3, picture=JPEG)
        listening.wait(DeviceDecided, 3)

    assert listening.cards() == ["w26:0:1", "w26:0:2", "w26:0:3"]
    assert terminal.push_answers == [200, 200, 200]
    assert terminal.streams == []
    assert terminal.hosts[1]["protocolType"] == "HTTP"
    assert "PICTURE" not in repr(listening.events)


def test_a_push_that_was_lost_is_searched(listening: Site, terminal: FakeTerminal) -> None:
    with listening.driving():
        listening.wait_online()
        card_pass(terminal, 1)
        listening.wait(DeviceDecided)
        card_pass(terminal, 2, told=False)
        card_pass(terminal, 3)
        listening.wait(DeviceDecided, 3)

    assert sorted(listening.cards()) == ["w26:0:1", "w26:0:2", "w26:0:3"]


def test_a_listening_gateway_asks_a_silent_device_and_sees_it_go(terminal: FakeTerminal, tmp_path: Path) -> None:
    site = Site(terminal, tmp_path, mode="listening", listen_address="127.0.0.1", silent_after_s=1.0)
    with site.driving():
        site.wait_online()
        card_pass(terminal, 1, told=False)
        site.wait(DeviceDecided)
        terminal.stop()
        site.wait(ReaderDown)
        terminal.start()
        site.wait(ReaderUp, 4)
        card_pass(terminal, 2)
        site.wait(DeviceDecided, 2)


def test_a_port_that_is_taken_is_told(terminal: FakeTerminal, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site = Site(terminal, tmp_path, mode="listening", listen_address="127.0.0.1", listen_port=port)
        with site.driving():
            down = site.wait(ReaderDown)
    assert down.reason is ReaderOfflineReason.PORT
    assert "listen_port" in down.detail


# The roster

ALWAYS = tuple((day, 0, 1440) for day in range(7))


def entry(number: int, credential: UUID | None = None, **more: Any) -> RosterEntry:
    given: dict[str, Any] = {"since": None, "until": None, "schedules": (("r1", "always"),), **more}
    return RosterEntry(credential or UUID(int=number + (1 << 120)), parse_text(f"w26:0:{number}"), **given)


def roster(*entries: RosterEntry, **schedules: Any) -> Roster:
    return Roster(entries, {"always": ALWAYS, **schedules})


def writes(terminal: FakeTerminal) -> list[str]:
    """The requests that changed the terminal's list, since the last call."""
    asked, terminal.requests = terminal.requests, []
    found = [
        path.removeprefix("/ISAPI/AccessControl/").partition("?")[0]
        for _, path, _ in asked
        if any(word in path for word in ("Record", "Modify", "Delete", "Cfg", "Template"))
    ]
    return sorted(found)


def is_held(terminal: FakeTerminal, wanted: dict[str, UUID]) -> Callable[[], bool]:
    """Whether the terminal's cards are these, and its users theirs."""
    cards = {number: credential.hex for number, credential in wanted.items()}
    return lambda: dict(terminal.cards) == cards and set(terminal.users) == set(cards.values())


def test_the_list_is_made_the_roster_and_only_differences_are_sent(site: Site, terminal: FakeTerminal) -> None:
    one, two, three = entry(1), entry(2), entry(3)
    with site.driving() as driver:
        driver.set_roster(roster(one, two))
        eventually(is_held(terminal, {"1": one.credential, "2": two.credential}), what="two users")
        assert writes(terminal) == [
            "CardInfo/Record",
            "CardInfo/Record",
            "UserInfo/Record",
            "UserInfo/Record",
            "UserRightPlanTemplate/2",
            "UserRightWeekPlanCfg/2",
        ]

        driver.set_roster(roster(two, three))
        eventually(is_held(terminal, {"2": two.credential, "3": three.credential}), what="another user")
        assert writes(terminal) == ["CardInfo/Record", "UserInfo/Delete", "UserInfo/Record"]
        kept = site.state / "roster.json"
        eventually(lambda: list(json.loads(kept.read_bytes())["cards"]) == ["2", "3"], what="a note of it")
    with site.driving() as driver:  # what is held is known across a restart
        driver.set_roster(roster(two, three, entry(4)))
        eventually(lambda: len(terminal.cards) == 3, what="a third user")
        assert writes(terminal) == ["CardInfo/Record", "UserInfo/Record"]


def test_a_user_goes_out_with_validity_doors_and_hours_and_without_a_name(site: Site, terminal: FakeTerminal) -> None:
    one = entry(
        1,
        since=datetime(2026, 1, 1, tzinfo=ZONE),
        until=datetime(2026, 7, 1, 12, tzinfo=ZONE),
        schedules=(("r1", "day"), ("r2", "day"), ("r2", "night"), ("elsewhere", "day")),
    )
    hours = {"day": ((0, 480, 1080),), "night": ((0, 0, 360), (0, 300, 420))}
    with site.driving() as driver:
        driver.set_roster(roster(one, **hours))
        eventually(lambda: bool(terminal.cards), what="a user")

    user = terminal.users[one.credential.hex]
    assert user["name"] == one.credential.hex[:8]
    assert (user["Valid"]["beginTime"], user["Valid"]["endTime"]) == ("2026-01-01T00:00:00", "2026-07-01T11:59:59")
    assert user["doorRight"] == "1,2"
    assert user["RightPlan"] == [{"doorNo": 1, "planTemplateNo": "2"}, {"doorNo": 2, "planTemplateNo": "2,3"}]
    assert terminal.templates[3]["weekPlanNo"] == 3
    open_rows = [row["TimeSegment"] for row in terminal.week_plans[3]["WeekPlanCfg"] if row["enable"]]
    assert open_rows == [{"beginTime": "00:00:00", "endTime": "07:00:00"}]


def test_changed_hours_and_changed_validity_are_sent(site: Site, terminal: FakeTerminal) -> None:
    one = entry(1)
    with site.driving() as driver:
        driver.set_roster(roster(one))
        eventually(is_held(terminal, {"1": one.credential}), what="a user")
        writes(terminal)
        driver.set_roster(Roster((one,), {"always": ((0, 0, 60),)}))
        eventually(lambda: sum(row["enable"] for row in terminal.week_plans[2]["WeekPlanCfg"]) == 1, what="hours")
        driver.set_roster(Roster((entry(1, until=datetime(2027, 1, 1, tzinfo=ZONE)),), {"always": ((0, 0, 60),)}))
        eventually(lambda: terminal.users[one.credential.hex]["Valid"]["endTime"][:4] == "2026", what="validity")
    assert set(writes(terminal)) == {"UserInfo/Modify", "UserRightPlanTemplate/2", "UserRightWeekPlanCfg/2"}


def test_a_card_that_is_handed_on_is_that_of_who_may_use_it_now(site: Site, terminal: FakeTerminal) -> None:
    now = datetime.now(ZONE)
    leaving = entry(7, uuid4(), until=now + timedelta(seconds=3))
    coming = entry(7, uuid4(), since=now + timedelta(seconds=3))
    with site.driving() as driver:
        driver.set_roster(roster(leaving, coming))
        eventually(lambda: terminal.cards.get("7") == leaving.credential.hex, what="the one who leaves")
        eventually(lambda: terminal.cards.get("7") == coming.credential.hex, what="the one who comes")
    assert len(terminal.users) == 2


def test_a_device_that_was_away_gets_the_newest_roster_when_it_is_back(site: Site, terminal: FakeTerminal) -> None:
    with site.driving() as driver:
        site.wait_online()
        terminal.stop()
        site.wait(ReaderDown, 2)
        for number in range(1, 6):
            newest = entry(number)
            driver.set_roster(roster(newest))
        terminal.start()
        eventually(is_held(terminal, {"5": newest.credential}), what="the newest")
    assert writes(terminal).count("UserInfo/Record") == 1


def test_a_newer_roster_ends_the_writing_of_an_older_one(site: Site, terminal: FakeTerminal) -> None:
    last = entry(1000)
    with site.driving() as driver:
        driver.set_roster(roster(*(entry(number) for number in range(1, 400))))
        eventually(lambda: bool(terminal.users), what="the first of many")
        driver.set_roster(roster(last))
        eventually(is_held(terminal, {"1000": last.credential}), what="the last alone")
    assert writes(terminal).count("UserInfo/Record") < 399


def test_a_device_that_was_reset_gets_everything_again(site: Site, terminal: FakeTerminal) -> None:
    one = entry(1)
    with site.driving() as driver:
        driver.set_roster(roster(one))
        eventually(is_held(terminal, {"1": one.credential}), what="a user")
        terminal.reset()
        terminal.cut_streams()
        eventually(is_held(terminal, {"1": one.credential}), what="the user again")
        eventually(lambda: 2 in terminal.week_plans, what="its hours")


def test_of_a_device_of_which_nothing_is_known_ours_are_taken_over_and_others_left_alone(
    site: Site, terminal: FakeTerminal
) -> None:
    one, two = entry(1), entry(2)
    for number in range(40):  # more than a page
        employee = UUID(int=number + (1 << 121)).hex
        terminal.users[employee] = {"employeeNo": employee}
        terminal.cards[f"9{number}"] = employee
    terminal.users[one.credential.hex] = {"employeeNo": one.credential.hex, "numOfFace": 1}
    terminal.cards["5555"] = one.credential.hex  # an old card of one of ours
    terminal.users["1"] = {"employeeNo": "1", "name": "installer"}
    terminal.cards["1234"] = "1"
    with site.driving() as driver:
        driver.set_roster(roster(one, two))
        wanted = {"1": one.credential.hex, "2": two.credential.hex, "1234": "1"}
        eventually(lambda: terminal.cards == wanted, what="the cards")
        eventually(lambda: set(terminal.users) == set(wanted.values()), what="the users")
    paths = [path for method, path, body in terminal.requests if one.credential.hex.encode() in body and "User" in path]
    assert paths[-1] == "/ISAPI/AccessControl/UserInfo/Modify?format=json"  # never deleted: its face stays
    assert not any("UserInfo/Delete" in path for path in paths)


def test_what_the_device_refuses_stops_no_other_and_is_tried_again(site: Site, terminal: FakeTerminal) -> None:
    one = entry(1)
    terminal.refusing["/ISAPI/AccessControl/CardInfo/Record"] = (400, "deviceFull")
    with site.driving() as driver:
        driver.set_roster(roster(one, entry(2)))
        eventually(lambda: driver.counters["refused_entries"] >= 2, what="refused cards")
        assert len(terminal.users) == 2
        terminal.refusing.clear()
        eventually(lambda: len(terminal.cards) == 2, what="the cards after all")
        assert driver.counters["faults"] == 0


def test_an_entry_without_a_right_here_or_never_valid_is_not_sent(site: Site, terminal: FakeTerminal) -> None:
    now = datetime.now(ZONE)
    one = entry(1)
    elsewhere = entry(2, schedules=(("elsewhere", "always"),))
    never = entry(3, since=now, until=now)
    with site.driving() as driver:
        driver.set_roster(roster(elsewhere, never, one))
        eventually(is_held(terminal, {"1": one.credential}), what="the one")


def test_a_holiday_and_a_make_up_workday_of_the_next_days_are_in_the_devices_week_and_out_of_it_again(
    site: Site, terminal: FakeTerminal
) -> None:
    """The week that a roster tells is that of the seven days from today on: only the plan is written anew."""
    one = entry(1, schedules=(("r1", "work"),))
    working = tuple((day, 480, 1080) for day in range(5))
    monday_off_and_saturday_worked = (*working[1:], (5, 480, 1080))
    with site.driving() as driver:
        driver.set_roster(roster(one, work=working))
        eventually(is_held(terminal, {"1": one.credential}), what="the user")
        assert open_days(terminal) == {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}
        writes(terminal)

        driver.set_roster(roster(one, work=monday_off_and_saturday_worked))
        wanted = {"Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
        eventually(lambda: open_days(terminal) == wanted, what="the week with its exceptions")
        eventually(lambda: len(terminal.templates) == 1, what="the plan's template")
        driver.set_roster(roster(one, work=working))
        eventually(lambda: "Monday" in open_days(terminal), what="the plain week again")

    assert set(writes(terminal)) <= {"UserRightPlanTemplate/2", "UserRightWeekPlanCfg/2"}, "no user, no card"
    assert {template["holidayGroupNo"] for template in terminal.templates.values()} == {""}


def open_days(terminal: FakeTerminal) -> set[str]:
    """The weekdays on which the one plan at the terminal opens at all."""
    (plan,) = terminal.week_plans.values()
    return {row["week"] for row in plan["WeekPlanCfg"] if row["enable"]}


@pytest.mark.parametrize("lost", ["UserInfo/Modify", "UserInfo/Record", "CardInfo/Record", "UserRightWeekPlanCfg"])
def test_an_answer_that_is_lost_leaves_no_false_belief(site: Site, terminal: FakeTerminal, lost: str) -> None:
    """The terminal does what it is asked, its answer does not come, and then the roster is the old one again."""
    one, guest = entry(1), entry(2)
    changed = roster(entry(1, until=datetime(2027, 1, 1, tzinfo=ZONE)), guest, always=((0, 0, 60),))
    with site.driving() as driver:
        driver.set_roster(roster(one))
        eventually(is_held(terminal, {"1": one.credential}), what="a user")
        writes(terminal)
        terminal.losing_answers = (lost,)
        driver.set_roster(changed)
        eventually(lambda: any(lost in path for _, path, _ in list(terminal.requests)), what="the lost answer")
        driver.set_roster(roster(one))
        terminal.losing_answers = ()

        eventually(is_held(terminal, {"1": one.credential}), what="the old list")
        eventually(lambda: terminal.users[one.credential.hex]["Valid"]["endTime"][:4] == "2037", what="no end")
        eventually(lambda: len(open_rows(terminal)) == 7, what="the old hours")
        driver.set_roster(roster(one, entry(3)))
        eventually(lambda: "3" in terminal.cards, what="the next list")
    assert set(terminal.cards) == {"1", "3"}
    assert len(open_rows(terminal)) == 7


def open_rows(terminal: FakeTerminal) -> list[dict[str, Any]]:
    return [row for plan in dict(terminal.week_plans).values() for row in plan["WeekPlanCfg"] if row["enable"]]


def test_whom_a_killed_gateway_had_just_added_is_taken_away_once_unwanted(
    site: Site, terminal: FakeTerminal, tmp_path: Path
) -> None:
    """The state is that of a kill while the guest is sent: it knows of no answer."""
    one, guest = entry(1), entry(2)
    killed = tmp_path / "killed"

    class Requests(list[tuple[str, str, bytes]]):
        def append(self, request: tuple[str, str, bytes]) -> None:
            super().append(request)
            if "UserInfo/Record" in request[1] and not killed.exists():
                shutil.copytree(site.state, killed)

    with site.driving() as driver:
        driver.set_roster(roster(one))
        eventually(is_held(terminal, {"1": one.credential}), what="a resident")
    terminal.requests = Requests()
    with site.driving() as driver:
        driver.set_roster(roster(one, guest))
        eventually(is_held(terminal, {"1": one.credential, "2": guest.credential}), what="both")
    site.state = killed
    with site.driving() as driver:
        driver.set_roster(roster(one))
        eventually(is_held(terminal, {"1": one.credential}), what="the guest's end")
        eventually(lambda: set(terminal.users) == {one.credential.hex}, what="one user")


def test_without_a_roster_the_devices_list_is_left_alone(site: Site, terminal: FakeTerminal) -> None:
    terminal.users["1"] = {"employeeNo": "1"}
    with site.driving():
        site.wait_online()
    assert writes(terminal) == []


# Its making


def test_a_password_that_others_may_read_is_refused(site: Site, tmp_path: Path) -> None:
    device = site.device()
    device.password_file.chmod(0o644)
    with pytest.raises(KeyFileFault, match=r"device\.t1\.password_file.*chmod 600"):
        make(device, READERS, DriverContext(tmp_path, ZONE, SystemClock()))


def test_a_certificate_that_is_not_there_is_named(terminal: FakeTerminal, tmp_path: Path) -> None:
    site = Site(terminal, tmp_path, https=True, ca_file=tmp_path / "no.pem")
    with pytest.raises(KeyFileFault, match=r"device\.t1\.ca_file"):
        make(site.device(), READERS, DriverContext(tmp_path, ZONE, SystemClock()))
