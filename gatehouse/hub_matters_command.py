"""`gatehouse hub matters`: list, show and enter what people report. It works whether the hub runs or not.

A matter is handled in the console alone, where it is known who does it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from gatehouse.hub_shell import opened_foundation, print_table, told_faults

if TYPE_CHECKING:
    from cloud.foundation import Foundation
    from cloud.matters.desk import MatterDesk
    from cloud.matters.values import MatterAnswer

_Config = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="GATEHOUSE_HUB_CONFIG", help="The hub's configuration (TOML).")
]
_EXAMPLES = """Examples:

  gatehouse hub matters add repair "the lamp on the stairs is out" --place east-501

  gatehouse hub matters add help "an old man has fallen" --grid 520402-01-003 --ask-reporter

  gatehouse hub matters list --closed

  gatehouse hub matters show 2026-000123
"""

app = typer.Typer(
    help="What residents, grid members and windows report.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_matters(
    context: typer.Context,
    closed: Annotated[bool, typer.Option("--closed", help="Those that are closed instead.")] = False,
    config: _Config = None,
) -> None:
    """List the matters that are not closed, the most urgent first; 200 at most."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts.scope import WHOLE
        from cloud.alarms.queue import read_queue
        from cloud.alarms.states import Source
        from cloud.alarms.values import QueueState

        state = QueueState.CLOSED if closed else QueueState.OPEN
        with foundation.database.read() as connection:
            queue = read_queue(connection, WHOLE, state, source=Source.MATTER)
        lines: list[tuple[str, ...]] = [("NUMBER", "ENTERED", "P", "LEVEL", "STATE", "OVERDUE", "KIND", "PLACE")]
        for row in queue.items:
            entered, urgency = f"{row.raised_at:%Y-%m-%d %H:%M}Z", (str(row.priority), str(row.level))
            state_of = (row.outcome or row.handling, "yes" if row.overdue else "no")
            where = f"{row.community or '-'}, {row.place or '-'}"
            lines.append((row.number or "-", entered, *urgency, *state_of, f"{row.title} {row.title_zh}", where))
        print_table(lines)
        if queue.shelved and not closed:
            typer.echo(f"{queue.shelved} alarms and matters more on the shelf", err=True)


@app.command()
def show(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="For example 2026-000123.")],
    config: _Config = None,
) -> None:
    """Show a matter with all that was done. Who reported it is masked."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts.scope import WHOLE

        _print_matter(_desk(foundation).show(number, WHOLE))


@app.command()
def add(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="dispute, hazard, repair, help, other, or what is configured.")],
    text: Annotated[str, typer.Argument(help="What was reported; 2000 characters at most.")],
    place: Annotated[str | None, typer.Option("--place", help="The place's code in the register.")] = None,
    grid: Annotated[str | None, typer.Option("--grid", help="The grid's code; without it, the place's own.")] = None,
    reported_by: Annotated[str, typer.Option("--by", help="resident, grid_member or window.")] = "window",
    ask_reporter: Annotated[
        bool, typer.Option("--ask-reporter", help="Ask for the name and phone number to call back; both are sealed.")
    ] = False,
    config: _Config = None,
) -> None:
    """Enter a matter and print its number."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts.scope import WHOLE
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now
        from cloud.matters.desk import Enterer
        from cloud.matters.values import MatterRequest

        wanted = MatterRequest.model_validate(
            {
                "kind": kind,
                "text": text,
                "place": _id_of(foundation, "place", place),
                "grid": _id_of(foundation, "grid", grid),
                "reported_by": reported_by,
                "reporter": _asked_reporter() if ask_reporter else None,
            }
        )
        number = _desk(foundation).enter(wanted, Enterer(None, WHOLE, "command line"))
        AuditLog(foundation.database, utc_now).append("matter.enter", None, {"matter": number, "kind": kind})
        typer.echo(number)


def _asked_reporter() -> dict[str, str | None]:
    """Asked for, so that neither stands in the shell's history nor in the list of processes."""
    name = typer.prompt("Name", default="", show_default=False, err=True)
    phone = typer.prompt("Phone number", default="", show_default=False, err=True)
    return {"name": name or None, "phone": phone or None}


def _desk(foundation: "Foundation") -> "MatterDesk":
    from cloud.duty.roster import DutyRoster
    from cloud.foundation import utc_now
    from cloud.matters.desk import MatterDesk
    from cloud.register.ids import IdMaker

    web = foundation.config.web
    roster = DutyRoster(web.notify.zone)
    return MatterDesk(foundation.database, foundation.vault, utc_now, IdMaker(), web.alarms, roster)


def _id_of(foundation: "Foundation", what: str, code: str | None) -> UUID | None:
    """The id of a place or grid by its code."""
    from sqlalchemy import select

    from cloud.database.tables import Grid, Place

    if code is None:
        return None
    table: Any = Place if what == "place" else Grid
    with foundation.database.read() as connection:
        found: UUID | None = connection.execute(select(table.id).where(table.code == code)).scalar()
    if found is None:
        raise ValueError(f"--{what} {code}: there is no {what} of this code in the register")
    return found


def _print_matter(matter: "MatterAnswer") -> None:
    row = matter.alarm.alarm
    typer.echo(f"{matter.number}  {row.title} {row.title_zh}, priority {row.priority}")
    typer.echo(f"where: {row.community or '-'}, {row.place or '-'}, grid {row.grid or '-'}")
    who = matter.reporter
    told = f", {who.name or '-'} {who.phone or '-'}" if who else ""
    typer.echo(f"reported by: {matter.reported_by}{told}; entered by {matter.entered_by or 'the command line'}")
    typer.echo(f"state: {row.outcome or row.handling}, level {row.level}{', overdue' if row.overdue else ''}")
    typer.echo(matter.text)
    lines: list[tuple[str, ...]] = [("AT", "WHO", "WHAT", "NOTE")]
    for step in matter.alarm.steps:
        lines.append((f"{step.at:%Y-%m-%d %H:%M}Z", step.account or "-", step.move, step.note))
    print_table(lines)
