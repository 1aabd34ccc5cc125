"""What crosses the pipe between the gateway and an OSDP worker: a length of 4 bytes, big-endian, and that much JSON.

Sans-io. A frame of at most `MAX_FRAME_BYTES` is written to a pipe whole or not at all (PIPE_BUF, POSIX write).
"""

import json
from typing import Any

MAX_FRAME_BYTES = 4096
MAX_SETUP_BYTES = 64 * 1024
_HEAD_BYTES = 4


class BrokenFrame(ValueError):
    """Bytes that are not frames: the other side is not what it should be."""


def pack(message: dict[str, Any]) -> bytes:
    """One frame."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return len(body).to_bytes(_HEAD_BYTES, "big") + body


class Unpacker:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that `data` completes.

        Raises:
            BrokenFrame: for a frame that is too long or is not a JSON object.
        """
        self._rest += data
        messages = []
        while len(self._rest) >= _HEAD_BYTES:
            end = _HEAD_BYTES + int.from_bytes(self._rest[:_HEAD_BYTES], "big")
            if end > MAX_SETUP_BYTES:
                raise BrokenFrame(f"a frame of {end} bytes")
            if len(self._rest) < end:
                break
            messages.append(_read(self._rest[_HEAD_BYTES:end]))
            self._rest = self._rest[end:]
        return messages


def _read(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise BrokenFrame(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise BrokenFrame("not a JSON object")
    return message
