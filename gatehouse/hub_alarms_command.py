"""`gatehouse hub alarms`, `rules` and `care`: look at alarms and figures; show, try and write rules; agreements.

They work on the hub's database, whether the hub runs or not. Alarms are handled in the console alone, where it is known
who does it.
"""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from gatehouse.hub_shell import opened_foundation, print_table, told_faults

if TYPE_CHECKING:
    from cloud.rules.replay import Replay

_Config = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="GATEHOUSE_HUB_CONFIG", help="The hub's configuration (TOML).")
]
_Since = Annotated[str, typer.Option("--since", help="How far back: 30d, 12h or 90m.")]
_Code = Annotated[str, typer.Argument(metavar="RULE", help="A rule's code, for example door_held.")]
_SPAN = re.compile(r"([1-9][0-9]{0,4})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_LONGEST_DAYS = 400
_MAX_LINES = 200

alarms = typer.Typer(help="Look at the alarms and their figures.", no_args_is_help=True, rich_markup_mode=None)
rules = typer.Typer(
    help="The rules that raise alarms: list, show, try, write.", no_args_is_help=True, rich_markup_mode=None
)
care = typer.Typer(
    help="Agreements of people who live alone to be looked after.", no_args_is_help=True, rich_markup_mode=None
)


@alarms.command("list")
def list_alarms(
    context: typer.Context,
    shelved: Annotated[bool, typer.Option("--shelved", help="Those on the shelf instead.")] = False,
    config: _Config = None,
) -> None:
    """List the alarms that are not closed, the most urgent first."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts.scope import WHOLE
        from cloud.alarms.queue import read_queue
        from cloud.alarms.values import QueueState

        with foundation.database.read() as connection:
            queue = read_queue(connection, WHOLE, QueueState.SHELVED if shelved else QueueState.OPEN)
        lines: list[tuple[str, ...]] = [("RAISED", "P", "LEVEL", "STATE", "CONDITION", "RULE", "PLACE", "TIMES")]
        for row in queue.items:
            where = f"{row.community or '-'}, {row.place or '-'}"
            numbers = f"{row.raised_at:%Y-%m-%d %H:%M}Z", str(row.priority), str(row.level)
            lines.append((*numbers, row.handling, row.condition, row.rule, where, str(row.times)))
        print_table(lines)
        if queue.shelved and not shelved:
            typer.echo(f"{queue.shelved} more on the shelf: --shelved", err=True)


@alarms.command()
def health(context: typer.Context, since: _Since = "30d", config: _Config = None) -> None:
    """Say how the alarms load those who handle them, and which sources make most of them. As JSON."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts.scope import WHOLE
        from cloud.alarms.figures import check_whole, health_report
        from cloud.foundation import utc_now

        now = utc_now()
        begins = now - _span(since)
        check_whole("--since", begins, now, foundation.config.web.retention.figures)
        with foundation.database.read() as connection:
            report = health_report(connection, WHOLE, begins, now)
        typer.echo(report.model_dump_json(indent=2))


@alarms.command()
def figures(
    context: typer.Context,
    month: Annotated[str, typer.Argument(help="A calendar month in China, for example 2026-11.")],
    file: Annotated[Path | None, typer.Option("--csv", help="Write a file for a spreadsheet instead of JSON.")] = None,
    config: _Config = None,
) -> None:
    """Print each centre's month, alarms and matters apart: how many, how soon, overdue, false, where settled."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from pydantic import TypeAdapter

        from cloud.accounts.scope import WHOLE
        from cloud.alarms.figures import check_whole
        from cloud.alarms.monthly import Month, MonthlyFigures, as_csv, month_bounds, monthly_figures
        from cloud.foundation import utc_now

        asked: str = TypeAdapter(Month).validate_python(month)
        check_whole("MONTH", month_bounds(asked)[0], utc_now(), foundation.config.web.retention.figures)
        with foundation.database.read() as connection:
            found = monthly_figures(connection, WHOLE, asked)
        if file is None:
            typer.echo(TypeAdapter(list[MonthlyFigures]).dump_json(list(found), indent=2).decode())
            return
        with file.open("w", encoding="utf-8", newline="") as written:
            written.write(as_csv(found))
        typer.echo(f"{len(found)} lines are in {file}", err=True)


@rules.command("list")
def list_rules(context: typer.Context, config: _Config = None) -> None:
    """List the rules: code, version, priority, delays, whether in force."""
    with told_faults(), opened_foundation(context, config) as foundation:
        lines: list[tuple[str, ...]] = [("RULE", "VERSION", "P", "DELAY ON/OFF", "IN FORCE", "TITLE")]
        for written in _rules(foundation):
            rule = written.rule
            delays = f"{rule.on_delay_s:g}/{rule.off_delay_s:g} s"
            numbers = str(written.version), str(int(rule.priority)), delays
            lines.append((rule.code, *numbers, "yes" if rule.enabled else "no", f"{rule.title} {rule.title_zh}"))
        print_table(lines)


@rules.command()
def show(context: typer.Context, code: _Code, config: _Config = None) -> None:
    """Print a rule as `write` takes it (JSON), and on stderr who wrote which version when."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.rules.book import find_rule, versions

        _rules(foundation)
        with foundation.database.read() as connection:
            found = find_rule(connection, code)
            history = versions(connection, code)
        typer.echo(found.rule.model_dump_json(indent=2))
        for written in history:
            author = written.account_id or "shipped, or at the command line"
            typer.echo(f"version {written.version}: {written.written_at:%Y-%m-%d %H:%M}Z, {author}", err=True)


@rules.command("test")
def try_rule(
    context: typer.Context,
    code: _Code,
    since: _Since = "30d",
    file: Annotated[
        Path | None, typer.Option("--file", help="Try this text (JSON) of the rule, which is not written.")
    ] = None,
    config: _Config = None,
) -> None:
    """Say what a rule would have raised on past events, without raising anything.

    Nobody is there to close an alarm, so one counts as closed as soon as its cause is over.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.foundation import utc_now
        from cloud.rules.book import find_rule
        from cloud.rules.replay import replay

        _rules(foundation)
        with foundation.database.read() as connection:
            written = find_rule(connection, code)
        if file is not None:
            written = written.model_copy(update={"rule": _read_rule(file, code)})
        now = utc_now()
        _print_replay(replay(foundation.database, written, now - _span(since), now))


@rules.command()
def write(
    context: typer.Context,
    code: _Code,
    file: Annotated[Path, typer.Argument(help="The rule (JSON), as `show` prints it.")],
    config: _Config = None,
) -> None:
    """Write a new version of a rule, in force at once. Try it first with `test --file`."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now
        from cloud.rules.book import write_rule

        rule = _read_rule(file, code)
        _rules(foundation)
        with foundation.database.write() as connection:
            version = write_rule(connection, rule, None, utc_now())
        AuditLog(foundation.database, utc_now).append("rule.write", None, {"rule": code, "version": version})
        typer.echo(f"version {version} of rule {code} is in force")


@care.command("add")
def add_agreement(
    context: typer.Context,
    person: Annotated[str, typer.Argument(help="The person's id in the register.")],
    hours: Annotated[int, typer.Option("--hours", help="Without a passage for so long, somebody calls.")],
    consent: Annotated[str, typer.Option("--consent", help="How the person agreed, such as 'signed form 12'.")],
    since: Annotated[
        str | None, typer.Option("--since", help="The day on which the person agreed, in UTC; without it: now.")
    ] = None,
    config: _Config = None,
) -> None:
    """Write down that a person agreed to a visit after so many hours without a passage."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now
        from cloud.register.ids import IdMaker
        from cloud.rules.care import agree

        who = _id(person)
        with foundation.database.write() as connection:
            made = agree(connection, IdMaker(), who, hours, consent, utc_now(), _day(since) if since else None)
        AuditLog(foundation.database, utc_now).append("care.add", None, {"agreement": str(made), "person": str(who)})
        typer.echo(f"agreement {made} holds from {since or 'now'} on")


@care.command("list")
def list_agreements(context: typer.Context, config: _Config = None) -> None:
    """List the agreements that hold."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now
        from cloud.rules.care import agreements

        with foundation.database.read() as connection:
            found = agreements(connection, utc_now())
        AuditLog(foundation.database, utc_now).append("care.list", None, {"agreements": len(found)})
        lines: list[tuple[str, ...]] = [("AGREEMENT", "DWELLING", "HOURS", "SINCE", "CONSENT")]
        lines += [(str(a.id), a.dwelling, str(a.hours), f"{a.since:%Y-%m-%d}", a.consent) for a in found]
        print_table(lines)


@care.command("end")
def end_care(context: typer.Context, agreement: str, config: _Config = None) -> None:
    """End an agreement, at once."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now
        from cloud.rules.care import end_agreement

        which = _id(agreement)
        with foundation.database.write() as connection:
            end_agreement(connection, which, utc_now())
        AuditLog(foundation.database, utc_now).append("care.end", None, {"agreement": str(which)})
        typer.echo(f"agreement {which} has ended")


def _day(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError as error:
        raise ValueError(f"{text!r} is no day: write it as 2026-05-01") from error


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no id: write 32 hex digits, with or without dashes") from error


def _rules(foundation: Any) -> Any:
    """The newest version of every rule, the shipped ones too if the hub never ran."""
    from cloud.foundation import utc_now
    from cloud.rules.book import prepare_rules, read_rules

    with foundation.database.write() as connection:
        prepare_rules(connection, utc_now())
        return read_rules(connection)


def _read_rule(file: Path, code: str) -> Any:
    from cloud.rules.definition import Rule

    rule = Rule.model_validate(json.loads(file.read_text(encoding="utf-8")))
    if rule.code != code:
        raise ValueError(f"{file} is rule {rule.code!r}, not {code!r}")
    return rule


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    span = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if span is None or span > timedelta(days=_LONGEST_DAYS):
        raise ValueError(f"--since {text}: write a number and d, h or m, for example 30d; {_LONGEST_DAYS}d at most")
    return span


def _print_replay(done: "Replay") -> None:
    lines: list[tuple[str, ...]] = [("RAISED", "UNTIL", "TIMES", "CAUSE")]
    for alarm in done.alarms[:_MAX_LINES]:
        lines.append((_minute(alarm.raised_at), _minute(alarm.cleared_at), str(alarm.times), alarm.key))
    if done.alarms:
        print_table(lines)
    more = len(done.alarms) - _MAX_LINES
    typer.echo(f"{len(done.alarms)} alarms of {done.looked_at} events or moments that were looked at")
    if more > 0:
        typer.echo(f"{more} of them are not shown: choose a shorter --since", err=True)


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else "-"
