"""What goes and what stays: days, quotas, the floor of free space, holds, open alarms; and the order of giving up."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.counters import Counters
from edge.keeping.config import MIB, KeepingSection
from edge.keeping.index import Grade, Hold, KeepingIndex, Piece, PieceState
from edge.keeping.retention import CameraLimits, Retention, level_at
from edge.keeping.service import KeptCamera
from protocols.clip_events import ClipKept, ClipLossReason, ClipLost, KeepingChanged, KeepingLevel
from tests.edge.keeping.parts import ENTERED, FORCED, Kept
from tests.support.disks import fill, small_disk
from tests.support.footage import GATE_EAST, Feed, read
from tests.support.gateways import SetClock, eventually

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PIECE_BYTES = 400 * 1024


class Disk:
    """Pieces in a folder whose disk has as much room as the test says."""

    def __init__(self, folder: Path, room_bytes: int = 10**12) -> None:
        self.clock, self.counters, self.room_bytes = SetClock(), Counters(), room_bytes
        self.index = KeepingIndex(folder / "video.db", folder / "video")

    def add(self, grade: Grade, age_h: float, camera: str = "cam-a", sent: bool = True) -> Piece:
        since_ms = round(self.clock.wall * 1000 - age_h * HOUR_MS)
        name = f"{camera}-{grade}-{age_h:g}"
        path = self.index.folder / f"{name}.mp4"
        path.write_bytes(bytes(PIECE_BYTES))
        piece = Piece(
            name, camera, grade, since_ms, since_ms + 60_000, path.name, PIECE_BYTES, "", PieceState.KEPT, True, sent
        )
        self.index.add(piece)
        return piece

    def free(self, _folder: Path) -> int:
        return self.room_bytes - sum(path.stat().st_size for path in self.index.folder.glob("*.mp4"))

    def retention(self, *cameras: CameraLimits, **values: float) -> Retention:
        section = KeepingSection.model_validate({"free_mib": 0, **values})
        return Retention(section, cameras, self.index, self.clock, self.counters, self.free)

    def left(self) -> set[str]:
        names = {piece.id for piece in self.index.all_kept()}
        assert names == {path.stem for path in self.index.folder.glob("*.mp4")}
        return names


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.index.close()


def test_each_grade_and_camera_has_its_days(disk: Disk) -> None:
    for age_h in (12, 36, 60):
        disk.add(Grade.RECORDING, age_h)
        disk.add(Grade.RECORDING, age_h, "cam-b")
        disk.add(Grade.ORDINARY, age_h)
        disk.add(Grade.ALARM, age_h)
    own = CameraLimits("cam-b", 1.0, None), CameraLimits("cam-a", None, None)
    disk.retention(*own, recording_days=2, clip_days=1.2, alarm_days=2, open_alarm_h=1).run()
    assert disk.left() == {
        "cam-a-recording-12", "cam-a-recording-36", "cam-b-recording-12", "cam-a-ordinary-12", "cam-a-alarm-12",
        "cam-a-alarm-36",
    }  # fmt: skip


def test_quotas_take_the_oldest_and_clips_of_alarms_last(disk: Disk) -> None:
    for age_h in (1, 2, 3, 200):
        disk.add(Grade.RECORDING, age_h)
        disk.add(Grade.RECORDING, age_h, "cam-b")
        disk.add(Grade.ORDINARY, age_h)
        disk.add(Grade.ALARM, age_h)
    disk.retention(CameraLimits("cam-b", None, PIECE_BYTES), recording_days=30, recordings_mib=1, clips_mib=2).run()
    left = disk.left()
    assert {name for name in left if "cam-b" in name} <= {"cam-b-recording-1"}
    assert sum("recording" in name for name in left) == 2
    assert {"cam-a-recording-1", "cam-b-recording-1"} <= left
    assert {name for name in left if "alarm" in name} == {f"cam-a-alarm-{age}" for age in (1, 2, 3, 200)}
    assert {name for name in left if "ordinary" in name} == {"cam-a-ordinary-1"}


def test_a_hold_and_an_open_alarm_are_deleted_for_nothing(disk: Disk) -> None:
    for age_h in (1, 50, 1000, 2000):
        disk.add(Grade.ALARM, age_h)
        disk.add(Grade.ORDINARY, age_h)
        disk.add(Grade.RECORDING, age_h)
    now_ms = round(disk.clock.wall * 1000)
    since_ms = now_ms - 1001 * HOUR_MS
    disk.index.hold(Hold("case-7", "cam-a", since_ms, now_ms - 999 * HOUR_MS, "theft", now_ms))
    disk.room_bytes = 0
    retention = disk.retention(free_mib=1, open_alarm_h=72)
    retention.run()
    held = {"cam-a-alarm-1000", "cam-a-ordinary-1000", "cam-a-recording-1000"}
    assert disk.left() == held | {"cam-a-alarm-1", "cam-a-alarm-50"}
    assert disk.index.end_hold("case-7")
    assert not disk.index.end_hold("case-7")
    disk.clock.advance(61)
    retention.run()
    assert disk.left() == {"cam-a-alarm-1", "cam-a-alarm-50"}


def test_a_clip_of_an_alarm_that_the_hub_has_not_goes_for_its_days_alone(disk: Disk) -> None:
    disk.add(Grade.ALARM, 100, sent=False)
    disk.add(Grade.ALARM, 99)
    disk.add(Grade.ALARM, 2000, sent=False)
    disk.room_bytes = 2 * PIECE_BYTES
    disk.retention(clips_mib=1, free_mib=100, open_alarm_h=1, alarm_days=60).run()
    assert disk.left() == {"cam-a-alarm-100"}


def test_a_hold_of_every_camera_and_one_of_another(disk: Disk) -> None:
    disk.add(Grade.ORDINARY, 1000)
    now_ms = round(disk.clock.wall * 1000)
    disk.index.hold(Hold("other", "cam-b", 0, now_ms, "", now_ms))
    disk.index.hold(Hold("all", None, 0, now_ms, "", now_ms))
    retention = disk.retention()
    retention.run()
    assert disk.left()
    disk.index.end_hold("all")
    disk.clock.advance(61)
    retention.run()
    assert not disk.left()


def test_room_is_made_from_recordings_first_and_from_clips_only_for_half_the_floor(disk: Disk) -> None:
    for age_h in range(1, 7):
        disk.add(Grade.RECORDING, age_h)
        disk.add(Grade.ORDINARY, age_h)
        disk.add(Grade.ALARM, 100 + age_h)
    all_bytes = 18 * PIECE_BYTES
    disk.room_bytes = all_bytes + MIB - PIECE_BYTES
    retention = disk.retention(free_mib=1)
    retention.run()
    assert len(disk.left()) == 17
    assert "cam-a-recording-6" not in disk.left()
    assert retention.level is KeepingLevel.ALL
    disk.room_bytes -= 6 * PIECE_BYTES
    retention.run()
    left = disk.left()
    assert not any("recording" in name for name in left)
    assert sum("ordinary" in name for name in left) == 6
    assert retention.level is KeepingLevel.NO_RECORDING


def test_the_forecast_says_when_the_disk_is_full(disk: Disk) -> None:
    for age_h in range(24):
        disk.add(Grade.RECORDING, age_h + 0.01)
    disk.room_bytes = 24 * PIECE_BYTES + 48 * PIECE_BYTES
    retention = disk.retention(recording_days=30)
    assert retention.forecast().bytes_per_day == pytest.approx(24 * PIECE_BYTES, rel=0.06)
    retention.run()
    forecast = retention.forecast()
    assert forecast.full_in_days == pytest.approx(2.0, rel=0.06)
    assert forecast.recording_reaches_days == pytest.approx(3.0, rel=0.06)


def test_nothing_kept_forecasts_nothing(disk: Disk) -> None:
    assert disk.retention().forecast().full_in_days is None


def test_levels_fall_at_once_and_rise_with_room_to_spare() -> None:
    floor = 1000
    falling = [level_at(free, floor, KeepingLevel.ALL) for free in (1000, 999, 499, 249, 124)]
    assert falling == list(KeepingLevel)
    assert level_at(510, floor, KeepingLevel.ALARMS_ONLY) is KeepingLevel.ALARMS_ONLY
    assert level_at(630, floor, KeepingLevel.ALARMS_ONLY) is KeepingLevel.NO_RECORDING
    assert level_at(1300, floor, KeepingLevel.NOTHING) is KeepingLevel.ALL
    assert level_at(0, 0, KeepingLevel.ALL) is KeepingLevel.ALL


@given(st.integers(0, 3000), st.integers(0, 2000), st.sampled_from(list(KeepingLevel)))
def test_more_room_never_keeps_less(free: int, floor: int, present: KeepingLevel) -> None:
    order = list(KeepingLevel)
    assert order.index(level_at(free, floor, present)) >= order.index(level_at(free + 100, floor, present))


def test_a_full_disk_gives_up_in_order_says_so_and_recovers(tmp_path: Path) -> None:
    footage = read(str(GATE_EAST))
    with small_disk(tmp_path / "disk", 24) as mounted:
        cameras = (KeptCamera("cam-east", "gate-east", "continuous"),)
        kept = Kept(mounted, *cameras, section=KeepingSection(free_mib=8, segment_s=5))
        kept.keeping.start()
        run_camera(kept, footage, lambda: bool(kept.keeping.status().usage[Grade.RECORDING].pieces))
        other = fill(mounted)  # another program takes what is left
        kept.clock.advance(6)
        eventually(lambda: kept.keeping.level is KeepingLevel.NOTHING)
        (told,) = kept.await_(KeepingChanged)
        assert (told.level, told.free_bytes < MIB) == (KeepingLevel.NOTHING, True)
        assert not kept.keeping.keeps_pictures
        assert not kept.keeping.status().is_well
        kept.happens(FORCED, "d-east")
        assert kept.await_(ClipLost)[0].reason is ClipLossReason.DISK_FULL
        other.unlink()
        kept.clock.advance(6)
        eventually(lambda: kept.keeping.level is KeepingLevel.ALL)
        assert kept.await_(KeepingChanged, 2)[1].level is KeepingLevel.ALL
        kept.happens(FORCED, "d-east")
        run_camera(kept, footage, lambda: bool(kept.data(ClipKept)))
        kept.keeping.stop()
        assert kept.keeping.failure is None


def test_a_disk_that_fills_in_the_middle_of_a_clip_costs_that_clip(tmp_path: Path) -> None:
    footage = read(str(GATE_EAST))
    with small_disk(tmp_path / "disk", 16) as mounted:
        kept = Kept(mounted, section=KeepingSection(free_mib=0))
        kept.keeping.start()
        sink = kept.keeping.sink("cam-east")
        assert sink is not None
        camera = Feed(sink, footage, kept.clock.monotonic)
        camera.until(12)
        kept.clock.advance(12)
        event = kept.happens(ENTERED)
        eventually(lambda: any(path.stat().st_size for path in kept.clip_files()))
        other = fill(mounted)
        camera.until(38)
        kept.clock.advance(20)
        (lost,) = kept.await_(ClipLost)
        assert (lost.reason, lost.events) == (ClipLossReason.DISK_FULL, (event.id,))
        assert kept.keeping.failure is None
        other.unlink()
        kept.keeping.stop()
        assert kept.clip_files() == []


def run_camera(kept: Kept, footage: object, until: Callable[[], bool]) -> None:
    """Let the camera film, quicker than in truth, until something is so."""
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline, "it did not come about"
        sink = kept.keeping.sink("cam-east")
        assert sink is not None
        camera = Feed(sink, footage, kept.clock.monotonic)  # type: ignore[arg-type]
        for at_s in range(1, 39):
            camera.until(at_s)
            kept.clock.advance(1)
            time.sleep(0.01)
            if until():
                return
