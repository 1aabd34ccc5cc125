"""The controller with a driver that the test plays: order of effects, failures, full queues."""

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge.access.config import AccessConfig
from edge.access.controller import ANSWER_TIMEOUT_S, QUEUE_SIZE, AccessController
from edge.access.door import DoorState
from edge.access.drivers.interface import (
    CardPresented,
    Deliver,
    DriverRestarted,
    Feedback,
    InputsReported,
    OutputDone,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
)
from edge.access.drivers.running import DriverSource
from edge.access.store import CredentialStore
from edge.clock import SystemClock
from edge.observations import Observation
from protocols.access_events import (
    AccessGranted,
    DoorMode,
    DoorReleased,
    ModeCause,
    ReaderOffline,
    ReaderOfflineReason,
    ReaderOnline,
    ReleaseCause,
)
from protocols.cards import encode_bytes, parse_text
from protocols.commands import FailureCode
from protocols.events import SourceRestarted
from tests.support.doors import CARD_KEY, Recording, row, rules_for, whole_set


class PlayedDriver:
    """Does nothing by itself; keeps what it was told, in one list with what was recorded."""

    name = "bus1"

    def __init__(self, log: list[object]) -> None:
        self.log = log
        self.takes_commands = True
        self.confirms = True
        self.holding = threading.Event()
        self.holding.set()

    def start(self, deliver: Deliver) -> None:
        self.deliver = deliver

    def stop(self) -> None:
        self.log.append("stopped")

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        self.holding.wait(20.0)
        self.log.append(("strike", for_s))
        if self.takes_commands and self.confirms:
            self.deliver(OutputDone(ticket, True, "", time.monotonic_ns()))
        return self.takes_commands

    def feedback(self, reader: str, feedback: Feedback) -> None:
        self.log.append(feedback)


class Scene:
    """One door, its played driver, and what was recorded."""

    def __init__(self, folder: Path) -> None:
        config = AccessConfig.model_validate(
            {
                "reader_bus": [{"id": "bus1", "port": "/dev/null"}],
                "reader": [{"id": "r1", "bus": "bus1", "address": 0, "scbk_file": "r1.key"}],
                "door": [
                    {
                        "id": "d1",
                        "place": "gate",
                        "readers": ["r1"],
                        "strike": {"reader": "r1", "output": 0},
                        "contact": {"reader": "r1", "input": 0},
                        "request_to_exit": {"reader": "r1", "input": 1},
                    }
                ],
            }
        )
        self.log: list[object] = []
        self.recording = Recording()
        self.driver = PlayedDriver(self.log)
        self.store = CredentialStore(folder / "credentials.db", CARD_KEY)
        self.store.replace(whole_set(1, rules_for("d1"), row("w26:12:345", "all")))
        zone = ZoneInfo("Asia/Shanghai")
        played = DriverSource("bus1", ("r1",), lambda: self.driver)
        self.controller = AccessController(config, self.store, self._record, SystemClock(), zone, sources=[played])

    def _record(self, observation: Observation) -> None:
        self.log.append(observation.data)
        self.recording(observation)

    def present(self, text: str = "w26:12:345") -> None:
        card = parse_text(text)
        self.driver.deliver(CardPresented("r1", encode_bytes(card), card.bit_count, time.monotonic_ns()))

    def come_online(self) -> None:
        self.driver.deliver(ReaderUp("r1", secure_channel=True))
        self.recording.wait(ReaderOnline, "r1")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    made.controller.start()
    yield made
    made.driver.holding.set()
    made.controller.stop()
    made.store.close()


def test_the_strike_comes_before_the_light_and_the_light_before_the_record(scene: Scene) -> None:
    scene.come_online()
    scene.log.clear()

    scene.present()
    scene.recording.wait(AccessGranted, "d1")

    strike, light, granted = scene.log[:3]
    assert (strike, light) == (("strike", 5.0), Feedback.GRANTED)
    assert isinstance(granted, AccessGranted)


def test_latency_is_measured_from_the_card_to_the_strike_command(scene: Scene) -> None:
    scene.come_online()
    scene.present()
    scene.recording.wait(AccessGranted, "d1")
    deadline_s = time.monotonic() + 10

    while not scene.controller.status().card_to_strike_us and time.monotonic() < deadline_s:
        time.sleep(0.01)

    assert 0 < scene.controller.status().card_to_strike_us[0] < 5_000_000


