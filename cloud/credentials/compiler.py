"""From the register to what a gateway may know: keyed hashes, validity, door groups and schedules. It only reads.

A credential belongs to a gateway if one of its groups has a door there and it was not revoked. One that expired stays,
so that the door can say why it stays shut.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection, Select, select

from cloud.database.tables import Credential, CredentialGroup, Door, DoorGroup, DoorGroupDoor, Gateway
from cloud.database.tables import Schedule as ScheduleRow
from cloud.gateways.purposes import CARD_KEY
from cloud.register.credentials import NUMBER
from cloud.vault import Vault
from protocols import cards
from protocols.credentials import CredentialRow
from protocols.rules import DoorGroup as GroupRule
from protocols.rules import Interval, Rules, Schedule, Weekday

MAX_GROUPS = 64
_FETCH_ROWS = 1000

log = logging.getLogger(__name__)


def card_keys(connection: Connection, vault: Vault) -> dict[str, bytes]:
    """The card key of every gateway that is enrolled and not revoked."""
    query = select(Gateway.id, Gateway.card_key_sealed).where(
        Gateway.revoked_at.is_(None), Gateway.card_key_sealed.is_not(None)
    )
    rows = connection.execute(query)
    return {gateway: vault.open(sealed, CARD_KEY) for gateway, sealed in rows if sealed is not None}


def groups_of_gateways(connection: Connection) -> dict[str, frozenset[str]]:
    """Gateway -> the groups that have a door there."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    query = select(Door.gateway_id, DoorGroupDoor.group_code).join(Door, Door.id == DoorGroupDoor.door_id)
    for gateway, group in connection.execute(query):
        found[gateway].add(group)
    return {gateway: frozenset(groups) for gateway, groups in found.items()}


def rules_of(connection: Connection, gateway: str) -> Rules:
    """The door groups and schedules of a gateway, with its own doors alone."""
    query = (
        select(DoorGroup.code, DoorGroup.schedule_code, Door.device)
        .join(DoorGroupDoor, DoorGroupDoor.group_code == DoorGroup.code)
        .join(Door, Door.id == DoorGroupDoor.door_id)
        .where(Door.gateway_id == gateway)
        .order_by(DoorGroup.code, Door.device)
    )
    groups = tuple(
        GroupRule(id=code, schedule=schedule, doors=tuple(row.device for row in rows))
        for (code, schedule), rows in groupby(connection.execute(query), lambda row: (row.code, row.schedule_code))
    )
    used = {group.schedule for group in groups}
    schedules = connection.execute(
        select(ScheduleRow.code, ScheduleRow.intervals).where(ScheduleRow.code.in_(used)).order_by(ScheduleRow.code)
    )
    return Rules(
        schedules=tuple(Schedule(id=code, intervals=_intervals(intervals)) for code, intervals in schedules),
        groups=groups,
    )


def _intervals(stored: list[list[int]]) -> tuple[Interval, ...]:
    return tuple(Interval(weekday=Weekday(day), since=since, until=until) for day, since, until in stored)


_ROWS = (
    select(Credential.id, Credential.number_sealed, Credential.since, Credential.until, CredentialGroup.group_code)
    .join(CredentialGroup, CredentialGroup.credential_id == Credential.id)
    .where(Credential.revoked_at.is_(None))
    .order_by(Credential.id, CredentialGroup.group_code)
)


def all_rows(connection: Connection, vault: Vault, card_key: bytes, groups: Collection[str]) -> Iterator[CredentialRow]:
    """Every row of one gateway, in the order of their ids, without holding them all."""
    query = _ROWS.where(CredentialGroup.group_code.in_(groups))
    for row in _rows(connection, query, vault, {"": card_key}, {"": frozenset(groups)}):
        yield row[1]


def rows_of(
    connection: Connection,
    vault: Vault,
    keys: Mapping[str, bytes],
    groups: Mapping[str, frozenset[str]],
    credentials: Collection[UUID],
) -> dict[tuple[str, UUID], CredentialRow]:
    """The rows of a few credentials at every gateway that has them: (gateway, credential) -> row."""
    query = _ROWS.where(Credential.id.in_(credentials))
    return {(gateway, row.ref): row for gateway, row in _rows(connection, query, vault, keys, groups)}


def _rows(
    connection: Connection,
    query: Select[UUID, bytes, datetime | None, datetime | None, str],
    vault: Vault,
    keys: Mapping[str, bytes],
    groups: Mapping[str, frozenset[str]],
) -> Iterator[tuple[str, CredentialRow]]:
    result = connection.execution_options(yield_per=_FETCH_ROWS).execute(query)
    for ref, rows in groupby(result, lambda row: row.id):
        members = list(rows)
        held = [row.group_code for row in members]
        card = cards.parse_text(vault.open(members[0].number_sealed, NUMBER).decode())
        for gateway, key in keys.items():
            own = [group for group in held if group in groups.get(gateway, ())]
            if len(own) > MAX_GROUPS:
                log.error("credential %s is in %d groups of one gateway; %d are sent", ref, len(own), MAX_GROUPS)
            if own:
                yield (
                    gateway,
                    CredentialRow(
                        ref=ref,
                        hash=cards.keyed_hash(key, card),
                        not_before=members[0].since,
                        not_after=members[0].until,
                        groups=tuple(own[:MAX_GROUPS]),
                    ),
                )
