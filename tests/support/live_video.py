"""Both ends of live video for tests: a real console, a gateway's cameras and connection, and a page that watches."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from cloud.signing import HubSigner
from edge.backoff import Backoff
from edge.clock import SystemClock
from edge.counters import Counters
from edge.identity import HubKey, Identity
from edge.live.config import LiveSection
from edge.live.desk import Seen
from edge.live.link import LiveLink
from edge.live.tap import LiveTap
from edge.video.config import CameraConfig
from edge.video.service import VideoService
from models import Detections
from protocols.enrolment import BrokerAccess
from protocols.live import Frame, Kind, decode_frame
from tests.edge.video.parts import QUICK, PictureFolder, Recording, video
from tests.support.console import RunningConsole

BROKER = BrokerAccess(host="127.0.0.1", port=1, username="gw-quiet", password="p" * 16)


class NothingSeen:
    """A detector that sees nothing: these tests are about streams."""

    def detect(self, frame: np.ndarray, floor: float | None = None) -> Detections:
        return Detections.none()


def identity_for(console: RunningConsole, hub_key: bytes | None = None) -> Identity:
    key = hub_key if hub_key is not None else HubSigner(b"s" * 32).public_key
    return Identity("gw-quiet", console.seed.gateway.key, b"c" * 32, console.url, HubKey(key), BROKER)


class PlayedGateway:
    """The cameras of a gateway and its connection for video, as the daemon has them."""

    def __init__(self, identity: Identity, folder: Path, *cameras: CameraConfig, section: LiveSection) -> None:
        self.identity, self.section = identity, section
        self.counters = Counters()
        self.seen = {
            each.id: Seen(each, LiveTap(), LiveTap() if each.main_url is not None else None) for each in cameras
        }
        self.service = VideoService(
            video(*cameras),
            Recording(),
            PictureFolder(folder),
            SystemClock(),
            QUICK,
            lambda _name: NothingSeen(),
            sinks={name: (seen.main,) for name, seen in self.seen.items() if seen.main is not None},
            sub_sinks={name: (seen.sub,) for name, seen in self.seen.items()},
        )
        self.link = self.new_link()

    def new_link(self) -> LiveLink:
        backoff = Backoff(0.1, 0.3, lambda: 0.5)
        return LiveLink(
            self.identity, self.seen, self.section, SystemClock(), self.counters, lambda: 0.5, backoff=backoff
        )

    def __enter__(self) -> Self:
        self.service.start()
        self.link.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.link.stop()
        self.service.stop()


class Page:
    """A page that watches one stream; it reads in a thread of its own unless it is `idle`."""

    def __init__(self, connection: ClientConnection, idle: bool = False) -> None:
        self.connection = connection
        self.texts: list[dict[str, Any]] = []
        self.frames: list[Frame] = []
        self.code: int | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        if not idle:
            self.read()

    def read(self) -> None:
        self._thread.start()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["kind"] == kind]

    def pictures(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind in (Kind.KEY, Kind.DELTA)]

    def leave(self) -> None:
        self.connection.close()
        if self._thread.ident is not None:
            self._thread.join(5)

    def _read(self) -> None:
        try:
            for message in self.connection:
                if isinstance(message, str):
                    self.texts.append(json.loads(message))
                else:
                    self.frames.append(decode_frame(message))
        except ConnectionClosed:
            pass
        self.code = self.connection.close_code


def cookie_of(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@contextmanager
def page(
    console: RunningConsole,
    client: httpx.Client,
    camera: str = "c-east",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    idle: bool = False,
) -> Iterator[Page]:
    """Watch a camera as the account that `client` is logged in with."""
    url = f"{console.url.replace('http', 'ws', 1)}/api/v1/cameras/gw-quiet/{camera}/live{query}"
    given = {"Cookie": cookie_of(client), "Origin": console.url, **(headers or {})}
    origin = given.pop("Origin")
    bounds = {"max_size": 4 << 20, "max_queue": 1 if idle else 16}
    with connect(url, additional_headers=given, origin=origin, compression=None, **bounds) as connection:
        opened = Page(connection, idle)
        try:
            yield opened
        finally:
            opened.leave()
