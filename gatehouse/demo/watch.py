"""What the demo measures: cards at the readers, strikes, rows in the console's live stream, the daemons' own counters.

A row's latency runs from the moment at which a played reader hands the card to its OSDP line until the row has come out
of the console's WebSocket, here in this process, by the one monotonic clock of the machine.
"""

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

from gatehouse.demo.processes import DemoError
from protocols.camera_events import CAMERA_EVENTS

_OLDEST_PENDING_S = 20.0
_LONGEST_READ_S = 1.5
"""No decision comes later than this after its card was presented, and no two cards at a reader come within it."""
_REQUEST_TIMEOUT_S = 5.0
_ACCESS_PREFIX = "access."
_CAMERA_TYPES = {kind.TYPE for kind in CAMERA_EVENTS}


@dataclass
class Tally:
    """What was seen so far. Guarded by its lock: two threads write, the summary reads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    presented: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    camera_rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By camera and type."""
    linked_rows: int = 0
    strike_s: list[float] = field(default_factory=list)
    row_s: list[float] = field(default_factory=list)
    latest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=8))
    _waiting_strike: dict[str, float] = field(default_factory=dict)
    _waiting_row: dict[str, deque[float]] = field(default_factory=dict)

    def card(self, reader: str, at_s: float) -> None:
        with self.lock:
            self.presented += 1
            self._waiting_strike[reader] = at_s
            self._waiting_row.setdefault(reader, deque(maxlen=100)).append(at_s)

    def exit_button(self, reader: str) -> None:
        """The next release of this door is the button's, not a card's."""
        with self.lock:
            self._waiting_strike.pop(reader, None)

    def strike(self, reader: str, at_s: float) -> None:
        with self.lock:
            begun_s = self._waiting_strike.pop(reader, None)
            if begun_s is not None and at_s - begun_s < _OLDEST_PENDING_S:
                self.strike_s.append(at_s - begun_s)

    def row(self, row: dict[str, Any], reader: str | None, at_s: float) -> None:
        with self.lock:
            self.rows[row["type"]] += 1
            if row["type"] in _CAMERA_TYPES:
                self.camera_rows[row["device"], row["type"]] += 1
            self.linked_rows += row.get("dwelling") is not None
            self.latest.appendleft(row)
            waiting = self._waiting_row.get(reader) if reader else None
            if waiting is None or not row["type"].startswith(_ACCESS_PREFIX):
                return
            decided_s = at_s - (time.time() - datetime.fromisoformat(row["time"]).timestamp())
            while waiting and waiting[0] < decided_s - _LONGEST_READ_S:
                waiting.popleft()  # its row came before this page was open
            if waiting and waiting[0] <= decided_s:
                self.row_s.append(at_s - waiting.popleft())


class ReaderWatch:
    """Reads what the played readers say on their standard output."""

    def __init__(self, output: IO[str], tally: Tally) -> None:
        self._output, self._tally = output, tally
        self.secure: set[str] = set()
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for line in self._output:
            self._take(json.loads(line))

    def _take(self, saw: dict[str, Any]) -> None:
        match saw:
            case {"saw": "ready"}:
                self.ready.set()
            case {"saw": "secure", "active": True, "reader": reader}:
                self.secure.add(reader)
            case {"saw": "presented", "reader": reader, "t": at_s}:
                self._tally.card(reader, at_s)
            case {"saw": "pressed", "reader": reader}:
                self._tally.exit_button(reader)
            case {"saw": "output", "on": True, "reader": reader, "t": at_s}:
                self._tally.strike(reader, at_s)
            case _:
                pass


class ClipWatch:
    """Knows where each clip is, by what the RTSP server says on its standard output."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self._began_s: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="clip-watch", daemon=True)
        self._thread.start()

    def second(self, clip: str) -> float | None:
        """How many seconds ago it began, or began anew; None: it has not begun."""
        began_s = self._began_s.get(clip)
        return None if began_s is None else time.monotonic() - began_s

    def _run(self) -> None:
        for line in self._output:
            word, _, clip = line.rstrip("\n").partition(" ")
            if word == "playing":
                self._began_s[clip] = time.monotonic()


class ConsoleWatch:
    """A guard who logs in and keeps the live page open.

    Raises:
        DemoError: if the hub refuses the log-in.
    """

    def __init__(self, url: str, username: str, password: str, tally: Tally, readers: Mapping[str, str]) -> None:
        self._tally, self._reader_of_door = tally, readers
        with httpx.Client(base_url=url, timeout=_REQUEST_TIMEOUT_S) as client:
            answer = client.post("/login", data={"username": username, "password": password}, headers={"Origin": url})
            if answer.status_code != httpx.codes.SEE_OTHER:
                raise DemoError(f"the console refused the demo's log-in with status {answer.status_code}")
            cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        self._socket = connect(
            url.replace("http", "ws", 1) + "/api/v1/live",
            origin=Origin(url),
            additional_headers={"Cookie": cookies},
            compression=None,
        )
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="console-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.close()
        self._thread.join(_REQUEST_TIMEOUT_S)

    def _run(self) -> None:
        try:
            for text in self._socket:
                arrived_s = time.monotonic()
                message = json.loads(text)
                if message["kind"] == "events":
                    for row in message["rows"]:
                        self._tally.row(row, self._reader_of_door.get(row["device"]), arrived_s)
        except WebSocketException as error:
            self.failure = str(error)


def read_metrics(url: str) -> dict[str, float]:
    """A daemon's Prometheus counters and gauges; empty while it does not answer.

    Values are summed over their labels, but for the labels `what` and `rule`, which join the name after a colon.
    """
    try:
        text = httpx.get(url, timeout=_REQUEST_TIMEOUT_S).text
    except httpx.HTTPError:
        return {}
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith(("_created", "_bucket")):
                kind = sample.labels.get("what") or sample.labels.get("rule")
                name = f"{sample.name}:{kind}" if kind else sample.name
                sums[name] = sums.get(name, 0.0) + sample.value
    return sums


def quantile_ms(values_s: list[float], share: float) -> float:
    """The value below which `share` of the values lie, in milliseconds (nearest rank)."""
    ordered = sorted(values_s)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
