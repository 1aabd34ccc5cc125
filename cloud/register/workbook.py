"""Reads the cells of an Excel workbook (ECMA-376, SpreadsheetML), row by row, with little memory.

openpyxl writes our workbooks, but does not read those of strangers: it fills a gap between two rows however large,
takes a formula's stored result for a value, does not tell of merged cells while it streams, and takes several times as
long. No document type is accepted, so no entity can be declared.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

Cell = str | int | float | date | datetime | time | timedelta | None
FORMULA = "="
"""What a cell with a formula reads as."""

MAX_ROW = 1_048_576
_CHUNK_BYTES = 1 << 16
_MAX_SHEETS = 100
_CHINESE_DATES = frozenset((*range(27, 37), *range(50, 59)))
"""Number formats that mean dates in Chinese editions (ECMA-376 part 1, 18.8.30)."""
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_LETTERS = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


class DamagedWorkbook(Exception):
    """A file that is no workbook, or a part of it that cannot be read."""


class MergedCells(Exception):
    """A sheet with merged cells, of which the file holds the first alone."""


@dataclass(frozen=True)
class WorkbookSheet:
    """A sheet: its title, and its rows with their numbers as spreadsheets count, cells in the order of columns."""

    title: str
    rows: Callable[[], Iterator[tuple[int, list[Cell]]]]


_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    LookupError,
    ValueError,
    OverflowError,
    EOFError,
    NotImplementedError,  # compressed in a way that `zipfile` does not know
    RuntimeError,  # an encrypted archive
)


@contextmanager
def open_workbook(path: Path, max_unpacked_bytes: int, max_columns: int) -> Iterator[list[WorkbookSheet]]:
    """The sheets of a workbook, to be read while it is open; columns beyond `max_columns` are not read.

    Raises:
        DamagedWorkbook: if it is none, or unpacked it is too large. `rows` raises it too, and `MergedCells`.
    """
    with _told_as_damage(), zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > max_unpacked_bytes:
            raise DamagedWorkbook(f"unpacked it is larger than {max_unpacked_bytes // 2**20} MiB")
        book = _Book(archive, max_columns)
        yield [WorkbookSheet(title, _rows_of(book, part)) for title, part in book.parts]


@contextmanager
def _told_as_damage() -> Iterator[None]:
    try:
        yield
    except _DAMAGES as error:
        raise DamagedWorkbook(f"it is no sound Excel workbook ({type(error).__name__})") from error


def _rows_of(book: "_Book", part: str) -> Callable[[], Iterator[tuple[int, list[Cell]]]]:
    def rows() -> Iterator[tuple[int, list[Cell]]]:
        reader = _SheetReader(book)
        with book.archive.open(part) as file:
            for _ in _parsed(file, reader.start, reader.end, reader.text):
                yield from reader.take()

    def told() -> Iterator[tuple[int, list[Cell]]]:
        with _told_as_damage():
            yield from rows()

    return told


class _Book:
    """What all sheets of a workbook share."""

    def __init__(self, archive: zipfile.ZipFile, max_columns: int) -> None:
        self.archive = archive
        self.max_columns = max_columns
        self.epoch = CALENDAR_WINDOWS_1900
        self.strings: list[str] = []
        self.date_styles: set[int] = set()
        self.parts: list[tuple[str, str]] = []
        self._names = set(archive.namelist())
        main = self._target("_rels/.rels", "officeDocument") or "xl/workbook.xml"
        self._read_main(main)
        rels = posixpath.join(posixpath.dirname(main), "_rels", posixpath.basename(main) + ".rels")
        if strings := self._target(rels, "sharedStrings", posixpath.dirname(main)):
            self._read_strings(strings)
        if styles := self._target(rels, "styles", posixpath.dirname(main)):
            self._read_styles(styles)

    def _relations(self, name: str, base: str) -> Iterator[tuple[str, str, str]]:
        """(id, kind, part) of a part's relations."""
        for attributes in self._elements(name, "Relationship"):
            target = attributes["Target"]
            part = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join(base, target))
            yield attributes["Id"], attributes["Type"].rpartition("/")[2], part

    def _target(self, name: str, kind: str, base: str = "") -> str | None:
        if name not in self._names:
            return None
        return next((part for _, each, part in self._relations(name, base) if each == kind), None)

    def _read_main(self, main: str) -> None:
        base = posixpath.dirname(main)
        rels = posixpath.join(base, "_rels", posixpath.basename(main) + ".rels")
        parts = {identifier: part for identifier, _, part in self._relations(rels, base)}
        for attributes in self._elements(main, "sheet"):
            reference = next(value for key, value in attributes.items() if key.endswith((":id", _RELATION + " id")))
            if len(self.parts) >= _MAX_SHEETS:
                raise ValueError("too many sheets")
            self.parts.append((attributes["name"], parts[reference]))
        for attributes in self._elements(main, "workbookPr"):
            if attributes.get("date1904") in ("1", "true"):
                self.epoch = CALENDAR_MAC_1904

    def _read_strings(self, name: str) -> None:
        reader = _StringsReader(self.strings)
        with self.archive.open(name) as file:
            for _ in _parsed(file, reader.start, reader.end, reader.text):
                pass

    def _read_styles(self, name: str) -> None:
        formats = {int(each["numFmtId"]): each.get("formatCode", "") for each in self._elements(name, "numFmt")}
        for style, attributes in enumerate(self._elements(name, "xf", "cellXfs")):
            number = int(attributes.get("numFmtId", 0))
            code = formats.get(number) or BUILTIN_FORMATS.get(number, "")
            if number in _CHINESE_DATES or is_date_format(code):
                self.date_styles.add(style)

    def _elements(self, name: str, wanted: str, within: str | None = None) -> list[dict[str, str]]:
        """The attributes of a part's elements of one name, of all or of those within another."""
        found: list[dict[str, str]] = []
        open_ones: list[str] = []

        def start(element: str, attributes: dict[str, str]) -> None:
            if element == wanted and (within is None or within in open_ones):
                found.append(attributes)
            open_ones.append(element)

        def end(_element: str) -> None:
            open_ones.pop()

        with self.archive.open(name) as file:
            for _ in _parsed(file, start, end, lambda _text: None):
                pass
        return found


