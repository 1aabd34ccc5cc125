"""The list of users that one device keeps: what it is to hold, and the commands that get it there.

Each entry of the list has a key: `z:<id>` weekly hours, `u:<pin>` a user, `r:<pin>` the user's rights. An entry counts
as held when the device has confirmed every command for it; one whose commands were sent and not all confirmed is sent
again. Entries that must go are sent before those that must come, so that a revocation never waits.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from edge.access.drivers.interface import Roster, RosterEntry
from edge.access.drivers.zkteco.meaning import number_of
from edge.access.drivers.zkteco.state import DeviceState
from edge.counters import Counters
from protocols import zk_push_replies as replies
from protocols.zk_push import Dialect

MAX_USERS = 50_000
MAX_TIME_ZONES = {Dialect.ACCESS: 250, Dialect.ATTENDANCE: 50}
FIRST_TIME_ZONE = 2
"""Number 1 is the device's own "always"."""
MAX_RUNNING = 40
"""Commands that the device has and has not answered; it takes them with one poll."""
ANSWER_S = 60.0
RETRY_S = (60.0, 300.0, 3600.0)

_UNSURE = ""
"""Held instead of a value while the device may or may not have an entry."""
_CLEAN = "clean"
_ALREADY_GONE = -10
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What the list is to be: the text of each entry by its key, and when it changes by itself."""

    entries: Mapping[str, str]
    changes_at: datetime | None
    left_out: int
    """Entries that the device cannot express."""


@dataclass(frozen=True)
class Layout:
    """What decides how a roster is told to one device."""

    dialect: Dialect
    doors: Mapping[str, int]
    """Door number by reader."""
    zone: ZoneInfo
    """Of the device's clock."""
    to_the_second: bool
    """Whether the device keeps times of validity, or dates only."""


