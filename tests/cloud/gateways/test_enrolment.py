"""Enrolment over the contract: a good code, and every way in which it must not work."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from cloud.broker import GatewayAccess
from cloud.database import tables
from cloud.database.engine import Database
from cloud.gateways import EnrolmentRefused, EnrolmentService, GatewayIdentity, GatewayKeys, GatewayRegister
from cloud.gateways.enrolment import MAX_FAILURES
from cloud.gateways.rate import AttemptLimit
from cloud.gateways.routes import gateway_router
from protocols import enrolment as wire
from protocols import http_auth
from tests.support import register as given

HUB_KEY = b"h" * 32
ADDRESS = "192.0.2.7"


class Bench:
    """A hub's half with a clock that the test moves."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.time = datetime(2026, 5, 1, tzinfo=UTC)
        self.monotonic_s = 0.0
        self.admitted: list[tuple[str, str]] = []
        self.register = GatewayRegister(database, given.vault(), lambda: self.time, os.urandom)
        self.keys = GatewayKeys(database, given.vault(), lambda: self.monotonic_s)
        self.service = EnrolmentService(
            database,
            given.vault(),
            HUB_KEY,
            lambda: GatewayAccess("broker.example", 8883, "a PEM"),
            lambda gateway, password: self.admitted.append((gateway, password)),
            AttemptLimit(lambda: self.monotonic_s),
            lambda: self.time,
        )

    def refused(self, request: wire.EnrolmentRequest) -> str:
        self.monotonic_s += 60
        with pytest.raises(EnrolmentRefused) as refusal:
            self.service.enrol(request, ADDRESS)
        return str(refusal.value)


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def request_for(code: wire.EnrolmentCode, private: X25519PrivateKey | None = None) -> wire.EnrolmentRequest:
    key = wire.encode_key((private or X25519PrivateKey.generate()).public_key().public_bytes_raw())
    return wire.EnrolmentRequest(
        code_name=code.name, exchange_key=key, version="0.1", mac=wire.request_mac(code, key, "0.1")
    )


def test_a_good_code_agrees_on_keys_and_grants_the_broker(bench: Bench) -> None:
    code, private = bench.register.add("east"), X25519PrivateKey.generate()
    request = request_for(code, private)
    answer = bench.service.enrol(request, ADDRESS)
    assert wire.same(answer.mac, wire.answer_mac(code, request, answer.exchange_key, answer.hub_key, answer.box))
    assert wire.decode_key(answer.hub_key) == HUB_KEY
    shared = private.exchange(X25519PublicKey.from_public_bytes(wire.decode_key(answer.exchange_key)))
    keys = wire.derive_keys(code, shared, request, answer.exchange_key)
    box = wire.decode_key(answer.box)
    grant = wire.Grant.model_validate_json(AESGCM(keys.box_key).decrypt(box[:12], box[12:], None))
    assert grant.key_id == "k1"
    assert (grant.gateway, grant.broker.host, grant.broker.port, grant.broker.ca_pem) == (
        "east",
        "broker.example",
        8883,
        "a PEM",
    )
    assert bench.admitted == [("east", grant.broker.password)]
    key = bench.keys.key("east")
    assert key is not None
    assert (key.key_id, key.secret) == ("k1", keys.message_key)
    with bench.database.read() as connection:
        row = connection.execute(select(tables.Gateway.__table__)).one()
    assert keys.message_key not in row.message_key_sealed
    assert keys.card_key not in row.card_key_sealed


def test_a_code_works_once(bench: Bench) -> None:
    request = request_for(bench.register.add("east"))
    bench.service.enrol(request, ADDRESS)
    assert "unknown, used, expired or void" in bench.refused(request)
    assert len(bench.admitted) == 1


def test_an_expired_code_is_refused_with_the_same_words_as_an_unknown_one(bench: Bench) -> None:
    code = bench.register.add("east")
    unknown = bench.refused(request_for(wire.EnrolmentCode("ZZZZ", code.secret)))
    bench.time += timedelta(hours=24)
    assert bench.refused(request_for(code)) == unknown


def test_five_wrong_guesses_void_a_code(bench: Bench) -> None:
    code = bench.register.add("east")
    wrong = request_for(wire.EnrolmentCode(code.name, "0" * 20))
    for _ in range(MAX_FAILURES):
        bench.refused(wrong)
    bench.refused(request_for(code))
    assert bench.admitted == []
    assert bench.service.counts == {"refused": MAX_FAILURES + 1}


def test_four_wrong_guesses_do_not(bench: Bench) -> None:
    code = bench.register.add("east")
    for _ in range(MAX_FAILURES - 1):
        bench.refused(request_for(wire.EnrolmentCode(code.name, "0" * 20)))
    bench.monotonic_s += 60
    bench.service.enrol(request_for(code), ADDRESS)


def test_a_low_order_point_is_refused(bench: Bench) -> None:
    code = bench.register.add("east")
    zero = wire.encode_key(bytes(32))
    bench.refused(
        wire.EnrolmentRequest(
            code_name=code.name, exchange_key=zero, version="0", mac=wire.request_mac(code, zero, "0")
        )
    )
    assert bench.admitted == []


