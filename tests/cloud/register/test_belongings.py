"""Leases, contacts, vehicles, guests and posts, as an import takes them; and how they are found."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select

from cloud.accounts.scope import WHOLE
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import Contact, Guest, Lease, Person, Post, RegisterHistory, Vehicle
from cloud.media.clips import ClipStore
from cloud.media.store import PictureStore
from cloud.register.history import history_of
from cloud.register.importing import CHINA, import_register
from cloud.register.report import ImportReport
from cloud.register.sealed import CONTACT_NAME, CONTACT_PHONE, PLATE
from cloud.register.search import PersonQuery, find_persons
from cloud.register.template import write_template
from cloud.retention import RetentionDays, RetentionService
from cloud.vault import Vault
from protocols.plates import BadPlate, normal_plate

ID = "520402199003071232"
Rows = Sequence[Sequence[Any]]
BASE: dict[str, Rows] = {
    "places": [
        ["code", "kind", "name", "parent"],
        ["aj", "community", "安静社区", None],
        ["d1", "dwelling", "101", "aj"],
        ["d2", "dwelling", "102", "aj"],
    ],
    "grids": [["code", "name", "place", "since"], ["g1", "一", "aj", "2020-01-01"]],
    "joint_units": [["code", "name", "place", "since"], ["u1", "一", "aj", "2020-01-01"]],
    "residents": [
        ["name", "id_number", "phone", "dwelling", "role", "since", "lease", "lease_since", "lease_until"],
        ["张伟", ID, "13800000000", "d1", "owner", "2020-01-01", None, None, None],
        ["李娜", None, None, "d1", "tenant", "2020-01-01", "HT-1", "2020-01-01", "2020-12-31"],
        ["李娜", None, None, "d1", "tenant", "2020-01-01", "HT-2", "2021-01-01", None],
        ["王芳", None, None, "d2", "owner", "2020-01-01", None, None, None],
        ["赵敏", None, None, "d2", "family", "2020-01-01", None, None, None],
    ],
}
CONTACTS: Rows = [
    ["姓名", "身份证号", "房屋编码", "联系人姓名", "关系", "联系电话"],
    ["张伟", ID, None, "张敏", "女儿", "+86 139 0000 1111"],
]
VEHICLES: Rows = [
    ["姓名", "房屋编码", "车牌号", "车辆说明", "开始日期"],
    ["李娜", "d1", "贵g·12345", "白色", "2024-01-01"],
]
GUESTS: Rows = [
    ["房屋编码", "姓名", "电话", "来访日期", "离开日期"],
    ["d1", "钱一", "13700002222", "2024-05-01", "2024-05-03"],
]
POSTS: Rows = [
    ["职务", "网格或联户单元", "姓名", "房屋编码", "开始日期", "结束日期"],
    ["联户长", "u1", "张伟", "d1", "2020-01-01", None],
    ["副联户长", "u1", "李娜", "d1", "2020-01-01", None],
    ["副联户长", "u1", "王芳", "d2", "2020-01-01", None],
    ["grid_leader", "g1", "张伟", "d1", "2020-01-01", None],
    ["网格员", "g1", "李娜", "d1", "2020-01-01", None],
]


@pytest.fixture
def vault() -> Vault:
    return Vault(bytes(range(32)))


def take(database: Database, vault: Vault, folder: Path, **sheets: Rows) -> ImportReport:
    path = folder / "r.xlsx"
    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        page = book.create_sheet(title)
        for row in rows:
            page.append(list(row))
    book.save(path)
    return import_register(database, vault, path)


def rows_of(database: Database, table: Any) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(table.__table__).order_by(table.id)).all())


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA).astimezone(UTC)


def test_all_of_it_is_taken_in_sealed_and_found(database: Database, vault: Vault, tmp_path: Path) -> None:
    more = {"contacts": CONTACTS, "vehicles": VEHICLES, "guests": GUESTS, "posts": POSTS}
    report = take(database, vault, tmp_path, **BASE, **more)
    assert report.errors == []
    [contact], [vehicle], [guest] = (rows_of(database, each) for each in (Contact, Vehicle, Guest))
    assert vault.open(contact.name_sealed, CONTACT_NAME).decode() == "张敏"
    assert vault.open(contact.phone_sealed, CONTACT_PHONE).decode() == "+86 139 0000 1111"
    assert vault.open(vehicle.plate_sealed, PLATE).decode() == "贵G12345"
    assert (guest.since, guest.until) == (day("2024-05-01"), day("2024-05-04"))
    assert [(row.number, row.until) for row in rows_of(database, Lease)] == [
        ("HT-1", day("2021-01-01")),
        ("HT-2", None),
    ]
    assert len(rows_of(database, Post)) == 5
    again = take(database, vault, tmp_path, **BASE, **more)
    assert all(not counts["added"] and not counts["updated"] for counts in again.changes.values()), again.changes
    with database.read() as connection:
        names = {row.id: row.name for row in connection.execute(select(Person.id, Person.name))}

        def found(**query: str) -> list[str]:
            return [names[each] for each in find_persons(connection, vault, WHOLE, PersonQuery(**query))]

        assert found(phone="139-0000-1111") == found(phone_tail="1111") == found(phone_tail="0000") == ["张伟"]
        assert found(plate="贵G12345") == found(plate="2345") == found(plate="贵G·1 2345") == ["李娜"]
        assert found(plate="贵G99999") == found(phone_tail="2222") == []
        stored = "".join(repr(row) for table in (Contact, Vehicle, Guest) for row in rows_of(database, table))
    assert not [secret for secret in ("张敏", "12345", "钱一", "2222", "1111") if secret in stored]


def test_a_plate_goes_to_its_next_owner_and_the_past_is_kept(database: Database, vault: Vault, tmp_path: Path) -> None:
    take(database, vault, tmp_path, **BASE, vehicles=VEHICLES)
    report = take(database, vault, tmp_path, vehicles=[VEHICLES[0], ["王芳", "d2", "贵G12345", "", "2024-07-01"]])
    assert report.errors == []
    first, second = rows_of(database, Vehicle)
    assert (first.until, second.since, second.until) == (day("2024-07-01"), day("2024-07-01"), None)
    older = take(database, vault, tmp_path, vehicles=VEHICLES)
    assert (older.errors, rows_of(database, Vehicle)) == ([], [first, second])
    with database.read() as connection:
        [change] = history_of(connection, vault, first.id)[1:]
    assert change.after is not None
    assert change.after["until"].startswith("2024-07-01")


def test_a_new_head_ends_the_old_one_s_time(database: Database, vault: Vault, tmp_path: Path) -> None:
    take(database, vault, tmp_path, **BASE, posts=POSTS)
    new = [
        POSTS[0],
        ["联户长", "u1", "王芳", "d2", "2024-01-01", None],
        ["grid_member", "g1", "王芳", "d2", "2024-01-01", None],
    ]
    assert take(database, vault, tmp_path, posts=new).errors == []
    heads = [row for row in rows_of(database, Post) if row.kind == "unit_head"]
    assert [(row.since, row.until) for row in heads] == [
        (day("2020-01-01"), day("2024-01-01")),
        (day("2024-01-01"), None),
    ]
    assert sum(row.kind == "grid_member" for row in rows_of(database, Post)) == 2


def test_a_unit_has_two_deputies_at_a_time(database: Database, vault: Vault, tmp_path: Path) -> None:
    take(database, vault, tmp_path, **BASE, posts=POSTS)
    third = ["副联户长", "u1", "赵敏", "d2", "2024-01-01", None]
    report = take(database, vault, tmp_path, posts=[POSTS[0], third])
    assert ["2 deputies" in str(error) for error in report.errors] == [True]
    ended = ["副联户长", "u1", "李娜", "d1", "2020-01-01", "2023-12-31"]
    assert take(database, vault, tmp_path, posts=[POSTS[0], ended, third]).errors == []


@pytest.mark.parametrize(
    ("sheet", "row", "told"),
    [
        ("contacts", ["张伟", ID, None, "张敏", "", "12"], "no phone number"),
        ("contacts", ["张伟", ID, None, None, "", "13900001111"], "empty"),
        ("contacts", ["张三", ID, None, "张敏", "", "13900001111"], "another name"),
        ("contacts", ["张三", None, None, "张敏", "", "13900001111"], "who it is"),
        ("contacts", ["张三", None, "d1", "张敏", "", "13900001111"], "nobody of this name"),
        ("contacts", ["张伟", "520402199003071233", None, "张敏", "", "13900001111"], "does not fit"),
        ("contacts", ["张*", None, "d1", "张敏", "", "13900001111"], "masked"),
        ("vehicles", ["李娜", "d1", "贵G1234", "", "2024-01-01"], "no plate"),
        ("vehicles", ["李娜", "d1", "贵G1234567", "", "2024-01-01"], "no plate"),
        ("vehicles", ["李娜", "d1", "贵O12345", "", "2024-01-01"], "no plate"),
        ("guests", ["d9", "钱一", None, "2024-05-01", "2024-05-03"], "no place"),
        ("guests", ["aj", "钱一", None, "2024-05-01", "2024-05-03"], "kind community"),
        ("guests", ["d1", "钱一", None, "2024-05-04", "2024-05-02"], "before it begins"),
        ("posts", ["联户长", "g1", "张伟", "d1", "2020-01-01", None], "no joint unit"),
        ("posts", ["网格长", "u1", "张伟", "d1", "2020-01-01", None], "no grid"),
        ("posts", ["网格长", "g1", "张伟", "d1", "2019-01-01", None], "there only from"),
        ("posts", ["网格长", "g1", "张伟", "d1", "2021-01-01", "2020-01-01"], "before it begins"),
        ("posts", ["主任", "g1", "张伟", "d1", "2021-01-01", None], "not known"),
    ],
)
def test_faults_are_told_by_row_and_nothing_is_imported(
    database: Database, vault: Vault, tmp_path: Path, sheet: str, row: list[Any], told: str
) -> None:
    take(database, vault, tmp_path, **BASE)
    heads = {"contacts": CONTACTS, "vehicles": VEHICLES, "guests": GUESTS, "posts": POSTS}
    good = heads[sheet][1]
    report = take(database, vault, tmp_path, **{sheet: [heads[sheet][0], good, row]})
    assert [(error.row, told in str(error)) for error in report.errors] == [(3, True)], report.errors
    assert not [secret for secret in (ID, "13900001111", "G1234567") if secret in str(report.errors)]
    with database.read() as connection:
        for table in (Contact, Vehicle, Guest, Post):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


def test_guests_go_by_themselves(database: Database, vault: Vault, tmp_path: Path) -> None:
    take(database, vault, tmp_path, **BASE, guests=GUESTS)
    now = day("2024-05-04") + timedelta(days=90)
    for moment, left in ((now, 1), (now + timedelta(seconds=1), 0)):
        clock = lambda moment=moment: moment  # noqa: E731
        stores = PictureStore(tmp_path / "p", database, clock), ClipStore(tmp_path / "c", database, clock)
        audit = AuditLog(database, clock)
        RetentionService(database, *stores, audit, clock, RetentionDays(), CollectorRegistry()).run_once()
        assert len(rows_of(database, Guest)) == left
    with database.read() as connection:
        assert connection.execute(select(RegisterHistory.id).where(RegisterHistory.kind == "guest")).all() == []


def test_the_template_has_the_sheets(tmp_path: Path) -> None:
    write_template(tmp_path / "t.xlsx")
    titles = load_workbook(tmp_path / "t.xlsx").sheetnames
    assert {"任职", "联系人", "车辆", "访客"} <= set(titles)


# --- Plates


@pytest.mark.parametrize(
    "text", ["贵G12345", "贵GA1234", "粤Z1234港", "贵GD12345", "贵GFA1234", "贵G12345D", "京 A·D1234 5"]
)
def test_plates_of_seven_and_eight_characters_are_taken(text: str) -> None:
    assert len(normal_plate(text)) in (7, 8)


@pytest.mark.parametrize(
    "text", ["", "贵G1234", "贵G123456", "贵GD1234A", "贵GI2345", "贵112345", "美G12345", "贵GDD1234港", "贵GZ12345"]
)
def test_others_are_not(text: str) -> None:
    with pytest.raises(BadPlate):
        normal_plate(text)


@given(st.text(max_size=12))
def test_no_text_makes_the_reader_of_plates_fail(text: str) -> None:
    try:
        plate = normal_plate(text)
    except BadPlate:
        return
    assert normal_plate(plate) == plate
