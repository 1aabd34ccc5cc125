"""Until when a person's residencies let their credentials go on: the lease's end and the grace that the policy gives.

A person with several residencies keeps the latest. One without any (staff) is not bound by a lease.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, select

from cloud.database.tables import LeaseGrace, Residency

LeaseEnds = Mapping[UUID, datetime | None]
"""Person -> the end of the last residency with its grace; None: open-ended. Who never resided is not in it."""


def lease_ends(connection: Connection, persons: Collection[UUID] | None = None) -> LeaseEnds:
    """The ends of these persons' residencies, or of everybody's."""
    policy = connection.execute(select(LeaseGrace.role, LeaseGrace.grace_s))
    grace = {str(role): timedelta(seconds=grace_s) for role, grace_s in policy}
    query = select(Residency.person_id, Residency.role, Residency.until)
    if persons is not None:
        query = query.where(Residency.person_id.in_(persons))
    ends: dict[UUID, datetime | None] = {}
    for person, role, until in connection.execute(query):
        end = None if until is None else until + grace.get(str(role), timedelta())
        known = ends.get(person, end)
        ends[person] = None if end is None or known is None else max(end, known)
    return ends


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two ends, where None never comes."""
    if one is None or other is None:
        return one or other
    return min(one, other)
