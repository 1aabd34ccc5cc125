"""A reader's first key and its later ones: what the reader holds, what the file holds, and what a person is told."""

import os
import random
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import osdp
import pytest
from typer.testing import CliRunner, Result

from edge.access.config import DEFAULT_OSDP_KEY, Reader, ReaderBus
from edge.access.drivers.interface import ReaderDown, ReaderUp
from edge.access.drivers.osdp.rekey import RekeyFault, Rekeying
from gatehouse.demo.played_line import PtyLine, Tap
from gatehouse.edge_command import app
from tests.peers.osdp_reader import KEYSET, OsdpReader
from tests.support.osdp import BusAtWork

OLD = os.urandom(16)


class Bench:
    """A reader's key file, its row, and what a person was told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.link, self.file = folder, folder / "line", folder / "r1.key"
        self.pending = folder / "r1.key.new"
        self.told: list[str] = []

    def keep(self, key: bytes, path: Path | None = None) -> None:
        path = path or self.file
        path.write_text(key.hex() + "\n")
        path.chmod(0o600)

    def kept(self) -> bytes:
        return bytes.fromhex(self.file.read_text())

    def rekeying(self) -> Rekeying:
        bus = ReaderBus(id="bus1", port=str(self.link), baud_rate=115200)
        return Rekeying(bus, Reader(id="r1", bus="bus1", address=5, scbk_file=self.file), self.told.append)

    def command(self, *words: str) -> Result:
        site = self.folder / "site.toml"
        site.write_text(
            f"""
            [[reader_bus]]
            id = "bus1"
            port = "{self.link}"
            baud_rate = 115200
            [[reader]]
            id = "r1"
            bus = "bus1"
            address = 5
            scbk_file = "{self.file}"
            [[door]]
            id = "d1"
            place = "gate"
            readers = ["r1"]
            strike = {{ reader = "r1", output = 0 }}
            """
        )
        return CliRunner().invoke(app, ["osdp", *words, "--config", str(site)])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def reader_at(bench: Bench, **fields: object) -> OsdpReader:
    return OsdpReader(bench.link, 5, OLD, **fields)


def serves(bench: Bench) -> None:
    """The gateway's driver comes up with the key in the file, and only over a secure channel."""
    with BusAtWork(bench.link, 5, bench.kept()) as bus:
        bus.wait(ReaderUp("r1", secure_channel=True))


def test_a_reader_in_install_mode_gets_a_key_of_its_own(bench: Bench) -> None:
    with reader_at(bench, install_mode=True) as reader:
        result = bench.command("provision", "r1")

        assert result.exit_code == 0, result.output
        assert bench.kept() == reader.key not in (OLD, DEFAULT_OSDP_KEY)
        assert all(taken.secure for taken in reader.commands(KEYSET))
        assert stat.S_IMODE(bench.file.stat().st_mode) == 0o600
        assert not bench.pending.exists()
        assert "holds its new key" in result.output
        assert bench.kept().hex() not in result.output.lower()
        serves(bench)


def test_a_reader_of_libosdp_in_install_mode_gets_its_key_too(bench: Bench) -> None:
    with libosdp_reader_in_install_mode(bench.link):
        bench.rekeying().provision(20.0)
        serves(bench)


@contextmanager
def libosdp_reader_in_install_mode(link: Path) -> Iterator[None]:
    line, stop = PtyLine(1, link), threading.Event()
    tap = Tap(line, random.Random(1))
    line.taps.append(tap)
    capabilities = osdp.PDCapabilities([(osdp.Capability.CommunicationSecurity, 1, 1)])
    info = osdp.PDInfo(5, tap, scbk=None, flags=[osdp.LibFlag.InstallMode])
    device = osdp.PeripheralDevice(info, capabilities, log_level=osdp.LogLevel.Emergency)

    def work() -> None:
        while not stop.is_set():
            line.pump()
            device.ctx.refresh()
            time.sleep(0.002)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        line.close()


def test_a_reader_may_be_put_into_install_mode_while_the_command_waits(bench: Bench) -> None:
    with reader_at(bench) as reader:
        rekeying = bench.rekeying()
        threading.Timer(2.0, lambda: setattr(reader, "install_mode", True)).start()
        rekeying.provision(20.0)

        assert "not in install mode" in bench.told[0]
        assert bench.kept() == reader.key != OLD


