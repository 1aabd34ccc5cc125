"""Takes an import file into the register in one transaction: all of it, or nothing and a list of what is wrong.

Importing a file again changes only what differs. Nothing is ever removed by what a file leaves out.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.database.engine import Database
from cloud.database.tables import PlaceKind, ResidencyRole
from cloud.register import cells
from cloud.register.change import Change
from cloud.register.credentials import CardEntry, put_credential
from cloud.register.doors import DoorKey, put_door, put_door_group, put_schedule
from cloud.register.errors import RegisterError
from cloud.register.files import SheetRow, SheetRows, UnreadableFile, read_file
from cloud.register.ids import IdMaker
from cloud.register.layout import DOOR_GROUPS, DOORS, PLACES, RESIDENTS, SCHEDULES
from cloud.register.people import PersonEntry, ResidencyEntry, put_person, put_residency
from cloud.register.places import place_id, put_place
from cloud.register.report import ImportReport, RowError
from cloud.vault import Vault
from protocols.rules import Interval

CHINA = ZoneInfo("Asia/Shanghai")
_PROGRESS_EVERY = 100
_NAME_CHARACTERS = 120

Progress = Callable[[str, int, int], None]
"""(sheet, rows done, rows in all)."""


class _TakenBack(Exception):
    """Ends the transaction of an import that is not to stay."""


def import_register(
    database: Database,
    vault: Vault,
    path: Path,
    dry_run: bool = False,
    progress: Progress = lambda _sheet, _done, _all: None,
    zone: ZoneInfo = CHINA,
) -> ImportReport:
    """Import a workbook, a CSV file of residents, or a folder of CSV files; with `dry_run` only check it.

    Dates are days in `zone`. The report says what was done, or every fault that was found.
    """
    report = ImportReport(dry_run)
    try:
        read = read_file(path)
    except UnreadableFile as error:
        report.add_error(error.error)
        return report
    report.ignored_sheets = read.ignored
    try:
        with database.write() as connection:
            importer = _Importer(connection, vault, zone, report, progress)
            for sheet in read.sheets:
                importer.take(sheet)
            if not report.imported:
                raise _TakenBack
    except _TakenBack:
        pass
    return report


class _Importer:
    """Puts the rows of each sheet into the register, within one transaction."""

    def __init__(
        self, connection: Connection, vault: Vault, zone: ZoneInfo, report: ImportReport, progress: Progress
    ) -> None:
        self._connection = connection
        self._vault = vault
        self._zone = zone
        self._report = report
        self._progress = progress
        self._new_id = IdMaker()
        self._schedules: defaultdict[str, list[Interval]] = defaultdict(list)
        self._dwellings: dict[str, UUID] = {}
        self._take: Mapping[str, Callable[[dict[str, str]], None]] = {
            PLACES.key: self._place,
            SCHEDULES.key: self._schedule,
            DOORS.key: self._door,
            DOOR_GROUPS.key: self._door_group,
            RESIDENTS.key: self._resident,
        }

    def take(self, read: SheetRows) -> None:
        """Take up a sheet; a faulty row is reported and the others are still checked."""
        for error in read.errors:
            self._report.add_error(error)
        faulty = {error.row for error in read.errors}
        for done, row in enumerate(read.rows, 1):
            if row.number not in faulty:
                self._take_row(read, row)
            if done % _PROGRESS_EVERY == 0 or done == len(read.rows):
                self._progress(read.title, done, len(read.rows))

    def _take_row(self, read: SheetRows, row: SheetRow) -> None:
        missing = [column for column in read.sheet.columns if column.required and column.key not in row.cells]
        for column in missing:
            self._report.add_error(RowError(read.title, row.number, column.shown, "the cell is empty", "fill it in"))
        if missing:
            return
        try:
            if len(row.cells.get("name", "")) > _NAME_CHARACTERS:
                raise RegisterError("name", f"it is longer than {_NAME_CHARACTERS} characters", "shorten it")
            self._take[read.sheet.key](row.cells)
        except RegisterError as error:
            found = read.sheet.column(error.field)
            shown = found.shown if found else error.field
            self._report.add_error(RowError(read.title, row.number, shown, error.problem, error.remedy))

    def _place(self, row: dict[str, str]) -> None:
        kind = cells.one_of(row["kind"], "kind", PlaceKind, cells.KINDS)
        change = put_place(self._connection, self._new_id, row["code"], kind, row["name"], row.get("parent"))
        self._report.count("places", change)

    def _schedule(self, row: dict[str, str]) -> None:
        """A schedule's rows add up; each puts what is known of it so far."""
        since, until = cells.minute_of_day(row["from"], "from"), cells.minute_of_day(row["until"], "until")
        if since >= until:
            raise RegisterError("until", "it ends before it begins", "write two rows for a span over midnight")
        intervals = self._schedules[row["code"]]
        is_first = not intervals
        for day in cells.weekdays(row["days"], "days"):
            interval = Interval(weekday=day, since=since, until=until)
            if interval not in intervals:
                intervals.append(interval)
        change = put_schedule(self._connection, row["code"], row["name"], intervals)
        if is_first:
            self._report.count("schedules", change)

    def _door(self, row: dict[str, str]) -> None:
        key = DoorKey(row["gateway"], row["device"])
        self._report.count("doors", put_door(self._connection, self._new_id, key, row["place"], row["name"]))

    def _door_group(self, row: dict[str, str]) -> None:
        doors = []
        for word in cells.list_of(row["doors"]):
            gateway, slash, device = word.partition("/")
            if not slash:
                raise RegisterError("doors", f"{word[:60]!r} is no door", "write GATEWAY/DEVICE; GATEWAY/DEVICE")
            doors.append(DoorKey(gateway, device))
        change = put_door_group(self._connection, row["code"], row["name"], row["schedule"], doors)
        self._report.count("door groups", change)

    def _resident(self, row: dict[str, str]) -> None:
        dwelling = self._dwelling(row["dwelling"])
        residency = ResidencyEntry(
            dwelling,
            cells.one_of(row["role"], "role", ResidencyRole, cells.ROLES),
            cells.day_start(row["since"], "since", self._zone),
            cells.day_end(row["until"], "until", self._zone) if "until" in row else None,
        )
        card = self._card(row)
        entry = PersonEntry(row["name"], row.get("id_number"), row.get("phone"))
        person, change = put_person(self._connection, self._vault, self._new_id, entry, dwelling)
        self._report.count("persons", change)
        self._report.count("residencies", put_residency(self._connection, self._new_id, person, residency))
        if card is not None:
            _, change = put_credential(self._connection, self._vault, self._new_id, person, card)
            self._report.count("credentials", change)

    def _dwelling(self, code: str) -> UUID:
        """The id of a dwelling; the rows of one household stand together, so it is asked for once."""
        if code not in self._dwellings:
            self._dwellings[code] = place_id(self._connection, code, "dwelling", PlaceKind.DWELLING)
        return self._dwellings[code]

    def _card(self, row: dict[str, str]) -> CardEntry | None:
        if "card" not in row:
            for key in ("card_since", "card_until", "groups"):
                if key in row:
                    raise RegisterError(key, "there is no card in this row", "fill in the card, or empty this cell")
            return None
        return CardEntry(
            row["card"],
            cells.day_start(row["card_since"], "card_since", self._zone) if "card_since" in row else None,
            cells.day_end(row["card_until"], "card_until", self._zone) if "card_until" in row else None,
            frozenset(cells.list_of(row.get("groups", ""))),
        )


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
