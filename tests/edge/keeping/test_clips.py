"""Clips of events: five seconds before and ten after, of the original stream, named by their hash in an event."""

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import av
import pytest
from av.bitstream import BitStreamFilterContext

from edge.keeping.config import KeepingSection
from edge.keeping.service import KeptCamera
from edge.video.packets import StreamHead, VideoPacket
from edge.video.sightings import Sighting
from protocols.access_events import DoorForced, DoorOpened, ReleaseCause
from protocols.clip_events import ClipKept, ClipLossReason, ClipLost
from protocols.events import PersonEnteredZone
from tests.edge.keeping.parts import CAMERA, ENTERED, FORCED, Kept
from tests.support.footage import GATE_EAST, Feed, Footage, ffprobe_errors, play, read, rendered, sha256
from tests.support.gateways import eventually
from tests.support.rtsp import gstreamer_server

FRAME_S = 0.11


@pytest.fixture(scope="module")
def footage() -> Footage:
    return read(str(GATE_EAST))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    made.keeping.start()
    yield made
    made.keeping.stop()


def feed(kept: Kept, footage: Footage, camera: str = "cam-east") -> Feed:
    sink = kept.keeping.sink(camera)
    assert sink is not None
    return Feed(sink, footage, kept.clock.monotonic)


def longest_group_s(footage: Footage) -> float:
    keys = [packet.at_s for packet in footage.packets if packet.is_keyframe]
    return max(later - earlier for earlier, later in pairwise(keys))


def clip_of(kept: Kept, footage: Footage, at_s: float = 12.0) -> ClipKept:
    """Let an event happen `at_s` seconds into the footage, and the footage go on."""
    camera = feed(kept, footage)
    camera.until(at_s)
    kept.clock.advance(at_s)
    kept.happens(ENTERED)
    kept.await_open()
    camera.until(at_s + 15)
    kept.clock.advance(15)
    return kept.await_(ClipKept)[0]


def check(kept: Kept, footage: Footage, clip: ClipKept, codec: str) -> None:
    """A clip plays from 5 s before its event, or up to a group of pictures earlier, to 10 s after."""
    (path,) = kept.clip_files()
    assert (sha256(path), path.stat().st_size) == (clip.sha256, clip.size_bytes)
    played = play(path)
    assert (played.codec, played.first_is_keyframe) == (codec, True)
    assert 15.0 - 2 * FRAME_S <= played.seconds <= 15.0 + longest_group_s(footage)
    assert ffprobe_errors(path) == ""
    event_s = kept.of(PersonEnteredZone)[0].moment.wall_s
    before_s, after_s = event_s - clip.since.timestamp(), clip.until.timestamp() - event_s
    assert 5.0 <= before_s + FRAME_S <= 5.0 + longest_group_s(footage) + FRAME_S
    assert 10.0 - 2 * FRAME_S <= after_s <= 10.0
    assert clip.missing_s == 0
    assert clip.whole


def test_a_clip_of_a_file_s_h264_plays_and_is_named_in_its_event(kept: Kept, footage: Footage) -> None:
    clip = clip_of(kept, footage)
    check(kept, footage, clip, "h264")
    (event,) = kept.of(PersonEnteredZone)
    assert clip.events == (event.id,)
    assert clip.clip == event.id
    assert kept.of(ClipKept)[0].device == "cam-east"


@pytest.mark.parametrize(("encoder", "options"), [("libx265", ("-x265-params", "log-level=none")), ("libx264", ())])
def test_a_clip_of_h265_or_of_frames_out_of_order_plays(
    kept: Kept, tmp_path: Path, encoder: str, options: tuple[str, ...]
) -> None:
    made = read(str(rendered(tmp_path, encoder, 30, *options)))
    assert any(packet.pts != packet.dts for packet in made.packets), "the footage has no B-frames"
    check(kept, made, clip_of(kept, made), {"libx264": "h264", "libx265": "hevc"}[encoder])


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_clip_of_an_rtsp_camera_s_stream_plays(kept: Kept, codec: str) -> None:
    with gstreamer_server(codec=codec) as server:
        live = read(server.url("cam"), 2.5, rtsp_transport="tcp")
    footage = from_keyframe(live)
    footage = footage.times(int(30 / (footage.packets[-1].at_s + 0.05)) + 1)
    check(kept, footage, clip_of(kept, footage), {"h265": "hevc"}.get(codec, codec))


def from_keyframe(live: Footage) -> Footage:
    """The whole groups of pictures of a stream that was joined in the middle."""
    keys = [index for index, packet in enumerate(live.packets) if packet.is_keyframe]
    assert len(keys) >= 2, "the server sent less than a group of pictures"
    first = live.packets[keys[0]].at_s
    return Footage(live.head, [replace(each, at_s=each.at_s - first) for each in live.packets[keys[0] : keys[-1]]])


