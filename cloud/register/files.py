"""Reads the rows of an import file: an Excel workbook, a CSV file (UTF-8 or GB18030), or a folder of CSV files.

Everything is bounded before it is read: a workbook is a zip archive, and a small one may hold gigabytes. Rows are read
one after the other and never held together. Cells come out as text, dates as `YYYY-MM-DD`; what the text means is not
decided here. A formula is refused: what it amounts to is another program's guess.
"""

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from cloud.register.layout import NOTES, RESIDENTS, SHEETS, Sheet, normal, sheet_named
from cloud.register.report import RowError
from cloud.register.workbook import FORMULA, Cell, DamagedWorkbook, MergedCells, WorkbookSheet, open_workbook

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_UNPACKED_BYTES = 500 * 1024 * 1024
MAX_ROWS = 200_000
MAX_COLUMNS = 64
MAX_CELL_CHARACTERS = 2_000
_EXACT_DIGITS = 15
"""How many digits a spreadsheet's number holds; an ID number typed as a number has lost its last three."""
_CHUNK_BYTES = 1 << 20
_NEUTRALISED = re.compile(r"'+[=+\-@\t\r]")
"""How an export begins a cell that a spreadsheet might take for a formula (`cloud.register.exporting`)."""

Line = tuple[int, Sequence[Cell]]
"""A row's number and its cells."""
ColumnMap = Mapping[str, str]
"""A file's own headers, as `layout.normal` spells them -> the keys of columns."""


def column_map(pairs: Sequence[str]) -> dict[str, str]:
    """A map from words `HEADER=column`.

    Raises:
        ValueError: for a word that is none, or a column that no sheet has.
    """
    known = {column.key for sheet in SHEETS for column in sheet.columns}
    found: dict[str, str] = {}
    for pair in pairs:
        header, equals, column = pair.rpartition("=")
        if not (equals and header.strip()):
            raise ValueError(f"{pair[:60]!r} maps nothing: write HEADER=column, for example 户主=name")
        if column.strip() not in known:
            raise ValueError(f"there is no column {column[:60]!r}: write one of {', '.join(sorted(known))}")
        found[normal(header)] = column.strip()
    return found


