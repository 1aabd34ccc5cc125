"""`ipycam` (PyPI, MIT): an ONVIF camera that is not ours, as a child process on loopback. ONVIF device and media
services with WS-Security, WS-Discovery on UDP port 3702, and RTSP over TCP from Debian's ffmpeg.

`make test` installs it, pinned by hashes, from `requirements/ipycam.txt` into `.venv/ipycam`. It has neither events nor
masks, wants the password even for its clock, and tells the action of a request by its words.
"""

import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.support.ports import free_port

USER, PASSWORD = "viewer", "the camera's own p@ssword"
WIDTH, HEIGHT, SUB_WIDTH, SUB_HEIGHT, FPS = 640, 480, 320, 240, 10
START_TIMEOUT_S = 30.0
_PLACE = Path(sys.prefix) / "ipycam"


class IpycamCamera:
    """One camera. Use as a context manager."""

    def __init__(self) -> None:
        self.port, self.rtsp_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if not _PLACE.is_dir():
            raise RuntimeError(f"{_PLACE} is missing: run `make .venv/.ipycam`")
        root = Path(__file__).resolve().parents[2]
        path = os.pathsep.join((str(_PLACE), str(root)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.peers.ipycam", str(self.port), str(self.rtsp_port)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # its encoders end with it
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_S)
        line = self._process.stdout.readline() if ready else b""
        if line.strip() != b"ready":
            self.__exit__()
            raise RuntimeError(f"ipycam did not start within {START_TIMEOUT_S:g} s; it needs ffmpeg")
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _main() -> None:
    """The child's own work."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("rtsp_port", type=int)
    arguments = parser.parse_args()
    _stay_on_loopback()
    import numpy as np
    from ipycam import CameraConfig, IPCamera

    config = CameraConfig(
        name="Gate east",
        manufacturer="Made up",
        model="VC-1",
        local_ip="127.0.0.1",
        onvif_port=arguments.port,
        rtsp_port=arguments.rtsp_port,
        go2rtc_api_port=free_port(),
        username=USER,
        password=PASSWORD,
        main_width=WIDTH,
        main_height=HEIGHT,
        main_fps=FPS,
        main_bitrate="1M",
        sub_width=SUB_WIDTH,
        sub_height=SUB_HEIGHT,
        sub_fps=FPS,
        sub_bitrate="512K",
        hw_accel="cpu",
        show_timestamp=False,
    )
    camera = IPCamera(config)
    camera.start()
    print("ready", flush=True)  # noqa: T201 the parent waits for this line
    for count in range(10**9):
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        left = count * 8 % (WIDTH - 80)
        picture[200:280, left : left + 80] = (40, 220, 240)
        camera.stream(picture)
        time.sleep(0.5 / FPS)


def _stay_on_loopback() -> None:
    """It would listen on every network of this machine."""
    real: Any = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        real(self, ("127.0.0.1", address[1]) if address[0] in ("", "0.0.0.0") else address)

    socket.socket.bind = bind  # type: ignore[method-assign]


if __name__ == "__main__":
    _main()