def test_a_request_whose_key_was_exchanged_on_the_way_is_refused(bench: Bench) -> None:
    code = bench.register.add("east")
    request = request_for(code)
    other = wire.encode_key(X25519PrivateKey.generate().public_key().public_bytes_raw())
    bench.refused(request.model_copy(update={"exchange_key": other}))


def test_attempts_are_limited_by_address_and_together(bench: Bench) -> None:
    request = request_for(wire.EnrolmentCode("ZZZZ", "0" * 20))

    def is_limited(address: str) -> bool:
        with pytest.raises(EnrolmentRefused) as refusal:
            bench.service.enrol(request, address)
        return refusal.value.too_many

    assert [is_limited(ADDRESS) for _ in range(11)] == [False] * 10 + [True]
    assert not is_limited("192.0.2.8")
    bench.monotonic_s += 6
    assert not is_limited(ADDRESS)
    many = [is_limited(f"198.51.100.{number}") for number in range(150)]
    assert not many[0]
    assert many[-1]


def test_a_re_enrolment_replaces_the_keys_and_brings_a_revoked_gateway_back(bench: Bench) -> None:
    bench.service.enrol(request_for(bench.register.add("east")), ADDRESS)
    bench.register.revoke("east")
    bench.service.enrol(request_for(bench.register.new_code("east")), ADDRESS)
    key = bench.keys.key("east")
    assert key is not None
    assert key.key_id == "k2"
    assert bench.register.list()[0].state == "enrolled"


def client_of(bench: Bench, snapshot: bytes | None = b"sealed" * 1000) -> TestClient:
    app = FastAPI()
    identity = GatewayIdentity(bench.keys, lambda: bench.time)
    app.include_router(gateway_router(bench.service, identity, lambda _gateway: snapshot))
    return TestClient(app)


def test_enrolment_over_http(bench: Bench) -> None:
    client, request = client_of(bench), request_for(bench.register.add("east"))
    answer = client.post(wire.PATH, content=request.model_dump_json())
    assert answer.status_code == 200
    wire.EnrolmentAnswer.model_validate(answer.json())
    assert client.post(wire.PATH, content=request.model_dump_json()).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"{}", 422), (b"[" * 4000, 422), (b"x" * 5000, 413), (json.dumps({"v": 2}).encode(), 422)],
)
def test_what_is_no_request_is_refused_over_http(bench: Bench, body: bytes, status: int) -> None:
    assert client_of(bench).post(wire.PATH, content=body).status_code == status


def test_too_many_attempts_over_http(bench: Bench) -> None:
    client, body = client_of(bench), request_for(wire.EnrolmentCode("ZZZZ", "0" * 20)).model_dump_json()
    answers = [client.post(wire.PATH, content=body) for _ in range(11)]
    assert {answer.status_code for answer in answers[:10]} == {403}
    assert (answers[10].status_code, answers[10].headers["retry-after"]) == (429, "60")


PATH = "/api/v1/gateway/credentials"


def test_the_snapshot_needs_the_gateway_s_proof(bench: Bench) -> None:
    with bench.database.write() as connection:
        given.add_gateway(connection, "east")
    client, now = client_of(bench), int(bench.time.timestamp())
    good = http_auth.authorise("east", given.MESSAGE_SECRET, "GET", PATH, b"", now)
    answer = client.get(PATH, headers={"Authorization": good, "Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.content) == (200, b"sealed" * 1000)
    assert answer.headers["content-encoding"] == "gzip"
    refused = {
        "nobody": None,
        "wrong key": http_auth.authorise("east", b"w" * 32, "GET", PATH, b"", now),
        "old": http_auth.authorise("east", given.MESSAGE_SECRET, "GET", PATH, b"", now - 301),
        "another path": http_auth.authorise("east", given.MESSAGE_SECRET, "GET", "/api/v1/other", b"", now),
        "unknown": http_auth.authorise("west", given.MESSAGE_SECRET, "GET", PATH, b"", now),
    }
    for header in refused.values():
        headers = {"Authorization": header} if header else {}
        assert client.get(PATH, headers=headers).status_code == 401


def test_a_revoked_gateway_gets_no_snapshot(bench: Bench) -> None:
    with bench.database.write() as connection:
        given.add_gateway(connection, "east")
    bench.register.revoke("east")
    header = http_auth.authorise("east", given.MESSAGE_SECRET, "GET", PATH, b"", int(bench.time.timestamp()))
    assert client_of(bench).get(PATH, headers={"Authorization": header}).status_code == 401


def test_no_snapshot_before_the_first_was_compiled(bench: Bench) -> None:
    with bench.database.write() as connection:
        given.add_gateway(connection, "east")
    header = http_auth.authorise("east", given.MESSAGE_SECRET, "GET", PATH, b"", int(bench.time.timestamp()))
    assert client_of(bench, None).get(PATH, headers={"Authorization": header}).status_code == 404
