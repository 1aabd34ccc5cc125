"""What stands between the network and the hub, over real sockets."""

import json
import re
import socket
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cloud.app_settings import AppSettings
from cloud.commands import HubCode
from cloud.console.border import MAX_BODY_BYTES, BorderRules, host_name
from cloud.console.language import STATIC
from cloud.database.engine import Database
from protocols import events
from protocols.access_events import AccessMethod, DenialReason, DoorMode, ReaderOfflineReason, ReleaseCause
from protocols.camera_events import SceneFault
from protocols.clip_events import ClipLossReason, KeepingLevel
from protocols.commands import FailureCode
from tests.support.console import ADMINISTRATOR, GUARD, PASSWORD, RunningConsole, utc_now
from tests.support.events import granted, opened

READS = ("/api/v1/events", "/api/v1/doors", "/api/v1/gateways", f"/api/v1/pictures/{'a' * 64}")
TOKEN = re.compile(r'name="page-token" content="([0-9a-f]{64})"')


def page_token(client: httpx.Client) -> str:
    found = TOKEN.search(client.get("/").text)
    assert found is not None
    return found[1]


def live(console: RunningConsole, client: httpx.Client, origin: str | None = None) -> ClientConnection:
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return connect(
        f"ws://127.0.0.1:{console.port}/api/v1/live",
        origin=origin or console.url,  # type: ignore[arg-type]  # a plain str is an Origin
        additional_headers={"Cookie": cookie},
    )


