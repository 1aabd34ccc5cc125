"""Seals the whole database under a new master key, with the hub stopped.

The order, so that no cut leaves a value that nobody can open:

1. The new key is written to `vault.key.next` and synced.
2. `vault_state.next_key_check` names it. From here on the hub does not start.
3. Table by table, in batches by id, each a transaction: values are opened with the old key, sealed with the new one,
   found by its hashes; `vault_state.done` says how far this came. A cut here goes on at that row.
4. `vault_state.key_check` becomes the new key's, in one transaction with the end of 3.
5. `vault.key` is copied to `vault.key.old`, then `vault.key.next` becomes `vault.key`. A cut here is finished by the
   next run.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Column, Connection, Table, bindparam, insert, select, update

from cloud.accounts.second_factor import PURPOSE as TOTP
from cloud.database.engine import Database, open_database
from cloud.database.tables import (
    Base,
    Contact,
    Credential,
    EnrolmentCode,
    Gateway,
    Guest,
    Matter,
    Person,
    RegisterHistory,
    SecondFactor,
    ServiceCategory,
    VaultState,
    Vehicle,
)
from cloud.gateways.purposes import BROKER_PASSWORD, CARD_KEY, CODE_SECRET, MESSAGE_KEY
from cloud.matters.purposes import REPORTER
from cloud.register.sealed import (
    CATEGORY,
    CATEGORY_BASIS,
    CONTACT_NAME,
    CONTACT_PHONE,
    GUEST_NAME,
    GUEST_PHONE,
    HISTORY,
    ID_NUMBER,
    NUMBER,
    PHONE,
    PIN,
    PLATE,
    id_number_indexes,
    phone_indexes,
    plate_indexes,
)
from cloud.vault import KEY_BYTES, Vault, VaultError, read_or_make_secret_file, read_secret_file, write_secret_file

_BATCH_ROWS = 2000
KEY, NEXT, OLD = "vault.key", "vault.key.next", "vault.key.old"

Progress = Callable[[str, int], None]
"""(table, rows done)."""


@dataclass(frozen=True)
class SealedTable:
    """A table with sealed columns, what each is sealed for, and what is found by the opened values."""

    table: type[Base]
    columns: Mapping[str, str]
    indexes: Callable[[Vault, Mapping[str, str]], Mapping[str, str | None]] | None = None
    """(vault, opened values by column) -> columns of hashes."""


def _person_indexes(vault: Vault, values: Mapping[str, str]) -> Mapping[str, str | None]:
    return id_number_indexes(vault, values.get("id_number_sealed")) | phone_indexes(vault, values.get("phone_sealed"))


def _number_index(vault: Vault, values: Mapping[str, str]) -> Mapping[str, str | None]:
    return {"number_index": vault.index(values["number_sealed"], NUMBER)}


def _category_index(vault: Vault, values: Mapping[str, str]) -> Mapping[str, str | None]:
    return {"category_index": vault.index(values["category_sealed"], CATEGORY)}


def _phone_indexes(vault: Vault, values: Mapping[str, str]) -> Mapping[str, str | None]:
    return phone_indexes(vault, values.get("phone_sealed"))


def _plate_indexes(vault: Vault, values: Mapping[str, str]) -> Mapping[str, str | None]:
    return plate_indexes(vault, values["plate_sealed"])


def _guest_indexes(vault: Vault, values: Mapping[str, str]) -> Mapping[str, str | None]:
    return {"name_index": vault.index(values["name_sealed"], GUEST_NAME), **_phone_indexes(vault, values)}


SEALED = (
    SealedTable(Person, {"id_number_sealed": ID_NUMBER, "phone_sealed": PHONE}, _person_indexes),
    SealedTable(Credential, {"number_sealed": NUMBER, "pin_sealed": PIN, "duress_pin_sealed": PIN}, _number_index),
    SealedTable(
        Gateway,
        {
            "message_key_sealed": MESSAGE_KEY,
            "card_key_sealed": CARD_KEY,
            "broker_password_sealed": BROKER_PASSWORD,
        },
    ),
    SealedTable(EnrolmentCode, {"secret_sealed": CODE_SECRET}),
    SealedTable(SecondFactor, {"secret_sealed": TOTP}),
    SealedTable(ServiceCategory, {"category_sealed": CATEGORY, "basis_sealed": CATEGORY_BASIS}, _category_index),
    SealedTable(Contact, {"name_sealed": CONTACT_NAME, "phone_sealed": CONTACT_PHONE}, _phone_indexes),
    SealedTable(Vehicle, {"plate_sealed": PLATE}, _plate_indexes),
    SealedTable(Guest, {"name_sealed": GUEST_NAME, "phone_sealed": GUEST_PHONE}, _guest_indexes),
    SealedTable(Matter, {"reporter_sealed": REPORTER}),
    SealedTable(RegisterHistory, {"before_sealed": HISTORY, "after_sealed": HISTORY}),
)
"""Every `*_sealed` column of the database; a test compares it with the tables."""


def check_key(database: Database, vault: Vault) -> None:
    """Refuse a master key that is not the database's, and a database whose key is being changed.

    The first start with a database notes its key, and fills in what persons are found by.

    Raises:
        VaultError: with the remedy.
    """
    with database.read() as connection:
        state = connection.execute(select(VaultState.key_check, VaultState.next_key_check)).first()
    if state is None:
        with database.write() as connection:
            if connection.execute(select(VaultState.id)).first() is None:
                _fill_indexes(connection, vault)
                connection.execute(insert(VaultState).values(id=1, key_check=vault.key_check, done=""))
        return
    if state.next_key_check is not None:
        raise VaultError("a change of the master key was cut off: run 'gatehouse hub rotate-key' to finish it")
    if state.key_check != vault.key_check:
        raise VaultError(
            f"{KEY} is not the key of this database: restore the key file that belongs to it, or, if a change of the"
            " key was cut off, run 'gatehouse hub rotate-key'"
        )


def rotate(state_dir: Path, database_url: str, progress: Progress = lambda _what, _done: None) -> int:
    """Change the master key of a stopped hub, or finish a change that was cut off; the rows that were sealed anew.

    Raises:
        VaultError: if a key file is missing, or is not the one that the database asks for.
    """
    old = Vault(read_secret_file(state_dir / KEY, KEY_BYTES))
    database = open_database(database_url)
    try:
        database.migrate()
        with database.read() as connection:
            state = connection.execute(select(VaultState.key_check, VaultState.next_key_check)).first()
        if state is not None and (state_dir / NEXT).exists():
            new = Vault(read_secret_file(state_dir / NEXT, KEY_BYTES))
            if state.key_check == new.key_check:  # only the files are left to be renamed
                _rename(state_dir)
                return 0
        if state is None or state.next_key_check is None:
            check_key(database, old)
        elif state.key_check != old.key_check:
            raise VaultError(f"{KEY} is not the key that the change began with: restore it")
        new = Vault(read_or_make_secret_file(state_dir / NEXT, KEY_BYTES))
        _begin(database, new)
        rows = sum(_reseal(database, table, old, new, progress) for table in SEALED)
        with database.write() as connection:
            connection.execute(update(VaultState).values(key_check=new.key_check, next_key_check=None, done=""))
        _rename(state_dir)
        return rows
    finally:
        database.close()


def _begin(database: Database, new: Vault) -> None:
    with database.write() as connection:
        named = connection.execute(select(VaultState.next_key_check)).scalar()
        if named not in (None, new.key_check):
            raise VaultError(f"{NEXT} is not the key that the change goes to: restore it")
        connection.execute(update(VaultState).values(next_key_check=new.key_check))


def _reseal(database: Database, sealed: SealedTable, old: Vault, new: Vault, progress: Progress) -> int:
    """Seal what is left of a table, some rows at a time."""
    name, count = sealed.table.__tablename__, 0
    while True:
        with database.write() as connection:
            done = connection.execute(select(VaultState.done)).scalar_one()
            order = [each.table.__tablename__ for each in SEALED]
            table, _, last = done.partition(" ")
            if table and order.index(table) > order.index(name):
                return count
            rows = _batch(connection, sealed, last if table == name else None)
            if not rows:
                return count
            _write(connection, sealed, [dict(_sealed_anew(sealed, row, old, new)) for row in rows])
            connection.execute(update(VaultState).values(done=f"{name} {rows[-1]['key']}"))
        count += len(rows)
        progress(name, count)


def _key(sealed: SealedTable) -> Column[Any]:
    """The column that tells a table's rows apart."""
    (column,) = cast("Table", sealed.table.__table__).primary_key.columns
    return column


