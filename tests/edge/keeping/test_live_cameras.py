"""Clips from cameras as the gateway reads them: a real RTSP server, the video service, the ring and the writer."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.clock import SystemClock
from edge.config import load_config
from edge.keeping.assembly import sinks_of
from edge.keeping.config import KeepingSection
from edge.keeping.service import KeptCamera
from edge.video.service import VideoService
from edge.video.snapshot import Image
from gatehouse.edge_command import app
from models import Detections
from protocols.clip_events import ClipKept
from tests.edge.keeping.parts import FORCED, Kept
from tests.edge.video.parts import QUICK, PictureFolder, camera, detections, video
from tests.support.footage import ffprobe_errors, play, sha256
from tests.support.gateways import eventually
from tests.support.rtsp import gstreamer_server

SHORT = KeepingSection(free_mib=1, before_s=2, after_s=2)


class SeesNothing:
    """A detector that finds nobody."""

    def __init__(self, _model: str) -> None: ...

    def detect(self, frame: Image, floor: float | None = None) -> Detections:
        return detections()


def test_a_door_s_alarm_has_clips_of_h264_and_of_another_camera_s_h265_main_stream(tmp_path: Path) -> None:
    cameras = KeptCamera("c-east", "gate-east"), KeptCamera("c-two", "gate-east")
    kept = Kept(tmp_path, *cameras, section=SHORT, clock=SystemClock())
    kept.keeping.start()
    with gstreamer_server() as sub, gstreamer_server(codec="h265") as main:
        config = video(camera(url=sub.url("cam")), camera("c-two", sub.url("cam"), main_url=main.url("cam")))
        sinks = {each.id: (sink,) for each in cameras if (sink := kept.keeping.sink(each.id)) is not None}
        folder = PictureFolder(tmp_path)
        service = VideoService(config, kept.keeping.tap, folder, SystemClock(), QUICK, load=SeesNothing, sinks=sinks)
        service.start()
        try:
            rings = kept.keeping.status
            eventually(lambda: all(ring.seconds >= 3.5 for ring in rings().rings.values()), 40, "3.5 s of both")
            event = kept.happens(FORCED, "d-east")
            clips = kept.await_(ClipKept, 2)
        finally:
            service.stop()
            kept.keeping.stop()
    assert {clip.codec for clip in clips} == {"h264", "hevc"}
    files = {sha256(path): path for path in kept.clip_files()}
    for clip in clips:
        path = files[clip.sha256]
        assert ffprobe_errors(path) == ""
        assert play(path).seconds == pytest.approx((clip.until - clip.since).total_seconds(), abs=0.3)
        assert clip.events == (event.id,)
        assert clip.since.timestamp() <= event.moment.wall_s - 1.9
        assert clip.until.timestamp() >= event.moment.wall_s + 1.5


def test_the_check_names_cameras_whose_video_is_not_masked(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    mask = "privacy_mask = [[[0.8, 0.2], [0.95, 0.2], [0.95, 0.4]]]"
    rows = [
        f'[[camera]]\nid = "c-{name}"\nplace = "gate"\nurl = "rtsp://127.0.0.1/x"\n{mask}\n{more}\n'
        for name, more in (("open", ""), ("masked", "masked_in_camera = true"), ("none", 'record = "none"'))
    ]
    site.write_text("\n".join(rows))
    done = CliRunner().invoke(app, ["check", "--config", str(site)])
    assert done.exit_code == 0
    assert "camera c-open: privacy_mask" in done.output
    assert "c-masked" not in done.output
    assert "camera c-none: privacy_mask" not in done.output, "nothing of it is kept"


def test_only_cameras_of_which_something_is_kept_have_a_sink(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    rows = [
        f'[[camera]]\nid = "c-{name}"\nplace = "gate"\nurl = "rtsp://127.0.0.1/x"\nrecord = "{name}"\n'
        for name in ("continuous", "events", "none")
    ]
    site.write_text("\n".join(rows))
    kept = Kept(tmp_path, KeptCamera("c-continuous", "gate", "continuous"), KeptCamera("c-events", "gate"))
    assert set(sinks_of(load_config(site), kept.keeping)) == {"c-continuous", "c-events"}
    assert sinks_of(load_config(site), None) == {}
