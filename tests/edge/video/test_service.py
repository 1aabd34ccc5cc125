"""The whole of video: from the demo's clip to events with pictures, and what happens when one of its parts fails."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge.clock import SystemClock
from edge.video.config import DetectorConfig, VideoConfig
from edge.video.errors import VideoError
from edge.video.service import VideoService
from edge.video.source import Timing
from edge.video.states import CameraState
from edge.video.stream import Stream
from models import Detections, load_detector
from protocols.events import (
    CameraFault,
    CameraOffline,
    CameraOnline,
    PersonEnteredZone,
    PersonLeftZone,
    Snapshot,
    SourceRestarted,
    VehicleEnteredZone,
)
from tests.edge.video.parts import QUICK, PictureFolder, Recording, camera, video, write_clip
from tests.edge.video.test_cameras import NothingSeen, no_detector, site
from tests.support.rtsp import CLIPS, demo_server, wait_until


def picture_of(snapshot: Snapshot | None, folder: Path) -> np.ndarray:
    assert snapshot is not None
    assert snapshot.size_bytes <= 100_000
    picture = cv2.imread(str(folder / snapshot.sha256))
    assert picture.shape == (snapshot.height, snapshot.width, 3)
    return picture


def test_people_of_the_demo_clip_enter_and_leave_with_pictures(tmp_path: Path) -> None:
    middle = [{"id": "z-path", "polygon": [[0.3, 0], [0.7, 0], [0.7, 1], [0.3, 1]]}]
    with demo_server() as server:
        gate = camera(url=server.url("gate-east.mp4"), zone=middle)
        with site(tmp_path, gate, load=load_detector) as here:
            recording = here.recording
            wait_until(lambda: recording.of(PersonLeftZone), 40.0, "someone who left")
            status = here.status()
    entered, left = recording.of(PersonEnteredZone), recording.of(PersonLeftZone)
    assert {visit.track for visit in left} <= {visit.track for visit in entered}
    for visit in entered:
        assert visit.zone == "z-path"
        assert 0.3 <= (visit.box.left + visit.box.right) / 2 <= 0.7
        assert visit.score >= 0.25
        picture_of(visit.snapshot, tmp_path)
    for visit in left:
        picture_of(visit.snapshot, tmp_path)
    assert left[0].dwell_s > 0
    assert status.tracks_confirmed >= 1
    assert status.detections > 0
    assert all(o.moment.wall_s == pytest.approx(time.time(), abs=120) for o in recording.observations)


def test_an_arrival_is_told_as_soon_as_its_frame_is_analysed(tmp_path: Path) -> None:
    """Counted in the detector's turns: however slow the machine is, no frame waits behind another."""
    turns_s: list[float] = []
    later: list[int] = []

    class Counting:
        def __init__(self, name: str) -> None:
            self._detector = load_detector(name)

        def detect(self, frame: np.ndarray, floor: float | None = None) -> Detections:
            if frame.shape[0] == 576:  # a closer look at a part belongs to the same turn
                turns_s.append(time.monotonic())
            return self._detector.detect(frame, floor)

    recording = Recording()

    def record(observation: object) -> None:
        recording(observation)
        if isinstance(observation.data, PersonEnteredZone | VehicleEnteredZone):
            later.append(sum(at_s > observation.moment.monotonic_s for at_s in turns_s[:]))

    gate = video(camera(url=(CLIPS / "gate-east.mp4").as_uri()))
    service = VideoService(gate, record, PictureFolder(tmp_path), SystemClock(), QUICK, load=Counting)
    service.start()
    try:
        wait_until(lambda: len(later) >= 5, 40.0, "five arrivals")
    finally:
        service.stop()
    assert set(later) <= {1, 2}, "its own turn, and one that may have begun while it was told"


