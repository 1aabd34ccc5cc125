"""Clips on their way to a real hub: after their event, through lines that break, at the rate that is set."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.database.engine import Database, open_database
from edge.clock import SystemClock
from edge.counters import Counters
from edge.hub_http import HubHttp
from edge.identity import HubKey, Identity
from edge.keeping.index import Grade, KeepingIndex, Piece, PieceState
from edge.keeping.upload import PART_BYTES, ClipUploads
from protocols.clips import state_path
from protocols.enrolment import BrokerAccess
from tests.support.certificates import make_certificates
from tests.support.console import RunningConsole
from tests.support.cutting import CuttingProxy
from tests.support.footage import sha256
from tests.support.gateways import eventually, make_keys
from tests.support.hub_http import Answer, Asked, SmallHub

ACCESS = BrokerAccess(host="127.0.0.1", port=1, username="gw-quiet", password="x" * 16)
FILM = b"\0\0\0\x10ftypiso5\0\0\0\0" + random.Random(1).randbytes(3 * PART_BYTES)
Make = Callable[..., ClipUploads]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[RunningConsole]:
    database: Database = open_database(f"sqlite:///{tmp_path / 'hub.db'}")
    database.migrate()
    (tmp_path / "hub").mkdir()
    running = RunningConsole(database, tmp_path / "hub")
    yield running
    running.stop()
    database.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[KeepingIndex]:
    opened = KeepingIndex(tmp_path / "video.db", tmp_path / "video")
    (tmp_path / "video" / "clips").mkdir()
    yield opened
    opened.close()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def make(index: KeepingIndex, counters: Counters) -> Iterator[Make]:
    made: list[ClipUploads] = []

    def build(
        url: str, secret: bytes, rate: float = 1e9, wanted: Callable[[Grade], bool] = lambda _grade: True
    ) -> ClipUploads:
        keys = make_keys()
        key = keys.identity(ACCESS).mac_key.__class__("k1", secret)
        http = HubHttp(Identity("gw-quiet", key, keys.card, url, HubKey(keys.hub_public), ACCESS), SystemClock())
        uploads = ClipUploads(lambda: index, http, wanted, rate, SystemClock(), lambda: 0.0, counters)
        made.append(uploads)
        uploads.start()
        return uploads

    yield build
    for uploads in made:
        assert uploads.stop()


def keep(index: KeepingIndex, name: str, content: bytes = FILM, grade: Grade = Grade.ORDINARY) -> Piece:
    path = index.folder / "clips" / f"{name}.mp4"
    path.write_bytes(content)
    piece = Piece(
        name, "cam-east", grade, 1, 2, f"clips/{name}.mp4", len(content), sha256(path), PieceState.KEPT, told=True
    )
    index.add(piece)
    return piece


def is_sent(index: KeepingIndex, piece: Piece) -> bool:
    found = index.find(piece.id)
    return found is not None and found.sent


def test_a_clip_is_sent_in_parts_and_the_hub_has_it_whole(
    index: KeepingIndex, console: RunningConsole, make: Make, counters: Counters
) -> None:
    piece = keep(index, "a")
    make(console.url, console.seed.gateway.key.secret)
    eventually(lambda: is_sent(index, piece))
    with console.client() as client:
        assert client.get(f"/api/v1/clips/{piece.sha256}").content == FILM
    assert counters["clips_sent"] == 1
    assert (index.folder / piece.path).is_file(), "the gateway's own copy goes by its own time"


def test_over_https_the_hub_has_to_prove_itself(
    index: KeepingIndex, tmp_path: Path, make: Make, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an authority of the machine's, or the one that SSL_CERT_FILE names."""
    certificates = make_certificates(tmp_path)
    database: Database = open_database(f"sqlite:///{tmp_path / 'hub.db'}")
    database.migrate()
    (tmp_path / "hub").mkdir()
    console = RunningConsole(database, tmp_path / "hub", tls=certificates)
    secret = console.seed.gateway.key.secret
    piece = keep(index, "a")
    stranger = make(console.url, secret)
    eventually(lambda: counters["clip_upload_failures"] > 0)
    assert stranger.stop()
    assert not is_sent(index, piece)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    began_s = time.monotonic()
    make(console.url, secret, rate=2 * PART_BYTES)
    eventually(lambda: is_sent(index, piece), 40)
    assert time.monotonic() - began_s >= 3 * 0.5, "the rate is kept, too"
    with console.client() as client:
        assert client.get(f"/api/v1/clips/{piece.sha256}").content == FILM
    console.stop()
    database.close()


