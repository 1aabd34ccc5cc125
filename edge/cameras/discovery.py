"""Finds ONVIF cameras: a probe to the whole network by multicast, or to single addresses; listens for some seconds.

Nothing but the answers' own senders is believed (`protocols.ws_discovery`), and nothing is asked of them here.
"""

import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from protocols.base import ProtocolError
from protocols.ws_discovery import GROUP, MAX_DATAGRAM_BYTES, PORT, PROBED_TYPES, Match, probe, read_matches

MOST_FOUND = 1000
_Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
AGAIN_S = (0.0, 0.4, 1.2)
"""A probe is a datagram and may be lost, and cameras that all answer at once lose each other's: it is sent thrice."""

_HOPS = 1


@dataclass
class Found:
    """What a search brought. `refused` counts answers that were none; `networks` those that were probed."""

    matches: list[Match] = field(default_factory=list)
    refused: int = 0
    networks: list[str] = field(default_factory=list)


class Search:
    """One search.

    Args:
        tell: told of each camera when it answers first.
        monotonic_s: the clock.
    """

    def __init__(
        self, tell: Callable[[Match], None] = lambda _: None, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._monotonic_s = monotonic_s
        self._found = Found()
        self._known: set[str] = set()

    def everywhere(self, timeout_s: float, progress: Callable[[float], None] = lambda _: None) -> Found:
        """Probe every network that this machine is in, by multicast.

        Raises:
            OSError: if no network can be probed.
        """
        sockets: list[tuple[socket.socket, _Address]] = []
        refusal: OSError | None = None
        for index, name in socket.if_nameindex():
            try:
                sockets.append((multicast_socket(index), (GROUP, PORT)))
                self._found.networks.append(name)
            except OSError as error:
                refusal = error
        if not sockets and refusal is not None:
            raise refusal
        return self._run(sockets, timeout_s, progress)

    def at(
        self,
        hosts: Sequence[str],
        timeout_s: float,
        progress: Callable[[float], None] = lambda _: None,
        port: int = PORT,
    ) -> Found:
        """Probe single hosts, where multicast does not reach: other subnets, VPNs.

        Raises:
            OSError: if a name is not known.
        """
        sockets: list[tuple[socket.socket, _Address]] = []
        for host in hosts:
            family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            sockets.append((socket.socket(family, kind, number), address))
        return self._run(sockets, timeout_s, progress)

    def _run(
        self, sockets: list[tuple[socket.socket, _Address]], timeout_s: float, progress: Callable[[float], None]
    ) -> Found:
        began_s = self._monotonic_s()
        sends = [at for at in AGAIN_S if at < timeout_s]
        try:
            while (passed_s := self._monotonic_s() - began_s) < timeout_s and len(self._found.matches) < MOST_FOUND:
                progress(passed_s)
                if sends and passed_s >= sends[0]:
                    sends.pop(0)
                    self._send(sockets)
                until_s = min(timeout_s, sends[0] if sends else timeout_s, passed_s + 0.25)
                ready, _, _ = select.select([each for each, _ in sockets], [], [], max(0.0, until_s - passed_s))
                for each in ready:
                    self._receive(each)
        finally:
            for each, _ in sockets:
                each.close()
        return self._found

    def _send(self, sockets: list[tuple[socket.socket, _Address]]) -> None:
        for each, address in sockets:
            for kind in PROBED_TYPES:
                try:
                    each.sendto(probe(uuid4(), kind), address)
                except OSError:
                    continue  # a network that is down meanwhile, or a host that refused the last datagram

    def _receive(self, each: socket.socket) -> None:
        try:
            datagram, sender = each.recvfrom(MAX_DATAGRAM_BYTES)
            matches = read_matches(datagram, str(sender[0]))
        except (OSError, ProtocolError):
            self._found.refused += 1
            return
        for match in matches:
            if match.address not in self._known and len(self._found.matches) < MOST_FOUND:
                self._known.add(match.address)
                self._found.matches.append(match)
                self._tell(match)


def multicast_socket(interface: int) -> socket.socket:
    """A UDP socket that sends to groups through one network interface (its index), no further than its own network.

    Raises:
        OSError: if the interface cannot do that.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), interface))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
        made.bind(("", 0))
    except OSError:
        made.close()
        raise
    return made
