"""A camera behind RTSP, a gateway's connection, the hub's application on uvicorn, and pages that watch."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import cv2
import httpx
import numpy as np
import pytest
from sqlalchemy import select
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from cloud.audit import verify_chain
from cloud.database.tables import AuditEntry
from cloud.video import relay as relay_module
from cloud.video import service as service_module
from edge.live.config import LiveSection
from edge.video.config import CameraConfig
from protocols.http_auth import authorise
from protocols.live import PATH, Frame, Hello, Kind, Quality, Started, encode_frame
from tests.edge.video.parts import camera
from tests.support.certificates import make_certificates
from tests.support.console import RunningConsole
from tests.support.databases import new_sqlite
from tests.support.gateways import eventually
from tests.support.live_video import Page, PlayedGateway, identity_for, page
from tests.support.rtsp import RtspServer, demo_server, gstreamer_server

OPEN_S = 20.0


@pytest.fixture
def console(tmp_path: Path) -> Iterator[RunningConsole]:
    database = new_sqlite(tmp_path)
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()
    database.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that notices soon that nobody watches."""
    monkeypatch.setattr(relay_module, "LINGER_S", 0.3)
    monkeypatch.setattr(service_module, "RENEW_S", 0.2)


@pytest.fixture(scope="module")
def server() -> Iterator[RtspServer]:
    with demo_server() as running:
        yield running


@contextmanager
def gateway(
    console: RunningConsole, folder: Path, *cameras: CameraConfig, section: LiveSection | None = None
) -> Iterator[PlayedGateway]:
    played = PlayedGateway(identity_for(console), folder, *cameras, section=section or LiveSection())
    with played:
        eventually(lambda: played.link.is_connected, OPEN_S, "the gateway's connection")
        yield played


def east(server: RtspServer, **more: object) -> CameraConfig:
    return camera("c-east", server.url("gate-east.mp4"), **more)


def played(frames: list[Frame]) -> int:
    """How many pictures a player makes of what a page got."""
    with av.open(io.BytesIO(b"".join(frame.payload for frame in frames))) as container:
        return sum(1 for _ in container.decode(video=0))


def codes(seen: Page) -> list[str]:
    """Why a page had to wait."""
    return [text["code"] for text in seen.of("waiting")]


def audited(console: RunningConsole, action: str) -> list[dict[str, object]]:
    with console.database.read() as connection:
        rows = connection.execute(select(AuditEntry.detail).where(AuditEntry.action == action)).all()
    return [row.detail for row in rows]


def test_pages_watch_one_copy_that_plays_from_its_first_picture_and_ends_by_itself(
    hasty: None, console: RunningConsole, tmp_path: Path, server: RtspServer
) -> None:
    with gateway(console, tmp_path, east(server)) as site, console.client() as client:
        with page(console, client) as first:
            eventually(lambda: len(first.pictures()) > 20, OPEN_S, "pictures")
            with page(console, client) as second:
                eventually(lambda: len(second.pictures()) > 10, OPEN_S, "pictures for the second page")
                assert site.link.status().streams == 1
                assert site.seen["c-east"].sub.watchers == 1
            for seen in (first, second):
                frames = list(seen.frames)
                assert [frame.kind for frame in frames[:2]] == [Kind.INIT, Kind.KEY]
                assert played(frames[:2]) == 1
                assert played(frames) == len(frames) - 1
                assert seen.of("started")[0]["mime"].startswith('video/mp4; codecs="avc1.')
                ages_s = [time.time() - frame.at_ms / 1000 for frame in frames[-2:]]
                assert all(-5 < age < 60 for age in ages_s)
        eventually(lambda: site.seen["c-east"].sub.watchers == 0, OPEN_S, "the end by itself")
        eventually(lambda: len(audited(console, "camera.live.end")) == 2, OPEN_S, "both ends in the audit")
    (began, _) = audited(console, "camera.live")
    assert began["camera"] == "c-east"
    assert began["ticket"] in {end["ticket"] for end in audited(console, "camera.live.end")}
    verify_chain(console.database)


