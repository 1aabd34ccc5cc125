"""Puts one row by its key, and tells whether anything changed; what did not change is not written, so that triggers and
write-ahead logs stay quiet when the same file is imported again."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, and_, insert, select, update

from cloud.database.tables import Base
from cloud.register.change import Change


def put(
    connection: Connection,
    table: type[Base],
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    new: Callable[[], Mapping[str, Any]] = dict,
) -> Change:
    """Insert key, values and what `new` makes, or update `values` of the row with that key."""
    columns = table.__table__.c
    where = and_(*(columns[name] == value for name, value in key.items()))
    found = connection.execute(select(*(columns[name] for name in (*key, *values))).where(where)).mappings().first()
    if found is None:
        connection.execute(insert(table).values({**key, **values, **new()}))
        return Change.ADDED
    if all(found[name] == value for name, value in values.items()):
        return Change.UNCHANGED
    connection.execute(update(table).where(where).values(dict(values)))
    return Change.UPDATED
