"""Lockdowns take two people to begin: one asks, another confirms within five minutes. To end one takes one.

The states and the only ways between them: asked -> active -> ended, and asked -> lapsed.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from cloud.access.errors import NotNow, NotThere
from cloud.access.values.commands import LockdownRequest, LockdownValue
from cloud.accounts.scope import WHOLE, Scope
from cloud.database.tables import Gateway, Lockdown
from cloud.register.errors import RegisterError

CONFIRM_WITHIN = timedelta(minutes=5)
MOST_LOOKED_AT = 1000
"""Of the newest lockdowns, to find those of a part of the hub."""


class LockdownState(StrEnum):
    ASKED = "asked"
    ACTIVE = "active"
    ENDED = "ended"
    LAPSED = "lapsed"


def ask(
    connection: Connection,
    make_id: Callable[[], UUID],
    wanted: LockdownRequest,
    account: UUID,
    now: datetime,
    within: Scope = WHOLE,
) -> LockdownValue:
    """Ask for a lockdown; nothing happens at the doors yet.

    Raises:
        RegisterError: if a gateway is not there, or has doors outside the scope, which would be locked too.
    """
    if missing := sorted(set(wanted.gateways) - _held(connection, wanted.gateways, within)):
        raise RegisterError("gateways", f"there is no gateway {missing[0]!r}", "correct its name")
    identifier = make_id()
    connection.execute(
        insert(Lockdown).values(
            id=identifier,
            gateways=sorted(set(wanted.gateways)),
            state=LockdownState.ASKED,
            why=wanted.why,
            asked_by=account,
            asked_at=now,
        )
    )
    return find(connection, identifier)


def confirm(connection: Connection, identifier: UUID, account: UUID, now: datetime) -> LockdownValue:
    """Agree to a lockdown, which then is active; the caller sends the commands.

    Raises:
        NotThere: if there is none.
        NotNow: for the person who asked, after five minutes, or if it is no longer waiting.
    """
    found = find(connection, identifier)
    if found.asked_by == account:
        raise NotNow("lockdown", "the person who asked cannot confirm", "let another person confirm")
    if now >= found.confirm_until:
        raise NotNow("lockdown", "it was not confirmed within five minutes", "ask for it anew")
    changes = {"state": LockdownState.ACTIVE, "confirmed_by": account, "confirmed_at": now}
    _move(connection, identifier, [LockdownState.ASKED], changes)
    return find(connection, identifier)


def end(connection: Connection, identifier: UUID, account: UUID, now: datetime) -> tuple[LockdownValue, bool]:
    """End a lockdown, or take one back that waits; the second value is whether doors were locked by it.

    Raises:
        NotThere: if there is none.
        NotNow: if it is over.
    """
    found = find(connection, identifier)
    was_active = found.state == LockdownState.ACTIVE
    state = LockdownState.ENDED if was_active else LockdownState.LAPSED
    changes = {"state": state, "ended_by": account, "ended_at": now}
    _move(connection, identifier, [LockdownState(found.state)] if _is_open(found) else [], changes)
    return find(connection, identifier), was_active


def active(connection: Connection, identifier: UUID) -> LockdownValue:
    """A lockdown that is active, to send its commands again.

    Raises:
        NotThere: if there is none.
        NotNow: if it is not active.
    """
    found = find(connection, identifier)
    if found.state != LockdownState.ACTIVE:
        raise NotNow("lockdown", f"it is {found.state}", "ask for another")
    return found


def held_by_others(connection: Connection, ended: LockdownValue) -> set[str]:
    """Gateways that another active lockdown holds, so that the end of this one does not open them."""
    rows = connection.execute(
        select(Lockdown.gateways).where(Lockdown.state == LockdownState.ACTIVE, Lockdown.id != ended.id)
    )
    return {gateway for gateways in rows.scalars() for gateway in gateways}


def find(connection: Connection, identifier: UUID, within: Scope = WHOLE) -> LockdownValue:
    """One lockdown, all of whose gateways are within the scope.

    Raises:
        NotThere: if there is none.
    """
    row = connection.execute(select(Lockdown.__table__).where(Lockdown.id == identifier)).first()
    if row is None or not _is_within(connection, row.gateways, within):
        raise NotThere("lockdown", "there is no such lockdown", "the list of lockdowns shows those there are")
    return _value(row)


def list_lockdowns(connection: Connection, limit: int = 100, within: Scope = WHOLE) -> list[LockdownValue]:
    """The newest lockdowns, those all of whose gateways are within the scope."""
    query = select(Lockdown.__table__).order_by(Lockdown.asked_at.desc(), Lockdown.id.desc())
    rows = connection.execute(query.limit(limit if within.is_whole else MOST_LOOKED_AT))
    shown = (_value(row) for row in rows if _is_within(connection, row.gateways, within))
    return list(islice(shown, limit))


def lapse_old(connection: Connection, now: datetime) -> None:
    """Mark those that nobody confirmed in time."""
    late = (Lockdown.state == LockdownState.ASKED) & (Lockdown.asked_at <= now - CONFIRM_WITHIN)
    connection.execute(update(Lockdown).where(late).values(state=LockdownState.LAPSED))


def _held(connection: Connection, gateways: Collection[str], within: Scope) -> set[str]:
    """Those of the gateways that are within a scope with all their doors."""
    query = select(Gateway.id).where(Gateway.id.in_(gateways), within.holds_gateway(Gateway.id))
    return set(connection.execute(query).scalars())


def _is_within(connection: Connection, gateways: Collection[str], within: Scope) -> bool:
    return within.is_whole or _held(connection, gateways, within) == set(gateways)


def _is_open(found: LockdownValue) -> bool:
    return found.state in (LockdownState.ASKED, LockdownState.ACTIVE)


def _move(connection: Connection, identifier: UUID, before: Iterable[LockdownState], changes: dict[str, Any]) -> None:
    """Change a lockdown that is in one of these states, whoever else does so at the same moment."""
    allowed = (Lockdown.id == identifier) & Lockdown.state.in_(list(before))
    if connection.execute(update(Lockdown).where(allowed).values(**changes)).rowcount == 0:
        raise NotNow("lockdown", "it is over, or somebody was faster", "look at its state")


def _value(row: Row[*tuple[Any, ...]]) -> LockdownValue:
    return LockdownValue(
        id=row.id,
        gateways=tuple(row.gateways),
        state=row.state,
        why=row.why,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        confirm_until=row.asked_at + CONFIRM_WITHIN,
        confirmed_by=row.confirmed_by,
        confirmed_at=row.confirmed_at,
        ended_by=row.ended_by,
        ended_at=row.ended_at,
    )
