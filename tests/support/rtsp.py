"""Real RTSP servers for tests, as child processes on loopback: the demo's own, and GStreamer's as an independent peer.

Both can be frozen (SIGSTOP), thawed, killed and started again on the same port.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import av
from av.bitstream import BitStreamFilterContext

from tests.support.ports import free_port

_GST_SCRIPT = Path(__file__).with_name("gst_rtsp_server.py")
_ROOT = Path(__file__).resolve().parents[2]
CLIPS = _ROOT / "gatehouse" / "demo" / "clips"
START_TIMEOUT_S = 20.0


class RtspServer:
    """A server process. Use as a context manager; `url(path)` is where a client finds `path`."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, path: str) -> str:
        """The address of a stream, without an account."""
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            self._command,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "GST_DEBUG": "1"},
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_S)
        line = self._process.stdout.readline() if ready else b""
        if line.strip() != b"ready":
            self.kill()
            raise RuntimeError(f"{self._command[:4]} did not start; it needs python3-gi and gir1.2-gst-rtsp-server-1.0")

    def freeze(self) -> None:
        """It holds its connections and says nothing more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """It is gone at once."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def demo_server(directory: Path = CLIPS) -> RtspServer:
    """The demo's server over the clips of a folder: `url("gate-east.mp4")`, without end."""
    port = free_port()
    return RtspServer(
        [sys.executable, "-m", "gatehouse.demo.rtsp_server", "--dir", str(directory), "--port", str(port)], port
    )


def gstreamer_server(
    stream: Path | None = None,
    user: str | None = None,
    password: str = "",
    codec: str = "h264",
    loss: float = 0.0,
    udp_alone: bool = False,
) -> RtspServer:
    """GStreamer's server with one endless stream at `url("cam")`: a byte-stream file, or a moving test picture.

    Args:
        stream: raw H.264 (`annexb`) to repeat without end; a synthetic ball when None.
        user: demand digest authentication for this account.
        password: its password.
        codec: of the synthetic picture: h264 or h265.
        loss: the share of its pictures that is lost on the way.
        udp_alone: refuse to send through the RTSP connection.
    """
    port = free_port()
    command = ["/usr/bin/python3", str(_GST_SCRIPT), "--port", str(port), "--codec", codec, "--loss", str(loss)]
    if udp_alone:
        command += ["--udp-alone"]
    if stream is not None:
        command += ["--stream", str(stream)]
    if user is not None:
        command += ["--user", user, "--password", password]
    return RtspServer(command, port)


def annexb(clip: Path, target: Path) -> Path:
    """A clip's H.264 as the raw byte stream that GStreamer repeats; copied, not encoded again."""
    with av.open(str(clip)) as source, target.open("wb") as out:
        video = source.streams.video[0]
        to_annexb = BitStreamFilterContext("h264_mp4toannexb", video)
        for packet in source.demux(video):
            if packet.size:
                for part in to_annexb.filter(packet):
                    out.write(bytes(part))
    return target


def wait_until(condition: Callable[[], object], timeout_s: float, what: str) -> None:
    """Wait until `condition()` is true; fail saying `what` was awaited."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.02)