def test_the_detector_sleeps_while_nothing_moves(tmp_path: Path) -> None:
    scene = np.random.default_rng(3).integers(40, 200, (30, 40, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    still = write_clip(tmp_path / "still.mp4", lambda i: scene, frames=60)
    with site(tmp_path, camera(url=still.as_uri())) as here:
        wait_until(lambda: here.status().frames_checked >= 25, 15.0, "five seconds of stillness")
        assert 1 <= here.status().frames_analysed <= 8  # the first second alone
        assert here.service.status().detector_busy_s < 2.0


def moving_clip(tmp_path: Path, frames: int = 150) -> str:
    """The address of a clip in which something moves, so that the detector is asked."""

    def picture(i: int) -> np.ndarray:
        drawn = np.full((240, 320, 3), 90, np.uint8)
        drawn[80:200, (i * 9) % 280 : (i * 9) % 280 + 40] = 230
        return drawn

    return write_clip(tmp_path / "moving.mp4", picture, frames).as_uri()


def test_a_detector_that_crashes_is_made_again_and_told(tmp_path: Path) -> None:
    class Fragile(NothingSeen):
        def __init__(self, life: int) -> None:
            self.life = life

        def detect(self, frame: np.ndarray, floor: float | None = None) -> Detections:
            if self.life == 1:
                raise RuntimeError("cosmic ray")
            return Detections.none()

    lives: list[int] = []

    def load(name: str) -> Fragile:
        lives.append(1)
        return Fragile(len(lives))

    with site(tmp_path, camera(url=moving_clip(tmp_path)), load=load) as here:
        wait_until(lambda: here.status().frames_analysed > 3, 15.0, "analysis after the crash")
        (restarted,) = here.recording.of(SourceRestarted)
        assert restarted.source == "video-detector"
        assert restarted.reason == "RuntimeError: cosmic ray"
        assert here.recording.of(CameraOffline) == []


def test_a_slow_detector_coarsens_analysis_and_delays_no_camera(tmp_path: Path) -> None:
    turn, asked = threading.Semaphore(0), threading.Event()

    class Slow(NothingSeen):
        def detect(self, frame: np.ndarray, floor: float | None = None) -> Detections:
            asked.set()
            turn.acquire(timeout=60.0)
            return Detections.none()

    url = moving_clip(tmp_path, frames=300)
    with site(tmp_path, camera(url=url), camera("c-north", url), load=lambda name: Slow()) as here:
        assert asked.wait(20.0)
        here.await_frames(30)  # while the detector answers nothing at all
        here.await_frames(30, index=1)
        assert here.status(0).frames_replaced + here.status(1).frames_replaced > 0
        assert here.status(0).frames_analysed + here.status(1).frames_analysed == 0
        turn.release(1000)
        wait_until(lambda: min(here.status(i).frames_analysed for i in (0, 1)) >= 2, 15.0, "turns for both cameras")


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Set at the end of the test, so that nothing hangs for ever."""
    release = threading.Event()
    yield release
    release.set()


def test_a_stuck_decoder_is_replaced_and_no_other_camera_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: threading.Event
) -> None:
    original, stuck = Stream.packets, []

    def packets(stream: Stream) -> Iterator[av.Packet]:
        for number, packet in enumerate(original(stream)):
            if number == 5 and not stuck and threading.current_thread().name == "camera-c-east":
                stuck.append(number)
                hang.wait(30.0)  # as a decoder that never returns
            yield packet

    monkeypatch.setattr(Stream, "packets", packets)
    url = moving_clip(tmp_path, frames=300)
    timing = Timing(3.0, 1.0, 0.2, 0.5, 2.0, stuck_s=2.0)
    with site(tmp_path, camera(url=url), camera("c-north", url), timing=timing) as here:
        here.await_state(CameraState.STUCK)
        here.await_frames(10, index=1)
        here.await_state(CameraState.ONLINE)
        here.await_frames(10)
        assert [restarted.source for restarted in here.recording.of(SourceRestarted)] == ["camera-c-east"]
        assert [offline.fault for offline in here.recording.of(CameraOffline)] == [CameraFault.SILENT]
        assert len(here.recording.of(CameraOnline, "c-east")) == 2
        assert here.status(1).connections == 1
        decoded = here.status().frames_decoded
        hang.set()  # the hung thread comes back, and finds that it is no longer wanted
        here.await_frames(5)
        assert here.status().frames_decoded >= decoded
        assert here.status().state is CameraState.ONLINE


def test_a_reader_that_crashes_is_restarted_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, crashed = Stream.packets, []

    def packets(stream: Stream) -> Iterator[av.Packet]:
        for number, packet in enumerate(original(stream)):
            if number == 5 and not crashed:
                crashed.append(number)
                raise RuntimeError("unforeseen")
            yield packet

    monkeypatch.setattr(Stream, "packets", packets)
    with site(tmp_path, camera(url=moving_clip(tmp_path))) as here:
        wait_until(lambda: here.status().restarts == 1, 10.0, "a restart")
        wait_until(lambda: bool(here.recording.of(SourceRestarted, "c-east")), 10.0, "the event of the restart")
        here.await_state(CameraState.ONLINE)
        (restarted,) = here.recording.of(SourceRestarted, "c-east")
        assert (restarted.reason, restarted.attempt) == ("RuntimeError: unforeseen", 1)


def test_an_unknown_detector_is_one_clear_error(tmp_path: Path) -> None:
    config = VideoConfig(detector=DetectorConfig(model="no-such"), cameras=(camera(),))
    with pytest.raises(VideoError, match="no-such"):
        VideoService(config, Recording(), PictureFolder(tmp_path), SystemClock()).start()


def test_a_provider_that_is_not_here_ends_the_start_with_a_clear_error(tmp_path: Path) -> None:
    for name in ("openvino", "cuda"):
        config = VideoConfig(detector=DetectorConfig(provider=name), cameras=(camera(),))
        with pytest.raises(VideoError, match=f'provider = "{name}" .* set provider = "cpu"'):
            VideoService(config, Recording(), PictureFolder(tmp_path), SystemClock()).start()


def test_without_cameras_nothing_is_started(tmp_path: Path) -> None:
    before = threading.active_count()
    service = VideoService(video(), Recording(), PictureFolder(tmp_path), SystemClock(), load=no_detector)
    service.start()
    assert threading.active_count() == before
    assert service.status().cameras == ()
    service.stop()
