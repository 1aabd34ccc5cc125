"""`gatehouse hub`: run the hub; manage its gateways, credentials, accounts and register."""

import sys
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gatehouse import (
    hub_alarms_command,
    hub_categories_command,
    hub_doors_command,
    hub_duty_command,
    hub_export_command,
    hub_matters_command,
    hub_notify_command,
    hub_person_command,
    hub_register_command,
    hub_relink_command,
)
from gatehouse.hub_shell import (
    ask_to_confirm,
    opened_foundation,
    print_table,
    progress_on_terminal,
    read_settings,
    told_faults,
)

if TYPE_CHECKING:
    from cloud.accounts import Accounts
    from cloud.foundation import Foundation
    from cloud.gateways import GatewayRegister

_EXAMPLES = """Examples:

  gatehouse hub accounts add wang --role administrator

  gatehouse hub --config hub.toml

  gatehouse hub gateways add east-garden

  gatehouse hub import register.xlsx --dry-run
"""

app = typer.Typer(help="The hub: events, register, gateways and the guards' console.", rich_markup_mode=None)
gateways = typer.Typer(help="Add, list, enrol anew and revoke gateways.", no_args_is_help=True, rich_markup_mode=None)
credentials = typer.Typer(help="Revoke credentials.", no_args_is_help=True, rich_markup_mode=None)
accounts = typer.Typer(
    help="Add, bind, list, disable and enable the console's accounts.", no_args_is_help=True, rich_markup_mode=None
)
tokens = typer.Typer(help="Add, list and revoke tokens for programs.", no_args_is_help=True, rich_markup_mode=None)
audit = typer.Typer(help="Check the audit.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(gateways, name="gateways")
app.add_typer(credentials, name="credentials")
accounts.add_typer(tokens, name="tokens")
app.add_typer(accounts, name="accounts")
app.add_typer(audit, name="audit")
app.add_typer(hub_doors_command.app, name="doors")
app.add_typer(hub_alarms_command.alarms, name="alarms")
app.add_typer(hub_matters_command.app, name="matters")
app.add_typer(hub_duty_command.app, name="duty")
app.add_typer(hub_alarms_command.rules, name="rules")
app.add_typer(hub_alarms_command.care, name="care")
app.add_typer(hub_categories_command.app, name="categories")
app.add_typer(hub_person_command.app, name="person")
app.command("export")(hub_export_command.export_register)
app.add_typer(hub_notify_command.app, name="notify")
app.command("seed")(hub_register_command.seed)
app.command("rotate-key")(hub_register_command.rotate_key)
app.command("relink")(hub_relink_command.relink)

_CONFIG_HELP = "The hub's configuration (TOML). GATEHOUSE_HUB_... variables stand above it; without it they do alone."
_Config = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="GATEHOUSE_HUB_CONFIG", help=_CONFIG_HELP, show_envvar=True)
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="Read the password from a file's first line; '-' from stdin.")
]
_Hours = Annotated[float, typer.Option("--hours", min=0.01, max=24 * 30, help="How long the code may be used.")]


_Place = Annotated[str | None, typer.Option("--place", help="Only this place and what lies below it, by its code.")]
_Grid = Annotated[str | None, typer.Option("--grid", help="Only this grid, by its code.")]


class Role(StrEnum):
    """What an account may do (docs/privacy.md)."""

    GUARD = "guard"
    GRID_MEMBER = "grid_member"
    COMMUNITY = "community"
    TOWNSHIP = "township"
    DISTRICT = "district"
    REGISTRAR = "registrar"
    CATEGORY_OFFICER = "category_officer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


@app.callback(invoke_without_command=True, epilog=_EXAMPLES)
def hub(context: typer.Context, config: _Config = None) -> None:
    """Run the hub until SIGTERM (as `run`), or one of the commands below."""
    context.obj = config
    if context.invoked_subcommand is None:
        run(context, config)


@app.command()
def run(context: typer.Context, config: _Config = None) -> None:
    """Run the hub until SIGTERM or Ctrl-C; logs go to stderr.

    It starts its own broker unless one is configured, and opens nothing beyond loopback by default. Exit status: 0
    after a clean stop, 2 for a fault in the configuration, 1 if it cannot start.
    """
    with told_faults():
        settings = read_settings(context, config)
        _log_to_stderr()
        from cloud.hub import run as run_hub

        run_hub(settings, lambda address: typer.echo(f"console: {address}"))


