"""The hub as a whole, with real brokers and databases: enrolment, presence, cards, commands, revocation, restart."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import httpx
import pytest
from typer.testing import CliRunner

from cloud.commands import CommandState
from edge.identity import StoredIdentity
from gatehouse.hub_command import app
from protocols import http_auth, topics
from protocols.commands import Command, Reply, ReplyState
from protocols.credentials import CredentialSet, Delta, Head
from protocols.enrolment import decode_key
from protocols.presence import ClockState, GatewayState, HubState, Presence
from protocols.sealing import MacKey, seal_with_mac
from tests.cloud.hub.conftest import RunningHub, hub_state
from tests.support import register as given
from tests.support.gateways import eventually
from tests.support.mqtt import Probe

COMMAND = [sys.executable, "-c", "from gatehouse.hub_command import app; app()"]


def body_of(message: bytes) -> bytes:
    return message.split(b"\n", 1)[1]


def seal(identity: StoredIdentity, topic: str, body: bytes) -> bytes:
    return seal_with_mac(topic, body, MacKey(identity.key_id, decode_key(identity.message_key)))


def born(probe: Probe, identity: StoredIdentity, session: int = 1) -> None:
    topic = topics.state(identity.gateway)
    birth = GatewayState(state=Presence.ONLINE, session=session, version="test", clock=ClockState.SYNCED)
    probe.publish(topic, seal(identity, topic, birth.model_dump_json().encode()), retain=True)


def environment(running: RunningHub) -> dict[str, str]:
    return {
        **os.environ,
        "GATEHOUSE_HUB_STATE_DIR": str(running.config.state_dir),
        "GATEHOUSE_HUB_DATABASE": running.config.database_url,
    }


def command_line(running: RunningHub, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], env=environment(running), capture_output=True, text=True, check=False)


def presence(running: RunningHub, gateway: str) -> str:
    from gatehouse.hub_command import _register

    return next(each.presence for each in _register(running.foundation).list() if each.id == gateway)


def test_a_gateway_enrols_is_seen_and_is_cut_off_by_another_process(running: RunningHub, tmp_path: Path) -> None:
    identity = running.enrol("east", tmp_path / "gateway")
    probe = running.connect(identity)
    state = HubState.model_validate_json(body_of(hub_state(probe)))
    assert (state.state, state.session) == (Presence.ONLINE, 1)
    born(probe, identity)
    eventually(lambda: presence(running, "east") == "online", what="the gateway's presence")
    began = monotonic()
    done = command_line(running, "gateways", "revoke", "east", "--yes")
    assert done.returncode == 0, done.stderr
    probe.wait(lambda: not probe.connected, timeout_s=10.0)
    assert monotonic() - began < 60
    assert running.hub.keys.key("east") is None
    probe.close()


def test_a_card_revoked_by_another_process_reaches_the_gateway_within_five_seconds(
    running: RunningHub, tmp_path: Path
) -> None:
    identity = running.enrol("east", tmp_path / "gateway")
    probe = running.connect(identity)
    assert probe.subscribe("gh/v1/east/down/#")
    with running.foundation.database.write() as connection:
        given.add_doors(connection, "east", {"g-east": ["d1"]})
        person = given.add_person(connection)
    from cloud.register.credentials import CardEntry, find_credential, put_credential, revoke_credential
    from cloud.register.ids import IdMaker

    database, vault, make_id = running.foundation.database, running.foundation.vault, IdMaker()
    with database.write() as connection:
        for number in range(3):
            put_credential(
                connection, vault, make_id, person, CardEntry(f"w26:1:{number}", groups=frozenset({"g-east"}))
            )

    def heads() -> list[Head]:
        return [Head.model_validate_json(body_of(each)) for each in probe.payloads(topics.credential_head("east"))]

    probe.wait(lambda: any(head.rows == 3 for head in heads()))
    moment = running.hub.commands._now()
    with database.write() as connection:
        found = find_credential(connection, vault, "w26:1:1")
        assert found is not None
        revoke_credential(connection, found, moment)
    began = monotonic()
    probe.wait(lambda: heads()[-1].rows == 2, timeout_s=5.0)
    assert monotonic() - began < 5.0
    deltas = [Delta.model_validate_json(body_of(each)) for each in probe.payloads(topics.credential_delta("east"))]
    before = [head for head in heads() if head.rows == 3][-1]  # the doors' rules may be a version after the cards
    assert (deltas[-1].since, deltas[-1].remove) == (before.version, (found,))
    path = "/api/v1/gateway/credentials"
    header = http_auth.authorise("east", decode_key(identity.message_key), "GET", path, b"", int(moment.timestamp()))
    answer = httpx.get(running.url + path, headers={"Authorization": header})
    assert answer.status_code == 200
    assert CredentialSet.model_validate_json(body_of(answer.content)).digest == heads()[-1].digest
    probe.close()


def test_a_command_goes_to_the_gateway_and_its_answer_comes_back(running: RunningHub, tmp_path: Path) -> None:
    identity = running.enrol("east", tmp_path / "gateway")
    probe = running.connect(identity)
    assert probe.subscribe("gh/v1/east/down/#")
    born(probe, identity)
    eventually(lambda: presence(running, "east") == "online", what="the gateway's presence")
    commands = running.hub.commands
    corr = commands.release_door("east", "d1", given.add_account(running.foundation.database))
    command = Command.model_validate_json(body_of(probe.wait_for(topics.command("east", corr))))
    for state in (ReplyState.ACCEPTED, ReplyState.DONE):
        reply = Reply(corr=corr, state=state, time=command.issued)
        probe.publish(command.reply_to, seal(identity, command.reply_to, reply.model_dump_json().encode()))

    def outcome() -> CommandState | None:
        found = commands.outcome(corr)
        return found.state if found else None

    eventually(lambda: outcome() is CommandState.DONE, what="the command's outcome")
    late = running.connect(identity)
    assert late.subscribe("gh/v1/east/down/cmd/+")
    born(late, identity, session=2)
    eventually(lambda: presence(running, "east") == "online", what="the second birth")
    assert late.messages == []  # never retained
    for each in (probe, late):
        each.close()


def test_a_hub_that_stops_says_offline(running: RunningHub, tmp_path: Path) -> None:
    identity = running.enrol("east", tmp_path / "gateway")
    probe = running.connect(identity)
    hub_state(probe)
    running.hub.client.stop()
    probe.wait(lambda: len(probe.payloads(topics.HUB_STATE)) == 2)
    last = HubState.model_validate_json(body_of(probe.payloads(topics.HUB_STATE)[-1]))
    assert (last.state, last.session) == (Presence.OFFLINE, 1)
    probe.close()


def test_the_program_starts_answers_and_stops_on_sigterm_also_after_kill_9(tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "GATEHOUSE_HUB_STATE_DIR": str(tmp_path / "hub"),
        "GATEHOUSE_HUB_HTTP__PORT": "0",
        "GATEHOUSE_HUB_BROKER__PORT": "0",
    }

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([*COMMAND, "run"], env=variables, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("console: http://127.0.0.1:"), line
        return process, line.removeprefix("console: ").strip()

    first, url = start()
    assert httpx.get(f"{url}/healthz").json()["status"] == "ok"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second, url = start()
    assert httpx.get(f"{url}/healthz").json() == {
        "status": "ok",
        "parts": {"database": True, "broker": True, "ingest": True},
    }
    assert "gatehouse_broker_up 1.0" in httpx.get(f"{url}/metrics").text
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=30)
    assert second.returncode == 0
    assert (tmp_path / "hub" / "session").read_text() == "2\n"
    assert not (tmp_path / "hub" / "broker" / "broker.pid").exists()


def test_secrets_of_the_hub_are_private(running: RunningHub) -> None:
    folder = running.config.state_dir
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("vault.key", "signing.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["gateways", "revoke", "nobody", "--yes"], 2, "no gateway 'nobody'"),
        (["gateways", "add", "HUB"], 2, "cannot be a gateway's name"),
        (["credentials", "revoke", "w26:1:1", "--yes"], 2, "nobody holds this card"),
        (["credentials", "revoke", "nonsense", "--yes"], 2, "no card number"),
        (["worker", "--number", "2"], 1, "[ingest] shared is false"),
        (["check", "--config", "missing.toml"], 2, "No such file"),
    ],
)
def test_what_a_user_does_wrong_is_told_in_a_sentence(tmp_path: Path, words: list[str], status: int, text: str) -> None:
    done = CliRunner().invoke(app, words, env={"GATEHOUSE_HUB_STATE_DIR": str(tmp_path / "hub")})
    assert (done.exit_code, text in done.stderr) == (status, True), done.output
    assert "Traceback" not in done.output
