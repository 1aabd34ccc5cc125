"""The board's own list of cards: made from a roster, and brought to the board card by card, only what differs.

What was sent is known in memory and, as one hash, on disk: no card number is written there. Where the hash or the
number of cards on the board does not fit, the whole list is read back and compared.
"""

import hashlib
import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.access.drivers.interface import DriverContext, Roster, RosterEntry
from edge.access.drivers.uhppote.board import FIRST_DAY, LAST_DAY, Board, BoardCard
from edge.access.drivers.uhppote.link import NoAnswer
from edge.access.drivers.uhppote.profiles import NEVER, Chain, NoProfilesLeft, ProfileBook, ProfileRow, chain_of
from edge.counters import Counters
from edge.durable import write_durably
from protocols.cards import UnreadableCard
from protocols.uhppote import DELETED_CARD, DOORS, number_of

FILE_NAME = "roster.json"
MAX_PLACES = 400_000
"""Far more than any board's list has, deleted places included."""

_LOG = logging.getLogger(__name__)
_CHECK_S = 1.0
"""How often the clock is looked at while somebody's validity begins or ends later on."""


@dataclass(frozen=True)
class ListedCard:
    """A card as the board is to keep it: first and last day, and by door its hours."""

    first: date
    last: date
    doors: tuple[Chain | int, ...]


@dataclass(frozen=True)
class Listing:
    """A roster at one moment, by card number."""

    cards: Mapping[int, ListedCard]
    chains: frozenset[Chain]
    """The hours that need time profiles."""
    unkeepable: int
    """Cards that no board can keep."""
    changes_at: datetime | None
    """When somebody's validity begins or ends next: the board knows days only, so the listing is made anew then."""


def listing_of(roster: Roster, door_of: Mapping[str, int], now: datetime) -> Listing:
    """What the board is to keep now.

    A validity that begins or ends within a day is kept to the second by making the listing anew at that moment. For a
    board that cannot be reached then, one that begins counts from the next day and one that ends until the day's end.

    Args:
        door_of: the door's number, by reader.
        now: with a zone.
    """
    hours = _Hours(roster, door_of)
    cards: dict[int, ListedCard] = {}
    unkeepable = 0
    changes: list[datetime] = []
    for entry in roster.entries:
        changes += [at for at in (entry.since, entry.until) if at is not None and at > now]
        days = _days(entry, now)
        if days is None:
            continue
        try:
            cards[number_of(entry.card)] = ListedCard(*days, hours.by_door(entry.schedules))
        except UnreadableCard:
            unkeepable += 1
    chains = frozenset(each for card in cards.values() for each in card.doors if not isinstance(each, int))
    return Listing(cards, chains, unkeepable, min(changes, default=None))


def _days(entry: RosterEntry, now: datetime) -> tuple[date, date] | None:
    """The first and last day of a validity, or None if it has none left or begins later on its only day."""
    first, last = FIRST_DAY, LAST_DAY
    if entry.since is not None:
        since = entry.since
        begun = since <= now or since.time() == datetime.min.time()
        first = since.date() if begun else since.date() + timedelta(days=1)
    if entry.until is not None:
        if entry.until <= now:
            return None
        last = (entry.until - timedelta(microseconds=1)).date()
    first, last = max(first, FIRST_DAY), min(last, LAST_DAY)
    return (first, last) if first <= last else None


class _Hours:
    """The hours of each combination of schedules, worked out once."""

    def __init__(self, roster: Roster, door_of: Mapping[str, int]) -> None:
        self._schedules, self._door_of = roster.schedules, door_of
        self._known: dict[frozenset[str], Chain | int] = {frozenset(): NEVER}

    def by_door(self, schedules: Iterable[tuple[str, str]]) -> tuple[Chain | int, ...]:
        named: list[set[str]] = [set() for _ in range(DOORS)]
        for reader, schedule in schedules:
            if reader in self._door_of:
                named[self._door_of[reader] - 1].add(schedule)
        return tuple(self._hours(frozenset(each)) for each in named)

    def _hours(self, named: frozenset[str]) -> Chain | int:
        if named not in self._known:
            self._known[named] = chain_of([span for each in named for span in self._schedules.get(each, ())])
        return self._known[named]


class _KeptChain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: tuple[int, ...]
    rows: tuple[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], ...]


