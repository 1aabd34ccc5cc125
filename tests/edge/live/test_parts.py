"""The parts of live video without a connection: what plays, what is dropped, what is saved, and what is refused."""

import io
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.counters import Counters
from edge.live.budget import Budget
from edge.live.config import LiveSection
from edge.live.desk import Desk, Seen
from edge.live.fragments import TICKS_PER_S, Fragmenter, NotPlayable, Timeline
from edge.live.masking import live_mask_notes
from edge.live.stills import NoPicture, Stills
from edge.live.tap import GROUP_PACKETS, LiveTap, PacketQueue
from edge.video.packets import StreamHead
from protocols.live import (
    Ended,
    Frame,
    Kind,
    LiveCode,
    Quality,
    Renew,
    Start,
    Started,
    Still,
    Stop,
    Waiting,
    decode_frame,
    read_report,
)
from tests.edge.live.parts import MADE_UP, clip_packets, packet
from tests.edge.video.parts import WHOLE, SetClock, camera, write_clip
from tests.support.rtsp import CLIPS, annexb


def nothing() -> None:
    """Wakes nobody."""


def drain(queue: PacketQueue) -> list[int]:
    """The numbers of the packets that wait."""
    numbers = []
    while (taken := queue.take()) is not None:
        numbers.append(taken.packet.dts // 100)
    return numbers


def played(data: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(video=0))


# --- fragments ---


def test_a_key_fragment_after_the_init_segment_plays_by_itself() -> None:
    head, packets = clip_packets()
    fragmenter = Fragmenter(head, packets[0])
    frames = played(fragmenter.init() + fragmenter.fragment(packets[0]))
    assert [(frame.width, frame.height) for frame in frames] == [(head.width, head.height)]


def test_every_picture_of_a_clip_plays_as_it_was(tmp_path: Path) -> None:
    head, packets = clip_packets()
    fragmenter = Fragmenter(head, packets[0])
    frames = played(fragmenter.init() + b"".join(fragmenter.fragment(each) for each in packets[:40]))
    with av.open(str(CLIPS / "gate-east.mp4")) as container:
        originals = [frame for frame, _ in zip(container.decode(video=0), range(40), strict=False)]
    assert len(frames) == 40
    for frame, original in zip(frames, originals, strict=True):
        assert (frame.to_ndarray() == original.to_ndarray()).all()


def test_a_byte_stream_with_start_codes_plays_too(tmp_path: Path) -> None:
    head, packets = clip_packets(annexb(CLIPS / "gate-east.mp4", tmp_path / "cam.h264"))
    assert packets[0].data.startswith(b"\0\0\0\1"), "or this tests nothing"
    bare = StreamHead(head.codec, head.width, head.height, b"", head.time_base)
    fragmenter = Fragmenter(bare, packets[0])
    frames = played(fragmenter.init() + b"".join(fragmenter.fragment(each) for each in packets[:20]))
    assert len(frames) == 20
    assert fragmenter.mime.startswith('video/mp4; codecs="avc1.')


@pytest.mark.parametrize("codec", ["hevc", "mjpeg"])
def test_what_browsers_do_not_play_is_refused(codec: str) -> None:
    head = StreamHead(codec, 640, 360, b"", Fraction(1, 90_000))
    with pytest.raises(NotPlayable, match=r"H\.264"):
        Fragmenter(head, packet(0, is_keyframe=True))


def test_a_stream_without_parameter_sets_is_refused() -> None:
    with pytest.raises(NotPlayable, match="parameter sets"):
        Fragmenter(MADE_UP, packet(0, is_keyframe=True))


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_configuration_of_a_camera_breaks_the_writer(extradata: bytes, data: bytes) -> None:
    head = StreamHead("h264", 640, 360, extradata, Fraction(1, 90_000))
    first = packet(0, is_keyframe=True)
    try:
        fragmenter = Fragmenter(head, type(first)(data, 0, 0, True, 0.0))
    except NotPlayable:
        return
    assert fragmenter.init()
    assert fragmenter.fragment(first)


@given(st.lists(st.integers(-50, 5000), min_size=1, max_size=60))
def test_no_step_of_the_time_line_is_twice_the_duration_before_it(steps_ms: list[int]) -> None:
    timeline, dts = Timeline(Fraction(1, 1000)), 0
    at, duration = timeline.place(dts)
    for step in steps_ms:
        dts += step
        following, next_duration = timeline.place(dts)
        assert 0 < following - at < 2 * duration or following - at == 1
        at, duration = following, next_duration


def test_a_steady_stream_keeps_its_pace() -> None:
    timeline = Timeline(Fraction(1, 1000))
    placed = [timeline.place(number * 66) for number in range(40)]
    assert placed[-1][0] - placed[-11][0] == 10 * 66 * TICKS_PER_S // 1000


# --- the tap and its queues ---


def test_who_joins_gets_the_group_of_pictures_so_far_and_then_goes_on() -> None:
    tap, queue = LiveTap(), PacketQueue(nothing)
    tap.begin(MADE_UP)
    for number in range(15):
        tap.take(packet(number, is_keyframe=number % 10 == 0))
    tap.join(queue)
    tap.take(packet(15))
    assert drain(queue) == [10, 11, 12, 13, 14, 15]


def test_a_slow_watcher_goes_on_at_the_next_key_frame_and_it_is_counted() -> None:
    tap, queue = LiveTap(), PacketQueue(nothing, most_bytes=1000)
    tap.begin(MADE_UP)
    tap.join(queue)
    for number in range(35):
        tap.take(packet(number, is_keyframe=number % 15 == 0))
    assert drain(queue) == [30, 31, 32, 33, 34]
    assert queue.dropped == 30


def test_what_waits_for_seconds_is_dropped() -> None:
    tap, queue = LiveTap(), PacketQueue(nothing, most_s=1.0)
    tap.begin(MADE_UP)
    tap.join(queue)
    for number in range(25):
        tap.take(packet(number, is_keyframe=number in (0, 20)))
    assert drain(queue) == [20, 21, 22, 23, 24]


def test_a_group_that_is_too_long_is_not_kept() -> None:
    tap, queue = LiveTap(), PacketQueue(nothing)
    tap.begin(MADE_UP)
    for number in range(GROUP_PACKETS + 5):
        tap.take(packet(number, is_keyframe=number == 0))
    tap.join(queue)
    tap.take(packet(500))
    assert drain(queue) == []
    tap.take(packet(501, is_keyframe=True))
    assert drain(queue) == [501]


# --- the desk ---


class Counter:
    """A desk at which one camera is asked for."""

    def __init__(self, section: LiveSection | None = None, main: LiveTap | None = None, **more: object) -> None:
        self.clock, self.counters = SetClock(), Counters()
        self.sub, self.main = LiveTap(), main
        seen = {"c-east": Seen(camera("c-east", **more), self.sub, main)}
        self.desk = Desk(seen, section or LiveSection(), self.clock, self.counters, nothing, nothing)

    def start(self, stream: int = 1, quality: Quality = Quality.SUB, name: str = "c-east") -> None:
        self.desk.give(Start(n=1, stream=stream, camera=name, quality=quality, ticket="t", lease_s=10))

    def said(self) -> list[object]:
        """Reports and frames since the last call."""
        return [
            read_report(message) if isinstance(message, str) else decode_frame(message)
            for message in self.desk.collect()
        ]

    def frames(self) -> list[Frame]:
        return [each for each in self.said() if isinstance(each, Frame) and each.kind is not Kind.INIT]


def test_a_watched_stream_begins_with_its_description_and_the_group_of_pictures() -> None:
    counter = Counter()
    head, packets = clip_packets()
    counter.sub.begin(head)
    for each in packets[:5]:
        counter.sub.take(each)
    counter.start()
    started, init, *frames = counter.said()
    assert isinstance(started, Started)
    assert (started.width, started.height) == (head.width, head.height)
    assert isinstance(init, Frame)
    assert init.kind is Kind.INIT
    assert [frame.kind for frame in frames] == [Kind.KEY, *[Kind.DELTA] * 4]
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5]
    assert len(played(init.payload + b"".join(frame.payload for frame in frames))) == 5


