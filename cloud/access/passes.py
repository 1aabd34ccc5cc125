"""Passes for guests, recurring helpers and couriers, given by a host.

A guest or helper gets a QR code for each gateway, signed by the hub and valid for 31 days at the most; another is
issued when it has run out. A courier gets a one-time code for the keypad, unique among all PINs in force. A pass never
outlasts its host's lease.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, or_, select, update

from cloud.access.credentials import check_groups, is_taken
from cloud.access.doors import door_id
from cloud.access.errors import NotNow, NotThere
from cloud.access.people import check_person
from cloud.access.reach import EVERYWHERE, Reach
from cloud.access.values.base import DoorKeyValue
from cloud.access.values.passes import IssuedPass, PassRequest, PassValue, QrCode
from cloud.credentials.compiler import card_keys
from cloud.credentials.leases import earlier, lease_ends
from cloud.database.tables import (
    AccessPass,
    AccessPassDoor,
    Credential,
    Door,
    DoorGroupDoor,
    Residency,
)
from cloud.qr import qr_svg
from cloud.register.credentials import NUMBER, revoke_credential, set_groups
from cloud.register.doors import DoorKey
from cloud.register.errors import RegisterError
from cloud.signing import HubSigner
from cloud.vault import Vault
from protocols import pins
from protocols.credentials import CredentialKind
from protocols.passes import MAX_LIFETIME, MAX_TOKEN_CHARACTERS, PassToken, write_token

CODE_DIGITS = 6
_CODE_TRIES = 100
_MAX_TOKEN_DOORS = 32
KEPT_AFTER_END = timedelta(days=1)
"""For how long a pass that is over stays with the gateways, so that doors say why they stay shut."""


class PassKind(StrEnum):
    GUEST = "guest"
    HELPER = "helper"
    COURIER = "courier"


_DAY = timedelta(days=1)
LONGEST = {PassKind.GUEST: 31 * _DAY, PassKind.HELPER: 366 * _DAY, PassKind.COURIER: _DAY}
"""How long a pass may last."""
OFFLINE_S = {PassKind.GUEST: 86_400, PassKind.HELPER: 7 * 86_400, PassKind.COURIER: 86_400}
"""How long after the gateway's last news of the hub it is taken, unless it is said."""


