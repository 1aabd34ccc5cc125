"""Makes alarms of findings: one cause, one alarm, after a delay where the rule says so.

Everything it remembers is in the tables, so that a hub that is killed goes on where the last transaction ended.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from cloud.alarms.causes import Cause
from cloud.alarms.desk import duty_of
from cloud.alarms.limits import Limits
from cloud.alarms.roster import Roster, announce
from cloud.alarms.states import Condition, Handling, Level, Move, Outcome, Priority, Source
from cloud.alarms.steps import THE_HUB, change, write_step
from cloud.database.tables import Alarm, AlarmCandidate, AlarmFlood, Gateway
from cloud.rules.by_survey import is_survey
from cloud.rules.definition import GatewaySilent, OnEvent, Rule
from protocols.presence import Presence

BATCH = 500
_LOOK_AGAIN = timedelta(seconds=5)
"""A finding that the loss of its gateway may explain waits for what becomes of the gateway."""


class Tracker:
    """Works within the caller's transaction. `rules` are those that are in force, by code."""

    def __init__(self, limits: Limits, roster: Roster, make_id: Callable[[], UUID]) -> None:
        self._limits = limits
        self._roster = roster
        self._make_id = make_id

    def take(self, connection: Connection, rules: Mapping[str, Rule], cause: Cause, now: datetime) -> None:
        """Take in what a rule has found: raise, join, wait, or see that it is over."""
        rule = rules[cause.rule]
        found = _open(connection, cause.key)
        if not cause.active:
            self._over(connection, rules, found, cause, now)
        elif found is not None:
            self._join(connection, rule, found, cause, now)
        elif rule.on_delay_s > 0:
            self._wait(connection, rule, cause, now)
        else:
            self._raise(connection, rules, cause, now)

    def raise_due(self, connection: Connection, rules: Mapping[str, Rule], now: datetime) -> None:
        """Raise what has held for its rule's delay. What belongs to a gateway that is away waits for its alarm."""
        query = select(AlarmCandidate.__table__).where(AlarmCandidate.due_at <= now)
        for row in connection.execute(query.order_by(AlarmCandidate.due_at, AlarmCandidate.key).limit(BATCH)).all():
            cause = Cause.model_validate(row.cause)
            rule = rules.get(row.rule)
            if rule is not None and rule.part_of_gateway and self._waits_for_gateway(connection, rules, cause):
                later = update(AlarmCandidate).where(AlarmCandidate.key == row.key)
                connection.execute(later.values(due_at=now + _LOOK_AGAIN))
                continue
            _forget(connection, row.key)
            if rule is not None and rule.enabled and _open(connection, row.key) is None:
                self._raise(connection, rules, cause, now)

    def clear_due(self, connection: Connection, now: datetime) -> list[UUID]:
        """Mark as cleared what has been away for its rule's delay; which alarms these are."""
        due = (Alarm.clear_due_at <= now, Alarm.closed_at.is_(None))
        rows = connection.execute(select(Alarm.__table__).where(*due).order_by(Alarm.clear_due_at).limit(BATCH)).all()
        return [row.id for row in rows if self._clear(connection, row, row.clear_due_at)]

    def ended_floods(self, connection: Connection, now: datetime) -> list[UUID]:
        """The floods of areas where few alarms come again; it only reads."""
        query = select(AlarmFlood.id, AlarmFlood.area_id).where(AlarmFlood.until.is_(None))
        below = self._limits.flood_ends_below
        return [each for each, area in connection.execute(query).all() if self._recent(connection, area, now) < below]

    # --- Findings

    def _wait(self, connection: Connection, rule: Rule, cause: Cause, now: datetime) -> None:
        if connection.execute(select(AlarmCandidate.key).where(AlarmCandidate.key == cause.key)).first() is None:
            due = max(cause.at + timedelta(seconds=rule.on_delay_s), now)
            values = {"key": cause.key, "rule": cause.rule, "due_at": due, "cause": cause.model_dump(mode="json")}
            connection.execute(insert(AlarmCandidate).values(**values))

    def _over(
        self,
        connection: Connection,
        rules: Mapping[str, Rule],
        found: Row[*tuple[Any, ...]] | None,
        cause: Cause,
        now: datetime,
    ) -> None:
        rule = rules[cause.rule]
        if found is None:
            waited = self._waited(connection, rule, cause)
            if waited is None:
                return
            self._raise(connection, rules, waited, now)
            found = _open(connection, cause.key)
        if found is None or found.condition == Condition.CLEARED or cause.at < found.last_at:
            return
        if found.clear_due_at is None or not _has_end(rule):
            due = max(cause.at, found.last_at) + timedelta(seconds=rule.off_delay_s)
            connection.execute(update(Alarm).where(Alarm.id == found.id).values(clear_due_at=max(due, now)))

    def _waited(self, connection: Connection, rule: Rule, cause: Cause) -> Cause | None:
        """The finding that waited for this end, if it had held for long enough; it is forgotten in any case."""
        row = connection.execute(select(AlarmCandidate.cause).where(AlarmCandidate.key == cause.key)).first()
        if row is None:
            return None
        waited = Cause.model_validate(row.cause)
        if cause.at < waited.at:
            return None
        _forget(connection, cause.key)
        return waited if (cause.at - waited.at).total_seconds() >= rule.on_delay_s and cause.event_id else None

    def _join(
        self, connection: Connection, rule: Rule, found: Row[*tuple[Any, ...]], cause: Cause, now: datetime
    ) -> None:
        """A repeat: the open alarm counts it. Looked at twice, an event counts once."""
        if cause.event_id is not None and cause.event_id == found.last_event_id:
            return
        if cause.event_id is None and found.condition == Condition.ACTIVE:  # a survey finds the same as before
            if found.clear_due_at is not None:
                connection.execute(update(Alarm).where(Alarm.id == found.id).values(clear_due_at=None))
            return
        values = {**self._chatter(found, cause), **self._repeat(rule, found, cause, now)}
        if found.condition == Condition.CLEARED:
            step = change(
                connection, found.id, found.revision, Move.REPEATED, now, values, detail={"times": values["times"]}
            )
            if step is not None and not found.shelved_until:
                announce(connection, self._roster, found.id, step, duty_of(found, Level(found.level), now))
        elif values["chattering"] and not found.chattering:
            change(
                connection, found.id, found.revision, Move.CHATTERING, now, values, detail={"times": values["times"]}
            )
        else:
            change(connection, found.id, found.revision, None, now, values)

    def _repeat(self, rule: Rule, found: Row[*tuple[Any, ...]], cause: Cause, now: datetime) -> dict[str, Any]:
        return {
            "times": found.times + 1,
            "last_at": max(found.last_at, cause.at),
            "last_event_id": cause.event_id or found.last_event_id,
            "condition": Condition.ACTIVE,
            "cleared_at": None,
            "clear_due_at": self._fades(rule, max(found.last_at, cause.at), now),
        }

    def _chatter(self, found: Row[*tuple[Any, ...]], cause: Cause) -> dict[str, Any]:
        since = found.chatter_since
        within = since is not None and cause.at - since <= timedelta(seconds=self._limits.chatter_within_s)
        count = found.chatter_count + 1 if within else 1
        chattering = found.chattering or count >= self._limits.chatter_repeats
        return {"chatter_since": since if within else cause.at, "chatter_count": count, "chattering": chattering}

    def _fades(self, rule: Rule, at: datetime, now: datetime) -> datetime | None:
        """When a cause that nothing ends counts as over."""
        return None if _has_end(rule) else max(at + timedelta(seconds=rule.off_delay_s), now)

    # --- Alarms

    def _raise(self, connection: Connection, rules: Mapping[str, Rule], cause: Cause, now: datetime) -> None:
        rule = rules[cause.rule]
        if rule.part_of_gateway and (gateway := _gateway_alarm(connection, rules, cause)) is not None:
            values = {"times": gateway.times + 1, "last_at": max(gateway.last_at, cause.at)}
            what = {"rule": cause.rule, "subject": cause.subject or ""}
            change(connection, gateway.id, gateway.revision, Move.JOINED, now, values, detail=what)
            return
        alarm, level = self._make_id(), rule.first_level
        is_journal = rule.priority is Priority.JOURNAL
        ended = {"closed_at": now, "outcome": Outcome.JOURNAL, "cleared_at": now} if is_journal else {}
        values = {
            "id": alarm,
            "rule": cause.rule,
            "rule_version": cause.rule_version,
            "key": cause.key,
            "priority": int(rule.priority),
            "handling": Handling.CLOSED if is_journal else Handling.NEW,
            "condition": Condition.CLEARED if is_journal else Condition.ACTIVE,
            "level": int(level),
            "audience": rule.audience,
            **cause.model_dump(include={"place_id", "area_id", "grid_id", "gateway_id", "subject"}),
            "first_event_id": cause.event_id,
            "last_event_id": cause.event_id,
            "happened_at": cause.at,
            "raised_at": now,
            "last_at": cause.at,
            "times": 1,
            "chatter_since": cause.at,
            "chatter_count": 1,
            "in_flood": not is_journal and self._is_flood(connection, cause.area_id, now),
            "clear_due_at": None if is_journal else self._fades(rule, cause.at, now),
            "due_at": None if is_journal else self._limits.due(cause.rule, rule.priority, level, Handling.NEW, now),
            "revision": 1,
            **ended,
        }
        connection.execute(insert(Alarm).values(**values))
        write_step(connection, alarm, 1, Move.RAISED, now, THE_HUB, "", {"rule": cause.rule, "level": int(level)})
        if not is_journal:
            raised = connection.execute(select(Alarm.__table__).where(Alarm.id == alarm)).one()
            announce(connection, self._roster, alarm, 1, duty_of(raised, level, now))

    def _clear(self, connection: Connection, found: Row[*tuple[Any, ...]], at: datetime) -> bool:
        values = {"condition": Condition.CLEARED, "cleared_at": at, "clear_due_at": None}
        return change(connection, found.id, found.revision, Move.CLEARED, at, values) is not None

    def _waits_for_gateway(self, connection: Connection, rules: Mapping[str, Rule], cause: Cause) -> bool:
        """Whether the gateway is away and nobody knows yet for how long."""
        query = select(Gateway.presence).where(Gateway.id == cause.gateway_id, Gateway.revoked_at.is_(None))
        is_away = connection.execute(query).scalar() == Presence.OFFLINE.value
        return is_away and bool(_gateway_rules(rules)) and _gateway_alarm(connection, rules, cause) is None

    # --- Floods

    def _is_flood(self, connection: Connection, area: UUID | None, now: datetime) -> bool:
        """Whether the alarm that is being raised is part of a flood; begins one if it is the first."""
        running = select(AlarmFlood.id).where(_same_area(AlarmFlood.area_id, area), AlarmFlood.until.is_(None))
        if connection.execute(running).first() is not None:
            return True
        if self._recent(connection, area, now) + 1 <= self._limits.flood_begins_above:
            return False
        connection.execute(insert(AlarmFlood).values(id=self._make_id(), area_id=area, since=now))
        return True

    def _recent(self, connection: Connection, area: UUID | None, now: datetime) -> int:
        since = now - timedelta(seconds=self._limits.flood_window_s)
        of_rules = (Alarm.source == Source.RULE, Alarm.priority < Priority.JOURNAL)
        counted = (Alarm.raised_at > since, *of_rules, _same_area(Alarm.area_id, area))
        return connection.execute(select(func.count()).select_from(Alarm).where(*counted)).scalar_one()


