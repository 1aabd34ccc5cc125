"""A register file is taken up whole or not at all, and its faults are told by row."""

import csv
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy import func, insert, select

from cloud.database.engine import Database
from cloud.database.tables import Credential, CredentialGroup, Door, Gateway, Person, Place, Residency, Schedule
from cloud.register import files
from cloud.register.change import Change
from cloud.register.credentials import find_credential, revoke_credential
from cloud.register.importing import import_register, summary
from cloud.register.people import ID_NUMBER, PHONE
from cloud.register.template import write_template
from cloud.vault import Vault
from protocols.resident_id import check_character
from tests.support.events import NOON

ID = "520402199003071232"
Rows = Sequence[Sequence[Any]]

PLACES: Rows = [
    ["编码", "类型", "名称", "上级编码"],
    ["aj", "小区", "安静小区", None],
    ["aj-3", "楼栋", "3栋", "aj"],
    ["aj-3-2", "unit", "2单元", "aj-3"],
    ["aj-3-2-501", "房屋", "501", "aj-3-2"],
    ["gate-east", "entrance", "东门", "aj"],
]
SCHEDULES: Rows = [
    ["code", "name", "days", "from", "until"],
    ["daytime", "白天", "周一至周五", "06:00", "22:30"],
    ["daytime", "白天", "sat;sun", "08:00", "24:00"],
]
DOORS: Rows = [["网关", "设备", "位置编码", "名称"], ["g1", "d-east", "gate-east", "东门"]]
GROUPS: Rows = [["code", "name", "schedule", "doors"], ["residents", "住户", "daytime", "g1/d-east"]]
RESIDENTS: Rows = [
    ["姓名", "身份证号", "电话", "房屋编码", "身份", "入住日期", "迁出日期", "卡号", "门组"],
    ["张伟", ID, "13800000000", "aj-3-2-501", "业主", "2024-01-31", None, "w26:12:345", "residents"],
    ["李娜", None, None, "aj-3-2-501", "tenant", date(2024, 2, 1), "2024/12/31", "w26:12:346", "residents"],
]


@pytest.fixture
def vault() -> Vault:
    return Vault(bytes(range(32)))


@pytest.fixture
def database(database: Database) -> Database:
    """With the gateway that the doors belong to."""
    with database.write() as connection:
        connection.execute(insert(Gateway).values(id="g1", created_at=NOON, session=0))
    return database


def workbook(path: Path, **sheets: Rows) -> Path:
    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        page = book.create_sheet(title)
        for row in rows:
            page.append(list(row))
    book.save(path)
    return path


def full(path: Path, residents: Rows = RESIDENTS) -> Path:
    return workbook(
        path, residents=residents, 位置=PLACES, schedules=SCHEDULES, doors=DOORS, door_groups=GROUPS, 说明=[["read me"]]
    )


def count(database: Database, table: type) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_workbook_becomes_the_register(database: Database, vault: Vault, tmp_path: Path) -> None:
    report = import_register(database, vault, full(tmp_path / "r.xlsx"))
    assert report.errors == []
    assert report.imported
    with database.read() as connection:
        zhang = connection.execute(select(Person).where(Person.name == "张伟")).mappings().one()
        stays = connection.execute(select(Residency.since, Residency.until).order_by(Residency.since)).all()
        intervals = connection.execute(select(Schedule.intervals)).scalar_one()
        doors = connection.execute(select(Door.device, Door.name)).all()
        dwelling = connection.execute(select(Place.name).where(Place.code == "aj-3-2-501")).scalar()
    assert vault.open(zhang["id_number_sealed"], ID_NUMBER).decode() == ID
    assert vault.open(zhang["phone_sealed"], PHONE).decode() == "13800000000"
    assert [stay.since for stay in stays] == [
        datetime(2024, 1, 30, 16, tzinfo=UTC),
        datetime(2024, 1, 31, 16, tzinfo=UTC),
    ]
    assert [stay.until for stay in stays] == [None, datetime(2024, 12, 31, 16, tzinfo=UTC)]
    assert intervals == [[day, 360, 1350] for day in range(5)] + [[5, 480, 1440], [6, 480, 1440]]
    assert (doors, dwelling) == ([("d-east", "东门")], "501")
    assert count(database, CredentialGroup) == 2


def test_importing_again_changes_nothing(database: Database, vault: Vault, tmp_path: Path) -> None:
    import_register(database, vault, full(tmp_path / "r.xlsx"))
    again = import_register(database, vault, full(tmp_path / "r.xlsx"))
    changes = {change for counts in again.changes.values() for change in counts}
    assert changes - {Change.UPDATED} == {Change.UNCHANGED}
    assert all(not counts[Change.UPDATED] for what, counts in again.changes.items() if what != "schedules")
    assert (count(database, Person), count(database, Residency), count(database, Credential)) == (2, 2, 2)