@pytest.mark.parametrize("silent", [False, True])
def test_a_reader_not_in_install_mode_keeps_its_key_and_so_does_the_file(bench: Bench, silent: bool) -> None:
    bench.keep(OLD)
    with reader_at(bench, silent=silent) as reader:
        begun_s = time.monotonic()
        with pytest.raises(RekeyFault, match="time is over"):
            bench.rekeying().provision(2.0)

        assert time.monotonic() - begun_s < 6.0
        assert ("does not answer" if silent else "not in install mode") in bench.told[0]
        assert "no key was sent" in bench.told[-1]
        assert reader.key == bench.kept() == OLD
        assert not bench.pending.exists()


def test_the_port_of_a_running_gateway_is_left_alone(bench: Bench) -> None:
    bench.keep(OLD)
    with reader_at(bench) as reader, BusAtWork(bench.link, 5, OLD) as bus:
        bus.wait(ReaderUp("r1", secure_channel=True))
        result = bench.command("rotate", "r1")

        assert result.exit_code == 1
        assert "gateway: stop it" in result.output
        assert reader.key == bench.kept() == OLD
        assert not bus.of(ReaderDown)


def test_rotation_changes_the_key_of_the_reader_and_of_the_file(bench: Bench) -> None:
    bench.keep(OLD)
    with reader_at(bench) as reader:
        result = bench.command("rotate", "r1")

        assert result.exit_code == 0, result.output
        assert bench.kept() == reader.key != OLD
        assert reader.key.hex() not in result.output.lower()
        serves(bench)


def test_a_reader_that_refuses_a_new_key_keeps_its_old_one_and_it_is_said(bench: Bench) -> None:
    bench.keep(OLD)
    with reader_at(bench, refuses=frozenset({KEYSET})) as reader:
        with pytest.raises(RekeyFault, match="holds its old one"):
            bench.rekeying().rotate()

        assert reader.key == bench.kept() == OLD
        assert not bench.pending.exists()
        serves(bench)


def test_a_reader_that_dies_with_the_new_key_loses_neither_key_and_is_taken_up_later(bench: Bench) -> None:
    bench.keep(OLD)
    with reader_at(bench, dies_at=KEYSET) as reader:
        with pytest.raises(RekeyFault, match="either the key that it held before or the new one"):
            bench.rekeying().rotate()
        assert bench.kept() == OLD
        assert bytes.fromhex(bench.pending.read_text()) == reader.key
        assert stat.S_IMODE(bench.pending.stat().st_mode) == 0o600

        held = reader.key
        with pytest.raises(RekeyFault, match="time is over"):
            bench.rekeying().provision(1.0)  # while it is away: the only copy of its key is not thrown away
        assert bytes.fromhex(bench.pending.read_text()) == held

        reader.silent, reader.dies_at = False, None
        bench.told.clear()
        bench.rekeying().provision(20.0)

        assert "already holds its new key" in bench.told[0]
        assert bench.kept() == reader.key == held != OLD
        assert not bench.pending.exists()


def test_a_wrong_key_in_the_file_is_said_and_nothing_is_sent(bench: Bench) -> None:
    bench.keep(os.urandom(16))
    with reader_at(bench) as reader:
        with pytest.raises(RekeyFault, match="does not open a secure channel"):
            bench.rekeying().rotate()

        assert not reader.commands(KEYSET)
        assert reader.key == OLD


def test_an_interrupted_wait_says_that_the_reader_holds_what_it_held(bench: Bench) -> None:
    bench.keep(OLD)
    rekeying = bench.rekeying()

    def interrupt(sentence: str) -> None:
        bench.told.append(sentence)
        if len(bench.told) == 1:
            raise KeyboardInterrupt

    rekeying._say = interrupt
    with reader_at(bench), pytest.raises(KeyboardInterrupt):
        rekeying.provision(20.0)

    assert "no key was sent" in bench.told[-1]
    assert bench.kept() == OLD
    assert not bench.pending.exists()


def test_readers_that_have_no_key_and_ports_that_are_not_there_are_named(bench: Bench) -> None:
    assert "there is no reader" in bench.command("provision", "r9").output
    missing = bench.command("provision", "r1")
    assert missing.exit_code == 1
    assert str(bench.link) in missing.output
    assert not bench.pending.exists()
    with pytest.raises(RekeyFault, match="no OSDP reader"):
        Rekeying(ReaderBus(id="b", port="x"), Reader(id="t1", device="terminal"), print)
