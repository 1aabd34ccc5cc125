"""Gives a reader a key: its first one (it is in install mode), or a new one in the place of the one that it holds.

A deliberate act of a person, for a limited time, with the gateway stopped: it speaks to that reader alone on its bus.
This is the only code that ever speaks to a reader without enforcing the secure channel, and it sends nothing but the
new key that way: encrypted, but under the default key that everybody knows. So a reader gets its first key where nobody
can listen. Keys come from the operating system's generator and are never printed or logged.
"""

import contextlib
import errno
import os
import select
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any

import osdp

from edge.access.config import Reader, ReaderBus
from edge.access.drivers.osdp.key_file import KEY_BYTES, KeyFile
from edge.access.drivers.osdp.line import Line

TRY_S = 3.0
"""For one attempt. libosdp gives a reader up for 300 s after one refusal, so each attempt has a control panel anew."""

PROVE_TRIES, PROVE_S = 4, 1.5
"""A reader proves a key in one of so many tries of so long; a handshake takes 0.4 s at 9600 baud."""

_TICK_S = 0.005
_KEYSET = 0x75
"""OSDP 2.2, 6.21; in clear also under a secure channel, as every command code."""
_HAS_SECURITY_BLOCK = 0x08

Say = Callable[[str], None]


class RekeyFault(Exception):
    """A reader did not get its key; the text says why, which key it holds, and what to do."""


class Answer(Enum):
    """What one attempt came to."""

    NONE = auto()
    CLEAR = auto()
    """It answers, but takes neither the key nor the default key."""
    SECURE = auto()


class _WatchedLine(Line):
    """Knows whether a key was ever sent on it: libosdp does that by itself once a channel stands under the default key,
    and does not tell."""

    key_sent = False

    def write(self, data: bytes) -> int:
        frame = data.lstrip(b"\xff")
        place = 5 + (frame[5] if frame[4] & _HAS_SECURITY_BLOCK else 0)
        self.key_sent |= frame[place] == _KEYSET
        return super().write(data)


class _Talk:
    """One control panel for one reader, from its start until its first clear outcome."""

    def __init__(self, line: _WatchedLine, address: int, key: bytes, *, enforce: bool) -> None:
        self._line = line
        flags = [osdp.LibFlag.EnforceSecure] if enforce else []
        self._panel = osdp.ControlPanel(
            [osdp.PDInfo(address, line, scbk=key, flags=flags)],
            log_level=osdp.LogLevel.Emergency,
            command_completion_handler=self._completed,
        )
        self._context = self._panel.ctx
        self._outcome: bool | None = None

    def answer(self, until_s: float) -> Answer:
        """Work until a channel stands, the reader answers without one, or the time is over."""
        while time.monotonic() < until_s:
            self._work()
            if self._context.status() & 1:
                return Answer.SECURE if self._context.sc_status() & 1 else Answer.CLEAR
        return Answer.NONE

    def send_key(self, key: bytes, until_s: float) -> bool:
        """Send a key over the channel that stands; whether the reader acknowledged it."""
        if not self._context.submit_command(0, {"command": osdp.Command.Keyset, "type": 1, "data": key}):
            return False
        while self._outcome is None and time.monotonic() < until_s:
            self._work()
        return bool(self._outcome)

    def _work(self) -> None:
        select.select([self._line], [], [], _TICK_S)
        self._context.refresh()
        if self._line.fault is not None:
            raise RekeyFault(f"the port failed: {self._line.fault.strerror}")

    def _completed(self, _address: int, _command: dict[str, Any], status: int) -> None:
        self._outcome = status == osdp.CompletionStatus.Ok


