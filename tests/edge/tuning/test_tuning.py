"""The tuning page over real HTTP, in a real browser; and the annotated video. Of a made-up scene, by the real parts."""

import http.client
import json
import re
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import cv2
import numpy as np
import pytest
from playwright.sync_api import ConsoleMessage, expect
from typer.testing import CliRunner

from edge.tuning import server as serving
from edge.tuning.server import TuneServer, drawn_lines
from edge.tuning.session import TuneSession
from edge.video.address import Address
from edge.video.config import ZoneConfig
from edge.video.rules.config import LineConfig
from gatehouse.cli import app
from tests.edge.video.parts import camera, write_clip
from tests.edge.video.test_replay import SeesWhite, walker
from tests.support.browser import new_context, running_browser
from tests.support.gateways import eventually

PATIENCE_S = 60.0
POLYGON = "[[0.1,0.1],[0.9,0.1],[0.5,0.9]]"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("tuning") / "walk.mp4", lambda i: walker(i + 15), 50)


@contextmanager
def tuning(source: Address, idle_s: float = 60.0) -> Iterator[TuneServer]:
    session = TuneSession(camera(), SeesWhite(), source, 0.0)
    server = TuneServer(session, idle_s=idle_s)
    session.start()
    server.start()
    try:
        yield server
    finally:
        session.stop()
        server.stop()


@pytest.fixture(scope="module")
def running(clip: Path) -> Iterator[TuneServer]:
    with tuning(Address(str(clip), "file")) as server:
        yield server


def get(url: str, host: str | None = None) -> tuple[int, http.client.HTTPMessage, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=PATIENCE_S)
    headers = {"Host": host} if host is not None else {}
    connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_the_page_is_served_under_its_token_and_runs_nothing_but_its_own(running: TuneServer) -> None:
    for name in ("", "tune.css", "tune.js"):
        status, headers, body = get(running.url + name)
        assert status == 200
        assert body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"


def test_another_token_another_name_or_another_host_sees_nothing(running: TuneServer) -> None:
    root = f"http://127.0.0.1:{running.port}/"

    assert get(root)[0] == 404
    assert get(root + "x" * 32 + "/stream.mjpg")[0] == 404
    assert get(running.url + "../../etc/passwd")[0] == 404
    assert get(running.url, host="attacker.example")[0] == 404, "a name that leads to this machine"
    assert get(running.url, host=f"localhost:{running.port}")[0] == 200


def test_the_pictures_come_as_motion_jpeg_with_what_was_seen_drawn(running: TuneServer) -> None:
    connection, answer = watching(running.url)
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
    boxes = 0
    for _ in range(15):
        assert answer.readline() == b"--picture\r\n"
        assert answer.readline() == b"Content-Type: image/jpeg\r\n"
        size = int(answer.readline().split()[1])
        assert answer.readline() == b"\r\n"
        picture = cv2.imdecode(np.frombuffer(answer.read(size), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (120, 160, 3)
        assert answer.readline() == b"\r\n"
        blue, _, red = (picture[..., channel].astype(int) for channel in range(3))
        boxes += bool((blue - red > 90).sum() > 40)  # a track's colour
    connection.close()

    assert boxes >= 3


def test_the_figures_tell_what_each_stage_costs_and_what_happened(running: TuneServer) -> None:
    def status() -> dict[str, object]:
        answer = get(running.url + "status.json")
        return dict(json.loads(answer[2]))

    eventually(lambda: bool(status().get("news")), 20.0, "somebody enters the zone")
    figures = status()
    assert figures["fault"] == ""
    assert "person.entered_zone  zone z-all" in str(figures["news"]) or "person.left_zone" in str(figures["news"])
    assert 0 < int(str(figures["detected"])) <= int(str(figures["looked"])) < int(str(figures["frames"]))
    assert float(str(figures["detect_ms"])) > 0


def test_a_drawn_zone_comes_back_as_lines_that_the_site_file_takes() -> None:
    query = urlencode({"id": "z-gate", "polygon": "[[0.1234,0.1],[0.9,0.1],[0.5,1.7]]"})
    lines = drawn_lines(query)["toml"]

    assert lines.splitlines()[0] == "[[camera.zone]]"
    zone = ZoneConfig.model_validate(tomllib.loads(lines)["camera"]["zone"][0])
    assert zone.polygon == ((0.123, 0.1), (0.9, 0.1), (0.5, 1.0))


def test_two_corners_come_back_as_a_line() -> None:
    lines = drawn_lines(urlencode({"id": "l-gate", "polygon": "[[0.1,0.5],[0.9,0.5]]"}))["toml"]
    line = LineConfig.model_validate(tomllib.loads(lines)["camera"]["line"][0])

    assert line.points == ((0.1, 0.5), (0.9, 0.5))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"id": "z", "polygon": "[[0,0],[1,1],[1,0],[0,1]]"}, "polygon: a zone's sides must not touch or cross"),
        ({"id": "Z !", "polygon": POLYGON}, "id: String should match"),
        ({"id": "z", "polygon": "[[0,0]]"}, "polygon: Tuple should have at least 3"),
        ({"id": "z", "polygon": "[[0,0],[0,0]]"}, 'line "z": points: its two ends are one point'),
        ({"id": "z", "polygon": "no"}, "polygon: is no list of [x, y]"),
        ({"id": "z", "polygon": "7"}, "polygon: is no list of [x, y]"),
        ({"id": "z", "polygon": "[[1e999,null]]"}, "polygon: is no list of [x, y]"),
        ({"id": "z", "polygon": "[" * 1200}, "polygon: is no list of [x, y]"),
        ({"id": "z", "polygon": "[" * 9000}, "too many corners"),
    ],
)
def test_a_zone_that_is_none_is_told(given: dict[str, str], fault: str) -> None:
    assert str(drawn_lines(urlencode(given))["fault"]).startswith(fault)


