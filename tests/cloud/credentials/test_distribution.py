"""What gateways are sent when the register changes, on both databases; a slow reference compiles the set anew."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from cloud.credentials.answers import CredentialAnswers
from cloud.credentials.distribution import Distribution
from cloud.credentials.marks import leave_mark
from cloud.database import tables
from cloud.database.engine import Database
from cloud.gateways.purposes import CARD_KEY
from cloud.register.credentials import revoke_credential
from protocols import cards, topics
from protocols.commands import Ask, Want
from protocols.credentials import CredentialRow, CredentialSet, Delta, Head, total_digest
from tests.support import register as given

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Follower:
    """A gateway that follows the contract: applies deltas, and takes the whole set where it must."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sent: list[tuple[str, dict[str, object], bool]] = []
        self.distribution = Distribution(database, given.vault(), lambda _topic, body: body, self._publish)
        self.answers = CredentialAnswers(database, lambda _topic, body: body, self._publish)

    def _publish(self, topic: str, message: bytes, retained: bool) -> None:
        self.sent.append((topic, json.loads(message), retained))

    def settle(self) -> None:
        """Let the distribution work until nothing is left to do."""
        while self.distribution.round():
            pass
        self.distribution.round()

    def deltas(self, gateway: str) -> list[Delta]:
        return [Delta.model_validate(body) for topic, body, _ in self.sent if topic == topics.credential_delta(gateway)]

    def heads(self, gateway: str) -> list[Head]:
        return [Head.model_validate(body) for topic, body, _ in self.sent if topic == topics.credential_head(gateway)]

    def whole(self, gateway: str) -> CredentialSet:
        body = self.distribution.snapshot(gateway)
        assert body is not None
        return CredentialSet.model_validate_json(body)


def check_digest(whole: CredentialSet) -> None:
    assert whole.digest == total_digest([whole.rules.digest(), *(row.digest() for row in whole.rows)])


@pytest.fixture
def follower(database: Database) -> Follower:
    """Two gateways; a group on each, and one on both."""
    with database.write() as connection:
        given.add_gateway(connection, "east")
        given.add_gateway(connection, "west")
        given.add_doors(connection, "east", {"g-east": ["d1", "d2"]})
        given.add_doors(connection, "west", {"g-west": ["d1"]})
    return Follower(database)


def add(follower: Follower, card_texts: list[str], groups: list[str]) -> list[UUID]:
    with follower.database.write() as connection:
        return list(given.add_credentials(connection, given.add_person(connection), card_texts, groups))


def test_the_first_set_holds_hashes_and_own_doors_alone(follower: Follower) -> None:
    [one] = add(follower, ["w26:12:345"], ["g-east"])
    add(follower, ["w26:12:346"], ["g-west"])
    follower.settle()
    whole = follower.whole("east")
    card = cards.parse_text("w26:12:345")
    assert whole.rows == (CredentialRow(ref=one, hash=cards.keyed_hash(given.CARD_SECRET, card), groups=("g-east",)),)
    assert [(group.id, group.doors) for group in whole.rules.groups] == [("g-east", ("d1", "d2"))]
    assert [schedule.id for schedule in whole.rules.schedules] == ["always"]
    check_digest(whole)
    assert follower.heads("east") == [Head(version=1, digest=whole.digest, rows=1)]
    assert follower.deltas("east") == []
    assert all(retained for topic, _, retained in follower.sent if topic == topics.credential_head("east"))


def test_a_revocation_is_one_small_delta_to_the_gateways_concerned(follower: Follower) -> None:
    [gone, _] = add(follower, ["w26:1:1", "w26:1:2"], ["g-east"])
    follower.settle()
    follower.sent.clear()
    with follower.database.write() as connection:
        revoke_credential(connection, gone, NOW)
    follower.settle()
    whole = follower.whole("east")
    assert [(delta.since, delta.version, delta.remove, delta.upsert) for delta in follower.deltas("east")] == [
        (1, 2, (gone,), ())
    ]
    assert follower.deltas("east")[0].digest == whole.digest
    assert follower.heads("east") == [Head(version=2, digest=whole.digest, rows=1)]
    check_digest(whole)
    assert [topic for topic, _, _ in follower.sent if "/west/" in topic] == []
    assert follower.distribution.counts["compiled"] == 2  # the two of the start: the register was not read again


