"""The pieces that the writer is made of: configuration, byte streams, files that a crash cut off, plans, the tap."""

import os
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.clock import Moment
from edge.config import load_config
from edge.counters import Counters
from edge.errors import ConfigurationError
from edge.keeping.config import KeepingSection
from edge.keeping.elementary import ByteStream
from edge.keeping.errors import NotKeepable
from edge.keeping.fragments import FragmentedFile, cut_to_whole, whole_length
from edge.keeping.index import Grade
from edge.keeping.tap import MAX_WAITING_WANTS, Tap
from edge.keeping.wants import MAX_OPEN_CLIPS, ClipEvent, Extent, Planner
from edge.observations import Observation
from edge.video.packets import StreamHead
from protocols.access_events import DoorForced
from protocols.clip_events import CLIP_EVENTS
from protocols.events import EVENT_TYPES
from protocols.ids import UuidV7Maker
from protocols.nal_units import START_CODE
from protocols.topics import EventClass
from tests.edge.keeping.parts import ENTERED, FORCED
from tests.support.footage import GATE_EAST, play, read

BASE = Fraction(1, 10)


def test_every_key_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text(encoding="utf-8")
    section = [line for line in text.splitlines() if line.startswith("| `[keeping]")]
    for name in KeepingSection.model_fields:
        assert any(f"`{name}`" in line or f"[keeping] {name}`" in line for line in section), name


def test_a_wrong_key_is_named_with_its_line_and_what_helps(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[keeping]\nring_mib = 64\nclip_events = ["door.forcd"]\nbefore = 5\nafter_s = 0\n')
    with pytest.raises(ConfigurationError) as found:
        load_config(site)
    text = str(found.value)
    assert 'site.toml:3: keeping.clip_events: no event is called "door.forcd": write alarm, video' in text
    assert "site.toml:4: keeping.before: there is no such key" in text
    assert "site.toml:5: keeping.after_s" in text


def test_which_events_get_a_clip() -> None:
    by_default = KeepingSection().wanted_types()
    assert {"door.forced.v1", "door.held.v1", "access.duress.v1", "person.entered_zone.v1"} <= by_default
    assert {"access.granted.v1", "person.left_zone.v1", "camera.online.v1"}.isdisjoint(by_default)
    everything = KeepingSection(clip_events=("alarm", "video", "access")).wanted_types()
    assert {kind.TYPE for kind in CLIP_EVENTS}.isdisjoint(everything), "a clip would ask for a clip"
    chosen = KeepingSection(clip_events=("access.granted",)).wanted_types()
    assert chosen == {"access.granted.v1"}
    assert all(EVENT_TYPES[name].EVENT_CLASS is not EventClass.DEVICE for name in everything)
    with pytest.raises(ValidationError):
        KeepingSection(clip_events=("device",))


# --- byte streams


def avcc(*units: bytes) -> bytes:
    head = b"\x01\x64\x00\x1f\xff"
    sps, pps = units
    return head + b"\xe1" + len(sps).to_bytes(2, "big") + sps + b"\x01" + len(pps).to_bytes(2, "big") + pps


def test_length_prefixed_units_become_a_byte_stream_with_parameter_sets() -> None:
    sps, pps, idr = b"\x67sps", b"\x68pps", b"\x65idr"
    stream = ByteStream(StreamHead("h264", 64, 48, avcc(sps, pps), BASE))
    whole = stream.first(len(idr).to_bytes(4, "big") + idr)
    assert whole == START_CODE + sps + START_CODE + pps + START_CODE + idr
    assert stream.next(len(idr).to_bytes(4, "big") + idr) == START_CODE + idr


@given(st.binary(max_size=80), st.binary(max_size=200), st.sampled_from(["h264", "hevc"]))
def test_any_configuration_and_any_packet_end_in_a_stream_or_a_named_fault(
    extradata: bytes, data: bytes, codec: str
) -> None:
    for head in (extradata, b"\x01" + extradata):
        try:
            stream = ByteStream(StreamHead(codec, 64, 48, head, BASE))
            assert len(stream.next(data)) <= 5 * len(data) + 8
            stream.first(data)
        except NotKeepable:
            continue


# --- files


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "whole.mp4"
    footage = read(str(GATE_EAST), 12.0)
    file = FragmentedFile(path, footage.head)
    for packet in footage.packets:
        file.write(packet, 0, footage.head)
    written = file.finish()
    assert written.size_bytes == path.stat().st_size == whole_length(path)
    return path


@pytest.mark.parametrize("share", [0.15, 0.4, 0.77, 0.999])
def test_a_file_that_was_cut_off_anywhere_plays_up_to_its_last_whole_fragment(
    whole: Path, tmp_path: Path, share: float
) -> None:
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * share)])
    written = cut_to_whole(cut)
    if written is None:
        assert share < 0.2
        assert not cut.exists()
        return
    assert written.size_bytes == cut.stat().st_size <= len(data) * share
    assert play(cut).frames >= play(whole).frames * share - 21  # a fragment has 20 frames


