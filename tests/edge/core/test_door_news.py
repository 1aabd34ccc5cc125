"""The daemon's wiring: what the doors record goes to the outbox, and to the cameras' rules about those doors."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import edge.daemon
from edge.clock import Moment
from edge.config import load_config
from edge.daemon import Daemon
from edge.observations import Observation
from protocols.access_events import DoorForced, DoorOpened, ReleaseCause
from protocols.enrolment import BrokerAccess
from tests.support.gateways import make_keys

SITE = """
[gateway]
state_dir = "{folder}"
time_zone = "Europe/Berlin"
"""


def test_the_doors_and_the_cameras_share_the_doors_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, tuple[Any, ...]] = {}
    recorded: list[Observation] = []

    def spied(name: str) -> None:
        made = getattr(edge.daemon, name)

        def make(*arguments: Any, **more: Any) -> Any:
            given[name] = arguments
            return made(*arguments, **more)

        monkeypatch.setattr(edge.daemon, name, make)

    spied("Doors")
    spied("Cameras")
    monkeypatch.setattr(edge.daemon.Outbox, "record", lambda outbox, observation: recorded.append(observation))
    (tmp_path / "site.toml").write_text(SITE.format(folder=tmp_path / "state"))
    access = BrokerAccess(host="127.0.0.1", port=9, username="gw-test", password="x" * 20)
    identity = make_keys().identity(access)
    daemon = Daemon(load_config(tmp_path / "site.toml"), identity)
    record, surroundings = given["Doors"][4], given["Cameras"][4]
    assert (surroundings.zone, list(surroundings.special_days())) == (ZoneInfo("Europe/Berlin"), [])

    listener = surroundings.doors.listen(frozenset({"d-east"}))
    for device, data in (
        ("d-east", DoorOpened(cause=ReleaseCause.CREDENTIAL)),
        ("d-east", DoorForced()),
        ("d-west", DoorOpened(cause=ReleaseCause.COMMAND)),
    ):
        record(Observation(device, "gate-east", data, Moment(1.7e9, 5.0)))
    assert [news.data for news in listener.take()] == [DoorOpened(cause=ReleaseCause.CREDENTIAL)]
    assert len(recorded) == 3
    daemon.stop()
