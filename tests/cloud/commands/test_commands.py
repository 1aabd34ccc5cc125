"""A command's way from the hub to its outcome, on both databases; the door's side is tests/edge's."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given as over
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from cloud.audit import AuditError, AuditLog
from cloud.broker import Mirror
from cloud.commands import AuditedOutcomes, CommandOutcome, CommandService, CommandState, HubCode, may_become
from cloud.commands.service import ANSWER_GRACE, LIFETIME
from cloud.commands.states import before
from cloud.database import tables
from cloud.database.engine import Database
from cloud.signing import HubSigner
from protocols import sealing, topics
from protocols.access_events import DoorMode
from protocols.commands import Command, DoorModeSet, DoorRelease, FailureCode, Forgive, Lockdown, Reply, ReplyState
from tests.support import register as given


class Bench:
    """The service with a clock that the test moves and a broker that it can take away."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.time = datetime(2026, 5, 1, tzinfo=UTC)
        self.signer = HubSigner(b"s" * 32)
        self.sent: list[tuple[str, bytes]] = []
        self.told: list[CommandOutcome] = []
        self.connected = True
        self.account = given.add_account(database)
        with database.write() as connection:
            given.add_gateway(connection, "east")
            given.add_gateway(connection, "west", presence="offline")
        self.service = self.another()

    def another(self, ended: Callable[[CommandOutcome], None] = lambda _outcome: None) -> CommandService:
        return CommandService(
            self.database, self.signer.seal, self._send, lambda: self.time, uuid4, os.urandom, self.told.append, ended
        )

    def _send(self, topic: str, message: bytes, _mirror: Mirror) -> bool:
        if self.connected:
            self.sent.append((topic, message))
        return self.connected

    def release(self, gateway: str = "east") -> UUID:
        return self.service.release_door(gateway, "d1", self.account)

    def reply(self, corr: UUID, state: ReplyState, gateway: str = "east", reason: str = "") -> None:
        self.service.answered(gateway, Reply(corr=corr, state=state, time=self.time, reason=reason))

    def code(self, corr: UUID) -> str:
        outcome = self.service.outcome(corr)
        assert outcome is not None
        assert self.told[-1] == outcome
        return outcome.code

    def state(self, corr: UUID) -> tuple[CommandState, str]:
        outcome = self.service.outcome(corr)
        assert outcome is not None
        return outcome.state, outcome.reason


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def test_the_command_is_signed_for_its_topic_short_lived_and_says_who(bench: Bench) -> None:
    corr = bench.release()
    [(topic, message)] = bench.sent

    def verify(key_id: str, signed: bytes, signature: bytes) -> bool:
        Ed25519PublicKey.from_public_bytes(bench.signer.public_key).verify(signature, signed)
        return key_id == bench.signer.key_id

    assert topic == topics.command("east", corr)
    command = Command.model_validate_json(sealing.open_with_signature(topic, message, verify))
    assert (command.corr, command.args.door, command.issued_by) == (corr, "d1", str(bench.account))
    assert (command.issued, command.expires) == (bench.time, bench.time + LIFETIME)
    assert command.reply_to == topics.response("east", corr)
    assert bench.state(corr) == (CommandState.SENT, "")


def test_nonces_and_correlations_never_repeat(bench: Bench) -> None:
    for _ in range(20):
        bench.release()
    bodies = [Command.model_validate_json(message.split(b"\n", 1)[1]) for _, message in bench.sent]
    assert len({body.nonce for body in bodies}) == len({body.corr for body in bodies}) == 20


@pytest.mark.parametrize("end", [ReplyState.DONE, ReplyState.FAILED, ReplyState.EXPIRED])
def test_answers_move_the_state_and_are_told(bench: Bench, end: ReplyState) -> None:
    corr = bench.release()
    bench.reply(corr, ReplyState.ACCEPTED)
    bench.reply(corr, end, reason="as it went")
    assert bench.state(corr) == (CommandState(end.value), "as it went")
    assert [outcome.state for outcome in bench.told] == ["sent", "accepted", end.value]


