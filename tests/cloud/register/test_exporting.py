"""An export is what an import takes: the register that comes of it is the one that was. Masked, it tells little."""

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from sqlalchemy import Connection, insert, select
from typer.testing import CliRunner

from cloud.access.reach import Reach
from cloud.accounts import WHOLE, Scope
from cloud.database.engine import Database, open_database
from cloud.database.tables import AuditEntry, AuditSubject, Gateway, Person, Place
from cloud.register.exporting import write_folder, write_workbook, write_zip
from cloud.register.importing import CHINA, import_register
from cloud.register.layout import SHEETS
from cloud.register.paths import subtree
from cloud.register.rows import RegisterRows
from cloud.vault import Vault
from gatehouse.hub_command import app
from protocols.resident_id import check_character
from tests.support.databases import new_sqlite
from tests.support.events import NOON

VAULT = Vault(bytes(range(32)))
EVERYWHERE = Reach(WHOLE, NOON)
Sheets = dict[str, list[dict[str, str]]]


def contents(connection: Connection, reach: Reach = EVERYWHERE, *, masked: bool = False) -> Sheets:
    rows = RegisterRows(connection, VAULT, reach, CHINA, masked)
    return {sheet.key: list(rows.of(sheet)) for sheet in SHEETS}


def exported(database: Database, path: Path, reach: Reach = EVERYWHERE, *, masked: bool = False) -> Path:
    with database.read() as connection:
        rows = RegisterRows(connection, VAULT, reach, CHINA, masked)
        if path.suffix == ".xlsx":
            with path.open("wb") as file:
                write_workbook(rows, file, SHEETS)
        elif path.suffix == ".zip":
            with path.open("wb") as file:
                write_zip(rows, file, SHEETS)
        else:
            write_folder(rows, path, SHEETS)
    return path


