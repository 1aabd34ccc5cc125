"""A camera's motion events and clock, against a made-up camera that speaks real SOAP over real HTTP."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edge.backoff import Backoff
from edge.cameras.address import CameraAddress
from edge.cameras.onvif_camera import OnvifCamera
from edge.cameras.watch import OnvifWatch, WatchState, WatchStatus, WatchTiming
from edge.clock import SystemClock
from edge.onvif.client import OnvifClient
from edge.video.config import CameraConfig
from edge.video.worker import Run
from tests.peers.onvif import PASSWORD, USER
from tests.peers.onvif_camera import OnvifCameraPeer
from tests.support.gateways import eventually

QUICK = WatchTiming(pull_s=0.2, restart_s=0.3, locked_s=60.0, clock_s=0.3, haste_s=0.05)


class Watching:
    """A running watch and what it woke us for."""

    def __init__(self, watch: OnvifWatch, woken: list[str], run: Run) -> None:
        self._watch, self.woken, self._run = watch, woken, run

    @property
    def status(self) -> WatchStatus:
        return self._watch.status()

    def await_state(self, state: WatchState) -> None:
        eventually(lambda: self.status.state is state, 20.0, f"{state}; it is {self.status}")


@pytest.fixture
def peer() -> Iterator[OnvifCameraPeer]:
    with OnvifCameraPeer() as camera:
        yield camera


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def configured(peer: OnvifCameraPeer, password: Path, **onvif: object) -> CameraConfig:
    account = {"username": USER, "password_file": password}
    rows = {"id": "c-east", "place": "p", "url": "rtsp://127.0.0.1:1/sub", **account}
    return CameraConfig.model_validate({**rows, "onvif": {"port": peer.port, "timeout_s": 2.0, **onvif}})


@contextmanager
def watching(camera: CameraConfig, timing: WatchTiming = QUICK) -> Iterator[Watching]:
    woken: list[str] = []
    clock = SystemClock()
    watch = OnvifWatch(camera, woken.append, clock, Backoff(0.1, 0.3, lambda: 0.5), timing)
    run = Run(clock.monotonic_s)
    thread = threading.Thread(target=watch, args=(run,))
    thread.start()
    try:
        yield Watching(watch, woken, run)
    finally:
        run.stop()
        thread.join(20.0)
        assert not thread.is_alive()
        assert watch.status().state is WatchState.STOPPED


def test_movement_wakes_us_at_once_and_for_as_long_as_it_lasts(peer: OnvifCameraPeer, password_file: Path) -> None:
    with watching(configured(peer, password_file)) as here:
        here.await_state(WatchState.LISTENING)
        assert here.woken == []
        peer.move(active=True)
        eventually(lambda: bool(here.woken), 20.0, "waking")
        assert here.woken[0] == "its own RuleEngine/CellMotionDetector/Motion"
        eventually(lambda: len(here.woken) >= 3, 20.0, "waking again while it lasts")
        assert here.status.moving
        peer.move(active=False)
        eventually(lambda: not here.status.moving, 20.0, "the end of the movement")
        assert here.status.motions == 1

    assert not peer.refused
    assert peer.subscriptions == 0, "it unsubscribes at its end"


def test_movement_that_lasts_already_wakes_us_and_is_no_new_one(peer: OnvifCameraPeer, password_file: Path) -> None:
    with watching(configured(peer, password_file)) as here:
        here.await_state(WatchState.LISTENING)
        peer.move(active=True, operation="Initialized")
        eventually(lambda: bool(here.woken), 20.0, "waking")
        assert here.status.motions == 0


def test_movement_whose_end_is_never_told_is_over_at_last(peer: OnvifCameraPeer, password_file: Path) -> None:
    with watching(configured(peer, password_file), replace(QUICK, most_moving_s=0.5)) as here:
        here.await_state(WatchState.LISTENING)
        peer.move(active=True)
        eventually(lambda: bool(here.woken), 20.0, "waking")
        eventually(lambda: not here.status.moving, 20.0, "the end, by our own clock")


def test_of_a_recorder_only_our_own_lens_wakes_us(peer: OnvifCameraPeer, password_file: Path) -> None:
    with watching(configured(peer, password_file, source="VideoSourceToken")) as here:
        here.await_state(WatchState.LISTENING)
        peer.move(active=True, source="another")
        peer.move(active=True)
        eventually(lambda: bool(here.woken), 20.0, "waking")
        assert here.status.motions == 1


def test_a_subscription_is_renewed_before_what_the_camera_granted_is_over(
    peer: OnvifCameraPeer, password_file: Path
) -> None:
    peer.grants_s = 2.0
    with watching(configured(peer, password_file)) as here:
        here.await_state(WatchState.LISTENING)
        eventually(lambda: peer.asked.count("Renew") >= 2, 20.0, "two renewals")
        peer.move(active=True)
        eventually(lambda: bool(here.woken), 20.0, "waking")
        assert here.status.subscriptions == 1


def test_a_subscription_that_the_camera_forgot_is_made_anew(peer: OnvifCameraPeer, password_file: Path) -> None:
    with watching(configured(peer, password_file)) as here:
        here.await_state(WatchState.LISTENING)
        peer.drop_subscriptions()
        eventually(lambda: here.status.subscriptions == 2, 20.0, "a second subscription")
        here.await_state(WatchState.LISTENING)
        peer.move(active=True)
        eventually(lambda: bool(here.woken), 20.0, "waking")

    assert peer.asked.count("Unsubscribe") == 1, "not after the fault: some cameras end all of them then"


def test_a_camera_that_hangs_up_when_it_has_nothing_to_say_is_borne(peer: OnvifCameraPeer, password_file: Path) -> None:
    peer.hangs_up = True
    with watching(configured(peer, password_file)) as here:
        here.await_state(WatchState.LISTENING)
        eventually(lambda: peer.asked.count("PullMessages") >= 2, 20.0, "another pull after the first")
        peer.hangs_up = False
        peer.move(active=True)
        eventually(lambda: bool(here.woken), 20.0, "waking")
        assert here.status.subscriptions == 1


def test_a_camera_that_goes_and_comes_is_taken_up_again(peer: OnvifCameraPeer, password_file: Path) -> None:
    with watching(configured(peer, password_file)) as here:
        here.await_state(WatchState.LISTENING)
        peer.stop()
        said = f"no answer from 127.0.0.1:{peer.port}"
        eventually(lambda: said in str(here.status.fault), 20.0, "the fault")
        peer.start()
        here.await_state(WatchState.LISTENING)
        assert here.status.fault is None


def test_a_wrong_password_is_said_and_not_tried_again_and_again(peer: OnvifCameraPeer, password_file: Path) -> None:
    password_file.write_text("another")
    with watching(configured(peer, password_file)) as here:
        here.await_state(WatchState.WAITING)
        assert "check username, password_file and its rights" in str(here.status.fault)
        assert "another" not in str(here.status)
        assert len(peer.refused) == 1


def test_a_password_file_that_others_may_read_is_refused(peer: OnvifCameraPeer, password_file: Path) -> None:
    password_file.chmod(0o644)
    own = {"username": USER, "password_file": password_file}
    with watching(configured(peer, password_file, **own)) as here:
        here.await_state(WatchState.WAITING)
        assert "others may read it" in str(here.status.fault)
        assert not peer.asked


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(minutes=-7), timedelta(days=400)])
def test_a_cameras_clock_is_told_and_it_is_spoken_to_by_it(
    peer: OnvifCameraPeer, password_file: Path, offset: timedelta
) -> None:
    peer.clock_offset = offset
    with watching(configured(peer, password_file)) as here:
        here.await_state(WatchState.LISTENING)
        assert here.status.clock_offset_s == pytest.approx(offset.total_seconds(), abs=2.5)

    assert not peer.refused


@pytest.mark.parametrize("wanted", [True, False])
def test_without_events_its_clock_is_still_read_now_and_then(password_file: Path, wanted: bool) -> None:
    with (
        OnvifCameraPeer(events=not wanted) as peer,
        watching(configured(peer, password_file, events=wanted)) as here,
    ):
        here.await_state(WatchState.CLOCK_ONLY)
        eventually(lambda: peer.asked.count("GetSystemDateAndTime") >= 4, 20.0, "the clock again")
        peer.clock_offset = timedelta(minutes=3)
        eventually(_nearly(180.0, lambda: here.status.clock_offset_s), 20.0, "another offset")
        assert peer.subscriptions == 0


def _nearly(wanted: float, value: Callable[[], float | None]) -> Callable[[], bool]:
    return lambda: value() == pytest.approx(wanted, abs=2.5)


@pytest.mark.parametrize(("media2", "codec"), [(True, "hevc"), (False, "h264")])
def test_streams_are_offered_at_the_cameras_own_address_without_its_account(media2: bool, codec: str) -> None:
    address = CameraAddress("127.0.0.1", username=USER)
    with (
        OnvifCameraPeer(media2=media2) as peer,
        OnvifClient(replace(address, port=peer.port), PASSWORD, SystemClock()) as client,
    ):
        client.connect()
        main, sub = OnvifCamera(client, "127.0.0.1").offers()

    assert (main.profile.codec, main.profile.height, sub.profile.codec) == (codec, 1440, "h264")
    assert main.stream_uri == "rtsp://127.0.0.1:554/main"
    assert sub.stream_uri == "rtsp://127.0.0.1:554/sub"
    assert sub.snapshot_uri is None