class RosterPlanner:
    """Turns a roster into the entries of one device's list, at one instant."""

    def __init__(self, state: DeviceState, layout: Layout) -> None:
        self._state, self._layout = state, layout
        self._entries: dict[str, str] = {}
        self._zones: dict[str, tuple[int, ...]] = {}
        self._left_out = 0

    def plan(self, roster: Roster, now: datetime) -> Wanted:
        """The list for `now` (aware): without who is no longer or not yet to be on it."""
        current, changes_at = _current(roster.entries, now, early=self._layout.to_the_second)
        chosen = self._one_user_for_each_card(current)
        self._plan_zones(roster, chosen)
        self._state.give_pins(entry.credential for entry in chosen)
        for entry in chosen:
            self._plan_user(entry)
        self._state.forget_pins(entry.credential for entry in chosen)
        return Wanted(self._entries, changes_at, self._left_out)

    def _one_user_for_each_card(self, entries: Iterable[RosterEntry]) -> list[RosterEntry]:
        """A device has one user for a card, and one card for a user: the entry that is valid longest counts."""
        by_card: dict[int, RosterEntry] = {}
        by_credential: set[object] = set()
        for entry in sorted(entries, key=_valid_longest_first):
            number = number_of(entry.card)
            if number in by_card or entry.credential in by_credential or len(by_card) == MAX_USERS:
                self._left_out += 1
                continue
            by_card[number] = entry
            by_credential.add(entry.credential)
        return list(by_card.values())

    def _plan_zones(self, roster: Roster, entries: Iterable[RosterEntry]) -> None:
        used = {schedule for entry in entries for _, schedule in entry.schedules}
        taken = {int(key[2:]): key for key in self._state.held if key.startswith("z:")}
        names = {name: number for number in taken if (name := self._state.fact(f"zone {number}"))}
        free = (number for number in range(FIRST_TIME_ZONE, FIRST_TIME_ZONE + self._most_zones) if number not in taken)
        for schedule in sorted(used):
            numbers = []
            for part, week in enumerate(self._weeks(roster.schedules.get(schedule, ()))):
                name = f"{part} {schedule}"
                number = names.get(name) or next(free, None)
                if number is None:
                    self._left_out += 1
                    _LOG.warning("zkteco: the device has no room for more weekly hours", extra={"schedule": schedule})
                    break
                self._state.learn({f"zone {number}": name})
                self._entries[f"z:{number}"] = self._zone_text(number, week)
                numbers.append(number)
            self._zones[schedule] = tuple(numbers)

    @property
    def _most_zones(self) -> int:
        return MAX_TIME_ZONES[self._layout.dialect] - FIRST_TIME_ZONE + 1

    def _zone_text(self, number: int, week: Sequence[replies.Day]) -> str:
        if self._layout.dialect is Dialect.ACCESS:
            return replies.access_time_zone(number, week)
        return replies.attendance_time_zone(number, week)

    def _weeks(self, intervals: Iterable[tuple[int, int, int]]) -> list[list[replies.Day]]:
        """Weekly hours, Sunday first, in as many parts as the device's intervals a day make necessary."""
        per_day = replies.INTERVALS_PER_TIME_ZONE if self._layout.dialect is Dialect.ACCESS else 1
        days = merged_days(intervals)
        parts = max((len(day) + per_day - 1) // per_day for day in days)
        return [[day[part * per_day : (part + 1) * per_day] for day in days] for part in range(parts)]

    def _plan_user(self, entry: RosterEntry) -> None:
        pin = self._state.pin_of(entry.credential)
        rights: dict[int, set[int]] = {}
        for reader, schedule in entry.schedules:
            for zone in self._zones.get(schedule, ()):
                if reader in self._layout.doors:
                    rights.setdefault(zone, set()).add(self._layout.doors[reader])
        if pin is None or not rights:
            return
        number = number_of(entry.card)
        since, until = (self._local(bound) for bound in (entry.since, entry.until))
        if self._layout.dialect is Dialect.ACCESS:
            exact = self._layout.to_the_second
            self._entries[f"u:{pin}"] = replies.access_user(pin, number, since, until, to_the_second=exact)
            texts = sorted(replies.access_right(pin, zone, doors) for zone, doors in rights.items())
            self._entries[f"r:{pin}"] = "\n".join(texts)
        elif len(rights) > replies.INTERVALS_PER_TIME_ZONE:
            self._left_out += 1
        else:
            self._entries[f"u:{pin}"] = replies.attendance_user(pin, number, sorted(rights), since, until)

    def _local(self, bound: datetime | None) -> datetime | None:
        return None if bound is None else bound.astimezone(self._layout.zone).replace(tzinfo=None)


def _valid_longest_first(entry: RosterEntry) -> tuple[float, str]:
    return (-entry.until.timestamp() if entry.until else float("-inf"), str(entry.credential))


def _current(
    entries: Iterable[RosterEntry], now: datetime, *, early: bool
) -> tuple[list[RosterEntry], datetime | None]:
    """Who belongs on the list now, and when that changes. `early`: also who is not valid yet, as the device knows."""
    current, changes = [], []
    for entry in entries:
        if entry.until is not None and entry.until <= now:
            continue
        if entry.until is not None:
            changes.append(entry.until)
        if entry.since is not None and entry.since > now and not early:
            changes.append(entry.since)
            continue
        current.append(entry)
    return current, min(changes, default=None)


def merged_days(intervals: Iterable[tuple[int, int, int]]) -> list[list[tuple[int, int]]]:
    """Intervals (weekday with Monday 0, first minute, end minute) by day, Sunday first, joined where they touch."""
    days: list[list[tuple[int, int]]] = [[] for _ in range(7)]
    for weekday, since, until in sorted(intervals):
        day = days[(weekday + 1) % 7]
        if until <= since:
            continue
        if day and since <= day[-1][1]:
            day[-1] = (day[-1][0], max(day[-1][1], until))
        else:
            day.append((since, until))
    return days


@dataclass
class _Running:
    key: str
    value: str | None
    open: set[str]
    due_s: float
    failed: int = 0
    code: int = 0


@dataclass
class _Retry:
    at_s: float
    attempts: int = field(default=1)


class RosterSync:
    """Brings one device's list to what is wanted. One thread at a time.

    Args:
        next_id: numbers commands.
        counters: gets `roster_refused` and `roster_unanswered`.
    """

    def __init__(self, state: DeviceState, dialect: Dialect, next_id: Callable[[], str], counters: Counters) -> None:
        self._state, self._dialect, self._next_id, self._counters = state, dialect, next_id, counters
        self._wanted: Mapping[str, str] | None = None
        self._todo: deque[str] = deque()
        self._running: dict[str, _Running] = {}
        self._retries: dict[str, _Retry] = {}

    def forget(self) -> None:
        """The device is not what it was: nothing is known of its list."""
        with self._state.writing():
            self._state.hold(dict.fromkeys(self._state.held))

    @property
    def is_settled(self) -> bool:
        """The device holds what is wanted."""
        return self._wanted is not None and not self._todo and not self._running and not self._retries

    def aim(self, wanted: Mapping[str, str]) -> None:
        """Want this list from now on."""
        self._wanted = wanted
        self._retries.clear()
        self._queue_differences()

    def take(self, now_s: float) -> list[tuple[str, str]]:
        """The next commands for the device, (id, text)."""
        taken: list[tuple[str, str]] = []
        unsure: dict[str, str | None] = {}
        busy = {running.key for running in self._running.values()}
        while self._todo and len(self._running) < MAX_RUNNING and _CLEAN not in busy:
            key = self._todo.popleft()
            value = self._value(key)
            texts = self._commands(key, value)
            if key in busy:
                continue
            unsure[key] = _UNSURE if texts else None
            running = _Running(key, value, set(), now_s + ANSWER_S)
            for text in texts:
                number = self._next_id()
                running.open.add(number)
                taken.append((number, text))
            self._running.update(dict.fromkeys(running.open, running))
            busy.add(key)  # and nothing follows the forgetting of all rights until it is confirmed
        if unsure:
            with self._state.writing():
                self._state.hold(unsure)
        return taken

    def answered(self, results: Iterable[tuple[str, int]], now_s: float) -> None:
        """What became of commands; those of others are left alone."""
        held: dict[str, str | None] = {}
        for number, value in results:
            running = self._running.pop(number, None)
            if running is None:
                continue
            running.open.discard(number)
            if value < 0 and not (running.value is None and value == _ALREADY_GONE):
                running.failed, running.code = running.failed + 1, value
            if running.open:
                continue
            if running.failed:
                self._refused(running, now_s)
                continue
            held[running.key] = None if running.value is None else self._mark(running.key, running.value)
            self._retries.pop(running.key, None)
        if held:
            with self._state.writing():
                self._state.hold(held)
            for key in held:
                if self._differs(key):
                    self._todo.append(key)

    def tick(self, now_s: float) -> None:
        """Queue again what is overdue."""
        late = {running.key for running in self._running.values() if running.due_s <= now_s}
        if late:
            self._counters.add("roster_unanswered", len(late))
            self._give_up(late)
        due = [key for key, retry in self._retries.items() if 0 <= retry.at_s <= now_s]
        for key in due:
            self._retries[key].at_s = -1.0
            self._todo.append(key)

    def reconnected(self) -> None:
        """The device began anew: what it has not answered it may have lost."""
        self._give_up({running.key for running in self._running.values()})

    def _give_up(self, keys: set[str]) -> None:
        self._running = {number: running for number, running in self._running.items() if running.key not in keys}
        if self._wanted is not None and keys:
            self._queue_differences()

    def _refused(self, running: _Running, now_s: float) -> None:
        self._counters.add("roster_refused")
        retry = self._retries.get(running.key)
        attempts = retry.attempts if retry else 0
        wait_s = RETRY_S[min(attempts, len(RETRY_S) - 1)]
        self._retries[running.key] = _Retry(now_s + wait_s, attempts + 1)
        _LOG.warning(
            "zkteco: the device refused an entry of its list",
            extra={"entry": running.key, "code": running.code, "again_s": wait_s},
        )

    def _queue_differences(self) -> None:
        wanted = self._wanted or {}
        busy = {running.key for running in self._running.values()}
        keys = {*wanted, *self._state.held}
        if self._dialect is Dialect.ACCESS:
            keys.add(_CLEAN)
        waiting = {key for key, retry in self._retries.items() if retry.at_s >= 0}
        different = [key for key in keys if self._differs(key) and key not in busy and key not in waiting]
        self._todo = deque(sorted(different, key=self._order))

    def _order(self, key: str) -> tuple[int, str, int]:
        """Rights of all first (a new device), then what goes, then hours, users, rights, and last hours that go."""
        kind, _, number = key.partition(":")
        if kind == _CLEAN:
            return 0, kind, 0
        going = self._value(key) is None
        if kind == "z":
            return (6 if going else 3), kind, int(number)
        rank = {"r": 1, "u": 2} if going else {"u": 4, "r": 5}
        return rank[kind], kind, int(number)

    def _value(self, key: str) -> str | None:
        return "1" if key == _CLEAN else (self._wanted or {}).get(key)

    def _differs(self, key: str) -> bool:
        value = self._value(key)
        return self._state.held.get(key) != (None if value is None else self._mark(key, value))

    def _mark(self, key: str, value: str) -> str:
        """Rights are remembered as they are, so that one more costs one command; a user has a card number."""
        return value if key.startswith("r:") or key == _CLEAN else self._state.mark_of(value)

    def _commands(self, key: str, value: str | None) -> list[str]:
        kind, _, number = key.partition(":")
        if kind == _CLEAN:
            return [replies.FORGET_ALL_RIGHTS]
        if kind == "r":
            return self._rights(number, value, self._state.held.get(key))
        if self._dialect is Dialect.ACCESS:
            table, name = {"z": ("timezone", "TimezoneId"), "u": ("user", "Pin")}[kind]
        else:
            table, name = {"z": ("AccTimeZone", "UID"), "u": ("USERINFO", "PIN")}[kind]
        if value is not None:
            return [f"DATA UPDATE {table} {value}"]
        if table == "AccTimeZone":
            return []  # cannot be deleted, and nobody has these hours any more
        return [f"DATA DELETE {table} {name}={number}"]

    @staticmethod
    def _rights(pin: str, value: str | None, held: str | None) -> list[str]:
        before, after = {text for text in (held or "").split("\n") if text}, (value or "").split("\n")
        adds_only = value is not None and held != _UNSURE and before <= set(after)
        forget = [] if adds_only else [f"DATA DELETE userauthorize Pin={pin}"]
        kept = before if adds_only else set()
        return forget + [f"DATA UPDATE userauthorize {text}" for text in after if text and text not in kept]
