"""How soon a stream that falls silent is noticed, with the gateway's own time-outs and real servers."""

import time
from collections.abc import Callable

import pytest

from edge.video.address import Address, Transport
from edge.video.errors import StreamFault
from edge.video.stream import Stream
from protocols.events import CameraFault
from tests.support.rtsp import RtspServer, demo_server, gstreamer_server

NOTICED_S = 5.0
TRIES = 3
"""On a busy machine one may be late; the best counts."""


def silence_s(server: RtspServer, address: Address) -> float:
    """How long after a server froze its stream is given up."""
    with Stream(address, time.monotonic) as stream:
        packets = stream.packets()
        for _ in range(20):
            next(packets)
        server.freeze()
        frozen_s = time.monotonic()
        with pytest.raises(StreamFault) as raised:
            list(packets)
        noticed_s = time.monotonic()
    server.thaw()
    assert raised.value.fault is CameraFault.SILENT
    return noticed_s - frozen_s


@pytest.mark.parametrize(
    ("make", "path", "transport"),
    [
        (demo_server, "gate-east.mp4", Transport.TCP),
        (gstreamer_server, "cam", Transport.TCP),
        (lambda: gstreamer_server(codec="h265"), "cam", Transport.UDP),
    ],
)
def test_a_frozen_stream_is_noticed_within_five_seconds(
    make: Callable[[], RtspServer], path: str, transport: Transport
) -> None:
    with make() as server:
        took = [silence_s(server, Address(server.url(path), "rtsp", transport)) for _ in range(TRIES)]
    assert min(took) < NOTICED_S, took
