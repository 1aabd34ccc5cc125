"""Ends a credential at once. The database's triggers tell the distribution, in whatever process it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from cloud.credentials.compiler import CARD_NUMBER
from cloud.database.engine import Database
from cloud.database.tables import Credential, Person
from cloud.vault import Vault
from protocols import cards


class UnknownCredential(ValueError):
    """No credential has this card, or it was revoked before; the text says which."""


@dataclass(frozen=True)
class FoundCredential:
    """A credential and who holds it."""

    id: UUID
    holder: str
    revoked_at: datetime | None


class Revocation:
    """Finds and revokes credentials by their card."""

    def __init__(self, database: Database, vault: Vault, now: Callable[[], datetime]) -> None:
        self._database = database
        self._vault = vault
        self._now = now

    def find(self, card_text: str) -> FoundCredential:
        """The credential of a card, spelt as in `protocols.cards`.

        Raises:
            UnreadableCard: if the text is no card.
            UnknownCredential: if nobody has it.
        """
        index = self._vault.index(cards.parse_text(card_text).text, CARD_NUMBER)
        query = (
            select(Credential.id, Person.name, Credential.revoked_at)
            .join(Person, Person.id == Credential.person_id)
            .where(Credential.number_index == index)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise UnknownCredential(f"no credential has the card {card_text}")
        return FoundCredential(row.id, row.name, row.revoked_at)

    def revoke(self, credential: UUID) -> None:
        """End it now. Once revoked it stays so, and its first moment is kept.

        Raises:
            UnknownCredential: if it is not there, or was revoked before.
        """
        change = (
            update(Credential)
            .where(Credential.id == credential, Credential.revoked_at.is_(None))
            .values(revoked_at=self._now())
        )
        with self._database.write() as connection:
            if connection.execute(change).rowcount != 1:
                raise UnknownCredential("the credential is not there, or was revoked already")