@given(st.binary(max_size=300))
def test_any_bytes_have_a_whole_length(data: bytes) -> None:
    path = Path("/tmp") / f"whole-{os.getpid()}"
    path.write_bytes(data)
    assert 0 <= whole_length(path) <= len(data)
    path.unlink()


def test_stamps_that_leap_go_back_or_stand_still_make_a_file_that_plays(tmp_path: Path) -> None:
    footage = read(str(GATE_EAST), 20.0)
    broken = []
    for number, packet in enumerate(footage.packets):
        leap = 10**9 if number > 60 else 0
        dts = footage.packets[100].dts if 100 < number < 120 else packet.dts - (5 * 10**8 if number > 150 else 0)
        broken.append(replace(packet, dts=dts + leap, pts=dts + leap))
    file = FragmentedFile(tmp_path / "odd.mp4", footage.head)
    for packet in broken:
        file.write(packet, 0, footage.head)
    file.finish()
    played = play(tmp_path / "odd.mp4")
    assert played.frames == len(broken)
    assert abs(played.seconds - 20.0) < 4


# --- plans


def event(at_s: float, grade: Grade = Grade.ORDINARY) -> ClipEvent:
    return ClipEvent(uuid4(), "t", Moment(1e9 + at_s, at_s), grade)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(15, 60))
def test_every_event_that_is_planned_has_its_seconds_and_no_clip_is_too_long(
    times: list[float], longest_s: float
) -> None:
    planner = Planner("cam", Extent(5, 10, longest_s))
    covered = {}
    for at_s in sorted(times):
        planner.plans = [plan for plan in planner.plans if plan.until_s > at_s]  # those that are finished
        one = event(at_s)
        plan = planner.want(one)
        if plan is not None:
            covered[one.id] = (at_s, plan)
        else:
            assert len(planner.plans) == MAX_OPEN_CLIPS
    for event_id, (at_s, plan) in covered.items():
        assert event_id in [each.id for each in plan.events]
        assert plan.since_s <= at_s
        assert plan.until_s >= at_s + 10
        assert plan.until_s - plan.since_s <= longest_s + 1e-9


def test_an_alarm_makes_its_whole_clip_an_alarm_s() -> None:
    planner = Planner("cam", Extent(5, 10, 120))
    plan = planner.want(event(10))
    assert plan is not None
    assert plan.grade is Grade.ORDINARY
    assert planner.want(event(12, Grade.ALARM)) is plan
    assert plan.grade is Grade.ALARM


# --- the tap


def test_the_tap_passes_everything_on_and_its_queue_is_bounded() -> None:
    passed: list[Observation] = []
    counters = Counters()
    tap = Tap(
        passed.append, UuidV7Maker(time.time, os.urandom), frozenset({DoorForced.TYPE}),
        {"cam": ("cam",), "d": ("cam",)}, counters, lambda: None,
    )  # fmt: skip
    moment = Moment(1.0, 1.0)
    for _ in range(MAX_WAITING_WANTS + 10):
        tap(Observation("d", "p", FORCED, moment))
    assert len(passed) == MAX_WAITING_WANTS + 10
    assert counters["clips_wants_dropped"] == 10
    assert len(tap.take()) == MAX_WAITING_WANTS
    assert tap.take() == []

    tap(Observation("gw", "p", FORCED, moment))
    tap(Observation("cam", "p", ENTERED, moment))
    assert passed[-2].id is None, "no camera sees the gateway itself"
    (want,) = tap.take()
    assert (want.is_trigger, want.event_id) == (False, passed[-1].id)
    assert want.event_id.version == 7
