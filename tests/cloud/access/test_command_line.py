"""`gatehouse hub doors`: every operation at the command line, in a state folder of its own or at a running console."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from sqlalchemy import select
from typer.testing import CliRunner

from cloud.access import leases
from cloud.database import tables
from cloud.database.engine import open_database
from cloud.database.tables import AccountRole
from cloud.gateways.purposes import CARD_KEY
from cloud.vault import Vault
from gatehouse.hub_command import app
from protocols.commands import Command, ReplyState
from tests.support.console import ADMINISTRATOR, GUARD, PASSWORD, RunningConsole, utc_now, wait_for
from tests.support.leases import add_tenant

Line = Callable[..., Result]
REGISTER = {
    "places": "code,kind,name,parent\ngarden,community,花园,\ngate,entrance,东门,garden\nb1,building,1栋,garden\n"
    "b1-101,dwelling,101,b1\n",
    "schedules": "code,name,days,from,until\nalways,全天,mon-sun,00:00,24:00\n",
    "doors": "gateway,device,place,name\neast,d-gate,gate,东门\n",
    "door_groups": "code,name,schedule,doors\nresidents,住户,always,east/d-gate\n",
    "residents": "name,dwelling,role,since,card,groups\n张三丰,b1-101,tenant,2020-01-01,w26:12:345,residents\n",
}


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Runs a sub-command of `gatehouse hub`, on a register with one gateway, door and resident."""
    state = tmp_path / "hub"

    def run(*words: str, typed: str = "") -> Result:
        done = CliRunner().invoke(app, words, input=typed, env={"GATEHOUSE_HUB_STATE_DIR": str(state)})
        assert "Traceback" not in done.output
        return done

    folder = tmp_path / "register"
    folder.mkdir()
    for name, content in REGISTER.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    assert run("gateways", "add", "east").exit_code == 0
    assert run("import", str(folder)).exit_code == 0, run("import", str(folder)).output
    enrol(state)
    return run


def enrol(state: Path) -> None:
    vault = Vault((state / "vault.key").read_bytes())
    database = open_database(f"sqlite:///{state / 'hub.db'}")
    with database.write() as connection:
        sealed = vault.seal(b"c" * 32, CARD_KEY)
        connection.execute(tables.Gateway.__table__.update().values(card_key_sealed=sealed))
    database.close()


def audited(state: Path) -> list[str]:
    database = open_database(f"sqlite:///{state / 'hub.db'}")
    with database.read() as connection:
        found = list(connection.execute(select(tables.AuditEntry.action).order_by(tables.AuditEntry.number)).scalars())
    database.close()
    return found


