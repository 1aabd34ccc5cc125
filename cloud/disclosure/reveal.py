"""Lifts the mask of a person's name, phone number or the end of the ID number."""

from uuid import UUID

from sqlalchemy import Connection, select

from cloud.access.errors import NotThere
from cloud.access.reach import Reach
from cloud.database.tables import Person
from cloud.disclosure.values import Masked, Revealed, RevealRequest
from cloud.register.people import ID_NUMBER, PHONE
from cloud.vault import Vault

_TAIL = 4


def check_person(connection: Connection, person: UUID, reach: Reach) -> None:
    """That a person lives within the account's reach.

    Raises:
        NotThere: if not.
    """
    if connection.execute(select(Person.id).where(Person.id == person, reach.person)).first() is None:
        raise NotThere("person", "there is no such person", "look up the residents of the dwelling")


def reveal(connection: Connection, vault: Vault, person: UUID, wanted: RevealRequest) -> Revealed:
    """What is registered of a person that was checked.

    Raises:
        NotThere: if the person is gone meanwhile.
        VaultError: if it cannot be opened.
    """
    query = select(Person.name, Person.phone_sealed, Person.id_number_sealed).where(Person.id == person)
    row = connection.execute(query).first()
    if row is None:
        raise NotThere("person", "there is no such person", "look up the residents of the dwelling")
    asks = wanted.fields
    return Revealed(
        name=row.name if Masked.NAME in asks else None,
        phone=_opened(vault, row.phone_sealed, PHONE) if Masked.PHONE in asks else None,
        id_tail=(_opened(vault, row.id_number_sealed, ID_NUMBER) or "")[-_TAIL:] or None
        if Masked.ID_TAIL in asks
        else None,
    )


def _opened(vault: Vault, sealed: bytes | None, purpose: str) -> str | None:
    return None if sealed is None else vault.open(sealed, purpose).decode()