def test_it_ends_by_itself_when_the_hub_no_longer_says_that_somebody_watches() -> None:
    counter = Counter()
    counter.start()
    counter.clock.at_s += 9
    counter.desk.give(Renew(n=2, streams=(1, 99)))
    counter.clock.at_s += 9
    counter.desk.tick()
    assert counter.sub.watchers == 1
    counter.clock.at_s += 2
    counter.desk.tick()
    assert counter.sub.watchers == 0
    assert [each.code for each in counter.said() if isinstance(each, Ended)] == [LiveCode.NOT_RENEWED]


def test_a_stop_ends_it_at_once() -> None:
    counter = Counter()
    counter.start()
    counter.desk.give(Stop(n=2, stream=1))
    assert counter.sub.watchers == 0


def test_a_camera_that_is_away_is_said_once_and_waited_for() -> None:
    counter = Counter()
    counter.start()
    assert [type(each) for each in [*counter.said(), *counter.said()]] == [Waiting]
    head, packets = clip_packets()
    counter.sub.begin(head)
    counter.sub.take(packets[0])
    assert [type(each) for each in counter.said()] == [Started, Frame, Frame]
    counter.sub.end()
    assert [type(each) for each in counter.said()] == [Waiting]


@pytest.mark.parametrize(
    ("made", "asked", "code", "offer"),
    [
        ({}, {"name": "c-west"}, LiveCode.UNKNOWN_CAMERA, None),
        ({}, {"quality": Quality.MAIN}, LiveCode.NO_MAIN_STREAM, Quality.SUB),
        ({"privacy_mask": [WHOLE]}, {}, LiveCode.MASKED, None),
        ({"section": LiveSection(enabled=False)}, {}, LiveCode.SWITCHED_OFF, None),
    ],
)
def test_what_cannot_be_watched_is_refused_with_a_code(
    made: dict[str, object], asked: dict[str, object], code: LiveCode, offer: Quality | None
) -> None:
    counter = Counter(**made)
    counter.start(**asked)
    (ended,) = counter.said()
    assert isinstance(ended, Ended)
    assert (ended.code, ended.offer) == (code, offer)
    assert counter.counters[f"live_refused_{code}"] == 1