def _batch(connection: Connection, sealed: SealedTable, last: str | None) -> list[Mapping[str, Any]]:
    key, columns = _key(sealed), sealed.table.__table__.c
    query = select(key.label("key"), *(columns[name] for name in sealed.columns)).order_by(key).limit(_BATCH_ROWS)
    if last is not None:
        query = query.where(key > key.type.python_type(last))
    return [dict(row) for row in connection.execute(query).mappings()]


def _sealed_anew(sealed: SealedTable, row: Mapping[str, Any], old: Vault, new: Vault) -> Iterator[tuple[str, Any]]:
    opened = {name: old.open(row[name], purpose) for name, purpose in sealed.columns.items() if row[name] is not None}
    yield "of_key", row["key"]
    for name, purpose in sealed.columns.items():
        yield f"new_{name}", new.seal(opened[name], purpose) if name in opened else None
    if sealed.indexes is not None:
        texts = {name: value.decode() for name, value in opened.items()}
        for name, value in sealed.indexes(new, texts).items():
            yield f"new_{name}", value


def _write(connection: Connection, sealed: SealedTable, rows: list[dict[str, Any]]) -> None:
    table = sealed.table.__table__
    names = [name.removeprefix("new_") for name in rows[0] if name.startswith("new_")]
    statement = (
        update(table)  # type: ignore[arg-type]
        .where(_key(sealed) == bindparam("of_key"))
        .values({name: bindparam(f"new_{name}") for name in names})
    )
    connection.execute(statement, rows)


def _fill_indexes(connection: Connection, vault: Vault) -> None:
    """For persons that an older version took in, which found them by the whole ID number alone."""
    sealed = SEALED[0]
    last: str | None = None
    while rows := _batch(connection, sealed, last):
        _write(connection, sealed, [dict(_sealed_anew(sealed, row, vault, vault)) for row in rows])
        last = str(rows[-1]["key"])


def _rename(state_dir: Path) -> None:
    """Keep the old key beside, and put the new one in its place. There is a `vault.key` at every instant."""
    (state_dir / OLD).unlink(missing_ok=True)
    write_secret_file(state_dir / OLD, (state_dir / KEY).read_bytes())
    (state_dir / NEXT).replace(state_dir / KEY)
    descriptor = os.open(state_dir, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
