"""An OSDP reader in pure Python on a pseudo-terminal, written from OSDP 2.2: it shares no code with libosdp.

It answers status polls, which libosdp's own reader cannot do from Python; it repeats its reply when a command is
repeated; and it does wrong what it is told to do wrong (`refuses`).
"""

import os
import select
import threading
import time
import tty
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

POLL, ID, CAP, LSTAT, ISTAT, OUT, LED, BUZ, KEYSET, CHLNG, SCRYPT = (
    *(0x60, 0x61, 0x62, 0x64, 0x65),
    *(0x68, 0x69, 0x6A, 0x75, 0x76, 0x77),
)
ACK, NAK, PDID, PDCAP, LSTATR, ISTATR, RAW, KEYPAD, CCRYPT, RMAC_I = (
    *(0x40, 0x41, 0x45, 0x46, 0x48),
    *(0x49, 0x50, 0x53, 0x76, 0x78),
)
NAK_UNKNOWN_COMMAND, NAK_CONDITION, NAK_CHECK = 3, 6, 1
SHORTEST_FRAME = 8
"""Head, a command without data, and a CRC; a spoilt length may say less."""
DEFAULT_KEY = bytes.fromhex("303132333435363738393a3b3c3d3e3f")  # SCBK-D, annex D
FULL = {1: (1, 2), 2: (4, 2), 4: (4, 1), 5: (1, 1), 8: (1, 0), 9: (1, 1)}
"""Capabilities (function code: level, number): contacts, timed outputs, light, sound, CRC, secure channel."""


@dataclass(frozen=True)
class Taken:
    """A command that the reader took: its code and data, after decryption."""

    at_s: float
    code: int
    data: bytes
    secure: bool


@dataclass
class _Session:
    enc: bytes
    mac1: bytes
    mac2: bytes
    cp_random: bytes
    pd_random: bytes
    default_key: bool
    active: bool = False
    c_mac: bytes = bytes(16)
    r_mac: bytes = bytes(16)


