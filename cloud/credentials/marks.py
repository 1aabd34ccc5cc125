"""The marks of changed credentials that the database's triggers leave (`cloud.database.tables.RegisterChange`)."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Sequence, delete, func, insert, select

from cloud.database.engine import Database
from cloud.database.tables import RegisterChange

MAX_SINGLE = 2000
"""More changed credentials than this are dealt with by compiling everything anew."""

_NUMBER = Sequence("register_change_number")


@dataclass(frozen=True)
class Changes:
    """What changed since the marks were taken last. `everything` stands for doors, groups, schedules or too much."""

    everything: bool
    credentials: frozenset[UUID]

    def __bool__(self) -> bool:
        return self.everything or bool(self.credentials)


def leave_mark(connection: Connection) -> None:
    """Ask for everything to be compiled anew, within the caller's transaction."""
    if connection.dialect.name == "postgresql":
        number = select(_NUMBER.next_value())
    else:
        number = select(func.coalesce(func.max(RegisterChange.number), 0) + 1)
    connection.execute(insert(RegisterChange).from_select(["number"], number))


def take_marks(database: Database) -> Changes:
    """Take every mark away that is there. What they stand for is lost with this process: start with everything."""
    with database.read() as connection:
        if connection.execute(select(RegisterChange.number).limit(1)).first() is None:
            return Changes(False, frozenset())
    with database.write() as connection:
        marks = connection.execute(delete(RegisterChange).returning(RegisterChange.credential_id)).scalars().all()
    credentials = frozenset(mark for mark in marks if mark is not None)
    if len(credentials) > MAX_SINGLE or None in marks:
        return Changes(True, frozenset())
    return Changes(False, credentials)
