"""How matters enter and go to another place or grid. All else is done at the alarms' desk (`cloud.alarms.desk`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, insert, select, text
from sqlalchemy.exc import IntegrityError

from cloud.accounts.scope import Scope
from cloud.alarms.desk import Actor, duty_of
from cloud.alarms.errors import IllegalMove
from cloud.alarms.limits import MATTER, Limits, MatterKind
from cloud.alarms.orders import withdraw_open
from cloud.alarms.queue import read_alarm
from cloud.alarms.reach import EVERYTHING, Sees
from cloud.alarms.roster import Roster, announce
from cloud.alarms.states import MAY_HANDLE, MOVES, Audience, Condition, Handling, Level, Move, Source
from cloud.alarms.steps import By, change, write_step
from cloud.database.engine import Database
from cloud.database.tables import Account, Alarm, Matter
from cloud.live.masking import masked_name
from cloud.matters.errors import NoSuchMatter
from cloud.matters.purposes import REPORTER
from cloud.matters.sites import Site, find_site
from cloud.matters.values import (
    MaskedReporter,
    MatterAnswer,
    MatterRequest,
    PassOnRequest,
    ReportedBy,
    Reporter,
)
from cloud.register.errors import RegisterError
from cloud.vault import Vault

CHINA = ZoneInfo("Asia/Shanghai")
_FIRST_LEVEL = Level.COMMUNITY
_SHOWN_DIGITS = 2
_GIVE_NUMBER = text(
    "INSERT INTO matter_number (year, last) VALUES (:year, 1)"
    " ON CONFLICT (year) DO UPDATE SET last = matter_number.last + 1 RETURNING last"
)


@dataclass(frozen=True)
class Enterer:
    """Who enters a matter: an account within its scope, or None at the command line."""

    account_id: UUID | None
    scope: Scope
    origin: str


class MatterDesk:
    """Safe for any thread and any number of processes: state is in the database alone."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        limits: Limits,
        roster: Roster,
    ) -> None:
        self._database, self._vault = database, vault
        self._now, self._make_id = now, make_id
        self._limits, self._roster = limits, roster

    @property
    def kinds(self) -> Mapping[str, MatterKind]:
        """The kinds there are, by code."""
        return self._limits.matters

    def enter(self, wanted: MatterRequest, who: Enterer) -> str:
        """Enter a matter; its number. The same request of the same account again is the matter that it made before.

        Raises:
            NoSuchSite, WrongGrid: as `cloud.matters.sites`.
            RegisterError: if there is no such kind.
        """
        kind = self._limits.matters.get(wanted.kind)
        if kind is None:
            kinds = ", ".join(self._limits.matters)
            raise RegisterError("kind", f"there is no kind {wanted.kind!r}", f"choose one of {kinds}")
        try:
            with self._database.write() as connection:
                return _entered(connection, wanted, who) or self._enter(connection, wanted, kind, who)
        except IntegrityError:
            with self._database.read() as connection:
                number = _entered(connection, wanted, who)
            if number is None:
                raise
            return number

    def pass_on(self, number: str, wanted: PassOnRequest, actor: Actor) -> None:
        """Give it to another place or grid of the account's, where it is new; its running orders are withdrawn.

        Raises:
            NoSuchMatter, NoSuchSite, WrongGrid: as they say.
            IllegalMove: if it is closed, lies there already, or the role handles no matters.
        """
        with self._database.write() as connection:
            alarm = find_matter(connection, number, actor.scope, actor.sees)
            found = connection.execute(select(Alarm.__table__).where(Alarm.id == alarm).with_for_update()).one()
            find_matter(connection, number, actor.scope, actor.sees)
            if actor.role not in MAY_HANDLE:
                raise IllegalMove("account", f"the role {actor.role} does not handle matters", "ask somebody who does")
            if Handling(found.handling) not in MOVES[Move.PASSED_ON]:
                raise IllegalMove("matter", "it is closed", "look at its outcome")
            now = self._now()
            site = find_site(connection, actor.scope, wanted.place, wanted.grid, now)
            if (site.place_id, site.grid_id) == (found.place_id, found.grid_id):
                raise IllegalMove("place", "it lies there already", "name another one")
            self._move(connection, found, site, actor.by, wanted.note, now)

    def reporter(self, number: str, scope: Scope, sees: Sees) -> Reporter | None:
        """Who reported it, unmasked; None: nobody was written down, or it is past its days."""
        with self._database.read() as connection:
            alarm = find_matter(connection, number, scope, sees)
            sealed = connection.execute(select(Matter.reporter_sealed).where(Matter.id == alarm)).scalar_one()
        return self._opened(sealed)

    def show(self, number: str, scope: Scope, sees: Sees = EVERYTHING) -> MatterAnswer:
        """A matter with all that was done, who reported it masked.

        Raises:
            NoSuchMatter: if there is none in the scope.
        """
        with self._database.read() as connection:
            alarm = find_matter(connection, number, scope, sees)
            query = select(Matter.__table__, Account.username).outerjoin(Account, Account.id == Matter.entered_by)
            row = connection.execute(query.where(Matter.id == alarm)).one()
            answer = read_alarm(connection, scope, alarm, sees=sees)
        return MatterAnswer(
            number=row.number,
            kind=row.kind,
            text=row.text,
            reported_by=ReportedBy(row.reported_by),
            reporter=_masked(self._opened(row.reporter_sealed)),
            entered_by=row.username,
            alarm=answer,
        )

    # --- Inside

    def _enter(self, connection: Connection, wanted: MatterRequest, kind: MatterKind, who: Enterer) -> str:
        now = self._now()
        site = find_site(connection, who.scope, wanted.place, wanted.grid, now)
        number, alarm = _next_number(connection, now), self._make_id()
        connection.execute(insert(Alarm).values(id=alarm, **self._alarm(wanted.kind, kind, number, site, now)))
        connection.execute(
            insert(Matter).values(
                id=alarm,
                number=number,
                kind=wanted.kind,
                title=kind.title,
                title_zh=kind.title_zh,
                text=wanted.text,
                reported_by=wanted.reported_by,
                reporter_sealed=self._sealed(wanted.reporter),
                entered_by=who.account_id,
                request_id=wanted.request,
            )
        )
        by = By(who.account_id, who.origin[:80])
        detail = {"level": int(_FIRST_LEVEL), "kind": wanted.kind, "place": site.code, "grid": site.grid_code}
        write_step(connection, alarm, 1, Move.RAISED, now, by, "", detail)
        raised = connection.execute(select(Alarm.__table__).where(Alarm.id == alarm)).one()
        announce(connection, self._roster, alarm, 1, duty_of(raised, _FIRST_LEVEL, now))
        return number

    def _alarm(self, code: str, kind: MatterKind, number: str, site: Site, now: datetime) -> dict[str, Any]:
        rule = MATTER + code
        return {
            "source": Source.MATTER,
            "rule": rule,
            "rule_version": 0,
            "key": f"matter {number}",
            "priority": int(kind.priority),
            "handling": Handling.NEW,
            "condition": Condition.REPORTED,
            "level": int(_FIRST_LEVEL),
            "audience": Audience.DUTY,
            "place_id": site.place_id,
            "area_id": site.area_id,
            "grid_id": site.grid_id,
            "happened_at": now,
            "raised_at": now,
            "last_at": now,
            "times": 1,
            "chatter_count": 1,
            "due_at": self._limits.due(rule, kind.priority, _FIRST_LEVEL, Handling.NEW, now),
            "revision": 1,
        }

    def _move(
        self,
        connection: Connection,
        found: Row[*tuple[Any, ...]],
        site: Site,
        by: By,
        note: str,
        now: datetime,
    ) -> None:
        before = {"from_place": str(found.place_id), "from_grid": str(found.grid_id or "")}
        found = withdraw_open(connection, found, now, by)
        level = Level(found.level)
        values = {
            "place_id": site.place_id,
            "area_id": site.area_id,
            "grid_id": site.grid_id,
            "handling": Handling.NEW,
            "acked_by": None,
            "handling_at": None,
            "handling_by": None,
            "shelved_until": None,
            "shelved_by": None,
            "shelved_why": None,
            "due_at": self._limits.due_of(found, level, Handling.NEW, now),
        }
        detail = {**before, "place": site.code, "grid": site.grid_code, "level": int(level)}
        step = change(connection, found.id, found.revision, Move.PASSED_ON, now, values, by, note, detail)
        if step is None:
            raise IllegalMove("matter", "somebody else changed it at the same moment", "look at it and try again")
        moved = connection.execute(select(Alarm.__table__).where(Alarm.id == found.id)).one()
        announce(connection, self._roster, found.id, step, duty_of(moved, level, now))

    def _sealed(self, reporter: Reporter | None) -> bytes | None:
        if reporter is None or reporter == Reporter():
            return None
        return self._vault.seal(reporter.model_dump_json().encode(), REPORTER)

    def _opened(self, sealed: bytes | None) -> Reporter | None:
        return None if sealed is None else Reporter.model_validate_json(self._vault.open(sealed, REPORTER))


