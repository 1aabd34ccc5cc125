"""Writes an empty import workbook: the sheets with their headers, and a page that says what belongs where."""

from collections.abc import Sequence
from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from cloud.register.layout import NOTES, SHEETS, Sheet

_TEXT_FORMAT = "@"
_PREPARED_ROWS = 2000
_WIDTH = 18


def write_template(path: Path, sheets: Sequence[Sheet] = SHEETS) -> None:
    """Write the workbook. Cells are formatted as text, so that ID numbers keep all their digits."""
    book = Workbook()
    for blank in book.worksheets:
        book.remove(blank)
    notes = book.create_sheet(NOTES[0])
    notes.append(["表 sheet", "列 column", "必填 required", "示例 example"])
    for sheet in sheets:
        page = book.create_sheet(sheet.chinese)
        page.append([f"{column.chinese}{'*' if column.required else ''}" for column in sheet.columns])
        page.freeze_panes = "A2"
        for number, column in enumerate(sheet.columns, 1):
            letter = get_column_letter(number)
            page.column_dimensions[letter].width = _WIDTH
            page[f"{letter}1"].font = Font(bold=True)
            for row in range(2, _PREPARED_ROWS + 2):
                page[f"{letter}{row}"].number_format = _TEXT_FORMAT
            notes.append(
                [f"{sheet.chinese} ({sheet.key})", column.shown, "是 yes" if column.required else "", column.example]
            )
    for letter in "ABCD":
        notes.column_dimensions[letter].width = 2 * _WIDTH
    book.save(path)
