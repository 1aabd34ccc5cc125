"""The loaded gateway and the verdict: what the journal holds is in the database once, and the doors stand right."""

import contextlib
import subprocess
import sys

from tests.faults.loaded_gateway import DOORS
from tests.support.ports import free_port
from tests.support.site import GATEWAY, Site, eventually, outbox_rows

DRAIN_S = 90.0
_STATES = {
    "door.opened.v1": "open",
    "door.held.v1": "held",
    "door.forced.v1": "forced",
    "door.closed.v1": "closed",
}


class LoadedSite:
    """A site whose gateway makes door events on demand.

    Args:
        paced: the backlog goes at the default rate; else faster than any machine sends.
    """

    def __init__(self, site: Site, *, paced: bool = False) -> None:
        self.site = site
        self._uplink = "" if paced else "[uplink]\nbacklog_events_per_s = 50000\n"
        self.state_dir = site.folder / "gateway"
        self.journal = site.folder / "journal"
        self._configuration = site.folder / "site.toml"
        self._log = site.folder / "gateway.log"
        self.gateway: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.site.start_hub()
        self.site.enrol(self.state_dir)
        self.write_configuration()
        self.start_gateway()

    def write_configuration(self, extra: str = "") -> None:
        self._configuration.write_text(
            f'[gateway]\nstate_dir = "{self.state_dir}"\nplace = "site"\n[http]\nport = {free_port()}\n'
            f"{self._uplink}{extra}"
        )

    def start_gateway(self, rate: float = 0.0) -> None:
        command = [sys.executable, "-m", "tests.faults.loaded_gateway", "--config", str(self._configuration)]
        command += ["--journal", str(self.journal), "--rate", str(rate)]
        with self._log.open("ab") as log:
            self.gateway = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def order(self, text: str) -> None:
        assert self.gateway is not None
        assert self.gateway.stdin is not None
        self.gateway.stdin.write(text + "\n")
        self.gateway.stdin.flush()

    def burst(self, count: int) -> None:
        """Make `count` events as fast as the outbox takes them, and wait until it has."""
        self.order(f"burst {count}")
        assert self.gateway is not None
        assert self.gateway.stdout is not None
        assert self.gateway.stdout.readline() == f"burst {count}\n", self.log_tail()

    def kill_gateway(self) -> None:
        assert self.gateway is not None
        self.gateway.kill()
        self.gateway.wait()

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]

    def journalled(self) -> dict[int, tuple[str, str]]:
        """seq -> door and state of every event whose commit was confirmed; a torn last line was never confirmed."""
        lines = self.journal.read_text().split("\n")[:-1] if self.journal.exists() else []
        return {int(seq): (door, state) for seq, door, state in (line.split() for line in lines)}

    def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Stop making events and wait until the hub has confirmed every one."""
        self.order("rate 0")
        eventually(
            lambda: outbox_rows(self.state_dir) == 0,
            timeout_s,
            f"the outbox drains; gateway's log: {self.log_tail()}; hub's: {self.site.hub.log_tail()}",
        )

    def verify(self) -> int:
        """Hold the database against the journal; how many events were compared.

        Every committed event is stored once, and each door stands as its last event says.
        """
        journal = self.journalled()
        rows = self.site.rows(f"SELECT seq, subject, type FROM event WHERE gateway_id = '{GATEWAY}' ORDER BY seq")
        stored = {row[0]: (row[1], _STATES[row[2]]) for row in rows if row[2] in _STATES}
        numbers = [row[0] for row in rows]
        assert len(numbers) == len(set(numbers)), "an event is stored twice"
        lost = sorted(set(journal) - set(stored))
        assert not lost, f"{len(lost)} of {len(journal)} committed events are lost, first {lost[:5]}"
        assert {seq: stored[seq] for seq in journal} == journal
        expected = {door: max((seq, state) for seq, (at, state) in stored.items() if at == door)[1] for door in DOORS}
        states = self.site.rows("SELECT device, state FROM device_state WHERE kind = 'door'")
        projected = {row[0]: row[1] for row in states}
        assert projected == expected
        return len(journal)

    def close(self) -> None:
        if self.gateway is not None:
            with contextlib.suppress(ProcessLookupError):
                self.gateway.kill()
            self.gateway.wait()
            for stream in (self.gateway.stdin, self.gateway.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        self.site.close()
