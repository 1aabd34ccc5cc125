"""No disk is on a door's path: the real daemon on a disk that is full, or whose files cannot be opened, opens doors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.access.store import CredentialStore
from edge.counters import Counters
from edge.outbox import OutboxLimits
from edge.uplink.nonces import CommandLedger
from gatehouse.demo.played_plan import Plan, PlayedReader
from protocols.access_events import AccessGranted
from protocols.cards import keyed_hash, parse_text
from protocols.credentials import CredentialRow
from protocols.events import Event
from tests.edge.core.conftest import enrol
from tests.support.brokers import RunningBroker
from tests.support.daemons import Running
from tests.support.disks import fill
from tests.support.doors import CARD_KEY, row, rules_for, whole_set
from tests.support.gateways import HubHalf, Keys, eventually, make_outbox, opened
from tests.support.osdp import OsdpPeer

CARD = "w26:12:345"


def site_with_one_door(folder: Path) -> tuple[str, Plan]:
    """The sections of a site file, and the reader that plays its part."""
    secret = "00112233445566778899aabbccddeeff"
    key, link = folder / "reader.key", folder / "line"
    key.write_text(secret + "\n")
    key.chmod(0o600)
    sections = f"""
[[reader_bus]]
id = "bus1"
port = "{link}"
[[reader]]
id = "r1"
bus = "bus1"
address = 0
scbk_file = "{key}"
[[door]]
id = "d1"
place = "gate-east"
readers = ["r1"]
strike = {{ reader = "r1", output = 0 }}
"""
    return sections, Plan(readers=(PlayedReader(id="r1", link=link, address=0, scbk_hex=secret),))


def permit(state: Path, keys: Keys) -> None:
    """Leave a credential set on disk, as an earlier run did."""
    store = CredentialStore(state / "credentials.db", keys.card)
    allowed = CredentialRow(ref=row(CARD).ref, hash=keyed_hash(keys.card, parse_text(CARD)), groups=("all",))
    store.replace(whole_set(7, rules_for("d1"), allowed))
    store.close()


def open_with_a_card(running: Running, peer: OsdpPeer) -> None:
    eventually(lambda: 'reader_online{reader="r1"} 1.0' in running.get("/metrics").text, 30, "the reader")
    shown_s = peer.do("card", "r1", text=CARD)
    peer.wait_output("r1", True, shown_s)


def cards_stored(hub: HubHalf) -> int:
    return sum(isinstance(event.data, AccessGranted) for event in list(hub.stored.values()))


@pytest.fixture
def full_disk(small_disk: Path, keys: Keys, broker: RunningBroker) -> Path:
    """A full disk with an identity and credentials, and neither outbox nor ballast nor ledger."""
    enrol(small_disk / "state", keys, broker)
    permit(small_disk / "state", keys)
    fill(small_disk)
    return small_disk


def test_a_card_opens_the_door_though_the_disk_is_full_at_the_start(
    start: Callable[..., Running], full_disk: Path, hub: HubHalf, tmp_path: Path
) -> None:
    sections, plan = site_with_one_door(tmp_path)
    with OsdpPeer(plan, tmp_path) as peer:
        running = start(sections, state=full_disk / "state")
        running.wait_up()
        open_with_a_card(running, peer)
        told = running.health()
        assert running.get("/healthz").status_code == 503
        assert told["outbox"]["state"] == "disk_full"
        assert "outbox.db" in told["outbox"]["reason"]
        assert set(told["in_memory_only"]) == {"credentials", "commands", "access"}
        assert {part["state"] for part in told["parts"].values()} == {"running"}
        assert 'gatehouse_edge_outbox_state{state="disk_full"} 1.0' in running.get("/metrics").text
        assert not hub.stored

        (full_disk / "somebody-elses-log").unlink()
        eventually(lambda: cards_stored(hub) == 1, 30, "the event of the card that was read meanwhile")
        eventually(lambda: running.health()["state"] == "well", 30, "well by itself")
        assert running.end() == 0
    assert {"outbox.db", "commands.db", "credentials.db"} <= {path.name for path in (full_disk / "state").iterdir()}


def test_a_card_opens_the_door_though_no_file_can_be_opened(
    start: Callable[..., Running], tmp_path: Path, hub: HubHalf, keys: Keys
) -> None:
    state = tmp_path / "state"
    permit(state, keys)
    for name in ("outbox.db", "commands.db"):
        (state / name).mkdir()
    sections, plan = site_with_one_door(tmp_path)
    with OsdpPeer(plan, tmp_path) as peer:
        running = start(sections)
        running.wait_up()
        open_with_a_card(running, peer)
        told = running.health()
        assert told["outbox"]["state"] == "failed"
        assert set(told["in_memory_only"]) == {"commands"}
        for name in ("outbox.db", "commands.db"):
            (state / name).rmdir()
        eventually(lambda: running.health()["state"] == "well", 30, "well by itself")
        eventually(lambda: cards_stored(hub) == 1)
        assert running.end() == 0


def test_what_the_queue_dropped_while_the_disk_was_away_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    outbox = make_outbox(tmp_path, limits=OutboxLimits(queue_events=100))
    outbox.start()
    for number in range(150):
        outbox.record(opened(number))
    status = outbox.status()
    assert (status.state, status.stream, status.waiting, status.dropped_in_memory) == ("failed", None, 100, 50)
    assert outbox.pending(1, 1000, 1000) == []

    (tmp_path / "outbox.db").rmdir()
    eventually(lambda: outbox.status().rows == 101, what="all that waited, and the gap event")
    events = [Event.model_validate_json(one.body) for one in outbox.pending(1, 1000, 1000)]
    gaps = [event.data for event in events if event.type == "outbox.gap.v1"]
    assert [(gap.reason, gap.ranges, gap.dropped) for gap in gaps] == [("disk_full", (), {"access": 50})]
    assert [event.seq for event in events] == list(range(1, 102))
    assert outbox.stop()
    outbox.close()


def test_a_revoked_card_is_revoked_though_the_disk_is_full(small_disk: Path) -> None:
    path = small_disk / "credentials.db"
    store = CredentialStore(path, CARD_KEY)
    rows = [row(f"w26:1:{number}", "all") for number in range(500)]
    store.replace(whole_set(1, rules_for("d1"), *rows))
    other = fill(small_disk)
    store.replace(whole_set(2, rules_for("d1"), *(row(f"w26:2:{number}", "all") for number in range(20_000))))
    assert store.head().version == 2
    assert "credentials.db" in str(store.off_disk)
    assert store.find(rows[0].hash) == []
    assert not store.settle()

    other.unlink()
    assert store.settle()
    assert store.off_disk is None
    head = store.head()
    store.close()
    again = CredentialStore(path, CARD_KEY)
    assert (again.fault, again.head()) == (None, head)
    again.close()


def test_a_store_that_was_killed_is_read_from_a_full_disk_with_its_log(small_disk: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.db"
    store = CredentialStore(made, CARD_KEY)
    resident = row("w26:1:1", "all")
    store.replace(whole_set(3, rules_for("d1"), resident))
    for suffix in ("", "-wal"):  # as they lie there after a kill
        (small_disk / f"credentials.db{suffix}").write_bytes((made.with_name(made.name + suffix)).read_bytes())
    store.close()
    fill(small_disk)

    again = CredentialStore(small_disk / "credentials.db", CARD_KEY)

    assert again.off_disk is not None
    assert again.head().version == 3
    assert [found.ref for found in again.find(resident.hash)] == [resident.ref]
    again.close()


def test_the_disk_s_later_set_wins_when_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "credentials.db"
    earlier = CredentialStore(path, CARD_KEY)
    earlier.replace(whole_set(5, rules_for("d1"), row("w26:1:1", "all")))
    earlier.close()
    path.rename(tmp_path / "kept")
    path.mkdir()
    store = CredentialStore(path, CARD_KEY)
    assert (store.head().version, store.off_disk is None) == (0, False)
    path.rmdir()
    (tmp_path / "kept").rename(path)
    assert store.settle()
    assert store.head().version == 5
    store.close()


def test_commands_are_remembered_in_memory_and_written_when_the_disk_is_back(tmp_path: Path, hub: HubHalf) -> None:
    path = tmp_path / "commands.db"
    path.mkdir()
    ledger = CommandLedger(path, Counters())
    command = hub.command()
    ledger.remember(command)
    assert ledger.knows(command.corr)
    assert not ledger.settle()
    path.rmdir()
    assert ledger.settle()
    ledger.close()
    again = CommandLedger(path, Counters())
    assert again.knows(command.corr)
    assert again.knows_nonce(command.nonce)
    again.close()
