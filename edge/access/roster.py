"""Whom a device with a list of its own may let in by itself: made from the policy for the readers of that device.

A device judges dates and weekly hours, and no more. So a door goes into its list only where a card alone is enough
(`_lets_device_decide`), and a credential only if nothing but its dates and hours limits it: no number of uses, and the
hub not silent for longer than it allows. What is left out is decided by the gateway, or not let in while it is away.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from edge.access.calendar import WeekSchedule
from edge.access.credential_index import ALWAYS_US, NEVER_US, StoredCredential
from edge.access.drivers.interface import Roster, RosterEntry
from edge.access.rights import CompiledRules, DoorTerms
from edge.access.store import CredentialStore
from protocols.access_events import AccessMethod
from protocols.cards import UnreadableCard, parse_text

_WEEK_DAYS = 7
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def roster_of(
    store: CredentialStore, readers: Mapping[str, str], zone: ZoneInfo, today: date, silent_s: float = 0.0
) -> Roster:
    """The list of one device.

    Schedules are those of the seven days from `today` on, holidays among them: to be made anew each midnight, at each
    change of the policy, and when `Decider.stale_up_to_s` changes.

    Args:
        readers: the device's readers, each with its door.
        zone: the site's, in which the entries' moments are given.
        silent_s: for how long the hub has been silent (`Decider.silent_s`).
    """
    rules = store.policy[1]
    open_to_device = {reader: door for reader, door in readers.items() if _lets_device_decide(rules.terms(door))}
    entries: list[RosterEntry] = []
    rights: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}
    for number, row in store.numbered():
        if row.uses is not None or (row.offline_s is not None and row.offline_s < silent_s):
            continue
        if row.groups not in rights:
            rights[row.groups] = tuple(_rights(rules, row.groups, open_to_device))
        entry = _entry(number, row, rights[row.groups], zone)
        if entry is not None:
            entries.append(entry)
    named = {schedule for entry in entries for _, schedule in entry.schedules}
    return Roster(entries, {schedule: _week(rules.schedules[schedule], today) for schedule in sorted(named)})


def _lets_device_decide(terms: DoorTerms) -> bool:
    """Whether a door's device keeps a list, and a card and the hour are all that the door asks for. Anti-passback and
    interlock are the device's own."""
    takes_cards = AccessMethod.CARD in terms.methods and AccessMethod.CARD_PIN not in terms.methods
    return terms.keeps_list and takes_cards and not terms.two_persons and terms.first_card is None


def _rights(rules: CompiledRules, groups: tuple[str, ...], readers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for reader, door in sorted(readers.items()):
        for schedule in sorted(set(rules.schedule_ids_at(door, groups))):
            yield reader, schedule


def _entry(
    number: str, row: StoredCredential, rights: tuple[tuple[str, str], ...], zone: ZoneInfo
) -> RosterEntry | None:
    try:
        card = parse_text(number)
    except UnreadableCard:
        return None  # the number of another kind of credential
    if not rights:
        return None
    return RosterEntry(row.ref, card, _moment(row.not_before_us, zone), _moment(row.not_after_us, zone), rights)


def _moment(moment_us: int, zone: ZoneInfo) -> datetime | None:
    if moment_us in (ALWAYS_US, NEVER_US):
        return None
    try:
        return (_EPOCH + timedelta(microseconds=moment_us)).astimezone(zone)
    except OverflowError:
        return None  # the end of the calendar, which is never


def _week(schedule: WeekSchedule, today: date) -> tuple[tuple[int, int, int], ...]:
    days = sorted((today + timedelta(days=ahead) for ahead in range(_WEEK_DAYS)), key=date.weekday)
    return tuple((day.weekday(), since, until) for day in days for since, until in schedule.intervals_on(day))
