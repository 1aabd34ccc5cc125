"""The outbox: durable before it says so, numbered without a hole, deleted by receipt alone."""

import contextlib
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.counters import Counters
from edge.observations import Observation
from edge.outbox import Outbox, OutboxLimits
from edge.outbox.file import NewRow, OutboxFile, OutboxFull
from edge.outbox.intake import Intake
from edge.outbox.ranges import in_parts, merged
from edge.outbox.room import drop_oldest
from edge.outbox.rows import Priority
from protocols.events import CameraFault, CameraOffline, Event, GapReason, PersonLeftZone, SourceRestarted
from protocols.receipts import Receipt
from protocols.topics import EventClass
from tests.support.gateways import GATEWAY, SetClock, eventually, forced, make_outbox, opened, seen


def read_all(outbox: Outbox) -> list[Event]:
    return [Event.model_validate_json(row.body) for row in outbox.pending(1, outbox.last_seq, 100_000)]


def video() -> Observation:
    return seen(PersonLeftZone(zone="z", track=1, dwell_s=1.0), "c-east")


def test_an_event_is_stored_as_the_hub_reads_it(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    assert outbox.put(opened(7)) == 1
    (event,) = read_all(outbox)
    assert (event.seq, event.stream, event.gateway, event.subject) == (1, outbox.stream, GATEWAY, "d-7")
    assert (event.source, event.place, event.type) == (f"/gw/{GATEWAY}/d-7", "gate-east", "door.opened.v1")
    assert event.id.version == 7
    outbox.stop()
    outbox.close()


def test_many_writers_get_numbers_without_a_hole_in_the_order_of_ids(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    writers = [threading.Thread(target=lambda: [outbox.put(opened()) for _ in range(50)]) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = read_all(outbox)
    assert [event.seq for event in events] == list(range(1, 401))
    assert [event.id for event in events] == sorted(event.id for event in events)
    outbox.stop()
    outbox.close()


def test_numbers_and_stream_go_on_after_a_restart_even_when_everything_was_deleted(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    for _ in range(3):
        outbox.put(opened())
    outbox.acknowledge(Receipt(stream=outbox.stream, upto=3))
    eventually(lambda: outbox.status().rows == 0)
    stream = outbox.stream
    outbox.stop()
    outbox.close()

    again = make_outbox(tmp_path)
    again.start()
    assert again.stream == stream
    assert again.put(opened()) == 4
    again.stop()
    again.close()


def test_what_was_recorded_is_committed_at_the_stop(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    for number in range(2500):
        outbox.record(opened(number))
    assert outbox.stop()
    outbox.close()
    again = make_outbox(tmp_path)
    assert again.status().rows == 2500
    again.close()


def test_a_receipt_deletes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    for number in range(10):
        outbox.put(opened(number))
    outbox.acknowledge(Receipt(stream=outbox.stream, upto=3, also=((5, 6), (9, 9))))
    eventually(lambda: outbox.status().rows == 4)
    assert [row.seq for row in outbox.pending(1, 10, 100)] == [4, 7, 8, 10]
    outbox.stop()
    outbox.close()


def test_a_receipt_of_another_stream_or_beyond_the_last_number_deletes_nothing(tmp_path: Path) -> None:
    counters = Counters()
    outbox = make_outbox(tmp_path, counters)
    outbox.start()
    outbox.put(opened())
    outbox.acknowledge(Receipt(stream=uuid4(), upto=1))
    outbox.acknowledge(Receipt(stream=outbox.stream, upto=2))
    outbox.put(opened())
    assert outbox.status().rows == 2
    assert counters["receipts_of_another_stream"] == 1
    assert counters["receipts_beyond_last"] == 1
    outbox.stop()
    outbox.close()


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_wall_clock_that_jumps_changes_neither_numbers_nor_the_order_of_ids(tmp_path: Path, jump_s: float) -> None:
    clock = SetClock()
    outbox = make_outbox(tmp_path, clock=clock)
    outbox.start()
    for number in range(5):
        outbox.put(opened(number, clock))
    clock.wall += jump_s
    for number in range(5):
        outbox.put(opened(number, clock))
    events = read_all(outbox)
    assert [event.seq for event in events] == list(range(1, 11))
    assert [event.id for event in events] == sorted(event.id for event in events)
    assert (events[5].time - events[4].time).total_seconds() == pytest.approx(jump_s)
    assert events[5].clock.monotonic_ms == events[4].clock.monotonic_ms
    outbox.stop()
    outbox.close()


def test_a_large_receipt_is_worked_off_in_parts_while_events_go_on(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    for number in range(6000):
        outbox.record(opened(number))
    last = outbox.put(opened())
    outbox.acknowledge(Receipt(stream=outbox.stream, upto=last))
    assert outbox.put(opened()) == last + 1
    eventually(lambda: outbox.status().rows == 1)
    outbox.stop()
    outbox.close()


def test_an_observation_that_makes_no_event_is_refused_and_spoils_no_other(tmp_path: Path) -> None:
    counters = Counters()
    outbox = make_outbox(tmp_path, counters)
    outbox.start()
    outbox.record(seen(opened().data, "No Such Name"))
    assert outbox.put(opened()) == 1
    with pytest.raises(ValueError, match="subject"):
        outbox.put(seen(opened().data, "No Such Name"))
    assert counters["events_malformed"] == 2
    outbox.stop()
    outbox.close()


@pytest.mark.parametrize("damage", ["header", "middle"])
def test_a_damaged_file_is_moved_aside_and_told(tmp_path: Path, damage: str) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    for number in range(300):
        outbox.record(opened(number))
    outbox.stop()
    outbox.close()
    path = tmp_path / "outbox.db"
    content = bytearray(path.read_bytes())
    at = 0 if damage == "header" else 8192
    content[at : at + 4096] = b"\xde" * 4096
    path.write_bytes(content)

    counters = Counters()
    again = make_outbox(tmp_path, counters)
    again.start()
    assert again.stream != outbox.stream
    eventually(lambda: again.status().rows == 1)
    (event,) = read_all(again)
    assert isinstance(event.data, SourceRestarted)
    assert "moved aside" in event.data.reason
    assert counters["outbox_corrupt"] == 1
    assert list(tmp_path.glob("outbox.db.corrupt-*"))
    again.stop()
    again.close()


def test_the_quota_drops_the_oldest_of_the_lowest_class_and_says_which(tmp_path: Path) -> None:
    counters = Counters()
    outbox = make_outbox(tmp_path, counters, OutboxLimits(quota_bytes=1024 * 1024, queue_events=50_000))
    outbox.start()
    doors = [outbox.put(opened(number)) for number in range(200)]
    last_video = 0
    for number in range(3000):
        outbox.record(video())
        if number % 500 == 499:
            last_video = outbox.put(video())
            doors.append(outbox.put(forced()))

    events = read_all(outbox)
    here = {event.seq for event in events}
    gaps = [event.data for event in events if event.type == "outbox.gap.v1"]
    told = {seq for gap in gaps for first, last in gap.ranges for seq in range(first, last + 1)}
    assert set(doors) <= here
    assert last_video in here
    assert told, "nothing was dropped: the quota was not reached"
    assert here | told == set(range(1, outbox.last_seq + 1)), "a number is neither here nor told as dropped"
    assert sum(count for gap in gaps for count in gap.dropped.values()) == len(told - here)
    assert (tmp_path / "outbox.db").stat().st_size <= 1024 * 1024
    assert counters["events_dropped"] == len(told)

    outbox.acknowledge(Receipt(stream=outbox.stream, upto=outbox.last_seq))
    eventually(lambda: outbox.status().rows == 0)
    for _ in range(100):
        outbox.put(video())
    assert outbox.status().rows == 100, "after the hub's receipt there is room again"
    outbox.stop()
    outbox.close()


def test_where_the_lowest_class_gives_no_room_the_next_one_does(tmp_path: Path) -> None:
    file = OutboxFile(tmp_path / "outbox.db", 2**20, uuid4())

    def row(seq: int, priority: Priority, size: int = 500) -> NewRow:
        return NewRow(seq, uuid4(), EventClass.VIDEO, priority, 0, b"x" * size)

    file.append([row(1, Priority.VIDEO)])
    file.set_quota(400 * 1024)
    with contextlib.suppress(OutboxFull):
        for seq in range(2, 10_000):
            file.append([row(seq, Priority.DOOR)])
    assert file.last_seq < 9_999, "it was never full"
    file.freeze()
    dropped = drop_oldest(file, GapReason.DISK_FULL, Counter(), lambda _gap, seq: row(seq, Priority.GAP, 4000))
    assert dropped.count > 1
    assert file.worst_priority() is Priority.DOOR
    file.append([row(file.last_seq + 1, Priority.DOOR)])
    file.close()


def test_no_video_takes_a_doors_place_and_only_a_door_does(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path, limits=OutboxLimits(quota_bytes=400 * 1024, queue_events=50_000))
    outbox.start()
    for number in range(2000):
        outbox.record(opened(number))
    outbox.put(forced(), 60)
    doors = {row.seq for row in outbox.pending(1, outbox.last_seq, 10_000)}
    assert len(doors) < 2000

    for _ in range(2000):
        outbox.record(video())
    eventually(lambda: outbox.status().waiting == 0)
    events = read_all(outbox)
    assert doors <= {event.seq for event in events} | {event.seq for event in events if event.type == "outbox.gap.v1"}
    assert sum(event.type.startswith("person.") for event in events) < 1000

    for number in range(2000):
        outbox.record(opened(number))
    newest = outbox.put(forced(), 60)
    events = read_all(outbox)
    assert newest in {event.seq for event in events}
    assert not any(event.type.startswith("person.") for event in events)
    outbox.stop()
    outbox.close()


def test_gap_events_are_folded_so_that_they_never_fill_the_outbox_themselves(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path, limits=OutboxLimits(quota_bytes=512 * 1024, queue_events=100_000))
    outbox.start()
    for number in range(14_000):
        outbox.record(video() if number % 3 else opened(number % 100))
    outbox.put(forced(), 60)
    events = read_all(outbox)
    gaps = [event for event in events if event.type == "outbox.gap.v1"]
    told = {seq for gap in gaps for first, last in gap.data.ranges for seq in range(first, last + 1)}
    assert {event.seq for event in events} | told == set(range(1, outbox.last_seq + 1))
    assert 0 < len(gaps) <= 64
    outbox.stop()
    outbox.close()


def test_a_full_queue_drops_video_first_and_the_drop_is_told(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path, limits=OutboxLimits(queue_events=100))
    for _ in range(80):
        outbox.record(video())
    for number in range(60):
        outbox.record(opened(number))
    outbox.start()
    eventually(lambda: any(event.type == "outbox.gap.v1" for event in read_all(outbox)))
    events = read_all(outbox)
    assert sum(event.type == "door.opened.v1" for event in events) == 60
    (gap,) = [event.data for event in events if event.type == "outbox.gap.v1"]
    assert gap.ranges == ()
    assert gap.dropped == {"video": 40}
    outbox.stop()
    outbox.close()


def test_the_queue_hands_out_in_the_order_of_arrival() -> None:
    intake = Intake(10)
    given = [video(), opened(1), seen(CameraOffline(fault=CameraFault.SILENT), "c"), forced(), video()]
    for observation in given:
        intake.put(observation)
    assert [entry.observation for entry in intake.take(10, 0, 0).entries] == given


def test_recording_never_waits_for_a_disk_that_hangs(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    blocker = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    begun = time.perf_counter()
    for number in range(1000):
        outbox.record(opened(number))
    assert time.perf_counter() - begun < 1.0
    blocker.execute("ROLLBACK")
    blocker.close()
    eventually(lambda: outbox.status().rows == 1000)
    outbox.stop()
    outbox.close()


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))))
def test_merged_ranges_hold_the_same_numbers_in_the_fewest_ranges(ranges: list[tuple[int, int]]) -> None:
    result = merged(ranges)
    numbers = {number for first, last in ranges for number in range(first, last + 1)}
    assert [number for first, last in result for number in range(first, last + 1)] == sorted(numbers)
    assert all(result[index][1] + 1 < result[index + 1][0] for index in range(len(result) - 1))
    assert [part for parts in in_parts(result, 3) for part in parts] == result