@app.command()
def worker(
    context: typer.Context,
    number: Annotated[int, typer.Option("--number", min=2, max=1000, help="This worker's number, unlike any other's.")],
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port", min=0, max=65535, help="Serve /healthz and /metrics on this port of loopback; 0: any."
        ),
    ] = None,
    config: _Config = None,
) -> None:
    """Run one more ingest worker beside a running hub, until SIGTERM. It needs `ingest.shared` and Mosquitto."""
    with told_faults():
        settings = read_settings(context, config)
        _log_to_stderr()
        from cloud.hub_worker import run_worker

        run_worker(settings, number, metrics_port, typer.echo)


@app.command()
def check(context: typer.Context, config: _Config = None) -> None:
    """Check the configuration without starting or writing anything: every fault with its key and line."""
    with told_faults():
        settings = read_settings(context, config)
        from cloud.hub_broker import describe_broker

        typer.echo(f"state:    {settings.state_dir}")
        typer.echo(f"database: {_without_password(settings.database_url)}")
        typer.echo(f"console:  {settings.http.host}:{settings.http.port}")
        typer.echo(f"broker:   {describe_broker(settings)}")
        typer.echo("no fault")


@app.command()
def migrate(context: typer.Context, config: _Config = None) -> None:
    """Bring the database to this version's tables; `run` does so too."""
    with told_faults(), opened_foundation(context, config):
        typer.echo("the database has this version's tables")


@app.command("import")
def import_file(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A workbook (.xlsx), a CSV file of residents, or a folder of CSV files.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check it.")] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="What a header of the file means: 户主=name. May be given several times."),
    ] = None,
    config: _Config = None,
) -> None:
    """Take a register in: all of it, or nothing and a list of the faults by row. A repeated import changes only what
    differs. `import-template` writes an empty file."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.register.files import column_map
        from cloud.register.importing import import_register, summary

        settings = foundation.config
        report = import_register(
            foundation.database,
            foundation.vault,
            file,
            dry_run,
            progress=progress_on_terminal(),
            columns=column_map(columns or []),
            grid_code=settings.organisation.grid_code,
        )
        if report.imported:
            _audit(foundation, "register.import", file=file.name[:120])
        typer.echo(summary(report), err=not report.ok)
        if not report.ok:
            raise typer.Exit(2)


@app.command("import-template")
def import_template(
    file: Annotated[Path, typer.Argument(help="The workbook to write, for example register.xlsx.")],
) -> None:
    """Write an empty workbook with the sheets and columns that `import` reads, and a page that explains them."""
    with told_faults():
        from cloud.register.template import write_template

        if file.exists():
            raise ValueError(f"{file} is there already; name another file")
        write_template(file)
        typer.echo(f"{file} is written")


@gateways.command("add")
def add_gateway(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Small letters, digits and dashes, for example east-garden.")],
    hours: _Hours = 24.0,
    config: _Config = None,
) -> None:
    """Add a gateway and print its one-time code, which is shown this once.

    On the gateway:  gatehouse edge enroll --hub http://HUB:8080
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        code = _register(foundation).add(name, timedelta(hours=hours))
        _audit(foundation, "gateway.add", gateway=name)
        typer.echo(code.text)
        typer.echo(f"the code of {name}; it can be used once, within {hours:g} hours", err=True)


@gateways.command("code")
def code_for_gateway(context: typer.Context, name: str, hours: _Hours = 24.0, config: _Config = None) -> None:
    """Print a new code, to enrol a gateway anew with other keys. Its older codes end; its keys do when it is used."""
    with told_faults(), opened_foundation(context, config) as foundation:
        code = _register(foundation).new_code(name, timedelta(hours=hours))
        _audit(foundation, "gateway.code", gateway=name)
        typer.echo(code.text)
        typer.echo(f"the new code of {name}; it can be used once, within {hours:g} hours", err=True)


@gateways.command("list")
def list_gateways(context: typer.Context, config: _Config = None) -> None:
    """List the gateways: name, state, presence, key, when enrolled, until when a code may be used."""
    with told_faults(), opened_foundation(context, config) as foundation:
        lines: list[tuple[str, ...]] = [("NAME", "STATE", "PRESENCE", "KEY", "ENROLLED", "CODE UNTIL")]
        for each in _register(foundation).list():
            moments = [
                f"{moment:%Y-%m-%d %H:%M}Z" if moment else "-" for moment in (each.enrolled_at, each.code_expires_at)
            ]
            lines.append((each.id, each.state, each.presence, each.key_id, *moments))
        print_table(lines)


