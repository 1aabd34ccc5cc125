"""The gateway's control socket: orders of a person at the machine itself, and what comes of them; both ends of it.

A Unix-domain stream socket in the state folder, mode 600; besides, the kernel tells who is at the other end, and only
the gateway's own user and root are heard. A connection carries one order: a JSON line `{"order": …, …}`, answered by
lines `{"say": …}` on the way and `{"done": true or false, "say": …}` at the end. What may be ordered is given to the
socket; it knows no order itself.

Bounded: `MAX_CONNECTIONS` at a time (one more is told so), `MAX_LINE_BYTES` and `LINE_S` for the order, `LINE_S` for
each answer to be taken. An order that was begun is carried out, whether somebody still listens or not.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOCKET_NAME = "control.sock"
MAX_CONNECTIONS = 4
MAX_LINE_BYTES = 4096
LINE_S = 2.0
ANSWER_S = 30.0
"""A client that hears nothing for this long gives up; an order tells its outcome well before."""

_STOP_S = 2.0
_CREDENTIALS = struct.Struct("3i")
"""`struct ucred`: process, user, group (unix(7))."""

Say = Callable[[str], None]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What came of an order; `sentence` is for the person who gave it."""

    done: bool
    sentence: str


Carry = Callable[[Mapping[str, Any], Say], Answer]
"""Carries out one kind of order: takes its fields, says sentences on the way, and may take some seconds."""


class ControlFault(Exception):
    """The other side did not do its part; the text says so to a person."""


class ControlSocket:
    """A part of the daemon.

    Args:
        folder: the state folder.
        orders: by name.
    """

    def __init__(self, folder: Path, orders: Mapping[str, Carry]) -> None:
        self.path = folder / SOCKET_NAME
        self._orders = orders
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._serving: list[threading.Thread] = []

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: if the socket cannot be made, or another gateway listens on it.
        """
        self._stopping.clear()
        if self._listener is not None:
            self._listener.close()
        self._listener = _listen(self.path)
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), name="control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more orders; those on the way have a moment to tell their outcome."""
        self._stopping.set()
        if self._listener is None or self._thread is None:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._thread.join(_STOP_S)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        end_s = time.monotonic() + _STOP_S
        for thread in self._serving:
            thread.join(max(0.0, end_s - time.monotonic()))

    @property
    def failure(self) -> str | None:
        if self._thread is not None and not self._thread.is_alive():
            return "the control socket is closed"
        return None

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if not self._stopping.is_set():
                    _log.error("the control socket failed", extra={"reason": str(error)})
                return
            if not self._places.acquire(blocking=False):
                with connection:
                    _send(connection, {"done": False, "say": "the gateway carries out too many orders: try again"})
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="control-order", daemon=True)
            self._serving = [*(each for each in self._serving if each.is_alive()), thread]
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                answer = self._answer(connection)
                _send(connection, {"done": answer.done, "say": answer.sentence})
        finally:
            self._places.release()

    def _answer(self, connection: socket.socket) -> Answer:
        user = _user_of(connection)
        if user not in (0, os.geteuid()):
            _log.warning("an order of another user was refused", extra={"uid": user})
            return Answer(False, "only the gateway's own user and root may give it orders")
        try:
            fields = _read_order(connection)
        except ControlFault as fault:
            return Answer(False, str(fault))
        name = fields["order"]
        carry = self._orders.get(name)
        if carry is None:
            known = ", ".join(sorted(self._orders))
            return Answer(False, f"this gateway knows no such order (it knows: {known})")
        _log.info("an order was given", extra={"order": name, "uid": user})
        try:
            answer = carry(fields, lambda sentence: _say(connection, sentence))
        except Exception as error:  # noqa: BLE001 - whatever an order's code raises, who gave it is told and the log has it
            _log.exception("an order failed", extra={"order": name})
            return Answer(False, f"the gateway could not carry it out ({type(error).__name__}); its log says more")
        _log.info("an order ended", extra={"order": name, "done": answer.done})
        return answer


def reach(folder: Path) -> socket.socket | None:
    """A connection to the gateway that runs with this state folder; None if none does.

    Raises:
        PermissionError: if this user may not ask.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(folder / SOCKET_NAME) as address:
            connection.connect(address)
    except PermissionError:
        connection.close()
        raise
    except OSError:
        connection.close()
        return None
    return connection


def give_order(connection: socket.socket, order: str, say: Say, **fields: str) -> Answer:
    """Have the gateway carry out an order; `say` takes what it tells on the way.

    Raises:
        ControlFault: if it did not tell an outcome.
    """
    _send(connection, {"order": order, **fields})  # a gateway that refuses without listening says why all the same
    lines = _Lines(connection)
    while True:
        told = lines.read(ANSWER_S)
        if "done" in told:
            return Answer(told["done"] is True, str(told.get("say", "")))
        say(str(told.get("say", "")))


class _Lines:
    """Cuts what comes over a connection into JSON objects, one a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def read(self, within_s: float) -> dict[str, Any]:
        """The next one.

        Raises:
            ControlFault: if none comes in time, the connection ends, or it is too long or no JSON object.
        """
        end_s = time.monotonic() + within_s
        while b"\n" not in self._rest:
            if len(self._rest) > MAX_LINE_BYTES:
                raise ControlFault(f"a line of more than {MAX_LINE_BYTES} bytes")
            self._rest += self._receive(end_s - time.monotonic())
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise ControlFault("not a JSON object on one line")
        return told

    def _receive(self, within_s: float) -> bytes:
        try:
            self._connection.settimeout(max(within_s, 0.001))
            data = self._connection.recv(MAX_LINE_BYTES)
        except TimeoutError:
            raise ControlFault("nothing came in time") from None
        except OSError as error:
            raise ControlFault(f"the connection broke: {error.strerror or error}") from error
        if not data:
            raise ControlFault("the connection ended too early")
        return data


def _read_order(connection: socket.socket) -> dict[str, Any]:
    fields = _Lines(connection).read(LINE_S)
    if not isinstance(fields.get("order"), str):
        raise ControlFault('there is no "order" in it')
    return fields


def _send(connection: socket.socket, message: dict[str, Any]) -> bool:
    """Whether it could be sent; that nobody listens any more is no fault of an order."""
    try:
        connection.settimeout(LINE_S)
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        return False
    return True


def _say(connection: socket.socket, sentence: str) -> None:
    _send(connection, {"say": sentence})


def _user_of(connection: socket.socket) -> int:
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(told)[1]
    return user


def _listen(path: Path) -> socket.socket:
    other = reach(path.parent)
    if other is not None:
        other.close()
        raise OSError(errno.EADDRINUSE, f"another gateway runs with the state folder {path.parent}")
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, f"{path} is in the way: it is no socket")
        path.unlink()  # of a gateway that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before it has a name: nobody can connect in between
        with _address(path) as address:
            listener.bind(address)
        listener.listen(MAX_CONNECTIONS)
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name of `path` that is short enough: a socket's address holds 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
