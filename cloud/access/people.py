"""Who lives in a dwelling, as far as giving a credential or a pass needs it. Names leave masked."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, or_, select, true

from cloud.access.values.people import PersonValue
from cloud.accounts.scope import WHOLE, Scope
from cloud.database.tables import Person, Place, PlaceKind, Residency, ResidencyRole
from cloud.live.masking import masked_name
from cloud.register.errors import RegisterError
from cloud.register.places import place_id


def residents(connection: Connection, dwelling: str, now: datetime, within: Scope = WHOLE) -> list[PersonValue]:
    """Who lives in a dwelling now or will, by since.

    Raises:
        RegisterError: if there is no dwelling of this code within the scope.
    """
    if (
        connection.execute(select(Place.id).where(Place.code == dwelling, within.covers_place(Place.id))).first()
        is None
    ):
        raise RegisterError("dwelling", f"there is no place {dwelling!r}", "add it to the places, or correct the code")
    place = place_id(connection, dwelling, "dwelling", PlaceKind.DWELLING)
    query = (
        select(Person.id, Person.name, Residency.role, Residency.since, Residency.until)
        .join(Residency, Residency.person_id == Person.id)
        .where(Residency.dwelling_id == place, or_(Residency.until.is_(None), Residency.until > now))
        .order_by(Residency.since, Person.id)
    )
    return [
        PersonValue(
            id=row.id, name=masked_name(row.name), role=ResidencyRole(row.role), since=row.since, until=row.until
        )
        for row in connection.execute(query)
    ]


def check_person(connection: Connection, person: UUID, field: str, seen: ColumnElement[bool] | None = None) -> None:
    """That a person is registered, and meets a condition on `Person` (who is within the asker's scope).

    Raises:
        RegisterError: about `field`.
    """
    query = select(Person.id).where(Person.id == person, true() if seen is None else seen)
    if connection.execute(query).first() is None:
        raise RegisterError(field, "there is no such person", "look up the residents of the dwelling")
