"""What happens to streams on their way: they stall, break, are garbled, lose pictures, change size. Real peers."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge.video.gears import GearTiming
from edge.video.states import CameraState
from protocols.events import CameraFault, CameraOnline
from tests.edge.video.parts import QUICK, camera
from tests.edge.video.test_cameras import site
from tests.edge.video.test_feed import Keeper
from tests.edge.video.watching import Encoding, encode, scene, with_walker
from tests.peers.mjpeg_camera import MjpegCamera
from tests.support.certificates import make_certificates
from tests.support.rtsp import RtspServer, annexb, demo_server, gstreamer_server, wait_until
from tests.support.tcp_proxy import Mischief, TcpProxy

NOTICED_S = 5.0
SLACK_S = 10.0
"""For a machine that is busy with other tests."""


@pytest.fixture(scope="module")
def demo() -> Iterator[RtspServer]:
    """The demo's server, for tests that spoil what it sends on the way."""
    with demo_server() as server:
        yield server


@pytest.mark.parametrize(
    ("mischief", "faults"),
    [
        (Mischief.GARBLE_VIDEO, {CameraFault.UNDECODABLE}),
        (
            Mischief.GARBLE_ALL,
            {CameraFault.UNDECODABLE, CameraFault.SILENT, CameraFault.UNREACHABLE, CameraFault.ENDED},
        ),
    ],
)
def test_a_stream_gone_bad_is_noticed_and_comes_back(
    mischief: Mischief, faults: set[CameraFault], tmp_path: Path, demo: RtspServer
) -> None:
    with TcpProxy(demo.port) as proxy:
        gate = camera(url=f"rtsp://127.0.0.1:{proxy.port}/gate-east.mp4")
        with site(tmp_path, gate) as here:
            here.await_frames(5)
            proxy.mischief = mischief
            wait_until(here.faults, NOTICED_S + SLACK_S, "a fault")
            assert set(here.faults()) <= faults
            proxy.mischief = Mischief.NONE
            here.await_state(CameraState.ONLINE)
            here.await_frames(5)


def test_a_connection_that_breaks_is_made_again(tmp_path: Path, demo: RtspServer) -> None:
    with TcpProxy(demo.port) as proxy:
        gate = camera(url=f"rtsp://127.0.0.1:{proxy.port}/gate-east.mp4")
        with site(tmp_path, gate) as here:
            here.await_frames(5)
            proxy.reset_all()
            wait_until(lambda: here.status().connections == 2, SLACK_S, "another connection")
            here.await_frames(5)
            assert set(here.faults()) <= {CameraFault.UNREACHABLE, CameraFault.ENDED, CameraFault.SILENT}


def test_udp_carries_it_too(tmp_path: Path) -> None:
    first, second = gstreamer_server(), gstreamer_server(codec="h265")
    with first, second:
        cameras = camera(url=first.url("cam"), transport="udp"), camera("c-north", second.url("cam"), transport="udp")
        with site(tmp_path, *cameras) as here:
            here.await_frames(10)
            here.await_frames(10, index=1)
            assert [here.status(i).decode_errors for i in (0, 1)] == [0, 0]
            first.freeze()
            wait_until(lambda: here.faults() == [CameraFault.SILENT], QUICK.read_s + SLACK_S, "silence to be told")
            first.thaw()
            here.await_state(CameraState.ONLINE)
            assert here.faults("c-north") == []


def test_a_camera_that_knows_no_udp_says_what_to_change(tmp_path: Path, demo: RtspServer) -> None:
    with site(tmp_path, camera(url=demo.url("gate-east.mp4"), transport="udp")) as here:
        wait_until(here.faults, SLACK_S, "a fault")
        assert here.faults() == [CameraFault.REFUSED]
        assert "transport" in (here.status().detail or "")


def test_lost_pictures_are_counted_and_the_rest_is_seen(tmp_path: Path) -> None:
    with gstreamer_server(loss=0.2) as server, site(tmp_path, camera(url=server.url("cam"))) as here:
        wait_until(lambda: here.status().frames_checked >= 8, 20.0, f"pictures; {here.status()}")
        assert here.faults() == []
        assert here.status().connections == 1


def test_another_size_in_the_middle_is_told_and_nothing_else_happens(tmp_path: Path) -> None:
    raw = tmp_path / "both.h264"
    with raw.open("wb") as both:
        for width in (192, 256):
            moving = with_walker(scene(width=width), enters=0)
            clip = encode(tmp_path / f"{width}.mp4", moving, 15, Encoding(group=5))
            both.write(annexb(clip, tmp_path / "one.h264").read_bytes())
    keeper = Keeper()
    server = gstreamer_server(raw)
    with server, site(tmp_path, camera(url=server.url("cam")), sinks={"c-east": [keeper]}) as here:
        wait_until(lambda: len(here.recording.of(CameraOnline)) >= 3, 25.0, f"sizes; {here.status()}")
        assert here.faults() == []
        widths = [online.width for online in here.recording.of(CameraOnline)]
    assert set(widths) == {192, 256}
    assert all(a != b for a, b in pairwise(widths))
    assert [head.width for head in keeper.heads][: len(widths)] == widths
    assert keeper.ends == 1


