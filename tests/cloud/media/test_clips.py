"""Clips over HTTP: proven senders, parts in order, the whole hash; shown with ranges to who is logged in, audited."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from cloud.database.engine import Database
from cloud.database.tables import AuditEntry, Clip
from cloud.media import clips as clip_store
from cloud.media.clips import MOST_UNDER_WAY, ClipStore, NoRoom
from protocols.clips import MAX_CLIP_BYTES, MAX_PART_BYTES, part_path, state_path
from protocols.http_auth import authorise
from tests.support.console import RunningConsole, utc_now

FILM = b"\0\0\0\x10ftypiso5\0\0\0\0" + bytes(range(256)) * 400
NAME = hashlib.sha256(FILM).hexdigest()


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()


def ask(console: RunningConsole, method: str, path: str, body: bytes = b"", **changed: object) -> httpx.Response:
    gateway = console.seed.gateway
    values = {"gateway": gateway.name, "secret": gateway.key.secret, "unix_s": int(time.time()), **changed}
    header = authorise(method=method, path=path, body=body, **values)  # type: ignore[arg-type]  # tests change values
    return httpx.request(method, console.url + path, content=body, headers={"Authorization": header})


def put(console: RunningConsole, data: bytes, offset: int, name: str = NAME, size: int = len(FILM)) -> httpx.Response:
    return ask(console, "PUT", part_path(name, size, offset), data)


def test_a_clip_comes_in_parts_and_is_shown_with_ranges_and_audited_once_a_look(console: RunningConsole) -> None:
    assert ask(console, "GET", state_path(NAME)).json() == {"offset": 0, "done": False}
    half = len(FILM) // 2
    first = put(console, FILM[:half], 0)
    assert (first.status_code, first.json()) == (202, {"offset": half, "done": False})
    again = put(console, FILM[:half], 0)  # its answer was lost
    assert (again.status_code, again.json()["offset"]) == (409, half)
    assert ask(console, "GET", state_path(NAME)).json() == {"offset": half, "done": False}
    assert put(console, FILM[half:], half).status_code == 201
    assert ask(console, "GET", state_path(NAME)).json()["done"] is True
    assert put(console, FILM[:half], 0).json()["done"] is True
    (file,) = (path for path in (console.folder / "clips").glob("*/*"))
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (FILM, 0o600)
    with console.client() as client:
        whole = client.get(f"/api/v1/clips/{NAME}")
        part = client.get(f"/api/v1/clips/{NAME}", headers={"Range": "bytes=100-199"})
        assert client.get(f"/api/v1/clips/{'0' * 64}").status_code == 404
    assert (whole.content, whole.headers["content-type"]) == (FILM, "video/mp4")
    assert "no-store" in whole.headers["cache-control"]
    assert (part.status_code, part.content) == (206, FILM[100:200])
    with console.database.read() as connection:
        looks = connection.execute(select(AuditEntry.detail).where(AuditEntry.action == "clip.view")).all()
    assert [row.detail for row in looks] == [{"sha256": NAME}]
    assert httpx.get(f"{console.url}/api/v1/clips/{NAME}").status_code == 401


def test_the_routes_are_described_for_who_is_logged_in(console: RunningConsole) -> None:
    assert httpx.get(f"{console.url}/api/v1/media/openapi.json").status_code == 401
    with console.client() as client:
        document = client.get("/api/v1/media/openapi.json").json()
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    part = operations["put", "/api/v1/gateway/clips/{sha256}/{size_bytes}/{offset}"]
    assert {"201", "202", "401", "409", "413", "422", "507"} <= part["responses"].keys()
    assert "application/octet-stream" in part["requestBody"]["content"]
    assert {"200", "206", "401", "404"} <= operations["get", "/api/v1/clips/{sha256}"]["responses"].keys()
    assert all(operation["description"] for operation in operations.values())


def test_a_wrong_hash_is_refused_and_nothing_of_it_stays(console: RunningConsole) -> None:
    damaged = FILM[:-1] + b"?"
    assert put(console, damaged[:1000], 0).status_code == 202
    answer = put(console, damaged[1000:], 1000)
    assert answer.status_code == 422
    assert "SHA-256" in answer.json()["detail"]
    assert list((console.folder / "clips").glob("*/*")) == []
    with console.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(Clip)) == 0
    assert put(console, FILM, 0).status_code == 201  # the sound one is taken afterwards


def test_what_is_unproven_no_film_too_large_or_in_the_wrong_place_is_refused(console: RunningConsole) -> None:
    path = part_path(NAME, len(FILM), 0)
    assert ask(console, "PUT", path, FILM, secret=b"x" * 32).status_code == 401
    assert ask(console, "GET", state_path(NAME), gateway="gw-other").status_code == 401
    text = b"no film at all" * 10
    assert put(console, text, 0, hashlib.sha256(text).hexdigest(), len(text)).status_code == 422
    assert put(console, b"x", 0, size=MAX_CLIP_BYTES + 1).status_code == 413
    assert put(console, b"x" * (MAX_PART_BYTES + 1), 0, size=2 * MAX_PART_BYTES).status_code == 413
    assert put(console, b"", 0).status_code == 422
    assert put(console, FILM, 5).status_code == 409
    assert put(console, FILM, 0, size=10).status_code == 422
    assert put(console, FILM[:10], 0, name="..%2f..%2fetc%2fpasswd").status_code in (401, 404, 422)
    assert list((console.folder / "clips").glob("*/*")) == []


def test_parts_under_way_are_bounded_for_each_gateway(database: Database, tmp_path: Path) -> None:
    store = ClipStore(tmp_path / "clips", database, utc_now)
    for number in range(MOST_UNDER_WAY + 5):
        store.add("gw-a", f"{number:064x}", 100, 0, b"x")
    store.add("gw-b", "f" * 64, 100, 0, b"x")
    assert len(list((tmp_path / "clips" / "incoming").glob("gw-a.*"))) == MOST_UNDER_WAY
    assert store.state("gw-b", "f" * 64).offset == 1
    assert store.state("gw-a", "f" * 64).offset == 0, "one gateway sees another's upload"


def test_a_nearly_full_disk_takes_no_part(database: Database, tmp_path: Path) -> None:
    store = ClipStore(tmp_path / "clips", database, utc_now, lambda _folder: clip_store.LEAST_FREE_BYTES)
    with pytest.raises(NoRoom):
        store.add("gw-a", NAME, len(FILM), 0, FILM)


def test_parts_that_nobody_goes_on_with_are_removed(database: Database, tmp_path: Path) -> None:
    store = ClipStore(tmp_path / "clips", database, utc_now)
    for number, days in ((1, 4), (2, 1)):
        name = f"{number:064x}"
        store.add("gw-a", name, 100, 0, b"x")
        then = (utc_now() - timedelta(days=days)).timestamp()
        os.utime(tmp_path / "clips" / "incoming" / f"gw-a.{name}", (then, then))
    store.remove_files_older_than(utc_now() - timedelta(days=30))
    assert [path.name[-1] for path in (tmp_path / "clips" / "incoming").glob("*")] == ["2"]