@dataclass
class OsdpReader:
    """One reader on its line, whose other end is opened by `link`; those `beside` it are on the same line.

    `install_mode` makes it accept the default key too, until it was given one. `key` is what it holds.
    """

    link: Path
    address: int
    key: bytes
    capabilities: dict[int, tuple[int, int]] = field(default_factory=lambda: dict(FULL))
    inputs: list[bool] = field(default_factory=lambda: [False, False])
    refuses: frozenset[int] = frozenset()
    install_mode: bool = False
    taken: list[Taken] = field(default_factory=list)
    silent: bool = False
    dies_at: int | None = None
    """It obeys this command, and neither answers it nor anything after it."""
    ignores: frozenset[int] = frozenset()
    """It acknowledges these commands and does not obey."""
    local_status: tuple[bool, bool] = (False, False)
    """Tamper, power failure."""
    beside: "tuple[OsdpReader, ...]" = ()

    def __post_init__(self) -> None:
        self._replies: deque[tuple[int, bytes]] = deque()
        self._session: _Session | None = None
        self._last: tuple[int, bytes] | None = None
        self._buffer = b""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="osdp-peer")

    def __enter__(self) -> "OsdpReader":
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.link.symlink_to(os.ttyname(self._slave))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.link.unlink()
        os.close(self._slave)
        os.close(self._master)

    def keys(self, codes: bytes) -> None:
        """Somebody presses keys."""
        self._replies.append((KEYPAD, bytes([0, len(codes)]) + codes))

    def card(self, data: bytes, bits: int) -> None:
        self._replies.append((RAW, bytes([0, 1]) + bits.to_bytes(2, "little") + data))

    def restart(self) -> None:
        """It has power again, and does what it does with nothing wrong."""
        self._session = self._last = self.dies_at = None
        self.silent = False

    def local(self, *, tamper: bool, power: bool) -> None:
        self.local_status = tamper, power
        self._replies.append((LSTATR, bytes([tamper, power])))

    def commands(self, code: int) -> list[Taken]:
        """Those of one kind so far."""
        return [taken for taken in list(self.taken) if taken.code == code]

    def _run(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([self._master], [], [], 0.02)
            if not ready:
                self._buffer = b""  # a frame that does not go on was spoilt
            else:
                self._buffer += os.read(self._master, 4096)
                while (frame := self._next_frame()) is not None:
                    for reader in (self, *self.beside):
                        reply = reader.receive(frame)
                        if reply:
                            os.write(self._master, reply)

    def _next_frame(self) -> bytes | None:
        start = self._buffer.find(b"\x53")
        self._buffer = self._buffer[start:] if start >= 0 else b""
        end = max(SHORTEST_FRAME, int.from_bytes(self._buffer[2:4], "little"))
        if len(self._buffer) < end:
            return None
        frame, self._buffer = self._buffer[:end], self._buffer[end:]
        return frame

    def receive(self, frame: bytes) -> bytes:
        """What it answers to a frame on its line; nothing if that is for another."""
        if self.silent or frame[1] != self.address or crc(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            return b""
        sequence = frame[4] & 3
        if sequence == 0:
            self._session = None
        elif self._last is not None and self._last[0] == sequence:
            return self._last[1]
        reply = self._answer(frame, sequence)
        if self.taken and self.taken[-1].code == self.dies_at:
            self.silent = True
            return b""
        self._last = sequence, reply
        return reply

    def _answer(self, frame: bytes, sequence: int) -> bytes:
        block, code, data = self._open(frame)
        if code is None:
            self._session = None
            return self._frame(sequence, b"", NAK, bytes([NAK_CONDITION]))
        secure = self._session is not None and self._session.active
        self.taken.append(Taken(time.monotonic(), code, data, secure))
        if code in self.refuses:
            return self._seal(sequence, NAK, bytes([NAK_UNKNOWN_COMMAND]))
        if code == CHLNG:
            return self._challenge(sequence, block, data)
        if code == SCRYPT:
            return self._confirm(sequence, data)
        reply = self._seal(sequence, *self._do(code, data))
        if code == KEYSET and code in self.ignores:
            self._session = None
        elif code == KEYSET and secure:
            self.key, self.install_mode, self._session = data[2:18], False, None
        return reply

    def _do(self, code: int, data: bytes) -> tuple[int, bytes]:
        match code:
            case 0x60:
                return self._replies.popleft() if self._replies and self._is_secure() else (ACK, b"")
            case 0x61:
                return PDID, bytes(12)
            case 0x62:
                return PDCAP, b"".join(bytes([each, *levels]) for each, levels in self.capabilities.items())
            case 0x64:
                return LSTATR, bytes(self.local_status)
            case 0x65:
                return ISTATR, bytes(self.inputs)
            case 0x68 | 0x69 | 0x6A:
                return ACK, b""
            case 0x75 if self._is_secure():
                return ACK, b""
        return NAK, bytes([NAK_UNKNOWN_COMMAND])

    def _is_secure(self) -> bool:
        return self._session is not None and self._session.active

    def _challenge(self, sequence: int, block: bytes, cp_random: bytes) -> bytes:
        default = block[2] == 0
        if default and not self.install_mode:
            return self._frame(sequence, b"", NAK, bytes([NAK_CONDITION]))
        key, pd_random = DEFAULT_KEY if default else self.key, os.urandom(8)
        enc, mac1, mac2 = (aes(key, bytes([1, n]) + cp_random[:6] + bytes(8)) for n in (0x82, 0x01, 0x02))
        self._session = _Session(enc, mac1, mac2, cp_random, pd_random, default)
        cryptogram = aes(enc, cp_random + pd_random)
        return self._frame(sequence, bytes([3, 0x12, block[2]]), CCRYPT, bytes(8) + pd_random + cryptogram)

    def _confirm(self, sequence: int, cryptogram: bytes) -> bytes:
        session = self._session
        if session is None or cryptogram != aes(session.enc, session.pd_random + session.cp_random):
            self._session = None
            return self._frame(sequence, b"", NAK, bytes([NAK_CONDITION]))
        session.r_mac = aes(session.mac2, aes(session.mac1, cryptogram))
        session.active = True
        return self._frame(sequence, bytes([3, 0x14, 1]), RMAC_I, session.r_mac)

    def _open(self, frame: bytes) -> tuple[bytes, int | None, bytes]:
        """Security block, command and data; no command when its code is wrong for the channel."""
        block = frame[5 : 5 + frame[5]] if frame[4] & 8 else b""
        body = frame[5 + len(block) : -2]
        if not block or block[1] < 0x15:
            return block, None if self._is_secure() else body[0], body[1:]
        session = self._session
        if session is None or not session.active:
            return block, None, b""
        session.c_mac = mac(session, frame[:-6], session.r_mac)
        if frame[-6:-2] != session.c_mac[:4]:
            return block, None, b""
        code, data = body[0], body[1:-4]
        if block[1] == 0x17:
            decryptor = Cipher(algorithms.AES(session.enc), modes.CBC(inverted(session.r_mac))).decryptor()
            data = decryptor.update(data).rstrip(b"\0")[:-1]
        return block, code, data

    def _seal(self, sequence: int, code: int, data: bytes) -> bytes:
        session = self._session
        if session is None or not session.active:
            return self._frame(sequence, b"", code, data)
        block = bytes([2, 0x18 if data else 0x16])
        if data:
            encryptor = Cipher(algorithms.AES(session.enc), modes.CBC(inverted(session.c_mac))).encryptor()
            data = encryptor.update(padded(data + b"\x80"))
        head = self._head(sequence, block, 1 + len(data) + 4) + bytes([code]) + data
        session.r_mac = mac(session, head, session.c_mac)
        return with_crc(head + session.r_mac[:4])

    def _frame(self, sequence: int, block: bytes, code: int, data: bytes) -> bytes:
        return with_crc(self._head(sequence, block, 1 + len(data)) + bytes([code]) + data)

    def _head(self, sequence: int, block: bytes, body: int) -> bytes:
        length = 5 + len(block) + body + 2
        control = sequence | 4 | (8 if block else 0)
        return bytes([0x53, self.address | 0x80]) + length.to_bytes(2, "little") + bytes([control]) + block


def aes(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def inverted(block: bytes) -> bytes:
    return bytes(~byte & 0xFF for byte in block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def mac(session: _Session, message: bytes, before: bytes) -> bytes:
    """Annex D.5: CBC under S-MAC1, the last block under S-MAC2."""
    if len(message) % 16:
        message = padded(message + b"\x80")
    chained = before
    for place in range(0, len(message) - 16, 16):
        chained = aes(session.mac1, bytes(a ^ b for a, b in zip(message[place:], chained, strict=False)))
    return aes(session.mac2, bytes(a ^ b for a, b in zip(message[-16:], chained, strict=True)))


def crc(data: bytes) -> int:
    """CRC-16 of annex B: polynomial 1021, start 1D0F."""
    value = 0x1D0F
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def with_crc(data: bytes) -> bytes:
    return data + crc(data).to_bytes(2, "little")
