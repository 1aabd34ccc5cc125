"""Real servers, real streams: what a camera's trouble is called, and that nothing else suffers from it."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edge.backoff import Backoff
from edge.clock import SystemClock
from edge.observations import PictureStore
from edge.video.address import Address
from edge.video.config import CameraConfig
from edge.video.connection import Connection
from edge.video.detection import FrameDetector
from edge.video.errors import StreamFault
from edge.video.gears import GearTiming
from edge.video.packets import PacketSink
from edge.video.service import CameraStatus, VideoService
from edge.video.source import Timing
from edge.video.states import CameraState
from edge.video.worker import Run
from models import Detections
from protocols.events import CameraFault, CameraOffline, CameraOnline
from tests.edge.video.parts import QUICK, PictureFolder, Recording, camera, video, write_clip
from tests.support.ports import free_port
from tests.support.rtsp import CLIPS, RtspServer, annexb, demo_server, gstreamer_server, wait_until


class NothingSeen:
    """A detector that sees nothing: these tests are about streams."""

    def detect(self, frame: np.ndarray, floor: float | None = None) -> Detections:
        return Detections.none()


def no_detector(name: str) -> FrameDetector:
    return NothingSeen()


class Site:
    """A running video service and what it recorded."""

    def __init__(self, service: VideoService, recording: Recording) -> None:
        self.service = service
        self.recording = recording

    def status(self, index: int = 0) -> CameraStatus:
        return self.service.status().cameras[index]

    def faults(self, device: str = "c-east") -> list[CameraFault]:
        return [offline.fault for offline in self.recording.of(CameraOffline, device)]

    def await_state(self, state: CameraState, timeout_s: float = 30.0, index: int = 0) -> None:
        wait_until(lambda: self.status(index).state is state, timeout_s, f"state {state}; it is {self.status(index)}")

    def await_frames(self, more: int, index: int = 0) -> None:
        least = self.status(index).frames_decoded + more
        wait_until(lambda: self.status(index).frames_decoded >= least, 30.0, f"{more} frames; {self.status(index)}")


@contextmanager
def site(
    tmp_path: Path,
    *cameras: CameraConfig,
    timing: Timing = QUICK,
    load: Callable[[str], FrameDetector] = no_detector,
    pictures: PictureStore | None = None,
    sinks: Mapping[str, Sequence[PacketSink]] | None = None,
    gear_timing: GearTiming | None = None,
) -> Iterator[Site]:
    recording = Recording()
    kept = pictures if pictures is not None else PictureFolder(tmp_path)
    service = VideoService(
        video(*cameras), recording, kept, SystemClock(), timing, load, sinks=sinks, gear_timing=gear_timing
    )
    service.start()
    try:
        yield Site(service, recording)
    finally:
        service.stop()


@pytest.fixture(params=["demo", "gstreamer"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[RtspServer, str]]:
    """Each server with an endless stream of the demo's clip."""
    if request.param == "demo":
        running, path = demo_server(), "gate-east.mp4"
    else:
        running, path = gstreamer_server(annexb(CLIPS / "gate-east.mp4", tmp_path / "east.h264")), "cam"
    with running:
        yield running, running.url(path)


def test_frames_arrive_and_the_camera_is_told_online_then_stopped(
    server: tuple[RtspServer, str], tmp_path: Path
) -> None:
    with site(tmp_path, camera(url=server[1])) as here:
        here.await_frames(25)
        assert here.status().state is CameraState.ONLINE
        assert here.recording.of(CameraOnline) == [CameraOnline(width=768, height=576, codec="h264")]
        assert 0 < here.status().frames_checked < here.status().frames_decoded
    assert here.faults() == [CameraFault.STOPPED]
    assert here.status().state is CameraState.STOPPED


def test_a_server_that_dies_and_comes_back(server: tuple[RtspServer, str], tmp_path: Path) -> None:
    with site(tmp_path, camera(url=server[1])) as here:
        here.await_frames(5)
        server[0].kill()
        here.await_state(CameraState.WAITING)
        wait_until(lambda: CameraFault.REFUSED in here.faults(), 30.0, "a refused connection")
        server[0].start()
        here.await_state(CameraState.ONLINE)
        here.await_frames(5)
        assert len(here.recording.of(CameraOnline)) == 2
        assert set(here.faults()) <= {
            CameraFault.ENDED,
            CameraFault.UNREACHABLE,
            CameraFault.SILENT,
            CameraFault.REFUSED,
        }
        assert here.status().fault is None


