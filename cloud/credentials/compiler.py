"""From the register to what a gateway may know of credentials: keyed hashes, validity and door groups. It only reads.

A credential belongs to a gateway if one of its groups has a door there and it was not revoked. One that expired stays,
so that the door can say why it stays shut. A pass also belongs where it names a door, and stays, ended, while a QR code
that was issued for it has not run out: a gateway takes a pass that it never heard of by the code's own signature.

`not_after` is the earlier of the credential's own end and that of its holder's (or host's) last residency. A gateway
that reads policy format 1 gets cards alone, and of those none whose uses or time without the hub are bounded.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, or_, select

from cloud.credentials.leases import LeaseEnds, earlier, lease_ends
from cloud.database.tables import (
    AccessPass,
    AccessPassDoor,
    Credential,
    CredentialGroup,
    Door,
    DoorGroupDoor,
    DoorRule,
    Gateway,
)
from cloud.gateways.purposes import CARD_KEY
from cloud.register.credentials import NUMBER, PIN
from cloud.vault import Vault
from protocols import pins, plates
from protocols.credentials import CredentialKind, CredentialRow

MAX_GROUPS = 64
_FETCH_ROWS = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What a gateway's rows are made with. `listing` are the groups with a door whose device keeps card numbers."""

    card_key: bytes
    policy_format: int = 1
    groups: frozenset[str] = frozenset()
    listing: frozenset[str] = frozenset()


def card_keys(connection: Connection, vault: Vault) -> dict[str, bytes]:
    """The card key of every gateway that is enrolled and not revoked."""
    query = select(Gateway.id, Gateway.card_key_sealed).where(
        Gateway.revoked_at.is_(None), Gateway.card_key_sealed.is_not(None)
    )
    rows = connection.execute(query)
    return {gateway: vault.open(sealed, CARD_KEY) for gateway, sealed in rows if sealed is not None}


