"""Writes entries of the register in bulk, and keeps each change: who, when, before and after."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, update

from cloud.database.bulk import insert_rows
from cloud.database.tables import Base, RegisterHistory
from cloud.register.ids import IdMaker
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
)
from cloud.vault import Vault

Values = Mapping[str, Any]

_PURPOSES = {
    ("person", "id_number_sealed"): ID_NUMBER,
    ("person", "phone_sealed"): PHONE,
    ("credential", "number_sealed"): NUMBER,
    ("credential", "pin_sealed"): PIN,
    ("credential", "duress_pin_sealed"): PIN,
    ("service_category", "category_sealed"): CATEGORY,
    ("service_category", "basis_sealed"): CATEGORY_BASIS,
    ("contact", "name_sealed"): CONTACT_NAME,
    ("contact", "phone_sealed"): CONTACT_PHONE,
    ("vehicle", "plate_sealed"): PLATE,
    ("guest", "name_sealed"): GUEST_NAME,
    ("guest", "phone_sealed"): GUEST_PHONE,
}
_UNTOLD_SUFFIX = "_index"
"""Keyed hashes say nothing that the sealed value does not."""
_SOURCE_CHARACTERS = 120


class Act(StrEnum):
    """What happened to an entry."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True)
class Author:
    """Whose change it is.

    Attributes:
        account: None for a command on the hub's own machine.
        source: where it came from in a few words: a file's name, a command.
    """

    account: UUID | None = None
    source: str = ""


@dataclass(frozen=True)
class _Update:
    table: type[Base]
    columns: tuple[str, ...]
    key: Values
    values: Values


class History:
    """Makes the rows of `register_history`."""

    def __init__(self, vault: Vault, author: Author, now: Callable[[], datetime]) -> None:
        self._vault = vault
        self._author = author
        self._now = now

    def row(
        self, new_id: UUID, table: type[Base], act: Act, entry: UUID, before: Values | None, after: Values | None
    ) -> Values:
        """A change; values are sealed as a whole, with their own sealed fields opened."""
        return {
            "id": new_id,
            "at": self._now(),
            "account_id": self._author.account,
            "source": self._author.source[:_SOURCE_CHARACTERS],
            "kind": table.__tablename__,
            "entry_id": entry,
            "act": act,
            "before_sealed": self._sealed(table, before),
            "after_sealed": self._sealed(table, after),
        }

    def _sealed(self, table: type[Base], values: Values | None) -> bytes | None:
        if values is None:
            return None
        told = {
            name.removesuffix("_sealed"): self._told(table, name, value)
            for name, value in values.items()
            if not name.endswith(_UNTOLD_SUFFIX)
        }
        return self._vault.seal(json.dumps(told, ensure_ascii=False).encode(), HISTORY)

    def _told(self, table: type[Base], name: str, value: Any) -> Any:
        if isinstance(value, bytes):
            purpose = _PURPOSES.get((table.__tablename__, name))
            return value.hex() if purpose is None else self._vault.open(value, purpose).decode()
        if isinstance(value, UUID):
            return str(value)
        return value.isoformat() if isinstance(value, date) else value


class RegisterWriter:
    """Collects inserts and updates until `flush`, which must come before anything is read again.

    Rows are inserted in the order of the tables' references, then updated in the order of the calls. Without a
    `history` no change is kept, which is for registers that are made up.
    """

    def __init__(
        self, connection: Connection, history: History | None, new_id: Callable[[], UUID] | None = None
    ) -> None:
        self.connection = connection
        self.new_id = new_id or IdMaker()
        self._history = history
        self._inserts: defaultdict[str, list[Values]] = defaultdict(list)
        self._updates: list[_Update] = []

    def insert(self, table: type[Base], values: Values, entry: UUID | None = None) -> None:
        """Add a row. `entry` is the id under which its history is kept, by default its own."""
        self._add(table, values)
        self._keep(table, Act.ADDED, entry or values["id"], None, None)

    def insert_members(self, table: type[Base], rows: Sequence[Values], entry: UUID | None = None) -> None:
        """Add rows that belong to an entry; with `entry` each is kept as a change of it, else they came with it."""
        for row in rows:
            self._add(table, row)
            if entry is not None:
                self._keep(table, Act.ADDED, entry, None, row)

    def update(self, table: type[Base], key: Values, before: Values, after: Values, entry: UUID | None = None) -> None:
        """Change a row from `before` to `after`, which have the same columns."""
        self._updates.append(_Update(table, tuple(after), key, after))
        self._keep(table, Act.CHANGED, entry or key["id"], before, after)

    def remove(self, table: type[Base], key: Values, before: Values, entry: UUID | None = None) -> None:
        """Take a row away, at once and after all that was collected."""
        self.flush()
        columns = table.__table__.c
        self.connection.execute(delete(table).where(and_(*(columns[name] == key[name] for name in key))))
        self._keep(table, Act.REMOVED, entry or key["id"], before, None)

    def flush(self) -> None:
        """Write what was collected."""
        for table in Base.metadata.sorted_tables:
            if rows := self._inserts.pop(table.name, None):
                insert_rows(self.connection, table, rows)
        for (table_class, columns), group in groupby(self._updates, lambda each: (each.table, each.columns)):
            self._write_updates(table_class, columns, list(group))
        self._updates.clear()

    def _write_updates(self, table: type[Base], columns: tuple[str, ...], updates: list[_Update]) -> None:
        own = table.__table__.c
        where = and_(*(own[name] == bindparam(f"key_{name}") for name in updates[0].key))
        statement = update(table.__table__).where(where).values({name: bindparam(f"new_{name}") for name in columns})  # type: ignore[arg-type]
        self.connection.execute(
            statement,
            [
                {f"key_{name}": value for name, value in each.key.items()}
                | {f"new_{name}": value for name, value in each.values.items()}
                for each in updates
            ],
        )

    def _add(self, table: type[Base], values: Values) -> None:
        self._inserts[table.__tablename__].append(values)

    def _keep(self, table: type[Base], act: Act, entry: UUID, before: Values | None, after: Values | None) -> None:
        if self._history is not None:
            self._add(RegisterHistory, self._history.row(self.new_id(), table, act, entry, before, after))
