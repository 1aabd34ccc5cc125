"""The parts of the Hikvision driver that need no device: the ledger of delivered entries, the compiled roster, cards,
the table of codes, the state files and the configuration."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.access.drivers.hikvision import ledger as ledgers
from edge.access.drivers.hikvision import roster as rosters
from edge.access.drivers.hikvision.config import HikvisionTerminal
from edge.access.drivers.hikvision.ledger import MAX_REMEMBERED, Ledger
from edge.access.drivers.hikvision.roster import Held, compile_roster
from edge.access.drivers.hikvision.state_writer import StateWriter
from edge.access.drivers.hikvision.translate import DENIED, GRANTED, card_number, card_text, credential_id
from edge.access.drivers.interface import Roster, RosterEntry
from protocols.cards import CardFormat, CardNumber, parse_text
from protocols.isapi import AccessEvent

ZONE = ZoneInfo("Asia/Shanghai")
BEGAN = datetime(2026, 3, 1, 8, tzinfo=ZONE)


def logged(serial: int | None, current: bool = True) -> AccessEvent:
    return AccessEvent(5, 1, serial, current=current)


# The ledger


@given(st.data())
def test_whatever_the_order_each_entry_is_delivered_once_and_none_is_lost(data: st.DataObject) -> None:
    """Entries come live in any order, some never, some twice; a search then brings all; so on, with restarts."""
    ledger, delivered, last = Ledger("d", 0, BEGAN), [], 0

    def give(serial: int) -> None:
        at = BEGAN + timedelta(seconds=serial)
        if ledger.is_new(logged(serial), at):
            delivered.append(serial)
            ledger.take(logged(serial), at)

    for _ in range(data.draw(st.integers(1, 4))):
        fresh = list(range(last + 1, last + data.draw(st.integers(1, 12)) + 1))
        last = fresh[-1]
        for serial in data.draw(st.lists(st.sampled_from(range(1, last + 1)), max_size=20)):
            give(serial)
        if data.draw(st.booleans()):
            ledger = _reloaded(ledger)
        if data.draw(st.booleans()):
            for serial in range(max(1, ledger.mark), last + 1):
                give(serial)
            ledger.searched(last, BEGAN + timedelta(seconds=last))
            assert not ledger.has_gap
            assert sorted(delivered) == list(range(1, last + 1))
    assert len(delivered) == len(set(delivered))


def _reloaded(ledger: Ledger) -> Ledger:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.json"
        path.write_bytes(ledgers.content(ledger))
        return ledgers.load(path, "d", BEGAN + timedelta(days=1))


def test_entries_without_a_number_count_when_they_happen() -> None:
    ledger = Ledger("d", 5, BEGAN)
    assert ledger.is_new(logged(None), None)
    assert not ledger.is_new(logged(None, current=False), None)


def test_the_ledger_stays_small_when_a_gap_is_never_filled() -> None:
    ledger = Ledger("d", 1, BEGAN)
    for serial in range(3, 3 + 3 * MAX_REMEMBERED):
        ledger.take(logged(serial), BEGAN)
    assert len(ledger.above) <= MAX_REMEMBERED
    assert not ledger.is_new(logged(3 + 3 * MAX_REMEMBERED - 1), BEGAN)
    assert len(ledgers.content(ledger)) < 100_000


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"device": "d"}', b'{"device":"d","mark":"x","at":1,"above":[]}']
)
def test_a_broken_ledger_begins_now(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(content)
    assert ledgers.load(path, "d", BEGAN) == Ledger("d", 0, BEGAN)


def test_another_devices_ledger_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(ledgers.content(Ledger("d", 7, BEGAN, {9})))
    assert ledgers.load(path, "d", BEGAN) == Ledger("d", 7, BEGAN, {9})
    assert ledgers.load(path, "e", BEGAN).mark == 0


# The roster

DOORS = {"r1": 1, "r2": 2}
ALWAYS = tuple((day, 0, 1440) for day in range(7))


def entry(number: int, card: int = 1, **more: Any) -> RosterEntry:
    given: dict[str, Any] = {"since": None, "until": None, "schedules": (("r1", "always"),), **more}
    return RosterEntry(UUID(int=number), parse_text(f"w26:0:{card}"), **given)


def compiled(*entries: RosterEntry, now: datetime = BEGAN, **schedules: Any) -> rosters.Wanted:
    return compile_roster(Roster(entries, {"always": ALWAYS, **schedules}), DOORS, ZONE, now)


def test_a_validity_is_kept_to_the_second_and_never_wider() -> None:
    since = BEGAN + timedelta(milliseconds=1)
    until = BEGAN + timedelta(hours=1, milliseconds=500)
    (user,) = compiled(entry(1, since=since, until=until)).users.values()

    assert user.begin == datetime(2026, 3, 1, 8, 0, 1)  # noqa: DTZ001
    assert user.end == datetime(2026, 3, 1, 8, 59, 59)  # noqa: DTZ001


def test_a_time_of_another_zone_is_told_in_the_sites() -> None:
    (user,) = compiled(entry(1, since=datetime.fromisoformat("2026-03-01T00:00:00+00:00"))).users.values()
    assert user.begin == datetime(2026, 3, 1, 8)  # noqa: DTZ001


def test_a_card_of_several_goes_from_one_to_the_next() -> None:
    first = entry(1, until=BEGAN + timedelta(days=1))
    second = entry(2, since=BEGAN + timedelta(days=1), until=BEGAN + timedelta(days=2))
    now = compiled(first, second)
    later = compiled(first, second, now=now.changes_at or BEGAN)
    at_last = compiled(first, second, now=BEGAN + timedelta(days=9))

    assert now.cards == {"1": UUID(int=1).hex}
    assert now.changes_at == BEGAN + timedelta(days=1)
    assert later.cards == {"1": UUID(int=2).hex}
    assert (at_last.cards, at_last.changes_at) == ({"1": UUID(int=2).hex}, None)


def test_more_periods_than_a_device_has_are_left_out_and_touching_ones_joined() -> None:
    many = tuple((0, minute, minute + 5) for minute in range(0, 100, 10))
    touching = ((1, 0, 60), (1, 60, 120), (1, 90, 100), (2, 5, 5))
    plans = compiled(entry(1, schedules=(("r1", "many"), ("r2", "touching"))), many=many, touching=touching).plans

    assert plans["many"] == many[:8]
    assert plans["touching"] == ((1, 0, 120),)


def test_plan_numbers_are_kept_and_the_devices_own_is_never_used() -> None:
    held = Held("d", plans={"a": (2, "x"), "c": (4, "x")})
    assert (held.plan_number("a"), held.plan_number("new")) == (2, 3)
    full = Held("d", plans={str(number): (number, "") for number in range(2, 129)})
    assert full.plan_number("new") is None


def test_what_a_device_holds_is_read_back(tmp_path: Path) -> None:
    held, path = Held("d", {"u": "x"}, {"1": "u"}, {"a": (2, "x")}), tmp_path / "roster.json"
    path.write_bytes(held.content())
    assert rosters.load(path, "d") == held
    assert rosters.load(path, "e") is None
    path.write_bytes(b'{"plans":[]}')
    assert rosters.load(path, "d") is None


# Cards and codes


@given(st.sampled_from(["w26", "w34", "w37"]), st.integers(0, 255), st.integers(1, 65535))
def test_a_card_is_spelt_as_devices_do_and_read_back(kind: str, facility: int, number: int) -> None:
    card = parse_text(f"{kind}:{facility}:{number}")
    assert card_number(card_text(card), CardFormat(kind)) == card


def test_a_raw_card_is_its_number() -> None:
    assert card_text(parse_text("raw32:0badcafe")) == str(0x0BADCAFE)
    assert card_number(str(0x0BADCAFE), CardFormat.RAW) == parse_text("raw32:0badcafe")
    assert card_number(str(1 << 40), CardFormat.RAW) == CardNumber(CardFormat.RAW, 0, 1 << 40, 56)


@pytest.mark.parametrize("text", ["", "0", "x", "-1", "٣", "9" * 64, str(1 << 24)])
def test_what_is_no_card_of_the_format_is_none(text: str) -> None:
    assert card_number(text, CardFormat.W26) is None


@pytest.mark.parametrize("text", ["", "1", "g" * 32, "0" * 31, "0" * 33, "{0123456789abcdef0123456789abcd}", "٣" * 32])
def test_an_employee_number_that_is_not_ours_is_no_credential(text: str) -> None:
    assert credential_id(text) is None


def test_no_code_both_grants_and_denies_and_every_refusal_has_a_word() -> None:
    assert not GRANTED.keys() & DENIED.keys()
    assert all(word.isascii() and word.replace("_", "").isalpha() for _, word in DENIED.values())


# State files


def test_of_several_contents_the_newest_is_written_and_the_end_waits_for_it(tmp_path: Path) -> None:
    writer, path = StateWriter("w"), tmp_path / "state"
    writer.start()
    for number in range(100):
        writer.put(path, str(number).encode())
    writer.close()
    assert path.read_bytes() == b"99"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_refuses_is_counted(tmp_path: Path) -> None:
    writer = StateWriter("w")
    writer.start()
    writer.put(tmp_path / "no" / "state", b"x")
    writer.close()
    assert writer.faults == 1


# The configuration

TERMINAL = {"id": "t1", "kind": "hikvision", "host": "10.0.0.9", "username": "gatehouse", "password_file": "/p"}
LISTENING = {**TERMINAL, "mode": "listening"}


def test_ports_follow_https() -> None:
    assert HikvisionTerminal.model_validate(TERMINAL).web_port == 80
    assert HikvisionTerminal.model_validate({**TERMINAL, "https": True}).web_port == 443
    assert HikvisionTerminal.model_validate({**TERMINAL, "port": 8000}).web_port == 8000


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({**TERMINAL, "password": "secret"}, "password"),
        ({key: value for key, value in TERMINAL.items() if key != "password_file"}, "password_file"),
        ({**TERMINAL, "host": "10.0.0.9/x"}, "host"),
        ({**TERMINAL, "host": "user@10.0.0.9"}, "host"),
        ({**TERMINAL, "username": "a:b"}, "username"),
        ({**TERMINAL, "ca_file": "/c"}, "https = true"),
        ({**TERMINAL, "https": True, "ca_file": "/c", "certificate_sha256": "ab" * 32}, "not both"),
        ({**TERMINAL, "https": True, "certificate_sha256": "ab" * 31}, "certificate_sha256"),
        ({**TERMINAL, "listen_port": 8000}, "listening"),
        (LISTENING, "listen_address"),
        ({**LISTENING, "listen_address": "gateway"}, "no IP address"),
        ({**LISTENING, "listen_address": "0.0.0.0"}, "announce_address"),
    ],
)
def test_a_wrong_configuration_names_its_fault(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        HikvisionTerminal.model_validate(given)
    assert words in str(refused.value)


def test_behind_a_port_mapping_the_outer_address_is_announced() -> None:
    device = HikvisionTerminal.model_validate(
        {**LISTENING, "listen_address": "0.0.0.0", "announce_address": "10.0.0.2"}
    )
    assert device.announced == "10.0.0.2"