def test_a_zone_is_drawn_with_the_mouse(running: TuneServer) -> None:
    faults: list[str] = []
    with running_browser() as browser:
        context = new_context(browser)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if _is_fault(message) else None)
        page.goto(running.url, wait_until="commit")  # the pictures never end
        expect(page.locator("#figures tr")).to_have_count(9, timeout=20_000)
        expect(page.locator("#picture")).to_have_js_property("naturalWidth", 160, timeout=20_000)
        box = page.locator("#drawing").bounding_box()
        assert box is not None
        for x, y in ((0.1, 0.2), (0.9, 0.2), (0.5, 0.8)):
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.get_by_label("Name").fill("z-gate")
        shown = page.locator("#toml")
        expect(shown).to_have_value(re.compile("z-gate"), timeout=20_000)
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.8 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.1 * box["height"])
        page.mouse.up()
        expect(shown).to_have_value(re.compile(r"\[0\.5, 0\.(1|101|099)\]"), timeout=20_000)
        page.get_by_role("button", name="Undo corner").click()
        expect(shown).to_have_value(re.compile("camera.line"), timeout=20_000)
        page.get_by_role("button", name="Start again").click()
        expect(shown).to_have_value("", timeout=20_000)
        context.close()

    assert faults == []


def _is_fault(message: ConsoleMessage) -> bool:
    """Whatever a policy or a script complains of; that the page has no icon is none."""
    return message.type == "error" and not message.location["url"].endswith("/favicon.ico")


def test_it_ends_when_nobody_watches(clip: Path) -> None:
    with tuning(Address(str(clip), "file"), idle_s=0.5) as server:
        connection, answer = watching(server.url)
        assert answer.readline() == b"--picture\r\n"
        waiting = threading.Thread(target=server.wait)
        waiting.start()
        waiting.join(1.5)
        assert waiting.is_alive(), "as long as somebody watches it goes on"

        answer.close()
        connection.close()
        waiting.join(PATIENCE_S)
        assert not waiting.is_alive()


def watching(url: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """A browser that shows the pictures, as they come."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=PATIENCE_S)
    connection.request("GET", f"{parts.path}stream.mjpg")
    return connection, connection.getresponse()


def test_a_camera_that_is_away_is_told_on_the_page() -> None:
    with tuning(Address("rtsp://viewer:secret@127.0.0.1:1/x", "rtsp")) as server:
        eventually(lambda: b"refused" in get(server.url + "status.json")[2], 20.0, "the fault")
        assert b"secret" not in get(server.url + "status.json")[2]


def test_too_many_connections_are_closed_at_once(running: TuneServer) -> None:
    held: list[http.client.HTTPResponse] = []

    def hold_one_more() -> None:
        held.append(watching(running.url)[1])

    for _ in range(serving.MAX_CONNECTIONS // 2):
        hold_one_more()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        all(hold_one_more() is None for _ in range(serving.MAX_CONNECTIONS))
    for answer in held:
        answer.close()


@pytest.mark.parametrize("ending", [".avi", ".mp4"])
def test_the_command_writes_an_annotated_video(clip: Path, tmp_path: Path, ending: str) -> None:
    site, target = tmp_path / "site.toml", tmp_path / f"seen{ending}"
    site.write_text(
        '[[camera]]\nid = "c-east"\nplace = "p"\nurl = "rtsp://127.0.0.1:1/x"\n'
        '[[camera.zone]]\nid = "z"\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]\n'
    )
    arguments = ["--camera", "c-east", "--config", str(site), "--clip", str(clip), "--video", str(target)]
    result = CliRunner().invoke(app, ["edge", "tune", *arguments])

    assert result.exit_code == 0, result.output
    assert "pictures; motion" in result.stderr
    video = cv2.VideoCapture(str(target))
    there, picture = video.read()
    assert there
    assert picture.shape == (120, 160, 3)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == pytest.approx(25, abs=1)


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--clip", "nowhere.mp4"], 1, "nowhere.mp4: there is no such file"),
        (["--video", "x.gif"], 2, "the name must end in .avi or .mp4"),
        (["--video", "/nowhere/x.avi", "--seconds", "1"], 1, "refused"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, more: list[str], status: int, said: str) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[[camera]]\nid = "c-east"\nplace = "p"\nurl = "rtsp://127.0.0.1:1/x"\n')
    result = CliRunner().invoke(app, ["edge", "tune", "--camera", "c-east", "--config", str(site), *more])

    assert result.exit_code == status, result.output
    assert said in result.stderr
