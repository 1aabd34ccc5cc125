"""A line between two ends of a TCP connection that breaks when a test says so, or after so many bytes."""

import contextlib
import socket
import threading


class CuttingProxy:
    """Listens on a free loopback port; each connection is cut (RST) once `cut_after` bytes went up through it."""

    def __init__(self, port: int, cut_after: int | None = None) -> None:
        self.cut_after, self.cuts, self.bytes_up = cut_after, 0, 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self._target), 10) as far:
            down = threading.Thread(target=self._pump, args=(far, near), daemon=True)
            down.start()
            carried = 0
            while data := near.recv(16384):
                far.sendall(data)
                carried += len(data)
                self.bytes_up += len(data)
                if self.cut_after is not None and carried >= self.cut_after:
                    self.cuts += 1
                    for end in (near, far):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        end.shutdown(socket.SHUT_RDWR)
                    return

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                target.sendall(data)
