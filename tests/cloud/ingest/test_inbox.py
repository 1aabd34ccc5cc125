"""The inbox is bounded, keeps the order, and gives a batch as soon as there is one."""

import threading
from time import monotonic

import pytest

from cloud.ingest.inbox import Delivery, Inbox


def delivery(number: int, size: int = 1) -> Delivery:
    return Delivery(1, number, 1, "t", b"x" * size)


def nothing() -> None:
    return


def test_messages_come_out_in_order_and_within_the_limits() -> None:
    inbox = Inbox(nothing)
    for number in range(10):
        inbox.put(delivery(number, size=100))
    assert [each.packet_id for each in inbox.take(4, 10_000, 0, None)] == [0, 1, 2, 3]
    assert [each.packet_id for each in inbox.take(10, 250, 0, None)] == [4, 5]
    assert [each.packet_id for each in inbox.take(10, 50, 0, None)] == [6]  # one at least, however large
    assert len(inbox.take(10, 10_000, 0, None)) == 3
    assert inbox.take(10, 10_000, 0, 0.01) == []


@pytest.mark.parametrize(("size", "messages", "max_bytes"), [(1, 3, 10_000), (100, 500, 250)])
def test_a_full_batch_does_not_wait_for_company(size: int, messages: int, max_bytes: int) -> None:
    inbox = Inbox(nothing)
    inbox.put(delivery(0, size))

    def more() -> None:
        for number in (1, 2):
            inbox.put(delivery(number, size))

    timer = threading.Timer(0.05, more)
    timer.start()
    began = monotonic()
    taken = inbox.take(messages, max_bytes, 30.0, None)
    assert monotonic() - began < 10
    assert len(taken) >= 2
    timer.join()


def test_a_full_inbox_makes_its_producer_wait() -> None:
    times_full: list[int] = []
    inbox = Inbox(lambda: times_full.append(1), max_messages=2)
    producer = threading.Thread(target=lambda: [inbox.put(delivery(number)) for number in range(6)])
    producer.start()
    taken: list[int] = []
    while len(taken) < 6:
        taken += [each.packet_id for each in inbox.take(1, 1000, 0, 30.0)]
    producer.join(30)
    assert taken == list(range(6))
    assert times_full


def test_closing_wakes_everyone() -> None:
    inbox = Inbox(nothing, max_messages=1)
    inbox.put(delivery(0))
    producer = threading.Thread(target=inbox.put, args=(delivery(1),))
    producer.start()
    inbox.close()
    producer.join(30)
    assert not producer.is_alive()
    assert inbox.take(10, 1000, 0, None) == []
