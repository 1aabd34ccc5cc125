"""Notices of matters: told by their kind and place, to who may know of matters."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from cloud.alarms.states import Move
from cloud.database.engine import Database
from cloud.duty.roster import DutyRoster
from cloud.matters.values import PassOnRequest
from cloud.notify.outbox import NotifyingRoster
from cloud.notify.record import read_notices
from cloud.notify.sender import NotifySender
from cloud.notify.settings import NotifySettings
from tests.peers.http_receiver import HttpReceiver
from tests.support.alarms import SHANGHAI
from tests.support.events import new_id
from tests.support.matters import REPORTER, Town
from tests.support.notify import secret_file


def notifying_town(database: Database, receiver: HttpReceiver, folder: Path) -> tuple[Town, NotifySender]:
    """A town whose matters go to a webhook, in Chinese and as fields."""
    hook = {"kind": "webhook", "url": receiver.url, "secret_file": secret_file(folder, "k", "k"), "private": True}
    settings = NotifySettings.model_validate({"channels": {"hook": hook}, "routes": {"all": {"channel": "hook"}}})
    town = Town(database, NotifyingRoster(DutyRoster(SHANGHAI), settings, new_id, CollectorRegistry()))
    return town, NotifySender(database, settings, town.clock, new_id, CollectorRegistry())


def test_a_matter_is_told_by_its_kind_and_never_in_the_words_of_who_entered_it(
    database: Database, tmp_path: Path
) -> None:
    with HttpReceiver() as receiver:
        town, sender = notifying_town(database, receiver, tmp_path)
        number = town.enter(text=f"{REPORTER.name} of 501 quarrels with her neighbour")
        sender.run_once("hook")
        town.matters.pass_on(number, PassOnRequest(grid=town.grids["grid-2"], note="theirs"), town.actor("centre-east"))
        town.clock.forward(61)
        sender.run_once("hook")
    raised, passed_on = (got.json()["alarms"][0] for got in receiver.got)
    assert [each["move"] for each in (raised, passed_on)] == [Move.RAISED, Move.PASSED_ON]
    assert (raised["title"], raised["title_zh"], raised["rule"]) == ("Repair", "报修", "matter.repair")
    assert raised["place"] == "east-garden", "the building, never the dwelling"
    assert "转来 → 村（社区）" in receiver.got[1].json()["text"]
    for got in receiver.got:
        words = got.body.decode("unicode_escape")
        assert REPORTER.name not in words
        assert "quarrel" not in words


def test_guards_are_not_shown_notices_of_matters(database: Database, tmp_path: Path) -> None:
    with HttpReceiver() as receiver:
        town, sender = notifying_town(database, receiver, tmp_path)
        town.enter()
        sender.run_once("hook")
    guard, centre = town.actor("guard-east"), town.actor("centre-east")
    with database.read() as connection:
        assert read_notices(connection, guard.scope, guard.sees) == []
        (row,) = read_notices(connection, centre.scope, centre.sees)
    assert row.state == "sent"