def test_a_late_or_repeated_answer_changes_nothing(bench: Bench) -> None:
    corr = bench.release()
    bench.reply(corr, ReplyState.DONE)
    for state in ReplyState:
        bench.reply(corr, state, reason="again")
    assert bench.state(corr) == (CommandState.DONE, "")
    assert bench.service.counts["stray"] == len(ReplyState)


def test_another_gateway_s_answer_changes_nothing(bench: Bench) -> None:
    corr = bench.release()
    bench.reply(corr, ReplyState.DONE, gateway="west")
    assert bench.state(corr) == (CommandState.SENT, "")
    assert bench.service.counts["stray"] == 1


def test_no_answer_in_time_is_an_outcome_and_a_late_one_still_says_what_happened(bench: Bench) -> None:
    corr = bench.release()
    bench.time += LIFETIME + ANSWER_GRACE
    bench.service.expire()
    assert bench.state(corr) == (CommandState.SENT, "")
    bench.time += timedelta(milliseconds=1)
    bench.service.expire()
    assert bench.state(corr) == (CommandState.NO_ANSWER, "the gateway did not answer in time")
    assert bench.code(corr) == HubCode.NO_ANSWER
    bench.reply(corr, ReplyState.DONE)
    assert bench.state(corr)[0] is CommandState.DONE
    assert bench.code(corr) == ""
    assert [outcome.state for outcome in bench.told] == ["sent", "no_answer", "done"]


@pytest.mark.parametrize(
    ("gateway", "reason", "code"),
    [
        ("west", "gateway west is offline", HubCode.GATEWAY_OFFLINE),
        ("revoked", "gateway revoked was revoked", HubCode.GATEWAY_REVOKED),
        ("waiting", "gateway waiting is not enrolled", HubCode.GATEWAY_UNKNOWN),
    ],
)
def test_a_gateway_that_cannot_obey_is_sent_nothing(bench: Bench, gateway: str, reason: str, code: HubCode) -> None:
    with bench.database.write() as connection:
        connection.execute(insert(tables.Gateway).values(id="waiting", created_at=bench.time, session=0))
        given.add_gateway(connection, "revoked")
        connection.execute(update(tables.Gateway).where(tables.Gateway.id == "revoked").values(revoked_at=bench.time))
    corr = bench.release(gateway)
    assert bench.state(corr) == (CommandState.FAILED, reason)
    assert bench.code(corr) == code
    assert bench.sent == []


def test_without_a_broker_the_command_fails_at_once(bench: Bench) -> None:
    bench.connected = False
    corr = bench.release()
    assert bench.state(corr) == (CommandState.FAILED, "the hub has no connection to its broker")
    assert bench.code(corr) == HubCode.BROKER_AWAY


@pytest.mark.parametrize("code", [None, FailureCode.READER_OFFLINE, "of_a_newer_gateway"])
def test_a_gateway_s_code_is_kept_as_it_came_and_an_older_one_has_none(bench: Bench, code: str | None) -> None:
    corr = bench.release()
    reply = Reply(corr=corr, state=ReplyState.FAILED, time=bench.time, reason="a sentence", code=code)
    bench.service.answered("east", reply)
    assert bench.state(corr) == (CommandState.FAILED, "a sentence")
    assert bench.code(corr) == (code or "")


def test_a_name_that_no_door_can_have_is_refused_before_anything_is_written(bench: Bench) -> None:
    with pytest.raises(ValueError, match="door"):
        bench.service.release_door("east", "../d1", bench.account)
    assert bench.told == []


def test_an_answer_that_another_process_took_is_told_here(bench: Bench) -> None:
    corr = bench.release()
    other = bench.another()
    bench.told.clear()
    other.answered("east", Reply(corr=corr, state=ReplyState.DONE, time=bench.time))
    bench.told.clear()
    bench.service.see_others()
    bench.service.see_others()
    assert [(outcome.corr, outcome.state) for outcome in bench.told] == [(corr, CommandState.DONE)]


def test_the_watch_gives_up_by_itself(bench: Bench) -> None:
    from tests.support.gateways import eventually

    corr = bench.release()
    bench.time += LIFETIME + ANSWER_GRACE + timedelta(seconds=1)
    bench.service.start()
    try:
        eventually(lambda: bench.state(corr)[0] is CommandState.NO_ANSWER, what="the outcome no_answer")
    finally:
        bench.service.stop()


