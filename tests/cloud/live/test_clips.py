"""An event's clips stand on its row, and no gateway speaks of another's events."""

from datetime import timedelta

from sqlalchemy import update

from cloud.database.engine import Database
from cloud.database.tables import EventRecord
from cloud.live.clips import EventClip
from cloud.live.rows import EventRow, newest, read_rows
from cloud.live.tail import EventTail
from protocols.access_events import DoorForced
from protocols.clip_events import ClipKept, ClipLossReason, ClipLost
from protocols.events import Event
from tests.support.console import Seed, utc_now

NOW = utc_now()


def kept(*events: Event, unmasked: bool = False) -> ClipKept:
    return ClipKept(
        clip=events[0].id, sha256="ab" * 32, size_bytes=9, codec="h264", since=NOW, until=NOW + timedelta(seconds=15),
        events=tuple(event.id for event in events), unmasked=unmasked,
    )  # fmt: skip


def rows_of(database: Database) -> list[EventRow]:
    with database.read() as connection:
        return read_rows(connection, [row.id for row in connection.execute(newest(200))])


def test_every_event_of_a_clip_has_it_and_the_news_itself_makes_no_row(database: Database) -> None:
    seed = Seed(database)
    first, second, other = (seed.gateway.event(DoorForced()) for _ in range(3))
    seed.store(first, second, other, received_at=NOW)
    told = seed.gateway.event(kept(first, second, unmasked=True), "c-east")
    loss = ClipLost(clip=first.id, reason=ClipLossReason.NO_VIDEO, events=(first.id,))
    lost = seed.gateway.event(loss, "c-west")
    seed.store(told, lost, received_at=NOW + timedelta(minutes=2))
    rows = {row.id: row.clips for row in rows_of(database)}
    east = EventClip(camera="c-east", told_by=told.id, sha256="ab" * 32, seconds=15, unmasked=True)
    west = EventClip(camera="c-west", told_by=lost.id, lost="no_video")
    assert rows == {first.id: (east, west), second.id: (east,), other.id: ()}


def test_a_gateway_puts_no_clip_on_another_s_event(database: Database) -> None:
    seed = Seed(database)
    alarm = seed.gateway.event(DoorForced())
    news = seed.gateway.event(kept(alarm), "c-east")
    seed.store(alarm, news, received_at=NOW)
    with database.write() as connection:
        connection.execute(update(EventRecord).where(EventRecord.id == news.id).values(gateway_id="gw-other"))
    assert [row.clips for row in rows_of(database)] == [()]


def test_what_cannot_be_read_is_left_out(database: Database) -> None:
    seed = Seed(database)
    alarm = seed.gateway.event(DoorForced())
    news = seed.gateway.event(kept(alarm), "c-east")
    seed.store(alarm, news, received_at=NOW)
    with database.write() as connection:
        connection.execute(update(EventRecord).where(EventRecord.id == news.id).values(body="{}"))
    assert [row.clips for row in rows_of(database)] == [()]


def test_open_pages_are_told_of_a_clip_apart_from_rows(database: Database) -> None:
    seed = Seed(database)
    tail = EventTail(database, lambda: NOW)
    tail.prime()
    alarm = seed.gateway.event(DoorForced())
    seed.store(alarm, received_at=NOW)
    seed.store(seed.gateway.event(kept(alarm), "c-east"), received_at=NOW)
    news = tail.news(tail.look())
    assert [row.id for row in news.rows] == [alarm.id]
    [told] = news.clips
    assert (told.gateway, told.events, told.clip.camera) == ("gw-quiet", (alarm.id,), "c-east")
