"""Leases that end: warnings 7, 3 and 1 days before, each told once, and the days of grace by role.

A warning is given for the residency that a person's access ends with; who has a later one is not warned.
"""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select

from cloud.access.values.leases import GraceChange, LeaseValue
from cloud.credentials.leases import lease_ends
from cloud.database.tables import LeaseGrace, LeaseWarning, Person, Place, Residency, ResidencyRole
from cloud.live.masking import masked_name

WARNING_DAYS = (7, 3, 1)


def ending_leases(connection: Connection, now: datetime, within: timedelta) -> list[LeaseValue]:
    """The residencies that end within a time, and end their person's access, the next first."""
    policy = grace(connection).grace_s
    query = (
        select(
            Residency.id,
            Residency.person_id,
            Residency.role,
            Residency.until,
            Person.name,
            Place.code.label("dwelling"),
        )
        .join(Person, Person.id == Residency.person_id)
        .join(Place, Place.id == Residency.dwelling_id)
        .where(Residency.until > now, Residency.until <= now + within)
        .order_by(Residency.until, Residency.id)
    )
    rows = connection.execute(query).all()
    ends = lease_ends(connection, {row.person_id for row in rows})
    warned = _warned(connection, [row.id for row in rows])
    found = []
    for row in rows:
        role = ResidencyRole(row.role)
        ends_at = row.until + timedelta(seconds=policy.get(role, 0))
        if ends[row.person_id] == ends_at:
            told = tuple(sorted(warned[row.id, row.until], reverse=True))
            found.append(
                LeaseValue(
                    residency=row.id,
                    person=row.person_id,
                    name=masked_name(row.name),
                    dwelling=row.dwelling,
                    role=role,
                    until=row.until,
                    ends_at=ends_at,
                    warned=told,
                )
            )
    return found


def tell_warnings(connection: Connection, now: datetime) -> Counter[int]:
    """Record each warning that is due and was not told; how many by days before the end.

    After a pause of the hub only the nearest one is told, not those that were missed.
    """
    told: Counter[int] = Counter()
    for lease in ending_leases(connection, now, timedelta(days=max(WARNING_DAYS))):
        days = min(each for each in WARNING_DAYS if lease.until - now <= timedelta(days=each))
        if days not in lease.warned:
            values = {"residency_id": lease.residency, "until": lease.until, "days": days}
            connection.execute(insert(LeaseWarning).values(**values, told_at=now))
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


def _warned(connection: Connection, residencies: list[UUID]) -> defaultdict[tuple[UUID, datetime], list[int]]:
    found: defaultdict[tuple[UUID, datetime], list[int]] = defaultdict(list)
    query = select(LeaseWarning.residency_id, LeaseWarning.until, LeaseWarning.days)
    for residency, until, days in connection.execute(query.where(LeaseWarning.residency_id.in_(residencies))):
        found[residency, until].append(days)
    return found
