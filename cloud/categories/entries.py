"""Entries of service categories: made, reviewed, ended, looked up. They lapse by the clock alone, whatever runs or not.

Whoever calls this has checked the permission, and writes each look-up and change into the audit.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from cloud.access.errors import NotNow, NotThere
from cloud.access.reach import Reach
from cloud.accounts.scope import scope_of
from cloud.categories.kinds import CategoryKinds
from cloud.categories.never import forbidden_in_basis
from cloud.categories.values import (
    CategoryFound,
    CategoryNotice,
    CategoryQuery,
    CategoryReview,
    CategoryState,
    CategoryValue,
    NewCategory,
)
from cloud.database.tables import Account, AccountRole, CategoryWarning, Person, ServiceCategory
from cloud.live.masking import masked_name
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.importing import CHINA
from cloud.register.sealed import CATEGORY, CATEGORY_BASIS
from cloud.register.writer import Author, History, RegisterWriter
from cloud.vault import Vault

TOLD_BEFORE = timedelta(days=30)
"""From when on an entry is among the notices."""
SOURCE = "categories"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class CategoryOffice:
    """What entries are made with. Dates are days in `zone`."""

    vault: Vault
    kinds: CategoryKinds
    make_id: IdMaker
    zone: ZoneInfo = CHINA

    def add(
        self, connection: Connection, person: UUID, wanted: NewCategory, by: UUID | None, reach: Reach
    ) -> CategoryValue:
        """Make an entry.

        Raises:
            NotThere: if the person is not within reach.
            NotNow: if the person has such an entry that holds.
            RegisterError: for a category that there is not, a basis or dates that cannot be, or an officer who is none.
        """
        self._check_kind(wanted.category)
        lock = select(Person.id).where(Person.id == person, reach.person).with_for_update()
        if connection.execute(lock).first() is None:
            raise NotThere("person", "there is no such person", "look up the residents of the dwelling")
        basis = _checked_basis(wanted.legal_basis)
        since = wanted.since or self._today(reach.now)
        if since > self._today(reach.now):
            raise RegisterError("since", "it begins in the future", "make the entry on the day")
        review_at = self._review_at(wanted.review_on, since, reach.now)
        index = self.vault.index(wanted.category, CATEGORY)
        known = select(ServiceCategory.id).where(
            ServiceCategory.person_id == person, ServiceCategory.category_index == index, holds(reach.now)
        )
        if connection.execute(known).first() is not None:
            raise NotNow("category", "the person has such an entry already", "review that one")
        writer = self._writer(connection, by, reach.now)
        identifier = self.make_id()
        writer.insert(
            ServiceCategory,
            {
                "id": identifier,
                "person_id": person,
                "category_sealed": self.vault.seal(wanted.category.encode(), CATEGORY),
                "category_index": index,
                "basis_sealed": self.vault.seal(basis.encode(), CATEGORY_BASIS),
                "officer_id": self._officer(connection, wanted.officer, by, person, reach.now),
                "since": self._begin(since),
                "review_at": review_at,
                "ended_at": None,
            },
        )
        writer.flush()
        return self.value(connection, identifier, reach)

    def review(
        self, connection: Connection, identifier: UUID, review: CategoryReview, by: UUID | None, reach: Reach
    ) -> CategoryValue:
        """Let an entry hold until a further day.

        Raises:
            NotThere: if there is none within reach.
            NotNow: if it does not hold any more: another is to be made.
            RegisterError: as `add`.
        """
        row = self._locked(connection, identifier, reach)
        after: dict[str, Any] = {"review_at": self._review_at(review.review_on, row.since, reach.now)}
        if review.legal_basis is not None:
            after["basis_sealed"] = self.vault.seal(_checked_basis(review.legal_basis).encode(), CATEGORY_BASIS)
        if review.officer is not None:
            after["officer_id"] = self._officer(connection, review.officer, by, row.person_id, reach.now)
        self._update(connection, row, after, by, reach.now)
        return self.value(connection, identifier, reach)

    def end(self, connection: Connection, identifier: UUID, by: UUID | None, reach: Reach) -> CategoryValue:
        """End an entry now.

        Raises:
            NotThere: if there is none within reach.
            NotNow: if it does not hold any more.
        """
        row = self._locked(connection, identifier, reach)
        self._update(connection, row, {"ended_at": reach.now}, by, reach.now)
        return self.value(connection, identifier, reach)

    def look(self, connection: Connection, query: CategoryQuery, reach: Reach) -> CategoryFound:
        """The entries that are asked for, of people within reach, in the order in which they were made.

        Raises:
            RegisterError: for a category that there is not.
        """
        conditions = [reach.covers(ServiceCategory.person_id)]
        if not query.past:
            conditions.append(holds(reach.now))
        if query.person is not None:
            conditions.append(ServiceCategory.person_id == query.person)
        if query.category is not None:
            self._check_kind(query.category)
            conditions.append(ServiceCategory.category_index == self.vault.index(query.category, CATEGORY))
        if query.after is not None:
            conditions.append(ServiceCategory.id > query.after)
        found = _ENTRIES.where(*conditions).order_by(ServiceCategory.id).limit(query.limit + 1)
        rows = connection.execute(found).all()
        items = tuple(self._value(row, reach.now) for row in rows[: query.limit])
        return CategoryFound(items=items, more=len(rows) > query.limit)

    def value(self, connection: Connection, identifier: UUID, reach: Reach) -> CategoryValue:
        """One entry.

        Raises:
            NotThere: if there is none within reach.
        """
        query = _ENTRIES.where(ServiceCategory.id == identifier, reach.covers(ServiceCategory.person_id))
        row = connection.execute(query).first()
        if row is None:
            raise _not_there()
        return self._value(row, reach.now)

    def notices(self, connection: Connection, by: UUID | None, reach: Reach) -> list[CategoryNotice]:
        """The entries that lapse within 30 days, or lapsed, of people within reach: first those that lapse first."""
        query = (
            select(ServiceCategory.id, ServiceCategory.officer_id, ServiceCategory.review_at, Account.username)
            .join(Account, Account.id == ServiceCategory.officer_id)
            .where(
                ServiceCategory.ended_at.is_(None),
                ServiceCategory.review_at <= reach.now + TOLD_BEFORE,
                reach.covers(ServiceCategory.person_id),
            )
            .order_by(ServiceCategory.review_at, ServiceCategory.id)
            .limit(500)
        )
        rows = connection.execute(query).all()
        told = _told(connection, [row.id for row in rows])
        return [
            CategoryNotice(
                id=row.id,
                officer=row.username,
                mine=row.officer_id == by,
                review_at=row.review_at,
                days_left=self._days_left(row.review_at, reach.now),
                told=told.get((row.id, row.review_at), ()),
            )
            for row in rows
        ]

    def _days_left(self, review_at: datetime, now: datetime) -> int:
        """Days from today to the last day on which it holds."""
        return (review_at.astimezone(self.zone).date() - self._today(now)).days - 1

    def _check_kind(self, code: str) -> None:
        if code not in self.kinds.known:
            words = ", ".join(self.kinds.known)
            raise RegisterError("category", f"there is no category {code!r}", f"write one of: {words}")

    def _review_at(self, last_day: date, since: date | datetime, now: datetime) -> datetime:
        """The first instant after the last day."""
        begin = since.astimezone(self.zone).date() if isinstance(since, datetime) else since
        today = self._today(now)
        if last_day < max(begin, today):
            raise RegisterError("review_on", "this day is over", "choose a day ahead")
        if last_day > a_year_after(today):
            raise RegisterError("review_on", "it is more than a year ahead", "an entry is reviewed every year")
        return self._begin(last_day + _DAY)

    def _officer(self, connection: Connection, name: str | None, by: UUID | None, person: UUID, now: datetime) -> UUID:
        """The account that is responsible: an officer for categories, not disabled, whose part the person is in."""
        one = Account.username == name if name is not None else Account.id == by
        found = select(Account.id).where(
            one, Account.role == AccountRole.CATEGORY_OFFICER, Account.disabled_at.is_(None)
        )
        officer: UUID | None = connection.execute(found).scalar()
        if officer is not None:
            seen = Reach(scope_of(connection, officer), now).person
            if connection.execute(select(Person.id).where(Person.id == person, seen)).first() is not None:
                return officer
        raise RegisterError(
            "officer",
            "nobody of this name is an officer for categories where the person lives",
            "name an account of that role",
        )

    def _locked(self, connection: Connection, identifier: UUID, reach: Reach) -> Row[*tuple[Any, ...]]:
        """An entry that holds, which nobody else changes meanwhile."""
        query = select(ServiceCategory.__table__).where(
            ServiceCategory.id == identifier, reach.covers(ServiceCategory.person_id)
        )
        row = connection.execute(query.with_for_update()).first()
        if row is None:
            raise _not_there()
        if state_of(row, reach.now) is not CategoryState.HOLDS:
            raise NotNow("category", "the entry does not hold any more", "make another, on a basis of its own")
        return row

    def _update(
        self, connection: Connection, row: Row[*tuple[Any, ...]], after: dict[str, Any], by: UUID | None, now: datetime
    ) -> None:
        writer = self._writer(connection, by, now)
        before = {name: getattr(row, name) for name in after}
        writer.update(ServiceCategory, {"id": row.id}, before, after)
        writer.flush()

    def _writer(self, connection: Connection, by: UUID | None, now: datetime) -> RegisterWriter:
        return RegisterWriter(connection, History(self.vault, Author(by, SOURCE), lambda: now), self.make_id)

    def _value(self, row: Row[*tuple[Any, ...]], now: datetime) -> CategoryValue:
        return CategoryValue(
            id=row.id,
            person=row.person_id,
            name=masked_name(row.name),
            category=self.vault.open(row.category_sealed, CATEGORY).decode(),
            legal_basis=self.vault.open(row.basis_sealed, CATEGORY_BASIS).decode(),
            officer=row.username,
            state=state_of(row, now),
            since=row.since,
            review_at=row.review_at,
            ended_at=row.ended_at,
        )

    def _today(self, now: datetime) -> date:
        return now.astimezone(self.zone).date()

    def _begin(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)


_ENTRIES = (
    select(ServiceCategory.__table__, Person.name, Account.username)
    .join(Person, Person.id == ServiceCategory.person_id)
    .join(Account, Account.id == ServiceCategory.officer_id)
)


def holds(now: datetime) -> ColumnElement[bool]:
    """The condition on `ServiceCategory`: it was not ended and has not lapsed."""
    not_ended = or_(ServiceCategory.ended_at.is_(None), ServiceCategory.ended_at > now)
    return (ServiceCategory.review_at > now) & not_ended


def state_of(row: Any, now: datetime) -> CategoryState:
    """How an entry stands; it needs `review_at` and `ended_at`."""
    if row.ended_at is not None and row.ended_at <= now:
        return CategoryState.ENDED
    return CategoryState.HOLDS if row.review_at > now else CategoryState.LAPSED


def a_year_after(day: date) -> date:
    """The same day of the next year; of 29 February the 28th."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return day.replace(year=day.year + 1, day=28)


def _checked_basis(text: str) -> str:
    if (word := forbidden_in_basis(text)) is not None:
        raise RegisterError(
            "legal_basis", f"it says {word!r}: ethnicity, religion and belief are no basis", "name the rule of law"
        )
    return text


def _told(connection: Connection, entries: Collection[UUID]) -> Mapping[tuple[UUID, datetime], tuple[int, ...]]:
    columns = (CategoryWarning.entry_id, CategoryWarning.review_at, CategoryWarning.days)
    query = select(*columns).where(CategoryWarning.entry_id.in_(entries)).order_by(CategoryWarning.days.desc())
    found: dict[tuple[UUID, datetime], tuple[int, ...]] = {}
    for entry, review_at, days in connection.execute(query):
        found[entry, review_at] = (*found.get((entry, review_at), ()), days)
    return found


def _not_there() -> NotThere:
    return NotThere("category", "there is no such entry", "look it up in the list")
