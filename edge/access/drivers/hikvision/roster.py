"""What a terminal's own list is to be, and what it is: both as values, so that only the difference is sent."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge.access.drivers.hikvision.translate import card_text
from edge.access.drivers.interface import Roster, RosterEntry
from protocols import isapi

EARLIEST, LATEST = datetime(2000, 1, 1), datetime(2037, 12, 31, 23, 59, 59)  # noqa: DTZ001 (local, as devices want)
"""The bounds that every firmware takes."""

FIRST_PLAN, LAST_PLAN = 2, 128
"""Plan numbers that are ours; 1 is the device's own "always"."""

MAX_FILE_BYTES = 64 * 1024 * 1024

_log = logging.getLogger(__name__)
Periods = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class WantedUser:
    """A user but for the numbers of its plans."""

    begin: datetime
    end: datetime
    rights: tuple[tuple[int, tuple[str, ...]], ...]
    """(door, schedule ids)."""


@dataclass(frozen=True)
class Wanted:
    """What a device's list is to be.

    Attributes:
        users: by employee number.
        cards: the employee number of each card.
        plans: the periods of each schedule that a user has.
        changes_at: when a card goes over from one user to the next, so that it is to be compiled again.
    """

    users: Mapping[str, WantedUser]
    cards: Mapping[str, str]
    plans: Mapping[str, Periods]
    changes_at: datetime | None


UNSURE = ""
"""Held instead of a digest, or of a card's user, while a device may hold this or that: an answer did not come."""


@dataclass
class Held:
    """What a device holds, as far as we know: digests of users and plans, and the user of each card."""

    device: str
    users: dict[str, str] = field(default_factory=dict)
    cards: dict[str, str] = field(default_factory=dict)
    plans: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By schedule id: the plan's number, and its digest."""
    intended: frozenset[str] = frozenset()
    """Users that the run on its way may add: on disk before the first of them is sent, so that a gateway that is killed
    knows whom the device may hold, and takes away who is no longer wanted."""

    def content(self) -> bytes:
        """As its file holds it."""
        fields = {
            "device": self.device,
            "users": self.users,
            "cards": self.cards,
            "plans": self.plans,
            "intended": sorted(self.intended),
        }
        return json.dumps(fields).encode()

    @property
    def sure_users(self) -> int:
        """How many users the device holds at least."""
        return sum(mark != UNSURE for mark in self.users.values())

    def forget_user(self, employee: str) -> None:
        """A user was deleted, and its cards with it."""
        self.users.pop(employee, None)
        self.cards = {card: owner for card, owner in self.cards.items() if owner != employee}

    def plan_number(self, schedule: str) -> int | None:
        """The number of a schedule's plan, or a free one; None when there is none left."""
        if schedule in self.plans:
            return self.plans[schedule][0]
        used = {number for number, _ in self.plans.values()}
        return next((number for number in range(FIRST_PLAN, LAST_PLAN + 1) if number not in used), None)


def load(path: Path, device: str) -> Held | None:
    """What is known of a device's list; None where nothing is, or another device's."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return None
        saved: Any = json.loads(path.read_bytes())
        plans = {str(name): (int(number), str(digest)) for name, (number, digest) in saved["plans"].items()}
        intended = {str(employee): UNSURE for employee in saved.get("intended", ())}
        held = Held(str(saved["device"]), intended | dict(saved["users"]), dict(saved["cards"]), plans)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return held if held.device == device else None


def compile_roster(roster: Roster, doors: Mapping[str, int], zone: ZoneInfo, now: datetime) -> Wanted:
    """What a device with these doors (by reader) is to hold. An entry without a right here or never valid is left out.

    A card that several entries carry is that of the one that is valid now, else of the next.
    """
    users: dict[str, WantedUser] = {}
    carried: dict[str, list[str]] = {}
    for entry in roster.entries:
        user = _user(entry, doors, roster.schedules, zone)
        if user is None:
            continue
        users[entry.credential.hex] = user
        carried.setdefault(card_text(entry.card), []).append(entry.credential.hex)
    local = now.astimezone(zone).replace(tzinfo=None)
    cards = {card: _owner(owners, users, local) for card, owners in carried.items()}
    ends = [users[cards[card]].end for card, owners in carried.items() if len(owners) > 1]
    upcoming = min((end for end in ends if end >= local), default=None)
    changes_at = None if upcoming is None else (upcoming + timedelta(seconds=1)).replace(tzinfo=zone)
    used = {schedule for user in users.values() for _, schedules in user.rights for schedule in schedules}
    plans = {schedule: _periods(schedule, roster.schedules[schedule]) for schedule in sorted(used)}
    return Wanted(users, cards, plans, changes_at)


def _user(
    entry: RosterEntry, doors: Mapping[str, int], schedules: Mapping[str, object], zone: ZoneInfo
) -> WantedUser | None:
    rights: dict[int, set[str]] = {}
    for reader, schedule in entry.schedules:
        if reader in doors and schedule in schedules:
            rights.setdefault(doors[reader], set()).add(schedule)
    begin = EARLIEST if entry.since is None else _local(entry.since, zone, up=True)
    # until is exclusive and the device's end is not
    end = LATEST if entry.until is None else _local(entry.until, zone, up=False) - timedelta(seconds=1)
    begin, end = max(begin, EARLIEST), min(end, LATEST)
    if not rights or begin > end:
        return None
    return WantedUser(begin, end, tuple((door, tuple(sorted(rights[door]))) for door in sorted(rights)))


def _local(moment: datetime, zone: ZoneInfo, up: bool) -> datetime:
    local = (moment.astimezone(zone) if moment.tzinfo else moment).replace(tzinfo=None)
    whole = local.replace(microsecond=0)
    return whole + timedelta(seconds=1) if up and local.microsecond else whole


def _owner(owners: Sequence[str], users: Mapping[str, WantedUser], local: datetime) -> str:
    """Whose a card is: of those not over yet the first to begin, else the last that was."""
    ahead = [owner for owner in owners if users[owner].end >= local]
    if ahead:
        return min(ahead, key=lambda owner: (users[owner].begin, owner))
    return max(owners, key=lambda owner: (users[owner].end, owner))


def _periods(schedule: str, periods: Periods) -> Periods:
    """Periods that overlap or touch are one; more than a device has rows for are left out, so that less is open."""
    merged: list[tuple[int, int, int]] = []
    for day, first, end in sorted(periods):
        if merged and merged[-1][0] == day and first <= merged[-1][2]:
            merged[-1] = (day, merged[-1][1], max(merged[-1][2], end))
        elif first < end:
            merged.append((day, first, end))
    kept = [each for day in range(7) for each in [p for p in merged if p[0] == day][: isapi.PERIODS_A_DAY]]
    if len(kept) < len(merged):
        _log.warning("schedule %s has more than %d periods a day; the later ones are left out", schedule, 8)
    return tuple(kept)


def digest(body: bytes) -> str:
    """What tells whether a device already holds this."""
    return hashlib.sha256(body).hexdigest()[:16]
