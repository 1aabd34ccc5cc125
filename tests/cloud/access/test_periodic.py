"""The hub's schedule: runs follow each other, a run that failed is counted, and the end waits for the run in hand."""

import logging
import threading
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter

from cloud.periodic import Periodic
from tests.support.gateways import eventually


def periodic(run: Callable[[], object], registry: CollectorRegistry, every_s: float = 0.01) -> Periodic:
    failures = Counter("failures", "Runs that failed", registry=registry)
    return Periodic("chores", run, 0.0, every_s, (ValueError,), failures)


def test_a_run_that_fails_is_counted_and_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    registry, runs = CollectorRegistry(), iter([ValueError("no disk"), None, ValueError("no disk")])
    done = threading.Event()

    def run() -> None:
        try:
            fault = next(runs)
        except StopIteration:
            done.set()
            return
        if fault is not None:
            raise fault

    schedule = periodic(run, registry)
    with caplog.at_level(logging.ERROR):
        schedule.start()
        assert done.wait(30.0)
        schedule.stop()
    assert registry.get_sample_value("failures_total") == 2
    assert len([record for record in caplog.records if "chores: a run failed" in record.getMessage()]) == 2


def test_the_first_run_has_its_own_time_and_the_end_waits_for_it() -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    runs: list[int] = []

    def run() -> None:
        runs.append(1)
        began.set()
        go_on.wait(30.0)
        ended.set()

    schedule = periodic(run, CollectorRegistry(), every_s=3600.0)
    schedule.start()
    assert began.wait(30.0)
    stopping = threading.Thread(target=schedule.stop)
    stopping.start()
    assert not ended.is_set()
    go_on.set()
    stopping.join(30.0)
    assert not stopping.is_alive()
    assert ended.is_set()
    assert len(runs) == 1


def test_one_that_was_never_started_can_be_stopped_and_one_that_was_stopped_runs_no_more() -> None:
    runs: list[int] = []
    periodic(lambda: runs.append(1), CollectorRegistry()).stop()
    schedule = periodic(lambda: runs.append(1), CollectorRegistry())
    schedule.start()
    eventually(lambda: len(runs) > 1, what="two runs")
    schedule.stop()
    so_far = len(runs)
    assert not any(thread.name == "chores" for thread in threading.enumerate())
    assert len(runs) == so_far
