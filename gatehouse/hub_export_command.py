"""`gatehouse hub export`: the register as a file that `import` reads again."""

import getpass
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.hub_doors_shell import Config
from gatehouse.hub_shell import opened_foundation, progress_on_terminal, told_faults

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from cloud.access.reach import Reach


def export_register(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="A workbook (register.xlsx), or a folder for CSV files; not there yet.")],
    place: Annotated[str | None, typer.Option("--place", help="Only this place and what lies below it.")] = None,
    sheet: Annotated[
        list[str] | None, typer.Option("--sheet", help="Only this sheet, such as residents; once for each.")
    ] = None,
    unmasked: Annotated[
        bool, typer.Option("--unmasked", help="Names and numbers as they are: only such a file can be imported again.")
    ] = False,
    purpose: Annotated[
        str | None, typer.Option("--purpose", help="What for; needed with --unmasked. The audit keeps it.")
    ] = None,
    config: Config = None,
) -> None:
    """Write the register as a workbook or as CSV files. Names are masked and numbers left out, unless asked otherwise.

    Files can be read by their owner alone (mode 600). An unmasked one is noted in the audit under each person in it.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now
        from cloud.register.exporting import sheets_named, write_folder, write_workbook
        from cloud.register.importing import CHINA
        from cloud.register.rows import RegisterRows

        sheets = sheets_named(sheet or [])
        if unmasked and len((purpose or "").strip()) < 5:
            raise ValueError("--unmasked needs --purpose: say in words what it is for")
        if out.exists():
            raise ValueError(f"{out} is there already; name another file or folder")
        with _removed_if_it_fails(out), foundation.database.read() as connection:
            rows = RegisterRows(connection, foundation.vault, _reach(connection, place), CHINA, masked=not unmasked)
            if out.suffix.lower() == ".xlsx":
                with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    done = write_workbook(rows, file, sheets, progress_on_terminal())
            else:
                done = write_folder(rows, out, sheets, progress_on_terminal())
            detail: dict[str, str | int] = {"sheets": " ".join(sheet or []) or "all", "place": place or ""}
            detail["by"] = getpass.getuser()
            action = "register.export"
            if rows.persons:
                action, detail = "person.register_export", {**detail, "purpose": str(purpose)}
                detail["persons"] = len(rows.persons)
            AuditLog(foundation.database, utc_now).append(action, None, detail, rows.persons)
        for name, count in done.counts.items():
            typer.echo(f"{count:>9,}  {name}")
        for name in done.too_long:
            typer.echo(f"{name} has more rows than an import takes: export it place by place, --place", err=True)
        typer.echo(f"{out} is written, {'unmasked' if unmasked else 'masked: it cannot be imported'}", err=True)


@contextmanager
def _removed_if_it_fails(out: Path) -> Iterator[None]:
    """Nothing is left of a file that could not be finished, or not be written into the audit."""
    try:
        yield
    except BaseException:
        if out.is_dir():
            shutil.rmtree(out)
        else:
            out.unlink(missing_ok=True)
        raise


def _reach(connection: "Connection", code: str | None) -> "Reach":
    from sqlalchemy import select

    from cloud.access.reach import Reach
    from cloud.accounts import WHOLE, Scope
    from cloud.database.tables import Place
    from cloud.foundation import utc_now
    from cloud.register.paths import subtree

    if code is None:
        return Reach(WHOLE, utc_now())
    path = connection.execute(select(Place.path).where(Place.code == code)).scalar()
    if path is None:
        raise ValueError(f"there is no place {code!r}: write the code of one")
    return Reach(Scope(subtree(path)), utc_now())
