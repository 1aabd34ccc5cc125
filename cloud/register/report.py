"""What an import did, and what is wrong with its file, row by row."""

from collections import Counter
from dataclasses import dataclass, field

from cloud.register.change import Change

MAX_ERRORS_LISTED = 200


@dataclass(frozen=True)
class RowError:
    """One fault. `row` counts from 1 as spreadsheets do; 0 means the sheet or file as a whole."""

    sheet: str
    row: int
    column: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.sheet}, row {self.row}" if self.row else self.sheet
        column = f", column {self.column}" if self.column else ""
        return f"{where}{column}: {self.problem}; {self.remedy}"


@dataclass
class ImportReport:
    """The result of an import: all of it was taken up, or, with errors or as a dry run, nothing."""

    dry_run: bool
    changes: dict[str, Counter[Change]] = field(default_factory=dict)
    """What (places, persons, residencies, credentials, ...) -> how many were added, updated, unchanged."""
    errors: list[RowError] = field(default_factory=list)
    """The first `MAX_ERRORS_LISTED`."""
    error_count: int = 0
    ignored_sheets: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.error_count == 0

    @property
    def imported(self) -> bool:
        """Whether the register was changed."""
        return self.ok and not self.dry_run

    def add_error(self, error: RowError) -> None:
        self.error_count += 1
        if len(self.errors) < MAX_ERRORS_LISTED:
            self.errors.append(error)

    def count(self, what: str, change: Change) -> None:
        self.changes.setdefault(what, Counter())[change] += 1
