"""Cameras for the benchmarks: the demo's RTSP server, which sends a clip's packets as they are, and writes down when.

Run as a child process: `python -m benchmarks.rtsp_senders --dir CLIPS --port 8554 --log FILE`. Unlike the demo's, it
sends all packets of a frame at once when the frame is due, as cameras do. Each line of the log is a session's clip, the
frame's number since PLAY, when its first packet went out (monotonic seconds) and its mark (`mark_of`).
"""

import argparse
import asyncio
import contextlib
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from aio_rtsp_toolkit.server_session import RtspServerSession

from gatehouse.demo.rtsp_server import HOST, EndlessServer

MOST_STREAMS = 64
_MARKED = 8
"""Bytes: a picture in which nothing changed is hardly longer."""


def mark_of(data: bytes) -> int:
    """What a frame is known by at both ends: the checksum of its last bytes, which no container changes."""
    return zlib.crc32(data[-_MARKED:])


class _Session(RtspServerSession):  # type: ignore[misc]  # the toolkit has no types
    frames = 0
    mark = 0

    async def _send_video_packet(self, state: Any, data: bytes, *timing: Any) -> None:
        self.mark = mark_of(data)
        await super()._send_video_packet(state, data, *timing)

    async def _send_paced_rtp_payloads(
        self, state: Any, payloads: list[tuple[bytes, int]], timestamp: int, media_time: float, duration_seconds: float
    ) -> None:
        del duration_seconds
        await self._sleep_until_media_time(state, media_time)
        path = self.media_source.file_path.name
        self.server.log.write(f"{path} {self.frames} {time.monotonic():.6f} {self.mark}\n")
        self.frames += 1
        for payload, marker in payloads:
            await self._send_rtp_packet(state, payload, timestamp=timestamp, marker=marker)


class _Senders(EndlessServer):
    def __init__(self, directory: str, port: int, log: TextIO) -> None:
        super().__init__(directory, host=HOST, port=port)
        self.log = log

    async def _handle_client(self, sock: Any) -> None:
        with contextlib.suppress(OSError):  # the gateway is gone
            await _Session(self, sock).run()


async def serve(directory: Path, port: int, log: TextIO) -> None:
    """Serve until killed."""
    server = _Senders(str(directory), port, log)
    server.logger = _Quiet()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(MOST_STREAMS))  # each stream holds a thread
    await server.start()
    print("ready", flush=True)
    await server.serve_forever()


class _Quiet:
    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    with given.log.open("w", buffering=1) as log:
        asyncio.run(serve(given.dir, given.port, log))


if __name__ == "__main__":
    sys.exit(main())
