"""The real daemon in a process of its own: starts, is looked at, crashes, and ends."""

import json
import random
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocols.enrolment import encode_key
from protocols.events import GatewayStarted
from protocols.presence import Presence
from tests.peers.hikvision import FakeTerminal, part
from tests.peers.hikvision import running as played_terminal
from tests.support.brokers import RunningBroker
from tests.support.daemons import Running
from tests.support.gateways import GATEWAY, HubHalf, Keys, eventually
from tests.support.ports import free_port
from tests.support.rtsp import CLIPS


def test_it_starts_without_doors_and_cameras_says_so_and_ends_on_sigterm(
    start: Callable[..., Running], hub: HubHalf
) -> None:
    running = start()
    running.wait_up()
    eventually(
        lambda: any(isinstance(event.data, GatewayStarted) for event in list(hub.stored.values())),
        what="gateway.started",
    )
    health = running.get("/healthz")
    assert health.status_code == 200
    told = health.json()
    assert told["parts"]["outbox"]["state"] == "running"
    assert (told["state"], told["uplink"]["state"], told["gateway"]) == ("well", "open", GATEWAY)
    metrics = running.get("/metrics").text
    assert "gatehouse_edge_outbox_rows" in metrics
    assert 'gatehouse_edge_happenings_total{what="events_sent"}' in metrics
    assert 'gatehouse_edge_uplink_state{state="open"} 1.0' in metrics
    assert "process_resident_memory_bytes" in metrics
    assert running.get("/else").status_code == 404

    begun = time.monotonic()
    assert running.end() == 0
    assert time.monotonic() - begun < 10
    eventually(lambda: hub.states[-1].state is Presence.OFFLINE, what=lambda: f"the goodbye after {hub.states}")


def test_a_device_that_cannot_start_leaves_the_rest_at_work(start: Callable[..., Running], tmp_path: Path) -> None:
    key = tmp_path / "reader.key"
    key.write_text("00112233445566778899aabbccddeeff\n")
    key.chmod(0o600)
    running = start(
        f"""
[[reader_bus]]
id = "bus1"
port = "{tmp_path / "no-such-port"}"
[[reader]]
id = "r-in"
bus = "bus1"
address = 0
scbk_file = "{key}"
[[door]]
id = "d-east"
place = "gate-east"
readers = ["r-in"]
strike = {{ reader = "r-in", output = 0 }}
[detector]
model = "no-such-model"
[[camera]]
id = "c-east"
place = "gate-east"
url = "rtsp://127.0.0.1:{free_port()}/x"
"""
    )
    running.wait_up()
    eventually(lambda: running.get("/healthz").json()["parts"]["video"]["state"] == "failed", 30)
    health = running.get("/healthz")
    parts = health.json()["parts"]
    assert health.status_code == 503
    assert "no-such-model" in parts["video"]["reason"]
    assert {parts[name]["state"] for name in ("outbox", "doors", "uplink", "pictures", "commands")} == {"running"}
    metrics = running.get("/metrics").text
    for line in (
        'gatehouse_edge_reader_online{reader="r-in"} 0.0',
        'gatehouse_edge_door_mode{door="d-east",mode="normal"} 1.0',
        "gatehouse_edge_lockdown 0.0",
        "gatehouse_edge_policy_stale 0.0",
        'gatehouse_edge_presented_total{kind="pin"} 0.0',
    ):
        assert line in metrics
    doors = health.json()["doors"]
    assert (doors["lockdown"], doors["modes"], list(doors["readers_away"])) == (False, {}, ["r-in"])
    assert running.end() == 0