@gateways.command("revoke")
def revoke_gateway(context: typer.Context, name: str, yes: _Yes = False, config: _Config = None) -> None:
    """End a gateway's keys and cut it off, at once. Its doors go on with the credentials that they have."""
    with told_faults(), opened_foundation(context, config) as foundation:
        ask_to_confirm(f"Cut gateway {name} off?", yes)
        _register(foundation).revoke(name)
        _audit(foundation, "gateway.revoke", gateway=name)
        typer.echo(f"gateway {name} is revoked; a running hub cuts it off within a second")


@credentials.command("revoke")
def revoke_credential(
    context: typer.Context,
    card: Annotated[str, typer.Argument(help="w26:FACILITY:NUMBER (w34, w37), or rawBITS:HEX.")],
    yes: _Yes = False,
    config: _Config = None,
) -> None:
    """End a card at every door, at once: within 5 seconds where the gateway is connected."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.foundation import utc_now
        from cloud.register.credentials import find_credential, revoke_credential

        with foundation.database.read() as connection:
            found = find_credential(connection, foundation.vault, card)
        if found is None:
            raise ValueError("nobody holds this card now: it is unknown, or was revoked before")
        ask_to_confirm("Revoke this card?", yes)
        with foundation.database.write() as connection:
            revoke_credential(connection, found, utc_now())
        _audit(foundation, "credential.revoke", credential=str(found))
        typer.echo("the card is revoked")


@accounts.command("add")
def add_account(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Small letters, digits, dot, dash and underscore.")],
    role: Annotated[Role, typer.Option("--role", help="What the account may do.")] = Role.GUARD,
    place: _Place = None,
    grid: _Grid = None,
    password_file: _PasswordFile = None,
    config: _Config = None,
) -> None:
    """Make an account for the console: a role, and the part of the hub that it is for (all of it without --place and
    --grid). The password is asked for twice; there is no default one."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts import Binding
        from cloud.database.tables import AccountRole

        role_of = AccountRole(role.value)
        _accounts(foundation).create_account(name, _password(password_file), role_of, Binding(place, grid))
        typer.echo(f"account {name} ({role.value}, {_bound_to(place, grid)}) is made")


@accounts.command("bind")
def bind_account(
    context: typer.Context,
    name: str,
    role: Annotated[Role, typer.Option("--role", help="What the account may do.")],
    place: _Place = None,
    grid: _Grid = None,
    config: _Config = None,
) -> None:
    """Give an account another role or another part of the hub (all of it without --place and --grid), and end its
    sessions at once."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts import Binding
        from cloud.database.tables import AccountRole

        _accounts(foundation).bind(name, AccountRole(role.value), Binding(place, grid))
        typer.echo(f"account {name} is {role.value}, {_bound_to(place, grid)}")


@accounts.command("list")
def list_accounts(context: typer.Context, config: _Config = None) -> None:
    """List the accounts: name, role, state, open sessions, when made, which part of the hub it is for."""
    with told_faults(), opened_foundation(context, config) as foundation:
        lines: list[tuple[str, ...]] = [("NAME", "ROLE", "STATE", "SESSIONS", "MADE", "FOR")]
        for each in _accounts(foundation).list_accounts():
            state = "disabled" if each.disabled_at else "active"
            made = f"{each.created_at:%Y-%m-%d %H:%M}Z"
            where = _bound_to(each.place, each.grid)
            lines.append((each.username, each.role, state, str(each.sessions), made, where))
        print_table(lines)


@accounts.command("disable")
def disable_account(context: typer.Context, name: str, yes: _Yes = False, config: _Config = None) -> None:
    """Let an account in no more and end its sessions, at once (an open page within seconds). `enable` undoes it."""
    with told_faults(), opened_foundation(context, config) as foundation:
        ask_to_confirm(f"Disable account {name}?", yes)
        _accounts(foundation).disable(name)
        typer.echo(f"account {name} is disabled")


@accounts.command("enable")
def enable_account(context: typer.Context, name: str, config: _Config = None) -> None:
    """Let a disabled account in again, with the password that it had."""
    with told_faults(), opened_foundation(context, config) as foundation:
        _accounts(foundation).enable(name)
        typer.echo(f"account {name} is enabled")


@accounts.command("password")
def change_password(
    context: typer.Context, name: str, password_file: _PasswordFile = None, config: _Config = None
) -> None:
    """Give an account another password, asked for twice, and end its sessions at once (an open page within seconds)."""
    with told_faults(), opened_foundation(context, config) as foundation:
        _accounts(foundation).set_password(name, _password(password_file))
        typer.echo(f"account {name} has a new password")


@accounts.command("second-factor")
def set_second_factor(
    context: typer.Context,
    name: str,
    remove: Annotated[bool, typer.Option("--remove", help="Ask for no codes any more.")] = False,
    yes: _Yes = False,
    config: _Config = None,
) -> None:
    """Set up an authenticator program (TOTP) for an account, anew if there was one, and print its recovery codes.

    Administrators and officers for categories need one, and set it up at their first log-in where there is none yet;
    everybody else may have one.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        accounts = _accounts(foundation)
        if remove:
            ask_to_confirm(f"Take the second factor from account {name}?", yes)
            accounts.remove_second_factor(name)
            typer.echo(f"account {name} has no second factor any more")
            return
        secret, uri = accounts.new_second_factor(name)
        _show_qr_code(uri)
        code = str(typer.prompt("The code that the program shows now"))
        codes = accounts.set_second_factor(name, secret, code)
        typer.echo("recovery codes, each good for one log-in without the program; they are shown this once:")
        typer.echo("\n".join(codes))


