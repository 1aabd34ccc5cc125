"""The real gateway daemon with a generator of door events in place of doors: `python -m tests.faults.loaded_gateway`.

Each event whose commit the outbox confirmed is written to a journal, `seq door state` a line, after the confirmation:
what stands in the journal must be found in the hub's database. Orders come as lines on standard input:

    rate N            events a second from now on
    burst N           N events as fast as the outbox takes them
    jump SECONDS      the wall clock jumps
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

from edge.clock import SystemClock, now
from edge.config import load_config
from edge.daemon import Daemon
from edge.identity import Identity, load_identity
from edge.logs import log_to_stderr
from edge.observations import Observation
from protocols.access_events import DoorClosed, DoorForced, DoorHeld, DoorOpened, ReleaseCause
from protocols.event_data import EventData

DOORS = ("d-1", "d-2", "d-3")
CYCLE: tuple[tuple[str, EventData], ...] = (
    ("open", DoorOpened(cause=ReleaseCause.CREDENTIAL)),
    ("held", DoorHeld(open_s=30.0)),
    ("closed", DoorClosed(open_s=31.0)),
    ("forced", DoorForced()),
    ("closed", DoorClosed(open_s=2.0)),
)
_BURST_THREADS = 32


class JumpingClock(SystemClock):
    """The machine's clocks, the wall clock moved by a test."""

    def __init__(self) -> None:
        self.moved_s = 0.0

    def wall_s(self) -> float:
        return super().wall_s() + self.moved_s


class LoadedDaemon(Daemon):
    """The daemon, with load."""

    def __init__(self, config_path: Path, journal: Path, rate: float) -> None:
        config = load_config(config_path)
        identity: Identity = load_identity(config.gateway.state_dir)
        self.clock = JumpingClock()
        super().__init__(config, identity, self.clock)
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.rate = rate
        self._step = 0

    def load(self) -> None:
        """Put events at the set rate, for ever."""
        while True:
            rate = self.rate  # `obey` may set it to 0 at any moment
            if rate <= 0:
                time.sleep(0.05)
                continue
            self._put_one(self._step)
            self._step += 1
            time.sleep(1 / rate)

    def burst(self, count: int) -> None:
        """Put `count` events from many threads, so that they share their commits."""
        workers = [
            threading.Thread(target=self._put_share, args=(count // _BURST_THREADS,)) for _ in range(_BURST_THREADS)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        sys.stdout.write(f"burst {count}\n")
        sys.stdout.flush()

    def obey(self) -> None:
        for line in sys.stdin:
            match line.split():
                case ["rate", number]:
                    self.rate = float(number)
                case ["burst", number]:
                    self.burst(int(number))
                case ["jump", seconds]:
                    self.clock.moved_s += float(seconds)

    def _put_share(self, count: int) -> None:
        for step in range(count):
            self._put_one(step)

    def _put_one(self, step: int) -> None:
        door = DOORS[step % len(DOORS)]
        state, data = CYCLE[step // len(DOORS) % len(CYCLE)]
        try:
            seq = self._outbox.put(Observation(door, "gate", data, now(self.clock)))
        except (TimeoutError, OverflowError):
            return  # refused loudly: not committed, so not owed
        os.write(self._journal, f"{seq} {door} {state}\n".encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=0.0)
    arguments = parser.parse_args()
    log_to_stderr()
    daemon = LoadedDaemon(arguments.config, arguments.journal, arguments.rate)
    threading.Thread(target=daemon.load, daemon=True).start()
    threading.Thread(target=daemon.obey, daemon=True).start()
    daemon.run()


if __name__ == "__main__":
    main()
