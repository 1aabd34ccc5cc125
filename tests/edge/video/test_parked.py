"""Parked cars of real footage, our detector, and headlights drawn over them: two visits, however the light plays."""

import av
import numpy as np
import numpy.typing as npt

from edge.clock import Moment
from edge.video.analysis import WEAK_SCORE, CameraAnalysis, Report
from edge.video.tracker import TrackerConfig
from models import load_detector
from protocols.events import VehicleEnteredZone
from tests.edge.video.parts import camera
from tests.support.rtsp import CLIPS

Picture = npt.NDArray[np.uint8]
CARS = {"id": "z-cars", "polygon": [[0.8, 0], [1, 0], [1, 0.3], [0.8, 0.3]], "classes": ["vehicle"]}


def lit(picture: Picture, x: float) -> Picture:
    """The picture with the glare of headlights, which hides what it lies on, around (`x`, 70)."""
    height, width = picture.shape[:2]
    across, down = np.meshgrid(np.arange(width) - x, np.arange(height) - 70)
    light = 700 * np.exp(-(across**2 / (2 * 30**2) + down**2 / (2 * 20**2)))
    return np.clip(picture + light[..., None], 0, 255).astype(np.uint8)


def test_headlights_over_two_parked_cars_make_no_new_visit_and_end_none() -> None:
    detector, told = load_detector(), list[Report]()
    with av.open(str(CLIPS / "gate-east.mp4")) as container:
        pictures = [f.to_ndarray(format="bgr24") for f, _ in zip(container.decode(video=0), range(12), strict=False)]
    analysis = CameraAnalysis(camera(zone=[CARS]), told.append, TrackerConfig())

    def look(picture: Picture, at_s: float) -> None:
        analysis.see(detector.detect(picture, WEAK_SCORE), picture, Moment(1_700_000_000 + at_s, at_s))

    for at_s in range(13):
        look(pictures[at_s % 12], float(at_s))
    assert len(analysis.followed.still) == 2
    for i in range(20):
        look(lit(pictures[i % 12], 500 + 20.0 * i), 13 + i * 0.2)
    for at_s in range(17, 21):
        look(pictures[at_s % 12], float(at_s))
    assert len(analysis.followed.still) == 2
    assert [type(report.data) for report in told] == [VehicleEnteredZone] * 2
