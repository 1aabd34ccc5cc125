"""The gateway's parts without threads: time passes as in the clip, every look is taken, and it comes out again."""

from pathlib import Path

import numpy as np

from benchmarks.stepped import SteppedCamera, SteppedClock, Ways, bench_camera
from models import Detections, Kind
from protocols.events import CameraOffline, CameraOnline, PersonEnteredZone, PersonLeftZone
from tests.edge.video.parts import PictureFolder, Recording, detections, write_clip

SECONDS = 8


class WhereItIsRed:
    """Finds the red square that the clip shows."""

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, frame: np.ndarray, floor: float | None = None) -> Detections:
        del floor
        self.looks += 1
        rows, columns = np.nonzero((frame[..., 2] > 150) & (frame[..., 0] < 100))
        if not len(rows):
            return detections()
        height, width = frame.shape[:2]
        box = (columns.min() / width, rows.min() / height, columns.max() / width, rows.max() / height)
        return detections((Kind.PERSON, 0.9, box))


def _walker(number: int) -> np.ndarray:
    """Somebody walks in after 2 s and out again after 5 s."""
    picture = np.full((96, 128, 3), 170, np.uint8)  # much brighter than who walks there
    if 20 <= number < 50:
        left = 10 + 2 * (number - 20)
        picture[30:70, left : left + 16] = (20, 30, 240)
    return picture


def _played(folder: Path, clip: Path, passes: int) -> tuple[Recording, SteppedCamera, WhereItIsRed, list[float]]:
    clock, recording, detector, steps = SteppedClock(), Recording(), WhereItIsRed(), []
    folder.mkdir()
    camera = SteppedCamera(
        bench_camera(clip), detector, recording, PictureFolder(folder), clock, passes,
        Ways(also=lambda: steps.append(clock.at_s)),
    )  # fmt: skip
    camera.play()
    return recording, camera, detector, steps


def test_a_visit_is_told_at_its_own_time_whatever_the_machine_does(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _walker, SECONDS * 10)
    recording, camera, detector, steps = _played(tmp_path / "a", clip, 1)
    entered = [o.moment.monotonic_s - 1000.0 for o in recording.observations if isinstance(o.data, PersonEnteredZone)]
    assert len(entered) == 1
    assert 2.0 <= entered[0] <= 4.5
    assert len(recording.of(PersonLeftZone)) == 1
    assert camera.source.frames_received == SECONDS * 10
    assert detector.looks == camera.analysis.frames + camera.loop.closer_looks[0]
    assert SECONDS - 0.2 <= steps[-1] - 1000.0 <= SECONDS + 2.0


def test_passes_are_connections_and_come_out_alike(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _walker, SECONDS * 10)
    first, *_ = _played(tmp_path / "a", clip, 2)
    second, camera, *_ = _played(tmp_path / "b", clip, 2)
    kinds = [type(observation.data).__name__ for observation in first.observations]
    assert kinds.count(PersonEnteredZone.__name__) == 2
    assert kinds.count(CameraOnline.__name__) == 2
    assert kinds.count(CameraOffline.__name__) >= 1
    told = [[(o.data.TYPE, o.moment.monotonic_s) for o in each.observations] for each in (first, second)]
    assert told[0] == told[1]
    assert camera.source.connection.connections == 2
