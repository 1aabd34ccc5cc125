"""A camera that sends JPEG pictures over HTTP without end, as many do beside RTSP (multipart/x-mixed-replace).

Written from RFC 2046, 5.1 (parts and boundary) and RFC 7617 (basic authentication).
"""

import base64
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import cv2
import numpy as np

_BOUNDARY = "gatehouse-test-boundary"


class MjpegCamera:
    """Use as a context manager.

    Args:
        picture: draws the picture with a number, BGR [H,W,3]; may be replaced while it runs.
        rate: pictures a second.
        account: `user:password` that is demanded, if any.
        certificate: files of a certificate and its key, for HTTPS.
    """

    def __init__(
        self,
        picture: Callable[[int], np.ndarray],
        rate: float = 10.0,
        account: str | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self.picture = picture
        self.stalled = threading.Event()
        self.connections = 0
        self._rate = rate
        self._account = account
        self._over = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as in the base class
                """Tests say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """Where its video is."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/video.mjpg"

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        self.connections += 1
        if self._account is not None:
            wanted = "Basic " + base64.b64encode(self._account.encode()).decode()
            if request.headers.get("Authorization") != wanted:
                request.send_response(401)
                request.send_header("WWW-Authenticate", 'Basic realm="camera"')
                request.end_headers()
                return
        request.send_response(200)
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        request.end_headers()
        number = 0
        try:
            while not self._over.wait(1 / self._rate):
                if self.stalled.is_set():
                    continue
                jpeg = cv2.imencode(".jpg", self.picture(number))[1].tobytes()
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                request.wfile.write(head.encode() + jpeg + b"\r\n")
                number += 1
        except OSError:
            return  # the viewer went away

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