def test_a_stream_without_parameter_sets_in_its_head_gets_them_from_its_packets(kept: Kept) -> None:
    bare = in_band(GATE_EAST)
    check(kept, bare, clip_of(kept, bare), "h264")


def in_band(clip: Path) -> Footage:
    """A clip as FFmpeg's filter makes a byte stream of it, its parameter sets in the packets alone."""
    packets = []
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        to_annexb = BitStreamFilterContext("h264_mp4toannexb", video)
        base = Fraction(1, 10)
        for packet in container.demux(video):
            for part in to_annexb.filter(packet) if packet.size else ():
                number = len(packets)
                packets.append(VideoPacket(bytes(part), number, number, part.is_keyframe, number / 10))
        head = StreamHead("h264", video.codec_context.width, video.codec_context.height, b"", base)
    return Footage(head, packets)


def test_the_side_file_tells_who_was_seen_where_and_when(kept: Kept, footage: Footage) -> None:
    sighted = kept.keeping.sighted()["cam-east"]
    for at_s in (1.0, 11.0, 12.5, 39.0):
        sighted(kept.clock.monotonic + at_s, [Sighting(7, "person", 0.91234, (0.1, 0.2, 0.30001, 0.4))])
    clip = clip_of(kept, footage)
    (path,) = (kept.folder / "clips").glob("*.json")
    side = json.loads(path.read_text("utf-8"))
    assert (side["sha256"], side["camera"], side["codec"]) == (clip.sha256, "cam-east", "h264")
    assert side["wanted_by"][0]["event"] == str(clip.events[0])
    (seen,) = side["seen"]
    assert (seen["track"], seen["box"]["left"]) == (7, 0.1)
    assert 5.0 <= seen["at_s"] <= 5.0 + longest_group_s(footage) + FRAME_S
    assert side["gaps"] == []
    assert [each["track"] for each in side["boxes"]] == [7, 7], "of the clip's own time alone"
    assert side["boxes"][1]["at_s"] == pytest.approx(seen["at_s"] + 0.5, abs=0.002)
    assert (side["boxes"][0]["score"], side["boxes"][0]["box"]) == (0.912, [0.1, 0.2, 0.3, 0.4])


def test_events_close_together_share_a_clip_and_its_limit_begins_another(tmp_path: Path, footage: Footage) -> None:
    kept = Kept(tmp_path, section=KeepingSection(free_mib=1, longest_s=20))
    kept.keeping.start()
    camera = feed(kept, footage)
    ids = []
    for at_s, wait_s in ((8, 8), (12, 4), (22, 10)):
        camera.until(at_s)
        kept.clock.advance(wait_s)
        ids.append(kept.happens(ENTERED).id)
        eventually(lambda: planned(kept, ids[-1]))  # footage comes faster here than the writer's turns
    camera.until(40)
    kept.clock.advance(18)
    first, second = sorted(kept.await_(ClipKept, 2), key=lambda clip: clip.since)
    assert (first.events, second.events) == ((ids[0], ids[1]), (ids[2],))
    assert second.clip == ids[2]
    assert all(play(path).seconds <= 20 + longest_group_s(footage) for path in kept.clip_files())
    kept.keeping.stop()


def planned(kept: Kept, event_id: UUID | None) -> bool:
    """Whether the writer has taken note of an event."""
    clips = kept.keeping._cameras["cam-east"].clips
    return clips is not None and any(event.id == event_id for plan in clips.planner.plans for event in plan.events)


def test_a_door_s_event_gets_clips_of_the_cameras_at_its_place_and_of_no_others(
    tmp_path: Path, footage: Footage
) -> None:
    cameras = (CAMERA, KeptCamera("cam-two", "gate-east"), KeptCamera("cam-far", "far"))
    kept = Kept(tmp_path, *cameras, KeptCamera("cam-none", "gate-east", "none"))
    assert kept.keeping.sink("cam-none") is None
    kept.keeping.start()
    feeds = [feed(kept, footage, each.id) for each in cameras]
    for each in feeds:
        each.until(12)
    kept.clock.advance(12)
    kept.happens(DoorOpened(cause=ReleaseCause.CREDENTIAL), "d-east")  # no alarm
    kept.happens(FORCED, "d-far", "elsewhere")  # no camera there
    event = kept.happens(FORCED, "d-east")
    kept.await_open(2)
    for each in feeds:
        each.until(30)
    kept.clock.advance(14)
    clips = kept.await_(ClipKept, 2)
    assert {each.device for each in kept.of(ClipKept)} == {"cam-east", "cam-two"}
    assert [clip.events for clip in clips] == [(event.id,), (event.id,)]
    assert len(kept.clip_files()) == 2
    assert kept.of(DoorForced)[0].id != event.id
    kept.keeping.stop()
    assert not kept.data(ClipLost)