def test_a_reader_that_comes_back_is_told_what_its_strike_is_to_be(scene: Scene) -> None:
    scene.come_online()
    scene.driver.deliver(OutputsForgotten("r1"))
    scene.present()
    scene.recording.wait(AccessGranted, "d1")
    scene.driver.deliver(OutputsForgotten("r1"))
    scene.driver.deliver(DriverRestarted("bus1", "it was killed", 1))
    scene.recording.wait(SourceRestarted, "bus1")

    first, released, again = (entry for entry in scene.log if isinstance(entry, tuple))
    assert first == ("strike", None)
    assert released == ("strike", 5.0)
    assert 4.0 < again[1] <= 5.0


def test_a_command_to_an_offline_strike_fails_with_the_readers_own_reason(scene: Scene) -> None:
    scene.driver.deliver(ReaderDown("r1", ReaderOfflineReason.PORT, "/dev/ttyUSB0: no such device"))
    scene.recording.wait(ReaderOffline, "r1")

    outcome = scene.controller.release("d1", uuid.uuid4())

    assert (outcome.done, outcome.code) == (False, FailureCode.READER_OFFLINE)
    assert '"r1"' in outcome.reason
    assert "/dev/ttyUSB0: no such device" in outcome.reason
    assert scene.controller.status().counters.strike_failures == 1
    assert scene.controller.status().doors[0].state is DoorState.UNKNOWN


def test_a_command_that_the_reader_never_confirms_fails_within_two_seconds(scene: Scene) -> None:
    scene.come_online()
    scene.driver.confirms = False
    asked_s = time.monotonic()

    outcome = scene.controller.release("d1", uuid.uuid4())

    assert (outcome.done, outcome.code) == (False, FailureCode.NO_CONFIRMATION)
    assert "confirm" in outcome.reason
    assert time.monotonic() - asked_s < ANSWER_TIMEOUT_S + 1.0


def test_a_command_that_cannot_be_handed_over_fails_at_once(scene: Scene) -> None:
    scene.come_online()
    scene.driver.takes_commands = False

    outcome = scene.controller.release("d1", uuid.uuid4())

    assert (outcome.done, outcome.code) == (False, FailureCode.READER_FAILED)
    assert "takes no commands" in outcome.reason


def test_a_command_for_a_door_of_another_gateway_fails(scene: Scene) -> None:
    assert scene.controller.release("d9", uuid.uuid4()).code is FailureCode.UNKNOWN_DOOR


def test_a_mode_a_lockdown_and_forgiveness_are_answered(scene: Scene) -> None:
    scene.come_online()

    assert scene.controller.set_mode("d1", DoorMode.LOCKED, None, uuid.uuid4()).done
    assert scene.controller.lock_down(uuid.uuid4(), active=True).done
    assert scene.controller.forgive(None).done
    assert scene.controller.forgive("cellar").code is FailureCode.UNKNOWN_AREA

    status = scene.controller.status()
    assert (status.lockdown, status.doors[0].mode_cause) == (True, ModeCause.LOCKDOWN)
    assert status.doors[0].mode is DoorMode.LOCKED


def test_a_held_exit_button_releases_once(scene: Scene) -> None:
    scene.come_online()
    for active in ((False, False), (False, True), (False, True), (True, True), (True, False), (True, True)):
        scene.driver.deliver(InputsReported("r1", active))
    scene.recording.wait_until(
        lambda: len([seen for seen in scene.recording.all if isinstance(seen.data, DoorReleased)]) == 2
    )

    causes = {seen.data.cause for seen in scene.recording.all if isinstance(seen.data, DoorReleased)}
    assert causes == {ReleaseCause.REQUEST_TO_EXIT}


def test_a_full_queue_drops_the_newest_and_counts_it(scene: Scene) -> None:
    scene.come_online()
    scene.driver.holding.clear()
    scene.present()  # holds the doors' thread within the driver
    deadline_s = time.monotonic() + 10
    while scene.controller.status().counters.card_reads == 0 and time.monotonic() < deadline_s:
        time.sleep(0.01)

    for _ in range(QUEUE_SIZE + 10):
        scene.present("w26:9:9")

    counters = scene.controller.status().counters
    assert counters.dropped_inputs == 10
    assert scene.controller.release("d1", uuid.uuid4()).code is FailureCode.OVERLOADED
    scene.driver.holding.set()
    scene.recording.wait(AccessGranted, "d1")


def test_a_fault_with_one_input_is_counted_and_the_doors_work_on(scene: Scene) -> None:
    scene.come_online()
    scene.driver.deliver(ReaderUp("a reader that nobody knows", secure_channel=True))

    scene.present()

    scene.recording.wait(AccessGranted, "d1")
    assert scene.controller.status().counters.faults == 1


def test_stopping_tells_the_readers_offline(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.controller.start()
    scene.come_online()

    scene.controller.stop()
    scene.store.close()

    assert isinstance(scene.log[-1], ReaderOffline)
    assert scene.log[-1].reason is ReaderOfflineReason.STOPPED
    assert "stopped" in scene.log
