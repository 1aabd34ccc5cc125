"""The hub's HTTP side as the gateway uses it: signed requests, separate time-outs, a bound on what is read."""

from dataclasses import dataclass

import httpx

from edge.clock import Clock
from edge.identity import Identity
from protocols.http_auth import authorise

MAX_ANSWER_BYTES = 64 * 1024
TIMEOUT = httpx.Timeout(connect=5.0, read=20.0, write=20.0, pool=5.0)


class HubUnavailable(Exception):
    """The hub did not give what was asked for; `status` is its answer, 0 if there was none."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class HubAnswer:
    """What the hub said, whatever it was; the body is bounded."""

    status: int
    body: bytes


class HubHttp:
    """Requests in the name of one gateway. Safe to use from several threads."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock
        self._client = httpx.Client(base_url=identity.hub_url, timeout=TIMEOUT, follow_redirects=False)

    def get(self, path: str, limit_bytes: int) -> bytes:
        """The body of a GET.

        Raises:
            HubUnavailable: if the hub cannot be reached, does not answer 200, or sends more than `limit_bytes`.
        """
        content = bytearray()
        try:
            with self._client.stream("GET", path, headers=self._header("GET", path, b"")) as response:
                if response.status_code != httpx.codes.OK:
                    raise HubUnavailable(f"GET {path}: the hub answers {response.status_code}", response.status_code)
                for chunk in response.iter_bytes(65536):
                    content += chunk
                    if len(content) > limit_bytes:
                        raise HubUnavailable(f"GET {path}: more than {limit_bytes} bytes")
        except httpx.HTTPError as error:
            raise HubUnavailable(f"GET {path}: {error or type(error).__name__}") from error
        return bytes(content)

    def put(self, path: str, body: bytes, content_type: str) -> None:
        """Send a body.

        Raises:
            HubUnavailable: if the hub cannot be reached or does not answer 2xx.
        """
        headers = {**self._header("PUT", path, body), "Content-Type": content_type}
        try:
            response = self._client.put(path, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise HubUnavailable(f"PUT {path}: {error or type(error).__name__}") from error
        if not response.is_success:
            raise HubUnavailable(f"PUT {path}: the hub answers {response.status_code}", response.status_code)

    def exchange(self, method: str, path: str, body: bytes = b"", content_type: str | None = None) -> HubAnswer:
        """A request whose answer the caller reads by itself.

        Raises:
            HubUnavailable: if the hub cannot be reached or answers with more than `MAX_ANSWER_BYTES`.
        """
        headers = self._header(method, path, body)
        if content_type is not None:
            headers["Content-Type"] = content_type
        content = bytearray()
        try:
            with self._client.stream(method, path, content=body, headers=headers) as response:
                for chunk in response.iter_bytes(MAX_ANSWER_BYTES):
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise HubUnavailable(f"{method} {path}: the answer is too long")
        except httpx.HTTPError as error:
            raise HubUnavailable(f"{method} {path}: {error or type(error).__name__}") from error
        return HubAnswer(response.status_code, bytes(content))

    def close(self) -> None:
        self._client.close()

    def _header(self, method: str, path: str, body: bytes) -> dict[str, str]:
        identity = self._identity
        value = authorise(identity.gateway, identity.mac_key.secret, method, path, body, int(self._clock.wall_s()))
        return {"Authorization": value}
