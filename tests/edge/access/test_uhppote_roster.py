"""A board's own list: what a roster becomes, and that only what differs is sent."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.access.drivers.interface import ReaderDown, ReaderUp, Roster, RosterEntry
from edge.access.drivers.uhppote.link import TRIES
from edge.access.drivers.uhppote.profiles import ALWAYS, NEVER, NoProfilesLeft, ProfileBook, ProfileRow, chain_of
from edge.access.drivers.uhppote.roster import listing_of
from protocols.cards import CardFormat, CardNumber
from tests.peers.uhppote import FakeBoard, StoredCard, StoredProfile, bcd
from tests.support.gateways import SetClock, eventually
from tests.support.uhppote import PUSHES_ALONE, ZONE, make_driver, running

NINE_TO_SIX = tuple((day, 540, 1080) for day in range(5))
WHOLE_WEEK = tuple((day, 0, 1440) for day in range(7))
DOOR_OF = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
PUT, DELETE, PROFILE, COUNT, AT = 0x50, 0x52, 0x88, 0x58, 0x5C


@pytest.fixture
def clock() -> SetClock:
    return SetClock(wall=datetime(2026, 11, 23, 10, 0, tzinfo=ZONE).timestamp())  # a Monday


@pytest.fixture
def board(clock: SetClock) -> Iterator[FakeBoard]:
    with FakeBoard(clock, ZONE) as board:
        yield board


def entry(
    number: int, *rights: tuple[str, str], since: datetime | None = None, until: datetime | None = None
) -> RosterEntry:
    card = CardNumber(CardFormat.W26, *divmod(number, 100000), 26)
    return RosterEntry(UUID(int=number), card, since, until, rights or (("r1", "always"),))


def roster(*entries: RosterEntry, **schedules: tuple[tuple[int, int, int], ...]) -> Roster:
    return Roster(entries, {"always": WHOLE_WEEK, "office": NINE_TO_SIX, **schedules})


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=ZONE)


def listed(board: FakeBoard) -> dict[int, tuple[int, ...]]:
    return {number: card.doors for number, card in board.cards.items()}


def wait_for(board: FakeBoard, cards: dict[int, tuple[int, ...]]) -> None:
    eventually(lambda: listed(board) == cards, what=f"{cards} in {listed(board)}")


def noted(folder: Path) -> None:
    """Wait until everything was sent and is noted."""
    path = folder / "roster.json"
    eventually(lambda: path.exists() and b'"fingerprint":""' not in path.read_bytes(), what="noted")


# Weekly hours as time profiles.


def test_hours_are_grouped_by_day_and_end_with_their_last_minute() -> None:
    assert chain_of(NINE_TO_SIX) == (ProfileRow((0, 1, 2, 3, 4), ((540, 1079),)),)
    assert chain_of(WHOLE_WEEK) == ALWAYS
    assert chain_of(()) == NEVER
    assert chain_of([(0, 600, 600)]) == NEVER


def test_more_than_three_spans_are_linked() -> None:
    spans = [(6, start, start + 30) for start in range(0, 300, 60)]
    assert chain_of(spans) == (
        ProfileRow((6,), ((0, 29), (60, 89), (120, 149))),
        ProfileRow((6,), ((180, 209), (240, 269))),
    )


minutes = st.integers(0, 1440)


@given(st.lists(st.tuples(st.integers(0, 6), minutes, minutes), max_size=12))
def test_profiles_let_through_exactly_when_the_hours_do(hours: list[tuple[int, int, int]]) -> None:
    chain = chain_of(hours)
    for day in range(7):
        meant = {minute for on, start, end in hours if on == day for minute in range(start, end)}
        if isinstance(chain, int):
            assert meant == (set(range(1440)) if chain == ALWAYS else set())
            continue
        segments = [segment for row in chain if day in row.days for segment in row.segments]
        assert {minute for first, last in segments for minute in range(first, last + 1)} == meant
        assert all(len(row.segments) <= 3 for row in chain)


def test_numbers_are_reserved_out_of_253_and_never_twice() -> None:
    book = ProfileBook()
    rows = [(ProfileRow((0,), ((minute, minute),)),) for minute in range(253)]
    for chain in rows:
        book.add(chain, book.reserve(chain, frozenset()))
    assert sorted(number for numbers in book.chains.values() for number in numbers) == list(range(2, 255))
    one_more = (ProfileRow((1,), ((0, 0),)),)
    with pytest.raises(NoProfilesLeft):
        book.reserve(one_more, frozenset())
    book.keep_only(rows[1:])
    with pytest.raises(NoProfilesLeft):
        book.reserve(one_more, frozenset({2}))  # a card on the board still names it
    assert book.reserve(one_more, frozenset()) == (2,)


# Validity in whole days.


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        (None, None, (date(2001, 1, 1), date(2099, 12, 31))),
        (at(1), at(30), (date(2026, 11, 1), date(2026, 11, 29))),
        (at(1, 8), at(30, 18), (date(2026, 11, 1), date(2026, 11, 30))),
        (at(24, 8), None, (date(2026, 11, 25), date(2099, 12, 31))),
        (at(24), None, (date(2026, 11, 24), date(2099, 12, 31))),
        (None, at(23, 10), None),
        (at(23, 12), at(23, 14), None),
        (at(23, 10), at(23, 10, 1), (date(2026, 11, 23), date(2026, 11, 23))),
        (datetime(1990, 1, 1, tzinfo=ZONE), datetime(2150, 1, 1, tzinfo=ZONE), (date(2001, 1, 1), date(2099, 12, 31))),
    ],
)
def test_a_validity_in_days(since: datetime | None, until: datetime | None, days: tuple[date, date] | None) -> None:
    listing = listing_of(roster(entry(7, since=since, until=until)), DOOR_OF, at(23, 10))
    assert [(card.first, card.last) for card in listing.cards.values()] == ([] if days is None else [days])


instants = st.datetimes(datetime.fromisoformat("2026-11-20"), datetime.fromisoformat("2026-11-27")).map(
    lambda each: each.replace(tzinfo=ZONE)
)


@given(st.none() | instants, st.none() | instants, instants)
@settings(max_examples=300)
def test_nobody_is_listed_before_or_after_and_changes_are_foreseen(
    since: datetime | None, until: datetime | None, now: datetime
) -> None:
    listing = listing_of(roster(entry(7, since=since, until=until)), DOOR_OF, now)
    valid = (since is None or since <= now) and (until is None or now < until)
    opens_today = any(card.first <= now.date() <= card.last for card in listing.cards.values())
    assert opens_today == valid
    ahead = [each for each in (since, until) if each is not None and each > now]
    assert listing.changes_at == min(ahead, default=None)


# Bringing it to the board.


def test_a_roster_becomes_cards_and_profiles(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path, decides="board")
    with running(driver):
        driver.set_roster(
            roster(
                entry(10058400, ("r1", "always"), ("r2", "office"), ("r9", "always"), ("r3", "unknown")),
                entry(5, ("r4", "office"), ("r4", "night"), until=at(30, 12)),
                RosterEntry(uuid4(), CardNumber(CardFormat.W37, 1, 1, 37), None, None, (("r1", "always"),)),
                night=((0, 0, 360), (0, 1080, 1440)),
            )
        )
        noted(tmp_path)
        assert set(board.cards) == {10058400, 5}
        card, guest = board.cards[10058400], board.cards[5]
        assert (card.first.hex(), card.last.hex()) == ("20010101", "20991231")
        assert guest.last.hex() == "20261130"
        assert (card.doors[0], card.doors[2], card.doors[3]) == (1, 0, 0)
        office = board.profiles[card.doors[1]]
        assert office.days == (True,) * 5 + (False,) * 2
        assert office.segments == [("0900", "1759"), ("0000", "0000"), ("0000", "0000")]
        assert driver.counters["unkeepable_cards"] == 1
        assert board.swipe(10058400, 2)  # Monday, 10:00
        assert board.swipe(5, 4)
        clock.advance(8 * 3600)
        assert not board.swipe(10058400, 2)
        assert board.swipe(5, 4), "the linked hours of the night"
        clock.advance(24 * 3600)
        assert not board.swipe(5, 4), "of Monday's night alone"
        assert "10058400" not in (tmp_path / "roster.json").read_text(), "no card number is written to disk"
        assert (tmp_path / "roster.json").stat().st_mode & 0o077 == 0


def test_only_what_differs_is_sent(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    everybody = [entry(number, ("r1", "office")) for number in range(1, 101)]
    with running(driver):
        driver.set_roster(roster(*everybody))
        noted(tmp_path)
        assert (board.requests[PUT], board.requests[PROFILE], board.requests[DELETE]) == (100, 1, 0)
        changed = replace(everybody[0], until=at(30))
        driver.set_roster(roster(changed, *everybody[2:], entry(500, ("r1", "office"))))
        wait_for(board, dict.fromkeys((1, *range(3, 101), 500), (2, 0, 0, 0)))
        assert (board.requests[PUT], board.requests[PROFILE], board.requests[DELETE]) == (102, 1, 1)
        assert board.cards[1].last.hex() == "20261129"


def test_changed_hours_get_a_new_profile_before_the_cards_that_name_it(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path)
    missing: list[int] = []

    def look(function: int) -> None:
        named = {profile for card in board.cards.values() for profile in card.doors if profile > 1}
        missing.extend(named - set(board.profiles))

    board.before_reply = look
    with running(driver):
        driver.set_roster(roster(entry(1, ("r1", "office"))))
        wait_for(board, {1: (2, 0, 0, 0)})
        spans = tuple((0, start, start + 30) for start in range(0, 300, 60))
        driver.set_roster(roster(entry(1, ("r1", "office")), office=spans))
        wait_for(board, {1: (3, 0, 0, 0)})
        assert board.profiles[3].linked == 4
        assert board.profiles[4].linked == 0
        driver.set_roster(roster(entry(1, ("r1", "office"))))
        wait_for(board, {1: (2, 0, 0, 0)})
    assert not missing, "a board lets everybody through whose profile it does not have"


def test_what_was_sent_before_a_restart_is_not_sent_again(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    people = roster(*(entry(number, ("r2", "office")) for number in range(1, 51)))
    driver = make_driver(board, clock, tmp_path)
    with running(driver):
        driver.set_roster(people)
        noted(tmp_path)
    before = board.requests.copy()
    driver = make_driver(board, clock, tmp_path)
    with running(driver):
        driver.set_roster(people)
        eventually(lambda: board.requests[COUNT] > before[COUNT], what="the board's count is compared")
        driver.set_roster(roster(*people.entries[1:]))
        eventually(lambda: 1 not in board.cards, what="and a change is known as one")
        for function in (PUT, PROFILE, AT):
            assert board.requests[function] == before[function]


def test_a_list_that_is_not_known_is_read_back_and_put_right(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    people = [entry(number) for number in range(1, 21)]
    driver = make_driver(board, clock, tmp_path)
    with running(driver):
        driver.set_roster(roster(*people))
        noted(tmp_path)
    (tmp_path / "roster.json").unlink()
    board.slots[3] = None  # the board lost one
    board.cards[9].doors = (1, 1, 1, 1)  # somebody gave another one more rights
    before = board.requests.copy()
    driver = make_driver(board, clock, tmp_path)
    with running(driver):
        driver.set_roster(roster(*people[1:]))
        wait_for(board, dict.fromkeys(range(2, 21), (1, 0, 0, 0)))
        assert board.requests[PUT] - before[PUT] == 2
        assert board.requests[DELETE] - before[DELETE] == 1


def test_a_board_that_was_wiped_in_an_outage_gets_everything_again(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        driver.set_roster(roster(entry(1), entry(2, ("r1", "office"))))
        wait_for(board, {1: (1, 0, 0, 0), 2: (2, 0, 0, 0)})
        noted(tmp_path)
        board.silent = True
        eventually(lambda: bool(delivered.of(ReaderDown)))
        board.wipe()
        board.silent = False
        wait_for(board, {1: (1, 0, 0, 0), 2: (2, 0, 0, 0)})
        assert 2 in board.profiles


def test_a_full_comparison_on_demand_finds_what_the_count_does_not(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver):
        driver.set_roster(roster(entry(1), entry(2)))
        wait_for(board, {1: (1, 0, 0, 0), 2: (1, 0, 0, 0)})
        noted(tmp_path)
        board.cards[2].doors = (1, 1, 1, 1)
        driver.compare_roster()
        wait_for(board, {1: (1, 0, 0, 0), 2: (1, 0, 0, 0)})


def test_a_roster_waits_for_a_board_that_is_away_and_the_newest_counts(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path)
    board.silent = True
    with running(driver, ready=False):
        for number in range(1, 50):
            driver.set_roster(roster(entry(number)))
        board.silent = False
        wait_for(board, {49: (1, 0, 0, 0)})
        assert board.requests[PUT] == 1


def test_a_newer_roster_ends_the_sending_of_an_older_one(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    newer = roster(entry(1))

    def interrupt(function: int) -> None:
        if function == PUT and board.requests[PUT] == 10:
            driver.set_roster(newer)

    board.before_reply = interrupt
    with running(driver):
        driver.set_roster(roster(*(entry(number) for number in range(1, 1001))))
        wait_for(board, {1: (1, 0, 0, 0)})
        assert board.requests[PUT] <= 11


def test_a_card_whose_reply_was_lost_is_deleted_all_the_same(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)

    def fall_silent(function: int) -> None:
        if function == PUT:
            board.drop_replies = 1
            board.silent = True

    with running(driver) as delivered:
        driver.set_roster(roster(entry(1)))
        wait_for(board, {1: (1, 0, 0, 0)})
        board.before_reply = fall_silent
        driver.set_roster(roster(entry(1), entry(2)))
        eventually(lambda: bool(delivered.of(ReaderDown)), what="it is away")
        assert set(board.cards) == {1, 2}
        driver.set_roster(roster(entry(1)))
        board.before_reply = lambda function: None
        board.drop_replies = 0
        board.silent = False
        wait_for(board, {1: (1, 0, 0, 0)})


def test_a_card_whose_reply_was_lost_unnoticed_is_deleted_too(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path, timing=PUSHES_ALONE)

    def lose_the_replies(function: int) -> None:
        if function == PUT and board.requests[PUT] == 1:
            board.drop_replies = TRIES
            driver.set_roster(roster(entry(1)))

    board.before_reply = lose_the_replies
    with running(driver) as delivered:
        driver.set_roster(roster(entry(2)))
        wait_for(board, {1: (1, 0, 0, 0)})
        assert not delivered.of(ReaderDown), "the driver saw nothing of it"


def test_profiles_that_unknown_cards_name_are_left_alone_until_these_are_gone(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    everyday = StoredProfile((True,) * 7, [("0000", "2359"), ("0000", "0000"), ("0000", "0000")], 0)
    board.profiles[2] = everyday
    board.slots.append(StoredCard(9, bcd(date(2026, 1, 1)), bcd(date(2026, 12, 31)), (2, 0, 0, 0)))
    harmed: list[int] = []

    def look(function: int) -> None:
        if 9 in board.cards and board.cards[9].doors[0] == 2 and board.profiles[2] is not everyday:
            harmed.append(function)

    board.before_reply = look
    driver = make_driver(board, clock, tmp_path)
    with running(driver):
        driver.set_roster(roster(entry(1, ("r1", "office")), entry(9, ("r1", "office"))))
        wait_for(board, {9: (3, 0, 0, 0), 1: (3, 0, 0, 0)})
    assert not harmed


def test_linked_profiles_stay_until_no_card_names_them(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    spans = tuple((0, start, start + 30) for start in range(0, 300, 60))
    driver = make_driver(board, clock, tmp_path)
    with running(driver):
        driver.set_roster(roster(entry(1, ("r1", "office")), office=spans))
        wait_for(board, {1: (2, 0, 0, 0)})
        noted(tmp_path)
        tail = board.profiles[3]
        newest = roster(entry(60, ("r1", "night")), entry(1), night=((0, 60, 120),))
        harmed: list[int] = []

        def look(function: int) -> None:
            if board.requests[PUT] == 10 and function == PUT:
                driver.set_roster(newest)
            if board.cards[1].doors[0] == 2 and board.profiles[3] is not tail:
                harmed.append(function)

        board.before_reply = look
        driver.set_roster(roster(*(entry(number) for number in range(10, 60)), entry(1)))
        eventually(lambda: set(board.cards) == {1, 60} and board.cards[1].doors[0] == 1, what="the newest counts")
        assert not harmed


def test_a_validity_ends_to_the_second_while_the_gateway_is_there(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path, decides="board")
    with running(driver):
        driver.set_roster(roster(entry(1, until=at(23, 18)), entry(2, since=at(23, 18))))
        wait_for(board, {1: (1, 0, 0, 0), 2: (1, 0, 0, 0)})
        assert board.swipe(1, 1)
        assert not board.swipe(2, 1)
        clock.advance(8 * 3600)
        wait_for(board, {2: (1, 0, 0, 0)})
        eventually(lambda: board.swipe(2, 1), what="and another begins")


def test_a_board_that_is_full_is_told_of_and_keeps_the_rest(clock: SetClock, tmp_path: Path) -> None:
    with FakeBoard(clock, ZONE, capacity=5) as board:
        driver = make_driver(board, clock, tmp_path)
        with running(driver):
            driver.set_roster(roster(*(entry(number) for number in range(1, 9))))
            eventually(lambda: driver.counters["cards_refused"] == 3, what="three are refused")
            assert set(board.cards) == {1, 2, 3, 4, 5}
            driver.set_roster(roster(*(entry(number) for number in range(5, 9))))
            wait_for(board, dict.fromkeys(range(5, 9), (1, 0, 0, 0)))


def test_too_many_schedules_open_nothing_rather_than_everything(
    board: FakeBoard, clock: SetClock, tmp_path: Path
) -> None:
    driver = make_driver(board, clock, tmp_path)
    names = [f"s{number}" for number in range(260)]
    schedules = {name: ((0, number, number + 1),) for number, name in enumerate(names)}
    with running(driver):
        driver.set_roster(roster(*(entry(n + 1, ("r1", name)) for n, name in enumerate(names)), **schedules))
        eventually(lambda: driver.counters["profiles_lacking"] == 7, what="seven are told of")
        doors = [card.doors[0] for card in board.cards.values()]
        assert (len(set(doors)), doors.count(0)) == (254, 7)
        fewer = roster(*(entry(n + 1, ("r1", name)) for n, name in enumerate(names) if n >= 200), **schedules)
        driver.set_roster(fewer)
        eventually(lambda: set(board.cards) == set(range(201, 261)), what="the rest is gone")
        eventually(lambda: all(card.doors[0] > 1 for card in board.cards.values()), what="numbers became free")
        assert len({card.doors[0] for card in board.cards.values()}) == 60


def test_doors_come_before_the_list(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    opened_after: list[int] = []

    def look(function: int) -> None:
        if function == PUT and board.requests[PUT] == 20:
            driver.set_output("r1", 0, 5.0, 1)
        if function == 0x40:
            opened_after.append(board.requests[PUT])

    board.before_reply = look
    with running(driver):
        driver.set_roster(roster(*(entry(number) for number in range(1, 401))))
        eventually(lambda: len(board.cards) == 400, what="all are sent")
    assert opened_after
    assert opened_after[0] <= 100, "a door waits for a few cards on the line, not for the list of 400"


def test_a_board_away_for_long_is_no_reason_to_forget(board: FakeBoard, clock: SetClock, tmp_path: Path) -> None:
    driver = make_driver(board, clock, tmp_path)
    with running(driver) as delivered:
        driver.set_roster(roster(entry(1, until=at(25)), entry(2)))
        wait_for(board, {1: (1, 0, 0, 0), 2: (1, 0, 0, 0)})
        noted(tmp_path)
        board.silent = True
        eventually(lambda: bool(delivered.of(ReaderDown)))
        clock.advance(timedelta(days=7).total_seconds())
        assert not board.swipe(1, 1), "the board knows the last day by itself"
        assert board.swipe(2, 1)
        board.silent = False
        eventually(lambda: len(delivered.of(ReaderUp)) == 8)
        wait_for(board, {2: (1, 0, 0, 0)})
