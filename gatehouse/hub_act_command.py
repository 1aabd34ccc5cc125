"""`gatehouse hub doors release, mode, forgive, lockdown, lease dealt-with`: what a person does now.

These go through the running hub's API in the name of an account, because a command has a person behind it, and a
lockdown two.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from gatehouse.hub_doors_shell import DoorName, Json, Yes, door_key, group
from gatehouse.hub_shell import ask_to_confirm, print_table

if TYPE_CHECKING:
    import httpx

lockdowns = group("Lock every door of gateways: one person asks, another confirms. Ways out stay open.")

Hub = Annotated[str, typer.Option("--hub", envvar="GATEHOUSE_HUB_URL", help="The running hub's address.")]
As = Annotated[str, typer.Option("--as", help="The account in whose name it is done.")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="Read the password from a file's first line; '-' from stdin.")
]
Why = Annotated[str, typer.Option("--why", help="The reason, for the audit.")]
Lockdown = Annotated[str, typer.Argument(metavar="LOCKDOWN", help="The id that 'ask' and 'list' show.")]

_LOCAL = "http://127.0.0.1:8080"
_TOKEN = re.compile(r'name="page-token" content="([0-9a-f]{64})"')
_TIMEOUT_S = 10.0
_OUTCOME_S = 12.0
_ENDED = {"done", "failed", "expired", "no_answer"}


def release(
    door: DoorName,
    account: As,
    why: Why = "",
    password_file: PasswordFile = None,
    hub: Hub = _LOCAL,
    as_json: Json = False,
) -> None:
    """Open a door once, and wait for how it ended. Exit status 1 if it did not open."""
    with _Session.opened(hub, account, password_file) as session:
        key = door_key(door)
        _follow(session, session.post(f"/doors/{key.gateway}/{key.device}/release", {"why": why}), as_json)


def mode(
    door: DoorName,
    mode: Annotated[str, typer.Argument(help="free, locked, or normal: back to the door's rules.")],
    account: As,
    until: Annotated[str | None, typer.Option("--until", help="A moment with its zone; none: until told anew.")] = None,
    why: Why = "",
    password_file: PasswordFile = None,
    hub: Hub = _LOCAL,
    as_json: Json = False,
) -> None:
    """Let a door stand free, lock it, or give it back to its rules. A way out is never blocked."""
    with _Session.opened(hub, account, password_file) as session:
        key = door_key(door)
        body = {"mode": mode, "until": until, "why": why}
        _follow(session, session.post(f"/doors/{key.gateway}/{key.device}/mode", body), as_json)


def forgive(
    area: Annotated[str, typer.Argument(help="The area's code.")],
    account: As,
    why: Why = "",
    password_file: PasswordFile = None,
    hub: Hub = _LOCAL,
    as_json: Json = False,
) -> None:
    """Forget who is in an area, at every gateway with a reader that leads into it."""
    with _Session.opened(hub, account, password_file) as session:
        _follow(session, session.post(f"/areas/{quote(area, safe='')}/forgive", {"why": why}), as_json)


def deal_with_lease(
    lease: Annotated[str, typer.Argument(help="The id that 'lease list' shows.")],
    account: As,
    password_file: PasswordFile = None,
    hub: Hub = _LOCAL,
) -> None:
    """Mark the warnings of a lease that ends as dealt with, in an account's name. The next warning is shown anew."""
    with _Session.opened(hub, account, password_file) as session:
        found = session.get("/api/v1/access/lease-notices")["items"]
        until = next((each["until"] for each in found if each["residency"] == lease), None)
        if until is None:
            raise _Refused("no such lease is about to end or in grace: 'lease list' shows those there are")
        session.post(f"/lease-notices/{quote(lease, safe='')}/dealt-with", {"until": until})
    typer.echo(f"lease {lease} is dealt with")


@lockdowns.command("list")
def list_lockdowns(account: As, password_file: PasswordFile = None, hub: Hub = _LOCAL, as_json: Json = False) -> None:
    """List the newest lockdowns and how they stand."""
    with _Session.opened(hub, account, password_file) as session:
        found = session.get("/api/v1/access/lockdowns")["items"]
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    lines = [("LOCKDOWN", "STATE", "ASKED", "GATEWAYS", "WHY")]
    lines += [
        (each["id"], each["state"], each["asked_at"][:16], " ".join(each["gateways"]), each["why"]) for each in found
    ]
    print_table([tuple(line) for line in lines])


@lockdowns.command("ask")
def ask(
    gateways: Annotated[list[str], typer.Argument(help="The gateways whose doors are to be locked.")],
    account: As,
    why: Why,
    password_file: PasswordFile = None,
    hub: Hub = _LOCAL,
    as_json: Json = False,
) -> None:
    """Ask for a lockdown. Nothing happens until another person confirms it, within five minutes."""
    with _Session.opened(hub, account, password_file) as session:
        asked = session.post("/lockdowns", {"gateways": gateways, "why": why})
    if as_json:
        typer.echo(json.dumps(asked, indent=2, ensure_ascii=False))
    else:
        typer.echo(asked["id"])
        typer.echo(f"another person confirms it by {asked['confirm_until']}: lockdown confirm {asked['id']}", err=True)