@pytest.mark.parametrize("key", ["live_unmasked", "masked_in_camera"])
def test_a_masked_camera_is_given_where_it_draws_the_masks_or_the_site_says_so(key: str) -> None:
    counter = Counter(privacy_mask=[WHOLE], **{key: True})
    head, packets = clip_packets()
    counter.sub.begin(head)
    counter.sub.take(packets[0])
    counter.start()
    [started] = [each for each in counter.said() if isinstance(each, Started)]
    assert started.unmasked == (key == "live_unmasked"), "and the page is told"


def test_whoever_sets_masks_is_told_what_live_video_shows() -> None:
    cameras = [
        camera("c-open"),
        camera("c-masked", privacy_mask=[WHOLE]),
        camera("c-drawn", privacy_mask=[WHOLE], masked_in_camera=True),
        camera("c-shown", privacy_mask=[WHOLE], live_unmasked=True),
    ]
    refused, shown = live_mask_notes(cameras)
    assert refused.startswith("camera c-masked: no live video")
    assert shown.startswith("camera c-shown: live_unmasked = true")


def test_more_streams_than_the_site_allows_are_refused() -> None:
    counter = Counter(LiveSection(streams=2))
    for stream in (1, 2, 3):
        counter.start(stream)
    assert [each.stream for each in counter.said() if isinstance(each, Ended)] == [3]