def _open(connection: Connection, key: str) -> Row[*tuple[Any, ...]] | None:
    """The alarm of a cause that is not closed, locked."""
    query = select(Alarm.__table__).where(Alarm.key == key, Alarm.closed_at.is_(None))
    return connection.execute(query.with_for_update()).first()


def _gateway_rules(rules: Mapping[str, Rule]) -> list[str]:
    return [code for code, rule in rules.items() if rule.enabled and isinstance(rule.when, GatewaySilent)]


def _gateway_alarm(connection: Connection, rules: Mapping[str, Rule], cause: Cause) -> Row[*tuple[Any, ...]] | None:
    """The open alarm of the loss of a cause's gateway."""
    holds = (Alarm.closed_at.is_(None), Alarm.condition == Condition.ACTIVE, Alarm.rule.in_(_gateway_rules(rules)))
    query = select(Alarm.__table__).where(Alarm.gateway_id == cause.gateway_id, *holds)
    return connection.execute(query.with_for_update()).first()


def _forget(connection: Connection, key: str) -> None:
    connection.execute(delete(AlarmCandidate).where(AlarmCandidate.key == key))


def _has_end(rule: Rule) -> bool:
    """Whether something tells that its cause is over: an event, or the next survey."""
    return bool(rule.when.ends) if isinstance(rule.when, OnEvent) else is_survey(rule)


def _same_area(column: Any, area: UUID | None) -> Any:
    return column.is_(None) if area is None else column == area
