"""What an administrator does at the command line: accounts and the audit, in a state folder of its own."""

import json
import re
import socket
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cloud.accounts import totp
from cloud.accounts.second_factor import SecondFactors
from gatehouse.hub_command import app
from tests.support.ports import free_port

PASSWORD = "correct horse battery"
Line = Callable[..., Result]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Runs a sub-command of `gatehouse hub`; `typed` is its standard input."""

    def run(*words: str, typed: str = "") -> Result:
        done = CliRunner().invoke(app, words, input=typed, env={"GATEHOUSE_HUB_STATE_DIR": str(tmp_path / "hub")})
        assert "Traceback" not in done.output
        return done

    return run


def add(line: Line, name: str) -> None:
    done = line("accounts", "add", name, "--password-file", "-", typed=f"{PASSWORD}\n")
    assert done.exit_code == 0, done.output


def test_accounts_are_listed_disabled_and_given_another_password(line: Line) -> None:
    add(line, "wang")
    add(line, "li")
    changed = line("accounts", "password", "wang", typed="another battery horse\nanother battery horse\n")
    assert (changed.exit_code, "has a new password" in changed.stdout) == (0, True)
    assert line("accounts", "disable", "li", "--yes").exit_code == 0
    rows = [row.split()[:4] for row in line("accounts", "list").stdout.splitlines()]
    assert rows == [
        ["NAME", "ROLE", "STATE", "SESSIONS"],
        ["li", "guard", "disabled", "0"],
        ["wang", "guard", "active", "0"],
    ]
    assert line("accounts", "enable", "li").exit_code == 0
    assert line("accounts", "bind", "li", "--role", "auditor").exit_code == 0
    assert line("accounts", "list").stdout.splitlines()[1].split()[:3] == ["li", "auditor", "active"]
    refused = line("accounts", "bind", "li", "--role", "township", "--place", "nowhere")
    assert (refused.exit_code, "there is no place 'nowhere'" in refused.output) == (2, True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["accounts", "disable", "nobody", "--yes"], "there is no account 'nobody'"),
        (["accounts", "password", "nobody", "--password-file", "-"], "there is no account 'nobody'"),
    ],
)
def test_an_unknown_account_is_told_in_a_sentence(line: Line, words: list[str], text: str) -> None:
    done = line(*words, typed=f"{PASSWORD}\n")
    assert (done.exit_code, text in done.stderr) == (2, True), done.output


def test_a_worker_whose_metrics_port_is_taken_says_so(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_HUB_INGEST__SHARED", "true")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = line("worker", "--number", "2", "--metrics-port", str(taken.getsockname()[1]))
    assert (done.exit_code, "--metrics-port 127.0.0.1:" in done.stderr) == (1, True), done.output


def test_disabling_asks_first(line: Line) -> None:
    add(line, "wang")
    assert line("accounts", "disable", "wang", typed="n\n").exit_code == 1
    assert "active" in line("accounts", "list").stdout


def test_the_audit_is_verified_and_the_first_broken_entry_named(line: Line, tmp_path: Path) -> None:
    for name in ("wang", "li", "zhao"):
        add(line, name)
    sound = line("audit", "verify")
    assert (sound.exit_code, sound.stdout.startswith("3 audit entries, each as it was written")) == (0, True)
    with sqlite3.connect(tmp_path / "hub" / "hub.db") as database:
        database.execute("DROP TRIGGER audit_entry_append_only_update")
        database.execute("UPDATE audit_entry SET detail = ? WHERE number = 2", (json.dumps({"account": "another"}),))
    database.close()
    broken = line("audit", "verify")
    assert (broken.exit_code, "audit entry 2 was altered" in broken.stderr) == (1, True), broken.output


@pytest.mark.parametrize(
    "words", [["accounts"], ["accounts", "disable"], ["accounts", "password"], ["audit", "verify"]]
)
def test_each_explains_itself(line: Line, words: list[str]) -> None:
    assert "Usage:" in line(*words, "--help").stdout


def test_a_token_is_made_listed_and_revoked(line: Line) -> None:
    add(line, "wang")
    made = line("accounts", "tokens", "add", "wang", "--name", "screen", "--may", "watch", "--may", "look")
    assert (made.exit_code, made.stdout[:4]) == (0, "gth_")
    row = line("accounts", "tokens", "list").stdout.splitlines()[1].split()
    assert (row[1:5], row[-1]) == (["wang", "screen", "look", "watch"], "-"), "used never"
    assert line("accounts", "tokens", "add", "wang", "--name", "x", "--may", "reveal").exit_code == 2
    assert line("accounts", "tokens", "add", "wang", "--name", "x", "--may", "everything").exit_code == 2
    assert line("accounts", "tokens", "revoke", row[0]).exit_code == 0
    assert "revoked" in line("accounts", "tokens", "list").stdout


def test_the_head_of_the_audit_is_kept_and_checked_against(line: Line, tmp_path: Path) -> None:
    add(line, "wang")
    kept = tmp_path / "heads"
    kept.write_text(line("audit", "head").stdout)
    add(line, "li")
    assert line("audit", "verify", "--heads", str(kept)).exit_code == 0
    kept.write_text(kept.read_text().replace('"number": 1', '"number": 2'))
    assert line("audit", "verify", "--heads", str(kept)).exit_code == 1
    assert line("audit", "subject", "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b").stdout.startswith("ENTRY")


def test_a_second_factor_is_set_up_at_the_command_line(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    add(line, "wang")
    monkeypatch.setattr(SecondFactors, "new_secret", lambda _: b"s" * totp.SECRET_BYTES)
    refused = line("accounts", "second-factor", "wang", typed="000000\n")
    assert (refused.exit_code, "does not fit" in refused.output) == (2, True)
    now = totp.code_at(b"s" * totp.SECRET_BYTES, totp.step_at(datetime.now(UTC)))
    done = line("accounts", "second-factor", "wang", typed=f"{now}\n")
    assert done.exit_code == 0, done.output
    assert "otpauth://totp/Gatehouse:wang?secret=" in done.stdout
    assert len(re.findall(r"^[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}$", done.stdout, re.MULTILINE)) == 10
    assert line("accounts", "log-out", "wang").exit_code == 0
    assert line("accounts", "second-factor", "wang", "--remove", "--yes").exit_code == 0
    assert line("accounts", "second-factor", "wang", "--remove", "--yes").exit_code == 2


def test_a_village_is_seeded_once(line: Line) -> None:
    counted = line("seed", "--scale", "district", "--dry-run")
    assert (counted.exit_code, "nothing was made" in counted.stderr) == (0, True), counted.output
    assert "268  village" in counted.stdout
    made = line("seed", "--scale", "village")
    assert (made.exit_code, "240  dwelling" in made.stdout) == (0, True), made.output
    again = line("seed", "--scale", "village")
    assert (again.exit_code, "holds a register" in again.stderr) == (2, True), again.output


def test_the_master_key_is_changed_with_the_hub_stopped(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUSE_HUB_HTTP__PORT", str(free_port()))
    assert line("seed", "--scale", "village").exit_code == 0
    key = tmp_path / "hub" / "vault.key"
    old = key.read_bytes()
    done = line("rotate-key", "--yes")
    assert (done.exit_code, "rows are sealed under the new key" in done.stdout) == (0, True), done.output
    assert key.read_bytes() != old == (tmp_path / "hub" / "vault.key.old").read_bytes()
    assert line("accounts", "list").exit_code == 0
    key.write_bytes(old)
    refused = line("accounts", "list")
    assert (refused.exit_code, "is not the key of this database" in refused.stderr) == (1, True), refused.output


def test_the_master_key_is_not_changed_under_a_running_hub(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("GATEHOUSE_HUB_HTTP__PORT", str(listener.getsockname()[1]))
        done = line("rotate-key", "--yes")
    assert (done.exit_code, "stop the hub" in done.stderr) == (2, True), done.output


def test_a_list_with_headers_of_its_own_is_imported(line: Line, tmp_path: Path) -> None:
    assert line("seed", "--scale", "village").exit_code == 0
    file = tmp_path / "list.csv"
    file.write_text("户主,房号,身份,入住日期\n张伟,520402-01-01-b1-101,业主,2024-01-31\n", encoding="utf-8")
    mapped = ("--map", "户主=name", "--map", "房号=dwelling")
    assert line("import", str(file), "--dry-run").exit_code == 2
    done = line("import", str(file), *mapped)
    assert (done.exit_code, "persons: 1 added" in done.stdout) == (0, True), done.output
    wrong = line("import", str(file), "--map", "户主=民族")
    assert (wrong.exit_code, "there is no column" in wrong.stderr) == (2, True), wrong.output
