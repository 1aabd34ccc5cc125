"""Ports for servers that a test starts, and starts again: nobody else may take them in between."""

import os
import random
import socket

_FIRST, _SLICE = 12_000, 2_500
"""Below the ports that the kernel gives to connections (32768 and up); a slice for each process of tests."""

_taken: set[int] = set()


def free_port() -> int:
    """A TCP port of loopback that nobody listens on, that no connection is given, and that is told once."""
    first = _FIRST + _SLICE * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8)
    while True:
        port = random.randrange(first, first + _SLICE)
        if port in _taken:
            continue
        _taken.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
