"""Persons are found by sealed numbers, whole or by their tails, within what the asker may see; changes are kept."""

from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from cloud.accounts.scope import WHOLE, Scope
from cloud.database.engine import Database
from cloud.database.tables import Base, Credential, Person, Place, RegisterHistory, Residency
from cloud.register.errors import RegisterError
from cloud.register.history import history_of
from cloud.register.importing import import_register
from cloud.register.paths import subtree
from cloud.register.search import PersonQuery, find_persons
from cloud.vault import Vault
from tests.cloud.register.test_importing import ID, Rows, workbook

VAULT = Vault(bytes(range(32)))
PLACES: Rows = [
    ["code", "kind", "name", "parent"],
    ["east", "community", "东村", None],
    ["east-1", "dwelling", "1", "east"],
    ["west", "community", "西村", None],
    ["west-1", "dwelling", "1", "west"],
]
HEAD = ["name", "id_number", "phone", "dwelling", "role", "since", "card"]
ZHANG = ["张伟", ID, "+86 138-0000-4321", "east-1", "owner", "2024-01-31", "w26:12:345"]
LI = ["李娜", None, "0853-3334321", "west-1", "owner", "2024-01-31", None]


def take(database: Database, folder: Path, *rows: list[str | None]) -> None:
    assert import_register(database, VAULT, workbook(folder / "r.xlsx", places=PLACES, residents=[HEAD, *rows])).ok


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Database:
    take(database, tmp_path, ZHANG, LI)
    return database


def found(database: Database, scope: Scope = WHOLE, **known: str) -> list[str]:
    with database.read() as connection:
        ids = find_persons(connection, VAULT, scope, PersonQuery(**known))
        return sorted(connection.execute(select(Person.name).where(Person.id.in_(ids))).scalars())


@pytest.mark.parametrize(
    ("known", "names"),
    [
        ({"name": "张伟"}, ["张伟"]),
        ({"id_number": ID.lower()}, ["张伟"]),
        ({"id_tail": ID[-4:]}, ["张伟"]),
        ({"phone": "13800004321"}, ["张伟"]),
        ({"phone": "08533334321"}, ["李娜"]),
        ({"phone_tail": "4321"}, ["张伟", "李娜"]),
        ({"phone_tail": "4321", "name": "李娜"}, ["李娜"]),
        ({"phone_tail": "0000"}, []),
        ({"card": "w26:12:345"}, ["张伟"]),
    ],
)
def test_persons_are_found_by_what_is_known(town: Database, known: dict[str, str], names: list[str]) -> None:
    assert found(town, **known) == names


def test_who_lives_elsewhere_is_not_found(town: Database) -> None:
    with town.read() as connection:
        west = connection.execute(select(Place.path).where(Place.code == "west")).scalar_one()
    assert found(town, Scope(subtree(west)), phone_tail="4321") == ["李娜"]
    assert found(town, Scope(subtree(west)), id_number=ID) == []
    assert found(town, Scope(nothing=True), name="张伟") == []


@pytest.mark.parametrize("known", [{}, {"id_tail": "12"}, {"phone_tail": "12a4"}, {"id_number": "1"}])
def test_what_cannot_be_asked_is_refused(town: Database, known: dict[str, str]) -> None:
    with pytest.raises(RegisterError):
        found(town, **known)


def entry_of(database: Database, table: type[Person | Residency | Credential]) -> UUID:
    with database.read() as connection:
        person = connection.execute(select(Person.id).where(Person.name == "张伟")).scalar_one()
        if table is Person:
            return person
        return connection.execute(select(table.id).where(table.person_id == person)).scalar_one()  # type: ignore[union-attr]


def test_each_change_is_kept_with_what_was_before(town: Database, tmp_path: Path) -> None:
    take(town, tmp_path, [*ZHANG[:2], "13900000000", *ZHANG[3:4], "family", *ZHANG[5:]])
    with town.read() as connection:
        person = history_of(connection, VAULT, entry_of(town, Person))
        stay = history_of(connection, VAULT, entry_of(town, Residency))
        card = history_of(connection, VAULT, entry_of(town, Credential))
        kept = connection.execute(select(RegisterHistory.before_sealed, RegisterHistory.after_sealed)).all()
    assert [(each.act, each.source, each.account) for each in person] == [
        ("added", "import r.xlsx", None),
        ("changed", "import r.xlsx", None),
    ]
    assert (person[1].before, person[1].after) == ({"phone": "+86 138-0000-4321"}, {"phone": "13900000000"})
    assert (stay[1].before, stay[1].after) == ({"role": "owner"}, {"role": "family"})
    assert [each.act for each in card] == ["added"]
    assert "13900000000" not in repr(person)
    assert not [value for row in kept for value in row if value and b"139" in value and b"phone" in value]


def test_the_register_has_no_field_for_what_it_may_not_know() -> None:
    forbidden = {"ethnic", "ethnicity", "minzu", "nationality", "race", "religion", "belief", "faith", "party", "score"}
    words = {
        word
        for table in Base.metadata.sorted_tables
        for name in (table.name, *table.columns.keys())
        for word in name.split("_")
    }
    assert "person" in words
    assert not words & forbidden


def test_no_sheet_has_a_column_for_it_either() -> None:
    from cloud.register.layout import SHEETS

    forbidden = ("民族", "宗教", "信仰", "党", "政治", "评分", "ethnic", "relig", "belief", "score")
    names = [name for sheet in SHEETS for column in sheet.columns for name in (column.key, column.chinese)]
    assert not [name for name in names for word in forbidden if word in name]
