"""Cards: who holds which, for how long, and at which groups of doors. Their numbers are sealed."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from cloud.database.tables import Credential, CredentialGroup, DoorGroup
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.sealed import NUMBER, PIN
from cloud.register.writer import RegisterWriter
from cloud.vault import Vault
from protocols.cards import UnreadableCard, parse_text

__all__ = [
    "NUMBER",
    "PIN",
    "CardBatch",
    "CardEntry",
    "card_index",
    "find_credential",
    "put_credential",
    "revoke_credential",
    "set_groups",
]


@dataclass(frozen=True)
class CardEntry:
    """A card: `number` as `protocols.cards` spells it, valid from `since` (inclusive) until `until` (exclusive)."""

    number: str = field(repr=False)
    since: datetime | None = None
    until: datetime | None = None
    groups: frozenset[str] = frozenset()

    def checked(self) -> "CardEntry":
        """The same with the number spelled as it is stored.

        Raises:
            RegisterError: if it is no card's number.
        """
        return replace(self, number=_canonical(self.number))

    def check(self) -> None:
        """Refuse one that ends before it begins.

        Raises:
            RegisterError: if it does.
        """
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise RegisterError("card_until", "the card ends before it begins", "correct one of the dates")


def card_index(vault: Vault, number: str) -> str:
    """What a card is found by.

    Raises:
        RegisterError: if it is no card's number.
    """
    return vault.index(_canonical(number), NUMBER)


def find_credential(connection: Connection, vault: Vault, number: str) -> UUID | None:
    """The credential that this card is now; None if nobody holds it."""
    query = select(Credential.id).where(
        Credential.number_index == card_index(vault, number), Credential.revoked_at.is_(None)
    )
    return connection.execute(query).scalar()


@dataclass
class _Known:
    id: UUID
    person_id: UUID
    since: datetime | None
    until: datetime | None
    groups: set[str]


class CardBatch:
    """Gives cards to persons, many at a time: `load` what a number of entries names, `put` each, `flush`."""

    def __init__(self, writer: RegisterWriter, vault: Vault) -> None:
        self._writer = writer
        self._vault = vault
        self._groups: set[str] = set()
        self._known: dict[str, _Known] = {}

    def load(self, entries: Iterable[CardEntry]) -> None:
        """Ask for the cards of these checked entries, and forget those asked for before; all must be flushed."""
        indexes = {self._vault.index(entry.number, NUMBER) for entry in entries}
        self._known.clear()
        self._groups = set(self._writer.connection.execute(select(DoorGroup.code)).scalars())
        if not indexes:
            return
        columns = (Credential.number_index, Credential.id, Credential.person_id, Credential.since, Credential.until)
        query = select(*columns).where(Credential.number_index.in_(indexes), Credential.revoked_at.is_(None))
        for row in self._writer.connection.execute(query):
            self._known[row.number_index] = _Known(*row[1:], set())
        by_id = {known.id: known for known in self._known.values()}
        if by_id:
            members = select(CredentialGroup.credential_id, CredentialGroup.group_code)
            for credential, group in self._writer.connection.execute(
                members.where(CredentialGroup.credential_id.in_(by_id))
            ):
                by_id[credential].groups.add(group)

    def put(self, person: UUID, entry: CardEntry) -> tuple[UUID, Change]:
        """Give a card of a checked entry to a person, or change its validity and groups.

        Raises:
            RegisterError: if another person holds the card, it ends before it begins, or a group is not there.
        """
        entry.check()
        if missing := sorted(entry.groups - self._groups):
            raise RegisterError("groups", f"there is no door group {missing[0]!r}", "add it to the door groups")
        index = self._vault.index(entry.number, NUMBER)
        known = self._known.get(index)
        if known is None:
            return self._add(person, entry, index), Change.ADDED
        if known.person_id != person:
            raise RegisterError(
                "card", "another person holds this card", "revoke it there first, or correct the number"
            )
        return known.id, self._change(known, entry)

    def _add(self, person: UUID, entry: CardEntry, index: str) -> UUID:
        known = _Known(self._writer.new_id(), person, entry.since, entry.until, set(entry.groups))
        values = {"id": known.id, "person_id": person, "since": entry.since, "until": entry.until}
        sealed = self._vault.seal(entry.number.encode(), NUMBER)
        self._writer.insert(Credential, {**values, "number_sealed": sealed, "number_index": index})
        self._writer.insert_members(CredentialGroup, [_member(known.id, group) for group in sorted(entry.groups)])
        self._known[index] = known
        return known.id

    def _change(self, known: _Known, entry: CardEntry) -> Change:
        wanted = {"since": entry.since, "until": entry.until}
        after = {name: value for name, value in wanted.items() if getattr(known, name) != value}
        if after:
            before = {name: getattr(known, name) for name in after}
            self._writer.update(Credential, {"id": known.id}, before, after)
        if known.groups == entry.groups:
            return Change.UPDATED if after else Change.UNCHANGED
        for group in sorted(known.groups - entry.groups):
            self._writer.remove(CredentialGroup, _member(known.id, group), {"group_code": group}, known.id)
        self._writer.insert_members(
            CredentialGroup, [_member(known.id, group) for group in sorted(entry.groups - known.groups)], known.id
        )
        known.groups = set(entry.groups)
        return Change.UPDATED


def put_credential(
    connection: Connection, vault: Vault, new_id: IdMaker, person: UUID, entry: CardEntry
) -> tuple[UUID, Change]:
    """Give one card by itself; its change is not kept.

    Raises:
        RegisterError: as `CardEntry.checked` and `CardBatch.put`.
    """
    writer = RegisterWriter(connection, None, new_id)
    batch, checked = CardBatch(writer, vault), entry.checked()
    batch.load([checked])
    credential, change = batch.put(person, checked)
    writer.flush()
    return credential, change


def set_groups(connection: Connection, credential: UUID, groups: Collection[str]) -> bool:
    """Let a credential open exactly the doors of these groups; whether that changed anything."""
    rows = select(CredentialGroup.group_code).where(CredentialGroup.credential_id == credential)
    held = set(connection.execute(rows).scalars())
    wanted = set(groups)
    if gone := held - wanted:
        connection.execute(
            delete(CredentialGroup).where(
                CredentialGroup.credential_id == credential, CredentialGroup.group_code.in_(gone)
            )
        )
    _add_groups(connection, credential, wanted - held)
    return held != wanted


def revoke_credential(connection: Connection, credential: UUID, at: datetime) -> bool:
    """End a credential at once; whether it was not ended before. Its past events stay linked to its holder."""
    result = connection.execute(
        update(Credential).where(Credential.id == credential, Credential.revoked_at.is_(None)).values(revoked_at=at)
    )
    return result.rowcount == 1


def _canonical(number: str) -> str:
    try:
        return parse_text(number).text
    except UnreadableCard as error:
        raise RegisterError(
            "card", "this is no card number", "write w26:FACILITY:NUMBER (or w34, w37) or rawBITS:HEX"
        ) from error


def _add_groups(connection: Connection, credential: UUID, groups: Collection[str]) -> None:
    if groups:
        connection.execute(
            insert(CredentialGroup), [{"credential_id": credential, "group_code": code} for code in sorted(groups)]
        )


def _member(credential: UUID, group: str) -> dict[str, Any]:
    return {"credential_id": credential, "group_code": group}
