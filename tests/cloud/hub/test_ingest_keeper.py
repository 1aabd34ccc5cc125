"""An ingest worker that dies of a fault in the program is replaced; what it had taken is stored by its successor."""

from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import select

from cloud import hub_ingest
from cloud.database import tables
from cloud.hub_ingest import IngestKeeper
from cloud.ingest.batch import Batch
from cloud.ingest.writer import EventWriter
from protocols.enrolment import decode_key
from protocols.sealing import MacKey
from tests.cloud.hub.conftest import RunningHub
from tests.support.events import FakeGateway, opened
from tests.support.gateways import eventually

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class ProgramFault(Exception):
    """What no worker expects."""


def dies(_writer: EventWriter, _batch: Batch) -> NoReturn:
    raise ProgramFault


def test_what_a_dead_worker_had_taken_is_stored_once_by_its_successor(
    running: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = running.enrol("east", tmp_path / "gateway")
    probe = running.connect(identity)
    gateway = FakeGateway("east", MacKey(identity.key_id, decode_key(identity.message_key)))
    events = [gateway.event(opened()) for _ in range(20)]
    keeper = running.hub.ingest
    with monkeypatch.context() as faulty:
        faulty.setattr(EventWriter, "store", dies)
        probe.publish(*gateway.message(events[0]))
        eventually(lambda: keeper.counts["replaced"] >= 1, 20, "the first successor")
        eventually(lambda: not running.hub.health()["ingest"], 20, "its end, for the same message")
    for event in events[1:]:
        probe.publish(*gateway.message(event))

    def stored() -> list[object]:
        with running.foundation.database.read() as connection:
            return list(connection.scalars(select(tables.EventRecord.id).order_by(tables.EventRecord.seq)))

    eventually(lambda: stored() == [event.id for event in events], 30, "the events, each once")
    eventually(lambda: running.hub.health()["ingest"], what="a sound hub")
    probe.close()


class PlayedWorker:
    """A worker that dies when it is told to."""

    subscribed = True

    def __init__(self) -> None:
        self.alive = False
        self.stopped = False

    def start(self) -> None:
        self.alive = True

    def stop(self) -> None:
        self.alive, self.stopped = False, True


def test_waits_grow_and_a_failure_to_replace_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[PlayedWorker] = []

    def make(_number: int) -> PlayedWorker:
        if len(made) == 2 and keeper.counts["failures"] == 0:
            raise OSError("no descriptors")
        made.append(PlayedWorker())
        return made[-1]

    for name, seconds in (("POLL_S", 0.01), ("FIRST_WAIT_S", 0.02), ("LONGEST_WAIT_S", 0.06)):
        monkeypatch.setattr(hub_ingest, name, seconds)
    keeper = IngestKeeper(make, [1])  # type: ignore[arg-type]  # plays what the keeper uses
    place = keeper._places[0]
    place.wait_s = 0.02
    keeper.start()
    waits = []
    for deaths in range(1, 4):
        made[-1].alive = False
        eventually(lambda deaths=deaths: keeper.counts["replaced"] == deaths, what="a successor")  # type: ignore[misc]
        waits.append(place.wait_s)
    assert waits == [0.04, 0.06, 0.06]
    assert keeper.counts["failures"] == 1
    keeper.stop()
    assert [worker.stopped for worker in made] == [True] * 4
