"""HTTP answers with a bound on their size and time, whatever the device sends and whoever reads them."""

import ssl
import time
from collections.abc import Iterator

import httpx

MAX_ANSWER_BYTES = 1024 * 1024


class BoundedTransport(httpx.HTTPTransport):
    """Ends an answer's body at `MAX_ANSWER_BYTES`, or when it takes more than twice the read time-out, with an error;
    never unpacks one. The errors are `httpx.ReadError` and `httpx.ReadTimeout`.

    Each request has a connection of its own: cheap cameras close idle ones in the middle of the next request.
    """

    def __init__(self, verify: ssl.SSLContext | bool) -> None:
        super().__init__(verify=verify, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As in `httpx.BaseTransport`."""
        read_s = request.extensions.get("timeout", {}).get("read") or 10.0
        response = super().handle_request(request)
        headers = [(key, value) for key, value in response.headers.raw if key.lower() != b"content-encoding"]
        if not isinstance(response.stream, httpx.SyncByteStream):
            raise httpx.ReadError("an answer without a body to read")
        stream = _BoundedStream(response.stream, time.monotonic() + 2 * read_s)
        return httpx.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, until_s: float) -> None:
        self._stream, self._until_s = stream, until_s

    def __iter__(self) -> Iterator[bytes]:
        count = 0
        for chunk in self._stream:
            count += len(chunk)
            if count > MAX_ANSWER_BYTES:
                raise httpx.ReadError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > self._until_s:
                raise httpx.ReadTimeout("the answer does not end")
            yield chunk

    def close(self) -> None:
        self._stream.close()
