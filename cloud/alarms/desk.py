"""What people do with an alarm: acknowledge, begin, note, pass up, shelve, close. The hub checks each move here.

The alarm is read with a lock and changed by compare and set on its revision, so that of two people who press at once
one wins, and the other is told who.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from cloud.accounts.permissions import Permission
from cloud.accounts.scope import Scope
from cloud.alarms.errors import AlreadyTaken, IllegalMove, NoSuchAlarm
from cloud.alarms.limits import Limits
from cloud.alarms.orders import withdraw_open
from cloud.alarms.reach import Sees
from cloud.alarms.roster import Duty, Roster, announce
from cloud.alarms.states import (
    CLOSES_WHEN_ACKED,
    CLOSES_WHEN_ACTIVE,
    MAY_HANDLE,
    MOVES,
    Audience,
    Condition,
    Handling,
    Level,
    Move,
    Outcome,
    Priority,
)
from cloud.alarms.steps import By, change
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, Alarm

_LONGEST_LIMIT = timedelta(days=90)
_NOT_P1 = frozenset({AccountRole.GUARD, AccountRole.GRID_MEMBER})
"""Who may not shelve an alarm of priority 1."""


@dataclass(frozen=True)
class Actor:
    """Who acts: the account, what it may see, and from where it does. `permissions` None: all of the role's."""

    account_id: UUID
    role: AccountRole
    scope: Scope
    origin: str
    permissions: frozenset[Permission] | None = None

    @property
    def sees(self) -> Sees:
        return Sees.of(self.account_id, self.role, self.permissions)

    @property
    def by(self) -> By:
        return By(self.account_id, self.origin[:80])


