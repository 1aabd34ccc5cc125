"""What is said of a stream: good where it is, and else what to set at the camera; and the lines for the site file."""

import tomllib

import pytest

from edge.cameras.advice import best_for_detection, camera_id, clock_verdict, site_lines, verdicts
from edge.cameras.measuring import Measured
from edge.video.config import VideoConfig

SOUND = Measured("h264", 704, 576, 10.0, 2.0, 600.0, 1.0, 8.0, 0)


def changed(**values: object) -> Measured:
    return Measured(**{**SOUND.__dict__, **values})  # type: ignore[arg-type]


def test_a_sound_stream_has_no_fault() -> None:
    assert [verdict.good for verdict in verdicts(SOUND)] == [True] * 4


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"codec": "hevc"}, "set it to H.264"),
        ({"codec": "mjpeg"}, "mjpeg costs much bandwidth"),
        ({"width": 352, "height": 240}, "too small"),
        ({"width": 2688, "height": 1520}, "take the sub stream"),
        ({"fps": 2.0}, "set 8 to 12"),
        ({"fps": 25.0}, "more than is ever looked at"),
        ({"keyframe_every_s": 4.0}, "is seen late; set the I-frame interval to 20 frames"),
        ({"keyframe_every_s": 10.0}, "may be missed"),
        ({"keyframe_every_s": None}, "fewer than two keyframes in 8 s"),
        ({"bitrate_kbps": 4000.0}, "512 to 1024 is enough"),
        ({"damaged": 3}, "3 damaged pictures"),
    ],
)
def test_each_fault_is_said_with_its_remedy(values: dict[str, object], said: str) -> None:
    (fault,) = [verdict for verdict in verdicts(changed(**values)) if not verdict.good]

    assert said in fault.sentence


@pytest.mark.parametrize(
    ("offset_s", "good", "said"),
    [
        (0.9, True, "agrees with ours"),
        (-90.0, False, "90 s behind ours: set NTP"),
        (28_800.0, False, "8 h ahead of ours"),
        (-9e8, False, "10417 days behind"),
        (None, False, "does not tell its time"),
    ],
)
def test_a_clock_is_judged(offset_s: float | None, good: bool, said: str) -> None:
    verdict = clock_verdict(offset_s)

    assert verdict.good is good
    assert said in verdict.sentence


def test_the_sub_stream_is_taken_for_detection() -> None:
    main = changed(width=2688, height=1520, bitrate_kbps=4000.0)

    assert best_for_detection([main, SOUND, None]) == 1
    assert best_for_detection([main, changed(fps=2.0, keyframe_every_s=9.0)]) == 0, "one fault is less than two"
    assert best_for_detection([None]) is None


def test_the_lines_are_a_camera_of_the_site_file() -> None:
    lines = site_lines("c-gate", "rtsp://192.0.2.1/2", "viewer", main_url="rtsp://192.0.2.1/1", onvif_port=8000)
    (camera,) = VideoConfig.model_validate(tomllib.loads(lines)).cameras

    assert camera.main_url == "rtsp://192.0.2.1/1"
    assert (camera.id, camera.url, camera.username) == ("c-gate", "rtsp://192.0.2.1/2", "viewer")
    assert str(camera.password_file) == "/etc/gatehouse/keys/c-gate.password"
    assert camera.onvif is not None
    assert camera.onvif.port == 8000
    assert [zone.id for zone in camera.zones] == ["z-c-gate"]


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("DS-2CD2043G2-I", "c-ds-2cd2043g2-i"),
        ("192.0.2.64", "c-192-0-2-64"),
        ("南门", "c-camera"),
        ("A" * 90, "c-" + "a" * 38),
    ],
)
def test_an_id_is_made_of_a_name(name: str, identity: str) -> None:
    assert camera_id(name) == identity