def test_over_https_a_gateway_gives_its_video_to_a_hub_that_it_can_trust_and_to_no_other(
    tmp_path: Path, server: RtspServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates, database = make_certificates(tmp_path), new_sqlite(tmp_path)
    console = RunningConsole(database, tmp_path, tls=certificates)
    monkeypatch.setattr(service_module, "RENEW_S", 0.05)  # it hears much while it says much
    with PlayedGateway(identity_for(console), tmp_path, east(server), section=LiveSection()) as stranger:
        eventually(lambda: stranger.counters["live_connections_lost"] > 0, OPEN_S, "the refusal")
        assert not stranger.link.is_connected
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    with gateway(console, tmp_path, east(server)) as site, console.client() as client:
        eventually(lambda: site.seen["c-east"].sub.group() is not None, OPEN_S, "the camera")
        assert client.get("/api/v1/cameras/gw-quiet/c-east/snapshot").status_code == 200
        with page(console, client) as seen:
            eventually(lambda: len(seen.pictures()) > 50, OPEN_S, "pictures")
            frames = list(seen.frames)
            assert played(frames) == len(frames) - 1
        assert site.counters["live_connections_lost"] == 0
    console.stop()
    database.close()


def test_only_a_page_of_this_hub_with_a_session_may_watch(console: RunningConsole) -> None:
    with console.client() as client, console.client(None) as stranger:
        for who, headers in ((stranger, {}), (client, {"Origin": "https://elsewhere.example"})):
            with pytest.raises(InvalidStatus) as refused, page(console, who, headers=headers):
                pass
            assert refused.value.response.status_code == 403
        assert stranger.get("/api/v1/cameras/gw-quiet/c-east/snapshot").status_code == 401
    assert audited(console, "camera.live") == []


def test_a_page_of_a_session_that_ends_is_closed(console: RunningConsole) -> None:
    with console.client() as client, page(console, client) as seen:
        eventually(lambda: bool(seen.of("waiting")), OPEN_S, "the news that the gateway is away")
        assert seen.of("waiting")[0]["code"] == "gateway_away"
        with console.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM login_session")
        eventually(lambda: seen.code == 4401, OPEN_S, "the close")


def test_a_gateway_that_is_killed_and_a_hub_that_restarts_are_recovered_from(
    console: RunningConsole, tmp_path: Path, server: RtspServer
) -> None:
    with gateway(console, tmp_path, east(server)) as site, console.client() as client:
        with page(console, client) as seen:
            eventually(lambda: bool(seen.pictures()), OPEN_S, "pictures")
            site.link.stop()
            eventually(lambda: "gateway_away" in codes(seen), OPEN_S, "the news that the gateway is away")
            site.link = site.new_link()
            site.link.start()
            before = len(seen.frames)
            eventually(lambda: len(seen.frames) > before + 5, OPEN_S, "pictures again")
            assert played(seen.frames[before:]) > 0
        console.stop()
        console.start()
        eventually(lambda: site.link.is_connected, OPEN_S, "the connection to the new hub")
        with page(console, client) as seen:
            eventually(lambda: bool(seen.pictures()), OPEN_S, "pictures from the new hub")


def test_a_camera_that_goes_and_comes_back_is_waited_for(console: RunningConsole, tmp_path: Path) -> None:
    with demo_server() as server, gateway(console, tmp_path, east(server)) as site, console.client() as client:
        eventually(lambda: site.seen["c-east"].sub.group() is not None, OPEN_S, "the camera")
        with page(console, client) as seen:
            eventually(lambda: bool(seen.pictures()), OPEN_S, "pictures")
            server.kill()
            eventually(lambda: codes(seen) == ["camera_away"], OPEN_S, "the news that it is away")
            server.start()
            eventually(lambda: len(seen.of("started")) == 2, OPEN_S, "a new beginning")


def test_h265_is_refused_with_a_code_and_the_sub_stream_offered(
    console: RunningConsole, tmp_path: Path, server: RtspServer
) -> None:
    with gstreamer_server(codec="h265") as peer:
        both = east(server, main_url=peer.url("cam"))
        with gateway(console, tmp_path, both) as site, console.client() as client:
            eventually(lambda: site.seen["c-east"].sub.group() is not None, OPEN_S, "the sub stream")
            with page(console, client, query="?stream=main") as seen:
                eventually(lambda: seen.code == 4410, OPEN_S, "the end")
            (ended,) = seen.of("ended")
            assert (ended["code"], ended["offer"]) == ("codec_unplayable", "sub")


def test_a_masked_camera_is_not_shown_but_its_pictures_are_with_the_masks(
    console: RunningConsole, tmp_path: Path, server: RtspServer
) -> None:
    masked = east(server, privacy_mask=[[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]])
    with gateway(console, tmp_path, masked) as site, console.client() as client:
        with page(console, client) as seen:
            eventually(lambda: seen.code == 4410, OPEN_S, "the end")
        assert [text["code"] for text in seen.of("ended")] == ["masked"]
        eventually(lambda: site.seen["c-east"].sub.group() is not None, OPEN_S, "a picture")
        answer = client.get("/api/v1/cameras/gw-quiet/c-east/snapshot")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/jpeg"
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        middle = image.shape[1] // 2
        assert image[:, : middle - 8].max() < 24
        assert image[:, middle + 8 :].mean() > 30
        assert len(audited(console, "camera.snapshot")) == 1
        unknown = client.get("/api/v1/cameras/gw-quiet/c-nowhere/snapshot")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_camera")
    away = httpx.Client(base_url=console.url)
    assert away.get("/api/v1/cameras/gw-quiet/c-east/snapshot").status_code == 401


def test_a_page_is_told_that_video_shows_what_masks_hide(
    console: RunningConsole, tmp_path: Path, server: RtspServer
) -> None:
    shown = east(server, privacy_mask=[[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]], live_unmasked=True)
    with gateway(console, tmp_path, shown), console.client() as client, page(console, client) as seen:
        eventually(lambda: bool(seen.of("started")), OPEN_S, "video")
        assert seen.of("started")[0]["unmasked"] is True


def test_nobody_without_a_gateways_key_is_let_in_and_no_order_without_the_hubs_signature_is_followed(
    console: RunningConsole, tmp_path: Path, server: RtspServer
) -> None:
    url = console.url.replace("http", "ws", 1) + PATH
    wrong = authorise("gw-quiet", b"w" * 32, "GET", PATH, b"", int(time.time()))
    for headers in ({}, {"Authorization": wrong}):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, additional_headers=headers)
        assert refused.value.response.status_code == 403
    astray = PlayedGateway(identity_for(console, b"\1" * 32), tmp_path, east(server), section=LiveSection())
    with astray, console.client() as client:
        eventually(lambda: astray.link.is_connected, OPEN_S, "the connection")
        with page(console, client) as seen:
            eventually(lambda: astray.counters["live_connections_lost"] > 0, OPEN_S, "the gateway to leave")
            assert seen.pictures() == []
            assert astray.seen["c-east"].sub.watchers == 0


