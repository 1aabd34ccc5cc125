"""A gateway's proof over HTTP covers the request and its time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import http_auth
from protocols.base import ProtocolError

SECRET = b"s" * 32
HEADER = http_auth.authorise("east", SECRET, "PUT", "/api/v1/x", b"body", 1000)


def test_a_good_header_passes_within_its_time() -> None:
    assert http_auth.claimed_gateway(HEADER) == "east"
    for now in (700.0, 1000.0, 1300.0):
        http_auth.check(HEADER, SECRET, "PUT", "/api/v1/x", b"body", now)


@pytest.mark.parametrize("now", [699.0, 1301.0])
def test_an_old_or_early_one_does_not(now: float) -> None:
    with pytest.raises(ProtocolError, match="from the hub's"):
        http_auth.check(HEADER, SECRET, "PUT", "/api/v1/x", b"body", now)


@pytest.mark.parametrize(
    ("secret", "method", "path", "body"),
    [
        (b"t" * 32, "PUT", "/api/v1/x", b"body"),
        (SECRET, "GET", "/api/v1/x", b"body"),
        (SECRET, "PUT", "/api/v1/y", b"body"),
        (SECRET, "PUT", "/api/v1/x", b"other"),
    ],
)
def test_another_request_or_key_does_not_fit(secret: bytes, method: str, path: str, body: bytes) -> None:
    with pytest.raises(ProtocolError, match="does not fit"):
        http_auth.check(HEADER, secret, method, path, body, 1000)


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_changed_word_does_not_fit(part: int) -> None:
    words = HEADER.split(" ")
    words[part] = {1: "west", 2: "1001", 3: "A" * 43}[part]
    with pytest.raises(ProtocolError):
        http_auth.check(" ".join(words), SECRET, "PUT", "/api/v1/x", b"body", 1000)


@given(st.text(max_size=80))
def test_no_text_raises_anything_else(text: str) -> None:
    for header in (text, f"Gatehouse east {text}", f"Gatehouse east 1000 {text}"):
        with pytest.raises(ProtocolError):
            http_auth.check(header, SECRET, "GET", "/", b"", 1000)
