"""Reads the rows of an import file: an Excel workbook, a CSV file (UTF-8 or GB18030), or a folder of CSV files.

Everything is bounded before it is read: a workbook is a zip archive, and a small one may hold gigabytes. Cells come out
as text, dates as `YYYY-MM-DD`; what the text means is not decided here.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from cloud.register.layout import NOTES, RESIDENTS, SHEETS, Sheet, normal, sheet_named
from cloud.register.report import RowError

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_UNPACKED_BYTES = 500 * 1024 * 1024
MAX_ROWS = 200_000
MAX_COLUMNS = 64
MAX_CELL_CHARACTERS = 2_000
_EXACT_DIGITS = 15
"""How many digits a spreadsheet's number holds; an ID number typed as a number has lost its last three."""


class UnreadableFile(Exception):
    """A file that cannot be read at all; holds the fault to report."""

    def __init__(self, error: RowError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class SheetRow:
    """A row: its number in the spreadsheet, and its cells' text by column key; empty cells are left out."""

    number: int
    cells: dict[str, str]


@dataclass(frozen=True)
class SheetRows:
    """A sheet that was read."""

    sheet: Sheet
    title: str
    rows: list[SheetRow]
    errors: list[RowError]


@dataclass(frozen=True)
class FileRows:
    """A file that was read: its sheets in the order of `layout.SHEETS`."""

    sheets: list[SheetRows]
    ignored: list[str]


def read_file(path: Path) -> FileRows:
    """Read every sheet.

    Raises:
        UnreadableFile: if it is missing, of another kind, too large, or holds no sheet that is known.
    """
    try:
        tables = list(_tables(path))
    except OSError as error:
        raise _unreadable(path.name, f"the file cannot be read ({error.strerror})", "check its name") from error
    known: list[SheetRows] = []
    ignored: list[str] = []
    for title, lines in tables:
        sheet = sheet_named(title)
        if sheet is None and len(tables) == 1 and path.suffix.lower() == ".csv":
            sheet = RESIDENTS
        if sheet is not None:
            known.append(_read_sheet(sheet, title, lines))
        elif normal(title) not in map(normal, NOTES):
            ignored.append(title)
    if not known:
        names = ", ".join(f"{sheet.chinese} ({sheet.key})" for sheet in SHEETS)
        raise _unreadable(path.name, "it holds no sheet that is known", f"name its sheets: {names}")
    known.sort(key=lambda read: SHEETS.index(read.sheet))
    return FileRows(known, ignored)


def _tables(path: Path) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
    if path.is_dir():
        for file in sorted(path.glob("*.csv")):
            yield file.stem, _csv_lines(file)
    elif path.suffix.lower() == ".csv":
        yield path.stem, _csv_lines(path)
    elif path.suffix.lower() == ".xlsx":
        yield from _workbook_tables(path)
    else:
        raise _unreadable(path.name, "this is no .xlsx or .csv file", "save it as an Excel workbook (.xlsx)")


def _csv_lines(path: Path) -> list[tuple[Any, ...]]:
    _check_size(path)
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError as error:
            raise _unreadable(path.name, "its text is neither UTF-8 nor GB18030", "save it as UTF-8") from error
    try:
        return [tuple(line[:MAX_COLUMNS]) for line in csv.reader(io.StringIO(text.replace("\0", "")))]
    except csv.Error as error:
        raise _unreadable(path.name, f"it is no CSV file ({error})", "save it as CSV again") from error


def _workbook_tables(path: Path) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
    _check_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            mib = MAX_UNPACKED_BYTES // 2**20
            raise _unreadable(path.name, f"unpacked it is larger than {mib} MiB", "remove pictures and empty rows")
        book = load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, TypeError, SyntaxError) as error:
        raise _unreadable(path.name, "it is no Excel workbook", "save it as .xlsx again") from error
    try:
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            yield sheet.title, list(_bounded(sheet.iter_rows(max_col=MAX_COLUMNS, values_only=True)))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, SyntaxError, EOFError) as error:
        raise _unreadable(path.name, "a part of the workbook is damaged", "save it as .xlsx again") from error
    finally:
        book.close()


def _bounded(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """One row more than allowed is enough to tell that there are too many."""
    for number, row in enumerate(rows):
        if number > MAX_ROWS + 1:
            return
        yield row


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise _unreadable(path.name, f"it is larger than {MAX_FILE_BYTES // 2**20} MiB", "split it")


def _read_sheet(sheet: Sheet, title: str, lines: Iterable[tuple[Any, ...]]) -> SheetRows:
    numbered = ((number, line) for number, line in enumerate(lines, 1) if any(_is_filled(cell) for cell in line))
    head = next(numbered, None)
    if head is None:
        return SheetRows(sheet, title, [], [])
    keys, errors = _columns(sheet, title, head[0], head[1])
    if errors:
        return SheetRows(sheet, title, [], errors)
    rows: list[SheetRow] = []
    for number, line in numbered:
        if len(rows) >= MAX_ROWS:
            errors.append(RowError(title, number, "", f"there are more than {MAX_ROWS:,} rows", "split the file"))
            break
        cells = {}
        for key, cell in zip(keys, line, strict=False):
            if key and _is_filled(cell):
                try:
                    cells[key] = _text(cell)
                except ValueError as error:
                    problem, _, remedy = str(error).partition("; ")
                    errors.append(RowError(title, number, key, problem, remedy))
        rows.append(SheetRow(number, cells))
    return SheetRows(sheet, title, rows, errors)


def _columns(sheet: Sheet, title: str, number: int, head: tuple[Any, ...]) -> tuple[list[str | None], list[RowError]]:
    """The key of each column, or what is wrong with the headers."""
    errors: list[RowError] = []
    keys: list[str | None] = []
    expected = f"the columns are: {sheet.headers}"
    for cell in head:
        header = str(cell).strip() if _is_filled(cell) else ""
        column = sheet.column(header) if header else None
        if header and column is None:
            errors.append(RowError(title, number, header[:60], "this column is not known", expected))
        elif column is not None and column.key in keys:
            errors.append(RowError(title, number, header[:60], "this column stands there twice", "remove one"))
        keys.append(column.key if column else None)
    errors += [
        RowError(title, number, column.shown, "this column is missing", expected)
        for column in sheet.columns
        if column.required and column.key not in keys
    ]
    return keys, errors


def _is_filled(cell: Any) -> bool:
    return cell is not None and str(cell).strip() != ""


def _text(cell: Any) -> str:
    """A cell as a person reads it.

    Raises:
        ValueError: "problem; remedy".
    """
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, time):
        return cell.strftime("%H:%M")
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, int | float) and len(str(cell).strip("-")) > _EXACT_DIGITS:
        raise ValueError("a number this long has lost its last digits in the spreadsheet; format the column as text")
    text = str(cell).strip()
    if len(text) > MAX_CELL_CHARACTERS:
        raise ValueError(f"the text is longer than {MAX_CELL_CHARACTERS:,} characters; shorten it")
    return text


def _unreadable(name: str, problem: str, remedy: str) -> UnreadableFile:
    return UnreadableFile(RowError(name, 0, "", problem, remedy))
