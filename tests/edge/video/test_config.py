"""What a site may and may not say about its cameras."""

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.video.address import Transport
from edge.video.config import CameraConfig, DetectorConfig, VideoConfig, ZoneConfig
from edge.video.errors import VideoError
from tests.edge.video.parts import WHOLE, camera

BASE = {"id": "c-east", "place": "gate-east", "url": "rtsp://10.0.0.5:554/stream2?token=hidden"}


def test_toml_names_and_defaults() -> None:
    config = VideoConfig.model_validate({"camera": [BASE | {"zone": [{"id": "z", "polygon": WHOLE}]}]})
    only = config.cameras[0]
    assert config.detector.model == "nanodet-g-416x256-int8"
    assert (only.person_score, only.vehicle_score, only.analyses_per_s) == (0.40, 0.35, 5.0)
    assert [cls.value for cls in only.zones[0].classes] == ["person", "vehicle"]


def test_a_busy_scene_is_looked_at_less_often_but_where_people_are_counted_through_a_door() -> None:
    tailgating = {"id": "r", "kind": "tailgating", "door": "d", "zone": "z-all"}
    zone = [{"id": "z-all", "polygon": WHOLE}]
    assert camera(zone=zone).busy_looks_per_s == 1.8
    assert camera(zone=zone, rule=[tailgating]).busy_looks_per_s == 5.0
    assert camera(zone=zone, analyses_per_s=1.0).busy_looks_per_s == 1.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colour": "red"}, "Extra inputs"),
        ({"url": "ftp://10.0.0.5/x"}, "must begin with"),
        ({"url": "rtsp://admin:secret@10.0.0.5/x"}, "no user name or password"),
        ({"url": "rtsp:///x"}, "names no host"),
        ({"url": "rtsp://10.0.0.5:99999/x"}, "is not an address"),
        ({"url": "file://relative.mp4"}, "whole path"),
        ({"analyses_per_s": 16}, "less than or equal to 15"),
        ({"person_score": 0.1}, "greater than or equal to 0.25"),
        ({"password_env": "CAM_PASSWORD"}, "needs a username"),
        ({"username": "u", "password_env": "P", "password_file": "/p"}, "not both"),
        ({"zone": [{"id": "z", "polygon": [[0, 0], [1, 1]]}]}, "at least 3"),
        ({"zone": [{"id": "z", "polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}]}, "must not touch or cross: side 1"),
        ({"zone": [{"id": "z", "polygon": [[0, 0], [1, 0], [1, 1.2]]}]}, "less than or equal to 1"),
        ({"zone": [{"id": "z", "polygon": WHOLE}, {"id": "z", "polygon": WHOLE}]}, "same id"),
        ({"zone": [{"id": "z", "polygon": WHOLE, "classes": ["dog"]}]}, "'person' or 'vehicle'"),
    ],
)
def test_faults_are_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CameraConfig.model_validate(BASE | change)


def test_a_refused_address_is_not_repeated_in_the_error_that_people_see() -> None:
    with pytest.raises(ValidationError) as caught:
        CameraConfig.model_validate(BASE | {"url": "rtsp://admin:secret@10.0.0.5/x"})
    assert "secret" not in str(caught.value.errors(include_input=False, include_context=False, include_url=False))


def test_two_cameras_with_one_id_are_refused() -> None:
    with pytest.raises(ValidationError, match="two cameras"):
        VideoConfig.model_validate({"camera": [BASE, BASE]})


def test_the_password_is_in_the_location_and_nowhere_else(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text("p:w/@ 1\nsecond line\n")
    config = CameraConfig.model_validate(BASE | {"username": "ad min", "password_file": str(secret)})
    assert config.location({}) == "rtsp://ad%20min:p%3Aw%2F%40%201@10.0.0.5:554/stream2?token=hidden"
    assert "p:w" not in repr(config)
    assert "hidden" not in repr(config)
    assert config.address == "rtsp://10.0.0.5:554/stream2"


def test_the_password_may_come_from_the_environment() -> None:
    config = CameraConfig.model_validate(BASE | {"username": "u", "password_env": "CAM"})
    assert config.location({"CAM": "x"}).startswith("rtsp://u:x@10.0.0.5")
    with pytest.raises(VideoError, match="CAM is not set"):
        config.location({})


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (None, 0o600, "No such file"),
        ("", 0o600, "is empty"),
        ("secret", 0o640, "run: chmod 600"),
        ("x" * 5000, 0o600, "longer than 4096"),
    ],
)
def test_an_unreadable_password_is_one_clear_sentence(
    tmp_path: Path, content: str | None, mode: int, says: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    config = CameraConfig.model_validate(BASE | {"username": "u", "password_file": str(path)})
    with pytest.raises(VideoError, match=says):
        config.location({})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"main_url": "rtsp://admin:secret@10.0.0.5/x"}, "no user name or password"),
        ({"main_url": "ftp://10.0.0.5/x"}, "must begin with"),
        ({"transport": "multicast"}, "'tcp' or 'udp'"),
        ({"transport": "udp", "url": "http://10.0.0.5/video.mjpg"}, "rtsp:// alone"),
    ],
)
def test_what_is_said_of_streams_is_checked(wrong: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CameraConfig.model_validate(BASE | wrong)


def test_both_streams_are_opened_with_the_one_account() -> None:
    main = {"main_url": "rtsp://10.0.0.5:554/stream1", "transport": "udp", "username": "u", "password_env": "CAM"}
    config = CameraConfig.model_validate(BASE | main)
    sub, whole = config.stream({"CAM": "s3"}), config.main_stream({"CAM": "s3"})
    assert sub.location.startswith("rtsp://u:s3@10.0.0.5:554/stream2")
    assert whole.location == "rtsp://u:s3@10.0.0.5:554/stream1"
    assert (sub.transport, whole.transport) == (Transport.UDP, Transport.UDP)
    assert "s3" not in f"{sub} {whole} {config}"
    with pytest.raises(VideoError, match="no main_url"):
        CameraConfig.model_validate(BASE).main_stream({})


def test_a_file_address_is_a_path() -> None:
    assert camera(url="file:///clips/gate%20east.mp4").location({}) == "/clips/gate east.mp4"


@pytest.mark.parametrize("model", [VideoConfig, DetectorConfig, CameraConfig, ZoneConfig])
def test_every_key_has_a_title_and_a_sentence(model: type[VideoConfig]) -> None:
    for name, field in model.model_fields.items():
        assert field.title, name
        assert field.description, name
        assert field.description.endswith("."), name


def test_every_key_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "video.md").read_text(encoding="utf-8")
    for model in (DetectorConfig, CameraConfig, ZoneConfig):
        for name, field in model.model_fields.items():
            assert (field.alias or name) in text, name


def test_the_documentation_s_example_is_valid() -> None:
    text = (Path(__file__).parents[3] / "docs" / "video.md").read_text(encoding="utf-8")
    example = text.split("## Configuration")[1].split("A camera that looks")[0]
    config = VideoConfig.model_validate(tomllib.loads(example))
    assert config.cameras[0].zones[0].id == "z-door"