@accounts.command("oidc")
def bind_subject(
    context: typer.Context,
    name: str,
    subject: Annotated[str | None, typer.Option("--subject", help="The provider's 'sub' of the person.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let the account in by its password alone.")] = False,
    config: _Config = None,
) -> None:
    """Let a person of the provider of log-ins (OpenID Connect, section web.oidc) log in as an account.

    What the account may do stands here alone; no account is made by itself. Its password goes on working.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now
        from cloud.sign_on.subjects import Subjects

        subjects = Subjects(foundation.database, AuditLog(foundation.database, utc_now), utc_now)
        if remove:
            subjects.unbind(name)
            typer.echo(f"account {name} logs in by its password alone")
            return
        provider = foundation.config.web.oidc
        if provider is None or subject is None:
            raise ValueError(
                "name the person: --subject SUB" if provider else "there is no [web.oidc] in the configuration"
            )
        subjects.bind(name, provider.issuer, subject)
        typer.echo(f"account {name} is {subject} of {provider.issuer}")


@accounts.command("log-out")
def end_sessions(context: typer.Context, name: str, config: _Config = None) -> None:
    """End every session of an account, at once (an open page within seconds)."""
    with told_faults(), opened_foundation(context, config) as foundation:
        _accounts(foundation).end_sessions(name)
        typer.echo(f"account {name} is logged out everywhere")


@accounts.command("sessions")
def list_sessions(
    context: typer.Context,
    name: str,
    end: Annotated[UUID | None, typer.Option("--end", help="End this one at once, by its id.")] = None,
    config: _Config = None,
) -> None:
    """List an account's open sessions: id, since when, last use (to a minute), address, browser; or end one.

    `log-out` ends all of them.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        accounts = _accounts(foundation)
        if end is not None:
            accounts.end_session(name, end)
            typer.echo(f"session {end} is ended")
            return
        lines: list[tuple[str, ...]] = [("SESSION", "SINCE", "LAST USE", "ADDRESS", "BROWSER")]
        for each in accounts.list_sessions(name):
            moments = [f"{moment:%Y-%m-%d %H:%M}Z" for moment in (each.created_at, each.used_at)]
            lines.append((str(each.id), *moments, each.address or "-", each.browser or "-"))
        print_table(lines)


