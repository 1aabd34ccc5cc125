"""What a channel is: something that takes one message, or says why it does not."""

import ipaddress
import os
import socket
import stat
from pathlib import Path
from time import monotonic
from typing import Protocol

from cloud.notify.states import DeliveryFailed, Failure
from cloud.notify.wording import Message

MAX_SECRET_BYTES = 4096


class Channel(Protocol):
    """Sends from one thread at a time. It keeps nothing between messages."""

    def send(self, message: Message) -> str:
        """Send a message, within the channel's time limit; what the other side answered, without secrets.

        Raises:
            DeliveryFailed: if it was not taken.
        """
        ...


class Deadline:
    """The end of an attempt, whatever its parts take."""

    def __init__(self, timeout_s: float) -> None:
        self._end = monotonic() + timeout_s

    def left_s(self) -> float:
        """Seconds that are left.

        Raises:
            DeliveryFailed: if none are.
        """
        left = self._end - monotonic()
        if left <= 0:
            raise DeliveryFailed(Failure.TIMED_OUT, "the time limit is over")
        return left


def read_secret(path: Path) -> str:
    """The text of a file that nobody else may read, read at each use: a new secret needs no restart.

    Raises:
        DeliveryFailed: if it cannot be read, or others may read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read(MAX_SECRET_BYTES).decode().strip()
    except OSError as error:
        raise DeliveryFailed(Failure.SECRET_UNREADABLE, f"{path.name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DeliveryFailed(Failure.SECRET_UNREADABLE, f"{path.name}: it is no text") from error
    if mode & 0o077:
        raise DeliveryFailed(Failure.SECRET_UNREADABLE, f"others may read {path.name} (mode {mode:o}): chmod 600")
    if not secret or not secret.isprintable():
        raise DeliveryFailed(Failure.SECRET_UNREADABLE, f"{path.name}: it is empty, or more than one line")
    return secret


def connect(host: str, port: int, private: bool, deadline: Deadline) -> socket.socket:
    """Connect to a host of the configuration.

    The address that was checked is the one that is called, so that a name which is given another address meanwhile
    leads nowhere else. Unless `private`, only addresses of the public internet are called.

    Raises:
        DeliveryFailed: if it has no such address, or cannot be reached.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryFailed(Failure.NAME_UNKNOWN, f"{host}: no such name") from error
    allowed = [each for each in found if private or is_public(str(each[4][0]))]
    if not allowed:
        raise DeliveryFailed(Failure.ADDRESS_FORBIDDEN, f"{host} has a private address: set private = true if meant")
    last: OSError | None = None
    for family, kind, protocol, _, address in allowed:
        line = socket.socket(family, kind, protocol)
        try:
            line.settimeout(deadline.left_s())
            line.connect(address)
        except OSError as error:
            line.close()
            last = error
        except DeliveryFailed:
            line.close()
            raise
        else:
            return line
    if isinstance(last, TimeoutError):
        raise DeliveryFailed(Failure.TIMED_OUT, f"{host} does not answer") from last
    raise DeliveryFailed(Failure.UNREACHABLE, f"{host}: {last.strerror if last else 'no address'}") from last


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet; one that wraps an IPv4 address is judged by that."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if wrapped is None and found in _NAT64:
            wrapped = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    return found.is_global and not found.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
