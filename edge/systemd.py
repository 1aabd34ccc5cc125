"""Telling systemd that the daemon is ready, alive or stopping (sd_notify(3)); nothing happens without systemd."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends states to the socket that systemd names in the environment."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")

    def tell(self, state: str) -> bool:
        """Send `READY=1`, `WATCHDOG=1` or `STOPPING=1`; whether there was somebody to tell."""
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            try:
                line.sendto(state.encode(), address)
            except OSError:
                return False
        return True
