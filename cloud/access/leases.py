"""Leases that end: warnings 7, 3 and 1 days before, each told once, and the days of grace by role.

A warning is given for the residency that a person's access ends with; who has a later one is not warned. The console
lists such leases (`notices`) until their grace is over, and whoever deals with one marks its warnings.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, and_, delete, insert, or_, select, update
from sqlalchemy.orm import aliased

from cloud.access.errors import NotThere
from cloud.access.values.leases import GraceChange, LeaseNotice, LeaseNotices, LeaseValue
from cloud.accounts.scope import WHOLE, Scope
from cloud.credentials.leases import lease_ends
from cloud.database.tables import (
    Account,
    LeaseGrace,
    LeaseWarning,
    Person,
    Place,
    PlaceKind,
    Residency,
    ResidencyRole,
)
from cloud.live.masking import dwelling_text, masked_name

WARNING_DAYS = (7, 3, 1)
MAX_NOTICES = 100
_IN_GRACE = 0
_MAX_LOOKED_AT = 20 * MAX_NOTICES
"""Residencies that a list of notices looks at; those of who stays on elsewhere fall away."""
_DAY = timedelta(days=1)
_AHEAD = max(WARNING_DAYS) * _DAY
_Parent, _Grandparent = aliased(Place), aliased(Place)


def ending_leases(
    connection: Connection, now: datetime, within: timedelta, *, grace: bool = False, scope: Scope = WHOLE
) -> list[LeaseValue]:
    """The residencies that end within a time, and end their person's access, the next first.

    Args:
        grace: also those that have ended, and whose access goes on by grace.
    """
    return _leases(connection, now, _ending(connection, now, within, scope, grace=grace))


def notices(connection: Connection, now: datetime, scope: Scope = WHOLE) -> LeaseNotices:
    """The leases that end within the first warning's time or are in grace, those first whose access ends first."""
    found = _leases(connection, now, _ending(connection, now, _AHEAD, scope, grace=True).limit(_MAX_LOOKED_AT))
    found.sort(key=lambda lease: (lease.ends_at, lease.residency))
    shown = tuple(LeaseNotice(**lease.model_dump(exclude={"person"})) for lease in found[:MAX_NOTICES])
    return LeaseNotices(items=shown, more=len(found) > MAX_NOTICES)


def deal_with(
    connection: Connection, residency: UUID, until: datetime, account: UUID, now: datetime, scope: Scope = WHOLE
) -> bool:
    """Mark the warnings of a lease as dealt with; whether there was one that nobody had marked.

    A later warning of the same lease is shown anew.

    Raises:
        NotThere: if no lease with this end is shown: it was moved, or is over.
    """
    shown = _ending(connection, now, _AHEAD, scope, grace=True)
    query = shown.where(Residency.id == residency, Residency.until == until)
    lease = next(iter(_leases(connection, now, query)), None)
    if lease is None:
        raise NotThere("residency", "no lease with this end is about to end or in grace", "read the leases again")
    if _due(lease, now) not in lease.warned:
        _tell(connection, lease, _due(lease, now), now)
    mine = (LeaseWarning.residency_id == residency, LeaseWarning.until == until)
    marked = connection.execute(
        update(LeaseWarning)
        .where(*mine, LeaseWarning.dealt_with_at.is_(None))
        .values(dealt_with_at=now, dealt_with_by=account)
    )
    return marked.rowcount > 0


def tell_warnings(connection: Connection, now: datetime) -> Counter[int]:
    """Record each warning that is due and was not told; how many by days before the end.

    After a pause of the hub only the nearest one is told, not those that were missed.
    """
    told: Counter[int] = Counter()
    for lease in ending_leases(connection, now, _AHEAD):
        days = _due(lease, now)
        if days not in lease.warned:
            _tell(connection, lease, days, now)
            told[days] += 1
    return told


def grace(connection: Connection) -> GraceChange:
    """The policy of grace."""
    rows = connection.execute(select(LeaseGrace.role, LeaseGrace.grace_s).order_by(LeaseGrace.role))
    return GraceChange(grace_s={ResidencyRole(role): grace_s for role, grace_s in rows})


def set_grace(connection: Connection, change: GraceChange) -> None:
    """Replace the policy of grace; every gateway is told new ends."""
    connection.execute(delete(LeaseGrace))
    rows = [{"role": role, "grace_s": grace_s} for role, grace_s in change.grace_s.items() if grace_s]
    if rows:
        connection.execute(insert(LeaseGrace), rows)