def test_an_event_goes_ahead_before_its_clip_and_without_the_writer(tmp_path: Path, footage: Footage) -> None:
    kept = Kept(tmp_path)  # not started: the disk may hang, or be away
    feed(kept, footage).until(12)
    assert kept.happens(ENTERED).id is not None
    assert not kept.data(ClipKept)


def test_a_clip_that_shows_what_a_mask_hides_says_so(tmp_path: Path, footage: Footage) -> None:
    kept = Kept(tmp_path, replace(CAMERA, unmasked=True))
    kept.keeping.start()
    assert clip_of(kept, footage).unmasked
    kept.keeping.stop()


def test_a_gap_is_told_and_the_clip_goes_on_after_it(kept: Kept, footage: Footage) -> None:
    camera = feed(kept, footage)
    camera.until(12)
    kept.clock.advance(12)
    kept.happens(ENTERED)
    kept.await_open()
    sink = kept.keeping.sink("cam-east")
    assert sink is not None
    sink.end()
    kept.clock.advance(4)
    camera = feed(kept, footage)  # connected again: the camera's stamps begin anew
    camera.until(20)
    kept.clock.advance(12)
    (clip,) = kept.await_(ClipKept)
    assert 3.8 <= clip.missing_s <= 4.2
    (side,) = (kept.folder / "clips").glob("*.json")
    assert len(json.loads(side.read_text())["gaps"]) == 1
    played = play(kept.clip_files()[0])
    assert 14.5 <= played.seconds <= 15.2 + longest_group_s(footage)
    assert ffprobe_errors(kept.clip_files()[0]) == ""


def test_a_gateway_that_is_stopped_keeps_what_it_has_of_a_clip_and_says_so(kept: Kept, footage: Footage) -> None:
    camera = feed(kept, footage)
    camera.until(12)
    kept.clock.advance(12)
    kept.happens(ENTERED)
    kept.await_open()
    camera.until(16)
    kept.clock.advance(4)
    assert kept.keeping.stop()
    (clip,) = kept.data(ClipKept)
    assert not clip.whole
    assert play(kept.clip_files()[0]).seconds >= 8.7


def test_a_stream_that_changes_its_size_ends_the_clip_there(kept: Kept, footage: Footage, tmp_path: Path) -> None:
    camera = feed(kept, footage)
    camera.until(12)
    kept.clock.advance(12)
    kept.happens(ENTERED)
    kept.await_open()
    camera.until(14)
    kept.clock.advance(2)
    feed(kept, read(str(rendered(tmp_path, "libx264", 10)))).until(9)
    (clip,) = kept.await_(ClipKept)
    assert 6.7 <= (clip.until - clip.since).total_seconds() <= 7.1 + longest_group_s(footage)
    assert ffprobe_errors(kept.clip_files()[0]) == ""


def test_an_event_of_a_camera_that_is_away_says_that_there_is_no_clip(kept: Kept) -> None:
    event = kept.happens(ENTERED)
    kept.await_open()
    kept.clock.advance(14)
    (lost,) = kept.await_(ClipLost)
    assert (lost.reason, lost.events) == (ClipLossReason.NO_VIDEO, (event.id,))
    assert kept.clip_files() == []


def test_old_packets_of_a_camera_that_went_away_are_no_part_of_a_later_clip(kept: Kept, footage: Footage) -> None:
    feed(kept, footage).until(12)
    kept.clock.advance(600)
    kept.happens(ENTERED)
    kept.await_open()
    kept.clock.advance(14)
    assert kept.await_(ClipLost)[0].reason is ClipLossReason.NO_VIDEO


def test_a_kind_of_video_that_is_not_kept_is_named(kept: Kept, footage: Footage) -> None:
    odd = Footage(replace(footage.head, codec="msmpeg4v3"), footage.packets)
    camera = feed(kept, odd)
    camera.until(12)
    kept.clock.advance(12)
    kept.happens(ENTERED)
    (lost,) = kept.await_(ClipLost)
    assert lost.reason is ClipLossReason.NOT_KEEPABLE
    assert "H.264" in lost.detail


def test_mjpeg_is_kept_too(kept: Kept, tmp_path: Path) -> None:
    made = read(str(rendered(tmp_path, "mjpeg", 30, "-pix_fmt", "yuvj420p")))
    clip_of(kept, made)
    assert play(kept.clip_files()[0]).codec == "mjpeg"


def test_a_broken_stream_costs_its_clip_and_nothing_else(kept: Kept) -> None:
    head = StreamHead("h264", 160, 120, b"\x01\x64\x00", Fraction(1, 10))
    sink = kept.keeping.sink("cam-east")
    assert sink is not None
    sink.begin(head)
    for number in range(100):
        sink.take(VideoPacket(b"\0" * 50, number, number, number % 10 == 0, kept.clock.monotonic + number / 10))
    kept.clock.advance(9)
    kept.happens(ENTERED)
    assert kept.await_(ClipLost)[0].reason is ClipLossReason.NOT_KEEPABLE
    assert kept.keeping.failure is None
