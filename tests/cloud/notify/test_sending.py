"""From an alarm's step to the message: routes, retries, limits, joining, quiet hours, and dead channels."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.alarms.states import Level, Outcome
from cloud.database.engine import Database
from cloud.notify.queue import TooOften
from cloud.notify.states import Failure
from tests.peers.http_receiver import Answers, HttpReceiver, WecomRobot
from tests.peers.smtp_server import SmtpServer
from tests.support.notify import NotifyingCity, secret_file


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    secret_file(tmp_path, "key", "k")
    return tmp_path


def hook(receiver: HttpReceiver, folder: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "webhook", "url": receiver.url, "secret_file": folder / "key", "private": True, **more}


def one_channel(
    receiver: HttpReceiver, folder: Path, route: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {"channels": {"own": hook(receiver, folder, **more)}, "routes": {"all": {"channel": "own", **(route or {})}}}


def test_an_alarm_is_told_and_recorded(database: Database, receiver: HttpReceiver, folder: Path) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder))
    city.force()
    assert city.states() == ["waiting"]
    assert city.new_sender().run_once("own") == 1
    (alarm,) = receiver.got[0].json()["alarms"]
    assert (alarm["alarm"], alarm["place"], alarm["community"]) == (str(city.alarm().id), "gate-east", "east-village")
    (row,) = city.record()
    assert (row.state, row.attempts, row.last_outcome, row.detail, row.level) == ("sent", 1, "sent", "status 200", 0)
    assert city.fare("own").last_sent_at == city.clock()
    assert city.new_sender().run_once("own") == 0
    assert city.record(channel="other") == []


def test_who_gets_what(database: Database, receiver: HttpReceiver, folder: Path) -> None:
    routes = {
        "guards": {"channel": "guards", "levels": ["guard"], "place": "east-village"},
        "town": {"channel": "town", "levels": ["township", "district"], "place": "xixiu"},
        "urgent": {"channel": "urgent", "at_least": 1},
        "twice": {"channel": "guards", "levels": ["guard"]},
    }
    channels = {name: hook(receiver, folder) for name in ("guards", "town", "urgent")}
    routes["twice"]["place"] = "gate-east"
    city = NotifyingCity(database, {"channels": channels, "routes": routes})
    city.force("east")
    city.force("west")
    assert [row.channel for row in city.record()] == ["guards"]
    city.duress("east")
    assert sorted(row.channel for row in city.record()) == ["guards", "guards", "urgent"]
    city.tick(600)
    levels = [(row.channel, row.level) for row in city.record(channel="town")]
    assert sorted(levels) == [("town", Level.TOWNSHIP)] * 3 + [("town", Level.DISTRICT)]


def test_only_those_on_duty_get_an_sms(database: Database, receiver: HttpReceiver) -> None:
    to = {"guard-east": "13800000001", "guard-west": "13800000002", "wang": "13800000003"}
    sms = {"kind": "sms", "url": receiver.url, "private": True, "to": to, "only_told": True}
    city = NotifyingCity(database, {"channels": {"sms": sms}, "routes": {"all": {"channel": "sms"}}})
    city.force("east")
    city.new_sender().run_once("sms")
    assert [got.json()["phone"] for got in receiver.got] == ["13800000001"]
    assert [row.recipient for row in city.record()] == ["guard-east"]


def test_what_failed_is_tried_again_under_the_same_key_later_and_later(
    database: Database, receiver: HttpReceiver, folder: Path
) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder))
    receiver.answer = lambda _: Answers(503)
    city.force()
    sender, pauses = city.new_sender(), []
    for _ in range(8):
        assert sender.run_once("own") == 1
        assert sender.run_once("own") == 0, "it waits before it tries again"
        retry_at = city.fare("own").retry_at
        assert retry_at is not None
        pauses.append((retry_at - city.clock()).total_seconds())
        city.clock.at = retry_at
        sender = city.new_sender()
    for number, pause in enumerate(pauses):
        assert 0.5 * min(60, 2**number) <= pause <= min(60, 2**number)
    receiver.answer = lambda _: Answers()
    assert sender.run_once("own") == 1
    assert len({got.headers["Idempotency-Key"] for got in receiver.got}) == 1
    assert (city.states(), city.record()[0].attempts) == (["sent"], 9)
    assert (city.fare("own").failing_since, city.fare("own").failures) == (None, 0)


def test_it_is_given_up_after_the_limit_and_stays_on_record(
    database: Database, receiver: HttpReceiver, folder: Path
) -> None:
    city = NotifyingCity(database, {**one_channel(receiver, folder), "give_up_s": 60})
    receiver.answer = lambda _: Answers(503)
    city.force()
    sender = city.new_sender()
    for _ in range(40):
        sender.run_once("own")
        city.clock.forward(5)
    (row,) = city.record()
    assert (row.state, row.last_outcome) == ("failed", "server_failed")
    assert sender.run_once("own") == 0


def test_what_is_refused_is_not_tried_again_and_holds_up_nothing(
    database: Database, receiver: HttpReceiver, folder: Path
) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder))
    receiver.answer = lambda got: Answers(400 if len(receiver.got) == 1 else 200)
    city.many(2)
    assert city.new_sender().run_once("own") == 2
    assert sorted(city.states()) == ["failed", "sent"]


def test_a_mailbox_that_is_deferred_holds_up_no_other(database: Database) -> None:
    busy = {"RCPT": lambda to: "450 4.2.0 later" if "slow" in to and len(server.heard) < 30 else None}
    with SmtpServer(replies=busy) as server:
        to = {name: f"{name}@example.org" for name in ("slow", "wang", "zhang")}
        mail = {"kind": "email", "host": "127.0.0.1", "port": server.port, "security": "none", "private": True}
        channels = {"mail": {**mail, "sender": "hub@example.org", "to": to}}
        city = NotifyingCity(database, {"channels": channels, "routes": {"all": {"channel": "mail"}}})
        city.force()
        sender = city.new_sender()
        assert sender.run_once("mail") == 3
        assert sorted(mail.to[0] for mail in server.mails) == ["wang@example.org", "zhang@example.org"]
        assert {row.recipient: row.state for row in city.record()}["slow"] == "waiting"
        for _ in range(10):
            city.clock.forward(60)
            sender.run_once("mail")
    assert city.states() == ["sent"] * 3


def test_above_the_limit_they_are_joined_and_none_is_lost(database: Database, tmp_path: Path) -> None:
    key = secret_file(tmp_path, "wecom.key", "the-key")
    with HttpReceiver(WecomRobot("the-key")) as robot:
        wecom = {"kind": "wecom", "url": f"{robot.url}/cgi-bin/webhook/send", "key_file": key, "private": True}
        city = NotifyingCity(database, {"channels": {"group": wecom}, "routes": {"all": {"channel": "group"}}})
        sender = city.new_sender()
        city.many(40)
        sender.run_once("group")
        for _ in range(30):
            city.duress("east" if len(robot.got) % 2 else "west")
            city.clock.forward(0.5)
            city.many(1)
            sender.run_once("group")
        assert len(robot.got) <= 18
        city.clock.forward(61)
        city.many(1)
        sender.run_once("group")
    texts = [got.json()["text"]["content"] for got in robot.got]
    assert texts[0].startswith("【40条告警】")
    assert "另有35条" in texts[0]
    assert set(city.states()) == {"sent"}
    assert sum(1 for row in city.record() if row.joined == 40) == 40


def test_the_limit_outlives_the_hub(database: Database, receiver: HttpReceiver, folder: Path) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder, per_minute=3))
    for _ in range(6):
        city.clock.forward(1)
        city.many(2)
        city.new_sender().run_once("own")
    assert len(receiver.got) == 3
    with pytest.raises(TooOften):
        city.new_sender().test("own")


def test_in_quiet_hours_only_what_is_urgent_is_told(database: Database, receiver: HttpReceiver, folder: Path) -> None:
    quiet = {"quiet": {"since": "19:00", "until": "07:00"}}
    city = NotifyingCity(database, one_channel(receiver, folder, quiet))  # it is 20:00 there
    sender = city.new_sender()
    city.force()
    city.duress()
    sender.run_once("own")
    assert [alarm["priority"] for got in receiver.got for alarm in got.json()["alarms"]] == [1]
    city.clock.forward(11 * 3600 - 1)
    sender.run_once("own")
    assert len(receiver.got) == 1
    city.clock.forward(1)
    sender.run_once("own")
    assert [alarm["priority"] for got in receiver.got for alarm in got.json()["alarms"]] == [1, 2]


def test_what_was_closed_meanwhile_is_not_told(database: Database, receiver: HttpReceiver, folder: Path) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder))
    receiver.answer = lambda _: Answers(503)
    city.force("east")
    city.new_sender().run_once("own")
    city.force("west")
    for alarm in city.alarms():
        actor = city.actor("district")
        city.desk.acknowledge(alarm.id, actor)
        city.desk.close(alarm.id, actor, Outcome.FALSE_ALARM, "the wind")
    city.clock.forward(60)
    assert city.new_sender().run_once("own") == 0
    assert city.states() == ["moot", "moot"]


def test_a_full_queue_drops_what_comes_and_says_so(database: Database, receiver: HttpReceiver, folder: Path) -> None:
    city = NotifyingCity(database, {**one_channel(receiver, folder), "queue_at_most": 10})
    city.many(13)
    assert city.states().count("dropped") == 3
    city.duress()
    assert [row.state for row in city.record() if row.priority == 1] == ["waiting"]
    city.new_sender().run_once("own")
    assert sorted(set(city.states())) == ["dropped", "sent"]


def test_a_dead_channel_raises_an_alarm_that_others_tell(
    database: Database, receiver: HttpReceiver, folder: Path
) -> None:
    with HttpReceiver(lambda _: Answers(401)) as dead:
        channels = {"own": hook(receiver, folder), "dead": hook(dead, folder)}
        routes = {"a": {"channel": "own", "levels": ["district"]}, "b": {"channel": "dead"}}
        city = NotifyingCity(database, {"channels": channels, "routes": routes})
        city.force()
        sender = city.new_sender()
        for _ in range(30):
            sender.run_once("dead")
            city.tick(10)
        alarm = city.alarm("channel_failing")
        assert (alarm.subject, alarm.level) == ("dead", Level.DISTRICT)
        assert city.fare("dead").last_failure == Failure.WRONG_CREDENTIALS
        sender.run_once("own")
        assert "channel_failing" in [each["rule"] for got in receiver.got for each in got.json()["alarms"]]
        dead.answer = lambda _: Answers()
        for _ in range(10):
            sender.run_once("dead")
            city.tick(10)
        assert city.alarm("channel_failing").condition == "cleared"


def test_two_hubs_send_each_message_once(database: Database, receiver: HttpReceiver, folder: Path) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder, per_minute=1000))
    receiver.answer = lambda _: Answers(after_s=0.02)
    city.many(30)
    senders = [city.new_sender() for _ in range(3)]

    def work(sender: Any) -> None:
        for _ in range(60):
            sender.run_once("own")

    threads = [threading.Thread(target=work, args=(sender,)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert set(city.states()) == {"sent"}
    keys = [got.headers["Idempotency-Key"] for got in receiver.got]
    assert len(keys) == len(set(keys)) == 30


def test_a_channel_that_another_hub_died_with_is_taken_over(
    database: Database, receiver: HttpReceiver, folder: Path
) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder))
    city.force()
    assert city.new_sender()._lines["own"].queue.claim() is not None  # and dies before it sends
    other = city.new_sender()
    assert other.run_once("own") == 0
    city.clock.forward(16)
    assert other.run_once("own") == 1
    assert city.record()[0].attempts == 2


def test_what_waits_for_a_channel_that_was_removed_is_dropped_at_the_start(
    database: Database, receiver: HttpReceiver, folder: Path
) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder))
    receiver.answer = lambda _: Answers(401)
    city.force()
    city.new_sender().run_once("own")
    city.tick(121)
    assert city.alarm("channel_failing").condition == "active"
    city.settings = city.settings.model_copy(update={"channels": {}, "routes": {}})
    sender = city.new_sender()
    sender.start()
    sender.stop()
    city.tick(10)
    assert city.alarm("channel_failing").condition == "cleared"
    assert set(city.states()) == {"failed", "dropped"}


def test_a_test_says_what_became_of_it(database: Database, receiver: HttpReceiver, folder: Path) -> None:
    city = NotifyingCity(database, one_channel(receiver, folder))
    assert city.new_sender().test("own").sent
    assert "own" in receiver.got[0].json()["text"]
    receiver.answer = lambda _: Answers(401)
    outcome = city.new_sender().test("own")
    assert (outcome.sent, outcome.failure, outcome.detail) == (False, Failure.WRONG_CREDENTIALS, "status 401")
    assert (city.fare("own").failing_since, city.fare("own").retry_at) == (None, None)
    city.clock.forward(timedelta(hours=1).total_seconds())
    receiver.got.clear()
    city.new_sender().run_once("own")
    assert receiver.got == [], "a test is not tried again"