def test_a_gateway_that_sends_nonsense_is_cut_off(console: RunningConsole) -> None:
    key = console.seed.gateway.key.secret
    url = console.url.replace("http", "ws", 1) + PATH
    for message in (b"nonsense", "nonsense", Hello(nonce="1" * 32).model_dump_json()):
        header = authorise("gw-quiet", key, "GET", PATH, b"", int(time.time()))
        with connect(url, additional_headers={"Authorization": header}) as connection:
            connection.send(Hello(nonce="0" * 32).model_dump_json())
            connection.send(message)
            with pytest.raises(ConnectionClosed):
                connection.recv(timeout=OPEN_S)
            assert connection.close_code == 1008


def test_a_page_that_reads_too_slowly_goes_on_at_a_key_frame(console: RunningConsole) -> None:
    url = console.url.replace("http", "ws", 1) + PATH
    header = authorise("gw-quiet", console.seed.gateway.key.secret, "GET", PATH, b"", int(time.time()))
    with (
        connect(url, additional_headers={"Authorization": header}, compression=None) as upstream,
        console.client() as client,
        page(console, client) as quick,
        page(console, client, idle=True) as slow,
    ):
        upstream.send(Hello(nonce="0" * 32).model_dump_json())
        assert upstream.recv(timeout=OPEN_S), "the order to start"
        mime = 'video/mp4; codecs="avc1.64001F"'
        started = Started(stream=1, quality=Quality.SUB, mime=mime, width=640, height=360)
        upstream.send(started.model_dump_json())
        upstream.send(encode_frame(Frame(Kind.INIT, 1, 0, 0, b"init")))
        for number in range(1, 121):
            kind = Kind.KEY if number % 4 == 1 else Kind.DELTA
            upstream.send(encode_frame(Frame(kind, 1, number, 0, bytes(250_000))))
            eventually(lambda n=number: len(quick.pictures()) == n, OPEN_S, "the quick page")
        slow.read()
        upstream.send(encode_frame(Frame(Kind.KEY, 1, 121, 0, b"last")))
        eventually(lambda: bool(slow.frames) and slow.frames[-1].number == 121, OPEN_S, "the last picture")
        pictures = slow.pictures()
        gaps = [after for before, after in pairwise(pictures) if after.number != before.number + 1]
        assert gaps, "or nothing was too much for it"
        assert all(frame.kind is Kind.KEY for frame in gaps)
        assert quick.code is None
    eventually(lambda: len(audited(console, "camera.live.end")) == 2, OPEN_S, "the ends")
    assert sorted(end["cuts"] > 0 for end in audited(console, "camera.live.end")) == [False, True]