def targets(connection: Connection, vault: Vault) -> dict[str, Target]:
    """Every gateway that credentials are compiled for."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    listing: defaultdict[str, set[str]] = defaultdict(set)
    query = (
        select(Door.gateway_id, DoorGroupDoor.group_code, DoorRule.keeps_list)
        .join(Door, Door.id == DoorGroupDoor.door_id)
        .outerjoin(DoorRule, DoorRule.door_id == Door.id)
    )
    for gateway, group, keeps_list in connection.execute(query):
        groups[gateway].add(group)
        if keeps_list:
            listing[gateway].add(group)
    births = connection.execute(select(Gateway.id, Gateway.reported))
    formats = {gateway: int((reported or {}).get("policy_format") or 1) for gateway, reported in births}
    return {
        gateway: Target(key, formats[gateway], frozenset(groups[gateway]), frozenset(listing[gateway]))
        for gateway, key in card_keys(connection, vault).items()
    }


_ROWS = (
    select(
        Credential.id,
        Credential.person_id,
        Credential.kind,
        Credential.number_sealed,
        Credential.since,
        Credential.until,
        Credential.revoked_at,
        Credential.pin_sealed,
        Credential.duress_pin_sealed,
        Credential.duress,
        Credential.uses,
        Credential.offline_s,
        Credential.first,
        CredentialGroup.group_code,
        AccessPass.id.label("pass_id"),
    )
    .outerjoin(AccessPass, AccessPass.id == Credential.id)
    .outerjoin(CredentialGroup, CredentialGroup.credential_id == Credential.id)
    .order_by(Credential.id, CredentialGroup.group_code)
)
_PLAIN = _ROWS.where(
    Credential.revoked_at.is_(None), Credential.kind != CredentialKind.PASS, CredentialGroup.group_code.is_not(None)
)
_PASSES = _ROWS.where(
    Credential.kind == CredentialKind.PASS,
    AccessPass.dropped.is_(False),
    or_(Credential.revoked_at.is_(None), AccessPass.tokens_until.is_not(None)),
)


def all_rows(connection: Connection, vault: Vault, gateway: str, target: Target) -> Iterator[CredentialRow]:
    """Every row of one gateway, without holding them all."""
    queries = [_PLAIN.where(CredentialGroup.group_code.in_(target.groups)), _PASSES]
    for _, row in _rows(connection, queries, vault, {gateway: target}, None):
        yield row


def rows_of(
    connection: Connection, vault: Vault, targets: Mapping[str, Target], credentials: Collection[UUID]
) -> dict[tuple[str, UUID], CredentialRow]:
    """The rows of a few credentials at every gateway that has them: (gateway, credential) -> row."""
    queries = [query.where(Credential.id.in_(credentials)) for query in (_PLAIN, _PASSES)]
    return {(gateway, row.ref): row for gateway, row in _rows(connection, queries, vault, targets, credentials)}


def _rows(
    connection: Connection,
    queries: Sequence[Select[*tuple[Any, ...]]],
    vault: Vault,
    targets: Mapping[str, Target],
    credentials: Collection[UUID] | None,
) -> Iterator[tuple[str, CredentialRow]]:
    ends = lease_ends(connection, None if credentials is None else _holders(connection, credentials))
    named = _named_doors(connection, credentials)
    streaming = connection.execution_options(yield_per=_FETCH_ROWS)
    result = chain.from_iterable(streaming.execute(query) for query in queries)
    for _, rows in groupby(result, lambda row: row.id):
        members = list(rows)
        held = _opened(vault, members[0], ends)
        codes = [row.group_code for row in members if row.group_code is not None]
        for gateway, target in targets.items():
            own = [code for code in codes if code in target.groups]
            if (own or gateway in named.get(held.ref, ())) and held.is_known_to(target):
                yield gateway, held.row(target, own)


def _holders(connection: Connection, credentials: Collection[UUID]) -> set[UUID]:
    return set(connection.execute(select(Credential.person_id).where(Credential.id.in_(credentials))).scalars())


def _named_doors(connection: Connection, credentials: Collection[UUID] | None) -> dict[UUID, set[str]]:
    """Pass -> the gateways of the doors that it names by itself."""
    query = (
        select(AccessPassDoor.pass_id, Door.gateway_id)
        .join(Door, Door.id == AccessPassDoor.door_id)
        .join(AccessPass, AccessPass.id == AccessPassDoor.pass_id)
        .where(AccessPass.dropped.is_(False))
    )
    if credentials is not None:
        query = query.where(AccessPassDoor.pass_id.in_(credentials))
    found: defaultdict[UUID, set[str]] = defaultdict(set)
    for ref, gateway in connection.execute(query):
        found[ref].add(gateway)
    return found


@dataclass(frozen=True)
class _Held:
    """A credential with its secrets opened, ready to be hashed for any gateway."""

    ref: UUID
    holder: UUID
    kind: CredentialKind
    number: str
    since: datetime | None
    until: datetime | None
    pin: str | None
    duress_pin: str | None
    duress: bool
    uses: int | None
    offline_s: int | None
    first: bool

    @property
    def text(self) -> str:
        """What the row's hash is the keyed hash of."""
        match self.kind:
            case CredentialKind.PIN:
                return pins.pin_text(self.number)
            case CredentialKind.PLATE:
                return plates.plate_text(self.number)
            case _:
                return self.number

    def is_known_to(self, target: Target) -> bool:
        """Whether a gateway of that format would treat it as it is meant."""
        if target.policy_format >= 2:
            return True
        return self.kind is CredentialKind.CARD and not self.duress and self.uses is None and self.offline_s is None

    def row(self, target: Target, groups: list[str]) -> CredentialRow:
        """Its row for one gateway."""
        if len(groups) > MAX_GROUPS:
            log.error("credential %s is in %d groups of one gateway; %d are sent", self.ref, len(groups), MAX_GROUPS)
        key = target.card_key
        card_hash, some = pins.keyed_hash_of(key, self.text), tuple(groups[:MAX_GROUPS])
        if target.policy_format < 2:
            return CredentialRow(ref=self.ref, hash=card_hash, not_before=self.since, not_after=self.until, groups=some)
        lists = self.kind is CredentialKind.CARD and not target.listing.isdisjoint(groups)
        return CredentialRow(
            ref=self.ref,
            hash=card_hash,
            not_before=self.since,
            not_after=self.until,
            groups=some,
            kind=self.kind,
            holder=pins.keyed_hash_of(key, pins.holder_text(self.holder)),
            pin=self._pin_hash(key, self.pin),
            duress_pin=self._pin_hash(key, self.duress_pin),
            duress=self.duress,
            uses=self.uses,
            offline_s=self.offline_s,
            first=self.first,
            number=self.number if lists else None,
        )

    def _pin_hash(self, key: bytes, pin: str | None) -> str | None:
        return None if pin is None else pins.keyed_hash_of(key, pins.pin_of_card_text(self.ref, pin))


def _opened(vault: Vault, row: Row[*tuple[Any, ...]], ends: LeaseEnds) -> _Held:
    kind = CredentialKind(row.kind)
    until = earlier(row.until, ends.get(row.person_id))
    return _Held(
        ref=row.id,
        holder=row.pass_id or row.person_id,  # a guest is not the host
        kind=kind,
        number=str(row.id) if kind is CredentialKind.PASS else vault.open(row.number_sealed, NUMBER).decode(),
        since=row.since,
        until=earlier(until, row.revoked_at),
        pin=_opened_pin(vault, row.pin_sealed),
        duress_pin=_opened_pin(vault, row.duress_pin_sealed),
        duress=row.duress,
        uses=row.uses,
        offline_s=row.offline_s,
        first=row.first,
    )


def _opened_pin(vault: Vault, sealed: bytes | None) -> str | None:
    return None if sealed is None else vault.open(sealed, PIN).decode()