def test_pictures_over_http_are_seen_change_their_size_and_stall(tmp_path: Path) -> None:
    place = scene()
    with MjpegCamera(with_walker(place, 0)) as peer, site(tmp_path, camera(url=peer.url)) as here:
        here.await_frames(5)
        assert here.recording.of(CameraOnline) == [CameraOnline(width=192, height=144, codec="mjpeg")]
        online_s = here.recording.observations[0].moment.monotonic_s
        assert abs(time.monotonic() - online_s) < 20.0
        peer.picture = with_walker(scene(width=256), 0)
        wait_until(lambda: len(here.recording.of(CameraOnline)) == 2, SLACK_S, "the other size")
        assert here.recording.of(CameraOnline)[1].width == 256
        peer.stalled.set()
        wait_until(lambda: here.faults() == [CameraFault.SILENT], NOTICED_S + SLACK_S, "silence")
        peer.stalled.clear()
        here.await_state(CameraState.ONLINE)


def test_pictures_over_https_are_seen(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    peer = MjpegCamera(with_walker(scene(), 0), certificate=(files.certificate, files.key))
    with peer, site(tmp_path, camera(url=peer.url)) as here:
        here.await_frames(3)


@pytest.mark.parametrize("password", ["right", "wrong-S3cret"])
def test_pictures_over_http_ask_for_the_password(
    password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", password)
    with MjpegCamera(lambda i: np.full((96, 128, 3), i % 250, np.uint8), account="viewer:right") as peer:
        gate = camera(url=peer.url, username="viewer", password_env="CAMERA_PASSWORD")
        with site(tmp_path, gate) as here:
            if password == "right":
                here.await_frames(2)
            else:
                wait_until(here.faults, SLACK_S, "a fault")
                assert here.faults() == [CameraFault.UNAUTHORISED]
            assert "S3cret" not in f"{here.service.status()} {here.recording.observations} {caplog.text}"


def test_the_main_stream_is_kept_and_never_decoded_and_each_fails_alone(tmp_path: Path, demo: RtspServer) -> None:
    keeper = Keeper()
    with TcpProxy(demo.port) as proxy:
        gate = camera(
            url=demo.url("gate-east.mp4"),
            main_url=f"rtsp://127.0.0.1:{proxy.port}/lane-north.mp4",
            motion_sensitivity=0.0,
        )
        with site(tmp_path, gate, sinks={"c-east": [keeper]}) as here:
            wait_until(lambda: here.status().main_packets >= 8, SLACK_S, f"packets; {here.status()}")
            assert here.status().main_state is CameraState.ONLINE
            proxy.mischief = Mischief.STALL
            wait_until(lambda: here.status().main_fault == "silent", NOTICED_S + SLACK_S, "silence")
            assert keeper.ends >= 1
            assert (here.faults(), here.status().state) == ([], CameraState.ONLINE)
            here.await_frames(5)
            proxy.mischief = Mischief.NONE
            wait_until(lambda: here.status().main_state is CameraState.ONLINE, SLACK_S, "the main stream again")
            assert here.status().connections == 1
    assert len(keeper.heads) >= 2
    assert all(head.codec == "h264" for head in keeper.heads)


def test_a_sleeping_camera_s_stall_is_noticed_and_a_call_wakes_it(tmp_path: Path) -> None:
    still = encode(tmp_path / "still.mp4", scene(), 100, Encoding(group=20))
    raw = annexb(still, tmp_path / "still.h264")
    quick = GearTiming(quiet_after_s=0.5)
    with gstreamer_server(raw) as server, TcpProxy(server.port) as proxy:
        gate = camera(url=f"rtsp://127.0.0.1:{proxy.port}/cam")
        with site(tmp_path, gate, gear_timing=quick) as here:
            wait_until(lambda: here.status().gear == "asleep", 20.0, f"sleep; {here.status()}")
            assert here.service.wake("c-east", "its own motion event")
            assert not here.service.wake("c-none", "nobody")
            wait_until(lambda: here.status().wakes.get("camera") == 1, SLACK_S, "the call")
            wait_until(lambda: here.status().gear == "asleep", 20.0, f"sleep again; {here.status()}")
            proxy.mischief = Mischief.GARBLE_VIDEO
            wait_until(lambda: here.faults() == [CameraFault.UNDECODABLE], NOTICED_S + SLACK_S, "the garbling")
            assert here.status().gear is None