class _StringsReader:
    """Shared strings: the text of an `si` is that of its `t`, but not of phonetic hints (`rPh`)."""

    def __init__(self, strings: list[str]) -> None:
        self._strings = strings
        self._parts: list[str] = []
        self._is_text = False
        self._is_hint = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if name == "si":
            self._parts = []
        self._is_hint = self._is_hint or name == "rPh"
        self._is_text = name == "t" and not self._is_hint

    def end(self, name: str) -> None:
        self._is_text = False
        if name == "rPh":
            self._is_hint = False
        elif name == "si":
            self._strings.append("".join(self._parts))

    def text(self, text: str) -> None:
        if self._is_text:
            self._parts.append(text)


class _SheetReader:
    """The rows of a sheet, collected until they are taken."""

    def __init__(self, book: _Book) -> None:
        self._book = book
        self._rows: list[tuple[int, list[Cell]]] = []
        self._number = 0
        self._cells: list[Cell] = []
        self._column = 0
        self._kind = ""
        self._style = ""
        self._is_formula = False
        self._is_text = False
        self._parts: list[str] = []

    def take(self) -> list[tuple[int, list[Cell]]]:
        rows, self._rows = self._rows, []
        return rows

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._begin_cell(attributes)
        elif name in ("v", "t"):
            self._is_text = True
        elif name == "f":
            self._is_formula = True
        elif name == "row":
            number = int(attributes.get("r", self._number + 1))
            if not self._number < number <= MAX_ROW:
                raise ValueError("rows are not in order")
            self._number, self._cells, self._column = number, [], -1
        elif name == "mergeCell":
            raise MergedCells(attributes.get("ref", "")[:20])

    def end(self, name: str) -> None:
        self._is_text = False
        if name == "c":
            if self._column < self._book.max_columns:
                self._cells.extend([None] * (self._column - len(self._cells)))
                self._cells.append(self._value())
        elif name == "row":
            self._rows.append((self._number, self._cells))

    def text(self, text: str) -> None:
        if self._is_text:
            self._parts.append(text)

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        place = attributes.get("r")
        column = self._column + 1 if place is None else _column(place)
        if column <= self._column:
            raise ValueError("cells are not in order")
        self._column = column
        self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
        self._is_formula, self._parts = False, []

    def _value(self) -> Cell:
        if self._is_formula:
            return FORMULA
        text = "".join(self._parts)
        if not text:
            return None
        if self._kind == "s":
            return self._book.strings[int(text)]
        if self._kind == "n":
            return self._number_or_date(text)
        if self._kind == "d":
            return datetime.fromisoformat(text)
        return text

    def _number_or_date(self, text: str) -> Cell:
        number = int(text) if text.isdigit() else float(text)
        if self._style and int(self._style) in self._book.date_styles:
            found: Cell = from_excel(number, self._book.epoch)
            return found
        return number


def _column(place: str) -> int:
    """The number of a cell's column, from 0: B7 is 1."""
    match = _LETTERS.fullmatch(place)
    if match is None:
        raise ValueError("a cell without a place")
    number = 0
    for letter in match[1]:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _parsed(
    file: IO[bytes],
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
) -> Iterator[None]:
    """Parse a part, and pause after each of its chunks; names come without their prefix."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype

    def first(name: str, attributes: dict[str, str]) -> None:
        """Most files use no prefix, and are read faster without a look at each name."""
        if ":" in name:
            parser.StartElementHandler = lambda each, its: start(each.rpartition(":")[2], its)
            parser.EndElementHandler = lambda each: end(each.rpartition(":")[2])
        else:
            parser.StartElementHandler, parser.EndElementHandler = start, end
        start(name.rpartition(":")[2], attributes)

    parser.StartElementHandler = first
    parser.CharacterDataHandler = text
    while chunk := file.read(_CHUNK_BYTES):
        parser.Parse(chunk, False)
        yield
    parser.Parse(b"", True)
    yield


def _refuse_doctype(*_: Any) -> None:
    raise ValueError("a document type is declared")