def test_a_frozen_server_is_silent_and_no_other_camera_notices(server: tuple[RtspServer, str], tmp_path: Path) -> None:
    with demo_server() as other:
        cameras = camera(url=server[1]), camera("c-north", other.url("lane-north.mp4"))
        with site(tmp_path, *cameras) as here:
            here.await_frames(5)
            here.await_frames(5, index=1)
            server[0].freeze()
            wait_until(lambda: here.faults() == [CameraFault.SILENT], QUICK.read_s + 3.0, "silence to be told")
            here.await_frames(10, index=1)
            assert here.status(1).connections == 1
            assert here.faults("c-north") == []
            server[0].thaw()
            here.await_state(CameraState.ONLINE)


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password_is_unauthorised_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, password: str | None
) -> None:
    account = {}
    if password is not None:
        monkeypatch.setenv("CAMERA_PASSWORD", password + "-S3cret")
        account = {"username": "viewer", "password_env": "CAMERA_PASSWORD"}
    guarded = gstreamer_server(user="viewer", password="right")
    with guarded, site(tmp_path, camera(url=guarded.url("cam"), **account)) as here:
        wait_until(here.faults, 30.0, "a fault")
        assert here.faults() == [CameraFault.UNAUTHORISED]
        shown = f"{here.service.status()} {here.recording.observations} {caplog.text}"
    assert "S3cret" not in shown


def test_the_right_password_from_a_file_gives_frames(tmp_path: Path) -> None:
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("p w/@:1\n")
    account = {"username": "viewer", "password_file": tmp_path / "password"}
    guarded = gstreamer_server(user="viewer", password="p w/@:1")
    with guarded, site(tmp_path, camera(url=guarded.url("cam"), **account)) as here:
        here.await_frames(5)


def test_a_refused_account_is_not_tried_again_until_there_is_another_password(tmp_path: Path) -> None:
    """Cameras lock an account after a few wrong tries."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("wrong\n")
    guarded = gstreamer_server(user="viewer", password="right")
    with guarded, site(tmp_path, camera(url=guarded.url("cam"), username="viewer", password_file=password)) as here:
        wait_until(here.faults, 10.0, "a fault")
        time.sleep(5 * QUICK.retry_most_s)
        assert (here.status().connections, here.faults()) == (1, [CameraFault.UNAUTHORISED])
        password.write_text("right\n")
        here.await_state(CameraState.ONLINE)
        assert here.status().connections == 2


def test_an_account_that_worked_may_be_refused_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a camera that is starting; and after a few times it counts as refused."""
    tries: list[str] = []

    class Scripted:
        def __init__(self, *_: object) -> None:
            tries.append("")
            if len(tries) > 1:
                raise StreamFault(CameraFault.UNAUTHORISED, "no")

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("edge.video.connection.Stream", Scripted)
    address, backoff = Address("rtsp://camera/x", "rtsp"), Backoff(0.01, 0.01, lambda: 0.5)
    connection = Connection(lambda: address, SystemClock(), backoff, Timing(), lambda _fault: None)
    run = Run(time.monotonic)
    thread = threading.Thread(target=connection.keep, args=(run, lambda _stream, run: connection.flows(run)))
    thread.start()
    wait_until(lambda: len(tries) == 5, 10.0, "the tries")
    time.sleep(0.5)
    assert len(tries) == 5, "one that worked, three that are borne, and the one that counts"
    run.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_a_missing_password_file_is_a_fault_of_that_camera_alone(tmp_path: Path) -> None:
    account = {"username": "viewer", "password_file": tmp_path / "absent"}
    bad = camera(url="rtsp://127.0.0.1:1/x", **account)
    with site(tmp_path, bad, camera("c-north", f"file://{CLIPS}/lane-north.mp4")) as here:
        here.await_frames(5, index=1)
        wait_until(here.faults, 30.0, "a fault")
        (offline,) = here.recording.of(CameraOffline, "c-east")
        assert offline.fault is CameraFault.UNAUTHORISED
        assert "absent" in offline.detail