class UnreadableFile(Exception):
    """A file that cannot be read at all; holds the fault to report."""

    def __init__(self, error: RowError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class SheetRow:
    """A row: its number in the spreadsheet, its cells' text by column key, and what is wrong with cells.

    Empty cells are left out.
    """

    number: int
    cells: dict[str, str]
    faults: tuple[RowError, ...] = ()


@dataclass(frozen=True)
class SheetRows:
    """A sheet that can be read, once, while its file is open."""

    sheet: Sheet
    title: str
    lines: Callable[[], Iterable[Line]]
    columns: ColumnMap

    def rows(self) -> Iterator[SheetRow | RowError]:
        """Its rows, and faults of the sheet as a whole.

        Raises:
            UnreadableFile: where the file turns out to be damaged.
        """
        numbered = ((number, line) for number, line in self.lines() if any(_is_filled(cell) for cell in line))
        head = next(numbered, None)
        if head is None:
            return
        keys, errors = _columns(self, head[0], head[1])
        yield from errors
        if errors:
            return
        for count, (number, line) in enumerate(numbered):
            if count >= MAX_ROWS:
                yield RowError(self.title, number, "", f"there are more than {MAX_ROWS:,} rows", "split the file")
                return
            yield _row(self.title, number, keys, line)


@dataclass(frozen=True)
class FileRows:
    """An open file: its sheets in the order in which they are taken up."""

    sheets: list[SheetRows]
    ignored: list[str]


@contextmanager
def opened(
    path: Path, columns: ColumnMap | None = None, sheets: Sequence[Sheet] = SHEETS, lone: Sheet = RESIDENTS
) -> Iterator[FileRows]:
    """Open a file to read its sheets; `columns` says what its own headers mean, `lone` is what a single CSV file is.

    Raises:
        UnreadableFile: if it is missing, of another kind, too large, or holds no sheet that is known.
    """
    try:
        with _tables(path) as tables:
            yield _known(path, tables, columns or {}, sheets, lone)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it was changed meanwhile"
        raise _unreadable(path.name, f"the file cannot be read ({reason})", "check its name") from error


_Tables = list[tuple[str, Callable[[], Iterable[Line]]]]


def _known(path: Path, tables: _Tables, columns: ColumnMap, sheets: Sequence[Sheet], lone: Sheet) -> FileRows:
    known: list[SheetRows] = []
    ignored: list[str] = []
    for title, lines in tables:
        sheet = sheet_named(title, sheets)
        if sheet is None and len(tables) == 1 and path.suffix.lower() == ".csv":
            sheet = lone
        if sheet is not None:
            known.append(SheetRows(sheet, title, lines, columns))
        elif normal(title) not in map(normal, NOTES):
            ignored.append(title)
    if not known:
        names = ", ".join(f"{sheet.chinese} ({sheet.key})" for sheet in sheets)
        raise _unreadable(path.name, "it holds no sheet that is known", f"name its sheets: {names}")
    known.sort(key=lambda read: sheets.index(read.sheet))
    return FileRows(known, ignored)


@contextmanager
def _tables(path: Path) -> Iterator[_Tables]:
    if path.is_dir():
        yield [(file.stem, _csv_lines(file)) for file in sorted(path.glob("*.csv"))]
    elif path.suffix.lower() == ".csv":
        yield [(path.stem, _csv_lines(path))]
    elif path.suffix.lower() == ".xlsx":
        with _workbook(path) as tables:
            yield tables
    else:
        raise _unreadable(path.name, "this is no .xlsx or .csv file", "save it as an Excel workbook (.xlsx)")


def _csv_lines(path: Path) -> Callable[[], Iterator[Line]]:
    _check_size(path)
    encoding = _encoding(path)

    def lines() -> Iterator[Line]:
        with path.open(encoding=encoding, newline="") as file:
            try:
                for number, line in enumerate(csv.reader(part.replace("\0", "") for part in file), 1):
                    yield number, line[:MAX_COLUMNS]
            except csv.Error as error:
                raise _unreadable(path.name, f"it is no CSV file ({error})", "save it as CSV again") from error

    return lines


def _encoding(path: Path) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    raise _unreadable(path.name, "its text is neither UTF-8 nor GB18030", "save it as UTF-8")


@contextmanager
def _workbook(path: Path) -> Iterator[_Tables]:
    _check_size(path)
    try:
        with open_workbook(path, MAX_UNPACKED_BYTES, MAX_COLUMNS) as sheets:
            yield [(sheet.title, _sheet_lines(sheet)) for sheet in sheets]
    except DamagedWorkbook as error:
        raise _unreadable(path.name, str(error), "save it as .xlsx again, without pictures and a password") from error


def _sheet_lines(sheet: WorkbookSheet) -> Callable[[], Iterator[Line]]:
    def lines() -> Iterator[Line]:
        try:
            yield from sheet.rows()
        except MergedCells as error:
            raise _unreadable(sheet.title, f"cells {error} are merged", "unmerge them, fill in each cell") from error

    return lines


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise _unreadable(path.name, f"it is larger than {MAX_FILE_BYTES // 2**20} MiB", "split it")


def _row(title: str, number: int, keys: list[str | None], line: Sequence[Cell]) -> SheetRow:
    cells, faults = {}, []
    for key, cell in zip(keys, line, strict=False):
        if key and _is_filled(cell):
            try:
                cells[key] = _text(cell)
            except ValueError as error:
                problem, _, remedy = str(error).partition("; ")
                faults.append(RowError(title, number, key, problem, remedy))
    return SheetRow(number, cells, tuple(faults))


def _columns(rows: SheetRows, number: int, head: Sequence[Cell]) -> tuple[list[str | None], list[RowError]]:
    """The key of each column, or what is wrong with the headers."""
    errors: list[RowError] = []
    keys: list[str | None] = []
    title, sheet = rows.title, rows.sheet
    expected = f"the columns are: {sheet.headers}"
    for cell in head:
        header = str(cell).strip() if _is_filled(cell) else ""
        column = sheet.column(rows.columns.get(normal(header), header)) if header else None
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


def _is_filled(cell: Cell) -> bool:
    return cell is not None and str(cell).strip() != ""


def _text(cell: Cell) -> str:
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
    if text.startswith(FORMULA):
        raise ValueError("the cell holds a formula; paste its value in its place")
    if len(text) > MAX_CELL_CHARACTERS:
        raise ValueError(f"the text is longer than {MAX_CELL_CHARACTERS:,} characters; shorten it")
    return text[1:] if _NEUTRALISED.match(text) else text


def _unreadable(name: str, problem: str, remedy: str) -> UnreadableFile:
    return UnreadableFile(RowError(name, 0, "", problem, remedy))