class _Kept(BaseModel):
    """The state file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    serial: int
    fingerprint: str = ""
    """Of the cards on the board; empty while they are being changed."""
    chains: tuple[_KeptChain, ...] = ()


class _Left(Exception):
    """There is something newer to do."""


class RosterKeeper:
    """Keeps a board's list in a thread of its own; the newest roster counts, an older one on its way is left.

    Args:
        board: one whose questions wait for the doors'.
        door_of: the door's number, by reader.
    """

    def __init__(
        self,
        board: Board,
        serial: int,
        door_of: Mapping[str, int],
        context: DriverContext,
        counters: Counters,
    ) -> None:
        self._board, self._serial, self._door_of = board, serial, door_of
        self._zone, self._clock, self._counters = context.zone, context.clock, counters
        self._path = context.state_dir / FILE_NAME
        self._kept = _read(self._path, serial)
        self._book = _book_of(self._kept)
        self._sent: dict[int, BoardCard] | None = None
        """What the board has; None: not known."""
        self._changed = threading.Condition()
        self._roster: Roster | None = None
        self._due = self._check = self._compare = self._online = self._stopping = False
        self._changes_at: datetime | None = None
        self._thread = threading.Thread(target=self._run, name=f"uhppote-{serial}-roster")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is not sent yet is sent after the next start."""
        self._tell(stopping=True)
        self._thread.join()

    def offer(self, roster: Roster) -> None:
        """Make the board's list this one. Never blocks."""
        with self._changed:
            self._roster, self._due = roster, True
            self._changed.notify_all()

    def compare(self) -> None:
        """Read the whole list back from the board and put right what differs."""
        with self._changed:
            self._compare = self._due = True
            self._changed.notify_all()

    def board_up(self) -> None:
        """The board answers (again)."""
        with self._changed:
            self._online = self._check = self._due = True
            self._changed.notify_all()

    def board_down(self) -> None:
        """The board does not answer."""
        with self._changed:
            self._online = False

    def _tell(self, *, stopping: bool) -> None:
        with self._changed:
            self._stopping = stopping
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and not self._is_due():
                    self._changed.wait(None if self._changes_at is None else _CHECK_S)
                if self._stopping:
                    return
                roster, check, compare = self._roster, self._check, self._compare
                self._due = self._check = self._compare = False
                self._changes_at = None
            if roster is not None:
                self._guarded(roster, check, compare)

    def _is_due(self) -> bool:
        if not self._online or self._roster is None:
            return False
        return self._due or (self._changes_at is not None and self._now() >= self._changes_at)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_s(), self._zone)

    def _guarded(self, roster: Roster, check: bool, compare: bool) -> None:
        try:
            self._bring(roster, check, compare)
        except _Left:
            pass
        except NoAnswer:
            self._wait_for_the_board(compare)
        except Exception:  # noqa: BLE001 - a fault with one roster must not end the thread that takes the next
            self._counters.add("roster_faults")
            _LOG.exception("a roster could not be brought to its board")

    def _wait_for_the_board(self, compare: bool) -> None:
        """Take it up again when the driver has the board back; it may have noticed nothing, so in a while anyway."""
        with self._changed:
            self._due = self._check = True  # a card whose reply was lost shows in the board's count
            self._compare = self._compare or compare
            self._changed.wait(_CHECK_S)

    def _bring(self, roster: Roster, check: bool, compare: bool) -> None:
        listing = listing_of(roster, self._door_of, self._now())
        self._changes_at = listing.changes_at
        if listing.unkeepable:
            self._counters.add("unkeepable_cards", listing.unkeepable)
            extra = {"serial": self._serial, "cards": listing.unkeepable}
            _LOG.warning("a board cannot keep some cards; without the gateway they open no door of it", extra=extra)
        sent = self._what_the_board_has(listing, check, compare)
        while not self._send(listing, sent, roster):
            self._go_on(roster)

    def _go_on(self, roster: Roster | None = None) -> None:
        """Go on only while nothing newer is there."""
        with self._changed:
            if self._stopping or (roster is not None and self._roster is not roster):
                raise _Left

    def _what_the_board_has(self, listing: Listing, check: bool, compare: bool) -> dict[int, BoardCard]:
        if self._sent is None:
            expected = self._spelled(listing)
            if self._kept.fingerprint == _fingerprint(expected):
                self._sent, check = expected, True
        if self._sent is not None and check and self._board.card_count() != len(self._sent):
            compare = True
        if self._sent is None or compare:
            self._note("")
            self._sent = None
            for chain, numbers in self._book.chains.items():
                self._put_chain(chain, numbers)
            self._sent = self._read_back()
        return self._sent

    def _read_back(self) -> dict[int, BoardCard]:
        """The list on the board."""
        self._counters.add("roster_compared")
        count = self._board.card_count()
        cards: dict[int, BoardCard] = {}
        for place in range(1, MAX_PLACES):
            if len(cards) >= count:
                break
            self._go_on()
            found = self._board.card_at(place)
            if found is None:
                break
            if found[0] != DELETED_CARD:
                cards[found[0]] = found[1]
        return cards

    def _send(self, listing: Listing, sent: dict[int, BoardCard], roster: Roster) -> bool:
        """Send what differs; False if another pass may now find the numbers for time profiles that it lacked."""
        named = self._book.closure(number for card in sent.values() for number in card.doors)
        held = [chain for chain, numbers in self._book.chains.items() if named.intersection(numbers)]
        self._book.keep_only([*listing.chains, *held])
        missing = [chain for chain in sorted(listing.chains) if self._book.number_of(chain) is None]
        if not missing and self._spelled(listing) == sent:
            self._note(_fingerprint(sent))
            return True
        self._note("")
        for number in sorted(sent.keys() - listing.cards.keys()):
            self._go_on(roster)
            self._delete(number, sent)
        lacking = [chain for chain in missing if not self._add_chain(chain, named)]
        wanted = self._spelled(listing)
        refused = 0
        for number, card in wanted.items():
            if sent.get(number) != card:
                self._go_on(roster)
                refused += not self._put(number, card, sent)
        self._book.keep_only(listing.chains)
        self._note("" if refused else _fingerprint(sent))
        self._tell_what_is_lacking(lacking, refused)
        freed = not named <= self._book.closure(number for card in sent.values() for number in card.doors)
        return not lacking or not freed

    def _tell_what_is_lacking(self, lacking: list[Chain], refused: int) -> None:
        if lacking:
            self._counters.add("profiles_lacking", len(lacking))
            extra = {"serial": self._serial, "schedules": len(lacking)}
            _LOG.warning("a board has too few time profiles; without the gateway some cards open nothing", extra=extra)
        if refused:
            self._counters.add("cards_refused", refused)
            _LOG.warning("a board refuses cards; is it full?", extra={"serial": self._serial, "cards": refused})

    def _delete(self, number: int, sent: dict[int, BoardCard]) -> None:
        self._board.delete_card(number)
        del sent[number]
        self._counters.add("cards_deleted")

    def _put(self, number: int, card: BoardCard, sent: dict[int, BoardCard]) -> bool:
        before = sent.pop(number, None)  # until the board has answered nobody knows
        stored = self._board.put_card(number, card)
        if stored:
            sent[number] = card
            self._counters.add("cards_put")
        elif before is not None:
            sent[number] = before
        return stored

    def _add_chain(self, chain: Chain, named: frozenset[int]) -> bool:
        try:
            numbers = self._book.reserve(chain, named)
        except NoProfilesLeft:
            return False
        if not self._put_chain(chain, numbers):
            return False
        self._book.add(chain, numbers)
        return True

    def _put_chain(self, chain: Chain, numbers: tuple[int, ...]) -> bool:
        """Write linked profiles, the last one first: a board takes a link to a profile that it lacks for a yes."""
        linked = 0
        for row, number in zip(reversed(chain), reversed(numbers), strict=True):
            if not self._board.put_profile(number, row, linked):
                return False
            linked = number
        return True

    def _spelled(self, listing: Listing) -> dict[int, BoardCard]:
        """The listing in the board's terms; hours that the board has no profile for are never."""
        spelled: dict[int, BoardCard] = {}
        for number, card in listing.cards.items():
            one, two, three, four = (self._book.number_of(each) or NEVER for each in card.doors)
            spelled[number] = BoardCard(card.first, card.last, (one, two, three, four))
        return spelled

    def _note(self, fingerprint: str) -> None:
        chains = tuple(
            _KeptChain(numbers=numbers, rows=tuple((row.days, row.segments) for row in chain))
            for chain, numbers in self._book.chains.items()
        )
        kept = _Kept(serial=self._serial, fingerprint=fingerprint, chains=chains)
        if kept == self._kept:
            return
        try:
            write_durably(self._path, kept.model_dump_json().encode())
        except OSError as error:  # the cards go out all the same; what is on disk is then no longer true
            self._counters.add("roster_not_kept")
            _LOG.warning("a board's list cannot be noted", extra={"serial": self._serial, "reason": error.strerror})
            self._path.unlink(missing_ok=True)
        self._kept = kept


def _fingerprint(cards: Mapping[int, BoardCard]) -> str:
    digest = hashlib.sha256()
    for number in sorted(cards):
        card = cards[number]
        digest.update(f"{number} {card.first} {card.last} {card.doors}\n".encode())
    return digest.hexdigest()


def _read(path: Path, serial: int) -> _Kept:
    try:
        kept = _Kept.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return _Kept(serial=serial)
    return kept if kept.serial == serial else _Kept(serial=serial)


def _book_of(kept: _Kept) -> ProfileBook:
    return ProfileBook({tuple(ProfileRow(*row) for row in each.rows): each.numbers for each in kept.chains})
