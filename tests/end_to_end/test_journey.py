"""One event's journey, from the card's bits on the reader's line to the guard's page, and a guard's way back."""

import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import select, update

from cloud.database.tables import Person, Residency
from tests.end_to_end.community import (
    CARD,
    DOOR,
    GUARD,
    OTHER_CARD,
    READER,
    SECOND_GUARD,
    TENANT,
    TENANT_CARD,
    Community,
)
from tests.support.site import GATEWAY, eventually


def test_a_residents_card_opens_the_door_and_the_guard_reads_a_masked_name(community: Community) -> None:
    given_s = community.readers.do("card", READER, text=CARD)
    community.readers.wait_output(READER, True, given_s)
    row = community.wait_for_row("access.granted.v1")
    assert (row["person"], row["dwelling"], row["place"], row["credential"]) == ("张*", "1栋 101", "东门", "valid")
    assert "张三丰" not in str(community.rows())
    assert CARD not in str(community.rows())


def test_an_unknown_card_stays_outside_and_is_told_with_its_reason(community: Community) -> None:
    before = community.count("access.denied.v1")
    given_s = community.readers.do("card", READER, text="w26:9:9")
    row = community.wait_for_row("access.denied.v1", before)
    assert (row["person"], row["cause"]) == (None, "unknown_credential")
    assert not [seen for seen in community.readers.seen if seen.get("on") and seen["t"] > given_s]


def test_a_door_that_opens_and_shuts_stands_on_the_board(community: Community) -> None:
    given_s = community.readers.do("card", READER, text=CARD)
    community.readers.wait_output(READER, True, given_s)
    community.readers.do("contact", READER, open=True)
    eventually(lambda: _board_state(community) == "open", 30, "the board shows the open door")
    community.readers.do("contact", READER, open=False)
    eventually(lambda: _board_state(community) == "closed", 30, "the board shows the closed door")


def test_a_forced_door_is_an_alarm(community: Community) -> None:
    time.sleep(1.5)  # the release of an earlier card has run out
    community.readers.do("contact", READER, open=True)
    row = community.wait_for_row("door.forced.v1")
    assert row["alarm"]
    community.readers.do("contact", READER, open=False)
    eventually(lambda: _board_state(community) == "closed", 30, "the board shows the closed door")


def test_a_guard_releases_the_door_and_reads_the_outcome(community: Community) -> None:
    given_s = time.monotonic()
    corr = _release(community).json()["corr"]
    community.readers.wait_output(READER, True, given_s)
    eventually(lambda: _command_state(community, corr) == "done", 30, "the command is done")
    community.wait_for_row("door.released.v1")


def test_a_release_that_does_not_come_from_the_hubs_page_is_refused(community: Community) -> None:
    path = f"/api/v1/doors/{GATEWAY}/{DOOR}/release"
    assert community.client.post(path, headers={"Origin": "http://elsewhere.example"}).status_code == 403
    assert httpx.post(community.site.url + path, headers={"Origin": community.site.url}).status_code in (401, 403)


def test_a_revoked_card_stops_working_within_five_seconds(community: Community) -> None:
    given_s = community.readers.do("card", READER, text=OTHER_CARD)
    community.readers.wait_output(READER, True, given_s)
    time.sleep(1.5)
    version = community.credentials_version()
    community.hub("credentials", "revoke", OTHER_CARD, "--yes")
    revoked_s = time.monotonic()
    eventually(lambda: community.credentials_version() > version, 5, "the revocation is in force at the door")
    assert time.monotonic() - revoked_s < 5
    before = community.count("access.denied.v1")
    community.readers.do("card", READER, text=OTHER_CARD)
    row = community.wait_for_row("access.denied.v1", before)
    assert row["cause"] == "unknown_credential"


def test_the_door_decides_while_the_hub_is_down_and_nothing_is_lost(community: Community) -> None:
    before = community.count("access.granted.v1")
    community.site.hub.kill9()
    community.site.kill_broker()
    time.sleep(1.5)
    given_s = community.readers.do("card", READER, text=CARD)
    community.readers.wait_output(READER, True, given_s)
    community.site.start_hub()
    eventually(lambda: community.count("access.granted.v1") == before + 1, 40, "the event of the outage arrives")