def written(folder: Path, sheets: Sheets) -> Path:
    """A register as a folder of CSV files, as a person would write it."""
    folder.mkdir()
    for sheet in SHEETS:
        with (folder / f"{sheet.key}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [column.key for column in sheet.columns])
            writer.writeheader()
            writer.writerows(sheets.get(sheet.key, []))
    return folder


def taken(database: Database, path: Path) -> None:
    report = import_register(database, VAULT, path)
    assert report.errors == []


def add_gateway(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(Gateway).values(id="g1", created_at=NOON, session=0))


# --- Registers made up


def day(number: int) -> str:
    return (date(2020, 1, 1) + timedelta(days=number)).isoformat()


TEXT = st.text("张李'=+-@\"; ,一a1。", min_size=1, max_size=6).map(lambda text: f"名{text}".strip())
"""Names that could break a cell, and begin as none breaks it: see HOSTILE for those that do."""
HOSTILE = st.sampled_from(
    ["张伟", "+张", "-1", "@x", "'=x", "''=x", "'x", '"', "a;b", "a,b", "张 三", "1", "007", "a\nb"]
)
NAMES = st.one_of(TEXT, HOSTILE)
SPANS = st.tuples(st.integers(0, 900), st.integers(1, 900), st.booleans())


def period(span: tuple[int, int, bool], **names: str) -> dict[str, str]:
    since, length, is_open = span
    found = {names.get("since", "since"): day(since)}
    return found if is_open else {**found, names.get("until", "until"): day(since + length)}


def following(draw: Any, most: int) -> list[dict[str, str]]:
    """Periods one after the other, without overlap; the last may have no end."""
    edges = sorted(draw(st.sets(st.integers(0, 900), min_size=2, max_size=2 * most)))
    pairs = [(first, last) for first, last in list(pairwise(edges))[::2]]
    found = [{"since": day(first), "until": day(last - 1)} for first, last in pairs]
    if found and draw(st.booleans()):
        del found[-1]["until"]
    return found


def id_number(serial: int) -> str:
    digits = f"52040219900307{serial:03}"
    return digits + check_character(digits)


@st.composite
def registers(draw: Any) -> Sheets:
    dwellings = [f"d{number}" for number in range(draw(st.integers(1, 3)))]
    sheets: Sheets = {
        "places": [
            {"code": "aj", "kind": "community", "name": draw(NAMES), "division": "520402"},
            {"code": "gate", "kind": "entrance", "name": draw(NAMES), "parent": "aj"},
            *({"code": each, "kind": "dwelling", "name": draw(NAMES), "parent": "aj"} for each in dwellings),
        ],
        "grids": [
            {"code": "g1", "name": draw(NAMES), "place": "aj", "since": day(0)},
            {"code": "a2", "name": draw(NAMES), "place": "aj", "parent": "g1", "since": day(0)},
        ],
        "joint_units": [{"code": "u1", "name": draw(NAMES), "place": "aj", "grid": "a2", "since": day(0)}],
        "schedules": _schedules(draw),
        "doors": [{"gateway": "g1", "device": "d-1", "place": "gate", "name": draw(NAMES)}],
        "door_groups": [
            {"code": "x", "name": draw(NAMES), "schedule": "s", "doors": draw(st.sampled_from(["none", "g1/d-1"]))}
        ],
        "households": [
            {"code": f"h-{each}", "dwelling": each, **period(draw(SPANS))} for each in dwellings if draw(st.booleans())
        ],
    }
    sheets["memberships"] = [
        {"place": each, column: member, **span}
        for each in [*dwellings, "gate"]
        for column, member in (("grid", "g1"), ("joint_unit", "u1"))
        if column == "grid" or each != "gate"
        for span in following(draw, 2)
    ]
    _people(draw, sheets, dwellings)
    return sheets


def _schedules(draw: Any) -> list[dict[str, str]]:
    spans = draw(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 700)), max_size=3, unique=True))
    days = st.sampled_from(["mon-fri", "sat;sun", "all", "holiday", "周三"])
    rows = [
        {"code": "s", "name": "week", "days": draw(days), "from": clock(since), "until": clock(since + length)}
        for since, length in spans
    ]
    return rows or [{"code": "s", "name": "week", "days": "none", "from": "00:00", "until": "24:00"}]


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _people(draw: Any, sheets: Sheets, dwellings: list[str]) -> None:
    homes = {row["dwelling"] for row in sheets["households"]}
    for sheet in ("residents", "posts", "contacts", "vehicles", "guests"):
        sheets[sheet] = []
    cards = iter(range(1, 100))
    for serial in range(draw(st.integers(0, 4))):
        known = draw(st.booleans())
        name = draw(NAMES) if known else f"{draw(NAMES)}{serial}"
        who = {"name": name, **({"id_number": id_number(serial)} if known else {})}
        before = len(sheets["residents"])
        for home in draw(st.sets(st.sampled_from(dwellings), min_size=1, max_size=2 if known else 1)):
            person = {**who, "dwelling": home, "role": draw(st.sampled_from(["owner", "租户", "family"]))}
            for span in following(draw, 2):
                stay = {**person, **span}
                if home in homes and draw(st.booleans()):
                    stay["household"] = f"h-{home}"
                for _ in range(draw(st.integers(1, 2))):
                    more: dict[str, str] = {}
                    if draw(st.booleans()):
                        more = {"card": f"w26:1:{next(cards)}", "groups": draw(st.sampled_from(["", "x"]))}
                        more |= period(draw(SPANS), since="card_since", until="card_until")
                    if draw(st.booleans()):
                        more["lease"] = draw(HOSTILE) + str(next(cards))
                        more |= period(draw(SPANS), since="lease_since", until="lease_until")
                    sheets["residents"].append({**stay, **more})
        if len(sheets["residents"]) > before:
            _of_person(draw, sheets, {**who, **({} if known else {"dwelling": home})}, serial)
    sheets["guests"] = [
        {"dwelling": home, "name": draw(NAMES), "since": day(number), "until": day(number + 2), "phone": "13700002222"}
        for home in dwellings
        for number in range(draw(st.integers(0, 2)))
    ]


