"""`gatehouse hub doors residents, credential, pass, lease`: what persons hold, and for how long."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gatehouse.hub_act_command import deal_with_lease
from gatehouse.hub_doors_shell import Config, DryRun, Json, Yes, changing, door_values, group, reading, show, value_of
from gatehouse.hub_shell import ask_to_confirm, told_faults

if TYPE_CHECKING:
    from cloud.access.passes import PassMaker
    from cloud.access.values.passes import QrCode
    from cloud.foundation import Foundation

credentials = group("Cards, PINs and plates of persons.")
passes = group("Passes of guests and helpers (QR codes) and couriers (a one-time code).")
leases = group("Leases that end, and the days of grace.")

Person = Annotated[UUID, typer.Option("--person", help="The id that 'residents' shows.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A door group; once for each.")]
Moment = Annotated[str | None, typer.Option(help="A moment with its zone, such as 2026-05-01T08:00+08:00.")]
PinFile = Annotated[
    Path | None, typer.Option("--pin-file", help="A file whose first line is the PIN, and its second the duress PIN.")
]


def residents(
    context: typer.Context,
    dwelling: Annotated[str, typer.Argument(help="The dwelling's code.")],
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Show who lives in a dwelling, with masked names and the ids that credentials and passes are given to."""
    from cloud.access.people import residents as found
    from cloud.foundation import utc_now

    columns = {
        "PERSON": lambda each: each.id,
        "NAME": lambda each: each.name,
        "ROLE": lambda each: each.role,
        "UNTIL": lambda each: each.until,
    }
    with reading(context, config) as (_, connection):
        show(found(connection, dwelling, utc_now()), as_json, columns)


# --- credentials


@credentials.command("list")
def list_credentials(context: typer.Context, person: Person, as_json: Json = False, config: Config = None) -> None:
    """List what a person holds, without numbers and PINs. ENDS is the lease's end if that is earlier.

    STRENGTH: weak (guessed or read off), fair (copied by who held it), good (card and PIN), signed (a QR code)."""
    from cloud.access.credentials import credentials_of

    columns = {
        "CREDENTIAL": lambda each: each.id,
        "KIND": lambda each: each.kind,
        "NUMBER": lambda each: f"…{each.ends_with}",
        "STRENGTH": lambda each: each.strength,
        "ENDS": lambda each: each.ends_at,
        "PIN": lambda each: "yes" if each.has_pin else "-",
        "GROUPS": lambda each: " ".join(each.groups),
    }
    with reading(context, config) as (foundation, connection):
        show(credentials_of(connection, foundation.vault, person), as_json, columns)