class Rekeying:
    """The change of one reader's key.

    Args:
        say: takes sentences for the person who waits.
    """

    def __init__(self, bus: ReaderBus, reader: Reader, say: Say) -> None:
        if reader.address is None or reader.scbk_file is None:
            raise RekeyFault(f'"{reader.id}" is no OSDP reader: it has no key to set')
        self._bus, self._id, self._address, self._say = bus, reader.id, reader.address, say
        self._file = KeyFile(reader.scbk_file)
        self._new, self._may_hold = b"", False

    def provision(self, limit_s: float) -> None:
        """Wait for the reader in install mode and give it its first key.

        Raises:
            RekeyFault: if it did not get it; the key file is then what it was.
            KeyboardInterrupt: the same, after `say` told which key the reader holds.
        """
        with self._line() as line:
            if self._took_up_left_key(line):
                return
            with self._change(line, self._file.read_pending()):
                self._wait_for_install_mode(line, time.monotonic() + limit_s)

    def rotate(self) -> None:
        """Change the key that the reader holds, over its secure channel.

        Raises:
            RekeyFault, KeyboardInterrupt: as `provision`.
        """
        with self._line() as line:
            if self._took_up_left_key(line):
                return
            try:
                old = self._file.read()
            except (OSError, ValueError) as error:
                raise RekeyFault(f"{self._file.path}: {_cause(error)}") from error
            talk = self._talk_under(line, old)
            if talk is None:
                raise RekeyFault(
                    f'reader "{self._id}" does not open a secure channel with the key in {self._file.path}: check its '
                    "power, wires and address; if it lost its key, put it into install mode and use `provision`"
                )
            with self._change(line, old=old):
                talk.send_key(self._new, time.monotonic() + TRY_S)

    @contextlib.contextmanager
    def _line(self) -> Iterator[_WatchedLine]:
        try:
            line = _WatchedLine(self._bus.port, self._bus.baud_rate, [self._address])
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise RekeyFault(
                    f"{self._bus.port} is in use, it seems by the gateway: stop it, run this again, and start it after"
                ) from error
            raise RekeyFault(f"{self._bus.port}: {_cause(error)}") from error
        try:
            yield line
        finally:
            line.close()

    def _took_up_left_key(self, line: _WatchedLine) -> bool:
        """Finish a change that was cut off after the reader had taken the key that lies beside the key file."""
        left = self._file.read_pending()
        if left is None or self._talk_under(line, left) is None:
            return False
        self._file.confirm()
        self._say(f"an earlier change was cut off: the reader already holds its new key, now in {self._file.path}")
        return True

    @contextlib.contextmanager
    def _change(self, line: _WatchedLine, left: bytes | None = None, old: bytes | None = None) -> Iterator[None]:
        """Make a new key and keep it; afterwards find out whether the reader holds it, whatever happened.

        Args:
            left: the key that an earlier change left behind, which a reader that was away may hold: it is used again.
            old: the key that the reader is known to hold, if it is.
        """
        self._new, self._may_hold = left or os.urandom(KEY_BYTES), left is not None
        if left is None:
            self._keep_new_key()
        try:
            yield
        except BaseException:  # Ctrl-C too: a person must learn which key the reader holds; raised on
            self._say(self._settle(line, old)[1])
            raise
        taken, sentence = self._settle(line, old)
        if not taken:
            raise RekeyFault(sentence)
        self._say(sentence)

    def _keep_new_key(self) -> None:
        try:
            self._file.write_pending(self._new)
        except OSError as error:
            raise RekeyFault(f"{self._file.pending}: {_cause(error)}; the reader was not touched") from error

    def _settle(self, line: _WatchedLine, old: bytes | None) -> tuple[bool, str]:
        """Prove under an enforced secure channel which key the reader holds, and keep that one."""
        if not line.key_sent and not self._may_hold:
            self._file.discard()
            holds = f'reader "{self._id}" holds the key that it held before'
            return False, f"no key was sent: {holds}, and {self._file.path} was not changed"
        if self._holds(line, self._new):
            self._file.confirm()
            return True, self._file.holds_new(self._id)
        if old is not None and self._holds(line, old):
            self._file.discard()
            return False, self._file.holds_old(self._id)
        again = "run this again when it answers; that key is tried first"
        return False, self._file.may_hold_either(self._id) + again

    def _holds(self, line: _WatchedLine, key: bytes) -> bool:
        with contextlib.suppress(RekeyFault):
            return self._talk_under(line, key) is not None
        return False

    def _talk_under(self, line: _WatchedLine, key: bytes) -> _Talk | None:
        """A secure channel under a key and no other, or nothing when the reader does not take it."""
        for _ in range(PROVE_TRIES):
            talk = _Talk(line, self._address, key, enforce=True)
            if talk.answer(time.monotonic() + PROVE_S) is Answer.SECURE:
                return talk
        return None

    def _wait_for_install_mode(self, line: _WatchedLine, until_s: float) -> None:
        told = None
        while (now_s := time.monotonic()) < until_s:
            talk = _Talk(line, self._address, self._new, enforce=False)
            answer = talk.answer(min(until_s, now_s + TRY_S))
            if answer is Answer.SECURE:
                return
            if answer is not told:
                told = answer
                self._say(_WAITING[answer])
            if answer is Answer.CLEAR:
                time.sleep(min(1.0, max(0.0, until_s - time.monotonic())))
        if not line.key_sent:
            raise RekeyFault("the time is over and the reader was not in install mode")


_WAITING = {
    Answer.NONE: "the reader does not answer: check its power, the two wires, its address and the bus's baud_rate",
    Answer.CLEAR: "the reader answers, but is not in install mode: put it there as its maker's manual says",
}


def _cause(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