@tokens.command("add")
def add_token(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="The account in whose name the program acts.")],
    name: Annotated[str, typer.Option("--name", help="What the token is for.")],
    may: Annotated[list[str], typer.Option("--may", help="A permission (docs/privacy.md); once for each.")],
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How long it lasts.")] = 90,
    config: _Config = None,
) -> None:
    """Make a token and print it; it is shown this once. A program sends it as `Authorization: Bearer ...`."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts import Permission

        permissions = [Permission(each) for each in may]
        typer.echo(_accounts(foundation).tokens.create(account, name, permissions, timedelta(days=days)))


@tokens.command("list")
def list_tokens(context: typer.Context, config: _Config = None) -> None:
    """List the tokens: id, account, name, what they may, until when, last use (to a minute)."""
    with told_faults(), opened_foundation(context, config) as foundation:
        lines: list[tuple[str, ...]] = [("TOKEN", "ACCOUNT", "NAME", "MAY", "UNTIL", "LAST USE")]
        for each in _accounts(foundation).tokens.list():
            until = "revoked" if each.revoked_at else f"{each.expires_at:%Y-%m-%d %H:%M}Z"
            used = f"{each.last_used_at:%Y-%m-%d %H:%M}Z" if each.last_used_at else "-"
            lines.append((str(each.id), each.username, each.name, " ".join(each.permissions), until, used))
        print_table(lines)


@tokens.command("revoke")
def revoke_token(
    context: typer.Context,
    token: Annotated[UUID, typer.Argument(help="The id that 'list' shows.")],
    config: _Config = None,
) -> None:
    """End a token at once."""
    with told_faults(), opened_foundation(context, config) as foundation:
        _accounts(foundation).tokens.revoke(token)
        typer.echo(f"token {token} is revoked")


@audit.command("verify")
def verify_audit(
    context: typer.Context,
    heads: Annotated[
        Path | None,
        typer.Option("--heads", help="Heads that were kept elsewhere, a line each, as 'audit head' prints."),
    ] = None,
    config: _Config = None,
) -> None:
    """Walk the audit's chain of hashes: how many entries are sound, or the first that is not (exit status 1).

    Entries cut off at the end leave a sound chain: keep heads away from the hub, and check against them.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import read_head, verify_chain

        lines = heads.read_text(encoding="utf-8").splitlines() if heads else []
        kept = [read_head(line, foundation.signer.public_key) for line in lines if line.strip()]
        count, last = verify_chain(foundation.database, kept)
        typer.echo(f"{count} audit entries, each as it was written; the last hash is {last}")


@audit.command("head")
def audit_head(context: typer.Context, config: _Config = None) -> None:
    """Check the audit and print its head, signed by the hub: a line to be kept where this machine cannot change it."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import Head, signed_head, verify_chain
        from cloud.foundation import utc_now

        head = Head(*verify_chain(foundation.database))
        typer.echo(signed_head(head, utc_now(), foundation.signer.sign))


@audit.command("subject")
def audit_subject(
    context: typer.Context,
    person: Annotated[UUID, typer.Argument(help="The person's id in the register.")],
    config: _Config = None,
) -> None:
    """Who saw what of a person beyond the mask, when and what for: what the person may ask to know."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import looks_at

        lines: list[tuple[str, ...]] = [("ENTRY", "TIME", "ACCOUNT", "WHAT", "DETAIL")]
        for each in looks_at(foundation.database, person):
            detail = ", ".join(f"{key}: {value}" for key, value in each.detail.items() if key != "person")
            when = f"{each.time:%Y-%m-%d %H:%M}Z"
            lines.append((str(each.number), when, each.account or "-", each.action, detail))
        print_table(lines)


def _show_qr_code(uri: str) -> None:
    import segno

    segno.make_qr(uri, error="l").terminal(compact=True)
    typer.echo(uri)


def _bound_to(place: str | None, grid: str | None) -> str:
    bound = [f"{kind} {code}" for kind, code in (("place", place), ("grid", grid)) if code]
    return ", ".join(bound) or "the whole hub"


def _password(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
    return text.splitlines()[0] if text else ""


def _register(foundation: "Foundation") -> "GatewayRegister":
    import os

    from cloud.foundation import utc_now
    from cloud.gateways import GatewayRegister

    return GatewayRegister(foundation.database, foundation.vault, utc_now, os.urandom)


def _accounts(foundation: "Foundation") -> "Accounts":
    from cloud.accounts import open_accounts
    from cloud.audit import AuditLog
    from cloud.foundation import utc_now

    return open_accounts(foundation.database, AuditLog(foundation.database, utc_now), foundation.vault, utc_now)


def _audit(foundation: "Foundation", action: str, **detail: str) -> None:
    from cloud.audit import AuditLog
    from cloud.foundation import utc_now

    AuditLog(foundation.database, utc_now).append(action, None, detail)


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
