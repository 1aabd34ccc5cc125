"""What happens at the demo's doors of other makes: a UHPPOTE board, and a QR reader with a keypad.

The board speaks its 64-byte packets over UDP (`gatehouse.demo.played_board`); the QR reader is the gateway's virtual
device. At the QR reader scene follows scene. Cards come to the board when the clip of its camera is so far
(`gatehouse.demo.camera_rules`): a resident's when two people come in, so that the second one has none.
"""

import itertools
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.clock import SystemClock
from gatehouse.demo.camera_rules import EAST_CLIP, FORMER_TENANTS_COME_S, RESIDENTS_COME_S
from gatehouse.demo.layout import LOBBY_DOOR
from gatehouse.demo.played_board import FakeBoard
from gatehouse.demo.processes import DemoError
from gatehouse.demo.watch import ClipWatch
from protocols.cards import parse_text

BETWEEN_S = 2.5
_OPENS_WITHIN_S = 3.0
_ANSWER_S = 5.0
_OPEN_S = 0.8
_LOOK_EVERY_S = 0.05
_BOARD_DOOR_NUMBER = 1
_BOARD_CARD = 100_000
"""A board shows a Wiegand 26 card as facility times this plus number."""


@dataclass(frozen=True)
class Cast:
    """Who comes: cards of residents and of tenants whose lease has ended, a guest's QR code, and two PINs."""

    residents: Sequence[str]
    former_tenants: Sequence[str]
    guest_code: str
    pin: str
    duress_pin: str


def board_table(board: FakeBoard, listen_port: int) -> list[str]:
    """The keys of the board's `[[device]]` table."""
    return [
        'id = "board-west"',
        'kind = "uhppote"',
        'address = "127.0.0.1"',
        f"port = {board.port}",
        f"serial = {board.serial}",
        'listen_address = "127.0.0.1"',
        f"listen_port = {listen_port}",
    ]


def new_board() -> FakeBoard:
    """The board of the west gate; to be used as a context."""
    return FakeBoard(SystemClock(), ZoneInfo("Asia/Shanghai"))


class SideDoors:
    """Plays the scenes of each door on a thread of its own, and counts how many of each came out as they should."""

    def __init__(self, board: FakeBoard, clips: ClipWatch, lobby_socket: Path, cast: Cast) -> None:
        self._board, self._clips, self._socket, self._cast = board, clips, lobby_socket, cast
        self._residents = itertools.cycle(cast.residents)
        self._former_tenants = itertools.cycle(cast.former_tenants)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(play,), name=name, daemon=True)
            for name, play in (("west gate", self._at_the_board), ("lobby", self._in_the_lobby))
        ]
        self.played: dict[str, int] = {}
        """By scene, how often it came out as it should."""
        self.failure: str | None = None

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_ANSWER_S)

    def _run(self, play: Callable[[], None]) -> None:
        try:
            play()
        except (OSError, ValueError, DemoError) as error:
            self.failure = f"the doors of other makes: {error}"

    def _count(self, scene: str, came_out: bool) -> None:
        self.played[scene] = self.played.get(scene, 0) + came_out

    def _at_the_board(self) -> None:
        seen_s = math.inf
        while not self._stopping.wait(_LOOK_EVERY_S):
            now_s = self._clips.second(EAST_CLIP)
            if now_s is None:
                continue
            if any(seen_s < at_s <= now_s for at_s in RESIDENTS_COME_S):
                self._count("resident at the board", self._swipe(next(self._residents)))
            if any(seen_s < at_s <= now_s for at_s in FORMER_TENANTS_COME_S):
                self._count("former tenant at the board", not self._swipe(next(self._former_tenants)))
            seen_s = now_s

    def _in_the_lobby(self) -> None:
        with _Lobby(self._socket) as lobby:
            scenes: tuple[tuple[str, Callable[[], None]], ...] = (
                ("guest's QR code", lambda: lobby.code(self._cast.guest_code)),
                ("PIN", lambda: lobby.keys(self._cast.pin + "#")),
                ("duress PIN", lambda: lobby.keys(self._cast.duress_pin + "#")),
            )
            for name, present in itertools.cycle(scenes):
                if self._stopping.wait(BETWEEN_S):
                    return
                self._count(name, self._opens(lobby, present))

    def _swipe(self, card: str) -> bool:
        """Whether the board's relay opened for a card; then somebody goes through."""
        door = self._board.doors[_BOARD_DOOR_NUMBER]
        before = len(door.openings)
        number = parse_text(card)
        self._board.swipe(number.facility * _BOARD_CARD + number.number, _BOARD_DOOR_NUMBER)
        if not _within(_OPENS_WITHIN_S, lambda: len(door.openings) > before):
            return False
        self._board.contact(_BOARD_DOOR_NUMBER, True)
        time.sleep(_OPEN_S)
        self._board.contact(_BOARD_DOOR_NUMBER, False)
        return True

    def _opens(self, lobby: "_Lobby", present: Callable[[], None]) -> bool:
        """Whether the lobby's strike opened; then somebody goes through."""
        before = lobby.releases
        present()
        if not _within(_OPENS_WITHIN_S, lambda: lobby.releases > before):
            return False
        lobby.contact(True)
        time.sleep(_OPEN_S)
        lobby.contact(False)
        return True


class _Lobby:
    """A connection to the gateway's virtual device."""

    def __init__(self, path: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(_ANSWER_S)
        deadline_s = time.monotonic() + _ANSWER_S
        while True:
            try:
                self._connection.connect(str(path))
                break
            except OSError as error:
                if time.monotonic() > deadline_s:
                    raise DemoError(f"{path}: the gateway's virtual device does not answer: {error}") from error
                time.sleep(0.05)
        self._connection.settimeout(None)
        self.releases = 0
        """How often the strike was switched on."""
        self._reading = threading.Thread(target=self._read, name="lobby", daemon=True)
        self._reading.start()

    def __enter__(self) -> "_Lobby":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def code(self, text: str) -> None:
        self._say({"do": "code", "text": text})

    def keys(self, keys: str) -> None:
        self._say({"do": "keys", "keys": keys})

    def contact(self, is_open: bool) -> None:
        self._say({"do": "input", "input": 0, "active": is_open})

    def _say(self, what: dict[str, object]) -> None:
        self._connection.sendall(json.dumps(what | {"reader": LOBBY_DOOR.reader}).encode() + b"\n")

    def _read(self) -> None:
        try:
            for line in self._connection.makefile("rb"):
                said = json.loads(line)
                self.releases += said.get("is") == "output" and bool(said.get("on"))
        except (OSError, ValueError):
            return


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True
