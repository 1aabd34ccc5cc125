"""Reads the rosters of some centres at once, whatever their number: four queries. What they mean is in `shifts`."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.database.tables import DutyException, DutyRosterName, DutyRosterVersion, SpecialDay
from cloud.duty.plan import RosterPlan
from cloud.duty.shifts import Calendar, Change, Roster, Turn, Version, gaps, is_kept, on_duty

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DutyBook:
    """The rosters of some centres, as far as some days need them."""

    rosters: Mapping[UUID, Sequence[Roster]]
    calendar: Calendar
    zone: ZoneInfo

    def on_duty(self, centre: UUID, at: datetime) -> list[Turn]:
        """The shifts that somebody works there."""
        return on_duty(self.rosters.get(centre, ()), at, self.calendar, self.zone)

    def is_kept(self, centre: UUID, at: datetime) -> bool:
        """Whether the centre has a roster then: without one, nobody on duty is no gap."""
        return any(is_kept(each, at, self.zone) for each in self.rosters.get(centre, ()))

    def gaps(
        self, centre: UUID, since: datetime, until: datetime, able: frozenset[str]
    ) -> list[tuple[datetime, datetime]]:
        """When nobody of these accounts is on duty although there is a roster."""
        return gaps(self.rosters.get(centre, ()), since, until, able, self.calendar, self.zone)


def read_book(
    connection: Connection, centres: Collection[UUID], since: datetime, until: datetime, zone: ZoneInfo
) -> DutyBook:
    """What is needed to say who is on duty at these centres at any moment from `since` to `until`, both included."""
    first, last = since.astimezone(zone).date() - _DAY, until.astimezone(zone).date()
    names = select(DutyRosterName.id, DutyRosterName.centre_id, DutyRosterName.code)
    names = names.where(DutyRosterName.centre_id.in_(centres)).order_by(DutyRosterName.code)
    rows = connection.execute(names).all()
    found = [row.id for row in rows]
    versions, changes = _versions(connection, found, last), _changes(connection, found, first, last)
    rosters: defaultdict[UUID, list[Roster]] = defaultdict(list)
    for row in rows:
        rosters[row.centre_id].append(Roster(row.code, versions[row.id], changes[row.id]))
    return DutyBook(rosters, _calendar(connection, first, last), zone)


def _versions(connection: Connection, rosters: Collection[UUID], last: date) -> defaultdict[UUID, list[Version]]:
    """Those that are over too: they may have taken the place of others."""
    begun = (DutyRosterVersion.roster_id.in_(rosters), DutyRosterVersion.since <= last)
    query = select(DutyRosterVersion.__table__).where(*begun)
    found: defaultdict[UUID, list[Version]] = defaultdict(list)
    for row in connection.execute(query.order_by(DutyRosterVersion.roster_id, DutyRosterVersion.number)):
        found[row.roster_id].append(Version(RosterPlan.model_validate(row.plan), row.written_at))
    return found


def _changes(
    connection: Connection, rosters: Collection[UUID], first: date, last: date
) -> defaultdict[UUID, list[Change]]:
    query = select(DutyException.__table__).where(
        DutyException.roster_id.in_(rosters), DutyException.day.between(first, last)
    )
    found: defaultdict[UUID, list[Change]] = defaultdict(list)
    for row in connection.execute(query.order_by(DutyException.roster_id, DutyException.number)):
        members = None if row.members is None else tuple(row.members)
        found[row.roster_id].append(Change(row.day, row.shift, members, row.written_at))
    return found


def _calendar(connection: Connection, first: date, last: date) -> dict[date, int]:
    query = select(SpecialDay.day, SpecialDay.counts_as).where(SpecialDay.day.between(first, last))
    return {row.day: row.counts_as for row in connection.execute(query)}