def test_a_line_that_breaks_again_and_again_costs_a_part_each_time_and_never_the_whole(
    index: KeepingIndex, console: RunningConsole, make: Make, counters: Counters
) -> None:
    proxy = CuttingProxy(console.port, cut_after=PART_BYTES + PART_BYTES // 2)
    piece = keep(index, "a")
    make(proxy.url, console.seed.gateway.key.secret)
    eventually(lambda: is_sent(index, piece), 40)
    assert proxy.cuts >= 2
    assert counters["clip_upload_failures"] >= 2
    assert proxy.bytes_up < 3 * len(FILM), "the upload began anew each time"
    with console.client() as client:
        assert client.get(f"/api/v1/clips/{piece.sha256}").content == FILM
    proxy.close()


def test_an_upload_goes_on_after_a_restart_of_the_gateway_and_of_the_hub(
    index: KeepingIndex, console: RunningConsole, make: Make
) -> None:
    piece = keep(index, "a")
    slow = make(console.url, console.seed.gateway.key.secret, rate=PART_BYTES / 30)
    eventually(lambda: any((console.folder / "clips" / "incoming").iterdir()))
    assert slow.stop()
    console.stop()
    console.start()
    (part,) = (console.folder / "clips" / "incoming").iterdir()
    assert part.stat().st_size == PART_BYTES
    make(console.url, console.seed.gateway.key.secret)
    eventually(lambda: is_sent(index, piece))


def test_the_rate_is_kept(index: KeepingIndex, console: RunningConsole, make: Make) -> None:
    piece = keep(index, "a")
    began_s = time.monotonic()
    make(console.url, console.seed.gateway.key.secret, rate=2 * PART_BYTES)
    eventually(lambda: is_sent(index, piece))
    assert time.monotonic() - began_s >= 3 * 0.5


def test_alarms_go_first_and_what_is_not_wanted_is_not_sent(index: KeepingIndex, make: Make) -> None:
    asked: list[str] = []

    def hub(request: Asked) -> Answer:
        asked.append(request.path)
        return 200, b'{"offset": 0, "done": true}'

    server = SmallHub(hub)
    ordinary, alarm = keep(index, "a"), keep(index, "b", FILM + b"!", Grade.ALARM)
    make(server.url, b"k" * 32)
    eventually(lambda: is_sent(index, ordinary) and is_sent(index, alarm))
    assert asked == [state_path(alarm.sha256), state_path(ordinary.sha256)]
    later = keep(index, "c", FILM + b"?")
    make(server.url, b"k" * 32, wanted=lambda grade: grade is Grade.ALARM)
    eventually(lambda: is_sent(index, later))
    server.close()


@pytest.mark.parametrize(("status", "tries"), [(413, 1), (422, 3)])
def test_what_the_hub_refuses_for_good_is_not_sent_for_ever(
    index: KeepingIndex, make: Make, counters: Counters, status: int, tries: int
) -> None:
    puts: list[str] = []

    def hub(request: Asked) -> Answer:
        if request.method == "GET":
            return 200, b'{"offset": 0, "done": false}'
        puts.append(request.path)
        return status, b'{"detail": "no"}'

    server = SmallHub(hub)
    piece = keep(index, "a")
    make(server.url, b"k" * 32)
    eventually(lambda: is_sent(index, piece), 20)
    assert (len(puts), counters["clips_refused_by_hub"]) == (tries, 1)
    server.close()


def test_a_clip_whose_event_was_not_told_waits(index: KeepingIndex, make: Make) -> None:
    server = SmallHub(lambda _asked: (200, b'{"offset": 0, "done": true}'))
    piece = keep(index, "a")
    index.add(piece.__class__(**{**vars(piece), "told": False}))
    make(server.url, b"k" * 32)
    other = keep(index, "b", FILM + b"!")
    eventually(lambda: is_sent(index, other))
    assert not is_sent(index, piece)
    server.close()
