"""Commands over real brokers: executed once, and never one that is old, retained, repeated, unsigned or another's."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from protocols import topics
from protocols.access_events import DoorMode
from protocols.commands import Command, DoorModeSet, FailureCode, Forgive, Lockdown
from tests.support.brokers import RunningBroker
from tests.support.gateways import GATEWAY, Gateway, HubHalf, Keys, Released, eventually, make_keys


@pytest.fixture
def hub(broker: RunningBroker, keys: Keys) -> HubHalf:
    half = HubHalf(broker, keys)
    half.say()
    return half


@pytest.fixture
def gateway(tmp_path: Path, broker: RunningBroker, keys: Keys, hub: HubHalf) -> Gateway:
    made = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    eventually(lambda: made.uplink.status().state == "open")
    return made


@pytest.fixture(autouse=True)
def _closing(gateway: Gateway, hub: HubHalf) -> Iterator[None]:
    yield
    gateway.close()
    hub.close()


def refused(gateway: Gateway, counter: str) -> None:
    eventually(lambda: gateway.counters[counter] == 1, what=f"{counter}: {gateway.counters.snapshot()}")
    assert gateway.releases == []


def send_raw(hub: HubHalf, command: Command, payload: bytes) -> None:
    hub.publish(topics.command(GATEWAY, command.corr), payload)


def test_a_command_is_accepted_then_done(gateway: Gateway, hub: HubHalf) -> None:
    command = hub.command("d-east")
    hub.send(command)
    eventually(lambda: hub.states_of(command.corr) == ["accepted", "done"])
    assert gateway.releases == [("d-east", command.corr)]


def test_the_same_command_again_is_answered_again_and_not_executed_again(gateway: Gateway, hub: HubHalf) -> None:
    command = hub.command()
    hub.send(command)
    eventually(lambda: len(hub.states_of(command.corr)) == 2)
    hub.send(command)
    eventually(lambda: hub.states_of(command.corr) == ["accepted", "done", "done"])
    assert len(gateway.releases) == 1
    assert gateway.counters["commands_repeated"] == 1


def test_a_used_nonce_under_another_corr_is_refused(gateway: Gateway, hub: HubHalf) -> None:
    first = hub.command()
    hub.send(first)
    eventually(lambda: len(gateway.releases) == 1)
    hub.send(hub.command().model_copy(update={"nonce": first.nonce}))
    eventually(lambda: gateway.counters["commands_replayed"] == 1)
    assert len(gateway.releases) == 1


def test_a_door_is_put_into_a_mode_until_a_moment(gateway: Gateway, hub: HubHalf) -> None:
    until = datetime(2031, 5, 1, 6, 0, tzinfo=UTC)
    command = hub.command(args=DoorModeSet(door="d-east", mode=DoorMode.FREE, until=until))
    hub.send(command)
    eventually(lambda: hub.states_of(command.corr) == ["accepted", "done"])
    assert gateway.doors.modes == [("d-east", DoorMode.FREE, until.timestamp(), command.corr)]


def test_who_is_where_is_forgotten_and_an_unknown_area_is_told(gateway: Gateway, hub: HubHalf) -> None:
    command, unknown = hub.command(args=Forgive(area="a-garage")), hub.command(args=Forgive(area="a-unknown"))
    hub.send(command)
    hub.send(unknown)
    eventually(lambda: hub.states_of(command.corr) == ["accepted", "done"])
    eventually(lambda: hub.states_of(unknown.corr) == ["accepted", "failed"])
    assert gateway.doors.forgiven == ["a-garage", "a-unknown"]
    assert hub.replies[-1].code == "unknown_area"


def test_a_lockdown_takes_two_people_to_begin_and_one_to_end(gateway: Gateway, hub: HubHalf) -> None:
    alone, second = hub.command(args=Lockdown(active=True)), str(uuid4())
    same = hub.command(args=Lockdown(active=True))
    same = same.model_copy(update={"args": Lockdown(active=True, confirmed_by=same.issued_by)})
    confirmed = hub.command(args=Lockdown(active=True, confirmed_by=second))
    ended = hub.command(args=Lockdown(active=False))
    for command in (alone, same, confirmed, ended):
        hub.send(command)
    eventually(lambda: hub.states_of(ended.corr) == ["accepted", "done"])

    assert hub.states_of(alone.corr) == hub.states_of(same.corr) == ["accepted", "failed"]
    assert {reply.code for reply in hub.replies if reply.state == "failed"} == {"not_confirmed"}
    assert gateway.doors.lockdowns == [(True, confirmed.corr), (False, ended.corr)]
    assert gateway.counters["lockdowns_not_confirmed"] == 2


def test_a_replayed_lockdown_is_refused(gateway: Gateway, hub: HubHalf) -> None:
    """Word for word it is answered again and nothing else; under another corr its nonce gives it away."""
    command = hub.command(args=Lockdown(active=True, confirmed_by=str(uuid4())))
    hub.send(command)
    ended = hub.command(args=Lockdown(active=False))
    hub.send(ended)
    eventually(lambda: hub.states_of(ended.corr) == ["accepted", "done"])

    hub.send(command)
    corr = uuid4()
    hub.send(command.model_copy(update={"corr": corr, "reply_to": topics.response(GATEWAY, corr)}))

    eventually(lambda: gateway.counters["commands_replayed"] == 1)
    eventually(lambda: gateway.counters["commands_repeated"] == 1)
    assert [active for active, _ in gateway.doors.lockdowns] == [True, False]


def test_an_old_lockdown_is_refused(gateway: Gateway, hub: HubHalf) -> None:
    lockdown = Lockdown(active=True, confirmed_by=str(uuid4()))
    hub.send(hub.command(args=lockdown, lifetime_s=5.0, issued_in_s=-10.0))
    eventually(lambda: gateway.counters["commands_expired"] == 1)
    assert gateway.doors.lockdowns == []


def test_what_the_hub_signed_tells_that_it_is_there_and_what_it_did_not_sign_does_not(
    gateway: Gateway, hub: HubHalf, keys: Keys
) -> None:
    before = gateway.heard
    command = hub.command()
    send_raw(hub, command, make_keys().sign(topics.command(GATEWAY, command.corr), command))
    eventually(lambda: gateway.counters["commands_badly_sealed"] == 1)
    assert gateway.heard == before

    hub.send(hub.command())
    eventually(lambda: gateway.heard == before + 1)


def test_a_strangers_signature_is_refused(gateway: Gateway, hub: HubHalf) -> None:
    command = hub.command()
    send_raw(hub, command, make_keys().sign(topics.command(GATEWAY, command.corr), command))
    refused(gateway, "commands_badly_sealed")


def test_a_command_signed_for_another_gateway_is_refused(gateway: Gateway, hub: HubHalf, keys: Keys) -> None:
    command = hub.command()
    send_raw(hub, command, keys.sign(topics.command("gw-other", command.corr), command))
    refused(gateway, "commands_badly_sealed")


def test_a_command_on_the_topic_of_another_corr_is_refused(gateway: Gateway, hub: HubHalf, keys: Keys) -> None:
    command, other = hub.command(), hub.command()
    send_raw(hub, other, keys.sign(topics.command(GATEWAY, other.corr), command))
    refused(gateway, "commands_misplaced")


def test_an_expired_command_is_answered_expired(gateway: Gateway, hub: HubHalf) -> None:
    command = hub.command(lifetime_s=5.0, issued_in_s=-10.0)
    hub.send(command)
    refused(gateway, "commands_expired")
    eventually(lambda: hub.states_of(command.corr) == ["expired"])


def test_a_command_that_lives_too_long_or_comes_from_the_future_is_refused(gateway: Gateway, hub: HubHalf) -> None:
    hub.send(hub.command(lifetime_s=61.0))
    refused(gateway, "commands_too_long_lived")
    hub.send(hub.command(issued_in_s=35.0))
    refused(gateway, "commands_from_the_future")


def test_a_command_that_wants_its_answer_elsewhere_is_refused(gateway: Gateway, hub: HubHalf) -> None:
    command = hub.command()
    hub.send(command.model_copy(update={"reply_to": topics.response("gw-other", command.corr)}))
    refused(gateway, "commands_misplaced")


def test_malformed_commands_are_refused_and_the_next_one_works(gateway: Gateway, hub: HubHalf, keys: Keys) -> None:
    command = hub.command()
    topic = topics.command(GATEWAY, command.corr)
    for body in ("{}", "[", '{"v":2}', "x" * 200_000, command.model_dump_json().replace("door.release", "door.weld")):
        hub.publish(topic, keys.sign(topic, body))
    eventually(lambda: gateway.counters["messages_refused"] == 5)
    hub.send(command)
    eventually(lambda: hub.states_of(command.corr) == ["accepted", "done"])


def test_a_retained_command_is_never_executed(
    tmp_path: Path, gateway: Gateway, hub: HubHalf, broker: RunningBroker, keys: Keys
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    late = hub.command()
    late = late.model_copy(update={"reply_to": topics.response("gw-other", late.corr)})
    topic = topics.command("gw-other", late.corr)
    hub.publish(topic, keys.sign(topic, late), retain=True)
    comes_later = Gateway(other, keys.identity(broker.access("gw-other"), gateway="gw-other"))
    refused(comes_later, "commands_retained")
    comes_later.close()


def test_nothing_is_executed_twice_over_a_restart(
    tmp_path: Path, gateway: Gateway, hub: HubHalf, broker: RunningBroker, keys: Keys
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    identity = keys.identity(broker.access("gw-other"), gateway="gw-other")
    elsewhere = HubHalf(broker, keys, "gw-other", session=7)
    first = Gateway(other, identity)
    eventually(lambda: first.uplink.status().state == "open")
    command = elsewhere.command()
    elsewhere.send(command)
    eventually(lambda: elsewhere.states_of(command.corr) == ["accepted", "done"])
    first.close()

    second = Gateway(other, identity)
    eventually(lambda: second.uplink.status().state == "open")
    elsewhere.send(command)
    eventually(lambda: elsewhere.states_of(command.corr) == ["accepted", "done", "done"])
    assert second.releases == []
    second.close()
    elsewhere.close()


def test_a_door_that_fails_or_crashes_is_answered_failed(
    tmp_path: Path, gateway: Gateway, hub: HubHalf, broker: RunningBroker, keys: Keys
) -> None:
    def release(door: str, corr: UUID) -> Released:
        if door == "d-broken":
            raise RuntimeError("a secret detail")
        return Released(False, "the reader does not answer", FailureCode.READER_OFFLINE)

    other = tmp_path / "other"
    other.mkdir()
    elsewhere = HubHalf(broker, keys, "gw-other", session=7)
    second = Gateway(other, keys.identity(broker.access("gw-other"), gateway="gw-other"), release=release)
    eventually(lambda: second.uplink.status().state == "open")
    silent, broken = elsewhere.command("d-silent"), elsewhere.command("d-broken")
    elsewhere.send(silent)
    elsewhere.send(broken)
    eventually(lambda: elsewhere.states_of(silent.corr) == ["accepted", "failed"])
    eventually(lambda: elsewhere.states_of(broken.corr) == ["accepted", "failed"])
    reasons = [(reply.code, reply.reason) for reply in elsewhere.replies if reply.state == "failed"]
    assert sorted(reasons) == [
        ("fault", "fault in the gateway: RuntimeError"),
        ("reader_offline", "the reader does not answer"),
    ]
    assert timedelta(0) <= elsewhere.replies[-1].time - elsewhere.replies[0].time
    second.close()
    elsewhere.close()


def test_a_release_that_takes_its_time_holds_up_neither_another_nor_a_lockdown(
    tmp_path: Path, gateway: Gateway, hub: HubHalf, broker: RunningBroker, keys: Keys
) -> None:
    fetched = threading.Event()

    def release(door: str, corr: UUID) -> Released:
        if door == "d-slow":
            assert fetched.wait(30)
        return Released(True, "")

    other = tmp_path / "other"
    other.mkdir()
    elsewhere = HubHalf(broker, keys, "gw-other", session=7)
    second = Gateway(other, keys.identity(broker.access("gw-other"), gateway="gw-other"), release=release)
    eventually(lambda: second.uplink.status().state == "open")
    slow, quick = elsewhere.command("d-slow"), elsewhere.command("d-quick")
    lockdown = elsewhere.command(args=Lockdown(active=True, confirmed_by=str(uuid4())))
    for command in (slow, quick, lockdown):
        elsewhere.send(command)
    eventually(lambda: elsewhere.states_of(quick.corr) == ["accepted", "done"])
    eventually(lambda: elsewhere.states_of(lockdown.corr) == ["accepted", "done"])
    assert elsewhere.states_of(slow.corr) == ["accepted"]
    fetched.set()
    eventually(lambda: elsewhere.states_of(slow.corr) == ["accepted", "done"])
    second.close()
    elsewhere.close()
