"""The whole pipeline on a clip in one thread: a made-up scene's events, to the frame; the command on real footage."""

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.video.errors import StreamFault
from edge.video.replay import Pipeline, length_s, looks
from edge.video.rules.surroundings import Surroundings
from gatehouse.cli import app
from models import Detections, Kind
from protocols.events import CameraFault, PersonEnteredZone, PersonLeftZone
from tests.edge.video.parts import Picture, camera, detections, write_clip
from tests.support.rtsp import CLIPS

LEFT_HALF = [{"id": "z-left", "polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}]
WALK_FROM, WALK_TO = 20, 60


class SeesWhite:
    """A detector that finds the one white block, as a person."""

    def __init__(self) -> None:
        self.asked = 0

    def detect(self, frame: np.ndarray, floor: float | None = None) -> Detections:
        self.asked += 1
        rows, columns = np.nonzero(frame[..., 1] > 180)
        if not len(rows):
            return Detections.none()
        height, width = frame.shape[:2]
        box = columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height
        return detections((Kind.PERSON, 0.9, box))


def walker(frame: int) -> Picture:
    """A white block walks from left to right between frames 20 and 60."""
    picture = np.full((120, 160, 3), 60, np.uint8)
    if WALK_FROM <= frame < WALK_TO:
        left = 4 + (frame - WALK_FROM) * 3
        picture[50:90, left : left + 16] = 240
    return picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("replay") / "walk.mp4", walker, 100)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first six seconds of the demo's street, as filmed."""
    target = tmp_path_factory.mktemp("street") / "street.mp4"
    with av.open(str(CLIPS / "gate-east.mp4")) as source, av.open(str(target), "w") as out:
        video = source.streams.video[0]
        copy = out.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None and packet.pts is not None and packet.pts * packet.time_base < 6:
                packet.stream = copy
                out.mux(packet)
    return target


def test_a_walk_through_a_zone_is_two_events_at_their_seconds(clip: Path) -> None:
    pipeline = Pipeline(camera(zone=LEFT_HALF), SeesWhite())
    told = [each for look in looks(clip, pipeline) for each in look.happenings] + list(pipeline.end())

    entered, left = told
    assert isinstance(entered.data, PersonEnteredZone)
    assert isinstance(left.data, PersonLeftZone)
    assert 2.0 <= entered.at_s <= 3.0, "it came at second 2 and is believed at its third sight"
    assert 3.3 <= entered.at_s + left.data.dwell_s <= 4.7, "its foot passes the middle at second 4.5"
    assert entered.picture is not None


def test_the_same_clip_gives_the_same_events(clip: Path) -> None:
    def told() -> list[str]:
        pipeline = Pipeline(camera(zone=LEFT_HALF), SeesWhite())
        each = [h for look in looks(clip, pipeline) for h in look.happenings] + list(pipeline.end())
        return [f"{h.at_s} {h.data.model_dump_json()}" for h in each]

    assert told() == told() != []


NIGHT = [{"id": "r-night", "kind": "forbidden", "zone": "z-left", "hours": ["mon-sun 22:00-06:00"], "min_s": 0.5}]


@pytest.mark.parametrize(("hour", "told"), [(12, []), (23, ["person.intruded.v1"])])
def test_rules_hold_in_their_hours_by_the_clock_of_the_clip(clip: Path, hour: int, told: list[str]) -> None:
    begins_s = datetime(2026, 1, 5, hour, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()
    rules = camera(zone=LEFT_HALF, rule=NIGHT)
    pipeline = Pipeline(rules, SeesWhite(), begins_s, Surroundings(ZoneInfo("Asia/Shanghai")))
    happenings = [each for look in looks(clip, pipeline) for each in look.happenings]

    of_rules = [each for each in happenings if "zone.v1" not in each.data.TYPE]
    assert [each.data.TYPE for each in of_rules] == told
    assert all(2.5 <= each.at_s <= 4.0 for each in of_rules)


def test_frames_between_analyses_are_passed_over_and_a_still_scene_asks_no_detector(clip: Path) -> None:
    detector = SeesWhite()
    seen = list(looks(clip, Pipeline(camera(analyses_per_s=5.0, busy_analyses_per_s=5.0), detector)))

    assert [look.at_s for look in seen] == pytest.approx([i / 10 for i in range(100)])
    assert 49 <= sum(look.motion is not None for look in seen) <= 51
    assert not any(look.found for look in seen if 1.3 < look.at_s < 1.9), "still, after the first look"
    moving = [look for look in seen if 2.4 < look.at_s < 5.5 and look.motion is not None]
    assert all(look.found is not None and look.motion is not None and look.motion.moves for look in moving)
    assert detector.asked == sum(look.found is not None for look in seen)


def test_a_scene_that_stays_busy_is_looked_at_less_often_and_tells_the_same(clip: Path) -> None:
    told, busy = {}, {}
    for per_s in (5.0, 2.0):
        pipeline = Pipeline(camera(busy_analyses_per_s=per_s, zone=LEFT_HALF), SeesWhite())
        seen = list(looks(clip, pipeline))
        busy[per_s] = [look.at_s for look in seen if look.found is not None and 4.3 < look.at_s < 6.0]
        told[per_s] = [(each.data.TYPE, each.at_s) for look in seen for each in look.happenings]
    assert [len(busy[5.0]), len(busy[2.0])] == [8, 3]
    assert [what for what, _ in told[2.0]] == [what for what, _ in told[5.0]] != []
    assert told[2.0][0] == told[5.0][0], "who comes is seen at once"
    assert all(abs(one[1] - other[1]) <= 0.6 for one, other in zip(told[2.0], told[5.0], strict=True))


def test_what_lies_behind_a_privacy_mask_is_not_seen(clip: Path) -> None:
    masked = camera(privacy_mask=[[[0, 0.3], [1, 0.3], [1, 0.8], [0, 0.8]]])
    found = [look.found for look in looks(clip, Pipeline(masked, SeesWhite())) if look.found is not None]

    assert found
    assert all(not each.image[40:90].any() and each.image[:30].all() for each in found)
    assert not any(len(each.detections) for each in found)


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video at all")
    with pytest.raises(StreamFault) as raised:
        list(looks(tmp_path / "clip.mp4", Pipeline(camera(), SeesWhite())))

    assert raised.value.fault is CameraFault.UNDECODABLE
    assert length_s(tmp_path / "clip.mp4") is None


def test_the_command_prints_each_event_as_json(street: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(
        '[[camera]]\nid = "c-east"\nplace = "gate-east"\nurl = "rtsp://192.0.2.1/x"\n'
        '[[camera.zone]]\nid = "z-street"\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\nclasses = ["person"]\n'
    )
    result = CliRunner().invoke(
        app, ["edge", "replay", str(street), "--config", str(site), "--camera", "c-east", "--json"]
    )

    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert {each["data"]["zone"] for each in events} == {"z-street"}
    assert [each["type"] for each in events].count("person.entered_zone.v1") >= 3
    assert {each["type"] for each in events} <= {"person.entered_zone.v1", "person.left_zone.v1"}
    assert all(0 <= each["at_s"] <= 6.0 for each in events)
    assert "times real time" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nowhere.mp4"], 1, "nowhere.mp4: there is no such stream or file"),
        (["nowhere.mp4", "--camera", "c-east"], 2, "--config and --camera go together"),
        (["nowhere.mp4", "--at", "noon"], 2, '--at "noon" is no time; write it as 2026-01-05T12:00'),
        (["nowhere.mp4", "-c", "nowhere.toml", "--camera", "c"], 2, "nowhere.toml: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], status: int, said: str) -> None:
    result = CliRunner().invoke(app, ["edge", "replay", *arguments])

    assert result.exit_code == status
    assert said in result.stderr
