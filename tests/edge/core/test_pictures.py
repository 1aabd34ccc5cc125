"""Pictures: durable before they are named, bounded, sent until the hub has them."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.counters import Counters
from edge.hub_http import HubHttp
from edge.pictures import MAX_PICTURE_BYTES, UPLOAD_PATH, Pictures
from protocols import http_auth
from protocols.enrolment import BrokerAccess
from tests.support.gateways import Keys, eventually
from tests.support.hub_http import SmallHub

ACCESS = BrokerAccess(host="127.0.0.1", port=1, username="gw-test", password="x" * 16)


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    server = SmallHub(lambda asked: (204, b""))
    yield server
    server.close()


@pytest.fixture
def make(tmp_path: Path, hub: SmallHub, keys: Keys) -> Callable[..., Pictures]:
    def build(counters: Counters | None = None, quota_bytes: int = 10**7) -> Pictures:
        http = HubHttp(keys.identity(ACCESS, hub.url), SystemClock())
        return Pictures(tmp_path / "pictures", quota_bytes, http, lambda: 0.0, counters or Counters())

    return build


def test_a_picture_is_sent_with_the_gateways_proof_and_deleted(
    hub: SmallHub, make: Callable[..., Pictures], keys: Keys
) -> None:
    pictures = make()
    pictures.start()
    jpeg = b"\xff\xd8" + b"a" * 1000
    snapshot = pictures.keep(jpeg, 640, 480)
    assert snapshot is not None
    assert snapshot.sha256 == hashlib.sha256(jpeg).hexdigest()
    assert (snapshot.size_bytes, snapshot.width, snapshot.height) == (1002, 640, 480)
    eventually(lambda: pictures.waiting == 0)
    (asked,) = hub.asked
    assert (asked.method, asked.path, asked.body) == ("PUT", f"{UPLOAD_PATH}/{snapshot.sha256}", jpeg)
    http_auth.check(asked.authorization, keys.message, "PUT", asked.path, jpeg, time.time())
    pictures.stop()


def test_what_waits_survives_a_restart_and_halves_of_files_do_not(
    tmp_path: Path, hub: SmallHub, make: Callable[..., Pictures]
) -> None:
    first = make()
    for number in range(3):
        assert first.keep(b"\xff\xd8" + bytes([number]), 1, 1)
    (tmp_path / "pictures" / ".x.part").write_bytes(b"half")
    second = make()
    assert second.waiting == 3
    second.start()
    eventually(lambda: len(hub.asked) == 3 and second.waiting == 0)
    assert list((tmp_path / "pictures").iterdir()) == []
    second.stop()


def test_the_same_picture_is_kept_once(make: Callable[..., Pictures]) -> None:
    pictures = make()
    assert pictures.keep(b"\xff\xd8same", 1, 1) == pictures.keep(b"\xff\xd8same", 1, 1)
    assert pictures.waiting == 1


def test_too_large_a_picture_is_refused_and_counted(make: Callable[..., Pictures]) -> None:
    counters = Counters()
    pictures = make(counters)
    assert pictures.keep(b"x" * (MAX_PICTURE_BYTES + 1), 1, 1) is None
    assert pictures.keep(b"", 1, 1) is None
    assert counters["pictures_too_large"] == 2
    assert pictures.keep(b"x" * MAX_PICTURE_BYTES, 1, 1) is not None


def test_the_quota_drops_the_oldest(tmp_path: Path, make: Callable[..., Pictures]) -> None:
    counters = Counters()
    pictures = make(counters, quota_bytes=3000)
    names = [pictures.keep(bytes([number]) * 1000, 1, 1) for number in range(5)]
    assert pictures.waiting == 3
    assert counters["pictures_dropped"] == 2
    here = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert here == {name.sha256 for name in names[2:] if name}


def test_a_hub_that_is_away_is_tried_again_and_one_bad_picture_blocks_no_other(
    hub: SmallHub, make: Callable[..., Pictures]
) -> None:
    counters = Counters()
    pictures = make(counters)
    bad = pictures.keep(b"bad", 1, 1)
    assert bad is not None
    hub.answer = lambda asked: (503, b"")
    pictures.start()
    eventually(lambda: counters["picture_upload_failures"] >= 1)
    good = [pictures.keep(bytes([number]), 1, 1) for number in range(3)]
    hub.answer = lambda asked: (500 if asked.path.endswith(bad.sha256) else 201, b"")
    eventually(lambda: pictures.waiting == 1, what=f"only the bad one waits, not {good}")
    hub.answer = lambda asked: (422, b"")
    eventually(lambda: pictures.waiting == 0)
    assert counters["pictures_refused_by_hub"] == 1
    assert counters["pictures_sent"] == 3
    pictures.stop()


def test_a_damaged_file_is_never_sent(tmp_path: Path, hub: SmallHub, make: Callable[..., Pictures]) -> None:
    counters = Counters()
    pictures = make(counters)
    kept = pictures.keep(b"whole", 1, 1)
    assert kept is not None
    (tmp_path / "pictures" / f"{kept.sha256}.jpg").write_bytes(b"broken")
    pictures.start()
    eventually(lambda: pictures.waiting == 0)
    assert counters["pictures_damaged"] == 1
    assert hub.asked == []
    pictures.stop()
