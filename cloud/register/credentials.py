"""Cards: who holds which, for how long, and at which groups of doors. Their numbers are sealed."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from cloud.database.tables import Credential, CredentialGroup, DoorGroup
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.vault import Vault
from protocols.cards import UnreadableCard, parse_text

NUMBER = "credential.number"
"""What the vault seals a card's number for, and indexes it under; so also a PIN, a plate and a pass's id."""

PIN = "credential.pin"
"""What the vault seals the PINs for that go with a card."""


@dataclass(frozen=True)
class CardEntry:
    """A card: `number` as `protocols.cards` spells it, valid from `since` (inclusive) until `until` (exclusive)."""

    number: str = field(repr=False)
    since: datetime | None = None
    until: datetime | None = None
    groups: frozenset[str] = frozenset()


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


def put_credential(
    connection: Connection, vault: Vault, new_id: IdMaker, person: UUID, entry: CardEntry
) -> tuple[UUID, Change]:
    """Give a card to a person, or change its validity and groups.

    Raises:
        RegisterError: if the number is unreadable, another person holds the card, it ends before it begins, or a group
            is not there.
    """
    if entry.since is not None and entry.until is not None and entry.until <= entry.since:
        raise RegisterError("card_until", "the card ends before it begins", "correct one of the dates")
    canonical = _canonical(entry.number)
    index = vault.index(canonical, NUMBER)
    _check_groups(connection, entry.groups)
    known = connection.execute(
        select(Credential.id, Credential.person_id, Credential.since, Credential.until).where(
            Credential.number_index == index, Credential.revoked_at.is_(None)
        )
    ).first()
    if known is None:
        credential = new_id()
        values = {"person_id": person, "since": entry.since, "until": entry.until, "number_index": index}
        sealed = vault.seal(canonical.encode(), NUMBER)
        connection.execute(insert(Credential).values(id=credential, number_sealed=sealed, **values))
        _add_groups(connection, credential, entry.groups)
        return credential, Change.ADDED
    if known.person_id != person:
        raise RegisterError("card", "another person holds this card", "revoke it there first, or correct the number")
    changed = (known.since, known.until) != (entry.since, entry.until)
    if changed:
        connection.execute(
            update(Credential).where(Credential.id == known.id).values(since=entry.since, until=entry.until)
        )
    changed = set_groups(connection, known.id, entry.groups) or changed
    return known.id, Change.UPDATED if changed else Change.UNCHANGED


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


def _check_groups(connection: Connection, groups: Collection[str]) -> None:
    if not groups:
        return
    known = set(connection.execute(select(DoorGroup.code).where(DoorGroup.code.in_(groups))).scalars())
    if missing := sorted(set(groups) - known):
        raise RegisterError("groups", f"there is no door group {missing[0]!r}", "add it to the door groups")
