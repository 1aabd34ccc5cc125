"""Continuous recording, and what is left of it and of clips after a crash."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from edge.keeping.config import KeepingSection
from edge.keeping.errors import IndexFault
from edge.keeping.index import Grade, Piece
from edge.keeping.service import KeptCamera
from protocols.clip_events import ClipKept, ClipLost
from tests.edge.keeping.parts import ENTERED, Kept
from tests.support.footage import GATE_EAST, Feed, Footage, ffprobe_errors, play, read, sha256
from tests.support.gateways import SetClock, eventually

CONTINUOUS = KeptCamera("cam-east", "gate-east", "continuous")
SHORT = KeepingSection(free_mib=1, segment_s=5)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def footage() -> Footage:
    return read(str(GATE_EAST))


def recorded(kept: Kept, footage: Footage, seconds: float) -> None:
    """Give the camera's packets as fast as the writer takes them."""
    sink = kept.keeping.sink("cam-east")
    assert sink is not None
    camera = Feed(sink, footage, kept.clock.monotonic)
    at_s = 0.0
    eventually(lambda: kept.keeping.index is not None)
    while at_s < seconds:
        at_s += 4
        camera.until(at_s)
        taken = sum(1 for packet in footage.packets if packet.at_s < at_s)
        kept.clock.advance(4)
        eventually(lambda taken=taken: written(kept) >= taken)


def written(kept: Kept) -> int:
    (camera,) = kept.keeping._cameras.values()
    assert camera.recorder is not None
    copy, number = camera.recorder._copy, camera.recorder._next_number
    return copy.next_number if copy is not None else number or 0


def test_recording_goes_from_file_to_file_without_a_gap(tmp_path: Path, footage: Footage) -> None:
    kept = Kept(tmp_path, CONTINUOUS, section=SHORT)
    kept.keeping.start()
    recorded(kept, footage, 36)
    eventually(lambda: len(kept.pieces()) >= 5)
    kept.keeping.stop()
    kept.keeping.start()
    pieces = sorted(kept.pieces(), key=lambda piece: piece.since_ms)
    frames = 0
    for earlier, later in pairwise(pieces):
        assert later.since_ms - earlier.until_ms <= 110
    for piece in pieces:
        path = kept.folder / piece.path
        assert (sha256(path), path.stat().st_size) == (piece.sha256, piece.size_bytes)
        assert ffprobe_errors(path) == ""
        frames += play(path).frames
    assert frames == sum(1 for packet in footage.packets if packet.at_s < 36)
    assert kept.counters["recording_packets_lost"] == 0
    assert kept.index.gaps("cam-east") == []
    kept.keeping.stop()


def test_a_lost_connection_is_a_gap_of_the_recording(tmp_path: Path, footage: Footage) -> None:
    kept = Kept(tmp_path, CONTINUOUS, section=SHORT)
    kept.keeping.start()
    recorded(kept, footage, 8)
    kept.clock.advance(60)
    recorded(kept, footage, 12)
    kept.keeping.stop()
    kept.keeping.start()
    ((since_ms, until_ms),) = kept.index.gaps("cam-east")
    assert 58_000 <= until_ms - since_ms <= 64_000
    kept.keeping.stop()


