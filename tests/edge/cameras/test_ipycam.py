"""A real ONVIF camera that is not ours (`ipycam`): found, asked, watched and turned into lines of the site file."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner, Result

from edge.access.drivers.interface import ReaderDown
from edge.cameras.address import CameraAddress
from edge.cameras.probing import ask
from edge.clock import SystemClock
from edge.onvif.client import Unauthorised
from edge.video.config import VideoConfig
from gatehouse.cli import app
from protocols.access_events import ReaderOfflineReason
from tests.edge.video.parts import write_clip
from tests.edge.video.test_replay import walker
from tests.peers.ipycam import HEIGHT, PASSWORD, SUB_HEIGHT, SUB_WIDTH, USER, WIDTH, IpycamCamera
from tests.support.onvif_doors import READER, running

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def camera() -> Iterator[IpycamCamera]:
    with IpycamCamera() as running:
        yield running


@pytest.fixture
def site(camera: IpycamCamera, tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(
        f'[[camera]]\nid = "c-east"\nplace = "p"\nurl = "rtsp://127.0.0.1:{camera.rtsp_port}/video_main"\n'
        f'username = "{USER}"\npassword_env = "CAMERA_PASSWORD"\n[camera.onvif]\nport = {camera.port}\n'
        '[[camera.zone]]\nid = "z-gate"\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]\n'
    )
    return path


def run(*arguments: str, password: str = PASSWORD) -> Result:
    return CliRunner().invoke(app, ["edge", "cameras", *arguments], env={"CAMERA_PASSWORD": password})


def test_it_is_found_by_a_probe_to_its_address(camera: IpycamCamera, site: Path) -> None:
    result = run("discover", "--host", "127.0.0.1", "--timeout", "1", "--config", str(site))

    assert result.exit_code == 0, result.output
    (row,) = [line for line in result.stdout.splitlines() if f":{camera.port}/" in line]
    assert row.split() == [f"http://127.0.0.1:{camera.port}/onvif/device_service", "Gate", "-", "-", "c-east"]


def test_it_says_what_it_is_and_what_it_offers(camera: IpycamCamera) -> None:
    answers = ask(CameraAddress("127.0.0.1", camera.port, USER), PASSWORD, SystemClock())

    assert (answers.information.manufacturer, answers.information.model) == ("Made up", "VC-1")
    assert answers.clock_offset_s is not None
    assert abs(answers.clock_offset_s) <= 2.0
    main, sub = answers.offers
    assert (main.profile.codec, main.profile.width, main.profile.height) == ("h264", WIDTH, HEIGHT)
    assert main.stream_uri == f"rtsp://127.0.0.1:{camera.rtsp_port}/video_main"
    assert (sub.profile.width, sub.profile.height) == (SUB_WIDTH, SUB_HEIGHT)
    assert sub.stream_uri == f"rtsp://127.0.0.1:{camera.rtsp_port}/video_sub"
    assert sub.snapshot_uri == f"http://127.0.0.1:{camera.port}/snapshot.jpg"
    assert not answers.has_events
    assert answers.most_masks == 0


def test_a_wrong_password_is_refused(camera: IpycamCamera) -> None:
    with pytest.raises(Unauthorised, match="check username"):
        ask(CameraAddress("127.0.0.1", camera.port, USER), "another", SystemClock())


@pytest.mark.parametrize(
    ("password", "reason", "said"),
    [
        (PASSWORD, ReaderOfflineReason.UNKNOWN_DEVICE, "refuses GetRelayOutputs"),
        ("another", ReaderOfflineReason.UNAUTHORISED, "check username"),
    ],
)
def test_as_a_doors_device_it_is_told_to_be_none(
    camera: IpycamCamera, tmp_path: Path, password: str, reason: ReaderOfflineReason, said: str
) -> None:
    secret = tmp_path / "password"
    secret.write_text(password + "\n")
    secret.chmod(0o600)
    with running(camera.port, secret, username=USER, inputs=(), timeout_s=3.0) as (driver, deliveries):
        down = deliveries.wait_for(ReaderDown)
        assert not driver.set_output(READER, 0, 1.0, ticket=1)

    assert down.reason is reason
    assert said in down.detail


def test_the_command_watches_its_streams_and_writes_the_site_files_lines(camera: IpycamCamera) -> None:
    address = f"127.0.0.1:{camera.port}"
    result = run("probe", address, "--user", USER, "--password-env", "CAMERA_PASSWORD", "--seconds", "2")

    assert result.exit_code == 0, result.output
    assert "Made up VC-1" in result.stdout
    assert "its clock agrees with ours" in result.stdout
    assert "H.264: cheap to decode" in result.stdout
    assert f"{WIDTH}x{HEIGHT}" in result.stdout
    assert f"{SUB_WIDTH}x{SUB_HEIGHT}" in result.stdout
    assert PASSWORD not in result.output
    document = tomllib.loads(result.stdout.partition("for the site file:")[2])
    (row,) = VideoConfig.model_validate(document).cameras
    assert row.url == f"rtsp://127.0.0.1:{camera.rtsp_port}/video_main", "the sub stream is too small"
    assert row.onvif is not None
    assert row.onvif.port == camera.port


def test_a_configured_camera_gives_a_picture_with_its_zones(site: Path, tmp_path: Path) -> None:
    still = tmp_path / "still.jpg"
    taken = run("snapshot", "c-east", "--config", str(site), "-o", str(still), "--zones")

    assert taken.exit_code == 0, taken.output
    picture = cv2.imread(str(still))
    assert picture is not None
    assert picture.shape == (HEIGHT, WIDTH, 3)
    red, green = picture[48, 320, 2], picture[48, 320, 1]
    assert red > 200, "the zone's upper side is drawn"
    assert green > 150


def test_a_configured_camera_is_probed_by_its_id(tmp_path: Path) -> None:
    clip, site = write_clip(tmp_path / "a clip.mp4", walker, 50), tmp_path / "site.toml"
    site.write_text(f'[[camera]]\nid = "east"\nplace = "p"\nurl = "{clip.as_uri()}"\n')
    result = run("probe", "east", "--config", str(site))

    assert result.exit_code == 0, result.output
    assert "160x120 is too small" in result.stdout
    assert 'id = "east"' in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["probe", "rtsp://u:p@127.0.0.1/x"], 2, "stands in the shell's history"),
        (["probe", "127.0.0.1:1", "--user", "u", "--password-env", "NOT_SET"], 2, "NOT_SET is not set"),
        (["probe", "127.0.0.1:1"], 1, "no ONVIF: no answer from 127.0.0.1:1"),
        (["probe", "rtsp://127.0.0.1:1/x", "--seconds", "2"], 1, "no stream can be read"),
        (["probe", "http://["], 2, "is no address"),
        (["snapshot", "c", "-c", "nowhere.toml", "-o", "x.jpg"], 2, "nowhere.toml: No such file"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], status: int, said: str) -> None:
    result = run(*arguments)

    assert result.exit_code == status, result.output
    assert said in result.stderr


def test_a_search_that_finds_nobody_says_what_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("discover", "--host", "127.0.0.2", "--timeout", "0.5")

    assert result.exit_code == 1
    assert "no camera answers (127.0.0.2)" in result.stderr
