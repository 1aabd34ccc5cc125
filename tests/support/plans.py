"""How a database answers what the hub asks of it."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.event import listen, remove


def plans_of(connection: Connection, act: Callable[[], object]) -> list[str]:
    """The plans of what is asked meanwhile, with values bound as the hub binds them."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    listen(connection, "before_cursor_execute", note)
    act()
    remove(connection, "before_cursor_execute", note)
    command = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    return [
        "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{command} {statement}", parameters))
        for statement, parameters in asked
    ]
