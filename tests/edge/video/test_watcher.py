"""Decoding little and missing nothing: made-up scenes, encoded as cameras do, lazily and frame by frame."""

import gc
import random
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import pytest

from edge.video.analysis import Followed
from edge.video.decoder import Arrived, Picture
from edge.video.gears import Gear, Wake
from edge.video.packet_buffer import BufferLimits
from edge.video.schedule import MOST_LATE
from tests.edge.video.watching import NEVER_SLEEPS, RATE, Encoding, encode, scene, watch, with_walker

ENTERS_S = 9.3
FRAMES = 140
LOOK_S = 0.2

ENCODINGS = {
    "h264": Encoding(),
    "h264, a key frame twice a second": Encoding(group=5),
    "h264, a key frame in six seconds": Encoding(group=60),
    "h264, reordered": Encoding(reordered=2),
    "h264, constant bit rate": Encoding(options=(("b", "200k"), ("maxrate", "200k"), ("bufsize", "100k"))),
    "h265": Encoding(codec="libx265"),
    "mjpeg": Encoding(codec="mjpeg"),
}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> "Clips":
    return Clips(tmp_path_factory.mktemp("watched"))


class Clips:
    """Each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._quiet = {noise: cache(scene(noise=noise)) for noise in (2.0, 5.0)}
        self.entrance = cache(self._entrance)
        self.still = cache(self._still)

    def _entrance(self, name: str, noise: float = 2.0) -> Path:
        """Quiet for long, then somebody walks in from the left."""
        how = ENCODINGS[name]
        picture = with_walker(self._quiet[noise], round(ENTERS_S * how.rate))
        suffix = "avi" if how.codec == "mjpeg" else "mp4"
        return encode(self._folder / f"{name}-{noise:g}.{suffix}", picture, FRAMES, how)

    def _still(self) -> Path:
        return encode(self._folder / "still.mp4", self._quiet[2.0], FRAMES, ENCODINGS["h264"])


@pytest.mark.parametrize(("name", "noise"), [*((name, 2.0) for name in ENCODINGS), ("h264", 5.0)])
def test_an_onset_in_sleep_is_the_one_that_decoding_everything_finds(clips: Clips, name: str, noise: float) -> None:
    clip = clips.entrance(name, noise)
    full, lazy = watch(clip, NEVER_SLEEPS), watch(clip)
    slept = [sight for sight in lazy.sights if 6.5 < sight[0] < ENTERS_S - 0.5]
    assert len(slept) <= 4, "it slept before"  # a look a second at most
    expected, found = full.onset_s(ENTERS_S - 0.6), lazy.onset_s(ENTERS_S - 0.6)
    assert expected is not None
    assert found is not None
    assert abs(found - expected) <= LOOK_S + 0.01


@pytest.mark.parametrize("name", ENCODINGS)
def test_catching_up_is_bounded_and_in_order(clips: Clips, name: str) -> None:
    lazy = watch(clips.entrance(name))
    times = [sight.picture.at_s for _, sight in lazy.sights]
    assert times == sorted(set(times))
    assert all(seen_s - sight.picture.at_s <= 2.8 for seen_s, sight in lazy.sights)
    assert lazy.counts.catch_ups == 1
    assert 1 <= lazy.counts.pictures_caught_up <= MOST_LATE
    gaps = [b - a for a, b in pairwise(times) if a >= ENTERS_S]
    assert max(gaps) <= 0.31, "once awake, it looks five times a second"


def test_in_sleep_few_frames_are_decoded(clips: Clips) -> None:
    still = watch(clips.still())
    awake = watch(clips.still(), NEVER_SLEEPS)
    assert awake.decoded == awake.received == FRAMES
    assert still.gears.gear is Gear.ASLEEP
    assert not still.gears.wakes
    assert still.decoded <= 5.2 * RATE + 5  # watched for the first five seconds, then every key frame
    assert [round(at_s) for at_s, _ in still.sights if at_s > 5.5] == [6, 8, 10, 12]


def test_a_call_wakes_it_with_what_it_has_not_seen(clips: Clips) -> None:
    called = watch(clips.still(), called_s=9.5)
    assert called.gears.wakes == {Wake.CAMERA: 1}
    woken = [(at_s, sight.picture.at_s) for at_s, sight in called.sights if 9.0 < at_s < 9.55]
    assert [round(taken_s, 1) for _, taken_s in woken] == [8.2, 8.4, 8.6, 8.8, 9.0, 9.2, 9.4, 9.5]
    assert called.gears.gear is Gear.ASLEEP  # and sleeps again after a quiet time


def test_someone_missed_keeps_it_awake_and_someone_standing_is_looked_at_now_and_then(clips: Clips) -> None:
    missed = watch(clips.still(), followed=Followed(live=1, restless=True))
    assert missed.gears.gear_s[Gear.ASLEEP] == 0.0
    standing = watch(clips.still(), followed=Followed(live=1, look_every_s=2.0))
    assert standing.gears.gear is Gear.ASLEEP
    asked = [at_s for at_s in standing.wanted_s if at_s > 7.0]
    assert [round(at_s) for at_s in asked] == [8, 10, 12]


def test_however_often_it_looks_an_onset_s_pictures_are_few_enough_to_wait(clips: Clips) -> None:
    eager = watch(clips.entrance("h264"), looks_per_s=15.0)
    assert eager.counts.catch_ups == 1
    assert 1 <= eager.counts.pictures_caught_up <= MOST_LATE


@pytest.mark.parametrize("limits", [BufferLimits(packets=12), BufferLimits(seconds=0.9), BufferLimits(bytes=2000)])
def test_a_group_beyond_the_limits_is_decoded_rather_than_lost(clips: Clips, limits: BufferLimits) -> None:
    clip = clips.entrance("h264, a key frame in six seconds")
    full, lazy = watch(clip, NEVER_SLEEPS), watch(clip, limits=limits)
    expected, found = full.onset_s(ENTERS_S - 0.6), lazy.onset_s(ENTERS_S - 0.6)
    assert expected is not None
    assert found is not None
    assert abs(found - expected) <= LOOK_S + 0.01
    assert lazy.decoded <= lazy.received + 3


def test_a_connection_that_begins_in_a_group_waits_for_its_key_frame(clips: Clips) -> None:
    late = watch(clips.entrance("h264, a key frame in six seconds"), from_s=1.0)
    assert round(late.sights[0][0]) == 6
    assert late.decoded == late.received - 50


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_damage_to_packets_ends_it(clips: Clips, name: str, seed: int) -> None:
    """Bytes turned over, cut off and lost: pictures may fail, the watcher goes on and says that it starves."""
    lots = random.Random(seed)

    def spoil(arrived: Arrived) -> Arrived | None:
        lot, data = lots.random(), bytearray(bytes(arrived.packet))
        if lot < 0.1:
            return None
        if lot < 0.4:
            for _ in range(5):
                data[lots.randrange(len(data))] ^= 1 << lots.randrange(8)
        elif lot < 0.5:
            del data[lots.randrange(len(data)) :]
        packet = av.Packet(bytes(data))
        packet.pts, packet.dts, packet.is_keyframe = arrived.packet.pts, arrived.packet.dts, arrived.is_keyframe
        return replace(arrived, packet=packet, size=len(data))

    spoilt = watch(clips.entrance(name), spoil=spoil)
    times = [sight.picture.at_s for _, sight in spoilt.sights]
    assert times == sorted(set(times))
    assert 0.8 * FRAMES < spoilt.received < FRAMES
    lost = watch(
        clips.entrance(name), spoil=lambda arrived: replace(arrived, packet=av.Packet(b"\x00\x00\x01\x65" * 9))
    )
    assert lost.sights == []
    assert lost.is_starved


def test_what_was_seen_is_forgotten(clips: Clips) -> None:
    """Packets and pictures hold memory outside of Python: nothing of them may stay behind."""
    clip, held = clips.entrance("h264"), (Arrived, Picture, av.Packet, av.VideoFrame)

    def count() -> int:
        gc.collect()
        return sum(isinstance(thing, held) for thing in gc.get_objects())

    before = count()
    assert watch(clip).counts.catch_ups == 1
    assert count() <= before
