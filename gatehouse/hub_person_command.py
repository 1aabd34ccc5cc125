"""`gatehouse hub person`: what a person asks of the data about him, and holds of it for a case."""

import getpass
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gatehouse.hub_doors_shell import Config, DryRun, Json, Yes, changing, reading, show, value_of
from gatehouse.hub_shell import ask_to_confirm, opened_foundation, print_table, told_faults

if TYPE_CHECKING:
    from cloud.access.reach import Reach
    from cloud.disclosure.erasing import Plan

app = typer.Typer(
    help="Find a person, hand out or erase what the hub holds of him, hold it for a case. Everything is audited.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Person = Annotated[UUID, typer.Argument(metavar="PERSON", help="The person's id, as 'find' shows it.")]
_Purpose = Annotated[str, typer.Option("--purpose", help="What for, in words; the audit keeps it.")]
_Case = Annotated[str, typer.Option("--case", help="The number of the request or case; the audit keeps it.")]


@app.command("find")
def find_person(
    context: typer.Context,
    name: Annotated[str | None, typer.Option("--name", help="The whole name.")] = None,
    id_tail: Annotated[str | None, typer.Option("--id-tail", help="The last four characters of the ID number.")] = None,
    phone_tail: Annotated[str | None, typer.Option("--phone-tail", help="The last four digits of a phone.")] = None,
    plate: Annotated[str | None, typer.Option("--plate", help="A number plate, or its last four characters.")] = None,
    config: Config = None,
) -> None:
    """Find persons: all that is given has to fit. Phones and plates are also those of contacts and vehicles."""
    from sqlalchemy import select

    from cloud.accounts import WHOLE
    from cloud.audit import AuditLog
    from cloud.database.tables import Person
    from cloud.foundation import utc_now
    from cloud.live.masking import masked_name
    from cloud.register.search import PersonQuery, find_persons

    with reading(context, config) as (foundation, connection):
        query = PersonQuery(name=name, id_tail=id_tail, phone_tail=phone_tail, plate=plate)
        found = find_persons(connection, foundation.vault, WHOLE, query)
        names = dict(connection.execute(select(Person.id, Person.name).where(Person.id.in_(found))).all())
        AuditLog(foundation.database, utc_now).append(
            "register.find", None, {"found": len(found), "by": getpass.getuser()}
        )
    print_table([("PERSON", "NAME"), *((str(each), masked_name(names[each])) for each in found)])


@app.command("export")
def export_person(
    context: typer.Context,
    person: _Person,
    out: Annotated[Path, typer.Option("--out", help="FILE.json; FILE.html is written beside it, to be read.")],
    purpose: _Purpose,
    case: _Case,
    config: Config = None,
) -> None:
    """Write all that the hub holds of a person, who looked among it, as JSON and as a page to be read.

    Both files can be read by their owner alone (mode 600). Hand them over, and delete them.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.disclosure.collecting import collect
        from cloud.disclosure.page import person_page
        from cloud.disclosure.values import SubjectWanted
        from cloud.foundation import utc_now

        value_of(SubjectWanted, {"kind": "export", "purpose": purpose, "case_number": case})
        json_file, page = out.with_suffix(".json"), out.with_suffix(".html")
        with foundation.database.read() as connection:
            collect(connection, foundation.vault, person)  # that there is such a person, before files are made
        detail = {"person": str(person), "purpose": purpose, "case": case, "by": getpass.getuser()}
        with _private(json_file) as written, _private(page) as read:
            AuditLog(foundation.database, utc_now).append("person.export", None, detail, (person,))
            with foundation.database.read() as connection:
                found = collect(connection, foundation.vault, person)
            os.write(written, (json.dumps(found.model_dump(), ensure_ascii=False, indent=2) + "\n").encode())
            os.write(read, person_page(found, utc_now()).encode())
        typer.echo(f"{json_file} and {page} hold all that the hub has of this person: hand them over, and delete them")


@app.command("erase")
def erase_person(
    context: typer.Context,
    person: _Person,
    purpose: _Purpose,
    case: _Case,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Erase what the hub holds of a person. It is told first what goes, what stays and why; then it asks.

    It cannot be undone, but by a backup: what is in backups goes with them.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.disclosure import requests
        from cloud.disclosure.erasing import erase, plan, proof
        from cloud.disclosure.values import SubjectWanted
        from cloud.foundation import utc_now
        from cloud.register.ids import IdMaker

        wanted = value_of(SubjectWanted, {"kind": "erase", "purpose": purpose, "case_number": case})
        with foundation.database.read() as connection:
            planned = plan(connection, person)
        _show_plan(planned)
        if dry_run:
            typer.echo("nothing was changed: this was a dry run", err=True)
            return
        ask_to_confirm("Erase this? It cannot be undone.", yes)
        audit, detail = AuditLog(foundation.database, utc_now), {"purpose": purpose, "case": case}
        by = getpass.getuser()
        audit.append("person.erase", None, {"person": str(person), **detail, "by": by}, (person,))
        with foundation.database.write() as connection:
            now = utc_now()
            asked = requests.ask(connection, IdMaker(), person, wanted, None, now)
            done = erase(connection, person, now)
            requests.close(connection, asked.id, now, is_left=not done.is_whole)
        audit.append("person.erased", None, proof(done), (person,))
        if done.is_whole:
            typer.echo("erased; a running hub takes the credentials out of every gateway within a second")
        else:
            typer.echo("what a case needs is left; a running hub erases it by itself when the case is over")


@app.command("contacts")
def list_contacts(context: typer.Context, person: _Person, config: Config = None) -> None:
    """List whom to call for a person, masked, with the ids by which 'remove-contact' takes one out."""
    from cloud.audit import AuditLog
    from cloud.foundation import utc_now
    from cloud.register.belongings import contacts_of

    with reading(context, config) as (foundation, connection):
        found = contacts_of(connection, foundation.vault, person)
        detail = {"person": str(person), "by": getpass.getuser()}
        AuditLog(foundation.database, utc_now).append("person.contacts", None, detail, (person,))
    print_table(
        [
            ("CONTACT", "NAME", "RELATION", "PHONE"),
            *((str(each.id), each.name, each.relation or "-", f"…{each.phone_ends}") for each in found),
        ]
    )


@app.command("remove-contact")
def remove_contact(
    context: typer.Context,
    contact: Annotated[UUID, typer.Argument(help="The id that 'contacts' shows.")],
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Take a contact of a person out, with what was kept of its changes."""
    from cloud.register.belongings import remove_contact as remove

    ask_to_confirm(f"Remove contact {contact}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        person = remove(change.connection, contact)
        detail = {"person": str(person), "contact": str(contact), "by": getpass.getuser()}
        change.note(f"contact {contact} is removed", "person.contact.remove", (person,), **detail)


@app.command("hold")
def hold_person(context: typer.Context, person: _Person, purpose: _Purpose, case: _Case, config: Config = None) -> None:
    """Let nothing of a person's data go while a case needs it: neither by its days nor by an erasure."""
    from cloud.disclosure import requests
    from cloud.disclosure.values import HoldWanted
    from cloud.foundation import utc_now
    from cloud.register.ids import IdMaker

    wanted = value_of(HoldWanted, {"purpose": purpose, "case_number": case})
    with changing(context, config) as change:
        asked = (person, wanted.purpose, wanted.case_number, None, utc_now())
        made = requests.hold(change.connection, IdMaker(), *asked)
        detail = {"person": str(person), "purpose": purpose, "case": case, "by": getpass.getuser()}
        change.note(f"hold {made}: nothing of this person goes until it is ended", "person.hold", (person,), **detail)


@app.command("holds")
def list_holds(context: typer.Context, as_json: Json = False, config: Config = None) -> None:
    """List the holds that are not ended."""
    from cloud.disclosure import requests

    columns = {
        "HOLD": lambda each: each.id,
        "PERSON": lambda each: each.person,
        "CASE": lambda each: each.case_number,
        "SINCE": lambda each: f"{each.held_at:%Y-%m-%d}",
        "PURPOSE": lambda each: each.purpose,
    }
    with reading(context, config) as (_, connection):
        show(requests.holds(connection, _reach()), as_json, columns)


@app.command("release")
def end_hold(
    context: typer.Context,
    hold: Annotated[UUID, typer.Argument(help="The id that 'holds' shows.")],
    yes: Yes = False,
    config: Config = None,
) -> None:
    """End a hold: what waited for it goes by itself within the hour."""
    from cloud.disclosure import requests

    ask_to_confirm(f"End hold {hold}?", yes)
    with changing(context, config) as change:
        ended = requests.end_hold(change.connection, hold, None, _reach())
        detail = {"person": str(ended.person), "case": ended.case_number, "by": getpass.getuser()}
        change.note(f"hold {hold} is ended", "person.hold.end", (ended.person,), **detail)


def _show_plan(planned: "Plan") -> None:
    lines: list[tuple[str, ...]] = [("WHAT", "GOES", "STAYS", "WHY")]
    lines += [(each.what, str(each.goes), str(each.stays), each.why) for each in planned.lines]
    print_table(lines)


@contextmanager
def _private(path: Path) -> Iterator[int]:
    """A new file that only its owner reads; removed if what writes it fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield descriptor
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _reach() -> "Reach":
    from cloud.access.reach import Reach
    from cloud.accounts import WHOLE
    from cloud.foundation import utc_now

    return Reach(WHOLE, utc_now())
