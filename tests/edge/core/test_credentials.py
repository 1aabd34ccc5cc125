"""Keeping credentials in step: heads and deltas over a real broker, snapshots over real HTTP."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from protocols import http_auth, topics
from protocols.base import ProtocolError
from protocols.credentials import CredentialRow, CredentialSet, Delta, Head, moved_digest, total_digest
from protocols.rules import DoorRule, Rules
from tests.support.brokers import RunningBroker
from tests.support.gateways import GATEWAY, Gateway, HubHalf, Keys, eventually, make_keys
from tests.support.hub_http import Answer, Asked, SmallHub

PATH = "/api/v1/gateway/credentials"


def row(number: int) -> CredentialRow:
    return CredentialRow(ref=uuid4(), hash=f"{number:032x}", groups=())


def whole(version: int, rows: list[CredentialRow]) -> CredentialSet:
    digest = total_digest([*(each.digest() for each in rows), Rules().digest()])
    return CredentialSet(version=version, digest=digest, rules=Rules(), rows=tuple(rows))


@dataclass
class Scene:
    """A hub with a credential set, and a gateway that follows it."""

    keys: Keys
    hub: HubHalf
    gateway: Gateway
    server: SmallHub
    current: CredentialSet = field(default_factory=lambda: whole(0, []))

    def set(self, new: CredentialSet) -> None:
        self.current = new
        topic = topics.credential_head(GATEWAY)
        head = Head(version=new.version, digest=new.digest, rows=len(new.rows))
        self.hub.publish(topic, self.keys.sign(topic, head), retain=True)

    def delta(self, delta: Delta) -> None:
        topic = topics.credential_delta(GATEWAY)
        self.hub.publish(topic, self.keys.sign(topic, delta))

    def version(self) -> int:
        return self.gateway.store.head().version


@pytest.fixture
def scene(tmp_path: Path, broker: RunningBroker, keys: Keys) -> Iterator[Scene]:
    holder: list[Scene] = []

    def answer(asked: Asked) -> Answer:
        try:
            http_auth.check(asked.authorization, keys.message, asked.method, asked.path, asked.body, time.time())
        except ProtocolError:
            return 401, b""
        return 200, keys.sign(topics.credential_snapshot(GATEWAY), holder[0].current)

    server = SmallHub(answer)
    hub = HubHalf(broker, keys)
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY), server.url))
    holder.append(Scene(keys, hub, gateway, server))
    eventually(lambda: gateway.uplink.status().state == "open")
    yield holder[0]
    gateway.close()
    hub.close()
    server.close()


def test_after_its_birth_the_gateway_asks_with_its_version(scene: Scene) -> None:
    eventually(lambda: len(scene.hub.asks) >= 1)
    assert b'"have":0' in scene.hub.asks[0]


def test_a_snapshot_is_fetched_when_no_delta_comes_and_is_told_in_the_presence(scene: Scene) -> None:
    rows = [row(number) for number in range(50)]
    scene.set(whole(5, rows))
    eventually(lambda: scene.version() == 5, what="snapshot applied")
    assert scene.gateway.store.find(rows[7].hash)
    eventually(lambda: scene.hub.states[-1].credentials is not None and scene.hub.states[-1].credentials.version == 5)


def test_a_delta_is_applied_at_once_and_no_snapshot_is_fetched(scene: Scene) -> None:
    rows = [row(number) for number in range(3)]
    scene.set(whole(1, rows))
    eventually(lambda: scene.version() == 1)
    snapshots = scene.gateway.counters["credential_snapshots"]
    digest = moved_digest(scene.current.digest, [rows[0].digest()], [])
    scene.delta(Delta(since=1, version=2, digest=digest, remove=(rows[0].ref,)))
    eventually(lambda: scene.version() == 2)
    assert not scene.gateway.store.find(rows[0].hash)
    assert scene.gateway.counters["credential_snapshots"] == snapshots


def test_a_delta_with_a_hole_or_a_wrong_digest_leads_to_a_snapshot(scene: Scene) -> None:
    scene.set(whole(1, [row(1)]))
    eventually(lambda: scene.version() == 1)
    scene.current = whole(9, [row(2), row(3)])
    scene.delta(Delta(since=7, version=8, digest="0" * 64))
    eventually(lambda: scene.version() == 9, what="snapshot after a hole")
    scene.current = whole(10, [row(4)])
    scene.delta(Delta(since=9, version=10, digest="0" * 64))
    eventually(lambda: scene.version() == 10, what="snapshot after a wrong digest")
    assert scene.gateway.counters["credentials_need_snapshot"] == 2


def test_a_lower_version_is_refused_and_counted(scene: Scene) -> None:
    scene.set(whole(5, [row(1)]))
    eventually(lambda: scene.version() == 5)
    scene.set(whole(4, []))
    eventually(lambda: scene.gateway.counters["credentials_lower_version"] == 1)
    assert scene.version() == 5


def test_a_head_or_a_snapshot_that_the_hub_did_not_sign_changes_nothing(scene: Scene) -> None:
    stranger = make_keys()
    topic = topics.credential_head(GATEWAY)
    scene.hub.publish(topic, stranger.sign(topic, Head(version=3, digest="0" * 64, rows=0)))
    eventually(lambda: scene.gateway.counters["messages_refused"] == 1)
    scene.server.answer = lambda asked: (
        200,
        stranger.sign(topics.credential_snapshot(GATEWAY), whole(4, [row(1)])),
    )
    scene.set(whole(4, [row(1)]))
    eventually(lambda: scene.gateway.counters["snapshot_refused"] >= 1)
    assert scene.version() == 0


def test_a_hub_that_does_not_answer_is_asked_again_with_growing_waits(scene: Scene) -> None:
    good = scene.server.answer
    scene.server.answer = lambda asked: (503, b"")
    scene.set(whole(2, [row(1)]))
    eventually(lambda: scene.gateway.counters["snapshot_unavailable"] >= 1)
    scene.server.answer = good
    eventually(lambda: scene.version() == 2)


@pytest.mark.parametrize("methods", ['["face"]', '["vein","fingerprint"]'])
def test_a_policy_in_which_a_persons_body_is_the_only_way_in_is_refused_and_the_last_one_stays(
    scene: Scene, methods: str
) -> None:
    scene.set(whole(3, [row(1)]))
    eventually(lambda: scene.version() == 3)
    change = Delta(since=3, version=4, digest="0" * 64, rules=Rules(doors=(DoorRule(door="d-east"),)))
    text = change.model_dump_json().replace('["card","pin","qr","plate","face"]', methods)
    assert f'"methods":{methods}' in text

    topic = topics.credential_delta(GATEWAY)
    scene.hub.publish(topic, scene.keys.sign(topic, text))

    eventually(lambda: scene.gateway.counters["messages_refused"] == 1)
    assert scene.version() == 3
