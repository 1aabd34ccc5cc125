"""`gatehouse hub doors group, schedule, holidays`: which doors are granted together, and when."""

from pathlib import Path
from typing import Annotated

import typer

from gatehouse.hub_doors_shell import (
    Code,
    Config,
    DryRun,
    Json,
    Name,
    Yes,
    changing,
    code_of,
    door_values,
    group,
    interval_texts,
    intervals_of,
    reading,
    show,
    value_of,
)
from gatehouse.hub_shell import ask_to_confirm

groups = group("Doors that are granted together, during a schedule.")
schedules = group("Weeks, in the gateway's own time zone.")
holidays = group("Public holidays and make-up workdays, for schedules that heed them.")


# --- groups and schedules


@groups.command("list")
def list_groups(context: typer.Context, as_json: Json = False, config: Config = None) -> None:
    """List the door groups with their doors and how many credentials have each."""
    from cloud.access.groups import list_groups as found

    columns = {
        "GROUP": lambda each: each.code,
        "NAME": lambda each: each.name,
        "SCHEDULE": lambda each: each.schedule,
        "CREDENTIALS": lambda each: each.credentials,
        "DOORS": lambda each: " ".join(f"{door.gateway}/{door.device}" for door in each.doors),
    }
    with reading(context, config) as (_, connection):
        show(found(connection), as_json, columns)


@groups.command("set")
def set_group(
    context: typer.Context,
    code: Code,
    name: Name,
    schedule: Annotated[str, typer.Option("--schedule", help="When its doors may be opened.")],
    door: Annotated[list[str] | None, typer.Option("--door", help="GATEWAY/DOOR; give it once for each door.")] = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Add a group, or change the one with this code: it then holds exactly these doors."""
    from cloud.access.groups import put_group
    from cloud.access.values.weeks import GroupChange

    with changing(context, config, dry_run) as change:
        doors = door_values(door or [])
        value = value_of(GroupChange, {"name": name, "schedule": schedule, "doors": doors})
        done = put_group(change.connection, code_of(code), value)
        named = " ".join(door or [])
        change.put(f"group {code}", done, "group.put", group=code, schedule=schedule, doors=named)


@groups.command("remove")
def remove_group(
    context: typer.Context, code: Code, yes: Yes = False, dry_run: DryRun = False, config: Config = None
) -> None:
    """Take a group away that no credential ever had."""
    from cloud.access.groups import remove_group as remove

    ask_to_confirm(f"Remove door group {code}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        remove(change.connection, code)
        change.note(f"group {code} is removed", "group.remove", group=code)


@schedules.command("list")
def list_schedules(context: typer.Context, as_json: Json = False, config: Config = None) -> None:
    """List the weeks."""
    from cloud.access.schedules import list_schedules as found

    columns = {
        "SCHEDULE": lambda each: each.code,
        "NAME": lambda each: each.name,
        "HOLIDAYS": lambda each: "heeded" if each.heeds_holidays else "-",
        "INTERVALS": lambda each: interval_texts(each.intervals),
    }
    with reading(context, config) as (_, connection):
        show(found(connection), as_json, columns)


@schedules.command("set")
def set_schedule(
    context: typer.Context,
    code: Code,
    name: Name,
    interval: Annotated[
        list[str] | None,
        typer.Option("--interval", help="'mon-fri 08:00-22:00' or 'holiday 00:00-24:00'; once for each."),
    ] = None,
    holidays_heeded: Annotated[
        bool, typer.Option("--heeds-holidays", help="Holidays have hours of their own, make-up workdays a workday's.")
    ] = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Add a week, or change the one with this code: it then has exactly these intervals."""
    from cloud.access.schedules import put_schedule
    from cloud.access.values.weeks import ScheduleChange

    with changing(context, config, dry_run) as change:
        fields = {"name": name, "heeds_holidays": holidays_heeded, "intervals": intervals_of(interval or [])}
        value = value_of(ScheduleChange, fields)
        done = put_schedule(change.connection, code_of(code), value)
        change.put(f"schedule {code}", done, "schedule.put", schedule=code, week=value.model_dump_json())


@schedules.command("remove")
def remove_schedule(
    context: typer.Context, code: Code, yes: Yes = False, dry_run: DryRun = False, config: Config = None
) -> None:
    """Take a week away that no group and no rule names."""
    from cloud.access.schedules import remove_schedule as remove

    ask_to_confirm(f"Remove schedule {code}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        remove(change.connection, code)
        change.note(f"schedule {code} is removed", "schedule.remove", schedule=code)


# --- holidays


@holidays.command("list")
def list_holidays(
    context: typer.Context,
    year: Annotated[int | None, typer.Option("--year", min=2000, max=2200)] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List the holidays and make-up workdays."""
    from cloud.access.holidays import list_holidays as found
    from protocols.rules import Weekday

    columns = {
        "DAY": lambda each: each.day,
        "COUNTS AS": lambda each: Weekday(each.counts_as).name.lower(),
        "NAME": lambda each: each.name,
    }
    with reading(context, config) as (_, connection):
        show(found(connection, year), as_json, columns)


@holidays.command("import")
def import_holidays(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A CSV file: day,counts_as,name; counts_as is holiday or monday to sunday.")
    ] = None,
    shipped: Annotated[
        str | None, typer.Option("--shipped", help="A calendar that comes along, such as china-2026.")
    ] = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Take a calendar in, all of it or nothing; days that it does not name stay as they are."""
    from cloud.access.holidays import put_holidays, read_calendar, read_shipped
    from cloud.register.change import Change as Put

    with changing(context, config, dry_run) as change:
        if (file is None) == (shipped is None):
            raise ValueError("name a FILE or give --shipped, one of both")
        days = read_shipped(shipped) if shipped else read_calendar(file.read_text("utf-8") if file else "")
        counts = put_holidays(change.connection, days)
        said = ", ".join(f"{count} {each}" for each, count in counts.items())
        change.note(f"holidays: {said}", "holiday.import", added=counts[Put.ADDED], updated=counts[Put.UPDATED])


@holidays.command("remove")
def remove_holiday(
    context: typer.Context, day: str, yes: Yes = False, dry_run: DryRun = False, config: Config = None
) -> None:
    """Make a day (2026-10-01) a day as others."""
    from datetime import date

    from cloud.access.holidays import remove_holiday as remove

    ask_to_confirm(f"Remove {day}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        remove(change.connection, date.fromisoformat(day))
        change.note(f"{day} is a day as others", "holiday.remove", day=day)
