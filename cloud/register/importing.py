"""Takes an import file into the register in one transaction: all of it, or nothing and a list of what is wrong.

Importing a file again changes only what differs. Nothing is ever removed by what a file leaves out.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cloud.database.engine import Database
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.files import ColumnMap, SheetRow, SheetRows, UnreadableFile, opened
from cloud.register.layout import OF_PERSONS
from cloud.register.organisation import DEFAULT_GRID_CODE
from cloud.register.report import ImportReport, RowError
from cloud.register.sheets import SheetTaker, takers
from cloud.register.writer import Author, History, RegisterWriter
from cloud.vault import Vault

CHINA = ZoneInfo("Asia/Shanghai")
_CHUNK_ROWS = 1000
"""How many rows are looked up and written together."""
_NAME_CHARACTERS = 120
_MASK = "*"
"""What masked exports have for the rest of a name."""

Progress = Callable[[str, int], None]
"""(sheet, rows done)."""


class _TakenBack(Exception):
    """Ends the transaction of an import that is not to stay."""


def import_register(
    database: Database,
    vault: Vault,
    path: Path,
    dry_run: bool = False,
    progress: Progress = lambda _sheet, _done: None,
    zone: ZoneInfo = CHINA,
    columns: ColumnMap | None = None,
    grid_code: str = DEFAULT_GRID_CODE,
) -> ImportReport:
    """Import a workbook, a CSV file of residents, or a folder of CSV files; with `dry_run` only check it.

    Dates are days in `zone`; `columns` says what a file's own headers mean; `grid_code` is the pattern of grids' codes.
    The report says what was done, or every fault that was found.
    """
    report = ImportReport(dry_run)
    try:
        with opened(path, columns) as file, database.write() as connection:
            report.ignored_sheets = file.ignored
            now = datetime.now(UTC)
            writer = RegisterWriter(connection, History(vault, Author(source=f"import {path.name}"), lambda: now))
            by_sheet = takers(writer, vault, zone, grid_code)
            for sheet in file.sheets:
                _take_sheet(sheet, by_sheet[sheet.sheet.key], writer, report, progress)
            if not report.imported:
                raise _TakenBack
    except _TakenBack:
        pass
    except UnreadableFile as error:
        report.add_error(error.error)
    return report


def _take_sheet(
    read: SheetRows, taker: SheetTaker[Any], writer: RegisterWriter, report: ImportReport, progress: Progress
) -> None:
    """Take up a sheet, some rows at a time; a faulty row is reported and the others are still checked."""
    rows, done = read.rows(), 0
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        errors = list(_take_chunk(read, taker, chunk, report.count))
        writer.flush()
        for error in sorted(errors, key=lambda error: error.row):
            report.add_error(error)
        done += len(chunk)
        progress(read.title, done)


def _take_chunk(
    read: SheetRows, taker: SheetTaker[Any], chunk: list[SheetRow | RowError], count: Callable[[str, Change], None]
) -> Iterator[RowError]:
    """Read each row, load what all of them name, put each."""
    entries = []
    for row in chunk:
        if isinstance(row, RowError):
            yield row
            continue
        faults = [*row.faults, *row_faults(read, row)]
        yield from faults
        if not faults:
            try:
                entries.append((row.number, taker.read(row.cells)))
            except RegisterError as error:
                yield row_error(read, row.number, error)
    taker.load([entry for _, entry in entries])
    for number, entry in entries:
        try:
            for what, change in taker.put(entry):
                count(what, change)
        except RegisterError as error:
            yield row_error(read, number, error)


def row_faults(read: SheetRows, row: SheetRow) -> Iterator[RowError]:
    """What is wrong with a row whatever it means: cells that are empty, masked or too long."""
    told = {fault.column for fault in row.faults}
    for column in read.sheet.columns:
        if column.required and column.key not in row.cells and column.key not in told:
            yield RowError(read.title, row.number, column.shown, "the cell is empty", "fill it in")
    if read.sheet in OF_PERSONS and _MASK in row.cells.get("name", ""):
        yield RowError(read.title, row.number, "name", "this name is masked", "import an export that is not masked")
    if len(row.cells.get("name", "")) > _NAME_CHARACTERS:
        shown = next(column.shown for column in read.sheet.columns if column.key == "name")
        yield RowError(read.title, row.number, shown, f"it is longer than {_NAME_CHARACTERS} characters", "shorten it")


def row_error(read: SheetRows, number: int, error: RegisterError) -> RowError:
    """An error of a row, told by the header of its column."""
    found = read.sheet.column(error.field)
    return RowError(read.title, number, found.shown if found else error.field, error.problem, error.remedy)


def summary(report: ImportReport) -> str:
    """A report in a few lines, for a terminal."""
    lines = [
        f"{what}: " + ", ".join(f"{counts[change]} {change}" for change in Change if counts[change])
        for what, counts in report.changes.items()
    ]
    if report.ignored_sheets:
        lines.append(f"not read, as no sheet of this name is known: {', '.join(report.ignored_sheets)}")
    if not report.ok:
        lines = [str(error) for error in report.errors]
        if report.error_count > len(report.errors):
            lines.append(f"... and {report.error_count - len(report.errors)} more")
        lines.append(f"{report.error_count} faults: nothing was imported")
    elif report.dry_run:
        lines.append("a dry run: nothing was imported")
    return "\n".join(lines)