def find_matter(connection: Connection, number: str, scope: Scope, sees: Sees) -> UUID:
    """The id of a matter of a scope.

    Raises:
        NoSuchMatter: if there is none.
    """
    query = select(Matter.id).join(Alarm, Alarm.id == Matter.id).where(Matter.number == number, sees.alarm(scope))
    found = connection.execute(query).scalar()
    if found is None:
        raise NoSuchMatter
    return found


def _next_number(connection: Connection, now: datetime) -> str:
    """One more than the year's last; the row stays locked until the matter is there, so none is given twice."""
    year = now.astimezone(CHINA).year
    return f"{year}-{connection.execute(_GIVE_NUMBER, {'year': year}).scalar_one():06d}"


def _entered(connection: Connection, wanted: MatterRequest, who: Enterer) -> str | None:
    """The number that the same request got before."""
    if wanted.request is None or who.account_id is None:
        return None
    same = (Matter.entered_by == who.account_id, Matter.request_id == wanted.request)
    return connection.execute(select(Matter.number).where(*same)).scalar()


def _masked(reporter: Reporter | None) -> MaskedReporter | None:
    """As everybody sees it: without what tells who it is."""
    if reporter is None:
        return None
    phone = None if reporter.phone is None else "*" * 9 + reporter.phone[-_SHOWN_DIGITS:]
    return MaskedReporter(name=reporter.name and masked_name(reporter.name), phone=phone)