def told(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def good(done: Result) -> str:
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def test_doors_rules_readers_and_areas(line: Line, tmp_path: Path) -> None:
    doors = ("doors",)
    assert "is added" in good(line(*doors, "area", "set", "garage", "--name", "车库", "--anti-passback", "hard"))
    good(line(*doors, "reader", "set", "east/d-gate", "r-in", "--name", "in", "--into", "garage"))
    good(line(*doors, "rule", "set", "east/d-gate", "--method", "card", "--method", "qr", "--free", "always"))
    again = line(*doors, "rule", "set", "east/d-gate", "--method", "card", "--method", "qr", "--free", "always")
    assert "was so already" in good(again)
    [shown] = told(line(*doors, "list", "--json"))
    assert shown == told(line(*doors, "show", "east/d-gate", "--json"))
    assert shown["rule"]["methods"] == ["card", "qr"]
    assert shown["readers"] == [{"device": "r-in", "name": "in", "leads": "into", "area": "garage"}]
    assert "card qr" in good(line(*doors, "list"))
    assert "garage" in good(line(*doors, "show", "east/d-gate"))
    refused = line(*doors, "area", "remove", "garage", "--yes")
    assert (refused.exit_code, "east/r-in leads into" in refused.stderr) == (2, True)
    good(line(*doors, "reader", "remove", "east/d-gate", "r-in", "--yes"))
    good(line(*doors, "area", "remove", "garage", "--yes"))
    good(line(*doors, "rule", "remove", "east/d-gate", "--yes"))
    good(line(*doors, "put", "east/d-back", "--place", "gate", "--name", "后门"))
    good(line(*doors, "remove", "east/d-back", "--yes"))
    assert told(line(*doors, "area", "list", "--json")) == []
    assert [each for each in audited(tmp_path / "hub") if "rule" in each] == ["door.rule.put", "door.rule.remove"]


def test_a_dry_run_changes_nothing_and_a_question_comes_first(line: Line, tmp_path: Path) -> None:
    before = audited(tmp_path / "hub")
    dry = line("doors", "rule", "set", "east/d-gate", "--method", "card", "--dry-run")
    assert (dry.exit_code, "nothing was changed" in dry.stderr) == (0, True)
    assert line("doors", "put", "east/d-new", "--place", "gate", "--name", "新", "--dry-run").exit_code == 0
    assert line("doors", "put", "east/d-old", "--place", "gate", "--name", "旧").exit_code == 0
    assert line("doors", "remove", "east/d-old", typed="n\n").exit_code == 1
    assert [each["device"] for each in told(line("doors", "list", "--json"))] == ["d-gate", "d-old"]
    assert told(line("doors", "show", "east/d-gate", "--json"))["rule"] is None
    assert audited(tmp_path / "hub") == [*before, "door.put"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["rule", "set", "east/d-gate", "--method", "face"],
            "may never be the only way in",
        ),
        (["rule", "set", "east/d-gate", "--method", "card", "--free", "nights"], "there is no schedule 'nights'"),
        (["rule", "set", "east", "--method", "card"], "write GATEWAY/DOOR"),
        (["show", "east/d-none"], "there is no door east/d-none"),
        (["schedule", "set", "x", "--name", "x", "--interval", "sometimes"], "is no interval"),
        (["schedule", "set", "x", "--name", "x", "--interval", "mon 22:00-06:00"], "split one that crosses midnight"),
        (["schedule", "set", "X!", "--name", "x"], "is no code"),
        (["holidays", "import"], "one of both"),
        (["holidays", "import", "--shipped", "china-1999"], "china-2026"),
        (["group", "set", "g", "--name", "g", "--schedule", "always", "--door", "east/d-none"], "no door east/d-none"),
        (["reader", "set", "east/d-gate", "r", "--name", "r", "--into", "a", "--out"], "one way"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(line: Line, words: list[str], said: str) -> None:
    done = line("doors", *words)
    assert (done.exit_code, said in done.stderr) == (2, True), done.output


def test_schedules_groups_and_holidays(line: Line, tmp_path: Path) -> None:
    week = ("--interval", "mon-fri 08:00-22:00", "--interval", "holiday 10:00-20:00", "--heeds-holidays")
    good(line("doors", "schedule", "set", "daytime", "--name", "白天", *week))
    found = next(each for each in told(line("doors", "schedule", "list", "--json")) if each["code"] == "daytime")
    assert (found["heeds_holidays"], len(found["intervals"])) == (True, 6)
    assert "hol 10:00-20:00" in good(line("doors", "schedule", "list"))
    good(line("doors", "group", "set", "staff", "--name", "物业", "--schedule", "daytime", "--door", "east/d-gate"))
    assert [each["code"] for each in told(line("doors", "group", "list", "--json"))] == ["residents", "staff"]
    assert line("doors", "schedule", "remove", "daytime", "--yes").exit_code == 2
    good(line("doors", "group", "remove", "staff", "--yes"))
    good(line("doors", "schedule", "remove", "daytime", "--yes"))
    assert "39 added" in good(line("doors", "holidays", "import", "--shipped", "china-2026", "--dry-run"))
    assert "39 added" in good(line("doors", "holidays", "import", "--shipped", "china-2026"))
    own = tmp_path / "own.csv"
    own.write_text("day,counts_as,name\n2026-10-01,monday,x\n2027-01-01,holiday,元旦\n", encoding="utf-8")
    assert "1 added, 1 updated" in good(line("doors", "holidays", "import", str(own)))
    good(line("doors", "holidays", "remove", "2027-01-01", "--yes"))
    assert len(told(line("doors", "holidays", "list", "--year", "2026", "--json"))) == 39


def test_credentials_passes_and_leases(line: Line, tmp_path: Path) -> None:
    [person] = told(line("doors", "residents", "b1-101", "--json"))
    assert person["name"] == "张*"
    pins = tmp_path / "pins"
    pins.write_text("2580\n0852\n")
    added = good(line("doors", "credential", "add", "贵G12345", "--kind", "plate", "--person", person["id"]))
    plate = re.findall(r"[0-9a-f-]{36}", added)[0]
    card = told(line("doors", "credential", "list", "--person", person["id"], "--json"))[0]
    good(line("doors", "credential", "change", card["id"], "--pin-file", str(pins), "--first"))
    card = told(line("doors", "credential", "list", "--person", person["id"], "--json"))[0]
    assert (card["has_pin"], card["has_duress_pin"], card["first"], card["groups"]) == (True, True, True, ["residents"])
    good(line("doors", "credential", "change", card["id"], "--no-pins"))
    good(line("doors", "credential", "revoke", plate, "--yes"))
    assert len(told(line("doors", "credential", "list", "--person", person["id"], "--json"))) == 1
    make = ("doors", "pass", "make", "--host", person["id"], "--label", "客", "--folder", str(tmp_path))
    guest = good(line(*make, "--kind", "guest", "--hours-long", "12", "--door", "east/d-gate", "--uses", "3"))
    [picture] = tmp_path.glob("pass-*.svg")
    assert str(picture) in guest
    assert picture.read_text().startswith("<svg")
    assert picture.stat().st_mode & 0o777 == 0o600
    courier = line(*make, "--kind", "courier", "--hours-long", "2", "--group", "residents", "--json")
    issued = told(courier)
    assert re.fullmatch(r"[0-9]{6}", issued["code"])
    assert "shown once" in line("doors", "pass", "codes", issued["id"]).stderr
    identifiers = [each["id"] for each in told(line("doors", "pass", "list", "--json"))]
    assert identifiers[0] == issued["id"]
    good(line("doors", "pass", "codes", identifiers[1], "--folder", str(tmp_path)))
    good(line("doors", "pass", "revoke", identifiers[1], "--yes"))
    assert len(told(line("doors", "pass", "list", "--json"))) == 1
    assert len(told(line("doors", "pass", "list", "--all", "--json"))) == 2
    assert told(line("doors", "lease", "list", "--json")) == []
    good(line("doors", "lease", "grace", "--role", "tenant=24", "--role", "family=1.5"))
    assert good(line("doors", "lease", "grace")).split() == ["family=1.5", "tenant=24"]
    assert line("doors", "lease", "grace", "--role", "guest=1").exit_code == 2
    assert "2580" not in (tmp_path / "hub" / "hub.db").read_bytes().decode("latin-1")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["rule", "set"],
        ["group"],
        ["schedule", "set"],
        ["holidays", "import"],
        ["pass", "make"],
        ["lockdown", "ask"],
    ],
)
def test_help_teaches(words: list[str]) -> None:
    done = CliRunner().invoke(app, ["doors", *words, "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


# --- commands, through a running hub


def run_at(console: RunningConsole, *words: str, account: str = GUARD, password: str = PASSWORD) -> Result:
    words = (*words, "--hub", console.url, "--as", account, "--password-file", "-")
    return CliRunner().invoke(app, ("doors", *words), input=f"{password}\n")


class Obedient(Thread):
    """A gateway that does what it is told: answers each command that the console sends, until `stop`."""

    def __init__(self, console: RunningConsole) -> None:
        super().__init__(daemon=True)
        self.console, self.done, self.is_over = console, [], False
        self.done: list[Command]

    def run(self) -> None:
        while not self.is_over:
            with suppress(AssertionError):
                _, message = wait_for(lambda: self.console.sent and self.console.sent.pop(), 0.2)
                self.done.append(Command.model_validate_json(message))
                self.console.answer(UUID(str(self.done[-1].corr)), ReplyState.DONE)

    def stop(self) -> None:
        self.is_over = True
        self.join(5)


def test_doors_are_opened_freed_and_locked_down_in_somebody_s_name(console: RunningConsole) -> None:
    console.accounts.create_account("second", PASSWORD, AccountRole.GUARD)
    gateway = Obedient(console)
    gateway.start()
    try:
        assert "gw-quiet/d-east: done" in good(run_at(console, "release", "gw-quiet/d-east", "--why", "locked out"))
        assert "done" in good(run_at(console, "mode", "gw-quiet/d-east", "free", "--until", "2099-01-01T00:00:00Z"))
        asked = good(run_at(console, "lockdown", "ask", "gw-quiet", "--why", "drill")).strip()
        same = run_at(console, "lockdown", "confirm", asked, "--yes")
        assert (same.exit_code, "another person" in same.stderr) == (1, True)
        assert "gw-quiet: done" in good(run_at(console, "lockdown", "confirm", asked, "--yes", account="second"))
        assert "active" in good(run_at(console, "lockdown", "list"))
        assert told(run_at(console, "lockdown", "end", asked, "--yes", "--json"))["state"] == "ended"
    finally:
        gateway.stop()
    assert [command.action for command in gateway.done] == ["door.release", "door.mode", "lockdown", "lockdown"]


def test_a_lease_is_dealt_with_in_somebody_s_name(console: RunningConsole) -> None:
    residency = add_tenant(console, timedelta(days=2))

    assert "is dealt with" in good(run_at(console, "lease", "dealt-with", residency))

    with console.database.read() as connection:
        [lease] = leases.ending_leases(connection, utc_now(), timedelta(days=7))
    assert (str(lease.residency), lease.dealt_with_by) == (residency, GUARD)
    unknown = run_at(console, "lease", "dealt-with", str(UUID(int=0)))
    assert (unknown.exit_code, "no such lease" in unknown.stderr) == (1, True)


def test_a_refusal_is_told_and_the_exit_status_says_so(console: RunningConsole) -> None:
    unknown = run_at(console, "release", "gw-quiet/d-none")
    assert (unknown.exit_code, "no door gw-quiet/d-none" in unknown.stderr) == (1, True)
    wrong = run_at(console, "release", "gw-quiet/d-east", password="wrong password")
    assert (wrong.exit_code, "refused" in wrong.stderr) == (1, True)
    unready = run_at(console, "release", "gw-quiet/d-east", account=ADMINISTRATOR)
    assert (unready.exit_code, "needs an authenticator first" in unready.stderr) == (1, True)
    console.is_connected = False
    failed = run_at(console, "release", "gw-quiet/d-east")
    assert (failed.exit_code, "failed" in failed.stdout) == (1, True)
    done = CliRunner().invoke(
        app,
        ["doors", "release", "a/b", "--hub", "http://127.0.0.1:9", "--as", "x", "--password-file", "-"],
        input="x\n",
    )
    assert (done.exit_code, "does the hub run there" in done.stderr) == (1, True)
