"""The demo's surroundings: staff of four levels, an auditor, and two more communities to which everything happens.

The limits of alarms are seconds here instead of minutes, and delays of rules are cut: an alarm that nobody takes on
climbs from the guard's post to the district while one looks on.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gatehouse.demo import incidents
from gatehouse.demo.layout import DISTRICT, TOWNSHIP, VILLAGE
from gatehouse.demo.people import ALONE_BY_CONSENT, ALONE_WITH_GUESTS
from gatehouse.demo.played_gateway import PlayedGateway
from gatehouse.demo.processes import DemoError
from gatehouse.demo.staff import Colleague

GUARD, COMMUNITY, TOWNSHIP_OFFICER, DISTRICT_OFFICER = "guard", "community", "township", "district"
AUDITOR, ADMINISTRATOR = "auditor", "admin"
ACCOUNTS = (
    (GUARD, "guard", "anning"),
    (COMMUNITY, "community", VILLAGE),
    (TOWNSHIP_OFFICER, "township", TOWNSHIP),
    (DISTRICT_OFFICER, "district", DISTRICT),
    (AUDITOR, "auditor", None),
    (ADMINISTRATOR, "administrator", None),
)
"""Name, role, and the place that the account is for."""
LIMITS = """
[web.alarms]
p1 = { community_s = 2, township_s = 4, district_s = 6, begin_s = 600 }
p2 = { community_s = 3, township_s = 5, district_s = 7, begin_s = 600 }
p3 = { community_s = 3, township_s = 6, district_s = 9, begin_s = 600 }
"""
CARE_HOURS = 12
_CUT_DELAYS = (
    *("door_held", "reader_silent", "camera_silent", "camera_impaired", "gateway_silent", "clock_wrong"),
    "channel_failing",
)
_OCCUPANCY = "occupancy"
"""A rule that looks at the events of days, once a day and as soon as it is written anew."""
_FEWER = 2
_TOLD_LAST = "two_places"
"""What comes of the last event of the farther gateway: when it is there, all its events are stored."""
_STORED_WITHIN_S = 60.0
_SETTLED = ("crowd", "loitering", "intrusion", "tailgating", "ebike_in_lift")
"""Alarms of the first compound's cameras, of which there are more elsewhere."""
_DELAY_S = 1
_EXTRA_CARDS = 5


@dataclass(frozen=True)
class Staff:
    """Who is logged in while the demo runs."""

    guard: Colleague
    community: Colleague
    district: Colleague
    auditor: Colleague
    administrator: Colleague

    def close(self) -> None:
        for each in (self.guard, self.community, self.district, self.auditor, self.administrator):
            each.close()


@dataclass(frozen=True)
class Holders:
    """Whose credentials are presented in the other communities, and the person who is looked after."""

    person: str
    resident: UUID
    guests: Sequence[UUID]
    """All of one dwelling, in which one person is registered."""
    revoked: UUID


def care_began(today: datetime) -> str:
    """The day on which somebody agreed to be looked after."""
    return (today - timedelta(days=2)).date().isoformat()


def hurry(administrator: Colleague) -> None:
    """Cut the delays of rules that wait before they raise."""
    for code in _CUT_DELAYS:
        _write_anew(administrator, code, on_delay_s=_DELAY_S)


def _write_anew(administrator: Colleague, code: str, **changes: object) -> None:
    administrator.put(f"/rules/{code}", _newest(administrator, code) | changes)


def _newest(administrator: Colleague, code: str) -> dict[str, Any]:
    rule: dict[str, Any] = administrator.get(f"/rules/{code}")["items"][0]["rule"]
    return rule


def give_cards(administrator: Colleague) -> Holders:
    """Cards for a dwelling in which more people come and go than are registered; one of them is revoked at once."""

    def lives_in(dwelling: str) -> str:
        return str(administrator.get(f"/access/residents?dwelling={dwelling}")["items"][0]["id"])

    def cards_of(person: str) -> list[UUID]:
        found = administrator.get(f"/access/credentials?person={person}")["items"]
        return [UUID(each["id"]) for each in found]

    host = lives_in(ALONE_WITH_GUESTS)
    for number in range(_EXTRA_CARDS):
        card = {"person": host, "kind": "card", "number": f"w26:53:{100 + number}", "groups": ["east"]}
        administrator.post("/access/credentials", card)
    revoked, *guests = cards_of(host)
    administrator.delete(f"/access/credentials/{revoked}")
    person = lives_in(ALONE_BY_CONSENT)
    [resident] = cards_of(person)
    return Holders(person, resident, guests, revoked)


def befall(near: PlayedGateway, far: PlayedGateway, who: Holders, staff: Staff) -> None:
    """Everything that happens in the two other communities; at the end the farther gateway is gone.

    Raises:
        DemoError: if the hub does not find the first of it within a minute.
    """
    now = datetime.now(UTC)
    near.arrive()
    far.arrive()
    far.tell(incidents.passages(who.guests))
    near.tell([(incidents.DOOR, now, incidents.granted(who.guests[0]))])
    far.tell([(incidents.DOOR, now, incidents.granted(who.guests[0]))])
    near.tell(incidents.at_the_door(who.guests[1], who.revoked))
    near.tell(incidents.before_the_camera())
    near.tell(incidents.of_the_gateway())
    deadline_s = time.monotonic() + _STORED_WITHIN_S
    while not any(row["rule"] == _TOLD_LAST for row in staff.district.get("/alarms")["items"]):
        if time.monotonic() > deadline_s:
            raise DemoError(f"no alarm {_TOLD_LAST} came of what the played gateways told")
        time.sleep(0.1)
    looks_at = _newest(staff.administrator, _OCCUPANCY)["when"]
    _write_anew(staff.administrator, _OCCUPANCY, when=looks_at | {"above": _FEWER})
    far.leave()


def settle_one(guard: Colleague) -> bool:
    """The guard of the first compound takes an alarm on, goes there and ends it; whether there was one to settle."""
    rows = guard.get("/alarms")["items"]
    alarm = next((row["id"] for row in rows if row["rule"] in _SETTLED and row["handling"] == "new"), None)
    if alarm is None:
        return False
    guard.post(f"/alarms/{alarm}/acknowledge", {"note": ""})
    guard.post(f"/alarms/{alarm}/begin", {"note": "我去看一下"})
    guard.post(f"/alarms/{alarm}/close", {"outcome": "test", "note": "演示"})
    return True


def reveal_one(officer: Colleague, person: str) -> None:
    """Somebody looks behind a mask, with a purpose: what the auditor finds."""
    officer.post(f"/people/{person}/reveal", {"fields": ["phone"], "purpose": "约定探访：无人应答，电话核实"})
