"""Many rows of one table at once."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import IntegrityError

_FEW = 20
"""Fewer rows are statements as everywhere."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add the rows, in their order. A row may leave out columns that have a default in the database itself.

    PostgreSQL takes many of them by COPY, since a statement for each costs the driver more than the database.

    Raises:
        IntegrityError: a row breaks a rule of the table; the transaction is void.
    """
    for names, alike in groupby(rows, tuple):
        same = list(alike)
        if connection.dialect.name == "postgresql" and len(same) >= _FEW:
            _copy(connection, table, names, same)
        else:
            connection.execute(insert(table), same)


def _copy(connection: Connection, table: Table, names: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> None:
    columns = (table.c[name].type.dialect_impl(connection.dialect) for name in names)
    bound = [(name, column.bind_processor(connection.dialect)) for name, column in zip(names, columns, strict=True)]
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    driver = connection.connection.cursor()
    try:
        with driver.copy(statement) as copy:
            for row in rows:
                copy.write_row([row[name] if bind is None else bind(row[name]) for name, bind in bound])
    except psycopg.IntegrityError as error:
        raise IntegrityError(f"COPY {table.name}", None, error) from error
    finally:
        driver.close()
