"""One-time codes and the keys that both sides derive from them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import enrolment as wire
from protocols.base import ProtocolError

CODE = wire.EnrolmentCode("ABCD", "0123456789ABCDEFGHJK")


def request_of(code: wire.EnrolmentCode, key: str = "A" * 43, version: str = "0.1") -> wire.EnrolmentRequest:
    return wire.EnrolmentRequest(
        code_name=code.name, exchange_key=key, version=version, mac=wire.request_mac(code, key, version)
    )


def test_a_code_is_read_as_people_type_it() -> None:
    code = wire.new_code(os.urandom)
    assert len(code.text) == 29
    for typed in (code.text, code.text.lower(), code.text.replace("-", " "), f" {code.text.replace('-', '')}\n"):
        assert wire.parse_code(typed) == code
    assert wire.parse_code("OIL0-0123-4567-89AB-CDEF-GHJK").name == "0110"


@given(st.text(max_size=40))
def test_what_is_no_code_is_refused_without_repeating_it(typed: str) -> None:
    try:
        wire.parse_code(typed)
    except ProtocolError as error:
        assert str(error) == "an enrolment code has 24 letters and digits, in six groups of four"  # noqa: PT017
    else:
        assert len("".join(typed.split()).replace("-", "")) == 24


def test_codes_hide_their_secret_and_differ() -> None:
    assert CODE.secret not in repr(CODE)
    assert len({wire.new_code(os.urandom).text for _ in range(100)}) == 100


def test_both_sides_derive_three_different_keys() -> None:
    keys = wire.derive_keys(CODE, b"x" * 32, request_of(CODE), "B" * 43)
    assert keys == wire.derive_keys(CODE, b"x" * 32, request_of(CODE), "B" * 43)
    assert len({keys.message_key, keys.card_key, keys.box_key}) == 3
    assert {len(key) for key in (keys.message_key, keys.card_key, keys.box_key)} == {32}
    assert "message_key" not in repr(keys)


@pytest.mark.parametrize(
    ("code", "shared", "key", "hub_key"),
    [
        (wire.EnrolmentCode("ABCD", "1" * 20), b"x" * 32, "A" * 43, "B" * 43),
        (CODE, b"y" * 32, "A" * 43, "B" * 43),
        (CODE, b"x" * 32, "C" * 43, "B" * 43),
        (CODE, b"x" * 32, "A" * 43, "C" * 43),
    ],
)
def test_any_other_input_gives_other_keys(code: wire.EnrolmentCode, shared: bytes, key: str, hub_key: str) -> None:
    keys = wire.derive_keys(CODE, b"x" * 32, request_of(CODE), "B" * 43)
    other = wire.derive_keys(code, shared, request_of(code, key), hub_key)
    assert {keys.message_key, keys.card_key, keys.box_key}.isdisjoint(
        {other.message_key, other.card_key, other.box_key}
    )


def test_the_proofs_bind_every_field() -> None:
    first = wire.request_mac(CODE, "A" * 43, "0.1")
    assert not wire.same(first, wire.request_mac(CODE, "B" * 43, "0.1"))
    assert not wire.same(first, wire.request_mac(CODE, "A" * 43, "0.2"))
    assert not wire.same(first, wire.request_mac(wire.EnrolmentCode("ABCE", CODE.secret), "A" * 43, "0.1"))
    request = request_of(CODE)
    answers = {wire.answer_mac(CODE, request, *("ABC"[:place] + "x" + "ABC"[place + 1 :])) for place in range(3)}
    assert wire.answer_mac(CODE, request, "A", "B", "C") not in answers
    assert first != wire.answer_mac(CODE, request, "A", "B", "C")


@given(st.binary(max_size=64))
def test_keys_survive_their_text(key: bytes) -> None:
    assert wire.decode_key(wire.encode_key(key)) == key