def test_hevc_is_read_too(tmp_path: Path) -> None:
    with gstreamer_server(codec="h265") as server, site(tmp_path, camera(url=server.url("cam"))) as here:
        here.await_frames(5)
        assert here.recording.of(CameraOnline)[0].codec == "hevc"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    nobody = f"rtsp://127.0.0.1:{free_port()}/x"
    folder = tmp_path.as_uri()
    with demo_server() as server:
        cameras = [
            camera("c-refused", nobody),
            camera("c-path", server.url("no-such.mp4")),
            camera("c-file", f"{folder}/no-such.mp4"),
            camera("c-host", "rtsp://camera.invalid/x"),
        ]
        with site(tmp_path, *cameras) as here:
            expected = {
                "c-refused": CameraFault.REFUSED,
                "c-path": CameraFault.NOT_FOUND,
                "c-file": CameraFault.NOT_FOUND,
                "c-host": CameraFault.UNREACHABLE,
            }
            for name, fault in expected.items():
                wait_until(partial(here.faults, name), 30.0, f"a fault of {name}")
                assert here.faults(name) == [fault], name
            wait_until(lambda: here.status().connections >= 3, 30.0, "more tries")
            assert here.faults("c-refused") == [CameraFault.REFUSED]  # told once, however often it is tried


def test_a_file_plays_once_at_its_own_pace_and_again_after_a_while(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "short.mp4", lambda i: np.full((96, 128, 3), 10 * i, np.uint8), frames=12)
    with site(tmp_path, camera(url=clip.as_uri())) as here:
        wait_until(lambda: here.status().connections == 2, 30.0, "a second play")
        online = here.recording.observations[0].moment.monotonic_s
        assert here.faults() == [CameraFault.ENDED]
        ended = here.recording.observations[1].moment.monotonic_s
        assert ended - online >= 1.0  # 12 frames at 10 a second; unpaced it takes milliseconds


def garbage(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(1).bytes(200_000))
    return path


def damaged(path: Path) -> Path:
    """The demo's clip with its video overwritten by noise, its index sound."""
    data = bytearray((CLIPS / "gate-east.mp4").read_bytes())
    noise = np.random.default_rng(1).bytes(len(data))
    data[40_000:] = noise[40_000:]
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [garbage, damaged])
def test_a_corrupt_file_is_a_named_fault_and_the_others_go_on(make: Callable[[Path], Path], tmp_path: Path) -> None:
    corrupt = make(tmp_path / "corrupt.mp4")
    good = write_clip(tmp_path / "good.mp4", lambda i: np.full((96, 128, 3), i, np.uint8), frames=100)
    with site(tmp_path, camera(url=corrupt.as_uri()), camera("c-north", good.as_uri())) as here:
        wait_until(here.faults, 30.0, "a fault")
        assert here.faults()[0] in {CameraFault.UNDECODABLE, CameraFault.ENDED}
        if make is garbage:
            assert here.faults() == [CameraFault.UNDECODABLE]
        here.await_frames(5, index=1)
        assert here.faults("c-north") == []


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_http_is_read_and_a_missing_page_is_named(tmp_path: Path) -> None:
    with web_server(CLIPS) as address:
        cameras = camera(url=f"{address}/gate-east.mp4"), camera("c-north", f"{address}/no-such.mp4")
        with site(tmp_path, *cameras) as here:
            here.await_frames(10)
            wait_until(lambda: here.faults("c-north") == [CameraFault.NOT_FOUND], 30.0, "not found")


def test_a_playlist_cannot_lead_to_local_files(tmp_path: Path) -> None:
    clip = (CLIPS / "gate-east.mp4").as_uri()
    (tmp_path / "trap.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:40\n#EXTINF:40,\n{clip}\n#EXT-X-ENDLIST\n")
    with web_server(tmp_path) as address, site(tmp_path, camera(url=f"{address}/trap.m3u8")) as here:
        wait_until(here.faults, 30.0, "a fault")
        assert here.status().frames_decoded == 0
