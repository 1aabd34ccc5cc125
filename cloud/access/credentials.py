"""Cards, PINs and plates of persons: made, changed and revoked one at a time. What identifies one is sealed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from cloud.access.errors import InUse, NotThere
from cloud.access.people import check_person
from cloud.access.reach import EVERYWHERE, Reach
from cloud.access.values.people import CredentialChange, CredentialValue, NewCredential
from cloud.credentials.leases import earlier, lease_ends
from cloud.database.tables import Credential, DoorGroup
from cloud.register.credentials import NUMBER, PIN, revoke_credential, set_groups
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.vault import Vault
from protocols.base import ProtocolError
from protocols.cards import parse_text
from protocols.credentials import CredentialKind
from protocols.pins import pin_text
from protocols.plates import normal_plate
from protocols.strength import Strength, strength_of_card, strength_of_pin


def credentials_of(
    connection: Connection, vault: Vault, person: UUID, reach: Reach = EVERYWHERE
) -> list[CredentialValue]:
    """The credentials of a person that were not revoked, passes left out.

    Raises:
        RegisterError: if there is no such person.
    """
    check_person(connection, person, "person", reach.person)
    rows = connection.execute(_IN_FORCE.where(Credential.person_id == person).order_by(Credential.id)).all()
    return [_value(connection, vault, row, reach) for row in rows]


def credential(connection: Connection, vault: Vault, identifier: UUID, reach: Reach = EVERYWHERE) -> CredentialValue:
    """One credential that was not revoked.

    Raises:
        NotThere: if there is none, or it is a pass.
    """
    return _value(connection, vault, _row(connection, identifier, reach), reach)


def add_credential(
    connection: Connection, vault: Vault, new_id: IdMaker, new: NewCredential, reach: Reach = EVERYWHERE
) -> UUID:
    """Give a person a card, a PIN or a plate.

    Raises:
        RegisterError: if its number is none of its kind, or its person or a group is not there.
        InUse: if somebody has it.
    """
    check_person(connection, new.person, "person", reach.person)
    _check(connection, new, new.kind, reach)
    number = canonical(new.kind, new.number)
    index = vault.index(number, NUMBER)
    if is_taken(connection, index):
        raise InUse("number", f"somebody has this {new.kind} already", "revoke it there first, or take another")
    identifier = new_id()
    values = _changed(vault, new) | {"person_id": new.person, "kind": new.kind, "number_index": index}
    sealed = vault.seal(number.encode(), NUMBER)
    connection.execute(insert(Credential).values(id=identifier, number_sealed=sealed, **values))
    set_groups(connection, identifier, new.groups)
    return identifier


def change_credential(
    connection: Connection, vault: Vault, identifier: UUID, change: CredentialChange, reach: Reach = EVERYWHERE
) -> None:
    """Change validity, groups, uses and PINs.

    Raises:
        NotThere: if there is none, or it is a pass.
        RegisterError: if a group is not there, or the PINs do not go together.
    """
    row = _row(connection, identifier, reach)
    _check(connection, change, CredentialKind(row.kind), reach)
    has_pin = row.pin_sealed is not None if change.pin is None else bool(change.pin)
    has_duress_pin = row.duress_pin_sealed is not None if change.duress_pin is None else bool(change.duress_pin)
    if has_duress_pin and not has_pin:
        raise RegisterError("duress_pin", "the card has no PIN beside it", "give it a PIN too")
    if _pins_are_alike(vault, row, change):
        raise RegisterError("duress_pin", "it is the same as the PIN", "take another")
    connection.execute(update(Credential).where(Credential.id == identifier).values(**_changed(vault, change)))
    reach.set_groups(connection, identifier, change.groups)


def remove_credential(connection: Connection, identifier: UUID, now: datetime, reach: Reach = EVERYWHERE) -> None:
    """Revoke a credential at once.

    Raises:
        NotThere: if there is none, or it is a pass.
    """
    _row(connection, identifier, reach)
    revoke_credential(connection, identifier, now)


def canonical(kind: CredentialKind, number: str) -> str:
    """The one spelling of a card, a PIN or a plate.

    Raises:
        RegisterError: if it is none. The text never holds it.
    """
    try:
        match kind:
            case CredentialKind.PIN:
                pin_text(number)
                return number
            case CredentialKind.PLATE:
                return normal_plate(number)
            case _:
                return parse_text(number).text
    except ProtocolError as error:
        forms = {
            CredentialKind.PIN: "write four to eight digits",
            CredentialKind.PLATE: "write it like 贵G12345",
        }
        remedy = forms.get(kind, "write w26:FACILITY:NUMBER (w34, w37) or rawBITS:HEX")
        raise RegisterError("number", f"this is no {kind}", remedy) from error


def is_taken(connection: Connection, index: str) -> bool:
    """Whether a credential that was not revoked has the number of this index."""
    query = select(Credential.id).where(Credential.number_index == index, Credential.revoked_at.is_(None))
    return connection.execute(query).first() is not None


def check_groups(connection: Connection, groups: frozenset[str], reach: Reach = EVERYWHERE) -> None:
    """That these door groups are there, and this reach's to give.

    Raises:
        RegisterError: naming the first that is not.
    """
    query = select(DoorGroup.code).where(DoorGroup.code.in_(groups), reach.group_given)
    known = set(connection.execute(query).scalars())
    if missing := sorted(groups - known):
        raise RegisterError("groups", f"there is no door group {missing[0]!r}", "add it to the groups first")


_IN_FORCE = select(Credential.__table__).where(Credential.revoked_at.is_(None), Credential.kind != CredentialKind.PASS)


def _row(connection: Connection, identifier: UUID, reach: Reach) -> Row[*tuple[Any, ...]]:
    row = connection.execute(_IN_FORCE.where(Credential.id == identifier, reach.covers(Credential.person_id))).first()
    if row is None:
        raise NotThere("credential", "there is no such credential in force", "look up those of the person")
    return row


def _check(connection: Connection, change: CredentialChange, kind: CredentialKind, reach: Reach) -> None:
    if change.since is not None and change.until is not None and change.until <= change.since:
        raise RegisterError("until", "the credential ends before it begins", "correct one of the dates")
    if kind is not CredentialKind.CARD and (change.pin or change.duress_pin):
        raise RegisterError("pin", f"a {kind} has no PIN beside it", "leave it out")
    if change.pin and change.pin == change.duress_pin:
        raise RegisterError("duress_pin", "it is the same as the PIN", "take another")
    if isinstance(change, NewCredential) and change.duress_pin and not change.pin:
        raise RegisterError("duress_pin", "the card has no PIN beside it", "give it a PIN too")
    check_groups(connection, change.groups, reach)


def _pins_are_alike(vault: Vault, row: Row[*tuple[Any, ...]], change: CredentialChange) -> bool:
    stored = [
        None if sealed is None else vault.open(sealed, PIN).decode()
        for sealed in (row.pin_sealed, row.duress_pin_sealed)
    ]
    pin, duress = (
        now if asked is None else asked or None
        for now, asked in zip(stored, (change.pin, change.duress_pin), strict=True)
    )
    return pin is not None and pin == duress


def _changed(vault: Vault, change: CredentialChange) -> dict[str, Any]:
    values: dict[str, Any] = change.model_dump(include={"since", "until", "uses", "offline_s", "first", "duress"})
    for column, pin in (("pin_sealed", change.pin), ("duress_pin_sealed", change.duress_pin)):
        if pin is not None:
            values[column] = vault.seal(pin.encode(), PIN) if pin else None
    return values


def _value(connection: Connection, vault: Vault, row: Row[*tuple[Any, ...]], reach: Reach) -> CredentialValue:
    kind, number = CredentialKind(row.kind), vault.open(row.number_sealed, NUMBER).decode()
    return CredentialValue(
        id=row.id,
        person=row.person_id,
        kind=kind,
        ends_with=number[-2:],
        strength=_strength(kind, number, has_pin=row.pin_sealed is not None),
        groups=reach.shown_groups(connection, row.id),
        since=row.since,
        until=row.until,
        ends_at=earlier(row.until, lease_ends(connection, [row.person_id]).get(row.person_id)),
        uses=row.uses,
        offline_s=row.offline_s,
        first=row.first,
        duress=row.duress,
        has_pin=row.pin_sealed is not None,
        has_duress_pin=row.duress_pin_sealed is not None,
    )


def _strength(kind: CredentialKind, number: str, *, has_pin: bool) -> Strength:
    match kind:
        case CredentialKind.CARD:
            return strength_of_card(parse_text(number), has_pin=has_pin)
        case CredentialKind.PIN:
            return strength_of_pin(number)
        case CredentialKind.PLATE:
            return Strength.WEAK
        case CredentialKind.PASS:
            return Strength.SIGNED
