"""Writes the register as a workbook or as a folder of CSV files, of the same sheets that an import reads.

A cell that a spreadsheet might take for a formula begins with an apostrophe, which an import takes off again.
"""

import csv
import io
import os
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, WriteOnlyCell

from cloud.register.files import MAX_ROWS
from cloud.register.layout import SHEETS, Sheet
from cloud.register.rows import RegisterRows, SheetCells

_DANGEROUS = re.compile(r"'*[=+\-@\t\r]")
_TEXT_FORMAT = "@"

Progress = Callable[[str, int], None]
"""(sheet, rows done)."""


@dataclass(frozen=True)
class Exported:
    """What was written: rows by sheet, and sheets that have more rows than an import takes."""

    counts: dict[str, int]

    @property
    def too_long(self) -> tuple[str, ...]:
        return tuple(name for name, count in self.counts.items() if count > MAX_ROWS)


def sheets_named(names: Collection[str]) -> tuple[Sheet, ...]:
    """The sheets of these keys, in the order of an import; none named: all.

    Raises:
        ValueError: for a name that no sheet has.
    """
    known = {sheet.key: sheet for sheet in SHEETS}
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"there is no sheet {unknown[0]!r}: write one of {', '.join(known)}")
    return tuple(sheet for sheet in SHEETS if not names or sheet.key in names)


def write_workbook(
    rows: RegisterRows, file: IO[bytes], sheets: Sequence[Sheet], progress: Progress = lambda _sheet, _done: None
) -> Exported:
    """Write an .xlsx file, all cells as text."""
    book = Workbook(write_only=True)
    counts = {}
    for sheet in sheets:
        page = book.create_sheet(sheet.chinese)
        page.append([column.chinese for column in sheet.columns])
        counts[sheet.key] = 0
        for cells in _counted(rows.of(sheet), sheet.key, progress):
            counts[sheet.key] += 1
            page.append([_text_cell(page, text) for text in _line(sheet, cells)])
    book.save(file)
    return Exported(counts)


def write_folder(
    rows: RegisterRows, folder: Path, sheets: Sequence[Sheet], progress: Progress = lambda _sheet, _done: None
) -> Exported:
    """Write CSV files (UTF-8, with the mark by which Excel knows it) that only their owner may read, into a folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    counts = {}
    for sheet in sheets:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(folder / f"{sheet.key}.csv", flags, 0o600), "wb") as file:
            counts[sheet.key] = _write_csv(file, sheet, _counted(rows.of(sheet), sheet.key, progress))
    return Exported(counts)


def write_zip(rows: RegisterRows, file: IO[bytes], sheets: Sequence[Sheet]) -> Exported:
    """Write the CSV files into one archive."""
    counts = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for sheet in sheets:
            with archive.open(f"{sheet.key}.csv", "w", force_zip64=True) as part:
                counts[sheet.key] = _write_csv(part, sheet, rows.of(sheet))
    return Exported(counts)


def _text_cell(page: Any, text: str) -> Any:
    if not text:
        return None
    cell = WriteOnlyCell(page, ILLEGAL_CHARACTERS_RE.sub("", text))
    cell.number_format = _TEXT_FORMAT
    return cell


def _write_csv(file: IO[bytes], sheet: Sheet, rows: Iterable[SheetCells]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([column.key for column in sheet.columns])
    count = 0
    for cells in rows:
        writer.writerow(_line(sheet, cells))
        count += 1
    text.flush()
    text.detach()
    return count


def _line(sheet: Sheet, cells: SheetCells) -> list[str]:
    return [_neutral(cells.get(column.key, "")) for column in sheet.columns]


def _neutral(text: str) -> str:
    return f"'{text}" if _DANGEROUS.match(text) else text


def _counted(rows: Iterator[SheetCells], sheet: str, progress: Progress) -> Iterator[SheetCells]:
    for count, cells in enumerate(rows, 1):
        if count % 1000 == 0:
            progress(sheet, count)
        yield cells
