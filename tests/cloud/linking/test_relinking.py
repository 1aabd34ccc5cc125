"""A corrected register corrects the links of the events that it concerns, and a record says what they were."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import DatabaseError

from cloud.database.engine import Database
from cloud.database.tables import Credential, Door, EventRecord, LinkCorrection, Place, Relinking, Residency
from cloud.database.types import to_us
from cloud.ingest.batch import Batch
from cloud.ingest.postgresql_store import PostgresqlStore
from cloud.ingest.writer import EventWriter
from cloud.linking import relinking
from cloud.linking.links import LINK_FIELDS
from cloud.linking.relinking import Relinker
from protocols.events import Event
from tests.support.databases import PostgresqlCluster, remove
from tests.support.events import NOON, FakeGateway, arrivals, granted, new_id, opened
from tests.support.linking import (
    CREDENTIALS,
    DWELLINGS,
    HOUSEHOLDS,
    PERSONS,
    PLACES,
    Asked,
    Interval,
    Register,
    Stay,
    day,
    fill,
    questions,
    reference,
    registers,
    stay_columns,
)

ALWAYS = Interval(0, None)
FIRST = Stay(UUID(int=1), PERSONS[0], DWELLINGS[0], ALWAYS)


def store(database: Database, asked: Sequence[Asked]) -> list[Event]:
    gateway = FakeGateway("g1")
    events = [
        gateway.event(
            granted(each.credential) if each.credential else opened(),
            device=each.device,
            at=day(each.at),
            place=each.place,
        )
        for each in asked
    ]
    writer = EventWriter(database)
    writer.store(Batch(NOON, arrivals(events)))
    writer.close()
    return events


def links(database: Database) -> dict[UUID, tuple[str | None, ...]]:
    with database.read() as connection:
        rows = connection.execute(select(EventRecord.id, *(getattr(EventRecord, name) for name in LINK_FIELDS))).all()
    return {row[0]: tuple(id_ and id_.hex for id_ in row[1:]) for row in rows}


def relink(database: Database) -> int:
    """Deal with every mark; how many events were corrected."""
    corrected, relinker = 0, Relinker(database, lambda: NOON)
    while (done := relinker.step()) is not None:
        corrected += done.corrected
    return corrected


def clean(database: Database) -> None:
    with database.write() as connection:
        connection.execute(delete(EventRecord))
        connection.execute(delete(Relinking))


def open_marks(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(Relinking.__table__).order_by(Relinking.number)).all())


def column(database: Database, name: str) -> list[Any]:
    with database.read() as connection:
        return list(connection.scalars(select(getattr(EventRecord, name)).order_by(EventRecord.time)))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=registers, after=registers, asked=st.lists(questions, min_size=1, max_size=15), data=st.data())
def test_after_any_change_of_the_register_links_are_what_it_says_now(
    database: Database, before: Register, after: Register, asked: list[Asked], data: st.DataObject
) -> None:
    """But for credentials that come into the register after their events, which no gateway can know."""
    holders = {
        card: data.draw(st.sampled_from(PERSONS)) if card not in after.holders else after.holders[card]
        for card in before.holders
    }
    after = replace(after, holders=holders)
    fill(database, before)
    clean(database)
    events = store(database, asked)
    fill(database, after)
    relink(database)
    expected = {event.id: reference(after, each) for event, each in zip(events, asked, strict=True)}
    assert links(database) == expected
    assert all(mark.done_at is not None and mark.corrected for mark in open_marks(database))
    with database.read() as connection:
        for row in connection.execute(select(LinkCorrection.__table__)):
            assert row.before.keys() == row.after.keys()
            assert all(row.before[name] != row.after[name] for name in row.before)


def test_a_correction_is_kept_with_the_old_links_and_the_new(database: Database) -> None:
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST,)))
    clean(database)
    [event] = store(database, [Asked(CREDENTIALS[0], 5, "nowhere", "d-east")])
    with database.write() as connection:
        connection.execute(update(Residency).values(dwelling_id=DWELLINGS[1]))
    assert relink(database) == 1
    with database.read() as connection:
        kept = connection.execute(select(LinkCorrection.__table__)).one()
        mark = connection.execute(select(Relinking.__table__).where(Relinking.number == kept.relinking)).one()
    assert (kept.event_id, kept.at) == (event.id, NOON)
    assert (kept.before, kept.after) == ({"dwelling_id": DWELLINGS[0].hex}, {"dwelling_id": DWELLINGS[1].hex})
    assert (mark.cause, mark.examined, mark.corrected, mark.done_at) == ("residency", 1, 1, NOON)
    assert relink(database) == 0


def test_a_record_cannot_be_changed_and_goes_with_its_event(database: Database) -> None:
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST,)))
    store(database, [Asked(CREDENTIALS[0], 5, "nowhere", "d-east")])
    with database.write() as connection:
        connection.execute(update(Residency).values(dwelling_id=DWELLINGS[1]))
    relink(database)
    for change in (update(LinkCorrection).values(before={}), delete(LinkCorrection)):
        with pytest.raises(DatabaseError, match="append-only"), database.write() as connection:
            connection.execute(change)
    with database.write() as connection:
        connection.execute(delete(EventRecord))
        assert connection.execute(select(func.count()).select_from(LinkCorrection)).scalar_one() == 0


def test_the_end_of_a_tenancy_marks_only_what_is_after_it(database: Database) -> None:
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST,)))
    clean(database)
    store(database, [Asked(CREDENTIALS[0], at, "nowhere", "d-east") for at in (1, 20, 30)])
    with database.write() as connection:
        connection.execute(update(Residency).values(until=day(20)))
    [mark] = open_marks(database)
    assert (mark.kind, mark.subject_id, mark.since, mark.until) == ("person", PERSONS[0], day(20), None)
    assert relink(database) == 2
    assert column(database, "dwelling_id") == [DWELLINGS[0], None, None]
    with database.write() as connection:
        connection.execute(update(Residency).values(until=day(25)))
    assert relink(database) == 1
    with database.write() as connection:
        connection.execute(update(Residency).values(role="family"))
    assert [mark for mark in open_marks(database) if mark.done_at is None] == []


def test_a_change_that_concerns_no_event_leaves_nothing(database: Database) -> None:
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST,)))
    assert relink(database) == 0
    assert open_marks(database) == []


def test_a_door_or_a_place_that_comes_later_is_linked(database: Database) -> None:
    fill(database, Register({}))
    clean(database)
    store(database, [Asked(None, 1, "nowhere", "d-east"), Asked(None, 2, "new-gate", "c-east")])
    place = new_id()
    with database.write() as connection:
        connection.execute(
            insert(Door).values(id=new_id(), gateway_id="g1", device="d-east", place_id=PLACES[0], name="x")
        )
        connection.execute(insert(Place).values(id=place, kind="entrance", code="new-gate", name="x", path=b"p"))
    assert relink(database) == 2
    assert column(database, "place_id") == [PLACES[0], place]


def test_a_card_that_is_another_person_s_in_truth(database: Database) -> None:
    second = replace(FIRST, id=UUID(int=2), person=PERSONS[1], dwelling=DWELLINGS[1])
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST, second)))
    store(database, [Asked(CREDENTIALS[0], 1, "nowhere", "d-east")])
    with database.write() as connection:
        connection.execute(update(Credential).values(person_id=PERSONS[1]))
    assert relink(database) == 1
    assert (column(database, "person_id"), column(database, "dwelling_id")) == ([PERSONS[1]], [DWELLINGS[1]])


def test_what_was_interrupted_goes_on_where_it_was(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relinking, "BATCH", 3)
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST,)))
    clean(database)
    store(database, [Asked(CREDENTIALS[0], at, "nowhere", "d-east") for at in (1, 1, 1, 1, 1, 2, 3)])
    with database.write() as connection:
        connection.execute(update(Residency).values(dwelling_id=DWELLINGS[1]))
    batches = []
    while (done := Relinker(database, lambda: NOON).step()) is not None:  # each by another process
        batches.append(done.corrected)
    assert (batches[:3], set(batches[3:])) == ([3, 3, 1], {0})  # the old interval and the new one are a mark each
    assert set(column(database, "dwelling_id")) == {DWELLINGS[1]}
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(LinkCorrection)).scalar_one() == 7


def test_a_person_may_ask_for_all_and_see_beforehand(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relinking, "BATCH", 2)
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST,), households=((HOUSEHOLDS[0], ALWAYS),)))
    clean(database)
    store(database, [Asked(CREDENTIALS[0], at, "nowhere", "d-east") for at in range(5)])
    with database.write() as connection:
        connection.execute(update(EventRecord).values(dwelling_id=None, person_id=PERSONS[2]))
    relinker = Relinker(database, lambda: NOON)
    since = NOON - timedelta(days=1)
    pages = list(relinker.preview(since, None))
    assert [(page.examined, len(page.changed)) for page in pages] == [(2, 2), (2, 2), (1, 1)]
    assert relinker.count(since, None) == 5
    assert set(column(database, "person_id")) == {PERSONS[2]}
    assert next(relinker.preview(NOON + timedelta(seconds=1), None)).examined == 0
    number = relinker.ask(since, None, "the import was wrong", "root")
    while relinker.step(number) is not None:
        pass
    assert set(column(database, "person_id")) == {PERSONS[0]}
    [mark] = open_marks(database)
    assert (mark.number, mark.why, mark.asked_by, mark.corrected) == (number, "the import was wrong", "root", 5)


def test_two_relinkers_at_once_correct_each_event_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relinking, "BATCH", 5)
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST,)))
    clean(database)
    store(database, [Asked(CREDENTIALS[0], i / 10, "nowhere", "d-east") for i in range(60)])
    with database.write() as connection:
        connection.execute(update(Residency).values(dwelling_id=DWELLINGS[1]))
    corrected: list[int] = []
    threads = [threading.Thread(target=lambda: corrected.append(relink(database))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(corrected) == 60
    assert set(column(database, "dwelling_id")) == {DWELLINGS[1]}


def test_an_event_that_was_linked_before_a_change_and_stored_after_it_is_found(
    postgresql_cluster: PostgresqlCluster,
) -> None:
    """On SQLite the register cannot be changed while ingest stores a batch."""
    database = postgresql_cluster.new_database()
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=(FIRST,)))
    clean(database)
    asked = Asked(CREDENTIALS[0], 5, "nowhere", "d-east")
    slow = PostgresqlStore(database)
    slow.begin()
    [old] = slow.links([asked.key])
    with database.write() as connection:
        connection.execute(delete(Residency))
        connection.execute(insert(Residency).values(**stay_columns(replace(FIRST, dwelling=DWELLINGS[1]))))
    other = threading.Thread(target=relink, args=(database,))
    other.start()
    other.join(1.0)  # it waits for the batch; were it not to, it would find no event and take the marks away
    [arrival] = arrivals([FakeGateway("g1").event(granted(CREDENTIALS[0]), at=day(5), place="nowhere")])
    slow.insert_events([(*arrival[:7], to_us(NOON), *old, None, arrival.body)])
    slow.commit()
    other.join(60)
    slow.close()
    assert column(database, "dwelling_id") == [DWELLINGS[1]]
    remove(database)
