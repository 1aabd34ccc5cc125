"""`gatehouse hub duty`: who is on duty, rosters from a file, gaps of the days to come. It works whether the hub runs
or not; handovers are made in the console alone, where it is known who makes them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gatehouse.hub_shell import opened_foundation, print_table, told_faults

if TYPE_CHECKING:
    from cloud.duty.values import CentreRow
    from cloud.foundation import Foundation

_Config = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="GATEHOUSE_HUB_CONFIG", help="The hub's configuration (TOML).")
]
_LEVELS = ("guard post", "community", "township", "district")
_EXAMPLES = """Examples:

  gatehouse hub duty template rosters.xlsx

  gatehouse hub duty import rosters.xlsx --dry-run

  gatehouse hub duty check --days 30

  gatehouse hub duty show --at 2026-12-24T22:00+08:00
"""

app = typer.Typer(
    help="Who is on duty: centres, rosters, gaps.", epilog=_EXAMPLES, no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def show(
    context: typer.Context,
    at: Annotated[str | None, typer.Option("--at", help="A moment such as 2026-12-24T22:00+08:00; else now.")] = None,
    config: _Config = None,
) -> None:
    """Show every centre and guard post, and who is on duty there."""
    with told_faults(), opened_foundation(context, config) as foundation:
        zone = foundation.config.web.notify.zone
        lines: list[tuple[str, ...]] = [("LEVEL", "PLACE", "CENTRE", "ON DUTY", "SHIFT", "UNTIL")]
        for row in _centres(foundation, _moment(at)):
            where = (_LEVELS[row.level], row.place_name, row.name)
            if not row.on_duty:
                lines.append((*where, "NOBODY" if row.nobody_on_duty else "everybody (no roster)", "-", "-"))
            for each in row.on_duty:
                who = f"{each.account} ({', '.join(each.functions)})" if each.functions else each.account
                lines.append((*where, who, each.shift, f"{each.until.astimezone(zone):%Y-%m-%d %H:%M}"))
        print_table(lines)


@app.command()
def check(
    context: typer.Context,
    days: Annotated[int, typer.Option("--days", min=1, max=92, help="How far ahead.")] = 14,
    config: _Config = None,
) -> None:
    """Print when nobody is on duty although there is a roster, and which centres have none. Status 1 if there are gaps.

    Who has a disabled account counts as nobody.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts.scope import WHOLE
        from cloud.duty.reading import read_gaps

        zone, now = foundation.config.web.notify.zone, _moment(None)
        lines: list[tuple[str, ...]] = [("CENTRE", "SINCE", "UNTIL", "HOURS")]
        without = 0
        for row in _centres(foundation, now):
            without += not row.has_roster
            with foundation.database.read() as connection:
                found = read_gaps(connection, WHOLE, row.id, now, now + timedelta(days=days), zone)
            for gap in found:
                since, until = (f"{each.astimezone(zone):%Y-%m-%d %H:%M}" for each in (gap.since, gap.until))
                lines.append((row.name, since, until, f"{(gap.until - gap.since) / timedelta(hours=1):g}"))
        if without:
            typer.echo(f"{without} centres have no roster now: everybody of their level is told", err=True)
        if len(lines) == 1:
            typer.echo(f"no gaps within {days} days")
            return
        print_table(lines)
        raise typer.Exit(1)


@app.command("import")
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A workbook (.xlsx), a CSV file of rosters, or a folder of CSV files.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check it.")] = False,
    config: _Config = None,
) -> None:
    """Take centres, posts, rosters and swaps in: all of it, or nothing and a list of the faults by row."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.duty.importing import import_duty
        from cloud.foundation import utc_now
        from cloud.register.ids import IdMaker
        from cloud.register.importing import summary

        report = import_duty(foundation.database, file, utc_now(), IdMaker(), dry_run=dry_run)
        if report.imported:
            _audit(foundation, "duty.import", file=file.name[:120])
        typer.echo(summary(report), err=not report.ok)
        if not report.ok:
            raise typer.Exit(2)


@app.command()
def template(
    file: Annotated[Path, typer.Argument(help="The workbook to write, for example rosters.xlsx.")],
) -> None:
    """Write an empty workbook with the sheets and columns that `import` reads, and a page that explains them."""
    with told_faults():
        from cloud.duty.importing import SHEETS
        from cloud.register.template import write_template

        if file.exists():
            raise ValueError(f"{file} is there already; name another file")
        write_template(file, SHEETS)
        typer.echo(f"{file} is written")


@app.command()
def bind(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="The account's user name.")],
    person: Annotated[UUID | None, typer.Argument(help="The person's id in the register.")] = None,
    unbind: Annotated[bool, typer.Option("--unbind", help="The account is nobody's of the register any more.")] = False,
    config: _Config = None,
) -> None:
    """Say which person of the register has an account: as the head of a unit, he is told by it when somebody there
    should be visited."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.duty.desk import bind_person
        from cloud.register.ids import IdMaker

        if (person is None) is not unbind:
            raise ValueError("name a person, or write --unbind")
        with foundation.database.write() as connection:
            bind_person(connection, IdMaker(), account, person)
        _audit(foundation, "duty.bind", username=account, person=str(person or ""))
        typer.echo(f"{account} is nobody's any more" if person is None else f"{account} is that person's")


def _centres(foundation: "Foundation", at: datetime) -> "list[CentreRow]":
    from cloud.accounts.scope import WHOLE
    from cloud.duty.reading import read_centres

    with foundation.database.read() as connection:
        return read_centres(connection, WHOLE, at, foundation.config.web.notify.zone)


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--at {text[:40]!r} is no moment: write 2026-12-24T22:00+08:00") from error
    if moment.tzinfo is None or not 2000 <= moment.year < 2999:
        raise ValueError(f"--at {text[:40]!r}: write it with its zone, such as 2026-12-24T22:00+08:00")
    return moment


def _audit(foundation: "Foundation", action: str, **detail: str) -> None:
    from cloud.audit import AuditLog
    from cloud.foundation import utc_now

    AuditLog(foundation.database, utc_now).append(action, None, detail)