@dataclass(frozen=True)
class PassMaker:
    """Makes passes and their codes. `random_below(n)` gives a number that nobody can guess."""

    vault: Vault
    signer: HubSigner
    make_id: Callable[[], UUID]
    random_below: Callable[[int], int] = secrets.randbelow

    def create(
        self,
        connection: Connection,
        wanted: PassRequest,
        account: UUID | None,
        now: datetime,
        reach: Reach = EVERYWHERE,
    ) -> IssuedPass:
        """Make a pass with its first codes.

        Raises:
            RegisterError: if it is too long, its host does not live here, or a door or group is not there.
        """
        kind = PassKind(wanted.kind)
        self._check(connection, wanted, kind, now, reach)
        identifier = self.make_id()
        code = self._free_code(connection) if kind is PassKind.COURIER else None
        number = code or str(identifier)
        connection.execute(
            insert(Credential).values(
                id=identifier,
                person_id=wanted.host,
                kind=CredentialKind.PASS if code is None else CredentialKind.PIN,
                number_sealed=self.vault.seal(number.encode(), NUMBER),
                number_index=self.vault.index(number, NUMBER),
                since=wanted.since,
                until=wanted.until,
                uses=wanted.uses or (1 if kind is PassKind.COURIER else None),
                offline_s=OFFLINE_S[kind] if wanted.offline_s is None else wanted.offline_s,
            )
        )
        connection.execute(
            insert(AccessPass).values(
                id=identifier,
                kind=kind,
                label=wanted.label,
                days=sorted(set(wanted.days)),
                hours_since=wanted.hours[0] if wanted.hours else None,
                hours_until=wanted.hours[1] if wanted.hours else None,
                created_at=now,
                created_by=account,
            )
        )
        for key in dict.fromkeys((each.gateway, each.device) for each in wanted.doors):
            named = door_id(connection, DoorKey(*key), reach.scope)
            connection.execute(insert(AccessPassDoor).values(pass_id=identifier, door_id=named))
        set_groups(connection, identifier, wanted.groups)
        qr_codes = () if code else self.issue(connection, identifier, now)
        return IssuedPass(id=identifier, access_pass=find(connection, identifier, reach), code=code, qr_codes=qr_codes)

    def issue(
        self, connection: Connection, identifier: UUID, now: datetime, reach: Reach = EVERYWHERE
    ) -> tuple[QrCode, ...]:
        """New QR codes, one for each gateway that the pass has doors at. Earlier ones stay valid until they run out.

        Raises:
            NotThere: if there is no such pass.
            NotNow: if it is a courier's, or over.
            RegisterError: if it names more doors than a code holds.
        """
        find(connection, identifier, reach)
        found = find(connection, identifier)  # whole: a code is for all doors of the pass
        if found.kind == PassKind.COURIER:
            raise NotNow("pass", "a courier's code is shown once, when it is made", "make another pass")
        if found.ends_at <= now:
            raise NotNow("pass", "the pass is over", "make another")
        since = max(found.since, now)
        until = min(found.ends_at, since + MAX_LIFETIME)
        keys = card_keys(connection, self.vault)
        codes = tuple(
            self._qr_code(found, gateway, doors, keys[gateway], (since, until))
            for gateway, doors in sorted(_doors_by_gateway(connection, found).items())
            if gateway in keys
        )
        if not codes:
            raise RegisterError("doors", "no gateway that is enrolled has any of them", "enrol the gateway first")
        connection.execute(update(AccessPass).where(AccessPass.id == identifier).values(tokens_until=until))
        return codes

    def _qr_code(
        self, found: PassValue, gateway: str, doors: list[str], card_key: bytes, window: tuple[datetime, datetime]
    ) -> QrCode:
        if len(doors) > _MAX_TOKEN_DOORS:
            raise RegisterError("doors", f"more than {_MAX_TOKEN_DOORS} doors of {gateway}", "name fewer doors")
        token = PassToken(
            ref=found.id,
            site=gateway,
            doors=tuple(doors),
            since=window[0],
            until=window[1],
            days=found.days,
            hours=found.hours,
            uses=found.uses,
            offline_s=found.offline_s,
            holder=pins.keyed_hash_of(card_key, pins.holder_text(found.id)),
        )
        text = write_token(token, self.signer.key_id, self.signer.sign)
        if len(text) > MAX_TOKEN_CHARACTERS:
            raise RegisterError("doors", "the doors' names do not fit a QR code", "name fewer doors")
        return QrCode(gateway=gateway, token=text, svg=qr_svg(text), since=window[0], until=window[1])

    def _check(self, connection: Connection, wanted: PassRequest, kind: PassKind, now: datetime, reach: Reach) -> None:
        if wanted.until - wanted.since > LONGEST[kind]:
            raise RegisterError("until", f"a {kind}'s pass lasts {LONGEST[kind].days} days at most", "end it earlier")
        if wanted.until <= now:
            raise RegisterError("until", "the pass is over before it begins", "correct the date")
        check_person(connection, wanted.host, "host", reach.person)
        lives_here = select(Residency.id).where(
            Residency.person_id == wanted.host,
            Residency.since < wanted.until,
            or_(Residency.until.is_(None), Residency.until > max(now, wanted.since)),
        )
        if connection.execute(lives_here).first() is None:
            raise RegisterError("host", "the host does not live here in that time", "name a resident as the host")
        check_groups(connection, frozenset(wanted.groups), reach)

    def _free_code(self, connection: Connection) -> str:
        """A code that no PIN in force has."""
        for _ in range(_CODE_TRIES):
            code = f"{self.random_below(10**CODE_DIGITS):0{CODE_DIGITS}d}"
            if not is_taken(connection, self.vault.index(code, NUMBER)):
                return code
        raise NotNow("code", "no free code was found", "revoke courier codes that are over")


