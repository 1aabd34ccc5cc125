"""`gatehouse edge osdp rotate` beside the real daemon, killed and not, with real cards at two readers of one bus."""

import contextlib
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge.access.store import CredentialStore
from edge.control_socket import SOCKET_NAME
from edge.identity import StoredIdentity, save_identity
from gatehouse.edge_command import app
from protocols.cards import encode_bytes, keyed_hash, parse_text
from protocols.credentials import CredentialRow
from protocols.enrolment import BrokerAccess, encode_key
from tests.peers.osdp_reader import KEYSET, OsdpReader
from tests.support.daemons import Running
from tests.support.doors import row, rules_for, whole_set
from tests.support.gateways import GATEWAY, eventually, make_keys
from tests.support.ports import free_port

CARD = "w26:12:345"
ALARMS = ("reader.", "door.forced", "door.held", "driver.", "gateway.source_restarted")


class Site:
    """A gateway with two readers on one line, each with a door, and no hub in reach."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.old = {name: os.urandom(16) for name in ("r1", "r2")}
        for name, key in self.old.items():
            self.file(name).write_text(key.hex() + "\n")
            self.file(name).chmod(0o600)
        self.r2 = OsdpReader(folder / "none", 6, self.old["r2"])
        self.r1 = OsdpReader(folder / "line", 5, self.old["r1"], beside=(self.r2,))
        self._enrol()
        self.gateways: list[Running] = []

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def kept(self, name: str = "r1") -> bytes:
        return bytes.fromhex(self.file(name).read_text())

    @property
    def pending(self) -> Path:
        return self.folder / "r1.key.new"

    def start(self) -> Running:
        """A gateway at which both readers are up."""
        sections = f'[[reader_bus]]\nid = "bus1"\nport = "{self.folder / "line"}"\nbaud_rate = 115200\n'
        for name, address in (("r1", 5), ("r2", 6)):
            sections += f"""
[[reader]]
id = "{name}"
bus = "bus1"
address = {address}
scbk_file = "{self.file(name)}"
[[door]]
id = "d-{name}"
place = "gate"
readers = ["{name}"]
strike = {{ reader = "{name}", output = 0 }}
contact = {{ reader = "{name}", input = 0 }}
"""
        running = Running(self.folder, sections)
        self.gateways.append(running)
        running.wait_up()
        for name in ("r1", "r2"):
            wanted = f'reader_online{{reader="{name}"}} 1.0'
            eventually(lambda wanted=wanted: wanted in running.get("/metrics").text, 20, f"{wanted}")
        return running

    def rotate(self) -> Result:
        return CliRunner().invoke(app, ["osdp", "rotate", "r1", "--config", str(self.folder / "site.toml")])

    def rotate_until(self, then: Callable[[], object]) -> Result:
        """Rotate, and do something when the reader has taken the key and died with it."""
        outcome: list[Result] = []
        rotating = threading.Thread(target=lambda: outcome.append(self.rotate()))
        rotating.start()
        eventually(lambda: self.r1.silent, 20, "the reader takes the key and dies")
        then()
        rotating.join(20.0)
        return outcome[0]

    def shows_cards(self) -> None:
        """The card is let in at either reader."""
        before = self.granted()
        card = parse_text(CARD)
        for reader in (self.r1, self.r2):
            reader.card(encode_bytes(card), card.bit_count)
        eventually(lambda: self.granted() == {name: before[name] + 1 for name in before}, 30, "both let in")

    def granted(self) -> dict[str, int]:
        told = [event["subject"] for event in self.events() if event["type"].startswith("access.granted")]
        return {name: told.count(f"d-{name}") for name in ("r1", "r2")}

    def events(self) -> list[dict[str, Any]]:
        """All that the gateways told so far."""
        uri = f"file:{self.state / 'outbox.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5)) as file:
            return [json.loads(body) for (body,) in file.execute("SELECT body FROM outbox ORDER BY seq")]

    def alarms(self) -> list[tuple[str, str]]:
        """Of readers, each once when it comes online, and nothing else."""
        return sorted((event["type"], event["subject"]) for event in self.events() if event["type"].startswith(ALARMS))

    def close(self) -> None:
        for running in self.gateways:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait(30)

    def _enrol(self) -> None:
        keys = make_keys()
        broker = BrokerAccess(host="127.0.0.1", port=free_port(), username=GATEWAY, password="p" * 16)
        identity = StoredIdentity(
            gateway=GATEWAY,
            message_key=encode_key(keys.message),
            card_key=encode_key(keys.card),
            hub_url="http://127.0.0.1:9",
            hub_key=encode_key(keys.hub_public),
            broker=broker,
        )
        save_identity(self.state, identity)
        store = CredentialStore(self.state / "credentials.db", keys.card)
        allowed = CredentialRow(ref=row(CARD).ref, hash=keyed_hash(keys.card, parse_text(CARD)), groups=("all",))
        store.replace(whole_set(1, rules_for("d-r1", "d-r2"), allowed))
        store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.r1:
        yield made
        made.close()


def test_a_key_is_changed_and_a_change_is_refused_while_the_doors_work(site: Site) -> None:
    running = site.start()
    site.shows_cards()
    assert stat.S_IMODE((site.state / SOCKET_NAME).stat().st_mode) == 0o600
    calm = site.alarms()

    changed = site.rotate()
    site.shows_cards()

    assert changed.exit_code == 0, changed.output
    assert "the gateway runs: it changes the key itself" in changed.output
    assert "acknowledged" in changed.output
    assert "holds its new key" in changed.output
    new = site.kept()
    assert new == site.r1.key != site.old["r1"]
    assert site.kept("r2") == site.r2.key == site.old["r2"]

    site.r1.refuses = frozenset({KEYSET})
    refused = site.rotate()
    site.shows_cards()

    assert refused.exit_code == 1
    assert "did not take the new key: it holds its old one" in refused.output
    assert site.kept() == site.r1.key == new
    assert not site.pending.exists()
    assert site.alarms() == calm == [("reader.online.v1", "r1"), ("reader.online.v1", "r2")]
    assert running.health()["parts"]["control"]["state"] == "running"

    site.r1.refuses, site.r1.dies_at = frozenset(), KEYSET
    ended = site.rotate_until(lambda: running.end() == 0)

    assert ended.exit_code == 1
    assert "the gateway ends" in ended.output
    assert "both are kept" in ended.output
    assert not (site.state / SOCKET_NAME).exists()
    assert (site.kept(), bytes.fromhex(site.pending.read_text())) == (new, site.r1.key)
    everything = (running.log.read_text() + changed.output + refused.output + ended.output).lower()
    assert not [key for key in (*site.old.values(), new, site.r1.key) if key.hex() in everything]


def test_a_gateway_that_is_killed_in_the_middle_comes_back_with_the_key_that_the_reader_holds(site: Site) -> None:
    running = site.start()
    site.r1.dies_at = KEYSET

    told = site.rotate_until(running.process.kill)

    assert told.exit_code == 1
    assert "the gateway told no outcome" in told.output
    running.process.wait(30)
    assert (site.kept(), bytes.fromhex(site.pending.read_text())) == (site.old["r1"], site.r1.key)
    site.r1.restart()
    again = site.start()
    eventually(lambda: not site.pending.exists(), 30, "the change settled")
    assert site.kept() == site.r1.key != site.old["r1"]
    site.shows_cards()
    assert "reader.offline.v1" not in {event["type"] for event in site.events()}
    assert again.end() == 0
