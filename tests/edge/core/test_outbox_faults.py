"""The outbox against kill -9 and a full disk, in processes and on disks of their own."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from edge.counters import Counters
from edge.outbox import OutboxLimits
from edge.outbox.ballast import Ballast
from protocols.events import Event, PersonLeftZone
from protocols.receipts import Receipt
from tests.support.disks import fill
from tests.support.gateways import eventually, forced, make_outbox, opened, seen

KILLS = 8

WRITER = """
import sys
from pathlib import Path
from tests.support.gateways import make_outbox, opened
outbox = make_outbox(Path(sys.argv[1]))
outbox.start()
number = 0
while True:
    for _ in range(3):
        outbox.record(opened(number))
        number += 1
    seq = outbox.put(opened(number))
    print(outbox.stream, seq, flush=True)
"""


def test_what_was_accepted_survives_kill_9_at_random_moments(tmp_path: Path) -> None:
    accepted: set[int] = set()
    dice = random.Random(20240607)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert process.stdout is not None
        first = process.stdout.readline().split()
        time.sleep(dice.uniform(0.0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        lines = [first, *(line.split() for line in process.stdout.read().splitlines())]
        process.wait(30)
        process.stdout.close()
        accepted |= {int(line[1]) for line in lines if len(line) == 2}

    outbox = make_outbox(tmp_path)
    rows = outbox.pending(1, outbox.last_seq, 10**6)
    assert len(accepted) > KILLS
    assert accepted <= {row.seq for row in rows}
    assert [row.seq for row in rows] == list(range(1, outbox.last_seq + 1))
    assert all(Event.model_validate_json(row.body).stream == outbox.stream for row in rows)
    outbox.close()


def test_a_full_disk_costs_the_least_important_events_and_never_stops_the_outbox(small_disk: Path) -> None:
    counters = Counters()
    outbox = make_outbox(small_disk, counters, OutboxLimits(ballast_bytes=6 * 1024 * 1024, queue_events=100_000))
    outbox.start()
    for _ in range(2000):
        outbox.record(seen(PersonLeftZone(zone="z", track=1, dwell_s=1.0), "c-east"))
    doors = [outbox.put(opened(number)) for number in range(50)]
    eventually(lambda: Ballast(small_disk / "ballast", 6 * 1024 * 1024).is_held, what="ballast held")
    other = fill(small_disk)

    for _ in range(3000):
        outbox.record(seen(PersonLeftZone(zone="z", track=1, dwell_s=1.0), "c-east"))
    doors += [outbox.put(forced(), 30) for _ in range(50)]
    fill(small_disk)
    for _ in range(3000):
        outbox.record(seen(PersonLeftZone(zone="z", track=1, dwell_s=1.0), "c-east"))
    doors += [outbox.put(forced(), 30) for _ in range(50)]

    assert counters["ballast_released"] == 1
    events = [Event.model_validate_json(row.body) for row in outbox.pending(1, outbox.last_seq, 10**6)]
    here = {event.seq for event in events}
    gaps = [event.data for event in events if event.type == "outbox.gap.v1"]
    told = {seq for gap in gaps for first, last in gap.ranges for seq in range(first, last + 1)}
    assert set(doors) <= here
    assert here | told == set(range(1, outbox.last_seq + 1))
    assert any(gap.reason == "disk_full" for gap in gaps)

    outbox.acknowledge(Receipt(stream=outbox.stream, upto=outbox.last_seq))
    eventually(lambda: outbox.status().rows == 0, what="a full disk still lets go of what the hub has")
    other.unlink()
    assert outbox.put(forced()) == outbox.last_seq
    assert outbox.stop()
    outbox.close()


def test_an_outbox_opens_on_a_full_disk_by_giving_up_its_ballast(small_disk: Path) -> None:
    limits = OutboxLimits(ballast_bytes=6 * 1024 * 1024)
    outbox = make_outbox(small_disk, limits=limits)
    outbox.start()
    for number in range(100):
        outbox.put(opened(number))
    eventually(lambda: Ballast(small_disk / "ballast", limits.ballast_bytes).is_held, what="ballast held")
    outbox.stop()
    outbox.close()
    fill(small_disk)

    counters = Counters()
    again = make_outbox(small_disk, counters, limits)
    again.start()
    assert again.put(forced(), 30) == 101
    assert counters["ballast_released"] == 1
    again.stop()
    again.close()


def test_damage_while_it_runs_begins_a_new_stream_and_old_receipts_delete_nothing_of_it(tmp_path: Path) -> None:
    counters = Counters()
    outbox = make_outbox(tmp_path, counters)
    outbox.start()
    for number in range(8000):  # more than SQLite keeps in memory
        outbox.record(opened(number))
    last = outbox.put(opened(), 60)
    former = outbox.stream
    damage(tmp_path / "outbox.db")
    outbox.acknowledge(Receipt(stream=former, upto=last))
    eventually(lambda: outbox.stream != former, what="a new stream")
    assert outbox.put(forced(), 30) >= 1
    outbox.acknowledge(Receipt(stream=former, upto=301))
    numbers = [outbox.put(opened(number), 30) for number in range(20)]
    assert {row.seq for row in outbox.pending(1, outbox.last_seq, 1000)} >= set(numbers)
    assert counters["outbox_corrupt"] == 1
    assert counters["receipts_of_another_stream"] == 1
    outbox.stop()
    outbox.close()


def damage(path: Path) -> None:
    """Spoil the file and its log behind the outbox's back, as a dying disk does."""
    for part in (path.with_name(path.name + "-wal"), path):
        content = part.stat().st_size
        with part.open("r+b") as file:
            file.seek(0)
            file.write(b"\xde" * content)
            os.fsync(file.fileno())