def list_passes(
    connection: Connection, host: UUID | None, running_at: datetime | None, reach: Reach = EVERYWHERE
) -> list[PassValue]:
    """Passes, newest first: of a host, or only those that are not over."""
    query = _PASSES.order_by(AccessPass.created_at.desc(), AccessPass.id.desc()).limit(1000)
    query = query.where(reach.covers(Credential.person_id))
    if host is not None:
        query = query.where(Credential.person_id == host)
    if running_at is not None:
        query = query.where(Credential.until > running_at, Credential.revoked_at.is_(None))
    return [_value(connection, row, reach) for row in connection.execute(query).all()]


def find(connection: Connection, identifier: UUID, reach: Reach = EVERYWHERE) -> PassValue:
    """One pass.

    Raises:
        NotThere: if there is none.
    """
    query = _PASSES.where(AccessPass.id == identifier, reach.covers(Credential.person_id))
    row = connection.execute(query).first()
    if row is None:
        raise NotThere("pass", "there is no such pass", "the list of passes shows those there are")
    return _value(connection, row, reach)


def revoke(connection: Connection, identifier: UUID, now: datetime, reach: Reach = EVERYWHERE) -> None:
    """End a pass at once; gateways refuse its codes as soon as they hear of it.

    Raises:
        NotThere: if there is none.
        NotNow: if it was revoked before.
    """
    find(connection, identifier, reach)
    if not revoke_credential(connection, identifier, now):
        raise NotNow("pass", "it was revoked before", "nothing is left to do")


def drop_over(connection: Connection, now: datetime) -> int:
    """Let gateways forget passes that have been over for a day, and their codes be given anew; how many."""
    before = now - KEPT_AFTER_END
    over = (
        select(AccessPass.id)
        .join(Credential, Credential.id == AccessPass.id)
        .where(
            AccessPass.dropped.is_(False),
            Credential.until < before,
            or_(AccessPass.tokens_until.is_(None), AccessPass.tokens_until < before),
        )
        .limit(500)
    )
    ids = connection.execute(over).scalars().all()
    if ids:
        ended = update(Credential).where(Credential.id.in_(ids), Credential.revoked_at.is_(None))
        connection.execute(ended.values(revoked_at=now))
        connection.execute(update(AccessPass).where(AccessPass.id.in_(ids)).values(dropped=True))
    return len(ids)


_PASSES = select(
    AccessPass.__table__,
    Credential.person_id,
    Credential.since,
    Credential.until,
    Credential.uses,
    Credential.offline_s,
    Credential.revoked_at,
).join(Credential, Credential.id == AccessPass.id)


def _value(connection: Connection, row: Row[*tuple[Any, ...]], reach: Reach) -> PassValue:
    doors = (
        select(Door.gateway_id, Door.device)
        .join(AccessPassDoor, AccessPassDoor.door_id == Door.id)
        .where(AccessPassDoor.pass_id == row.id, reach.door)
        .order_by(Door.gateway_id, Door.device)
    )
    ends_at = earlier(earlier(row.until, row.revoked_at), lease_ends(connection, [row.person_id]).get(row.person_id))
    return PassValue(
        id=row.id,
        kind=row.kind,
        host=row.person_id,
        label=row.label,
        since=row.since,
        until=row.until,
        ends_at=ends_at or row.until,
        days=tuple(row.days),
        hours=None if row.hours_since is None else (row.hours_since, row.hours_until),
        uses=row.uses,
        offline_s=row.offline_s,
        doors=tuple(DoorKeyValue(gateway=gateway, device=device) for gateway, device in connection.execute(doors)),
        groups=reach.shown_groups(connection, row.id),
        created_at=row.created_at,
        created_by=row.created_by,
        revoked_at=row.revoked_at,
    )


def _doors_by_gateway(connection: Connection, found: PassValue) -> dict[str, list[str]]:
    """The doors of a pass and of its groups, by gateway."""
    doors: defaultdict[str, set[str]] = defaultdict(set)
    for key in found.doors:
        doors[key.gateway].add(key.device)
    query = (
        select(Door.gateway_id, Door.device)
        .join(DoorGroupDoor, DoorGroupDoor.door_id == Door.id)
        .where(DoorGroupDoor.group_code.in_(found.groups))
    )
    for gateway, device in connection.execute(query):
        doors[gateway].add(device)
    return {gateway: sorted(devices) for gateway, devices in doors.items()}