@over(st.sampled_from(CommandState), st.sampled_from(CommandState))
def test_no_state_comes_back(now: CommandState, then: CommandState) -> None:
    assert not (may_become(now, then) and may_become(then, now))
    assert (now in before(then)) == may_become(now, then)
    assert not may_become(now, CommandState.SENT)


# --- commands beside a release, and the audit


def new_program(bench: Bench, gateway: str = "east") -> None:
    with bench.database.write() as connection:
        reported = {"policy_format": 2}
        connection.execute(update(tables.Gateway).where(tables.Gateway.id == gateway).values(reported=reported))


@pytest.mark.parametrize(
    ("args", "action", "door"),
    [
        (DoorModeSet(door="d1", mode=DoorMode.FREE, until=datetime(2026, 5, 2, tzinfo=UTC)), "door.mode", "d1"),
        (Lockdown(active=True, confirmed_by=str(uuid4())), "lockdown", ""),
        (Lockdown(active=False), "lockdown", ""),
        (Forgive(area="garage"), "antipassback.forgive", ""),
        (DoorRelease(door="d1"), "door.release", "d1"),
    ],
)
def test_every_action_travels_with_its_arguments_and_is_kept_with_the_reason_given(
    bench: Bench, args: DoorModeSet | Lockdown | Forgive | DoorRelease, action: str, door: str
) -> None:
    new_program(bench)
    corr = bench.service.send("east", args, bench.account, "because")
    [(topic, message)] = bench.sent
    assert topic == topics.command("east", corr)
    command = Command.model_validate_json(message.partition(b"\n")[2])
    assert (command.action, command.args, command.issued_by) == (action, args, str(bench.account))
    with bench.database.read() as connection:
        row = connection.execute(select(tables.CommandRecord.__table__)).one()
    assert (row.action, row.door, row.args, row.why) == (action, door, args.model_dump(mode="json"), "because")
    outcome = bench.service.outcome(corr)
    assert outcome is not None
    assert (outcome.action, outcome.account_id) == (action, bench.account)


def test_a_gateway_that_knows_releases_alone_is_sent_nothing_else(bench: Bench) -> None:
    corr = bench.service.send("east", Forgive(), bench.account)
    assert bench.sent == []
    assert bench.state(corr)[0] is CommandState.FAILED
    assert bench.code(corr) == HubCode.GATEWAY_TOO_OLD


def test_every_end_is_audited_once_with_who_and_how(bench: Bench) -> None:
    audit = AuditLog(bench.database, lambda: bench.time)
    recorder = AuditedOutcomes(audit)
    one, other = bench.another(ended=recorder), bench.another(ended=recorder)
    done, late = (one.release_door("east", "d1", bench.account, "why") for _ in range(2))
    refused = one.release_door("west", "d1", bench.account)
    other.answered("east", Reply(corr=done, state=ReplyState.ACCEPTED, time=bench.time))
    other.answered("east", Reply(corr=done, state=ReplyState.DONE, time=bench.time))
    other.answered("east", Reply(corr=done, state=ReplyState.DONE, time=bench.time))
    one.see_others()
    bench.time += LIFETIME + ANSWER_GRACE + timedelta(seconds=1)
    one.expire()
    other.expire()
    with bench.database.read() as connection:
        rows = connection.execute(select(tables.AuditEntry.__table__).order_by(tables.AuditEntry.number)).all()
    assert [(row.action, row.account_id) for row in rows] == [("door.release.outcome", bench.account)] * 3
    assert [(row.detail["corr"], row.detail["state"], row.detail["code"]) for row in rows] == [
        (str(refused), "failed", "gateway_offline"),
        (str(done), "done", ""),
        (str(late), "no_answer", "no_answer"),
    ]


def test_an_outcome_that_the_audit_does_not_take_has_happened_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_words: object) -> None:
        raise AuditError("full")

    audit = AuditLog(bench.database, lambda: bench.time)
    monkeypatch.setattr(audit, "append", fails)
    recorder = AuditedOutcomes(audit)
    service = bench.another(ended=recorder)
    corr = service.release_door("west", "d1", bench.account)
    assert bench.state(corr)[0] is CommandState.FAILED
    assert recorder.failures == 1
