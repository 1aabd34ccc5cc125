"""kill -9 of gateway, broker and hub, each at 50 random moments, all three at once, under load."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.harness import LoadedSite

KILLS = 50
RATE = 200.0
SEED = 20261122


def kill_at_random(kill: Callable[[], bool], dice: random.Random, longest_s: float) -> int:
    """Kill a part `KILLS` times, each time after it had a while to work; how often it was really killed."""
    kills = 0
    while kills < KILLS:
        time.sleep(dice.uniform(0.05, longest_s))
        kills += kill()
    return kills


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_when_everything_is_killed_at_random(loaded: LoadedSite) -> None:
    def gateway() -> bool:
        loaded.kill_gateway()
        loaded.start_gateway(RATE)
        return True

    starting = threading.Lock()

    def hub() -> bool:
        with starting:
            loaded.site.hub.kill9()
            loaded.site.hub.start()
        return True

    def broker() -> bool:
        """A hub whose broker is killed at its start ends; as systemd does, it is started again."""
        with starting:
            if loaded.site.hub.has_ended:
                loaded.site.hub.start()
        return loaded.site.kill_broker()

    loaded.order(f"rate {RATE}")
    parts = ((gateway, 2.6), (broker, 2.0), (hub, 4.0))
    with ThreadPoolExecutor(len(parts)) as pool:
        killers = [
            pool.submit(kill_at_random, kill, random.Random(SEED + number), longest_s)
            for number, (kill, longest_s) in enumerate(parts)
        ]
    assert [killer.result() for killer in killers] == [KILLS] * len(parts)

    if loaded.site.hub.has_ended:
        loaded.site.hub.start()
    loaded.site.wait_for_hub()
    loaded.drain()
    compared = loaded.verify()
    assert compared > 3 * KILLS, "the gateway was hardly ever up: the kills met no load"
