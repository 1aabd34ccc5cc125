"""Enrolment against a real HTTP server that plays the hub's half as `protocols.enrolment` says."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from typer.testing import CliRunner

from edge.enrolment import enroll
from edge.errors import EnrolmentFailed, IdentityError
from edge.identity import load_identity
from gatehouse.edge_command import app
from protocols import enrolment as wire
from tests.support.hub_http import Answer, Asked, SmallHub
from tests.support.ports import free_port


class HubSide:
    """Knows one code; `keys` are what it agreed on last."""

    def __init__(self) -> None:
        self.code = wire.new_code(os.urandom)
        self.hub_key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        self.keys: wire.AgreedKeys | None = None
        self.key_id = "k1"
        self.server = SmallHub(self._answer)

    def _answer(self, asked: Asked) -> Answer:
        assert (asked.method, asked.path) == ("POST", wire.PATH)
        request = wire.EnrolmentRequest.model_validate_json(asked.body)
        expected = wire.request_mac(self.code, request.exchange_key, request.version)
        if request.code_name != self.code.name or not wire.same(expected, request.mac):
            return 403, b""
        private = X25519PrivateKey.generate()
        own = wire.encode_key(private.public_key().public_bytes_raw())
        shared = private.exchange(X25519PublicKey.from_public_bytes(wire.decode_key(request.exchange_key)))
        self.keys = wire.derive_keys(self.code, shared, request, own)
        broker = wire.BrokerAccess(host="127.0.0.1", port=1883, username="gw-7", password="p" * 32)
        grant = wire.Grant(gateway="gw-7", broker=broker, key_id=self.key_id).model_dump_json().encode()
        nonce = os.urandom(12)
        box = wire.encode_key(nonce + AESGCM(self.keys.box_key).encrypt(nonce, grant, None))
        hub_key = wire.encode_key(self.hub_key)
        mac = wire.answer_mac(self.code, request, own, hub_key, box)
        answer = wire.EnrolmentAnswer(exchange_key=own, hub_key=hub_key, box=box, mac=mac)
        return 200, answer.model_dump_json().encode()


@pytest.fixture
def hub() -> Iterator[HubSide]:
    side = HubSide()
    yield side
    side.server.close()


def test_both_sides_agree_on_keys_and_the_identity_is_its_owners_alone(tmp_path: Path, hub: HubSide) -> None:
    state = tmp_path / "state"
    enroll(hub.server.url + "/", hub.code.text.lower(), state, "0.1.0")
    identity = load_identity(state)
    assert hub.keys is not None
    assert (identity.gateway, identity.mac_key.key_id) == ("gw-7", "k1")
    assert identity.mac_key.secret == hub.keys.message_key
    assert identity.card_key == hub.keys.card_key
    assert identity.hub_url == hub.server.url
    assert identity.broker.password == "p" * 32
    assert stat.S_IMODE((state / "identity.json").stat().st_mode) == 0o600
    assert hub.code.secret.encode() not in hub.server.asked[0].body


def test_an_identity_is_replaced_only_when_asked_to(tmp_path: Path, hub: HubSide) -> None:
    enroll(hub.server.url, hub.code.text, tmp_path, "0.1.0")
    former = load_identity(tmp_path)
    with pytest.raises(EnrolmentFailed, match="--replace"):
        enroll(hub.server.url, hub.code.text, tmp_path, "0.1.0")
    assert len(hub.server.asked) == 1
    hub.key_id = "k2"
    enroll(hub.server.url, hub.code.text, tmp_path, "0.1.0", replace=True)
    assert load_identity(tmp_path).mac_key.secret != former.mac_key.secret
    assert load_identity(tmp_path).mac_key.key_id == "k2"


def test_a_wrong_code_is_told_as_such(tmp_path: Path, hub: HubSide) -> None:
    with pytest.raises(EnrolmentFailed, match="wrong, used or expired"):
        enroll(hub.server.url, wire.new_code(os.urandom).text, tmp_path, "0.1.0")
    assert not list(tmp_path.iterdir())


def test_a_mistyped_code_never_reaches_the_network_and_is_not_repeated(tmp_path: Path, hub: HubSide) -> None:
    with pytest.raises(EnrolmentFailed, match="24 letters and digits") as raised:
        enroll(hub.server.url, "ABCD-SECRET", tmp_path, "0.1.0")
    assert "SECRET" not in str(raised.value)
    assert hub.server.asked == []


def test_a_hub_that_does_not_know_the_code_is_found_out(tmp_path: Path, hub: HubSide) -> None:
    answer = hub.server.answer

    def impostor(asked: Asked) -> Answer:
        status, body = answer(asked)
        altered = json.loads(body)
        altered["hub_key"] = wire.encode_key(os.urandom(32))
        return status, json.dumps(altered).encode()

    hub.server.answer = impostor
    with pytest.raises(EnrolmentFailed, match="does not prove"):
        enroll(hub.server.url, hub.code.text, tmp_path, "0.1.0")
    assert not (tmp_path / "identity.json").exists()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"", "answers 500"),
        (200, b"<html>", "not a hub"),
        (200, b"x" * 100_000, "too long"),
        (410, b"", "expired"),
    ],
)
def test_other_answers_are_told_plainly(tmp_path: Path, hub: HubSide, status: int, body: bytes, words: str) -> None:
    hub.server.answer = lambda asked: (status, body)
    with pytest.raises(EnrolmentFailed, match=words):
        enroll(hub.server.url, hub.code.text, tmp_path, "0.1.0")


@pytest.mark.parametrize("url", ["hub.example", "ftp://hub", "http://user:pw@hub", "http://hub/path", ""])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(EnrolmentFailed):
        enroll(url, wire.new_code(os.urandom).text, tmp_path, "0.1.0")


def test_a_hub_that_is_not_there_is_told_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentFailed, match=r"127\.0\.0\.1.*no answer"):
        enroll(f"http://127.0.0.1:{free_port()}", wire.new_code(os.urandom).text, tmp_path, "0.1.0")


def test_an_identity_that_others_can_read_is_refused(tmp_path: Path, hub: HubSide) -> None:
    enroll(hub.server.url, hub.code.text, tmp_path, "0.1.0")
    (tmp_path / "identity.json").chmod(0o644)
    with pytest.raises(IdentityError, match="chmod 600"):
        load_identity(tmp_path)
    (tmp_path / "identity.json").chmod(0o600)
    (tmp_path / "identity.json").write_text("{}")
    with pytest.raises(IdentityError, match="not an identity"):
        load_identity(tmp_path)


def test_the_command_reads_the_code_from_standard_input(tmp_path: Path, hub: HubSide) -> None:
    arguments = ["enroll", "--hub", hub.server.url, "--state-dir", str(tmp_path)]
    result = CliRunner().invoke(app, arguments, input=hub.code.text + "\n")
    assert result.exit_code == 0, result.output
    assert "gw-7" in result.output
    again = CliRunner().invoke(app, [*arguments, "--code", hub.code.text])
    assert again.exit_code == 2
    assert "--replace" in again.output
