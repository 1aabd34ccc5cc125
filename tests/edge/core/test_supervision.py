"""Supervision, the clock watch, health's bounds and the lanes' rules, without waiting for real time."""

from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client import CollectorRegistry

from edge.backoff import Backoff
from edge.clock import HubTime
from edge.clock_watch import SETTLED_AFTER_S, ClockWatch, kernel_says_synchronised
from edge.counters import Counters
from edge.health import Health, HealthServer
from edge.observations import Observation
from edge.outbox import OutboxRow
from edge.supervisor import PartState, Supervisor
from edge.uplink.lanes import RESEND_AFTER_S, SPILL_EVENTS, Lanes, Message
from protocols.events import ClockState, SourceRestarted
from protocols.receipts import Receipt
from protocols.topics import EventClass
from tests.support.gateways import SetClock


@dataclass
class FakePart:
    """A part that fails when told to."""

    failure: str | None = None
    refuses: bool = False
    starts: int = 0
    stopped: bool = field(default=False)

    def start(self) -> None:
        self.starts += 1
        if self.refuses:
            raise OSError("no such port")
        self.failure = None

    def stop(self) -> None:
        self.stopped = True


def supervised(parts: dict[str, FakePart], clock: SetClock, told: list[Observation]) -> Supervisor:
    return Supervisor(list(parts.items()), clock, told.append, "gw-test", "site", lambda: 0.5, Counters())


def test_a_crashed_part_is_started_again_with_backoff_and_an_event() -> None:
    clock, told, part = SetClock(), [], FakePart()
    supervisor = supervised({"pictures": part}, clock, told)
    supervisor.start()
    part.failure = "ValueError: broken"
    supervisor.tick()
    assert supervisor.states()["pictures"].state is PartState.FAILED
    assert part.starts == 1
    clock.advance(1.1)
    supervisor.tick()
    assert supervisor.states()["pictures"].state is PartState.RUNNING
    assert [observation.data for observation in told] == [
        SourceRestarted(source="pictures", reason="ValueError: broken", attempt=1)
    ]


def test_one_part_that_cannot_start_keeps_no_other_from_it() -> None:
    clock, told, bad, good = SetClock(), [], FakePart(refuses=True), FakePart()
    supervisor = supervised({"video": bad, "doors": good}, clock, told)
    supervisor.start()
    states = supervisor.states()
    assert (states["video"].state, states["doors"].state) == (PartState.FAILED, PartState.RUNNING)
    assert "no such port" in states["video"].reason
    for _ in range(200):
        clock.advance(0.5)
        supervisor.tick()
    assert 3 < bad.starts < 10, "tried again, with growing waits"
    bad.refuses = False
    clock.advance(80)
    supervisor.tick()
    (event,) = [observation.data for observation in told]
    assert isinstance(event, SourceRestarted)
    assert event.attempt > 3
    assert supervisor.stop(["video", "doors"], 1.0)
    assert bad.stopped
    assert good.stopped


@pytest.mark.parametrize(("wall", "expected"), [(3600.0, 3600.0), (-3600.0, -3600.0), (1.5, None), (0.0, None)])
def test_a_jump_of_the_wall_clock_is_an_event(wall: float, expected: float | None) -> None:
    clock = SetClock()
    watch = ClockWatch(clock, Counters(), lambda: True)
    clock.advance(100)
    assert watch.look() is None
    clock.wall += wall
    jump = watch.look()
    assert (jump.delta_s if jump else None) == expected
    assert watch.look() is None
    assert watch.state() is ClockState.SYNCED


def test_a_clock_is_trusted_some_time_after_the_start_and_after_each_jump_if_it_is_synchronised() -> None:
    clock, synchronised = SetClock(), [False]
    watch = ClockWatch(clock, Counters(), lambda: synchronised[0])

    def settles(after_s: float) -> bool:
        clock.advance(after_s)
        watch.look()
        return watch.has_settled()

    assert not settles(SETTLED_AFTER_S)
    synchronised[0] = True
    assert settles(1.0)
    assert not settles(100.0)
    clock.wall += 3600.0
    assert not settles(SETTLED_AFTER_S)
    clock.wall -= 3600.0
    assert not settles(SETTLED_AFTER_S - 1.0)
    assert [settles(10.0), settles(10.0)] == [True, False]


