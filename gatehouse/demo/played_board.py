"""A UHPPOTE board with four doors, written from the protocol: 64-byte packets over UDP and TCP on loopback.

It keeps cards, time profiles and a ring of events, pushes events to its listener, and has the two clocks of a real one:
the time of day, which can be set, and the 30 s after which it no longer waits for its remote host.
"""

# ruff: noqa: ARG002, ARG005 (every handler of a function has the same signature)

import contextlib
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from edge.clock import Clock

MAGIC = 0x55AAAA55
DELETED = 0xFFFFFFFF
REMOTE_S = 30.0


@dataclass
class Event:
    index: int
    kind: int
    granted: bool
    door: int
    direction: int
    card: int
    at: datetime
    reason: int


@dataclass
class StoredCard:
    number: int
    first: bytes
    last: bytes
    doors: tuple[int, ...]


@dataclass
class StoredProfile:
    days: tuple[bool, ...]
    segments: list[tuple[str, str]]
    linked: int


@dataclass
class Door:
    mode: int = 3
    delay: int = 5
    open: bool = False
    button: bool = False
    openings: list[int] = field(default_factory=list)
    """The delay of every time that its relay was switched on."""


class FakeBoard:
    """One board; start it as a context.

    Args:
        clock: what its two clocks run by.
        ring: how many events it keeps.
        capacity: how many cards it keeps.
    """

    def __init__(self, clock: Clock, zone: ZoneInfo, serial: int = 423187757, ring: int = 1000, capacity: int = 20000):
        self.serial, self.ring, self.capacity = serial, ring, capacity
        self._clock, self._zone = clock, zone
        self.clock_off = timedelta(0)
        self.doors = {number: Door() for number in (1, 2, 3, 4)}
        self.slots: list[StoredCard | None] = []
        self.profiles: dict[int, StoredProfile] = {}
        self.events: deque[Event] = deque()
        self.newest = 0
        self.listener = ("0.0.0.0", 0)
        self.special = False
        self.anti_passback = 0
        self.interlock = 0
        self.inputs = 0
        self.remote = False
        self.heard_s = -1e9
        self.requests: Counter[int] = Counter()
        """How often each function was asked for."""
        self.silent = False
        """It is unplugged."""
        self.lose_pushes = False
        self.drop_replies = 0
        """So many of the next requests are carried out, and their replies lost."""
        self.refuse_openings = False
        self.refuse_interlock = False
        self.before_reply: Callable[[int], None] = lambda function: None
        self._lock = threading.RLock()
        self._port = 0

    @property
    def port(self) -> int:
        return self._port

    @property
    def cards(self) -> dict[int, StoredCard]:
        return {card.number: card for card in self.slots if card is not None}

    def __enter__(self) -> "FakeBoard":
        for _ in range(20):  # one port number for both, as a board has
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.bind(("127.0.0.1", self._port))
            self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self._tcp.bind(self._udp.getsockname())
            except OSError:
                self._udp.close()
                self._tcp.close()
                continue
            break
        self._port = self._udp.getsockname()[1]
        self._tcp.listen(8)
        self._udp.settimeout(0.1)
        self._tcp.settimeout(0.1)
        self._stopping = False
        self._threads = [threading.Thread(target=each) for each in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    # What happens at the board.

    def now(self) -> datetime:
        at = datetime.fromtimestamp(self._clock.wall_s(), self._zone).replace(tzinfo=None, microsecond=0)
        return at + self.clock_off

    def is_remote(self) -> bool:
        """Whether it waits for its remote host's decision."""
        return self.remote and self._clock.monotonic_s() - self.heard_s < REMOTE_S

    def swipe(self, card: int, door: int, *, out: bool = False) -> bool:
        """Somebody holds a card to a reader; whether the board opens by itself."""
        with self._lock:
            reason = self._judge(card, door)
            if reason == 1:
                self._energise(door)
            self._record(2 if reason == 1 else 1, reason == 1, door, 2 if out else 1, card, reason)
            return reason == 1

    def press(self, door: int) -> None:
        with self._lock:
            self._energise(door)
            self._special(2, door, 1, 20)

    def contact(self, door: int, is_open: bool) -> None:
        """The door is pushed open, or falls shut."""
        with self._lock:
            self.doors[door].open = is_open
            self._special(2, door, 8 if is_open else 9, 23 if is_open else 24)

    def power_cycle(self) -> None:
        """Lose what is not in its memory."""
        with self._lock:
            self.remote = False
            self._record(3, False, 1, 0, 0, 28)

    def erase_events(self) -> None:
        with self._lock:
            self.events.clear()
            self.newest = 0

    def wipe(self) -> None:
        """Back to how it left the factory."""
        with self._lock:
            self.slots.clear()
            self.profiles.clear()

    def _judge(self, number: int, door: int) -> int:
        if self.is_remote():
            return 5
        card = self.cards.get(number)
        if card is None:
            return 18
        today = self.now().strftime("%Y%m%d")
        if not card.first.hex() <= today <= card.last.hex() or not card.doors[door - 1]:
            return 6
        if card.doors[door - 1] > 1 and not self._in_profile(card.doors[door - 1]):
            return 15
        if self.doors[door].mode == 2:
            return 11
        return 1

    def _in_profile(self, number: int) -> bool:
        seen: set[int] = set()
        while 2 <= number <= 254 and number not in seen:
            seen.add(number)
            profile = self.profiles.get(number)
            if profile is None:
                return True  # a real board, too, takes a missing profile for a yes
            at = self.now().strftime("%H%M")
            used = [span for span in profile.segments if span != ("0000", "0000")]
            if profile.days[self.now().weekday()] and any(first <= at <= last for first, last in used):
                return True
            number = profile.linked
        return False

    def _energise(self, door: int) -> None:
        self.doors[door].openings.append(self.doors[door].delay)

    def _special(self, kind: int, door: int, card: int, reason: int) -> None:
        if self.special:
            self._record(kind, True, door, 1, card, reason)

    def _record(self, kind: int, granted: bool, door: int, direction: int, card: int, reason: int) -> None:
        self.newest += 1
        self.events.append(Event(self.newest, kind, granted, door, direction, card, self.now(), reason))
        if len(self.events) > self.ring:
            self.events.popleft()
        self.push()

    def push(self) -> None:
        """Send the newest event to the listener."""
        if self.listener[1] and not self.silent and not self.lose_pushes:
            with contextlib.suppress(OSError):
                self._udp.sendto(self.status(), self.listener)

    # Packets.

    def status(self) -> bytes:
        """The state with the newest event: what is pushed, and what get-status answers."""
        packet = self._packet(0x20)
        if self.events:
            _put_event(packet, self.events[-1])
        for number, door in self.doors.items():
            packet[27 + number] = door.open
            packet[31 + number] = door.button
        now = self.now()
        packet[37:40] = bytes.fromhex(now.strftime("%H%M%S"))
        packet[50] = self.inputs
        packet[51:54] = bytes.fromhex(now.strftime("%y%m%d"))
        return bytes(packet)

    def _packet(self, function: int) -> bytearray:
        packet = bytearray(64)
        packet[0:2] = bytes([0x17, function])
        struct.pack_into("<L", packet, 4, self.serial)
        return packet

    def _serve_udp(self) -> None:
        while not self._stopping:
            try:
                request, sender = self._udp.recvfrom(2048)
            except (TimeoutError, ConnectionError):
                continue
            reply = self._answer(request)
            if reply is not None:
                self._udp.sendto(reply, sender)

    def _serve_tcp(self) -> None:
        while not self._stopping:
            try:
                connection, _ = self._tcp.accept()
            except TimeoutError:
                continue
            with connection, contextlib.suppress(OSError):
                connection.settimeout(1.0)
                reply = self._answer(connection.recv(2048))
                if reply is not None:
                    connection.sendall(reply[:10])  # a stream may come in pieces
                    connection.sendall(reply[10:])

    def _answer(self, request: bytes) -> bytes | None:
        if self.silent or len(request) != 64 or request[0] != 0x17:
            return None
        serial = _u32(request, 4)
        if serial != self.serial and not (serial == 0 and request[1] == 0x94):
            return None
        with self._lock:
            self.requests[request[1]] += 1
            self.heard_s = self._clock.monotonic_s()
            packet = self._packet(request[1])
            known = _HANDLERS.get(request[1])
            if known is None:
                return None
            known(self, request, packet)
            if request[1] == 0x20:
                packet[:] = self.status()
        self.before_reply(request[1])
        if self.drop_replies:
            self.drop_replies -= 1
            return None
        return bytes(packet)

    def _get_controller(self, request: bytes, reply: bytearray) -> None:
        reply[8:12] = bytes([127, 0, 0, 1])
        reply[26:28] = b"\x08\x92"
        reply[28:32] = bytes.fromhex("20240101")

    def _set_time(self, request: bytes, reply: bytearray) -> None:
        told = datetime.strptime(request[8:15].hex(), "%Y%m%d%H%M%S")  # noqa: DTZ007 - a board knows no zone
        self.clock_off += told - self.now()
        reply[8:15] = request[8:15]

    def _get_event(self, request: bytes, reply: bytearray) -> None:
        index = _u32(request, 8)
        if not self.events:
            return
        if index == 0:
            _put_event(reply, self.events[0])
        elif index == 0xFFFFFFFF:
            _put_event(reply, self.events[-1])
        elif index < self.events[0].index:
            reply[12] = 0xFF
        elif index <= self.newest:
            _put_event(reply, self.events[index - self.events[0].index])

    def _open_door(self, request: bytes, reply: bytearray) -> None:
        door = request[8]
        if not self.refuse_openings and self.doors[door].mode != 2:
            self._energise(door)
            reply[8] = 1
            self._special(2, door, 0, 44)

    def _get_door(self, request: bytes, reply: bytearray) -> None:
        door = self.doors[request[8]]
        reply[8:11] = bytes([request[8], door.mode, door.delay])

    def _set_door(self, request: bytes, reply: bytearray) -> None:
        door = self.doors[request[8]]
        door.mode, door.delay = request[9], request[10]
        reply[8:11] = request[8:11]

    def _put_card(self, request: bytes, reply: bytearray) -> None:
        card = StoredCard(_u32(request, 8), request[12:16], request[16:20], tuple(request[20:24]))
        for place, kept in enumerate(self.slots):
            if kept is not None and kept.number == card.number:
                self.slots[place] = card
                reply[8] = 1
                return
        if len(self.cards) < self.capacity:
            self.slots.append(card)
            reply[8] = 1

    def _delete_card(self, request: bytes, reply: bytearray) -> None:
        for place, kept in enumerate(self.slots):
            if kept is not None and kept.number == _u32(request, 8):
                self.slots[place] = None
                reply[8] = 1

    def _get_cards(self, request: bytes, reply: bytearray) -> None:
        struct.pack_into("<L", reply, 8, len(self.cards))

    def _get_card_at(self, request: bytes, reply: bytearray) -> None:
        place = _u32(request, 8)
        if not 1 <= place <= len(self.slots):
            return
        card = self.slots[place - 1]
        struct.pack_into("<L", reply, 8, DELETED if card is None else card.number)
        if card is not None:
            reply[12:20] = card.first + card.last
            reply[20:24] = bytes(card.doors)

    def _set_profile(self, request: bytes, reply: bytearray) -> None:
        spans = [request[at : at + 2].hex() for at in range(24, 36, 2)]
        segments = list(zip(spans[::2], spans[1::2], strict=True))
        self.profiles[request[8]] = StoredProfile(tuple(bool(day) for day in request[17:24]), segments, request[36])
        reply[8] = 1

    def _get_listener(self, request: bytes, reply: bytearray) -> None:
        reply[8:12] = socket.inet_aton(self.listener[0])
        struct.pack_into("<H", reply, 12, self.listener[1])

    def _set_listener(self, request: bytes, reply: bytearray) -> None:
        self.listener = socket.inet_ntoa(request[8:12]), struct.unpack_from("<H", request, 12)[0]
        reply[8] = 1

    def _record_special(self, request: bytes, reply: bytearray) -> None:
        self.special = bool(request[8])
        reply[8] = 1

    def _set_remote(self, request: bytes, reply: bytearray) -> None:
        if _u32(request, 8) == MAGIC:
            self.remote = bool(request[12])
            reply[8] = 1

    def _get_anti_passback(self, request: bytes, reply: bytearray) -> None:
        reply[8] = self.anti_passback

    def _set_anti_passback(self, request: bytes, reply: bytearray) -> None:
        self.anti_passback = request[8]
        reply[8] = 1

    def _set_interlock(self, request: bytes, reply: bytearray) -> None:
        if not self.refuse_interlock:
            self.interlock = request[8]
            reply[8] = 1


def _u32(packet: bytes, at: int) -> int:
    value: int = struct.unpack_from("<L", packet, at)[0]
    return value


def _put_event(packet: bytearray, event: Event) -> None:
    struct.pack_into("<L", packet, 8, event.index)
    packet[12:16] = bytes([event.kind, event.granted, event.door, event.direction])
    struct.pack_into("<L", packet, 16, event.card)
    packet[20:27] = bytes.fromhex(event.at.strftime("%Y%m%d%H%M%S"))
    packet[27] = event.reason


def bcd(day: date) -> bytes:
    """A date as a packet has it."""
    return bytes.fromhex(day.strftime("%Y%m%d"))


_HANDLERS: dict[int, Callable[[FakeBoard, bytes, bytearray], None]] = {
    0x20: lambda board, request, reply: None,
    0x30: FakeBoard._set_time,
    0x40: FakeBoard._open_door,
    0x50: FakeBoard._put_card,
    0x52: FakeBoard._delete_card,
    0x58: FakeBoard._get_cards,
    0x5C: FakeBoard._get_card_at,
    0x80: FakeBoard._set_door,
    0x82: FakeBoard._get_door,
    0x84: FakeBoard._set_anti_passback,
    0x86: FakeBoard._get_anti_passback,
    0x88: FakeBoard._set_profile,
    0x8E: FakeBoard._record_special,
    0x90: FakeBoard._set_listener,
    0x92: FakeBoard._get_listener,
    0x94: FakeBoard._get_controller,
    0xA0: FakeBoard._set_remote,
    0xA2: FakeBoard._set_interlock,
    0xB0: FakeBoard._get_event,
}
