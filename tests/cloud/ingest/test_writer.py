"""A batch is stored in one transaction, each event once, whatever arrives twice or out of order."""

import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from cloud.database.engine import Database
from cloud.database.tables import DeadLetter, DeviceState, EventRecord, Gateway, StreamCursor
from cloud.ingest.batch import Batch, Presence, Refusal, Refused
from cloud.ingest.writer import DEAD_LETTER_BYTES, DEAD_LETTERS_KEPT, DatabaseOutage, EventWriter
from protocols.access_events import DoorClosed, DoorForced
from protocols.events import GapReason, OutboxGap
from protocols.presence import GatewayState
from protocols.presence import Presence as State
from tests.support.databases import PostgresqlCluster, remove
from tests.support.events import NOON, FakeGateway, arrivals, new_id, opened


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway("g1")


def count(database: Database, table: type = EventRecord) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def batch_of(*events: object, **more: object) -> Batch:
    return Batch(NOON, arrivals(events), **more)  # type: ignore[arg-type]  # events of a test


def test_an_event_is_stored_with_all_its_columns(database: Database, gateway: FakeGateway) -> None:
    event = gateway.event(opened())
    stored = EventWriter(database).store(batch_of(event))
    assert stored.inserted == [event.id.hex]
    with database.read() as connection:
        row = connection.execute(select(EventRecord)).mappings().one()
    assert (row["id"], row["gateway_id"], row["stream"], row["seq"]) == (event.id, "g1", gateway.stream, 1)
    assert (row["type"], row["subject"], row["time"]) == ("door.opened.v1", "d-east", event.time)
    assert json.loads(row["body"])["data"] == {"cause": "credential"}


def test_a_duplicate_is_stored_once_and_receipted_again(database: Database, gateway: FakeGateway) -> None:
    writer = EventWriter(database)
    events = [gateway.event(opened()) for _ in range(5)]
    writer.store(batch_of(*events[:3]))
    again = writer.store(batch_of(*events, events[4]))
    assert again.inserted == [events[3].id.hex, events[4].id.hex]
    assert again.duplicates == 4
    assert count(database) == 5
    assert again.receipts[0][1].upto == 5
    only_old = writer.store(batch_of(events[0]))
    assert only_old.inserted == []
    assert only_old.receipts[0][1].upto == 5


def test_a_hole_is_receipted_as_ranges_until_it_is_filled(database: Database, gateway: FakeGateway) -> None:
    writer = EventWriter(database)
    events = [gateway.event(opened()) for _ in range(10)]
    first = writer.store(batch_of(*events[:2], *events[4:6], *events[8:]))
    assert (first.receipts[0][1].upto, first.receipts[0][1].also) == (2, ((5, 6), (9, 10)))
    second = writer.store(batch_of(*events[2:4]))
    assert (second.receipts[0][1].upto, second.receipts[0][1].also) == (6, ((9, 10),))
    third = writer.store(batch_of(*events[6:8]))
    assert (third.receipts[0][1].upto, third.receipts[0][1].also) == (10, ())


def test_what_a_gap_event_names_counts_as_covered(database: Database, gateway: FakeGateway) -> None:
    gap = OutboxGap(reason=GapReason.QUOTA, ranges=((2, 4), (6, 6), (9, 7)), dropped={})
    stored = EventWriter(database).store(
        batch_of(gateway.event(opened(), seq=1), gateway.event(opened(), seq=5), gateway.event(gap, seq=7))
    )
    assert stored.receipts[0][1].upto == 7


def test_streams_and_gateways_have_receipts_of_their_own(database: Database, gateway: FakeGateway) -> None:
    other = FakeGateway("g2", stream=gateway.stream)
    stored = EventWriter(database).store(
        batch_of(gateway.event(opened()), other.event(opened(), seq=7), gateway.event(opened()))
    )
    assert {(name, receipt.upto, receipt.also) for name, receipt in stored.receipts} == {
        ("g1", 2, ()),
        ("g2", 0, ((7, 7),)),
    }


def test_a_later_number_moves_a_door_and_an_earlier_one_does_not(database: Database, gateway: FakeGateway) -> None:
    writer = EventWriter(database)
    first, last = gateway.event(DoorForced()), gateway.event(DoorClosed(open_s=3))
    writer.store(batch_of(last))
    writer.store(batch_of(first))
    with database.read() as connection:
        row = connection.execute(select(DeviceState)).mappings().one()
    assert (row["device"], row["kind"], row["state"], row["seq"]) == ("d-east", "door", "closed", 2)
    replaced = FakeGateway("g1", stream=new_id())
    writer.store(batch_of(replaced.event(DoorForced())))
    with database.read() as connection:
        assert connection.execute(select(DeviceState.state)).scalar() == "forced"


def test_a_refusal_with_a_number_is_kept_and_receipted(database: Database, gateway: FakeGateway) -> None:
    sealed = Refusal("g1", "t", Refused.BAD_EVENT, "data: \x00", b"x" * 100_000, gateway.stream, 1)
    unsealed = Refusal(None, "t\x00", Refused.BAD_SIGNATURE, "no", b"\x00\xff")
    stored = EventWriter(database).store(Batch(NOON, refusals=[sealed, unsealed]))
    assert [(name, receipt.upto) for name, receipt in stored.receipts] == [("g1", 1)]
    with database.read() as connection:
        rows = connection.execute(select(DeadLetter.reason, DeadLetter.payload).order_by(DeadLetter.id)).all()
    assert [reason for reason, _ in rows] == ["bad_event: data: ?", "bad_signature: no"]
    assert [len(payload) for _, payload in rows] == [DEAD_LETTER_BYTES, 2]