@lockdowns.command("confirm")
def confirm(
    identifier: Lockdown,
    account: As,
    yes: Yes = False,
    password_file: PasswordFile = None,
    hub: Hub = _LOCAL,
    as_json: Json = False,
) -> None:
    """Agree to another person's lockdown: the doors are locked at once."""
    with _Session.opened(hub, account, password_file) as session:
        asked = session.get(f"/api/v1/access/lockdowns/{quote(identifier, safe='')}")
        ask_to_confirm(f"Lock every door of {', '.join(asked['gateways'])} ({asked['why']})?", yes)
        _follow(session, session.post(f"/lockdowns/{asked['id']}/confirm", None), as_json)


@lockdowns.command("repeat")
def repeat(
    identifier: Lockdown, account: As, password_file: PasswordFile = None, hub: Hub = _LOCAL, as_json: Json = False
) -> None:
    """Send an active lockdown's commands again, for a gateway that was away."""
    with _Session.opened(hub, account, password_file) as session:
        _follow(session, session.post(f"/lockdowns/{quote(identifier, safe='')}/repeat", None), as_json)


@lockdowns.command("end")
def end(
    identifier: Lockdown,
    account: As,
    yes: Yes = False,
    password_file: PasswordFile = None,
    hub: Hub = _LOCAL,
    as_json: Json = False,
) -> None:
    """End a lockdown, or take one back that waits for its confirmation."""
    with _Session.opened(hub, account, password_file) as session:
        ask_to_confirm(f"End lockdown {identifier}?", yes)
        _follow(session, session.post(f"/lockdowns/{quote(identifier, safe='')}/end", None), as_json)


class _Refused(Exception):
    """What the hub said no to, in a sentence."""


class _Session:
    """A session at the running hub."""

    def __init__(self, client: "httpx.Client") -> None:
        self._client = client

    @classmethod
    @contextmanager
    def opened(cls, hub: str, account: str, password_file: Path | None) -> Iterator["_Session"]:
        """Log in, and out at the end; faults are told in a sentence, exit status 1."""
        import httpx

        try:
            password = _password(password_file)
            with httpx.Client(base_url=hub, timeout=_TIMEOUT_S, headers={"Origin": hub.rstrip("/")}) as client:
                form = {"username": account, "password": password}
                answer = client.post("/login", data=form)
                if answer.headers.get("x-gatehouse-wants") == "code":
                    answer = client.post("/login", data={**form, "code": str(typer.prompt("Code", hide_input=True))})
                if answer.headers.get("x-gatehouse-wants") == "enrolment":
                    raise _Refused("the account needs an authenticator first: log in with a browser to set it up")
                found = _TOKEN.search(client.get("/").text) if answer.status_code == httpx.codes.SEE_OTHER else None
                if found is None:
                    raise _Refused("the log-in was refused: wrong user name or password, or too many tries")
                client.headers["X-Gatehouse-Token"] = found[1]
                try:
                    yield cls(client)
                finally:
                    client.post("/logout", data={"page_token": found[1]})
        except (_Refused, OSError) as fault:
            typer.echo(f"gatehouse hub: {fault}", err=True)
            raise typer.Exit(1) from fault
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            typer.echo(f"gatehouse hub: {hub} cannot be reached: {fault}; does the hub run there?", err=True)
            raise typer.Exit(1) from fault
        except ValueError as fault:
            typer.echo(f"gatehouse hub: {fault}", err=True)
            raise typer.Exit(2) from fault

    def get(self, path: str) -> Any:
        return self._read(self._client.get(path))

    def post(self, path: str, body: dict[str, Any] | None) -> Any:
        return self._read(self._client.post(f"/api/v1/access{path}", json=body))

    def _read(self, answer: "httpx.Response") -> Any:
        if not answer.content:
            return None
        told = answer.json()
        if answer.is_error:
            raise _Refused(str(told.get("detail", answer.status_code)))
        return told


def _follow(session: _Session, answer: Any, as_json: bool) -> None:
    """Wait until each command that was sent has ended, and tell how."""
    ended = [_outcome(session, corr) for corr in answer["commands"]]
    if as_json:
        typer.echo(json.dumps({**answer, "commands": ended}, indent=2, ensure_ascii=False))
    else:
        for each in ended:
            where = "/".join(filter(None, (each["gateway"], each["door"])))
            typer.echo(f"{where}: {each['state']}{' - ' + each['reason'] if each['reason'] else ''}")
        if not ended:
            typer.echo("no gateway was concerned")
    if any(each["state"] != "done" for each in ended):
        raise typer.Exit(1)


def _outcome(session: _Session, corr: str) -> Any:
    deadline_s = time.monotonic() + _OUTCOME_S
    while True:
        told = session.get(f"/api/v1/commands/{corr}")
        if told["state"] in _ENDED or time.monotonic() > deadline_s:
            return told
        time.sleep(0.1)


def _password(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("Password", hide_input=True))
    text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
    return text.splitlines()[0] if text else ""
