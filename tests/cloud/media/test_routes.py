"""Pictures over HTTP: proven senders only, whole JPEGs only, once each."""

import hashlib
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from cloud.database.engine import Database
from cloud.media.routes import MAX_PICTURE_BYTES
from protocols.http_auth import authorise
from tests.support.console import RunningConsole

JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()


def put(console: RunningConsole, body: bytes, name: str | None = None, **changed: object) -> int:
    path = f"/api/v1/gateway/pictures/{name or hashlib.sha256(body).hexdigest()}"
    gateway = console.seed.gateway
    values = {"gateway": gateway.name, "secret": gateway.key.secret, "unix_s": int(time.time()), **changed}
    header = authorise(method="PUT", path=path, body=body, **values)  # type: ignore[arg-type]  # tests change values
    return httpx.put(console.url + path, content=body, headers={"Authorization": header}).status_code


def outcomes(console: RunningConsole) -> dict[str, float]:
    (family,) = [metric for metric in console.registry.collect() if metric.name == "gatehouse_pictures"]
    return {s.labels["outcome"]: s.value for s in family.samples if s.name.endswith("_total")}


def test_a_picture_is_stored_once_privately_and_shown(console: RunningConsole) -> None:
    name = hashlib.sha256(JPEG).hexdigest()
    assert put(console, JPEG) == 201
    assert put(console, JPEG) == 200
    (file,) = (console.folder / "pictures").glob("*/*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with console.client() as client:
        answer = client.get(f"/api/v1/pictures/{name}")
        assert client.get(f"/api/v1/pictures/{'0' * 64}").status_code == 404
        assert client.get("/api/v1/pictures/..%2f..%2fetc%2fpasswd").status_code in (404, 422)
    assert answer.content == JPEG
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"].startswith("private")
    assert outcomes(console) == {"stored": 1, "known": 1}


def test_what_is_unproven_damaged_or_too_large_is_refused_and_counted(console: RunningConsole) -> None:
    assert put(console, JPEG, secret=b"x" * 32) == 401
    assert put(console, JPEG, gateway="gw-other") == 401
    assert put(console, JPEG, unix_s=int(time.time()) - 3600) == 401
    assert put(console, JPEG, name="0" * 64) == 422
    assert put(console, JPEG[:-20]) == 422
    assert put(console, b"GIF89a") == 422
    assert put(console, b"\xff" * (MAX_PICTURE_BYTES + 1)) == 413
    assert list((console.folder / "pictures").glob("*/*")) == []
    assert outcomes(console) == {"unproven": 3, "wrong_hash": 1, "not_a_picture": 2}


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    console: RunningConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cloud.media.store.os.fsync", full)
    assert put(console, JPEG) == 507
    monkeypatch.undo()
    assert list((console.folder / "pictures").glob("*/*")) == []
    assert put(console, JPEG) == 201