def test_new_changed_and_moved_credentials_arrive_as_deltas(follower: Follower) -> None:
    [one, two] = add(follower, ["w26:1:1", "w26:1:2"], ["g-east"])
    follower.settle()
    follower.sent.clear()
    [three] = add(follower, ["raw32:0badcafe"], ["g-east", "g-west"])
    with follower.database.write() as connection:
        connection.execute(update(tables.Credential).where(tables.Credential.id == one).values(until=NOW))
        connection.execute(
            update(tables.CredentialGroup)
            .where(tables.CredentialGroup.credential_id == two)
            .values(group_code="g-west")
        )
    follower.settle()
    whole = follower.whole("east")
    check_digest(whole)
    assert {row.ref: row.not_after for row in whole.rows} == {one: NOW, three: None}
    assert {row.ref for row in follower.whole("west").rows} == {two, three}
    assert follower.deltas("east")[-1].digest == whole.digest


@pytest.mark.parametrize("change", ["doors", "schedule", "group removed"])
def test_changed_rules_travel_in_a_delta(follower: Follower, change: str) -> None:
    add(follower, ["w26:1:1"], ["g-east"])
    follower.settle()
    follower.sent.clear()
    with follower.database.write() as connection:
        if change == "doors":
            connection.execute(delete(tables.DoorGroupDoor).where(tables.DoorGroupDoor.group_code == "g-west"))
            given.add_doors(connection, "east", {"g-new": ["d3"]})
        elif change == "schedule":
            connection.execute(update(tables.Schedule).values(intervals=[[0, 480, 1080]]))
        else:
            connection.execute(delete(tables.DoorGroupDoor).where(tables.DoorGroupDoor.group_code == "g-east"))
    follower.settle()
    whole = follower.whole("east")
    check_digest(whole)
    first, *more = follower.deltas("east")
    assert first.rules == whole.rules
    assert [first, *more][-1].digest == whole.digest
    assert bool(more) is (change == "group removed")  # its rows follow the rules
    if change == "group removed":
        assert whole.rows == ()


def test_when_much_changed_only_the_head_is_sent_and_the_log_starts_anew(follower: Follower) -> None:
    add(follower, [f"w26:1:{number}" for number in range(100)], ["g-east"])
    follower.settle()
    add(follower, [f"w26:2:{number}" for number in range(60)], ["g-east"])
    follower.settle()
    assert follower.deltas("east") == []
    assert [head.version for head in follower.heads("east")] == [1, 2]
    assert follower.heads("east")[-1].rows == 160
    check_digest(follower.whole("east"))


def test_a_large_change_of_a_larger_set_is_sent_in_parts_that_each_have_their_digest(follower: Follower) -> None:
    add(follower, [f"w34:1:{number}" for number in range(9000)], ["g-east"])
    follower.settle()
    add(follower, [f"w34:2:{number}" for number in range(850)], ["g-east"])
    follower.settle()
    deltas, whole = follower.deltas("east"), follower.whole("east")
    assert [(delta.since, delta.version, len(delta.upsert)) for delta in deltas] == [
        (1, 2, 400),
        (2, 3, 400),
        (3, 4, 50),
    ]
    assert deltas[-1].digest == whole.digest
    check_digest(whole)
    assert max(len(delta.model_dump_json()) for delta in deltas) < 200_000


def test_an_ask_is_answered_with_the_deltas_that_follow_or_with_the_head(follower: Follower) -> None:
    add(follower, [f"w26:1:{number}" for number in range(40)], ["g-east"])
    follower.settle()
    for number in range(3):
        add(follower, [f"w26:9:{number}"], ["g-east"])
        follower.settle()

    def answer(have: int) -> list[tuple[str, object, bool]]:
        follower.sent.clear()
        follower.answers.on_ask("east", Ask(want=Want.CREDENTIALS, have=have))
        return [(topic.rsplit("/", 1)[1], body["version"], retained) for topic, body, retained in follower.sent]

    assert answer(2) == [("delta", 3, False), ("delta", 4, False), ("cred", 4, False)]
    assert answer(4) == [("cred", 4, False)]
    assert answer(0) == [("cred", 4, False)]
    assert answer(99) == [("cred", 4, False)]
    follower.sent.clear()
    follower.answers.on_ask("unknown", Ask(want=Want.CREDENTIALS, have=0))
    assert follower.sent == []


