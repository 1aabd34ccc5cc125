"""Many rows at once are stored as one by one: with every type, their defaults and the table's rules."""

from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from cloud.database.bulk import insert_rows
from cloud.database.engine import Database
from cloud.database.tables import Credential, Person, Schedule
from tests.support.events import NOON, new_id

AWKWARD = "a\tb\\N\n\\.\r,张\"'"
"""What means something in COPY's own format."""
MANY = 50


def person() -> dict[str, Any]:
    return {"id": new_id(), "name": AWKWARD}


def credential(holder: Any, **values: Any) -> dict[str, Any]:
    number = new_id()
    return {
        "id": number,
        "person_id": holder,
        "number_sealed": bytes(range(256)),
        "number_index": number.hex,
        "since": NOON,
        "until": None,
        **values,
    }


@pytest.mark.parametrize("count", [3, MANY])
def test_rows_come_back_as_they_were(database: Database, count: int) -> None:
    people = [person() for _ in range(count)]
    cards = [credential(each["id"]) for each in people]
    weeks = [{"code": f"s{i}", "name": AWKWARD, "intervals": [[7, 0, i]]} for i in range(count)]
    with database.write() as connection:
        for table, rows in ((Person, people), (Credential, cards), (Schedule, weeks)):
            insert_rows(connection, table.__table__, rows)
    with database.read() as connection:
        names = set(connection.scalars(select(Person.name)))
        found = connection.execute(select(Credential.__table__)).mappings().all()
        intervals = set(connection.execute(select(Schedule.code, Schedule.intervals[0][2].as_integer())))
    assert names == {AWKWARD}
    assert {(row["id"], row["person_id"]) for row in found} == {(row["id"], row["person_id"]) for row in cards}
    told = {(row["number_sealed"], row["since"], row["until"], row["kind"], row["duress"]) for row in found}
    assert told == {(bytes(range(256)), NOON, None, "card", False)}, "what is not named has its default"
    assert intervals == {(f"s{i}", i) for i in range(count)}


def test_rows_that_name_different_columns_may_be_mixed(database: Database) -> None:
    holder = person()
    cards = [credential(holder["id"], **({"kind": "qr"} if i % 3 == 0 else {})) for i in range(MANY)]
    cards += [credential(holder["id"], kind="pin") for _ in range(MANY)]
    with database.write() as connection:
        insert_rows(connection, Person.__table__, [holder])
        insert_rows(connection, Credential.__table__, cards)
    with database.read() as connection:
        kinds = dict(connection.execute(select(Credential.id, Credential.kind)).all())
    assert kinds == {row["id"]: row.get("kind", "card") for row in cards}


@pytest.mark.parametrize("count", [3, MANY])
def test_a_row_that_breaks_a_rule_adds_none(database: Database, count: int) -> None:
    rows = [person() for _ in range(count)]
    with pytest.raises(IntegrityError), database.write() as connection:
        insert_rows(connection, Person.__table__, [*rows, rows[0]])
    with database.write() as connection:
        assert connection.execute(select(Person.id)).all() == []
        connection.execute(insert(Person), rows)