def test_health_and_metrics_tell_how_each_device_stands_and_what_its_driver_counts(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    password = tmp_path / "terminal.password"
    password.write_text("A-long-1\n")
    password.chmod(0o600)
    with played_terminal(FakeTerminal()) as terminal:
        running = start(
            f"""
[[device]]
id = "t-gate"
kind = "hikvision"
host = "127.0.0.1"
port = {terminal.port}
username = "gatehouse"
password_file = "{password}"
[[reader]]
id = "r-gate"
device = "t-gate"
channel = 1
[[door]]
id = "d-gate"
place = "gate-east"
readers = ["r-gate"]
strike = {{ reader = "r-gate", output = 0 }}
"""
        )
        running.wait_up()

        def device() -> dict[str, Any]:
            told: dict[str, Any] = running.health()["doors"]["devices"]["t-gate"]
            return told

        eventually(lambda: device()["state"] == "online" and terminal.streams, 20, "the terminal online")
        assert (device()["reason"], device()["detail"]) == (None, "")
        terminal.send_raw(part("application/json", b'{"eventType": "AccessControllerEvent"'))
        eventually(lambda: device()["happenings"].get("unreadable_messages") == 1, 30, "a count")
        metrics = running.get("/metrics").text
        assert 'gatehouse_edge_driver_state{driver="t-gate",state="online"} 1.0' in metrics
        assert 'gatehouse_edge_driver_happenings_total{driver="t-gate",what="unreadable_messages"} 1.0' in metrics
        assert 'gatehouse_edge_on_disk{what="access"} 1.0' in metrics
        assert 'gatehouse_edge_on_disk{what="commands"} 1.0' in metrics
    eventually(lambda: device()["state"] == "offline", 20, "the terminal offline")
    eventually(lambda: "cannot be reached" in device()["detail"], 20, "the cause")
    assert device()["reason"] == "no_answer"
    assert 'gatehouse_edge_driver_state{driver="t-gate",state="offline"} 1.0' in running.get("/metrics").text
    assert running.end() == 0


def test_the_gear_of_a_camera_is_shown(start: Callable[..., Running]) -> None:
    clip = (CLIPS / "gate-east.mp4").as_uri()
    running = start(
        f"""
[[camera]]
id = "c-east"
place = "gate-east"
url = "{clip}"
main_url = "{clip}"
"""
    )
    running.wait_up()
    eventually(lambda: running.get("/healthz").json()["cameras"].get("c-east", {}).get("state") == "online", 30)
    camera = running.get("/healthz").json()["cameras"]["c-east"]
    assert camera["gear"] in {"asleep", "watching", "detecting"}
    assert camera["reason"] is None
    health = running.get("/healthz").json()
    assert health["live"] == {"connected": False, "streams": 0, "key_frames_only": 0}, "there is no hub"
    assert health["parts"]["live"]["state"] == "running"
    metrics = running.get("/metrics").text
    for line in (
        'gatehouse_edge_camera_gear{camera="c-east",gear="',
        'gatehouse_edge_camera_gear_seconds_total{camera="c-east",gear="watching"}',
        'gatehouse_edge_camera_total{camera="c-east",what="frames_received"}',
        'gatehouse_edge_camera_main{camera="c-east",state="online"} 1.0',
    ):
        assert line in metrics
    assert running.end() == 0


def test_it_survives_kill_9_and_the_broker_tells_of_its_death(
    start: Callable[..., Running], hub: HubHalf, tmp_path: Path
) -> None:
    dice = random.Random(7)
    for _ in range(3):
        running = start()
        running.wait_up()
        eventually(lambda: bool(hub.states) and hub.states[-1].state is Presence.ONLINE)
        time.sleep(dice.uniform(0, 0.2))
        running.process.kill()
        running.process.wait(30)
        eventually(lambda: hub.states[-1].state is Presence.OFFLINE, 60, lambda: f"the will after {hub.states}")
    sessions = [state.session for state in hub.states]
    assert sessions == sorted(sessions)
    assert len(set(sessions)) == 3
    final = start()
    final.wait_up()
    eventually(lambda: hub.states[-1].state is Presence.ONLINE)
    final_session = hub.states[-1].session
    eventually(lambda: json.loads(final.get("/healthz").text)["outbox"]["rows"] == 0)
    starts = [event.data.session for event in hub.stored.values() if isinstance(event.data, GatewayStarted)]
    assert len(starts) == len(set(starts))  # one that was killed in its first instants need not have recorded its start
    assert final_session in starts
    assert sorted(event.seq for event in hub.stored.values()) == list(range(1, len(hub.stored) + 1))
    assert final.end() == 0


def test_systemd_is_told(start: Callable[..., Running], tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(address))
        line.settimeout(30)
        running = start(environment={"NOTIFY_SOCKET": str(address)})
        assert line.recv(100) == b"READY=1"
        assert line.recv(100) == b"WATCHDOG=1"
        running.process.send_signal(signal.SIGINT)
        said = line.recv(100)
        while said == b"WATCHDOG=1":
            said = line.recv(100)
        assert said == b"STOPPING=1"
        assert running.process.wait(20) == 0


def test_without_an_identity_it_says_how_to_get_one(tmp_path: Path) -> None:
    running = Running(tmp_path)
    assert running.process.wait(30) == 2
    assert "gatehouse edge enroll" in running.log.read_text()


def test_logs_hold_no_secret(start: Callable[..., Running], keys: Keys, broker: RunningBroker) -> None:
    running = start()
    running.wait_up()
    assert running.end() == 0
    log = running.log.read_text()
    assert 'message="gateway started"' in log
    for secret in (encode_key(keys.message), encode_key(keys.card), broker.access(GATEWAY).password):
        assert secret not in log