def test_a_restart_sends_what_changed_while_the_hub_was_down(follower: Follower) -> None:
    [gone] = add(follower, ["w26:1:1"], ["g-east"])
    follower.settle()
    with follower.database.write() as connection:
        revoke_credential(connection, gone, NOW)
        connection.execute(delete(tables.RegisterChange))  # taken by the hub that died
    again = Follower(follower.database)
    again.settle()
    assert [delta.remove for delta in again.deltas("east")] == [(gone,)]


def test_a_reconnection_sends_the_heads_again(follower: Follower) -> None:
    follower.settle()
    follower.sent.clear()
    follower.distribution.connected()
    follower.settle()
    assert sorted(topic for topic, _, _ in follower.sent) == [
        topics.credential_head("east"),
        topics.credential_head("west"),
    ]


def enrol_anew(follower: Follower, gateway: str, card_key: bytes) -> None:
    """What enrolment does to the register."""
    with follower.database.write() as connection:
        sealed = given.vault().seal(card_key, CARD_KEY)
        connection.execute(update(tables.Gateway).where(tables.Gateway.id == gateway).values(card_key_sealed=sealed))
        leave_mark(connection, gateway)


def test_an_enrolment_makes_every_row_of_its_gateway_anew_and_of_no_other(follower: Follower) -> None:
    add(follower, ["w26:1:1"], ["g-east", "g-west"])
    follower.settle()
    before = follower.whole("west")
    enrol_anew(follower, "east", b"n" * 32)
    follower.settle()
    [row] = follower.whole("east").rows
    assert row.hash == cards.keyed_hash(b"n" * 32, cards.parse_text("w26:1:1"))
    check_digest(follower.whole("east"))
    assert follower.whole("west") == before
    assert follower.distribution.counts["compiled"] == 3  # two at the start, one for the enrolment


def test_what_changes_beside_an_enrolment_reaches_every_gateway(follower: Follower) -> None:
    follower.settle()
    for gateway in ("east", "west", "east"):
        enrol_anew(follower, gateway, b"n" * 32)
    add(follower, ["w26:1:1"], ["g-east", "g-west"])
    follower.settle()
    wanted = cards.keyed_hash(b"n" * 32, cards.parse_text("w26:1:1"))
    for gateway in ("east", "west"):
        assert [row.hash for row in follower.whole(gateway).rows] == [wanted]
        check_digest(follower.whole(gateway))
    assert follower.distribution.counts["compiled"] == 4


def test_a_revoked_gateway_is_compiled_no_more(follower: Follower) -> None:
    follower.settle()
    with follower.database.write() as connection:
        connection.execute(update(tables.Gateway).where(tables.Gateway.id == "east").values(revoked_at=NOW))
    follower.sent.clear()
    add(follower, ["w26:1:1"], ["g-east"])
    follower.settle()
    assert [topic for topic, _, _ in follower.sent if "/east/" in topic] == []


def test_a_card_that_was_given_to_another_person_moves_in_one_delta(follower: Follower) -> None:
    [old] = add(follower, ["w26:1:1"], ["g-east"])
    follower.settle()
    with follower.database.write() as connection:
        revoke_credential(connection, old, NOW)
    [new] = add(follower, ["w26:1:1"], ["g-east"])
    follower.settle()
    assert [row.ref for row in follower.whole("east").rows] == [new]
    [delta] = follower.deltas("east")
    assert (delta.remove, [row.ref for row in delta.upsert]) == ((old,), [new])


def test_a_failure_is_tried_again_as_a_whole(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloud.vault import VaultError

    add(follower, ["w26:1:1"], ["g-east"])

    def fails(*_words: object) -> None:
        raise VaultError("another master key")

    with monkeypatch.context() as broken:
        broken.setattr("cloud.credentials.compiler.card_keys", fails)
        with pytest.raises(VaultError):
            follower.settle()
    follower.settle()
    assert len(follower.whole("east").rows) == 1


def test_the_log_of_deltas_is_bounded(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.credentials.sets.KEPT_CHANGES", 3)
    follower.settle()
    for number in range(6):
        add(follower, [f"w26:1:{number}"], ["g-east"])
        follower.settle()
    with follower.database.read() as connection:
        versions = select(tables.CredentialChange.version).where(tables.CredentialChange.gateway_id == "east")
        assert sorted(connection.execute(versions).scalars()) == [5, 6, 7]
