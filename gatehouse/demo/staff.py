"""Staff at the running hub, each in a session of their own, as the console's page opens one."""

import re
from typing import Any

import httpx

from gatehouse.demo.processes import DemoError

_TOKEN = re.compile(r'name="page-token" content="([0-9a-f]{64})"')
_REQUEST_TIMEOUT_S = 10.0


class Colleague:
    """Somebody who is logged in.

    Raises:
        DemoError: if the hub refuses the log-in, or what is asked for.
    """

    def __init__(self, url: str, username: str, password: str, code: str = "") -> None:
        self.username = username
        self._client = httpx.Client(base_url=url, timeout=_REQUEST_TIMEOUT_S, headers={"Origin": url})
        answer = self._client.post("/login", data={"username": username, "password": password, "code": code})
        found = _TOKEN.search(self._client.get("/").text) if answer.status_code == httpx.codes.SEE_OTHER else None
        if found is None:
            raise DemoError(f"the console refused the log-in of {username} with status {answer.status_code}")
        self._client.headers["X-Gatehouse-Token"] = found[1]

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def post(self, path: str, body: object) -> Any:
        return self._ask("POST", path, body)

    def put(self, path: str, body: object) -> Any:
        return self._ask("PUT", path, body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, body: object | None = None) -> Any:
        try:
            answer = self._client.request(method, f"/api/v1{path}", json=body)
        except httpx.HTTPError as error:
            raise DemoError(f"{self.username}: {method} {path}: {error}") from error
        if answer.is_error:
            raise DemoError(f"{self.username}: {method} {path} was answered with {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None