def test_a_disk_that_is_too_slow_costs_recording_counted_and_never_the_camera(tmp_path: Path, footage: Footage) -> None:
    kept = Kept(tmp_path, CONTINUOUS, section=KeepingSection(free_mib=1, ring_mib=1))
    kept.keeping.start()
    recorded(kept, footage, 4)
    kept.keeping.stop()  # the writer is away, as it is while the disk hangs; the camera goes on
    sink = kept.keeping.sink("cam-east")
    assert sink is not None
    camera = kept.keeping._cameras["cam-east"]
    lost_from = written(kept)
    Feed(sink, footage.times(3), kept.clock.monotonic).until(100)
    assert camera.ring.read(0)[0].number > lost_from
    assert camera.ring.status().size_bytes <= 1024 * 1024


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, UUID]:
    """A folder in which a gateway was killed in the middle of a clip and of a recording, and the event's id."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.edge.keeping.killed", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        word, _, event = process.stdout.readline().strip().partition(" ")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(20)
    assert word == "writing"
    return folder, UUID(event)


def test_a_kill_in_the_middle_costs_at_most_the_unfinished_fragment(killed: tuple[Path, UUID]) -> None:
    folder, event = killed
    kept = Kept(folder, CONTINUOUS)
    kept.keeping.start()
    (clip,) = kept.await_(ClipKept)
    assert (clip.clip, clip.events, clip.whole, clip.codec) == (event, (event,), False, "h264")
    (path,) = kept.clip_files()
    assert (sha256(path), path.stat().st_size) == (clip.sha256, clip.size_bytes)
    assert ffprobe_errors(path) == ""
    assert play(path).seconds >= 11.0  # of the 13.5 s from before the event to the kill
    assert abs((clip.until - clip.since).total_seconds() - play(path).seconds) < 0.3
    recordings = [piece for piece in kept.pieces() if piece.grade is Grade.RECORDING]
    assert len(recordings) == 1
    assert play(kept.folder / recordings[0].path).seconds >= 11.0
    assert kept.counters["recording_files_recovered"] == 1
    kept.keeping.stop()

    again = Kept(folder, CONTINUOUS)
    again.keeping.start()
    assert not again.data(ClipKept), "the clip was told twice"
    assert not again.data(ClipLost)
    again.keeping.stop()


def test_a_clip_without_a_whole_fragment_is_told_as_lost(killed: tuple[Path, UUID], tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keeping.start()
    event = killed[1]
    plan = f'{{"clip": "{event}", "place": "gate-east", "events": ["{event}"]}}'
    name = f"clips/{event}.cam-east.mp4"
    (kept.folder / "clips").mkdir()
    (kept.folder / name).write_bytes(b"\0\0\0\x08free" * 3 + b"\0\0")
    kept.index.add(Piece(f"{event}.cam-east", "cam-east", Grade.ORDINARY, 1, 2, name, plan=plan))
    assert len(kept.index.unfinished()) == 1
    kept.keeping.stop()
    kept.keeping.start()
    (lost,) = kept.await_(ClipLost)
    assert lost.events == (event,)
    assert kept.clip_files() == []
    assert kept.index.unfinished() == []
    kept.keeping.stop()


def test_a_lost_index_takes_up_the_recordings_again(tmp_path: Path, footage: Footage) -> None:
    kept = Kept(tmp_path, CONTINUOUS, section=SHORT)
    kept.keeping.start()
    recorded(kept, footage, 16)
    kept.keeping.stop()
    for file in tmp_path.glob("video.db*"):
        file.unlink()
    again = Kept(tmp_path, CONTINUOUS, section=SHORT)
    again.keeping.start()
    assert len(again.pieces()) == len(list(again.folder.glob("recordings/*/*.mp4"))) >= 3
    again.keeping.stop()


def test_rows_without_files_and_files_without_rows_go(tmp_path: Path, footage: Footage) -> None:
    kept = Kept(tmp_path, CONTINUOUS, section=SHORT)
    kept.keeping.start()
    recorded(kept, footage, 16)
    kept.keeping.stop()
    kept.keeping.start()
    count = len(kept.pieces())
    kept.keeping.stop()
    next(kept.folder.glob("recordings/*/*.mp4")).unlink()
    (kept.folder / "clips").mkdir(exist_ok=True)
    (kept.folder / "clips" / "stray.mp4").write_bytes(b"?")
    kept.keeping.start()
    assert len(kept.pieces()) == count - 1
    assert kept.clip_files() == []
    assert kept.counters["kept_files_missing"] == 1
    kept.keeping.stop()


def test_another_disk_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keeping.start()
    kept.keeping.stop()
    kept.folder.rename(tmp_path / "unmounted")
    kept.folder.mkdir()
    again = Kept(tmp_path, clock=SetClock())
    with pytest.raises(IndexFault, match="mount it"):
        again.keeping.start()
    assert "mount it" in (again.keeping.status().fault or "")
    assert list(kept.folder.iterdir()) == []
    kept.folder.rmdir()
    (tmp_path / "unmounted").rename(kept.folder)
    again.keeping.start()
    assert again.keeping.status().fault is None
    again.keeping.stop()


@pytest.mark.parametrize("choice", ["continuous", "events"])
def test_what_memory_has_no_room_for_comes_from_disk(tmp_path: Path, footage: Footage, choice: str) -> None:
    """A ring of a few groups of pictures; 20 s before the event are wanted, of a recording or of what spilled."""
    section = KeepingSection(free_mib=1, segment_s=5, ring_mib=1, before_s=20, spill_mib=64)
    kept = Kept(tmp_path, replace(CONTINUOUS, choice=choice), section=section)
    kept.keeping.start()
    long = footage.times(2)
    recorded(kept, long, 60)
    ring = kept.keeping.status().rings["cam-east"]
    assert ring.seconds < 25
    reach_s = kept.keeping._cameras["cam-east"].ring.oldest_s or 0.0
    kept.clock.advance(-max(0.0, kept.clock.monotonic - 5.0 - reach_s))  # the event is older than what memory holds
    event = kept.happens(ENTERED)
    (clip,) = kept.await_(ClipKept)
    (path,) = kept.clip_files()
    played = play(path)
    assert kept.counters["clips_begun_on_disk"] == 1
    assert ffprobe_errors(path) == ""
    assert 19.9 <= event.moment.wall_s - clip.since.timestamp() <= 20 + 3.1
    assert played.frames == pytest.approx((clip.until - clip.since).total_seconds() * 10, abs=3), "frames lost or twice"
    assert clip.missing_s == 0
    kept.keeping.stop()
    assert {piece.grade for piece in again(kept)} == {
        Grade.ORDINARY, Grade.RECORDING if choice == "continuous" else Grade.RING
    }  # fmt: skip


def again(kept: Kept) -> list[Piece]:
    kept.keeping.start()
    pieces = kept.pieces()
    kept.keeping.stop()
    return pieces