def test_dead_letters_are_bounded_and_the_newest_stay(database: Database) -> None:
    writer = EventWriter(database)
    for i in range(DEAD_LETTERS_KEPT // 500 + 1):
        refusals = [Refusal(None, "t", Refused.MALFORMED, str(i), b"") for _ in range(500)]
        writer.store(Batch(NOON + timedelta(seconds=i), refusals=refusals))
    assert count(database, DeadLetter) == DEAD_LETTERS_KEPT
    with database.read() as connection:
        assert connection.execute(select(func.min(DeadLetter.received_at))).scalar() == NOON + timedelta(seconds=1)


def test_poison_is_found_and_the_rest_of_the_batch_is_stored(database: Database, gateway: FakeGateway) -> None:
    events = arrivals([gateway.event(opened()) for _ in range(20)])
    events[13] = events[13]._replace(body="\ud800 no database takes a lone surrogate")
    stored = EventWriter(database).store(Batch(NOON, events))
    assert (len(stored.inserted), stored.unstorable) == (19, 1)
    assert max(receipt.upto for _, receipt in stored.receipts) == 20
    with database.read() as connection:
        assert connection.execute(select(DeadLetter.reason)).scalar_one().startswith("unstorable")


def test_an_unknown_type_is_stored_raw(database: Database, gateway: FakeGateway) -> None:
    event = gateway.event(opened()).model_copy(update={"type": "lift.stuck.v1", "data": {"floor": 3}})
    EventWriter(database).store(batch_of(event))
    with database.read() as connection:
        row = connection.execute(select(EventRecord.type, EventRecord.body)).one()
    assert row.type == "lift.stuck.v1"
    assert json.loads(row.body)["data"] == {"floor": 3}


def test_the_largest_number_fits(database: Database, gateway: FakeGateway) -> None:
    stored = EventWriter(database).store(batch_of(gateway.event(opened(), seq=2**53)))
    assert stored.receipts[0][1].also == ((2**53, 2**53),)


def said(state: State, session: int, **more: object) -> Presence:
    return Presence("g1", GatewayState(state=state, session=session, **more))  # type: ignore[arg-type]


def test_an_offline_of_an_older_session_is_ignored(database: Database) -> None:
    with database.write() as connection:
        connection.execute(Gateway.__table__.insert().values(id="g1", created_at=NOON, session=0))
    writer = EventWriter(database)
    assert writer.store(Batch(NOON, presence=[said(State.ONLINE, 5, version="0.1")])).presence
    assert writer.store(Batch(NOON, presence=[said(State.OFFLINE, 4)])).presence == []
    with database.read() as connection:
        row = connection.execute(select(Gateway.presence, Gateway.session, Gateway.reported)).one()
    assert (row.presence, row.session, row.reported["version"]) == ("online", 5, "0.1")
    writer.store(Batch(NOON, presence=[said(State.OFFLINE, 5)]))
    with database.read() as connection:
        row = connection.execute(select(Gateway.presence, Gateway.reported)).one()
    assert (row.presence, row.reported["version"]) == ("offline", "0.1")


def test_presence_of_a_gateway_that_is_not_there_changes_nothing(database: Database) -> None:
    assert EventWriter(database).store(Batch(NOON, presence=[said(State.ONLINE, 1)])).presence == []


def test_workers_at_once_store_each_event_once(database: Database, gateway: FakeGateway) -> None:
    """Four writers get overlapping batches of one gateway, in different orders, with state changes in each."""
    data = [opened() if i % 2 else DoorClosed(open_s=1) for i in range(400)]
    events = [gateway.event(each, device=f"d-{i % 7}") for i, each in enumerate(data)]
    found: list[str] = []
    failures: list[Exception] = []

    def work(worker: int) -> None:
        writer = EventWriter(database)
        order = events if worker % 2 else list(reversed(events))
        try:
            for i in range(0, 400, 20):
                found.extend(writer.store(batch_of(*order[i : i + 20])).inserted)
        except Exception as error:  # noqa: BLE001 (any failure of a thread is the test's)
            failures.append(error)
        writer.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sorted(found) == sorted(event.id.hex for event in events)
    assert count(database) == 400
    with database.read() as connection:
        assert connection.execute(select(StreamCursor.upto)).scalar() == 400
        states = dict(connection.execute(select(DeviceState.device, DeviceState.seq)).all())
    assert states == {f"d-{i}": max(e.seq for e in events if e.subject == f"d-{i}") for i in range(7)}


def test_a_writer_survives_the_restart_of_its_database(
    postgresql_cluster: PostgresqlCluster, gateway: FakeGateway
) -> None:
    database = postgresql_cluster.new_database()
    writer = EventWriter(database)
    first, second = gateway.event(opened()), gateway.event(opened())
    writer.store(batch_of(first))
    postgresql_cluster.stop()
    with pytest.raises(DatabaseOutage):
        writer.store(batch_of(second))
    with pytest.raises(DatabaseOutage):
        writer.store(batch_of(second))
    postgresql_cluster.start()
    assert writer.store(batch_of(second)).inserted == [second.id.hex]
    assert count(database) == 2
    writer.close()
    remove(database)
