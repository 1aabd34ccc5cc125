"""The demo's cameras: serves a folder of clips over RTSP (TCP), each endlessly and in real time, on loopback alone.

Run it as a child process: `python -m gatehouse.demo.rtsp_server --dir CLIPS --port 8554`; a clip is then found at
`rtsp://127.0.0.1:8554/NAME.mp4`. It writes one line, `ready`, once it listens, and `playing NAME.mp4` whenever a clip
begins, for the first time or anew. It never listens beyond loopback.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
from pathlib import Path
from typing import Any

from aio_rtsp_toolkit import server as toolkit

HOST = "127.0.0.1"


class TellingSession(toolkit.RtspServerSession):  # type: ignore[misc]  # the toolkit has no types
    """Says when a clip begins, each time."""

    async def _stream_media_once(self, suffix: str) -> None:
        print("playing", self.media_source.file_path.name, flush=True)
        await super()._stream_media_once(suffix)


class EndlessServer(toolkit.RtspServer):  # type: ignore[misc]  # the toolkit has no types
    """The toolkit's file server, in which every clip starts again when it ends."""

    def parse_play_count(self, uri: str) -> int:
        """0 means for ever to the toolkit; it keeps time stamps rising across the seam."""
        del uri
        return 0

    async def _handle_client(self, sock: Any) -> None:
        with contextlib.suppress(ConnectionError):  # the gateway is gone
            await TellingSession(self, sock).run()


async def serve(directory: Path, port: int) -> None:
    """Serve `directory` until cancelled.

    Raises:
        OSError: if the port is taken.
    """
    server = EndlessServer(str(directory), host=HOST, port=port)
    server.logger = logging.getLogger(__name__)
    await server.start()
    print("ready", flush=True)
    try:
        await server.serve_forever()
    finally:
        await server.close()


def main() -> int:
    """Parse the arguments and serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the video clips of a folder over RTSP on loopback, endlessly.")
    parser.add_argument("--dir", type=Path, required=True, help="folder of .mp4 files with H.264 video")
    parser.add_argument("--port", type=int, default=8554, help="TCP port on 127.0.0.1")
    arguments = parser.parse_args()
    if not arguments.dir.is_dir():
        print(f"{arguments.dir}: no such folder; name one that holds the clips", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING)
    try:
        asyncio.run(serve(arguments.dir, arguments.port))
    except OSError as error:
        print(f"port {arguments.port}: {error.strerror}; choose another with --port", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