def _ending(
    connection: Connection, now: datetime, within: timedelta, scope: Scope, *, grace: bool
) -> Select[*tuple[Any, ...]]:
    """The residencies that end within a time, and perhaps those in grace, by their ends."""
    later = [Residency.until > now]
    if grace:
        later += [
            and_(Residency.role == role, Residency.until > now - timedelta(seconds=grace_s))
            for role, grace_s in _policy(connection).items()
        ]
    return _JOINED.where(or_(*later), Residency.until <= now + within, scope.covers_place(Residency.dwelling_id))


def _leases(connection: Connection, now: datetime, query: Select[*tuple[Any, ...]]) -> list[LeaseValue]:
    """Those of the residencies found with which their person's access ends, later than now."""
    rows = connection.execute(query).all()
    policy = _policy(connection)
    ends = lease_ends(connection, {row.person_id for row in rows})
    warned = _warned(connection, [row.id for row in rows])
    found = []
    for row in rows:
        ends_at = row.until + timedelta(seconds=policy.get(ResidencyRole(row.role), 0))
        if ends[row.person_id] == ends_at and ends_at > now:
            found.append(_value(row, now, ends_at, warned.get((row.id, row.until), _Warned())))
    return found


def _policy(connection: Connection) -> dict[ResidencyRole, int]:
    return grace(connection).grace_s


_JOINED = (
    select(
        Residency.id,
        Residency.person_id,
        Residency.role,
        Residency.until,
        Person.name,
        Place.code.label("dwelling"),
        Place.name.label("dwelling_name"),
        _Parent.name.label("parent_name"),
        _Parent.kind.label("parent_kind"),
        _Grandparent.name.label("grandparent_name"),
        _Grandparent.kind.label("grandparent_kind"),
    )
    .join(Person, Person.id == Residency.person_id)
    .join(Place, Place.id == Residency.dwelling_id)
    .outerjoin(_Parent, _Parent.id == Place.parent_id)
    .outerjoin(_Grandparent, _Grandparent.id == _Parent.parent_id)
    .order_by(Residency.until, Residency.id)
)


@dataclass
class _Warned:
    """The warnings of one lease; the mark is that of the nearest one."""

    days: list[int] = field(default_factory=list)
    dealt_with_at: datetime | None = None
    dealt_with_by: str | None = None


def _warned(connection: Connection, residencies: Collection[UUID]) -> dict[tuple[UUID, datetime], _Warned]:
    query = (
        select(
            LeaseWarning.residency_id,
            LeaseWarning.until,
            LeaseWarning.days,
            LeaseWarning.dealt_with_at,
            Account.username,
        )
        .outerjoin(Account, Account.id == LeaseWarning.dealt_with_by)
        .where(LeaseWarning.residency_id.in_(residencies))
        .order_by(LeaseWarning.days.desc())
    )
    found: dict[tuple[UUID, datetime], _Warned] = {}
    for residency, until, days, at, by in connection.execute(query):
        warned = found.setdefault((residency, until), _Warned())
        warned.days.append(days)
        warned.dealt_with_at, warned.dealt_with_by = at, by
    return found


def _value(row: Row[*tuple[Any, ...]], now: datetime, ends_at: datetime, warned: _Warned) -> LeaseValue:
    in_grace = row.until <= now
    left = (ends_at if in_grace else row.until) - now
    above = ((row.grandparent_name, row.grandparent_kind), (row.parent_name, row.parent_kind))
    names = [name for name, kind in above if kind not in (None, PlaceKind.COMMUNITY)]
    return LeaseValue(
        residency=row.id,
        person=row.person_id,
        name=masked_name(row.name),
        dwelling=row.dwelling,
        where=dwelling_text([*names, row.dwelling_name]) or row.dwelling,
        role=ResidencyRole(row.role),
        until=row.until,
        ends_at=ends_at,
        in_grace=in_grace,
        days_left=-(-left // _DAY),
        warned=tuple(warned.days),
        dealt_with_at=warned.dealt_with_at,
        dealt_with_by=warned.dealt_with_by,
    )


def _due(lease: LeaseNotice, now: datetime) -> int:
    """The warning that is due: so many days before the end, or that the grace has begun."""
    if lease.in_grace:
        return _IN_GRACE
    return min(days for days in WARNING_DAYS if lease.until - now <= timedelta(days=days))


def _tell(connection: Connection, lease: LeaseNotice, days: int, now: datetime) -> None:
    values = {"residency_id": lease.residency, "until": lease.until, "days": days}
    connection.execute(insert(LeaseWarning).values(**values, told_at=now))