def test_importing_a_changed_file_updates(database: Database, vault: Vault, tmp_path: Path) -> None:
    import_register(database, vault, full(tmp_path / "r.xlsx"))
    moved = [RESIDENTS[0], [*RESIDENTS[1][:2], "13900000000", *RESIDENTS[1][3:6], "2026-06-30", *RESIDENTS[1][7:]]]
    report = import_register(database, vault, full(tmp_path / "r.xlsx", moved))
    assert report.changes["persons"][Change.UPDATED] == 1
    assert report.changes["residencies"][Change.UPDATED] == 1
    assert count(database, Person) == 2


def test_a_dry_run_changes_nothing(database: Database, vault: Vault, tmp_path: Path) -> None:
    report = import_register(database, vault, full(tmp_path / "r.xlsx"), dry_run=True)
    assert report.ok
    assert not report.imported
    assert "dry run" in summary(report)
    assert count(database, Place) == 0


def test_every_fault_is_told_and_nothing_is_imported(database: Database, vault: Vault, tmp_path: Path) -> None:
    bad = [
        RESIDENTS[0],
        RESIDENTS[1],
        ["王芳", "520402199003071233", None, "aj-3-2-501", "业主", "2024-01-31", None, None, None],
        ["王芳", None, None, "aj-3-2-999", "业主", "2024-01-31", None, None, None],
        ["王芳", None, None, "aj-3-2-501", "邻居", "2024-01-31", None, None, None],
        ["王芳", None, None, "aj-3-2-501", "业主", "31.1.2024", None, None, None],
        ["王芳", None, None, "aj-3-2-501", "业主", "2024-01-31", "2023-01-31", None, None],
        ["王芳", None, None, "aj-3-2-501", "业主", "2024-01-31", None, "12345", None],
        ["王芳", None, None, "aj-3-2-501", "业主", "2024-01-31", None, "w26:12:345", None],
        ["王芳", None, None, "aj-3-2-501", "业主", "2024-01-31", None, "w26:12:999", "guests"],
        ["王芳", 520402199003071232, None, "aj-3-2-501", "业主", "2024-01-31", None, None, None],
        [None, None, None, "aj-3-2-501", "业主", "2024-01-31", None, None, None],
        ["王芳", None, None, "gate-east", "业主", "2024-01-31", None, None, None],
        ["王芳", None, None, "aj-3-2-501", "业主", "2024-01-31", None, None, "residents"],
    ]
    report = import_register(database, vault, full(tmp_path / "r.xlsx", bad))
    assert [(error.row, error.column.partition("(")[2].strip(")") or error.column) for error in report.errors] == [
        (3, "id_number"),
        (4, "dwelling"),
        (5, "role"),
        (6, "since"),
        (7, "until"),
        (8, "card"),
        (9, "card"),
        (10, "groups"),
        (11, "id_number"),
        (12, "name"),
        (13, "dwelling"),
        (14, "groups"),
    ]
    assert all(error.sheet == "residents" and error.remedy for error in report.errors)
    assert count(database, Place) == 0
    assert "nothing was imported" in summary(report)
    assert ID not in summary(report)


def test_a_wrong_column_is_named_with_what_is_expected(database: Database, vault: Vault, tmp_path: Path) -> None:
    path = workbook(tmp_path / "r.xlsx", residents=[["姓名", "民族", "房屋编码", "身份"], ["张伟", "x", "a", "业主"]])
    report = import_register(database, vault, path)
    assert [(error.row, error.column) for error in report.errors] == [(1, "民族"), (1, "入住日期 (since)")]
    assert "姓名 (name)" in report.errors[0].remedy


@pytest.mark.parametrize(
    ("sheet", "rows", "problem"),
    [
        ("places", [PLACES[0], ["a b", "小区", "x", None]], "no place code"),
        ("places", [PLACES[0], ["b1", "楼栋", "x", "nowhere"]], "there is no place"),
        ("places", [PLACES[0], ["b1", "楼栋", "x", None]], "stands under another place"),
        ("places", [*PLACES, ["b1", "楼栋", "x", "gate-east"]], "cannot stand under"),
        ("doors", [DOORS[0], ["g9", "d-east", "gate-east", "x"]], "there is no gateway 'g9'"),
        ("schedules", [SCHEDULES[0], ["night", "x", "all", "22:00", "06:00"]], "ends before it begins"),
        ("schedules", [SCHEDULES[0], ["night", "x", "someday", "02:00", "06:00"]], "is no day"),
        ("schedules", [SCHEDULES[0], ["night", "x", "all", "25:00", "26:00"]], "no time of day"),
        ("door_groups", [GROUPS[0], ["x", "x", "never", "g1/d-east"]], "there is no schedule"),
        ("door_groups", [GROUPS[0], ["x", "x", "daytime", "d-east"]], "is no door"),
    ],
)
def test_faults_of_the_other_sheets(
    database: Database, vault: Vault, tmp_path: Path, sheet: str, rows: Rows, problem: str
) -> None:
    others = {"places": PLACES, "schedules": SCHEDULES} | {sheet: rows}
    report = import_register(database, vault, workbook(tmp_path / "r.xlsx", **others))
    assert [error.problem for error in report.errors if problem in error.problem], report.errors


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "gb18030"])
def test_csv_files_of_either_encoding(database: Database, vault: Vault, tmp_path: Path, encoding: str) -> None:
    for stem, rows in {"places": PLACES, "schedules": SCHEDULES, "doors": DOORS, "门组": GROUPS}.items():
        write_csv(tmp_path / "folder" / f"{stem}.csv", rows, encoding)
    report = import_register(database, vault, tmp_path / "folder")
    assert report.errors == []
    residents = [RESIDENTS[0], RESIDENTS[1]]
    report = import_register(database, vault, write_csv(tmp_path / "第3栋.csv", residents, encoding))
    assert report.errors == []
    assert count(database, Person) == 1


