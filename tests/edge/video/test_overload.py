"""What is told of cameras that get less than they ask for: in the mailboxes' figures and in the metrics."""

from dataclasses import replace
from pathlib import Path

import av
import pytest

from edge.clock import SystemClock
from edge.daemon import _cameras_health
from edge.metrics import _video
from edge.video.detection import Candidate, Mailboxes
from edge.video.schedule import Priority, Rate
from edge.video.service import VideoService
from tests.edge.video.parts import PictureFolder, Recording, SetClock, camera, video

FRAME = av.VideoFrame(16, 16, "yuv420p")


def test_the_mailboxes_tell_what_each_camera_asked_for_and_got() -> None:
    """Two cameras ask five times a second, the detector takes five frames a second in all."""
    clock = SetClock()
    boxes = Mailboxes([Priority.HIGH, Priority.LOW], clock.monotonic_s)
    for _ in range(60):
        for index in (0, 1):
            boxes.put(index, Candidate(FRAME, clock.at_s))
        clock.at_s += 0.2
        assert boxes.take(0.0) is not None
    rates = [boxes.rate(index) for index in (0, 1)]
    assert [rate.asked for rate in rates] == pytest.approx([5.0, 5.0], abs=0.2)
    assert [rate.analysed for rate in rates] == pytest.approx([4.0, 1.0], abs=0.2)
    assert [rate.is_degraded for rate in rates] == [True, True]
    assert boxes.tally(1).replaced > 30


def test_a_degraded_camera_stands_in_the_metrics_and_in_the_health(tmp_path: Path) -> None:
    cameras = video(camera(), camera("c-north"))
    service = VideoService(cameras, Recording(), PictureFolder(tmp_path), SystemClock())
    status = service.status()
    tired = replace(status, cameras=(replace(status.cameras[0], rate=Rate(5.0, 2.0)), status.cameras[1]))
    told = {
        (sample.name, sample.labels.get("camera")): sample.value
        for metric in _video(tired)
        for sample in metric.samples
    }
    assert told["gatehouse_edge_camera_asked_rate", "c-east"] == 5.0
    assert told["gatehouse_edge_camera_analysed_rate", "c-east"] == 2.0
    assert told["gatehouse_edge_camera_degraded", "c-east"] == 1
    assert told["gatehouse_edge_camera_degraded", "c-north"] == 0
    health = _cameras_health(tired)
    assert (health["c-east"]["degraded"], health["c-north"]["degraded"]) == (True, False)
