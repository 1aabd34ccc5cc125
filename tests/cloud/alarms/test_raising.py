"""One cause, one alarm: what becomes of findings, on the hub's clock, with real events in real tables."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from cloud.alarms.causes import Cause
from cloud.alarms.states import Condition, Handling, Move, Outcome
from cloud.database.engine import Database
from cloud.database.tables import AlarmCandidate, AlarmFlood, EventMark, Gateway
from cloud.rules.book import WrittenRule
from cloud.rules.by_event import EventRules, StoredEvent
from protocols.access_events import AccessDenied, AccessMethod, DenialReason, DoorClosed, DoorForced, DoorHeld
from protocols.camera_events import PersonLoitered
from protocols.event_data import Box, EventData
from protocols.events import CameraFault, CameraOffline, CameraOnline
from tests.support.alarms import START, City


@pytest.fixture
def city(database: Database) -> City:
    return City(database)


def denied(reason: DenialReason = DenialReason.UNKNOWN_CREDENTIAL) -> AccessDenied:
    return AccessDenied(
        reader="r-east",
        method=AccessMethod.CARD,
        reason=reason,
        credential_hash="0" * 32,
        policy_version=1,
        decision_us=9,
    )


def loitered() -> PersonLoitered:
    box = Box(left=0.1, top=0.1, right=0.2, bottom=0.3)
    return PersonLoitered(rule="lane", track=1, score=0.9, box=box, since=START, dwell_s=60)


def happen(city: City, data: EventData, device: str = "d-east", side: str = "east", late_s: float = 0) -> None:
    """Something happens now, or so long ago, and the hub hears of it now and looks."""
    at = city.clock() - timedelta(seconds=late_s)
    city.store(city.gateways[side].event(data, device=device, at=at, place=f"gate-{side}"))
    city.engine.run_once()


def set_presence(city: City, side: str, presence: str) -> None:
    with city.database.write() as connection:
        values = {"presence": presence, "presence_at": city.clock()}
        connection.execute(update(Gateway).where(Gateway.id == f"gw-{side}").values(**values))


def test_a_forced_door_is_an_alarm_where_it_is(city: City) -> None:
    happen(city, DoorForced())
    alarm = city.alarm()
    assert (alarm.rule, alarm.handling, alarm.condition, alarm.level) == ("door_forced", "new", "active", 0)
    assert (alarm.place_id, alarm.area_id) == (city.places["gate-east"], city.places["east-village"])
    assert [step.move for step in city.steps(alarm.id)] == [Move.RAISED]
    assert city.told(alarm.id) == [(1, "guard-east")]


def test_each_marked_event_is_looked_at_once(city: City) -> None:
    happen(city, DoorForced())
    with city.database.read() as connection:
        assert connection.execute(select(EventMark.event_id)).all() == []
    city.new_engine().run_once()
    assert city.alarm().times == 1


def test_the_same_cause_again_joins_the_open_alarm(city: City) -> None:
    for _ in range(2):
        happen(city, DoorForced())
        city.clock.forward(120)
    happen(city, DoorForced(), device="d-other")
    assert sorted((alarm.subject, alarm.times, alarm.chattering) for alarm in city.alarms()) == [
        ("d-east", 2, False),
        ("d-other", 1, False),
    ]


def test_the_third_repeat_within_a_minute_is_told_as_chattering_once(city: City) -> None:
    for _ in range(5):
        happen(city, DoorForced())
        city.clock.forward(10)
    alarm = city.alarm()
    assert (alarm.times, alarm.chattering) == (5, True)
    assert [step.move for step in city.steps(alarm.id)] == [Move.RAISED, Move.CHATTERING]
    assert city.steps(alarm.id)[-1].detail == {"times": 3}


def test_a_condition_clears_after_its_off_delay_and_not_when_it_comes_back_before(city: City) -> None:
    happen(city, DoorForced())
    city.clock.forward(5)
    happen(city, DoorClosed(open_s=5))
    city.tick(29)
    assert city.alarm().condition == Condition.ACTIVE
    happen(city, DoorForced())
    city.tick(29)
    assert city.alarm().condition == Condition.ACTIVE
    happen(city, DoorClosed(open_s=29))
    city.tick(30)
    assert (city.alarm().condition, city.alarm().handling) == (Condition.CLEARED, Handling.NEW)


def test_a_cleared_alarm_that_nobody_closed_comes_back_and_its_level_is_told_again(city: City) -> None:
    happen(city, DoorForced())
    happen(city, DoorClosed(open_s=1))
    city.tick(31)
    happen(city, DoorForced())
    alarm = city.alarm()
    assert [step.move for step in city.steps(alarm.id)] == [Move.RAISED, Move.CLEARED, Move.REPEATED]
    assert city.told(alarm.id) == [(1, "guard-east"), (3, "guard-east")]
    assert alarm.condition == Condition.ACTIVE


def test_a_cause_that_ends_within_the_on_delay_raises_nothing(city: City) -> None:
    happen(city, DoorHeld(open_s=30))
    city.tick(29)
    happen(city, DoorClosed(open_s=59))
    city.tick(60)
    assert city.alarms() == []


def test_a_cause_that_holds_for_the_on_delay_raises(city: City) -> None:
    happen(city, DoorHeld(open_s=30))
    city.tick(29)
    assert city.alarms() == []
    city.tick(1)
    assert (city.alarm("door_held").happened_at, city.alarm().raised_at) == (START, START + timedelta(seconds=30))


def test_an_on_delay_goes_on_over_a_restart(city: City) -> None:
    happen(city, DoorHeld(open_s=30))
    city.engine = city.new_engine()
    city.tick(31)
    assert city.alarm().rule == "door_held"


def test_what_nothing_ends_clears_by_itself(city: City) -> None:
    happen(city, loitered(), device="c-east")
    city.tick(119)
    assert city.alarm().condition == Condition.ACTIVE
    city.tick(1)
    assert city.alarm().condition == Condition.CLEARED


def test_events_that_come_late_and_in_the_wrong_order_leave_no_active_alarm(city: City) -> None:
    happen(city, DoorClosed(open_s=1), late_s=3000)
    happen(city, DoorForced(), late_s=3600)
    city.tick(31)
    alarm = city.alarm()
    assert (alarm.condition, alarm.happened_at) == (Condition.CLEARED, START - timedelta(seconds=3600))


def test_an_end_that_is_older_than_the_cause_ends_nothing(city: City) -> None:
    happen(city, DoorForced())
    happen(city, DoorClosed(open_s=1), late_s=600)
    city.tick(60)
    assert city.alarm().condition == Condition.ACTIVE


def test_denied_five_times_within_two_minutes(city: City) -> None:
    for _ in range(4):
        happen(city, denied())
        city.clock.forward(40)
    assert city.alarms() == []
    for _ in range(3):
        happen(city, denied())
        city.clock.forward(1)
    assert city.alarm().rule == "denied_again"


def test_denials_count_in_whatever_order_they_come(city: City) -> None:
    for late_s in (0, 80, 20, 60, 40):
        happen(city, denied(), late_s=late_s)
    assert city.alarm().rule == "denied_again"


def test_the_journal_is_written_and_never_in_the_queue(city: City) -> None:
    happen(city, denied(DenialReason.EXPIRED))
    alarm = city.alarm("expired_credential")
    assert (alarm.handling, alarm.outcome, alarm.due_at) == (Handling.CLOSED, Outcome.JOURNAL, None)
    assert city.told(alarm.id) == []


def test_a_gateways_loss_is_one_alarm_and_its_devices_join_it(city: City) -> None:
    for number in range(12):
        happen(city, CameraOffline(fault=CameraFault.UNREACHABLE), device=f"c-{number}")
    city.clock.forward(5)
    set_presence(city, "east", "offline")
    for _ in range(30):
        city.tick(5)
    alarm = city.alarm()
    assert (alarm.rule, alarm.gateway_id, alarm.times) == ("gateway_silent", "gw-east", 13)
    assert alarm.place_id == city.places["gate-east"]
    assert {step.move for step in city.steps(alarm.id)} >= {Move.RAISED, Move.JOINED}


def test_devices_of_a_gateway_that_is_there_have_alarms_of_their_own(city: City) -> None:
    happen(city, CameraOffline(fault=CameraFault.UNREACHABLE), device="c-1")
    city.tick(60)
    assert city.alarm().rule == "camera_silent"
    happen(city, CameraOnline(width=640, height=360, codec="h264"), device="c-1")
    city.tick(60)
    assert city.alarm().condition == Condition.CLEARED


def test_a_short_loss_of_a_gateway_raises_nothing(city: City) -> None:
    set_presence(city, "east", "offline")
    for _ in range(5):
        city.tick(10)
    set_presence(city, "east", "online")
    for _ in range(5):
        city.tick(30)
    assert city.alarms() == []
    with city.database.read() as connection:
        assert connection.execute(select(AlarmCandidate.key)).all() == []


def test_a_gateway_that_comes_back_clears_its_alarm(city: City) -> None:
    set_presence(city, "east", "offline")
    for _ in range(8):
        city.tick(10)
    assert city.alarm().condition == Condition.ACTIVE
    set_presence(city, "east", "online")
    for _ in range(8):
        city.tick(10)
    assert city.alarm().condition == Condition.CLEARED


def test_the_eleventh_alarm_in_ten_minutes_begins_a_flood_and_fewer_than_five_end_it(city: City) -> None:
    for number in range(12):
        happen(city, DoorForced(), device=f"d-{number}")
        city.clock.forward(1)
    happen(city, DoorForced(), side="west")
    assert [alarm.in_flood for alarm in city.alarms()] == [False] * 10 + [True] * 2 + [False]
    with city.database.read() as connection:
        flood = connection.execute(select(AlarmFlood.__table__)).one()
    assert (flood.area_id, flood.until) == (city.places["east-village"], None)
    city.tick(500)
    city.tick(100)
    with city.database.read() as connection:
        assert connection.execute(select(AlarmFlood.until)).scalar_one() == city.clock()


def test_an_event_that_a_rule_fails_on_stops_no_other(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    east = city.gateways["east"]
    events = [east.event(DoorForced(), device=f"d-{number}", at=city.clock()) for number in range(3)]
    find = EventRules.find

    def fail_on_one(self: EventRules, event: StoredEvent) -> Iterator[tuple[WrittenRule, Cause]]:
        yield from find(self, event)
        if event.id == events[1].id:
            raise KeyError("a fault of a rule")

    monkeypatch.setattr(EventRules, "find", fail_on_one)
    city.store(*events)
    city.engine.run_once()
    assert sorted(alarm.subject for alarm in city.alarms()) == ["d-0", "d-2"]
    with city.database.read() as connection:
        assert connection.execute(select(EventMark.event_id)).all() == []
