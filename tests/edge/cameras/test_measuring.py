"""What a stream is, measured: of a clip exactly, of a real RTSP server nearly; and why one cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.cameras.measuring import measure
from edge.video.address import Address
from edge.video.errors import StreamFault
from gatehouse.cli import app
from protocols.events import CameraFault
from tests.edge.video.parts import write_clip
from tests.edge.video.watching import scene, with_walker
from tests.peers.mjpeg_camera import MjpegCamera
from tests.support.ports import free_port
from tests.support.rtsp import demo_server, gstreamer_server


def test_a_clip_is_measured_by_its_own_time_stamps(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (50, 120, 160, 3), np.uint8)
    clip = write_clip(tmp_path / "clip.mp4", lambda i: noise[i], 50, rate=8)
    seen: list[float] = []
    measured = measure(Address(str(clip), "file"), 30.0, seen.append)

    assert (measured.codec, measured.width, measured.height) == ("h264", 160, 120)
    assert measured.fps == pytest.approx(8.0)
    assert measured.keyframe_every_s == pytest.approx(10 / 8)
    assert measured.seconds == pytest.approx(50 / 8)
    assert measured.bitrate_kbps == pytest.approx(clip.stat().st_size * 8 / 1000 / (50 / 8), rel=0.03)
    assert measured.damaged == 0
    assert len(seen) >= 50


def test_a_stream_of_a_real_server_is_measured_within_its_seconds() -> None:
    with demo_server() as server:
        measured = measure(Address(server.url("gate-east.mp4"), "rtsp"), 3.0)

    assert (measured.codec, measured.width, measured.height) == ("h264", 768, 576)
    assert 9.0 <= measured.fps <= 11.0
    assert 2.0 <= measured.seconds <= 8.0


def test_a_stream_that_is_not_there_is_said() -> None:
    with pytest.raises(StreamFault) as raised:
        measure(Address(f"rtsp://viewer:secret@127.0.0.1:{free_port()}/x", "rtsp"), 3.0)

    assert raised.value.fault is CameraFault.REFUSED
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("account", [None, "viewer:s/ecret"])
def test_a_camera_that_has_only_pictures_over_http_is_probed_by_their_address(
    account: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "s/ecret")
    given = ["--user", "viewer", "--password-env", "CAMERA_PASSWORD"] if account else []
    with MjpegCamera(with_walker(scene(), 0), account=account) as peer:
        result = CliRunner().invoke(app, ["edge", "cameras", "probe", peer.url, "--seconds", "2", *given])
    assert result.exit_code == 0, result.output
    assert f'url = "{peer.url}"' in result.stdout
    assert "mjpeg costs much bandwidth" in result.stdout
    assert "ecret" not in result.stdout


def test_a_configured_camera_is_probed_the_way_it_is_read(tmp_path: Path) -> None:
    """This one sends by UDP alone, as it is set up here."""
    with gstreamer_server(udp_alone=True) as server:
        site = tmp_path / "site.toml"
        stream = f'id = "c-east"\nplace = "gate-east"\nurl = "{server.url("cam")}"'
        for transport, status in (("tcp", 1), ("udp", 0)):
            site.write_text(f'[[camera]]\n{stream}\ntransport = "{transport}"\n')
            asked = ["edge", "cameras", "probe", "c-east", "--config", str(site), "--seconds", "2"]
            result = CliRunner().invoke(app, asked)
            assert result.exit_code == status, result.output