def test_h265_is_said_so_and_the_sub_stream_is_offered() -> None:
    main = LiveTap()
    counter = Counter(main=main, main_url="file:///nowhere-main.mp4")
    counter.sub.begin(MADE_UP)
    main.begin(StreamHead("hevc", 1920, 1080, b"", Fraction(1, 90_000)))
    main.take(packet(0, is_keyframe=True))
    counter.start(quality=Quality.MAIN)
    assert counter.said() == []
    (ended,) = counter.said()
    assert isinstance(ended, Ended)
    assert (ended.code, ended.offer) == (LiveCode.CODEC_UNPLAYABLE, Quality.SUB)
    assert main.watchers == 0


def test_an_uplink_that_is_spent_gets_key_frames_alone_and_says_so_until_there_is_room() -> None:
    counter = Counter(LiveSection(uplink_kbit_per_s=800))  # 100 kB a second, half a megabyte at first
    head, packets = clip_packets()
    counter.sub.begin(head)
    counter.sub.take(packets[0])
    counter.start()
    counter.said()
    seen: list[Frame] = []
    for number in range(1, 600):
        counter.clock.at_s = 1000 + number / 10
        size = 30_000 if number < 200 else 2_000
        counter.sub.take(packet(number, is_keyframe=number % 20 == 0, size=size))
        seen += counter.frames()
    heavy = [frame for frame in seen if 1_700_001_010_000 < frame.at_ms < 1_700_001_019_000]
    calm = [frame for frame in seen if frame.at_ms > 1_700_001_040_000]
    assert heavy
    assert all(frame.kind is Kind.KEY and frame.economy for frame in heavy)
    assert len(calm) > 150
    assert not any(frame.economy for frame in calm)
    spent = sum(len(frame.payload) for frame in seen if frame.at_ms < 1_700_001_020_000)
    assert spent < 100_000 * 20 + 600_000


def test_a_budget_fills_up_to_its_burst_and_no_further() -> None:
    budget = Budget(1000)
    budget.spend(0, 0.0)
    budget.spend(512 * 1024, 10_000.0)
    assert budget.is_spent(10_000.0)
    assert not budget.is_spent(10_000.1)


def test_too_many_pictures_at_once_are_refused() -> None:
    counter = Counter()
    for number in range(1, 11):
        counter.desk.give(Still(n=number, stream=number, camera="c-east", ticket="t"))
    assert [each.code for each in counter.said() if isinstance(each, Ended)] == [LiveCode.RATE_LIMITED] * 2


# --- stills ---


def test_a_still_is_the_newest_picture_with_its_privacy_masks_painted_black(tmp_path: Path) -> None:
    def grey(number: int) -> np.ndarray:
        return np.full((144, 256, 3), 40 + 20 * number, np.uint8)

    head, packets = clip_packets(write_clip(tmp_path / "clip.mp4", grey, 8))
    tap, clock = LiveTap(), SetClock()
    tap.begin(head)
    for each in packets:
        tap.take(each)
    half = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
    image = cv2.imdecode(np.frombuffer(Stills(clock).take("c", tap, [half]).data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (144, 256, 3)
    assert image[:, :120].max() < 16
    assert abs(int(image[:, 136:].mean()) - 180) < 10, "the newest of the group, not its key frame"


def test_a_still_is_made_once_a_second_at_most() -> None:
    head, packets = clip_packets()
    tap, clock = LiveTap(), SetClock()
    tap.begin(head)
    tap.take(packets[0])
    stills = Stills(clock)
    assert stills.take("c", tap, ()) is stills.take("c", tap, ())
    clock.at_s += 1.5
    stills.take("c", tap, ())
    assert stills.decoded == 2


def test_there_is_no_still_of_a_camera_that_is_away_or_damaged() -> None:
    tap, clock = LiveTap(), SetClock()
    with pytest.raises(NoPicture, match="no video"):
        Stills(clock).take("c", tap, ())
    tap.begin(MADE_UP)
    tap.take(packet(0, is_keyframe=True))
    with pytest.raises(NoPicture, match="decoded"):
        Stills(clock).take("c", tap, ())
