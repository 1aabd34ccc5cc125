"""Staff's questions over HTTP: by role, within the scope, masked, and histories only for a purpose that is audited."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, insert, select, update

from cloud.audit import looks_at, verify_chain
from cloud.database.engine import Database
from cloud.database.tables import (
    Account,
    AccountRole,
    AuditEntry,
    HistoryLook,
    Household,
    Person,
    Place,
    Residency,
)
from cloud.disclosure import DAILY_HISTORIES
from cloud.register.paths import child_path
from protocols.access_events import AccessDenied, AccessMethod, DenialReason
from protocols.event_data import Box
from protocols.events import PersonEnteredZone
from tests.support.console import FULL_NAME, GUARD, PASSWORD, RunningConsole, utc_now
from tests.support.events import granted, new_id, opened

URL = "/api/v1/linking"
WHY = {"purpose": "a theft was reported", "case": "2026-17"}
TOWNSHIP, COMMUNITY, FOREIGN = "township", "community", "foreign"


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path)
    with database.write() as connection:
        places = {row.code: row.id for row in connection.execute(select(Place.code, Place.id))}
        other = new_id()
        values = {"id": other, "kind": "community", "code": "other", "name": "别处", "path": child_path(None, other)}
        connection.execute(insert(Place).values(**values))
        household = {"id": new_id(), "code": "h-501", "dwelling_id": places["qt-3-2-501"]}
        connection.execute(insert(Household).values(**household, since=utc_now() - timedelta(days=900)))
        connection.execute(update(Residency).values(household_id=household["id"]))
    for name, role, place in (
        (TOWNSHIP, AccountRole.TOWNSHIP, places["qt"]),
        (COMMUNITY, AccountRole.COMMUNITY, places["qt"]),
        (FOREIGN, AccountRole.TOWNSHIP, other),
    ):
        running.accounts.create_account(name, PASSWORD, role)
        with database.write() as connection:
            connection.execute(update(Account).where(Account.username == name).values(place_id=place))
    running.places = places  # type: ignore[attr-defined]  # of this test
    yield running
    running.stop()


def expired(console: RunningConsole) -> AccessDenied:
    return AccessDenied(
        reader="r",
        method=AccessMethod.CARD,
        reason=DenialReason.EXPIRED,
        credential=console.seed.credential,
        policy_version=1,
        decision_us=1,
    )


def get(client: httpx.Client, path: str, **asked: Any) -> Any:
    answer = client.get(URL + path, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def dwelling_path(console: RunningConsole) -> str:
    return f"/dwellings/{console.places['qt-3-2-501']}/events"  # type: ignore[attr-defined]


def test_a_door_s_night_is_masked_and_the_latest_comes_first(console: RunningConsole) -> None:
    gateway, now = console.seed.gateway, utc_now()
    times = [now - timedelta(hours=hours) for hours in (30, 5, 1)]
    console.seed.store(*(gateway.event(granted(console.seed.credential), at=at) for at in times))
    with console.client(GUARD) as client:
        found = get(client, "/doors/gw-quiet/d-east/events")
        assert [row["person"] for row in found["events"]] == ["欧阳*", "欧阳*"]
        assert found["events"][0]["time"] > found["events"][1]["time"]
        assert FULL_NAME not in str(found)
        one = get(client, "/doors/gw-quiet/d-east/events", since=times[0].isoformat(), limit=1)
        assert (len(one["events"]), one["more"]) == (1, True)
        assert client.get(f"{URL}/doors/gw-quiet/d-none/events").status_code == 404
        assert client.get(f"{URL}/doors/gw-quiet/d-east/events?limit=100000").status_code == 422
        asked = {"since": (now - timedelta(days=400)).isoformat()}
        assert client.get(f"{URL}/doors/gw-quiet/d-east/events", params=asked).status_code == 422


def test_a_history_needs_a_role_a_purpose_and_a_case_and_is_audited(console: RunningConsole) -> None:
    console.seed.store(console.seed.gateway.event(granted(console.seed.credential), at=utc_now()))
    credential = f"/credentials/{console.seed.credential}/events"
    for name in (GUARD, COMMUNITY):
        with console.client(name) as client:
            assert client.get(URL + dwelling_path(console), params=WHY).status_code == 403
            assert client.get(URL + credential, params=WHY).status_code == 403
    with console.client(TOWNSHIP) as client:
        assert client.get(URL + dwelling_path(console)).status_code == 422
        assert client.get(URL + credential, params={"purpose": "theft"}).status_code == 422
        for path in (dwelling_path(console), credential):
            found = get(client, path, **WHY)
            assert [(row["person"], row["dwelling"]) for row in found["events"]] == [("欧阳*", "3栋 2单元 501")]
    with console.database.read() as connection:
        told = connection.execute(select(AuditEntry.action, AuditEntry.detail).order_by(AuditEntry.number)).all()
    histories = [entry for entry in told if entry.action.startswith("person.history")]
    assert [entry.action for entry in histories] == ["person.history.dwelling", "person.history.credential"]
    assert all(entry.detail["purpose"] == WHY["purpose"] and entry.detail["case"] == "2026-17" for entry in histories)


def test_what_is_read_at_once_counts_as_a_history_of_each_person(console: RunningConsole) -> None:
    credential = f"/credentials/{console.seed.credential}/events"
    with console.client(TOWNSHIP) as client:
        for path in (dwelling_path(console), credential, dwelling_path(console)):
            get(client, path, **WHY)
        with console.database.write() as connection:
            [look] = connection.execute(select(HistoryLook.person_id, HistoryLook.case_number)).all()
            assert look.case_number == WHY["case"]
        crowd(console, DAILY_HISTORIES)
        answer = client.get(URL + dwelling_path(console), params=WHY)
        assert (answer.status_code, "another person" in answer.json()["detail"]) == (409, True)
        get(client, credential, **WHY)
    actions = [each.action for each in looks_at(console.database, look.person_id)]
    assert actions == [f"person.history.{what}" for what in ("credential", "dwelling", "credential", "dwelling")]
    verify_chain(console.database)


def test_a_dwelling_of_many_is_told_as_the_first_of_a_day_and_nothing_after_it(console: RunningConsole) -> None:
    crowd(console, DAILY_HISTORIES)
    credential = f"/credentials/{console.seed.credential}/events"
    with console.client(TOWNSHIP) as client:
        get(client, dwelling_path(console), **WHY)
        get(client, dwelling_path(console), **WHY)
        get(client, credential, **WHY)
        assert client.get(URL + credential, params={**WHY, "case": "2026-18"}).status_code == 409
    with console.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(HistoryLook)) == DAILY_HISTORIES + 1


def crowd(console: RunningConsole, count: int) -> None:
    """Let more people live in the dwelling."""
    with console.database.write() as connection:
        dwelling = connection.scalar(select(Residency.dwelling_id))
        for _ in range(count):
            person = new_id()
            connection.execute(insert(Person).values(id=person, name="李四"))
            lives = {"id": new_id(), "person_id": person, "dwelling_id": dwelling, "role": "tenant"}
            connection.execute(insert(Residency).values(**lives, since=utc_now() - timedelta(days=30)))


def test_who_used_an_expired_credential(console: RunningConsole) -> None:
    gateway, now = console.seed.gateway, utc_now()
    console.seed.store(
        gateway.event(granted(console.seed.credential), at=now),
        gateway.event(expired(console), at=now - timedelta(days=2)),
        gateway.event(expired(console), at=now - timedelta(days=9)),
    )
    with console.client(GUARD) as client:
        [row] = get(client, "/expired-credentials")["events"]
    assert (row["person"], row["cause"], row["credential"]) == ("欧阳*", "expired", "refused")


def test_households_without_a_passage(console: RunningConsole) -> None:
    gateway, now = console.seed.gateway, utc_now()
    console.seed.store(gateway.event(granted(console.seed.credential), at=now - timedelta(days=5)))
    with console.client(COMMUNITY) as client:
        assert get(client, "/quiet-households", days=6)["households"] == []
        assert get(client, "/quiet-households")["households"] == []
        [quiet] = get(client, "/quiet-households", days=4)["households"]
        assert (quiet["code"], quiet["dwelling"]) == ("h-501", "3栋 2单元 501")
        assert quiet["last_passage"].startswith(f"{now - timedelta(days=5):%Y-%m-%d}")
        assert get(client, "/quiet-households", days=4, after="h-501")["households"] == []
    console.seed.store(gateway.event(expired(console), at=now), gateway.event(opened(), at=now))
    with console.client(COMMUNITY) as client:
        assert len(get(client, "/quiet-households", days=4)["households"]) == 1  # a refusal is no passage
    with console.client(GUARD) as client:
        assert client.get(f"{URL}/quiet-households").status_code == 403


def test_households_without_a_passage_for_long_are_told_for_a_purpose_that_is_kept(console: RunningConsole) -> None:
    gateway, now = console.seed.gateway, utc_now()
    passed = now - timedelta(days=40)
    console.seed.store(gateway.event(granted(console.seed.credential), at=passed), received_at=passed)
    with console.client(COMMUNITY) as client:
        for days in (8, 366):
            refused = client.get(f"{URL}/quiet-households", params={"days": days})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "purpose")
        for days in ({}, {"days": 7}):
            [quiet] = get(client, "/quiet-households", **days)["households"]
            assert (quiet["code"], quiet["last_passage"]) == ("h-501", None), "it was longer ago than is told"
        assert audited(console) == []
        for days in (7, 39):
            [quiet] = get(client, "/quiet-households", days=days, purpose="nobody opens the door")["households"]
            assert quiet["last_passage"].startswith(f"{passed:%Y-%m-%d}")
        assert get(client, "/quiet-households", days=366, purpose="nobody opens the door")["households"] == []
    told = audited(console)
    assert [(each["what"], each["purpose"]) for each in told] == [("quiet households", "nobody opens the door")] * 3
    assert told[-1]["since"].startswith(f"{utc_now() - timedelta(days=366):%Y-%m-%d}")


def audited(console: RunningConsole) -> list[dict[str, Any]]:
    """What is in the audit of events that were asked for with a purpose."""
    query = select(AuditEntry.detail).where(AuditEntry.action == "events.history").order_by(AuditEntry.number)
    with console.database.read() as connection:
        return list(connection.scalars(query))


def test_a_foreign_subtree_s_staff_find_nothing(console: RunningConsole) -> None:
    gateway, now = console.seed.gateway, utc_now()
    camera = gateway.event(
        PersonEnteredZone(zone="z", track=1, score=0.9, box=Box(left=0, top=0, right=1, bottom=1)), device="c", at=now
    )
    refused = gateway.event(expired(console), at=now - timedelta(days=1))
    console.seed.store(gateway.event(granted(console.seed.credential), at=now - timedelta(seconds=2)), camera, refused)
    with console.client(TOWNSHIP) as client:
        assert len(get(client, "/ties", event=str(camera.id))["ties"]) == 1
        assert len(get(client, "/expired-credentials")["events"]) == 1
    with console.client(FOREIGN) as client:
        assert client.get(f"{URL}/doors/gw-quiet/d-east/events").status_code == 404
        assert client.get(URL + dwelling_path(console), params=WHY).status_code == 404
        assert client.get(f"{URL}/credentials/{console.seed.credential}/events", params=WHY).status_code == 404
        assert get(client, "/expired-credentials")["events"] == []
        assert get(client, "/quiet-households", days=1)["households"] == []
        assert get(client, "/ties", event=str(camera.id))["ties"] == []


def test_nobody_is_told_anything_without_a_session(console: RunningConsole) -> None:
    with console.client(None) as client:
        for path in ("/doors/gw-quiet/d-east/events", "/expired-credentials", "/quiet-households", "/ties"):
            assert client.get(URL + path).status_code == 401