@credentials.command("add")
def add_credential(
    context: typer.Context,
    person: Person,
    number: Annotated[str, typer.Argument(help="The card (w26:12:345), the PIN or the plate (贵G12345); '-' asks.")],
    kind: Annotated[str, typer.Option("--kind", help="card, pin or plate.")] = "card",
    groups: Groups = None,
    since: Moment = None,
    until: Moment = None,
    uses: Annotated[int | None, typer.Option("--uses", help="How often it opens at each gateway.")] = None,
    first: Annotated[bool, typer.Option("--first", help="Counts as a first card.")] = False,
    duress: Annotated[bool, typer.Option("--duress", help="Always raises a silent alarm.")] = False,
    pin_file: PinFile = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Give a person a card, a PIN that opens by itself, or a plate."""
    from cloud.access import credentials as service
    from cloud.access.values.people import NewCredential
    from cloud.register.ids import IdMaker

    given = typer.prompt("Number", hide_input=True) if number == "-" else number
    with changing(context, config, dry_run) as change:
        fields = {"person": person, "number": given, "kind": kind, "groups": groups or [], "since": since}
        fields |= {"until": until, "uses": uses, "first": first, "duress": duress, **_pins(pin_file)}
        made = service.add_credential(
            change.connection, change.foundation.vault, IdMaker(), value_of(NewCredential, fields)
        )
        change.note(f"credential {made} is made", "credential.add", credential=str(made), kind=kind)


@credentials.command("change")
def change_credential(
    context: typer.Context,
    credential: UUID,
    groups: Groups = None,
    since: Moment = None,
    until: Moment = None,
    uses: Annotated[int | None, typer.Option("--uses", help="How often it opens at each gateway.")] = None,
    first: Annotated[bool | None, typer.Option("--first/--not-first", help="Counts as a first card.")] = None,
    pin_file: PinFile = None,
    no_pins: Annotated[bool, typer.Option("--no-pins", help="Take its PINs away.")] = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Change a credential; what is left out stays as it is."""
    from cloud.access import credentials as service
    from cloud.access.values.people import CredentialChange

    with changing(context, config, dry_run) as change:
        vault = change.foundation.vault
        now = service.credential(change.connection, vault, credential)
        fields = now.model_dump(include={"since", "until", "uses", "offline_s", "first", "duress", "groups"})
        given = {"groups": groups, "since": since, "until": until, "uses": uses, "first": first, **_pins(pin_file)}
        fields |= {name: value for name, value in given.items() if value is not None}
        fields |= {"pin": "", "duress_pin": ""} if no_pins else {}
        service.change_credential(change.connection, vault, credential, value_of(CredentialChange, fields))
        named = " ".join(sorted(fields["groups"]))
        change.note(
            f"credential {credential} is changed", "credential.change", credential=str(credential), groups=named
        )


@credentials.command("revoke")
def revoke_credential(
    context: typer.Context, credential: UUID, yes: Yes = False, dry_run: DryRun = False, config: Config = None
) -> None:
    """Revoke a credential at every door, within seconds where the gateway is connected."""
    from cloud.access.credentials import remove_credential
    from cloud.foundation import utc_now

    ask_to_confirm(f"Revoke credential {credential}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        remove_credential(change.connection, credential, utc_now())
        change.note(f"credential {credential} is revoked", "credential.revoke", credential=str(credential))


# --- passes


@passes.command("list")
def list_passes(
    context: typer.Context,
    host: Annotated[UUID | None, typer.Option("--host", help="Only those of this person.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List passes, newest first."""
    from cloud.access.passes import list_passes as found
    from cloud.foundation import utc_now

    columns = {
        "PASS": lambda each: each.id,
        "KIND": lambda each: each.kind,
        "FOR": lambda each: each.label,
        "SINCE": lambda each: each.since,
        "ENDS": lambda each: each.ends_at,
        "USES": lambda each: each.uses,
    }
    with reading(context, config) as (_, connection):
        show(found(connection, host, None if everything else utc_now()), as_json, columns)


@passes.command("make")
def make_pass(
    context: typer.Context,
    kind: Annotated[str, typer.Option("--kind", help="guest, helper or courier.")],
    host: Annotated[UUID, typer.Option("--host", help="The resident who answers for it ('residents' shows the id).")],
    label: Annotated[str, typer.Option("--label", help="Whom or what it is for.")],
    since: Moment = None,
    until: Moment = None,
    hours_long: Annotated[float | None, typer.Option("--hours-long", help="Instead of --until.")] = None,
    days: Annotated[str | None, typer.Option("--days", help="Weekdays, such as mon;thu.")] = None,
    hours: Annotated[str | None, typer.Option("--hours", help="Hours of the day, such as 08:00-18:00.")] = None,
    uses: Annotated[int | None, typer.Option("--uses", help="How often it opens, at each gateway.")] = None,
    offline_hours: Annotated[
        float | None, typer.Option("--offline-hours", help="How long it is taken while the hub is out of reach.")
    ] = None,
    door: Annotated[list[str] | None, typer.Option("--door", help="GATEWAY/DOOR; once for each.")] = None,
    groups: Groups = None,
    folder: Annotated[Path, typer.Option("--folder", help="Where the QR codes are written (SVG).")] = Path(),
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Make a pass. Its QR codes are written as pictures; a courier's code is printed this once."""
    from cloud.access.values.passes import PassRequest
    from cloud.foundation import utc_now
    from cloud.register.cells import weekdays

    with changing(context, config) as change:
        change.said_aside = as_json
        now = utc_now()
        begin = datetime.fromisoformat(since) if since else now
        end = begin + timedelta(hours=hours_long) if hours_long else until
        fields = {
            "kind": kind,
            "host": host,
            "label": label,
            "since": begin,
            "until": end,
            "days": [int(day) for day in weekdays(days, "--days")] if days else (),
            "hours": _hours(hours),
            "uses": uses,
            "offline_s": None if offline_hours is None else int(offline_hours * 3600),
            "doors": door_values(door or []),
            "groups": groups or [],
        }
        issued = _maker(change.foundation).create(change.connection, value_of(PassRequest, fields), None, now)
        change.note(f"pass {issued.id} is made", "pass.make", access_pass=str(issued.id), kind=kind, host=str(host))
    if as_json:
        typer.echo(issued.model_dump_json(indent=2))
        return
    if issued.code:
        typer.echo(f"code: {issued.code}")
    _write_codes(folder, issued.id, issued.qr_codes)


@passes.command("codes")
def issue_codes(
    context: typer.Context,
    identifier: Annotated[UUID, typer.Argument(metavar="PASS")],
    folder: Annotated[Path, typer.Option("--folder", help="Where they are written (SVG).")] = Path(),
    config: Config = None,
) -> None:
    """Issue new QR codes for a pass, whose first run out after 31 days."""
    from cloud.foundation import utc_now

    with changing(context, config) as change:
        codes = _maker(change.foundation).issue(change.connection, identifier, utc_now())
        change.note(f"pass {identifier} has new codes", "pass.issue", access_pass=str(identifier))
    _write_codes(folder, identifier, codes)


@passes.command("revoke")
def revoke_pass(
    context: typer.Context,
    identifier: Annotated[UUID, typer.Argument(metavar="PASS")],
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """End a pass at once."""
    from cloud.access.passes import revoke
    from cloud.foundation import utc_now

    ask_to_confirm(f"Revoke pass {identifier}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        revoke(change.connection, identifier, utc_now())
        change.note(f"pass {identifier} is revoked", "pass.revoke", access_pass=str(identifier))


# --- leases


@leases.command("list")
def list_leases(
    context: typer.Context,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How far ahead.")] = 7,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List the leases that end soon or are in grace, the warnings told (days before), and who dealt with them."""
    from cloud.access.leases import ending_leases
    from cloud.foundation import utc_now

    columns = {
        "LEASE": lambda each: each.residency,
        "UNTIL": lambda each: each.until,
        "ACCESS ENDS": lambda each: each.ends_at,
        "DAYS LEFT": lambda each: each.days_left,
        "DWELLING": lambda each: each.dwelling,
        "NAME": lambda each: each.name,
        "ROLE": lambda each: each.role,
        "WARNED": lambda each: " ".join(map(str, each.warned)),
        "DEALT WITH": lambda each: each.dealt_with_at,
        "BY": lambda each: each.dealt_with_by,
    }
    with reading(context, config) as (_, connection):
        show(ending_leases(connection, utc_now(), timedelta(days=days), grace=True), as_json, columns)


leases.command("dealt-with")(deal_with_lease)


@leases.command("grace")
def set_grace(
    context: typer.Context,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="ROLE=HOURS, such as tenant=24; once for each. None: show them.")
    ] = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Show the hours of grace after a residency's end by role, or replace them all."""
    from cloud.access import leases as service
    from cloud.access.values.leases import GraceChange

    if role is None:
        with reading(context, config) as (_, connection):
            for name, grace_s in service.grace(connection).grace_s.items():
                typer.echo(f"{name}={grace_s / 3600:g}")
        return
    with changing(context, config, dry_run) as change:
        named = {name: int(float(hours or "0") * 3600) for name, _, hours in (each.partition("=") for each in role)}
        service.set_grace(change.connection, value_of(GraceChange, {"grace_s": named}))
        change.note("the grace is set; every gateway is told", "lease.grace", **named)


def _maker(foundation: "Foundation") -> "PassMaker":
    from cloud.access.passes import PassMaker
    from cloud.register.ids import IdMaker

    return PassMaker(foundation.vault, foundation.signer, IdMaker())


def _pins(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    lines = file.read_text("utf-8").split()
    return dict(zip(("pin", "duress_pin"), lines, strict=False))


def _hours(text: str | None) -> tuple[int, int] | None:
    from cloud.register.cells import minute_of_day

    if text is None:
        return None
    since, _, until = text.partition("-")
    return minute_of_day(since, "--hours"), minute_of_day(until, "--hours")


def _write_codes(folder: Path, identifier: UUID, codes: "tuple[QrCode, ...]") -> None:
    """Each QR code as a picture that only its owner reads: whoever has it gets in."""
    with told_faults():
        for code in codes:
            path = folder / f"pass-{identifier}-{code.gateway}.svg"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(code.svg)
            typer.echo(f"{path}: the doors of {code.gateway} until {code.until:%Y-%m-%d %H:%M}Z")