class AlarmDesk:
    """Safe for any thread and any number of processes: state is in the database alone.

    Every method raises `NoSuchAlarm` for what is outside the actor's scope, and `IllegalMove` for what the alarm's
    state or the actor's role does not allow.
    """

    def __init__(self, database: Database, now: Callable[[], datetime], limits: Limits, roster: Roster) -> None:
        self._database = database
        self._now = now
        self._limits = limits
        self._roster = roster

    def acknowledge(self, alarm: UUID, actor: Actor, note: str = "") -> None:
        """Take an alarm on.

        Raises:
            AlreadyTaken: if somebody has done so.
        """
        with self._database.write() as connection:
            found = self._locked(connection, alarm, actor)
            if found.handling != Handling.NEW and found.acked_by is not None:
                raise AlreadyTaken(_username(connection, found.acked_by))
            now = self._now()
            due = None if found.shelved_until else self._due(found, Handling.ACKED, now)
            first = found.acked_at or now
            values = {"handling": Handling.ACKED, "acked_at": first, "acked_by": actor.account_id, "due_at": due}
            self._change(connection, found, Move.ACKNOWLEDGED, now, values, actor, note)

    def begin(self, alarm: UUID, actor: Actor, note: str) -> None:
        """Say what is being done; from now on it is being handled."""
        with self._database.write() as connection:
            found = self._locked(connection, alarm, actor)
            now = self._now()
            values = {
                "handling": Handling.HANDLING,
                "handling_at": now,
                "handling_by": actor.account_id,
                "due_at": None if found.shelved_until else self._due(found, Handling.HANDLING, now),
            }
            self._change(connection, found, Move.BEGUN, now, values, actor, note)

    def write_note(self, alarm: UUID, actor: Actor, note: str) -> None:
        """Add a note."""
        with self._database.write() as connection:
            found = self._locked(connection, alarm, actor)
            self._change(connection, found, Move.NOTED, self._now(), {}, actor, note)

    def pass_up(self, alarm: UUID, actor: Actor, note: str, until: datetime | None = None) -> None:
        """Hand it to the next level, which is told; its clock begins anew there.

        Args:
            until: a limit: closed by then, or it goes up further and counts as overdue.
        """
        with self._database.write() as connection:
            found = self._locked(connection, alarm, actor)
            if found.level >= Level.DISTRICT:
                raise IllegalMove("alarm", "it is at the district already", "there is no level above it")
            now, level = self._now(), Level(found.level + 1)
            if until is not None and not now < until <= now + _LONGEST_LIMIT:
                raise IllegalMove("until", "it is past, or more than 90 days away", "name another limit")
            dues = (self._limits.due(found.rule, Priority(found.priority), level, Handling(found.handling), now), until)
            due = None if found.shelved_until else min((each for each in dues if each is not None), default=None)
            values = {"level": level, "due_at": due, "settle_by": until}
            limit = {} if until is None else {"until": until.isoformat()}
            step = self._change(connection, found, Move.PASSED_UP, now, values, actor, note, level=int(level), **limit)
            announce(connection, self._roster, found.id, step, duty_of(found, level, now))

    def shelve(self, alarm: UUID, actor: Actor, until: datetime, why: str) -> None:
        """Keep it silent and out of the way for a while, one shift at most. It comes back by itself."""
        with self._database.write() as connection:
            found = self._locked(connection, alarm, actor)
            now = self._now()
            if found.priority == Priority.P1 and actor.role in _NOT_P1:
                raise IllegalMove("alarm", "an alarm of priority 1 is not for guards to shelve", "ask the centre")
            if found.shelved_until is not None:
                raise IllegalMove("alarm", "it is shelved already", "take it off the shelf first")
            if not now < until <= now + timedelta(seconds=self._limits.shelve_at_most_s):
                hours = self._limits.shelve_at_most_s / 3600
                raise IllegalMove(
                    "until", f"a shelf holds for {hours:g} hours at most", "choose an earlier moment to come"
                )
            values = {"shelved_until": until, "shelved_by": actor.account_id, "shelved_why": why[:300], "due_at": None}
            self._change(connection, found, Move.SHELVED, now, values, actor, why, until=until.isoformat())

    def unshelve(self, alarm: UUID, actor: Actor, note: str = "") -> None:
        """Take it off the shelf; its level is told again."""
        with self._database.write() as connection:
            found = self._locked(connection, alarm, actor)
            if found.shelved_until is None:
                raise IllegalMove("alarm", "it is not shelved", "nothing needs to be done")
            take_off_shelf(connection, found, self._limits, self._roster, self._now(), actor.by, note)

    def close(self, alarm: UUID, actor: Actor, outcome: Outcome, note: str) -> None:
        """End it with an outcome and a note."""
        with self._database.write() as connection:
            found = self._locked(connection, alarm, actor)
            if outcome is Outcome.JOURNAL:
                raise IllegalMove("outcome", "the journal is no outcome of a person's", "choose another one")
            if found.handling == Handling.ACKED and outcome not in CLOSES_WHEN_ACKED:
                raise IllegalMove("alarm", "nobody has begun to handle it", "say first what is being done")
            if found.condition == Condition.ACTIVE and outcome not in CLOSES_WHEN_ACTIVE:
                raise IllegalMove("alarm", "its cause still holds", "end the cause first, or choose another outcome")
            now = self._now()
            values = {
                "handling": Handling.CLOSED,
                "closed_at": now,
                "closed_by": actor.account_id,
                "outcome": outcome,
                "due_at": None,
                "clear_due_at": None,
                "shelved_until": None,
            }
            if Handling(found.handling) in MOVES[Move.CLOSED]:
                found = withdraw_open(connection, found, now, actor.by)
            self._change(connection, found, Move.CLOSED, now, values, actor, note, outcome=outcome.value)

    # --- What every move shares

    def _locked(self, connection: Connection, alarm: UUID, actor: Actor) -> Row[*tuple[Any, ...]]:
        seen = actor.sees.alarm(actor.scope)
        query = select(Alarm.__table__).where(Alarm.id == alarm, seen).with_for_update(of=Alarm)
        found = connection.execute(query).first()
        if found is None:
            raise NoSuchAlarm
        if actor.role not in MAY_HANDLE:
            raise IllegalMove("account", f"a {actor.role.value} does not handle alarms", "ask a guard or the centre")
        return found

    def _due(self, found: Row[*tuple[Any, ...]], handling: Handling, since: datetime) -> datetime | None:
        return self._limits.due_of(found, Level(found.level), handling, since)

    def _change(
        self,
        connection: Connection,
        found: Row[*tuple[Any, ...]],
        move: Move,
        now: datetime,
        values: dict[str, Any],
        actor: Actor,
        note: str,
        **detail: Any,
    ) -> int:
        if Handling(found.handling) not in MOVES[move]:
            raise IllegalMove("alarm", f"it is {found.handling}, and cannot be {move.value}", "look at its state")
        step = change(connection, found.id, found.revision, move, now, values, actor.by, note[:500], detail)
        if step is None:
            raise IllegalMove("alarm", "somebody else changed it at the same moment", "look at it and try again")
        return step


def take_off_shelf(
    connection: Connection,
    found: Row[*tuple[Any, ...]],
    limits: Limits,
    roster: Roster,
    now: datetime,
    by: By,
    note: str = "",
) -> None:
    """End a shelf, by a person or by the clock: the alarm is announced again and its clock begins anew."""
    due = limits.due_of(found, Level(found.level), Handling(found.handling), now)
    values = {"shelved_until": None, "shelved_by": None, "shelved_why": None, "due_at": due}
    step = change(connection, found.id, found.revision, Move.UNSHELVED, now, values, by, note[:500])
    if step is not None:
        announce(connection, roster, found.id, step, duty_of(found, Level(found.level), now))


def duty_of(found: Row[*tuple[Any, ...]], level: Level, at: datetime) -> Duty:
    """What a roster is asked of an alarm."""
    return Duty(level, Audience(found.audience), found.place_id, found.grid_id, at)


def _username(connection: Connection, account: UUID) -> str:
    return connection.execute(select(Account.username).where(Account.id == account)).scalar() or "somebody"
