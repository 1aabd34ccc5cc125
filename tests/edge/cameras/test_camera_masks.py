"""Privacy masks put into a made-up camera over real HTTP: added, never removed, and read back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cameras.address import CameraAddress
from edge.cameras.masks import Masking, compare, write
from edge.cameras.onvif_camera import OnvifCamera
from edge.clock import SystemClock
from edge.onvif.client import OnvifClient, Refused
from gatehouse.cli import app
from tests.peers.onvif import PASSWORD, USER
from tests.peers.onvif_camera import OnvifCameraPeer

WINDOW = ((0.0, 0.0), (0.25, 0.0), (0.25, 0.5))
WINDOW_THERE = [(-1.0, 1.0), (-0.5, 1.0), (-0.5, 0.0)]
DOOR = ((0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0))
SOURCE = "VideoSourceToken"


@pytest.fixture
def peer() -> Iterator[OnvifCameraPeer]:
    with OnvifCameraPeer() as camera:
        yield camera


@contextmanager
def asked(peer: OnvifCameraPeer) -> Iterator[OnvifCamera]:
    with OnvifClient(CameraAddress("127.0.0.1", peer.port, USER), PASSWORD, SystemClock()) as client:
        client.connect()
        yield OnvifCamera(client, "127.0.0.1")


def test_a_mask_is_set_in_the_cameras_own_coordinates_once(peer: OnvifCameraPeer) -> None:
    with asked(peer) as camera:
        assert compare(camera, SOURCE, [WINDOW]) == Masking(there=0, written=1, others=0)
        assert write(camera, SOURCE, [WINDOW]) == Masking(there=0, written=1, others=0)
        assert write(camera, SOURCE, [WINDOW]) == Masking(there=1, written=0, others=0)

    assert peer.masks == {"mask-1": (WINDOW_THERE, True)}


def test_a_mask_that_lies_there_switched_off_is_switched_on(peer: OnvifCameraPeer) -> None:
    peer.masks["theirs"] = (WINDOW_THERE[1:] + WINDOW_THERE[:1], False)
    with asked(peer) as camera:
        assert write(camera, SOURCE, [WINDOW]) == Masking(there=0, written=1, others=0)

    assert [enabled for _, enabled in peer.masks.values()] == [True]


def test_masks_of_others_stay(peer: OnvifCameraPeer) -> None:
    peer.masks["theirs"] = ([(0.0, 0.0), (1.0, 0.0), (1.0, -1.0)], True)
    with asked(peer) as camera:
        assert write(camera, SOURCE, [WINDOW, DOOR]) == Masking(there=0, written=2, others=1)

    assert peer.masks["theirs"][1]
    assert len(peer.masks) == 3


def test_a_camera_that_takes_rectangles_alone_gets_the_one_around(peer: OnvifCameraPeer) -> None:
    peer.rectangles_only = True
    with asked(peer) as camera:
        write(camera, SOURCE, [WINDOW])

    assert peer.masks["mask-1"][0] == [(-1.0, 1.0), (-0.5, 1.0), (-0.5, 0.0), (-1.0, 0.0)]


def test_a_camera_without_room_says_so(peer: OnvifCameraPeer) -> None:
    peer.most_masks = 1
    with asked(peer) as camera, pytest.raises(Refused, match="refuses CreateMask: no more masks"):
        write(camera, SOURCE, [WINDOW, DOOR])


def test_a_camera_without_masks_says_where_to_set_them() -> None:
    with (
        OnvifCameraPeer(media2=False) as peer,
        asked(peer) as camera,
        pytest.raises(Refused, match="set them in its own settings"),
    ):
        compare(camera, SOURCE, [WINDOW])


def test_the_command_compares_and_sets(peer: OnvifCameraPeer, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(
        f'[[camera]]\nid = "c-east"\nplace = "p"\nurl = "rtsp://127.0.0.1:1/x"\nusername = "{USER}"\n'
        'password_env = "CAMERA_PASSWORD"\nprivacy_mask = [[[0, 0], [0.25, 0], [0.25, 0.5]]]\n'
        f"[camera.onvif]\nport = {peer.port}\n"
    )

    def run(*more: str) -> tuple[int, str]:
        arguments = ["edge", "cameras", "masks", "c-east", "--config", str(site), *more]
        result = CliRunner().invoke(app, arguments, env={"CAMERA_PASSWORD": PASSWORD})
        return result.exit_code, result.stdout.strip()

    assert run() == (1, "c-east: 0 of 1 masks were in the camera; 1 missing; 0 of others left alone")
    assert run("--write") == (0, "c-east: 0 of 1 masks were in the camera; 1 set now; 0 of others left alone")
    assert run() == (0, "c-east: 1 of 1 masks were in the camera; 0 missing; 0 of others left alone")


def test_the_configuration_check_says_what_a_mask_does_not_hide(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(
        '[[camera]]\nid = "c-east"\nplace = "p"\nurl = "rtsp://127.0.0.1:1/x"\n'
        "privacy_mask = [[[0, 0], [0.25, 0], [0.25, 0.5]]]\n"
        '[[camera]]\nid = "c-west"\nplace = "p"\nurl = "rtsp://127.0.0.1:1/x"\n'
    )
    result = CliRunner().invoke(app, ["edge", "check", "--config", str(site)])

    assert result.exit_code == 0
    note, live = [line for line in result.stdout.splitlines() if ": note: " in line]
    assert "camera c-east: no live video" in live
    assert "camera c-east: privacy_mask is black in snapshots, but clips and recordings" in note
    assert "gatehouse edge cameras masks c-east --write" in note