def closing_code(socket_: ClientConnection) -> int | None:
    """Read until the hub closes."""
    try:
        while True:
            socket_.recv(5)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_every_answer_carries_the_strict_headers(console: RunningConsole) -> None:
    with console.client() as client:
        for path in ("/", "/login", "/static/console.js", "/api/v1/doors", "/healthz", "/nothing-here"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert "server" not in headers
        assert client.get("/api/v1/doors").headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_script_style_or_foreign_address(console: RunningConsole) -> None:
    with console.client() as client:
        for text in (client.get("/").text, httpx.get(f"{console.url}/login").text):
            assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|https?://", text)
    for path in STATIC.iterdir():
        found = set(re.findall(r"https?://[^\"' )]+", path.read_text("utf-8")))
        assert found <= {"http://www.w3.org/2000/svg"}, path


def test_without_a_session_nothing_is_read(console: RunningConsole) -> None:
    with console.client(None) as client:
        assert [client.get(path).status_code for path in READS] == [401] * len(READS)
        assert client.get("/").headers["location"] == "/login"
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert client.get(path).status_code == 404
        with pytest.raises(InvalidStatus):
            live(console, client)


def test_a_door_needs_session_origin_and_token(console: RunningConsole) -> None:
    path = "/api/v1/doors/gw-quiet/d-east/release"
    with console.client(None) as client:
        assert client.post(path).status_code == 401
    with console.client() as client:
        token = {"X-Gatehouse-Token": page_token(client)}
        assert client.post(path).status_code == 403
        assert client.post(path, headers={"X-Gatehouse-Token": "0" * 64}).status_code == 403
        assert client.post(path, headers={**token, "Origin": "http://evil.example"}).status_code == 403
        assert client.post(path, headers={**token, "Origin": "null"}).status_code == 403
        assert console.sent == []
        assert client.post("/api/v1/doors/gw-quiet/d-none/release", headers=token).status_code == 404
        answer = client.post(path, headers=token)
        assert answer.status_code == 202
        outcome = client.get(f"/api/v1/commands/{answer.json()['corr']}").json()
    assert (outcome["door"], outcome["state"]) == ("d-east", "sent")
    assert len(console.sent) == 1


def test_a_log_in_from_another_page_is_refused(console: RunningConsole) -> None:
    with console.client(None) as client:
        form = {"username": GUARD, "password": PASSWORD}
        assert client.post("/login", data=form, headers={"Origin": "http://evil.example"}).status_code == 403
        assert not client.cookies


def test_a_websocket_of_another_origin_is_refused(console: RunningConsole) -> None:
    with console.client() as client, pytest.raises(InvalidStatus):
        live(console, client, origin="http://evil.example")


def test_an_unknown_host_is_refused(console: RunningConsole) -> None:
    assert httpx.get(f"{console.url}/healthz", headers={"Host": "evil.example"}).status_code == 400
    assert host_name("[::1]:8470") == "[::1]"
    assert host_name("Hub.local:8470") == "hub.local"


def test_a_body_is_bounded_whether_its_length_is_told_or_not(console: RunningConsole) -> None:
    big = b"x" * (MAX_BODY_BYTES + 1)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert httpx.post(f"{console.url}/login", content=big, headers=form).status_code == 413
    assert httpx.post(f"{console.url}/login", content=iter([big]), headers=form).status_code == 413


def test_a_request_that_never_ends_is_cut(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.app.BorderRules", partial(BorderRules, timeout_s=0.3))
    console = RunningConsole(database, tmp_path, AppSettings())
    try:
        with socket.create_connection(("127.0.0.1", console.port), 5) as slow:
            slow.sendall(f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {console.url}\r\n".encode())
            slow.sendall(b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nuser")
            assert slow.recv(100).startswith(b"HTTP/1.1 503")
    finally:
        console.stop()


def test_metrics_are_for_this_machine_and_for_administrators(console: RunningConsole) -> None:
    proxied = {"X-Forwarded-For": "10.0.0.7"}
    assert "gatehouse_live_pages" in httpx.get(f"{console.url}/metrics").text
    assert httpx.get(f"{console.url}/metrics", headers=proxied).status_code == 401
    with console.client(GUARD) as client:
        assert client.get("/metrics", headers=proxied).status_code == 403
    with console.client(ADMINISTRATOR) as client:
        assert client.get("/metrics", headers=proxied).status_code == 200


def test_health_is_told(console: RunningConsole) -> None:
    assert httpx.get(f"{console.url}/healthz").json() == {"status": "ok", "parts": {"database": True}}


def test_the_live_socket_tells_events_with_their_three_times(console: RunningConsole) -> None:
    event = console.seed.gateway.event(granted(console.seed.credential), at=utc_now())
    with console.client() as client, live(console, client) as socket_:
        assert json.loads(socket_.recv(5)) == {"n": 1, "kind": "hello"}
        console.store(event)
        while (message := json.loads(socket_.recv(5)))["kind"] != "events":
            pass
        (row,) = message["rows"]
    assert row["id"] == str(event.id)
    assert row["time"] <= row["received_at"] <= row["pushed_at"]


def test_a_page_that_talks_is_cut_off(console: RunningConsole) -> None:
    with console.client() as client, live(console, client) as socket_:
        socket_.send("open the door")
        assert closing_code(socket_) == 1008


def test_logging_out_closes_the_live_socket(console: RunningConsole) -> None:
    with console.client() as client, live(console, client) as socket_:
        client.post("/logout", data={"page_token": page_token(client)})
        assert closing_code(socket_) == 4401
        assert client.get("/api/v1/doors").status_code == 401


def test_events_are_read_newest_first_after_a_moment(console: RunningConsole) -> None:
    first, second = (console.seed.gateway.event(opened()) for _ in range(2))
    console.seed.store(first)
    between = utc_now()
    console.seed.store(second)
    with console.client() as client:
        both = client.get("/api/v1/events").json()["events"]
        after = client.get("/api/v1/events", params={"after": between.isoformat()}).json()["events"]
        assert client.get("/api/v1/events", params={"limit": 201}).status_code == 422
    assert [row["id"] for row in both] == [str(second.id), str(first.id)]
    assert [row["id"] for row in after] == [str(second.id)]


def test_both_dictionaries_have_the_same_keys_and_words_for_every_event_and_failure() -> None:
    chinese, english = (json.loads((STATIC / name).read_text("utf-8")) for name in ("zh-CN.json", "en.json"))
    assert chinese.keys() == english.keys()
    for key, text in chinese.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[key])), key
    codes = [f"event.{name.rsplit('.', 1)[0]}" for name in events.EVENT_TYPES]
    causes = (DenialReason, ReleaseCause, DoorMode, ReaderOfflineReason, events.CameraFault, events.GapReason)
    causes += (ClipLossReason, KeepingLevel, SceneFault)
    codes += [f"cause.{value}" for values in causes for value in values]
    codes += [f"method.{method}" for method in AccessMethod]
    codes += [f"vehicle.{kind}" for kind in events.VehicleKind]
    codes += [f"reason.{code}" for code in (*FailureCode, *HubCode)]
    assert set(codes) <= chinese.keys()
