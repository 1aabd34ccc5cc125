"""The master key is changed as a whole: every value opens under the new one and is found again, cut off or not."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, insert, select, text

from cloud import rotation
from cloud.accounts.second_factor import PURPOSE
from cloud.database.engine import Database
from cloud.database.tables import (
    Account,
    AccountRole,
    Alarm,
    Base,
    Contact,
    Credential,
    EnrolmentCode,
    Gateway,
    Guest,
    Matter,
    Person,
    Place,
    PlaceKind,
    RegisterHistory,
    SecondFactor,
    ServiceCategory,
    Vehicle,
)
from cloud.gateways.purposes import CODE_SECRET, MESSAGE_KEY
from cloud.matters.purposes import REPORTER
from cloud.register.sealed import (
    CATEGORY,
    CATEGORY_BASIS,
    CONTACT_NAME,
    CONTACT_PHONE,
    GUEST_NAME,
    HISTORY,
    ID_NUMBER,
    NUMBER,
    PHONE,
    PHONE_TAIL,
    PLATE,
    phone_indexes,
    plate_indexes,
)
from cloud.register.seed.seeding import seed
from cloud.register.seed.structure import Scale, structure
from cloud.rotation import KEY, NEXT, OLD, SEALED, check_key, rotate
from cloud.vault import KEY_BYTES, Vault, VaultError, read_or_make_secret_file, read_secret_file

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def vault_of(folder: Path, name: str = KEY) -> Vault:
    return Vault(read_secret_file(folder / name, KEY_BYTES))


@pytest.fixture
def sealed(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Database, str]:
    """A folder with a key, and a database with persons, cards, a gateway, a code and history; a few rows a batch."""
    vault = Vault(read_or_make_secret_file(tmp_path / KEY, KEY_BYTES))
    check_key(database, vault)
    seed(database, vault, structure(Scale.VILLAGE), date(2026, 11, 23))
    history = {"at": NOW, "source": "", "kind": "person", "act": "changed"}
    with database.write() as connection:
        entry = connection.execute(select(Person.id).limit(1)).scalar_one()
        key = vault.seal(b"\x00\xff" * 16, MESSAGE_KEY)
        connection.execute(insert(Gateway).values(id="g1", created_at=NOW, session=0, message_key_sealed=key))
        secret = vault.seal(b"secret", CODE_SECRET)
        code = {"name": "ABCD", "gateway_id": "g1", "secret_sealed": secret, "expires_at": NOW, "failures": 0}
        connection.execute(insert(EnrolmentCode).values(code))
        was = vault.seal(b"{}", HISTORY)
        connection.execute(insert(RegisterHistory).values(id=entry, entry_id=entry, before_sealed=was, **history))
        account = {"id": entry, "username": "wang", "password_hash": "-", "role": AccountRole.GUARD, "created_at": NOW}
        connection.execute(insert(Account).values(account))
        factor = {"account_id": entry, "secret_sealed": vault.seal(b"totp", PURPOSE), "last_step": 0, "set_up_at": NOW}
        connection.execute(insert(SecondFactor).values(factor | {"failures": 0}))
        _add_of_a_person(connection, vault, entry)
        add_matter(connection, vault)
    monkeypatch.setattr(rotation, "_BATCH_ROWS", 200)
    return tmp_path, database, database.engine.url.render_as_string(hide_password=False)


def _add_of_a_person(connection: Connection, vault: Vault, person: UUID) -> None:
    """One of each of what the register has of a person besides."""
    seal, old = vault.seal, {"person_id": person, "since": NOW}
    phone = {"phone_sealed": seal(b"13800001234", CONTACT_PHONE), **phone_indexes(vault, "13800001234")}
    contact = {"person_id": person, "name_sealed": seal(b"n", CONTACT_NAME), "relation": "", **phone}
    plate = {"plate_sealed": seal("贵G12345".encode(), PLATE), "description": "", **plate_indexes(vault, "贵G12345")}
    dwelling = connection.execute(select(Place.id).where(Place.kind == PlaceKind.DWELLING).limit(1)).scalar_one()
    name = {"name_sealed": seal(b"n", GUEST_NAME), "name_index": vault.index("n", GUEST_NAME)}
    category = {"category_sealed": seal(b"renter", CATEGORY), "category_index": vault.index("renter", CATEGORY)}
    basis = {"basis_sealed": seal(b"b", CATEGORY_BASIS), "officer_id": person, "review_at": NOW}
    rows: list[tuple[type[Any], dict[str, Any]]] = [
        (Contact, contact),
        (Vehicle, old | plate),
        (Guest, {"dwelling_id": dwelling, "since": NOW, "until": NOW, **name}),
        (ServiceCategory, old | category | basis),
    ]
    for table, values in rows:
        connection.execute(insert(table).values(id=person, **values))


def assert_of_a_person(database: Database, vault: Vault) -> None:
    with database.read() as connection:
        contact, vehicle, guest, category = (
            connection.execute(select(table.__table__)).one() for table in (Contact, Vehicle, Guest, ServiceCategory)
        )
    assert phone_indexes(vault, vault.open(contact.phone_sealed, CONTACT_PHONE).decode()) == {
        "phone_index": contact.phone_index,
        "phone_tail_index": contact.phone_tail_index,
    }
    assert plate_indexes(vault, vault.open(vehicle.plate_sealed, PLATE).decode()) == {
        "plate_index": vehicle.plate_index,
        "plate_tail_index": vehicle.plate_tail_index,
    }
    assert vault.index(vault.open(guest.name_sealed, GUEST_NAME).decode(), GUEST_NAME) == guest.name_index
    assert (guest.phone_sealed, guest.phone_index) == (None, None)
    opened = vault.open(category.category_sealed, CATEGORY).decode()
    assert (opened, vault.index(opened, CATEGORY)) == ("renter", category.category_index)
    assert vault.open(category.basis_sealed, CATEGORY_BASIS) == b"b"


def add_matter(connection: Connection, vault: Vault) -> None:
    """A matter and its alarm."""
    matter, moments = uuid4(), dict.fromkeys(("happened_at", "raised_at", "last_at"), NOW)
    state = {"priority": 3, "handling": "new", "condition": "reported", "level": 1, "audience": "duty"}
    counts = {"rule_version": 0, "times": 1, "chatter_count": 1, "revision": 1}
    kind = {"source": "matter", "rule": "matter.help", "key": "matter 2026-000001"}
    connection.execute(insert(Alarm).values(id=matter, **kind, **moments, **state, **counts))
    words = {"number": "2026-000001", "kind": "help", "title": "x", "title_zh": "x", "text": "x"}
    who = {"reported_by": "resident", "reporter_sealed": vault.seal(b"reporter", REPORTER)}
    connection.execute(insert(Matter).values(id=matter, **words, **who))


def assert_sealed_under(database: Database, vault: Vault) -> None:
    with database.read() as connection:
        persons = connection.execute(select(Person)).mappings().all()
        cards = connection.execute(select(Credential.number_sealed, Credential.number_index)).all()
        code = connection.execute(select(EnrolmentCode.secret_sealed)).scalar_one()
        key = connection.execute(select(Gateway.message_key_sealed)).scalar_one()
        was = connection.execute(select(RegisterHistory.before_sealed)).scalar_one()
        factor = connection.execute(select(SecondFactor.secret_sealed)).scalar_one()
        reporter = connection.execute(select(Matter.reporter_sealed)).scalar_one()
    for person in persons:
        phone = vault.open(person["phone_sealed"], PHONE).decode()
        assert person["id_number_index"] == vault.index(
            vault.open(person["id_number_sealed"], ID_NUMBER).decode(), ID_NUMBER
        )
        assert person["phone_index"] == vault.index(phone, PHONE)
        assert person["phone_tail_index"] == vault.index(phone[-4:], PHONE_TAIL)
    assert all(vault.index(vault.open(number, NUMBER).decode(), NUMBER) == index for number, index in cards)
    assert key is not None
    assert was is not None
    assert (vault.open(code, CODE_SECRET), vault.open(key, MESSAGE_KEY)) == (b"secret", b"\x00\xff" * 16)
    assert (vault.open(was, HISTORY), vault.open(factor, PURPOSE)) == (b"{}", b"totp")
    assert reporter is not None
    assert vault.open(reporter, REPORTER) == b"reporter"


def test_everything_is_sealed_under_the_new_key(sealed: tuple[Path, Database, str]) -> None:
    folder, database, url = sealed
    old, told = vault_of(folder), set[str]()
    rows = rotate(folder, url, lambda what, _done: told.add(what))
    assert rows > 1000
    assert told == {each.table.__tablename__ for each in SEALED}
    new = vault_of(folder)
    assert new.key_check != old.key_check == vault_of(folder, OLD).key_check
    assert not (folder / NEXT).exists()
    assert (folder / OLD).stat().st_mode & 0o777 == 0o600
    assert_sealed_under(database, new)
    assert_of_a_person(database, new)
    check_key(database, new)
    with pytest.raises(VaultError, match="is not the key of this database"):
        check_key(database, old)


class _Cut(Exception):
    pass


def _after(number: int) -> Callable[[str, int], None]:
    """Cuts the rotation off after so many batches."""
    left = iter(range(number))

    def progress(_what: str, _done: int) -> None:
        if next(left, None) is None:
            raise _Cut

    return progress


@pytest.mark.parametrize("batches", [0, 1, 4, 9])
def test_a_rotation_that_is_cut_off_goes_on(sealed: tuple[Path, Database, str], batches: int) -> None:
    folder, database, url = sealed
    with pytest.raises(_Cut):
        rotate(folder, url, _after(batches))
    with pytest.raises(VaultError, match="was cut off"):
        check_key(database, vault_of(folder))
    rotate(folder, url)
    assert_sealed_under(database, vault_of(folder))
    check_key(database, vault_of(folder))


@pytest.mark.parametrize("step", ["unlink", "replace"])
def test_a_cut_while_the_files_are_renamed_is_finished(
    sealed: tuple[Path, Database, str], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder, database, url = sealed
    with monkeypatch.context() as patched:

        def cut(*_: Any, **__: Any) -> None:
            raise _Cut

        patched.setattr(Path, step, cut)
        with pytest.raises(_Cut):
            rotate(folder, url)
    with pytest.raises(VaultError, match="run 'gatehouse hub rotate-key'"):
        check_key(database, vault_of(folder))
    assert rotate(folder, url) == 0
    assert_sealed_under(database, vault_of(folder))


def test_a_wrong_next_key_is_refused(sealed: tuple[Path, Database, str]) -> None:
    folder, database, url = sealed
    with pytest.raises(_Cut):
        rotate(folder, url, _after(2))
    next_key = (folder / NEXT).read_bytes()
    (folder / NEXT).write_bytes(bytes(KEY_BYTES))
    with pytest.raises(VaultError, match="not the key that the change goes to"):
        rotate(folder, url)
    (folder / NEXT).write_bytes(next_key)
    rotate(folder, url)
    assert_sealed_under(database, vault_of(folder))


def test_persons_of_an_older_version_are_found_by_their_tails_from_the_first_start(database: Database) -> None:
    vault = Vault(bytes(KEY_BYTES))
    seed(database, vault, structure(Scale.VILLAGE), date(2026, 11, 23))
    with database.write() as connection:
        connection.execute(text("UPDATE person SET phone_index = NULL, phone_tail_index = NULL, id_tail_index = NULL"))
    check_key(database, vault)
    with database.read() as connection:
        rows = connection.execute(select(Person.phone_index, Person.phone_tail_index, Person.id_tail_index)).all()
    assert all(None not in row for row in rows)


def test_no_sealed_column_is_forgotten() -> None:
    listed = {(each.table.__tablename__, column) for each in SEALED for column in each.columns}
    there = {
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name.endswith("_sealed")
    }
    assert listed == there