def write_csv(path: Path, rows: Rows, encoding: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([["" if cell is None else cell for cell in row] for row in rows])
    return path


def test_two_namesakes_without_a_number_are_not_guessed_at(database: Database, vault: Vault, tmp_path: Path) -> None:
    def with_number(number: str | None, since: str) -> list[Any]:
        return ["张伟", number, None, "aj-3-2-501", "业主", since, None, None, None]

    body = ID[:14] + "125"
    other = body + check_character(body)
    rows = [RESIDENTS[0], with_number(ID, "2024-01-31"), with_number(other, "2024-01-31")]
    assert import_register(database, vault, full(tmp_path / "a.xlsx", rows)).errors == []
    assert count(database, Person) == 2
    report = import_register(
        database, vault, full(tmp_path / "b.xlsx", [RESIDENTS[0], with_number(None, "2025-01-31")])
    )
    assert "several persons of this name" in report.errors[0].problem


def test_a_revoked_card_may_be_given_to_another_person(database: Database, vault: Vault, tmp_path: Path) -> None:
    import_register(database, vault, full(tmp_path / "r.xlsx"))
    with database.write() as connection:
        card = find_credential(connection, vault, "w26:12:345")
        assert card is not None
        assert revoke_credential(connection, card, NOON)
        assert not revoke_credential(connection, card, NOON)
    rows = [RESIDENTS[0], [*RESIDENTS[2][:6], None, "w26:12:345", "residents"]]
    assert import_register(database, vault, full(tmp_path / "r.xlsx", rows)).errors == []
    with database.read() as connection:
        now = find_credential(connection, vault, "w26:12:345")
    assert now not in (None, card)


def test_the_template_is_read_as_an_empty_register(database: Database, vault: Vault, tmp_path: Path) -> None:
    write_template(tmp_path / "template.xlsx")
    report = import_register(database, vault, tmp_path / "template.xlsx")
    assert report.errors == []
    assert report.changes == {}
    book = load_workbook(tmp_path / "template.xlsx")
    assert book["住户"]["B2"].number_format == "@"


def test_files_that_cannot_be_read_are_told_with_a_remedy(
    database: Database, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, wrong_kind, binary = tmp_path / "broken.xlsx", tmp_path / "a.doc", tmp_path / "a.csv"
    broken.write_bytes(b"PK\x03\x04 not a workbook")
    wrong_kind.write_bytes(b"")
    binary.write_bytes(b"\xff\xff\xff")
    no_sheet = workbook(tmp_path / "no_sheet.xlsx", 别的=[["a"]])
    for path in (tmp_path / "missing.xlsx", broken, wrong_kind, binary, no_sheet):
        report = import_register(database, vault, path)
        assert report.error_count == 1, path
        assert report.errors[0].remedy
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 1_000_000)
    bomb = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 10_000_000)
    assert "unpacked" in import_register(database, vault, bomb).errors[0].problem


def test_a_community_is_imported_with_its_progress_told(database: Database, vault: Vault, tmp_path: Path) -> None:
    dwellings = [[f"aj-3-2-{number}", "dwelling", str(number), "aj-3-2"] for number in range(1000, 1100)]
    residents = [
        [
            f"住户{i}",
            None,
            f"138{i:08}",
            f"aj-3-2-{1000 + i // 3}",
            "家属",
            "2024-01-31",
            None,
            f"w26:9:{i}",
            "residents",
        ]
        for i in range(300)
    ]
    path = workbook(
        tmp_path / "r.xlsx",
        places=[*PLACES, *dwellings],
        schedules=SCHEDULES,
        doors=DOORS,
        door_groups=GROUPS,
        residents=[RESIDENTS[0], *residents],
    )
    seen: list[tuple[str, int]] = []
    report = import_register(database, vault, path, progress=lambda *step: seen.append(step))
    assert report.errors == []
    assert count(database, Credential) == 300
    assert ("residents", 300) in seen
