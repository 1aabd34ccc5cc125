"""What is stored of a stream, and what state a device is in, against slow models of both."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloud.ingest.arrival import latest_moves
from cloud.ingest.coverage import Coverage, runs
from cloud.ingest.receipts import MIN_INTERVAL_S, ReceiptPacer
from protocols.access_events import DoorClosed, DoorForced, DoorHeld
from protocols.event_data import EventData
from protocols.receipts import MAX_RANGES, Receipt
from tests.support.events import FakeGateway, arrivals, new_id, opened

numbers = st.integers(1, 40)
ranges = st.tuples(st.integers(-3, 40), st.integers(-3, 40))


@given(batches=st.lists(st.lists(numbers | ranges, max_size=8), max_size=12))
def test_coverage_is_the_set_of_numbers(batches: list[list[int | tuple[int, int]]]) -> None:
    coverage, model = Coverage(), set[int]()
    for batch in batches:
        singles = [item for item in batch if isinstance(item, int)]
        spans = [item for item in batch if isinstance(item, tuple)]
        coverage = coverage.plus([*runs(singles), *spans])
        model.update(singles)
        for first, last in spans:
            model.update(range(max(first, 1), last + 1))
        receipt = coverage.receipt(new_id())
        assert {number for number in range(1, 60) if receipt.covers(number)} == model
        assert receipt.upto + 1 not in model


@given(found=st.lists(numbers))
def test_runs_hold_exactly_the_numbers_and_do_not_touch(found: list[int]) -> None:
    spans = runs(found)
    assert sorted(set(found)) == [n for first, last in spans for n in range(first, last + 1)]
    assert all(one[1] + 1 < other[0] for one, other in pairwise(spans))


def test_forgotten_ranges_are_the_highest_and_come_back() -> None:
    scattered = Coverage().plus((n, n) for n in range(2, 4 * MAX_RANGES, 2))
    assert len(scattered.ranges) == MAX_RANGES
    assert scattered.ranges[0] == (2, 2)
    assert scattered.plus([(1, 4 * MAX_RANGES)]) == Coverage(4 * MAX_RANGES)


@given(order=st.permutations(range(12)), pieces=st.integers(1, 12))
def test_a_projection_does_not_depend_on_the_order_of_arrival(order: list[int], pieces: int) -> None:
    kinds: list[EventData] = [opened(), DoorClosed(open_s=1), DoorHeld(open_s=40), DoorForced()]
    older = FakeGateway("g1")
    newer = FakeGateway("g1", stream=new_id())
    events = [gateway.event(kinds[i % 4], f"d-{i % 2}") for gateway in (older, newer) for i in range(6)]
    state: dict[tuple[str, str], tuple[str, int, str]] = {}
    for start in range(0, 12, pieces):  # as the database does: only what is later replaces what is there
        came = arrivals([events[i] for i in order[start : start + pieces]])
        for device, (arrival, move) in latest_moves(came).items():
            state[device] = max(state.get(device, ("", 0, "")), (arrival.stream, arrival.seq, move.state))
    assert {device[1]: found[2] for device, found in state.items()} == {"d-0": "open", "d-1": "closed"}


def test_receipts_are_held_back_to_ten_a_second_and_the_newest_wins() -> None:
    pacer, stream = ReceiptPacer(), new_id()

    def upto(number: int) -> list[tuple[str, Receipt]]:
        return [("g1", Receipt(stream=stream, upto=number))]

    assert pacer.wait_s(5.0) is None
    pacer.add(upto(1))
    assert pacer.due(5.0) == upto(1)
    pacer.add(upto(2))
    pacer.add(upto(3))
    assert pacer.due(5.05) == []
    assert 0.04 < (pacer.wait_s(5.05) or 0) <= 0.05 + 1e-9
    assert pacer.due(5.0 + MIN_INTERVAL_S) == upto(3)
    assert pacer.wait_s(6.0) is None
