"""Spreadsheets as strangers send them: formulas, merged cells, dates as text, bombs, gaps, too many rows."""

import io
import random
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path

import pytest
from openpyxl import Workbook

from cloud.register import files
from cloud.register.files import SheetRow, UnreadableFile, column_map, opened
from cloud.register.report import RowError
from cloud.register.workbook import DamagedWorkbook, open_workbook

HEAD = ["name", "dwelling", "role", "since"]
ROW = ["张伟", "aj-1", "owner", "2024-01-31"]
SHEET = "xl/worksheets/sheet1.xml"


def book_of(path: Path, rows: list[list[object]], change: Callable[[Workbook], None] = lambda _book: None) -> Path:
    book = Workbook()
    page = book.worksheets[0]
    page.title = "residents"
    for row in rows:
        page.append(row)
    change(book)
    book.save(path)
    return path


def altered(path: Path, old: bytes, new: bytes, part: str = SHEET) -> Path:
    """The workbook with some bytes of a part replaced."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old in parts[part]
    parts[part] = parts[part].replace(old, new, 1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def read(path: Path, **columns: str) -> tuple[list[dict[str, str]], list[RowError]]:
    """The rows without a fault, and all faults."""
    rows, faults = [], []
    with opened(path, columns) as file:
        for row in (row for sheet in file.sheets for row in sheet.rows()):
            if isinstance(row, SheetRow) and not row.faults:
                rows.append(row.cells)
            else:
                faults += list(row.faults) if isinstance(row, SheetRow) else [row]
    return rows, faults


def test_a_formula_is_refused_whatever_it_amounts_to(tmp_path: Path) -> None:
    path = book_of(tmp_path / "a.xlsx", [HEAD, ['=HYPERLINK("http://evil","x")', *ROW[1:]], ROW])
    rows, faults = read(path)
    assert len(rows) == 1
    assert [(fault.row, fault.column, fault.problem) for fault in faults] == [(2, "name", "the cell holds a formula")]


def test_a_formula_with_a_stored_result_is_refused_too(tmp_path: Path) -> None:
    path = altered(book_of(tmp_path / "a.xlsx", [HEAD, ["=1+1", *ROW[1:]]]), b"<f>1+1</f><v", b"<f>1+1</f><v>2</v><v")
    assert [fault.problem for fault in read(path)[1]] == ["the cell holds a formula"]


def test_a_formula_in_a_csv_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{','.join(HEAD)}\n=cmd|' /C calc'!A0,{','.join(ROW[1:])}\n")
    assert [fault.problem for fault in read(tmp_path / "a.csv")[1]] == ["the cell holds a formula"]


def test_merged_cells_are_refused_by_their_place(tmp_path: Path) -> None:
    path = book_of(tmp_path / "a.xlsx", [HEAD, ROW, ROW], lambda book: book.worksheets[0].merge_cells("B2:B3"))
    with pytest.raises(UnreadableFile, match="B2:B3 are merged"):
        read(path)


def test_dates_come_as_days_whatever_they_were_typed_as(tmp_path: Path) -> None:
    cells = [date(2024, 1, 31), datetime(2024, 1, 31, 12, 30), "2024年1月31日", "2024/1/31", time(6, 5)]  # noqa: DTZ001 (a spreadsheet knows no zones)
    path = book_of(tmp_path / "a.xlsx", [HEAD, *([*ROW[:3], cell] for cell in cells)])
    assert [row["since"] for row in read(path)[0]] == [
        "2024-01-31",
        "2024-01-31",
        "2024年1月31日",
        "2024/1/31",
        "06:05",
    ]


def test_long_numbers_have_lost_their_last_digits(tmp_path: Path) -> None:
    path = book_of(tmp_path / "a.xlsx", [[*HEAD, "id_number"], [*ROW, 520402199003071232], [*ROW, 12.0]])
    rows, faults = read(path)
    assert [row["id_number"] for row in rows] == ["12"]
    assert "lost its last digits" in faults[0].problem


def test_a_gap_of_a_million_rows_takes_no_time(tmp_path: Path) -> None:
    path = altered(book_of(tmp_path / "a.xlsx", [HEAD, ROW]), b'<row r="2"', b'<row r="1048576"')
    assert read(path)[0] == [dict(zip(HEAD, ROW, strict=True))]
    with pytest.raises(UnreadableFile, match="no sound Excel workbook"):
        read(altered(path, b'<row r="1048576"', b'<row r="99999999999"'))


def test_an_entity_is_never_declared(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><worksheet '
    path = altered(book_of(tmp_path / "a.xlsx", [HEAD, ROW]), b"<worksheet ", bomb)
    with pytest.raises(UnreadableFile, match="no sound Excel workbook"):
        read(path)


def test_too_many_rows_are_told_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ROWS", 3)
    rows, faults = read(book_of(tmp_path / "a.xlsx", [HEAD, *([ROW] * 5)]))
    assert len(rows) == 3
    assert "more than 3 rows" in faults[0].problem


def test_half_a_million_rows_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write(",".join(HEAD) + "\n")
        file.writelines(",".join(ROW) + "\n" for _ in range(files.MAX_ROWS + 5))
    with opened(path) as read_file:
        rows = iter(read_file.sheets[0].rows())
        assert isinstance(next(rows), SheetRow)
        last = None
        for row in rows:
            last = row
    assert isinstance(last, RowError)
    assert "split the file" in last.remedy


def test_a_files_own_headers_are_mapped(tmp_path: Path) -> None:
    path = book_of(tmp_path / "a.xlsx", [["户主", "房号", "role", "since"], ROW])
    assert "is not known" in read(path)[1][0].problem
    rows, faults = read(path, **column_map(["户主=name", "房 号* = dwelling"]))
    assert (rows, faults) == ([dict(zip(HEAD, ROW, strict=True))], [])


@pytest.mark.parametrize("pair", ["户主", "=name", "户主=nation"])
def test_a_map_that_says_nothing_is_refused(pair: str) -> None:
    with pytest.raises(ValueError, match=r"maps nothing|no column"):
        column_map([pair])


def test_a_neutralised_cell_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{','.join([*HEAD, 'phone'])}\n{','.join([*ROW, chr(39) + '+86 138'])}\n")
    assert read(tmp_path / "a.csv")[0][0]["phone"] == "+86 138"


def test_no_damage_crashes_or_hangs_the_reader(tmp_path: Path) -> None:
    path = book_of(tmp_path / "a.xlsx", [HEAD, ROW, ["=1", None, 5, date(2024, 1, 1)]])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    dice = random.Random(5)
    for _ in range(400):
        name = dice.choice(list(parts))
        content = bytearray(parts[name])
        for _ in range(dice.randrange(1, 6)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        damaged = io.BytesIO()
        with zipfile.ZipFile(damaged, "w") as archive:
            for each, whole in parts.items():
                archive.writestr(each, bytes(content) if each == name else whole)
        (tmp_path / "b.xlsx").write_bytes(damaged.getvalue())
        try:
            with open_workbook(tmp_path / "b.xlsx", 10_000_000, 64) as sheets:
                for sheet in sheets:
                    list(sheet.rows())
        except DamagedWorkbook:
            pass
