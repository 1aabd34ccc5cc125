"""A sealed message opens for its topic, key and body, and for nothing else."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from protocols import sealing
from protocols.base import MAX_MESSAGE_BYTES, ProtocolError
from protocols.sealing import BadSeal, MacKey

KEY = MacKey("k1", b"s" * 32)
TOPIC = "gh/v1/east/up/ask"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
PUBLIC = PRIVATE.public_key()
KEY_ID = sealing.fingerprint(PUBLIC.public_bytes_raw())


def verify(key_id: str, data: bytes, signature: bytes) -> bool:
    try:
        PUBLIC.verify(signature, data)
    except InvalidSignature:
        return False
    return key_id == KEY_ID


@given(st.binary(max_size=500))
def test_what_is_sealed_opens_as_it_was(body: bytes) -> None:
    assert sealing.open_with_mac(TOPIC, sealing.seal_with_mac(TOPIC, body, KEY), KEY) == body
    signed = sealing.seal_with_signature(TOPIC, body, KEY_ID, PRIVATE.sign)
    assert sealing.open_with_signature(TOPIC, signed, verify) == body


@given(st.binary(max_size=60), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_never_opens(body: bytes, place: int, change: int) -> None:
    for sealed, opened in (
        (sealing.seal_with_mac(TOPIC, body, KEY), lambda text: sealing.open_with_mac(TOPIC, text, KEY)),
        (
            sealing.seal_with_signature(TOPIC, body, KEY_ID, PRIVATE.sign),
            lambda text: sealing.open_with_signature(TOPIC, text, verify),
        ),
    ):
        at = place % len(sealed)
        altered = bytearray(sealed)
        altered[at] ^= change
        head, _, rest = bytes(altered).partition(b"\n")
        assume(not _same_code(sealed, head, rest))
        with pytest.raises(ProtocolError):
            opened(bytes(altered))


def _same_code(sealed: bytes, head: bytes, rest: bytes) -> bool:
    """Base64's last character carries bits that no code has: two spellings of one code are one code."""
    import base64

    former, _, body = sealed.partition(b"\n")
    one, other = former.split(b" "), head.split(b" ")
    if rest != body or len(other) != 4 or one[:3] != other[:3]:
        return False
    try:
        codes = [base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", True) for text in (one[3], other[3])]
    except ValueError:
        return False
    return codes[0] == codes[1]


@pytest.mark.parametrize("topic", ["gh/v1/west/up/ask", "gh/v1/east/up/state", "gh/v1/east/up/ask/", ""])
def test_a_message_moved_to_another_topic_does_not_open(topic: str) -> None:
    with pytest.raises(BadSeal):
        sealing.open_with_mac(topic, sealing.seal_with_mac(TOPIC, b"{}", KEY), KEY)
    with pytest.raises(BadSeal):
        sealing.open_with_signature(topic, sealing.seal_with_signature(TOPIC, b"{}", KEY_ID, PRIVATE.sign), verify)


@pytest.mark.parametrize("key", [MacKey("k1", b"t" * 32), MacKey("k2", b"s" * 32)])
def test_another_key_does_not_open(key: MacKey) -> None:
    with pytest.raises(BadSeal):
        sealing.open_with_mac(TOPIC, sealing.seal_with_mac(TOPIC, b"{}", key), KEY)


def test_a_mac_is_no_signature_and_the_reverse() -> None:
    with pytest.raises(BadSeal):
        sealing.open_with_signature(TOPIC, sealing.seal_with_mac(TOPIC, b"{}", KEY), verify)
    with pytest.raises(BadSeal):
        sealing.open_with_mac(TOPIC, sealing.seal_with_signature(TOPIC, b"{}", KEY_ID, PRIVATE.sign), KEY)


@given(st.binary(max_size=400))
def test_no_bytes_from_outside_raise_anything_else(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        sealing.open_with_mac(TOPIC, payload, KEY)


def test_a_message_that_is_too_large_is_refused_before_anything_is_computed() -> None:
    sealed = sealing.seal_with_mac(TOPIC, b"x" * MAX_MESSAGE_BYTES, KEY)
    with pytest.raises(ProtocolError, match="larger than"):
        sealing.open_with_mac(TOPIC, sealed, KEY)


def test_a_key_s_repr_hides_its_secret() -> None:
    assert "s" * 8 not in repr(KEY)
