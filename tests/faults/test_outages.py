"""A broker away for long, a clock that jumps, a disk that is full."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.uplink.lanes import RESEND_AFTER_S
from protocols.events import EVENT_TYPES
from tests.faults.harness import LoadedSite
from tests.support.disks import small_disk as mounted_disk
from tests.support.site import eventually

AWAY_EVENTS = 100_000


@pytest.mark.timeout(600)
def test_a_broker_away_for_100_000_events_loses_none_of_them(loaded: LoadedSite) -> None:
    loaded.burst(320)
    loaded.site.hub.kill9()
    loaded.site.kill_broker()
    loaded.burst(AWAY_EVENTS)
    loaded.site.start_hub()
    loaded.drain(300)
    assert loaded.verify() >= AWAY_EVENTS


@pytest.mark.timeout(300)
def test_a_killed_broker_costs_less_than_the_time_of_a_resend(loaded: LoadedSite) -> None:
    loaded.burst(32)  # the gateway is up
    for number in range(1, 4):
        loaded.order("rate 50")
        eventually(loaded.site.kill_broker, 60, "there is a broker to kill")
        time.sleep(4)  # it is back, and events are on their way again
        eventually(lambda: len(loaded.journalled()) >= 50 * number, 60, "events are made meanwhile")  # noqa: B023
        loaded.drain(RESEND_AFTER_S - 5)
    assert loaded.verify() >= 150


@pytest.mark.timeout(300)
def test_a_wall_clock_that_jumps_an_hour_loses_nothing_and_is_told(loaded: LoadedSite) -> None:
    for seconds in (3600, -7200, 3600):
        loaded.burst(640)
        loaded.order(f"jump {seconds}")
        told = f"SELECT count(*) FROM event WHERE type = 'gateway.clock_jumped.v1' AND body LIKE '%%{abs(seconds)}%%'"
        eventually(lambda told=told: loaded.site.rows(told)[0][0] >= 1, 20, f"the jump of {seconds} s is told")
    loaded.burst(640)
    loaded.drain()
    assert loaded.verify() == 4 * 640


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    with mounted_disk(tmp_path / "disk") as folder:
        yield folder


@pytest.mark.timeout(300)
def test_a_full_disk_drops_with_a_gap_that_is_told_and_recovers(small_disk: Path, loaded: LoadedSite) -> None:
    loaded.kill_gateway()
    loaded.state_dir.rename(loaded.site.folder / "enrolled")
    loaded.state_dir = small_disk / "gateway"
    subprocess.run(["cp", "-a", str(loaded.site.folder / "enrolled"), str(loaded.state_dir)], check=True)
    loaded.write_configuration()
    loaded.site.hub.kill9()
    loaded.site.kill_broker()
    loaded.start_gateway()
    loaded.burst(80_000)
    loaded.site.start_hub()
    loaded.drain(200)
    gaps = loaded.site.rows("SELECT body FROM event WHERE type = 'outbox.gap.v1'")
    assert gaps, "the disk was never full"
    told = _numbers_told_missing([row[0] for row in gaps])
    journal = loaded.journalled()
    stored = {row[0] for row in loaded.site.rows("SELECT seq FROM event")}
    assert set(journal) <= stored | told, "an event is neither stored nor told missing"
    assert not stored & told, "an event is stored and told missing"


def _numbers_told_missing(bodies: list[str]) -> set[int]:
    gap = EVENT_TYPES["outbox.gap.v1"]
    ranges = [gap.model_validate(json.loads(body)["data"]).model_dump()["ranges"] for body in bodies]
    return {number for one in ranges for first, last in one for number in range(first, last + 1)}