class Unsynchronised:
    """A gateway without a time server, whose clock jumped just now."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.watch = ClockWatch(self.clock, Counters(), lambda: False)
        self.clock.advance(100)
        self.watch.look()
        self.clock.wall += 3600.0
        assert self.watch.look() is not None
        self.clock.advance(1)

    def settles(self, off_s: float, travel_s: float = 0.2, asked_ago_s: float = 0.0) -> bool:
        """Ask the hub, whose clock is so far behind this one; it answers half-way."""
        asked_s = self.clock.monotonic - asked_ago_s
        self.clock.advance(travel_s - asked_ago_s)
        wall_s = self.clock.wall - travel_s / 2 - off_s
        self.watch.hub_said(HubTime(wall_s, asked_s, self.clock.monotonic))
        self.watch.look()
        return self.watch.has_settled()


@pytest.mark.parametrize(
    ("off_s", "travel_s", "settles"),
    [
        (0.0, 0.2, True),
        (4.9, 0.0, True),
        (-4.9, 0.0, True),
        (5.1, 0.0, False),
        (-5.1, 0.0, False),
        (-3600.0, 0.2, False),
        (8.0, 8.0, True),
        (10.0, 8.0, False),
        (0.0, 10.1, False),
    ],
)
def test_a_clock_that_jumped_is_trusted_when_the_hub_s_agrees_and_not_otherwise(
    off_s: float, travel_s: float, settles: bool
) -> None:
    """An answer that travelled long leaves so much more open, up to a bound."""
    gateway = Unsynchronised()
    assert not gateway.watch.has_settled()

    assert gateway.settles(off_s, travel_s) is settles

    assert not gateway.watch.has_settled(), "once after each jump"
    assert gateway.watch.state() is ClockState.UNSYNCED


def test_what_the_hub_said_before_a_jump_confirms_nothing_after_it() -> None:
    gateway = Unsynchronised()
    assert gateway.settles(0.0)
    gateway.clock.wall -= 7200.0
    assert gateway.watch.look() is not None
    assert not gateway.watch.has_settled()
    assert not gateway.settles(0.0, travel_s=3.0, asked_ago_s=2.0), "asked before the jump"
    assert gateway.settles(0.0)


def test_how_far_the_clock_is_from_the_hub_s_is_told() -> None:
    gateway = Unsynchronised()
    assert gateway.watch.off_hub_s is None
    gateway.settles(90.0)
    assert gateway.watch.off_hub_s == pytest.approx(90.0)


def test_the_kernel_can_be_asked_about_its_clock() -> None:
    assert kernel_says_synchronised() in (True, False)


def test_backoff_grows_is_bounded_and_spread() -> None:
    backoff = Backoff(1.0, 60.0, lambda: 0.0)
    assert [backoff.next_s() for _ in range(8)] == [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0]
    backoff.reset()
    assert backoff.next_s() == 0.75


@pytest.mark.parametrize(("is_well", "status"), [(True, 200), (False, 503)])
def test_health_is_told_with_its_details_beside_the_metrics(is_well: bool, status: int) -> None:
    server = HealthServer("127.0.0.1", 0, lambda: Health(is_well, {"state": "told"}), CollectorRegistry())
    server.start()
    try:
        answer = httpx.get(f"http://127.0.0.1:{server.port}/healthz?at=once", timeout=30.0)
        assert (answer.status_code, answer.json()) == (status, {"state": "told"})
        assert httpx.get(f"http://127.0.0.1:{server.port}/metrics", timeout=30.0).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{server.port}/", timeout=30.0).status_code == 404
        assert server.failure is None
    finally:
        server.stop()
    assert server.failure == "the HTTP server ended"


class Rows:
    """An outbox in memory."""

    def __init__(self, last: int) -> None:
        self.rows = {seq: OutboxRow(seq, EventClass.ACCESS, b'{"seq":%d}' % seq) for seq in range(1, last + 1)}

    def read(self, first: int, last: int, limit: int) -> list[OutboxRow]:
        return [self.rows[seq] for seq in sorted(self.rows) if first <= seq <= last][:limit]

    def add(self, count: int) -> int:
        start = max(self.rows, default=0)
        self.rows.update({start + n: OutboxRow(start + n, EventClass.ALARM, b"{}") for n in range(1, count + 1)})
        return start + count


def send_all(lanes: Lanes, last: int, now_s: float) -> list[Message]:
    sent = lanes.due(last, now_s)
    for number, message in enumerate(sent):
        lanes.sent(message, number + int(now_s * 1000), now_s)
    lanes.acknowledged(range(int(now_s * 1000) + 1000))
    return sent


def test_what_was_there_is_backlog_and_what_comes_is_live() -> None:
    rows = Rows(250)
    lanes = Lanes(rows.read, 4000.0, lambda: 0.5)
    lanes.open(250, 0.0)
    last = rows.add(2)
    first = send_all(lanes, last, 0.0)
    assert [(message.topic_class, len(message.rows)) for message in first] == [
        (EventClass.ALARM, 1),
        (EventClass.ALARM, 1),
        (EventClass.BATCH, 100),
    ]
    assert send_all(lanes, last, 0.001) == [], "the backlog waits for its rate"
    assert [len(message.rows) for message in send_all(lanes, last, 0.1)] == [100]


def test_without_a_receipt_it_is_sent_again_later_and_later_without_what_was_receipted() -> None:
    rows = Rows(50)
    lanes = Lanes(rows.read, 4000.0, lambda: 0.5)
    lanes.open(50, 0.0)
    (message,) = send_all(lanes, 50, 0.0)
    stream_receipt = Receipt(stream="0190a5d4-0000-7000-8000-000000000000", upto=20, also=((30, 30),))
    assert lanes.receipted(stream_receipt) == 21
    assert send_all(lanes, 50, RESEND_AFTER_S - 1) == []
    (again,) = send_all(lanes, 50, RESEND_AFTER_S + 1)
    assert again is message
    assert [row.seq for row in again.rows] == [*range(21, 30), *range(31, 51)]
    assert send_all(lanes, 50, 2.5 * RESEND_AFTER_S) == []
    assert len(send_all(lanes, 50, 3.5 * RESEND_AFTER_S)) == 1
    lanes.receipted(Receipt(stream=stream_receipt.stream, upto=50))
    assert lanes.without_receipt == 0
    assert send_all(lanes, 50, 10_000.0) == []


def test_a_burst_joins_the_backlog_and_nothing_is_sent_twice() -> None:
    rows = Rows(0)
    lanes = Lanes(rows.read, 100_000.0, lambda: 0.5)
    lanes.open(0, 0.0)
    last = rows.add(SPILL_EVENTS * 3)
    seqs: list[int] = []
    now_s = 0.0
    while len(seqs) < last:
        now_s += 0.01
        for message in send_all(lanes, last, now_s):
            assert message.topic_class is EventClass.BATCH
            seqs += [row.seq for row in message.rows]
        lanes.receipted(Receipt(stream="0190a5d4-0000-7000-8000-000000000000", upto=max(seqs, default=0)))
        assert now_s < 5
    assert sorted(seqs) == list(range(1, last + 1))


def test_a_shut_gate_sends_nothing() -> None:
    rows = Rows(10)
    lanes = Lanes(rows.read, 4000.0, lambda: 0.5)
    assert lanes.due(10, 0.0) == []
    lanes.open(10, 0.0)
    lanes.close()
    assert lanes.due(10, 1.0) == []
