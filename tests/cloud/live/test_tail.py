"""Every committed event is found once, in whatever order the workers commit, and a flood costs a bounded look."""

from datetime import timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.database.engine import Database
from cloud.live.tail import MAX_ROWS, EventTail, News
from tests.support.console import Seed, utc_now
from tests.support.events import opened

NOW = utc_now()


def tail_of(database: Database) -> EventTail:
    tail = EventTail(database, lambda: NOW)
    tail.prime()
    return tail


def look(tail: EventTail, sweep: bool = False) -> News:
    return tail.news(tail.look(sweep))


def test_what_was_there_before_is_not_told_again(database: Database) -> None:
    seed = Seed(database)
    seed.store(seed.gateway.event(opened()), received_at=NOW - timedelta(seconds=1))
    assert look(tail_of(database)) == News([], [])


def test_rows_come_once_oldest_receipt_first(database: Database) -> None:
    seed, tail = Seed(database), tail_of(database)
    first, second = seed.gateway.event(opened()), seed.gateway.event(opened())
    seed.store(second, received_at=NOW + timedelta(seconds=0.2))
    seed.store(first, received_at=NOW + timedelta(seconds=0.1))
    assert [row.id for row in look(tail).rows] == [first.id, second.id]
    assert look(tail) == News([], [])


def test_a_commit_that_comes_behind_the_newest_is_found(database: Database) -> None:
    seed, tail = Seed(database), tail_of(database)
    seed.store(seed.gateway.event(opened()), received_at=NOW)
    look(tail)
    slow = seed.gateway.event(opened())
    seed.store(slow, received_at=NOW - timedelta(seconds=1.5))
    assert [row.id for row in look(tail).rows] == [slow.id]


def test_a_sweep_finds_a_commit_that_took_long(database: Database) -> None:
    seed, tail = Seed(database), tail_of(database)
    seed.store(seed.gateway.event(opened()), received_at=NOW)
    look(tail)
    slow = seed.gateway.event(opened())
    seed.store(slow, received_at=NOW - timedelta(seconds=20))
    assert look(tail) == News([], [])
    assert [row.id for row in look(tail, sweep=True).rows] == [slow.id]


def test_a_clock_that_was_set_back_hides_nothing(database: Database) -> None:
    seed, tail = Seed(database), tail_of(database)
    seed.store(seed.gateway.event(opened()), received_at=NOW + timedelta(hours=1))
    look(tail)
    after = seed.gateway.event(opened())
    seed.store(after, received_at=NOW)
    assert [row.id for row in look(tail).rows] == [after.id]


def test_a_flood_gives_the_newest_rows_and_counts_the_others(database: Database) -> None:
    seed, tail = Seed(database), tail_of(database)
    flood = [seed.gateway.event(opened()) for _ in range(300)]
    seed.store(*flood, received_at=NOW)
    rows = look(tail).rows
    assert {row.id for row in rows} == {event.id for event in flood[-MAX_ROWS:]}
    assert tail.skipped_rows == 100


def test_any_order_of_commits_tells_each_event_once(database: Database) -> None:
    seed = Seed(database)

    @settings(max_examples=10, deadline=None)
    @given(delays=st.lists(st.floats(0, 1.9), min_size=1, max_size=8), every=st.integers(1, 4))
    def commits_in_any_order(delays: list[float], every: int) -> None:
        tail = tail_of(database)
        told: list[UUID] = []
        expected: list[UUID] = []
        for number, delay in enumerate(delays):
            event = seed.gateway.event(opened())
            expected.append(event.id)
            seed.store(event, received_at=NOW - timedelta(seconds=delay))
            if number % every == 0:
                told += [row.id for row in look(tail).rows]
        told += [row.id for row in look(tail).rows]
        assert sorted(told) == sorted(expected)

    commits_in_any_order()