def _of_person(draw: Any, sheets: Sheets, who: dict[str, str], serial: int) -> None:
    if draw(st.booleans()):
        sheets["contacts"].append(
            {**who, "contact": draw(NAMES), "relation": draw(HOSTILE), "phone": f"+861390000{serial:04}"}
        )
    if draw(st.booleans()):
        plate = {"plate": f"贵G1234{serial}", "description": draw(HOSTILE), "since": day(serial)}
        sheets["vehicles"].append({**who, **plate})
    if draw(st.booleans()):
        sheets["posts"].append({**who, "kind": "grid_member", "code": "a2", **period(draw(SPANS))})
    if serial == 0 and draw(st.booleans()):
        sheets["posts"].append({**who, "kind": "unit_head", "code": "u1", **period(draw(SPANS))})


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and a gateway, to be copied."""
    folder = tmp_path_factory.mktemp("empty")
    database = new_sqlite(folder)
    add_gateway(database)
    database.close()
    return folder / "hub.db"


@settings(
    deadline=None, max_examples=40, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(made=registers(), form=st.sampled_from([".xlsx", ""]))
def test_what_was_written_comes_back_the_same(
    empty: Path, tmp_path_factory: pytest.TempPathFactory, made: Sheets, form: str
) -> None:
    folder = tmp_path_factory.mktemp("round")
    databases = []
    for name in ("first.db", "second.db"):
        shutil.copy(empty, folder / name)
        databases.append(open_database(f"sqlite:///{folder / name}"))
    first, second = databases
    taken(first, written(folder / "made", made))
    with first.read() as connection:
        told = contents(connection)
    path = exported(first, folder / f"out{form}")
    taken(second, path)
    with second.read() as connection:
        assert contents(connection) == told
    again = import_register(first, VAULT, path)
    changed = {what: counts for what, counts in again.changes.items() if counts["added"] or counts["updated"]}
    assert (again.errors, set(changed) - {"schedules"}) == ([], set()), changed
    assert counted(told) == counted({name: made.get(name, []) for name in told}, told)
    for database in databases:
        database.close()


def counted(sheets: Sheets, like: Sheets | None = None) -> dict[str, int]:
    """How many entries a register has; of sheets where rows add up, as many as `like` has."""
    add_up = ("residents", "schedules", "memberships")
    return {name: len((like or sheets)[name] if name in add_up else rows) for name, rows in sheets.items()}


# --- On both databases


@pytest.fixture
def full(database: Database, tmp_path: Path) -> Database:
    add_gateway(database)
    sheets: Sheets = {
        "places": [
            {"code": "city", "kind": "city", "name": "市"},
            {"code": "aj", "kind": "community", "name": "安静", "parent": "city"},
            {"code": "d1", "kind": "dwelling", "name": "=1+1".replace("=", "'="), "parent": "aj"},
            {"code": "bj", "kind": "community", "name": "别处", "parent": "city"},
            {"code": "e1", "kind": "dwelling", "name": "101", "parent": "bj"},
        ],
        "schedules": [{"code": "s", "name": "w", "days": "all", "from": "06:00", "until": "24:00"}],
        "doors": [{"gateway": "g1", "device": "d-1", "place": "aj", "name": "门"}],
        "door_groups": [{"code": "x", "name": "x", "schedule": "s", "doors": "g1/d-1"}],
        "residents": [
            {
                "name": "欧阳娜娜",
                "id_number": id_number(1),
                "phone": "13800000000",
                "dwelling": "d1",
                "role": "owner",
                "since": "2020-01-01",
                "card": "w26:1:5",
                "groups": "x",
            },
            {"name": "司徒远", "dwelling": "e1", "role": "owner", "since": "2020-01-01"},
        ],
        "contacts": [{"name": "欧阳娜娜", "id_number": id_number(1), "contact": "欧阳敏", "phone": "13900001111"}],
        "vehicles": [{"name": "司徒远", "dwelling": "e1", "plate": "贵G12345", "since": "2020-01-01"}],
        "guests": [{"dwelling": "d1", "name": "钱一", "since": "2024-05-01", "until": "2024-05-02"}],
    }
    taken(database, written(tmp_path / "made", sheets))
    return database


SECRETS = ("欧阳娜娜", id_number(1), "13800000000", "w26:1:5", "欧阳敏", "13900001111", "司徒远", "贵G12345", "钱一")


def test_a_masked_export_tells_no_name_and_no_number_and_is_not_imported(full: Database, tmp_path: Path) -> None:
    path = exported(full, tmp_path / "out", masked=True)
    text = "".join(file.read_text(encoding="utf-8") for file in path.glob("*.csv"))
    assert [secret for secret in SECRETS if secret in text] == []
    assert "欧阳*" in text
    report = import_register(full, VAULT, path)
    assert {error.problem for error in report.errors if "name" in error.column} == {"this name is masked"}


def test_cells_that_look_like_formulas_are_none(full: Database, tmp_path: Path) -> None:
    book = load_workbook(exported(full, tmp_path / "out.xlsx"))
    [cell] = [row[2] for row in book["位置"].iter_rows(min_row=2) if row[0].value == "d1"]
    assert (cell.data_type, cell.value) == ("s", "'=1+1")
    assert "f" not in {cell.data_type for page in book for row in page.iter_rows() for cell in row}
    text = (exported(full, tmp_path / "out") / "places.csv").read_text(encoding="utf-8-sig")
    assert "\nd1,dwelling,'=1+1," in text.replace("\r", "")


def test_a_part_holds_nothing_of_another_and_moves_nothing(full: Database, tmp_path: Path) -> None:
    with full.read() as connection:
        path = connection.execute(select(Place.path).where(Place.code == "aj")).scalar_one()
        within = Reach(Scope(subtree(path)), NOON)
        part = contents(connection, within)
        whole = contents(connection)
    assert [row["code"] for row in part["places"]] == ["d1"]
    assert [row["name"] for row in part["residents"]] == ["欧阳娜娜"]
    assert part["vehicles"] == []
    assert not [code for code in ("city", "bj", "e1", "司徒") if code in json.dumps(part, ensure_ascii=False)]
    taken(full, exported(full, tmp_path / "part", within))
    with full.read() as connection:
        assert contents(connection) == whole


def test_an_archive_has_the_same_files(full: Database, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(exported(full, tmp_path / "out.zip"))
    folder = exported(full, tmp_path / "out")
    assert {name: archive.read(name) for name in archive.namelist()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
    assert len(list(csv.reader(io.StringIO(archive.read("residents.csv").decode("utf-8-sig"))))) == 3


# --- On the hub's machine

Line = Callable[..., Result]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    def run(*words: str) -> Result:
        done = CliRunner().invoke(app, words, env={"GATEHOUSE_HUB_STATE_DIR": str(tmp_path / "hub")})
        assert "Traceback" not in done.output
        return done

    assert run("seed", "--scale", "village").exit_code == 0
    return run


def test_the_command_writes_files_for_their_owner_and_notes_what_was_unmasked(line: Line, tmp_path: Path) -> None:
    book, folder = tmp_path / "r.xlsx", tmp_path / "r"
    assert line("export", str(book), "--sheet", "places", "--sheet", "residents").exit_code == 0
    assert line("export", str(book)).exit_code == 2
    assert line("export", str(folder), "--unmasked").exit_code == 2
    assert line("export", str(folder), "--sheet", "categories").exit_code == 2
    assert line("export", str(folder), "--place", "nowhere").exit_code == 2
    assert not folder.exists()
    done = line("export", str(folder), "--unmasked", "--purpose", "moved to another hub")
    assert (done.exit_code, "residents" in done.stdout) == (0, True), done.output
    modes = [path.stat().st_mode & 0o777 for path in (book, folder, folder / "residents.csv")]
    assert modes == [0o600, 0o700, 0o600]
    assert line("import", str(folder), "--dry-run").exit_code == 0
    database = open_database(f"sqlite:///{tmp_path / 'hub' / 'hub.db'}")
    with database.read() as connection:
        persons = set(connection.execute(select(Person.id)).scalars())
        query = select(AuditEntry.number, AuditEntry.action).where(AuditEntry.action.contains("export"))
        entries = connection.execute(query.order_by(AuditEntry.number)).all()
        subjects = select(AuditSubject.person_id).where(AuditSubject.number == entries[1].number)
        assert set(connection.execute(subjects).scalars()) == persons
    database.close()
    assert [entry.action for entry in entries] == ["register.export", "person.register_export"]