def test_two_people_lock_every_door_and_the_way_out_stays_open(community: Community) -> None:
    asked = community.act(GUARD, "lockdown", "ask", GATEWAY, "--why", "a break-in").strip()
    with pytest.raises(AssertionError):
        community.act(GUARD, "lockdown", "confirm", asked, "--yes")  # the same person
    community.act(SECOND_GUARD, "lockdown", "confirm", asked, "--yes")
    assert community.wait_for_row("lockdown.changed.v1")["cause"] == "began"
    before = community.count("access.denied.v1")
    community.readers.do("card", READER, text=CARD)
    assert community.wait_for_row("access.denied.v1", before)["cause"] == "lockdown"
    given_s = community.readers.do("rex", READER)
    community.readers.wait_output(READER, True, given_s)
    community.act(GUARD, "lockdown", "end", asked, "--yes")
    given_s = community.readers.do("card", READER, text=CARD)
    community.readers.wait_output(READER, True, given_s)


def test_a_lease_that_ends_while_the_hub_is_away_ends_the_card_in_that_second(community: Community) -> None:
    version, ends = community.credentials_version(), datetime.now(UTC) + timedelta(seconds=12)
    with community.site.foundation.database.write() as connection:
        tenant = select(Person.id).where(Person.name == TENANT).scalar_subquery()
        connection.execute(update(Residency).where(Residency.person_id == tenant).values(until=ends))
    eventually(lambda: community.credentials_version() > version, 5, "the lease's end is known at the door")
    community.site.hub.kill9()
    community.site.kill_broker()
    given_s = community.readers.do("card", READER, text=TENANT_CARD)
    community.readers.wait_output(READER, True, given_s)
    eventually(lambda: datetime.now(UTC) > ends, 30, "the lease is over")
    denied = community.metric("gatehouse_edge_access_denied_total")
    community.readers.do("card", READER, text=TENANT_CARD)
    eventually(lambda: community.metric("gatehouse_edge_access_denied_total") == denied + 1, 30, "the door stays shut")
    before = community.site.rows("SELECT count(*) FROM event WHERE type = 'access.denied.v1'")[0][0]
    community.site.start_hub()
    told = "SELECT count(*) FROM event WHERE type = 'access.denied.v1'"
    eventually(lambda: community.site.rows(told)[0][0] == before + 1, 40, "it is told when the hub is back")
    assert community.wait_for_row("access.denied.v1")["cause"] == "expired"


def test_a_revoked_gateway_is_cut_off_and_the_door_still_opens(community: Community) -> None:
    community.hub("gateways", "revoke", GATEWAY, "--yes")
    eventually(lambda: _presence(community) == "revoked", 30, "the console shows the revoked gateway")
    before = community.count("access.granted.v1")
    given_s = community.readers.do("card", READER, text=CARD)
    community.readers.wait_output(READER, True, given_s)
    time.sleep(3)
    assert community.count("access.granted.v1") == before
    corr = _release(community).json()["corr"]
    eventually(lambda: _command_state(community, corr) == "failed", 30, "a revoked gateway is sent no command")


def _board_state(community: Community) -> str:
    [door] = community.client.get("/api/v1/doors").json()["doors"]
    return str(door["state"])


def _presence(community: Community) -> str:
    [gateway] = community.client.get("/api/v1/gateways").json()["gateways"]
    return str(gateway["presence"])


def _command_state(community: Community, corr: str) -> str:
    return str(community.client.get(f"/api/v1/commands/{corr}").json()["state"])


def _release(community: Community) -> httpx.Response:
    page = community.client.get("/").text
    token = page.partition('name="page-token" content="')[2].partition('"')[0]
    return community.client.post(f"/api/v1/doors/{GATEWAY}/{DOOR}/release", headers={"X-Gatehouse-Token": token})
