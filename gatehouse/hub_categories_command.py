"""`gatehouse hub categories`: entries of service categories, on the hub's own machine."""

import getpass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gatehouse.hub_doors_shell import Change, Config, DryRun, Json, Yes, changing, reading, show, value_of
from gatehouse.hub_shell import ask_to_confirm

if TYPE_CHECKING:
    from cloud.access.reach import Reach
    from cloud.categories.entries import CategoryOffice
    from cloud.categories.values import CategoryValue
    from cloud.foundation import Foundation

app = typer.Typer(
    help="Service categories of persons: look up, add, review, end. They lapse by themselves on their review date."
    " Every look-up states a purpose, which the audit keeps under each person.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Purpose = Annotated[str, typer.Option("--purpose", help="What for, in words; the audit keeps it.")]
_Entry = Annotated[UUID, typer.Argument(metavar="ENTRY", help="The id that 'list' and 'due' show.")]
_Basis = Annotated[str | None, typer.Option("--basis", help="The legal basis: the rule and the decision.")]
_Officer = Annotated[str | None, typer.Option("--officer", help="The account of the officer who is responsible.")]
_Review = Annotated[str, typer.Option("--review", help="Its last day: 2026-12-31; a year ahead at most.")]


@app.command("kinds")
def list_kinds(context: typer.Context, config: Config = None) -> None:
    """List the categories that there are. More are configured: [web.categories.more.CODE] name, name_zh."""
    from gatehouse.hub_shell import print_table, read_settings, told_faults

    with told_faults():
        known = read_settings(context, config).web.categories.known
        print_table([("CATEGORY", "NAME", "名称"), *((code, each.name, each.name_zh) for code, each in known.items())])


@app.command("list")
def list_categories(
    context: typer.Context,
    purpose: _Purpose,
    person: Annotated[UUID | None, typer.Option("--person", help="Only this person's.")] = None,
    category: Annotated[str | None, typer.Option("--category", help="Only those of this one ('kinds').")] = None,
    past: Annotated[bool, typer.Option("--past", help="Also those that lapsed or ended and are not gone.")] = False,
    after: Annotated[UUID | None, typer.Option("--after", help="Those behind this entry: the next page.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Look entries up, 200 at a time, with masked names. It is written down for each person before it is shown."""
    from cloud.audit import AuditLog
    from cloud.categories.values import CategoryQuery
    from cloud.foundation import utc_now

    fields = {"purpose": purpose, "person": person, "category": category, "past": past, "after": after, "limit": 200}
    with reading(context, config) as (foundation, connection):
        found = _office(foundation).look(connection, value_of(CategoryQuery, fields), _reach())
        persons = {each.person for each in found.items}
        action = "person.category.look" if persons else "category.look"
        detail: dict[str, str | int] = {"purpose": purpose, "persons": len(persons), "by": getpass.getuser()}
        AuditLog(foundation.database, utc_now).append(action, None, detail, persons)
    show(found.items, as_json, _COLUMNS)
    if found.more:
        typer.echo(f"there are more: --after {found.items[-1].id}", err=True)


@app.command("due")
def list_due(context: typer.Context, as_json: Json = False, config: Config = None) -> None:
    """List the entries that lapse within 30 days, or lapsed, without saying whose or which."""
    columns = {
        "ENTRY": lambda each: each.id,
        "OFFICER": lambda each: each.officer,
        "REVIEW": lambda each: _minute(each.review_at),
        "DAYS LEFT": lambda each: each.days_left,
        "TOLD": lambda each: " ".join(map(str, each.told)),
    }
    with reading(context, config) as (foundation, connection):
        show(_office(foundation).notices(connection, None, _reach()), as_json, columns)


@app.command("add")
def add_category(
    context: typer.Context,
    person: Annotated[UUID, typer.Argument(help="The person's id in the register.")],
    category: Annotated[str, typer.Argument(help="Its code, as 'kinds' lists it.")],
    basis: _Basis,
    officer: _Officer,
    review: _Review,
    purpose: _Purpose,
    since: Annotated[str | None, typer.Option("--since", help="The day from which it holds; today.")] = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Put a person into a category until a review date, after which it lapses by itself."""
    from cloud.categories.values import NewCategory

    fields = {"category": category, "legal_basis": basis, "officer": officer, "since": since}
    with changing(context, config, dry_run) as change:
        wanted = value_of(NewCategory, {**fields, "review_on": review, "purpose": purpose})
        made = _office(change.foundation).add(change.connection, person, wanted, None, _reach())
        _note(change, "add", made, purpose, f"entry {made.id} is made; it lapses at {_minute(made.review_at)}")


@app.command("review")
def review_category(
    context: typer.Context,
    entry: _Entry,
    review: _Review,
    purpose: _Purpose,
    basis: _Basis = None,
    officer: _Officer = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Let an entry go on after it was reviewed. One that has lapsed is made anew, with 'add'."""
    from cloud.categories.values import CategoryReview

    fields = {"review_on": review, "legal_basis": basis, "officer": officer, "purpose": purpose}
    with changing(context, config, dry_run) as change:
        office, wanted = _office(change.foundation), value_of(CategoryReview, fields)
        made = office.review(change.connection, entry, wanted, None, _reach())
        _note(change, "review", made, purpose, f"entry {entry} holds until {_minute(made.review_at)}")


@app.command("end")
def end_category(
    context: typer.Context,
    entry: _Entry,
    purpose: _Purpose,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """End an entry at once. It is deleted some days later ([web] retention, categories)."""
    from cloud.categories.values import CategoryEnd

    wanted = value_of(CategoryEnd, {"purpose": purpose})
    ask_to_confirm(f"End entry {entry}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        ended = _office(change.foundation).end(change.connection, entry, None, _reach())
        _note(change, "end", ended, wanted.purpose, f"entry {entry} has ended")


_COLUMNS = {
    "ENTRY": lambda each: each.id,
    "PERSON": lambda each: each.person,
    "NAME": lambda each: each.name,
    "CATEGORY": lambda each: each.category,
    "STATE": lambda each: each.state,
    "REVIEW": lambda each: _minute(each.review_at),
    "OFFICER": lambda each: each.officer,
    "BASIS": lambda each: each.legal_basis,
}


def _note(change: Change, act: str, entry: "CategoryValue", purpose: str, said: str) -> None:
    detail = {"person": str(entry.person), "entry": str(entry.id), "purpose": purpose, "by": getpass.getuser()}
    change.note(said, f"person.category.{act}", (entry.person,), **detail)


def _office(foundation: "Foundation") -> "CategoryOffice":
    from cloud.categories.entries import CategoryOffice
    from cloud.register.ids import IdMaker

    return CategoryOffice(foundation.vault, foundation.config.web.categories, IdMaker())


def _reach() -> "Reach":
    from cloud.access.reach import Reach
    from cloud.accounts import WHOLE
    from cloud.foundation import utc_now

    return Reach(WHOLE, utc_now())


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
