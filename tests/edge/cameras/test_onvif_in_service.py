"""The running cameras with an ONVIF side: the camera's own motion wakes its source; nothing of it touches the video."""

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.cameras.config import OnvifConfig
from edge.cameras.watch import WatchState, WatchStatus
from edge.clock import SystemClock
from edge.daemon import _cameras_health
from edge.metrics import _video
from edge.video.config import CameraConfig, VideoConfig
from edge.video.service import VideoService
from edge.video.states import CameraState
from tests.edge.cameras.test_watch import QUICK as QUICK_ONVIF
from tests.edge.video.parts import QUICK, PictureFolder, Recording, camera, video
from tests.edge.video.test_replay import SeesWhite
from tests.peers.onvif import PASSWORD, USER
from tests.peers.onvif_camera import OnvifCameraPeer
from tests.support.gateways import eventually
from tests.support.rtsp import demo_server


def service_of(cameras: VideoConfig, folder: Path) -> VideoService:
    return VideoService(
        cameras,
        Recording(),
        PictureFolder(folder),
        SystemClock(),
        QUICK,
        lambda _: SeesWhite(),
        onvif_timing=QUICK_ONVIF,
    )


def onvif_of(service: VideoService) -> WatchStatus:
    onvif = service.status().cameras[0].onvif
    assert onvif is not None
    return onvif


def test_the_cameras_own_motion_wakes_its_source_and_its_fault_touches_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "edge.video.source")
    monkeypatch.setenv("CAMERA_PASSWORD", PASSWORD)
    account = {"username": USER, "password_env": "CAMERA_PASSWORD"}
    with OnvifCameraPeer() as peer, demo_server() as server:
        onvif = {"port": peer.port, "timeout_s": 2.0}
        service = service_of(video(camera(url=server.url("gate-east.mp4"), onvif=onvif, **account)), tmp_path)
        service.start()
        try:
            eventually(lambda: onvif_of(service).state is WatchState.LISTENING, 20.0, "listening")
            eventually(lambda: service.status().cameras[0].state is CameraState.ONLINE, 20.0, "pictures")
            peer.move(active=True)
            eventually(lambda: onvif_of(service).motions == 1, 20.0, "the camera's motion")
            called = "camera c-east is called: its own RuleEngine/CellMotionDetector/Motion"
            eventually(lambda: called in caplog.text, 20.0, "the call to its source")
            assert PASSWORD not in caplog.text
            told = "\n".join(str(each) for metric in _video(service.status()) for each in metric.samples)
            assert "gatehouse_edge_camera_clock_offset_seconds" in told
            peer.stop()
            reason = lambda: str(_cameras_health(service.status())["c-east"]["onvif"]["reason"])  # noqa: E731
            eventually(lambda: "no answer" in reason(), 20.0, "the fault of its ONVIF side")
            frames = service.status().cameras[0].frames_received
            eventually(lambda: service.status().cameras[0].frames_received > frames + 5, 20.0, "more pictures")
            assert service.status().cameras[0].connections == 1
        finally:
            service.stop()


def test_a_camera_without_an_onvif_section_is_asked_nothing(tmp_path: Path) -> None:
    service = service_of(video(camera()), tmp_path)

    assert service.status().cameras[0].onvif is None


@pytest.mark.parametrize(
    "given",
    [{"port": 0}, {"host": "a b"}, {"username": "u"}, {"timeout_s": 60}, {"source": ""}, {"unknown": 1}],
)
def test_an_onvif_section_that_cannot_work_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OnvifConfig.model_validate(given)


def test_an_onvif_section_needs_a_host() -> None:
    with pytest.raises(ValidationError, match="needs a host"):
        camera(onvif={})

    assert isinstance(camera(onvif={"host": "192.0.2.1"}), CameraConfig)
