"""Leases that end, in the register of a running console."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, select

from cloud.access.leases import set_grace
from cloud.access.values.leases import GraceChange
from cloud.database import tables
from cloud.database.tables import ResidencyRole
from tests.support.console import FULL_NAME, RunningConsole, utc_now
from tests.support.register import add_place


def add_tenant(console: RunningConsole, ends_in: timedelta, name: str = FULL_NAME, number: str = "501") -> str:
    """A tenant in a dwelling of the seeded unit, whose lease ends then, with three days of grace; the residency."""
    person, dwelling, residency = uuid4(), uuid4(), uuid4()
    with console.database.write() as connection:
        unit = connection.execute(select(tables.Place.id).where(tables.Place.code == "qt-3-2")).scalar_one()
        add_place(connection, {"id": dwelling, "kind": "dwelling", "code": f"lease-{number}", "name": number}, unit)
        rows: list[tuple[type[Any], dict[str, Any]]] = [
            (tables.Person, {"id": person, "name": name}),
            (
                tables.Residency,
                {
                    "id": residency,
                    "person_id": person,
                    "dwelling_id": dwelling,
                    "role": ResidencyRole.TENANT,
                    "since": utc_now() - timedelta(days=300),
                    "until": utc_now() + ends_in,
                },
            ),
        ]
        for table, values in rows:
            connection.execute(insert(table).values(**values))
        set_grace(connection, GraceChange(grace_s={ResidencyRole.TENANT: 3 * 86_400}))
    return str(residency)
