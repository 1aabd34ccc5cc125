"""An older copy of the state folder is put back: nothing that was seen since is lost, and nothing is stored twice."""

import os
import shutil
import time
from pathlib import Path
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from edge.outbox.encoding import Encoder, moved
from edge.uplink import UplinkSettings
from edge.uplink.sent import SentNumbers
from protocols.events import ClockState, Event, GapReason, OutboxGap, SourceRestarted
from protocols.ids import UuidV7Maker
from protocols.receipts import Receipt
from tests.support.brokers import RunningBroker
from tests.support.gateways import GATEWAY, Gateway, HubHalf, Keys, eventually, make_outbox, opened, seen

SLOWLY = UplinkSettings(backlog_events_per_s=400.0)


def record_offline(folder: Path, count: int, name: str) -> None:
    """Events that a gateway without a network commits; their devices say which they are."""
    outbox = make_outbox(folder)
    outbox.start()
    for number in range(count):
        outbox.record(seen(opened().data, f"{name}-{number}"))
    assert outbox.stop(20)
    outbox.close()


def deliver(folder: Path, keys: Keys, broker: RunningBroker) -> None:
    """Connect, until the hub has all."""
    gateway = Gateway(folder, keys.identity(broker.access(GATEWAY)), settings=SLOWLY)
    eventually(lambda: gateway.outbox.status().rows == 0 and gateway.outbox.status().waiting == 0, 30, "all receipted")
    gateway.close()


def subjects(hub: HubHalf, name: str) -> list[str]:
    """The devices of the events that the hub stored, by the outbox's run."""
    stored = [event.subject for event in list(hub.stored.values()) if event.subject.startswith(f"{name}-")]
    return sorted(stored, key=lambda subject: int(subject.rpartition("-")[2]))


def test_fewer_events_than_the_hub_has_go_on_in_a_new_stream(tmp_path: Path, broker: RunningBroker, keys: Keys) -> None:
    hub = HubHalf(broker, keys)
    hub.say()
    folder, copy = tmp_path / "state", tmp_path / "copy"
    folder.mkdir()
    record_offline(folder, 10, "kept")
    shutil.copytree(folder, copy)
    deliver(folder, keys, broker)
    record_offline(folder, 40, "rolled-back")
    deliver(folder, keys, broker)
    former = make_outbox(folder)
    stream, last_session = former.stream, max(state.session for state in hub.states)
    former.close()

    shutil.rmtree(folder)
    copy.rename(folder)
    record_offline(folder, 5, "after")
    deliver(folder, keys, broker)

    for name, count in (("kept", 10), ("rolled-back", 40), ("after", 5)):
        assert subjects(hub, name) == [f"{name}-{number}" for number in range(count)]
    told = [event for event in hub.stored.values() if isinstance(event.data, SourceRestarted)]
    assert len(told) == 1
    assert "put back" in told[0].data.reason
    assert told[0].stream != stream
    births = [state for state in hub.states if state.stream == told[0].stream]
    assert births
    assert births[-1].session > last_session, "the hub ignores what an older session says"
    again = make_outbox(folder)
    assert (again.stream, again.last_seq) == (told[0].stream, 16)
    again.close()
    hub.close()


def test_more_events_than_the_hub_has_are_all_sent_whatever_its_old_mark_covers(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    hub = HubHalf(broker, keys)
    hub.say()
    folder, copy = tmp_path / "state", tmp_path / "copy"
    folder.mkdir()
    record_offline(folder, 10, "kept")
    shutil.copytree(folder, copy)
    record_offline(folder, 600, "rolled-back")
    deliver(folder, keys, broker)

    shutil.rmtree(folder)
    copy.rename(folder)
    record_offline(folder, 900, "after")  # numbers 11 to 910, of which the hub's mark covers up to 610
    deliver(folder, keys, broker)

    for name, count in (("kept", 10), ("rolled-back", 600), ("after", 900)):
        assert subjects(hub, name) == [f"{name}-{number}" for number in range(count)]
    hub.close()


def test_ids_stay_numbers_begin_at_one_and_the_order_is_kept(tmp_path: Path) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    for number in range(5000):
        outbox.record(opened(number))
    outbox.put(opened(5000), 30)
    outbox.acknowledge(Receipt(stream=outbox.stream, upto=100, also=((200, 300),)))
    eventually(lambda: outbox.status().rows == 5001 - 201)
    before = [Event.model_validate_json(row.body) for row in outbox.pending(1, 10_000, 10_000)]
    former = outbox.stream
    outbox.acknowledge(Receipt(stream=former, upto=6000))
    eventually(
        lambda: outbox.stream != former and outbox.status().rows == 4801, what="a new stream, and an event of it"
    )
    after = [Event.model_validate_json(row.body) for row in outbox.pending(1, 10_000, 10_000)]
    assert [event.id for event in after[:-1]] == [event.id for event in before]
    assert [event.seq for event in after] == list(range(1, 4802))
    assert {event.stream for event in after} == {outbox.stream}
    same = {"seq", "stream"}
    assert [event.model_dump(exclude=same) for event in after[:-1]] == [
        event.model_dump(exclude=same) for event in before
    ]
    assert outbox.put(opened()) == 4802
    stream = outbox.stream
    assert outbox.stop()
    outbox.close()
    again = make_outbox(tmp_path)
    assert (again.stream, again.last_seq, again.status().rows) == (stream, 4802, 4802)
    again.close()


def test_a_gap_event_keeps_its_counts_and_names_no_number_of_another_stream() -> None:
    gap = OutboxGap(reason=GapReason.QUOTA, ranges=((3, 9),), dropped={"video": 7})
    event = Event.model_validate_json(_body(gap, uuid4()))
    stream = uuid4()
    now = Event.model_validate_json(moved(event.model_dump_json().encode(), stream, 1))
    assert (now.id, now.stream, now.seq, now.data.ranges, now.data.dropped) == (event.id, stream, 1, (), {"video": 7})


def _body(data: OutboxGap, stream: UUID) -> bytes:
    encoder = Encoder(GATEWAY, UuidV7Maker(time.time, os.urandom), lambda: ClockState.SYNCED)
    return encoder.row(seen(data), stream, 5).body


@given(
    st.lists(st.integers(1, 60), max_size=60),
    st.integers(0, 30),
    st.sets(st.integers(31, 70)),
)
def test_the_part_that_was_sent_is_what_both_name(sent: list[int], upto: int, also: set[int]) -> None:
    stream = uuid4()
    numbers = SentNumbers()
    for number in sent:
        numbers.note(stream, [number])
    receipt = Receipt(stream=stream, upto=upto, also=tuple((number, number) for number in sorted(also)))
    part = numbers.part_of(receipt)
    assert [seq for seq in range(100) if part.covers(seq) and seq] == [
        seq for seq in range(100) if seq in sent and receipt.covers(seq)
    ]
    assert not numbers.part_of(Receipt(stream=uuid4(), upto=50)).covers(1)
