"""A hub with two communities for tests of who may see what: the one of `tests.support.console`, and a foreign one.

Everything of the foreign community is named after it, so that a trace of it in any answer is found. `ABSENT` has the
same things under names that nothing has: who may not see the foreign ones must not be able to tell the two apart.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import insert, select, update

from cloud.accounts.sessions import csrf_token
from cloud.database import tables
from cloud.database.tables import Account, AccountRole, Place, PlaceKind
from cloud.gateways.purposes import CARD_KEY
from cloud.register.credentials import NUMBER
from cloud.register.sealed import CATEGORY, CATEGORY_BASIS
from cloud.rules.book import prepare_rules
from protocols.access_events import AccessDenied, AccessMethod, DenialReason
from protocols.events import Box, Event, PersonEnteredZone
from tests.support import register as given
from tests.support.console import PASSWORD, RunningConsole, utc_now
from tests.support.events import FakeGateway, new_id, opened

OWN_PLACE, OWN_GRID = "qt", "grid-qt"
_DAY = timedelta(days=1)
LEASE_ENDS = utc_now() + 2 * _DAY
ALARM_RAISED = utc_now() - 2 * _DAY


@dataclass(frozen=True)
class Names:
    """What can be asked for by name or id."""

    gateway: str
    device: str
    reader: str
    camera: str
    place: str
    dwelling: str
    area: str
    group: str
    credential: str
    access_pass: str
    person: str
    residency: str
    lockdown: str
    corr: str
    history: str
    alarm: str
    matter_id: str
    matter: str
    order: str
    dwelling_id: str
    sighting: str
    category: str
    request: str
    hold: str
    centre: str
    centre_post: str
    handover: str
    picture: str
    clip: str
    account: str
    session: str

    def hidden_in(self, text: str) -> str:
        """The text with each of the names told as what it is."""
        for kind, name in asdict(self).items():
            text = text.replace(name, f"<{kind}>")
        return text


def _names(mark: str) -> Names:
    ids = {
        kind: str(new_id())
        for kind in (
            "credential",
            "access_pass",
            "person",
            "residency",
            "lockdown",
            "corr",
            "history",
            "alarm",
            "matter_id",
            "order",
            "dwelling_id",
            "sighting",
            "category",
            "request",
            "hold",
            "session",
            "centre",
            "centre_post",
            "handover",
        )
    }
    return Names(
        gateway=f"gw-{mark}",
        device=f"d-{mark}",
        reader=f"r-{mark}",
        camera=f"c-{mark}",
        place=f"gate-{mark}",
        dwelling=f"dwelling-{mark}",
        area=f"area-{mark}",
        group=f"group-{mark}",
        picture=hashlib.sha256(f"picture {mark}".encode()).hexdigest(),
        clip=hashlib.sha256(f"clip {mark}".encode()).hexdigest(),
        account=f"account-{mark}",
        matter="2026-900001" if mark == "foreign" else "2026-900002",
        **ids,
    )


FOREIGN, ABSENT = _names("foreign"), _names("missing")
SECRETS = ("异地", *asdict(FOREIGN).values())
"""What none of the own community's accounts may read anywhere."""


class TwoCommunities:
    """The foreign community beside the own one, and an account of each role bound to the own one."""

    def __init__(self, console: RunningConsole) -> None:
        self.console = console
        self.gateway = FakeGateway(FOREIGN.gateway)
        with console.database.write() as connection:
            self._add_foreign(connection)
            self._add_grid(connection)
        self._add_files()
        self.store_foreign()
        self._store_more()

    def store_foreign(self) -> Event:
        """An event at the foreign gate."""
        event = self.gateway.event(opened(), FOREIGN.device, place=FOREIGN.place, at=utc_now())
        self.console.store(event)
        return event

    def _store_more(self) -> None:
        """Somebody refused at the foreign gate, and somebody seen there."""
        refused = AccessDenied(
            reader=FOREIGN.reader,
            method=AccessMethod.CARD,
            reason=DenialReason.EXPIRED,
            credential=UUID(FOREIGN.credential),
            policy_version=1,
            decision_us=1,
        )
        seen = PersonEnteredZone(zone="z", track=1, score=0.9, box=Box(left=0.0, top=0.0, right=0.5, bottom=0.5))
        self.console.store(
            self.gateway.event(refused, FOREIGN.device, place=FOREIGN.place, at=utc_now()),
            self.gateway.event(seen, FOREIGN.camera, place=FOREIGN.place, at=utc_now()).model_copy(
                update={"id": UUID(FOREIGN.sighting)}
            ),
        )

    @contextmanager
    def client(self, role: AccountRole, *, bound: bool = True) -> Iterator[httpx.Client]:
        """A browser's page of an account of this role, of the own community or of the whole hub."""
        token = self.token(role, bound=bound)
        headers = {"Origin": self.console.url, "X-Gatehouse-Token": csrf_token(token)}
        cookies = {"gatehouse": token}
        with httpx.Client(base_url=self.console.url, headers=headers, cookies=cookies, timeout=30) as client:
            yield client

    def token(self, role: AccountRole, *, bound: bool = True) -> str:
        """The cookie of a session."""
        with self.console.database.write() as connection:
            place = connection.execute(select(Place.id).where(Place.code == OWN_PLACE)).scalar_one()
            grid = connection.execute(select(tables.Grid.id).where(tables.Grid.code == OWN_GRID)).scalar_one()
            account = new_id()
            values = {"place_id": place, "grid_id": grid if role is AccountRole.GRID_MEMBER else None} if bound else {}
            connection.execute(
                insert(Account).values(
                    id=account,
                    username=f"a{account.hex}",
                    password_hash=PASSWORD,
                    role=role,
                    created_at=utc_now(),
                    **values,
                )
            )
        token = self.console.accounts.sessions.open(account, PASSWORD)
        assert token is not None
        return token

    def _add_grid(self, connection: Any) -> None:
        """A grid of the own community that holds its gate and its dwelling."""
        found = {row.code: row.id for row in connection.execute(select(Place.code, Place.id))}
        grid, since = new_id(), given.LONG_AGO
        values = {"name": "网格", "level": 1, "place_id": found[OWN_PLACE], "since": since}
        connection.execute(insert(tables.Grid).values(id=grid, code=OWN_GRID, **values))
        for code in ("gate-east", "qt-3-2-501"):
            connection.execute(insert(tables.GridPlace).values(place_id=found[code], since=since, grid_id=grid))

    def _add_foreign(self, connection: Any) -> None:
        community, gate, door = (new_id() for _ in range(3))
        dwelling = UUID(FOREIGN.dwelling_id)
        now = utc_now()
        given.add_place(connection, _place(community, PlaceKind.COMMUNITY, "异地社区"))
        given.add_place(connection, _place(gate, PlaceKind.ENTRANCE, "异地大门", FOREIGN.place), community)
        given.add_place(connection, _place(dwelling, PlaceKind.DWELLING, "异地101", FOREIGN.dwelling), community)
        given.add_gateway(connection, FOREIGN.gateway)
        sealed = given.vault().seal(given.CARD_SECRET, CARD_KEY)
        connection.execute(update(tables.Gateway).values(card_key_sealed=sealed, reported={"policy_format": 2}))
        person, credential, access_pass = (
            UUID(each) for each in (FOREIGN.person, FOREIGN.credential, FOREIGN.access_pass)
        )
        account = new_id()
        prepare_rules(connection, now)
        rows: list[tuple[type[Any], dict[str, Any]]] = [
            (tables.Alarm, _alarm(gate, community)),
            (tables.Notice, _notice()),
            (tables.Alarm, _matter_alarm(dwelling, community)),
            (tables.Matter, _MATTER),
            (tables.WorkOrder, _order(now)),
            (
                Account,
                {
                    "id": account,
                    "username": FOREIGN.account,
                    "password_hash": "-",
                    "role": AccountRole.GUARD,
                    "created_at": now,
                    "place_id": community,
                },
            ),
            (
                tables.LoginSession,
                {
                    "token_hash": "0" * 64,
                    "id": UUID(FOREIGN.session),
                    "account_id": account,
                    "created_at": now,
                    "used_at": now,
                    "expires_at": now + _DAY,
                    "address": "203.0.113.7",
                    "browser": "异地",
                },
            ),
            (
                tables.Door,
                {
                    "id": door,
                    "gateway_id": FOREIGN.gateway,
                    "device": FOREIGN.device,
                    "place_id": gate,
                    "name": "异地门",
                },
            ),
            (tables.Area, {"code": FOREIGN.area, "name": "异地", "anti_passback": "off", "minutes": 10}),
            (
                tables.Reader,
                {
                    "door_id": door,
                    "device": FOREIGN.reader,
                    "name": "异地读头",
                    "leads": "into",
                    "area_code": FOREIGN.area,
                },
            ),
            (tables.Schedule, {"code": "always", "name": "always", "intervals": given.ALWAYS}),
            (tables.DoorGroup, {"code": FOREIGN.group, "name": "异地门组", "schedule_code": "always"}),
            (tables.DoorGroupDoor, {"group_code": FOREIGN.group, "door_id": door}),
            (tables.Person, {"id": person, "name": "司徒异地"}),
            (
                tables.Household,
                {"id": new_id(), "code": "household-foreign", "dwelling_id": dwelling, "since": given.LONG_AGO},
            ),
            (
                tables.Residency,
                {
                    "id": UUID(FOREIGN.residency),
                    "person_id": person,
                    "dwelling_id": dwelling,
                    "role": "tenant",
                    "since": given.LONG_AGO,
                    "until": LEASE_ENDS,
                },
            ),
            (tables.Credential, _credential(credential, person, "w26:9:9")),
            (
                tables.Credential,
                _credential(access_pass, person, FOREIGN.access_pass) | {"kind": "pass", "until": now + _DAY},
            ),
            (
                tables.AccessPass,
                {
                    "id": access_pass,
                    "kind": "guest",
                    "label": "异地客人",
                    "days": [],
                    "created_at": now,
                    "created_by": account,
                },
            ),
            (tables.AccessPassDoor, {"pass_id": access_pass, "door_id": door}),
            (tables.CredentialGroup, {"credential_id": credential, "group_code": FOREIGN.group}),
            (tables.ServiceCategory, _category(person, account, now)),
            (
                tables.SubjectRequest,
                {"id": UUID(FOREIGN.request), **_asked(person), "kind": "erase", "asked_by": account}
                | {"asked_at": now, "is_left": False},
            ),
            (tables.PersonHold, {"id": UUID(FOREIGN.hold), **_asked(person), "held_at": now}),
            *_duty(community, account, now),
            (
                tables.Lockdown,
                {
                    "id": UUID(FOREIGN.lockdown),
                    "gateways": [FOREIGN.gateway],
                    "state": "asked",
                    "why": "异地",
                    "asked_by": account,
                    "asked_at": now,
                },
            ),
            (
                tables.CommandRecord,
                {
                    "corr": UUID(FOREIGN.corr),
                    "gateway_id": FOREIGN.gateway,
                    "door": FOREIGN.device,
                    "account_id": account,
                    "issued_at": now,
                    "expires_at": now,
                    "state": "done",
                    "updated_at": now,
                },
            ),
            (
                tables.HistoryLook,
                {
                    "id": UUID(FOREIGN.history),
                    "person_id": person,
                    "purpose": "异地",
                    "case_number": "2026-1",
                    "since": now,
                    "until": now,
                    "asked_by": account,
                    "asked_at": now,
                    "needs_second": True,
                },
            ),
        ]
        for table, values in rows:
            connection.execute(insert(table).values(**values))

    def _add_files(self) -> None:
        """A picture and a clip of the foreign gateway, and the event that shows the picture."""
        for table, name, folder in (
            (tables.Picture, FOREIGN.picture, "pictures"),
            (tables.Clip, FOREIGN.clip, "clips"),
        ):
            path = self.console.folder / folder / name[:2] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            with self.console.database.write() as connection:
                connection.execute(
                    insert(table).values(sha256=name, gateway_id=FOREIGN.gateway, size_bytes=1, received_at=utc_now())
                )


def _place(identifier: UUID, kind: PlaceKind, name: str, code: str = "foreign-community") -> dict[str, Any]:
    return {"id": identifier, "kind": kind, "code": code, "name": name}


def _notice() -> dict[str, Any]:
    """That it is to be told."""
    which = {"id": new_id(), "alarm_id": UUID(FOREIGN.alarm), "step": 1, "level": 0, "priority": 2}
    return {**which, "channel": "group", "recipient": "", "made_at": ALARM_RAISED, "due_at": ALARM_RAISED}


def _alarm(gate: UUID, community: UUID) -> dict[str, Any]:
    """An alarm that nobody has taken on, whose clock stands still."""
    moments = dict.fromkeys(("happened_at", "raised_at", "last_at"), ALARM_RAISED)
    state = {"priority": 2, "handling": "new", "condition": "active", "level": 0, "audience": "duty"}
    where = {"place_id": gate, "area_id": community, "gateway_id": FOREIGN.gateway, "subject": FOREIGN.device}
    counts = {"rule_version": 1, "times": 1, "chatter_count": 1, "revision": 1}
    key = f"door_forced {FOREIGN.gateway} {FOREIGN.device}"
    return {"id": UUID(FOREIGN.alarm), "rule": "door_forced", "key": key, **moments, **state, **where, **counts}


def _asked(person: UUID) -> dict[str, Any]:
    return {"person_id": person, "purpose": "异地", "case_number": "2026-1"}


def _category(person: UUID, officer: UUID, now: datetime) -> dict[str, Any]:
    """An entry that lapses within days."""
    box = given.vault()
    return {
        "id": UUID(FOREIGN.category),
        "person_id": person,
        "category_sealed": box.seal(b"renter", CATEGORY),
        "category_index": box.index("renter", CATEGORY),
        "basis_sealed": box.seal("异地".encode(), CATEGORY_BASIS),
        "officer_id": officer,
        "since": given.LONG_AGO,
        "review_at": now + _DAY,
    }


def _matter_alarm(dwelling: UUID, community: UUID) -> dict[str, Any]:
    """A matter there, a day after the alarm."""
    alarm = _alarm(dwelling, community) | dict.fromkeys(("happened_at", "raised_at", "last_at"), ALARM_RAISED + _DAY)
    kind = {"source": "matter", "rule": "matter.repair", "key": f"matter {FOREIGN.matter}", "condition": "reported"}
    return alarm | kind | {"id": UUID(FOREIGN.matter_id), "gateway_id": None, "subject": None, "level": 1}


_MATTER = {
    "id": UUID(FOREIGN.matter_id),
    "number": FOREIGN.matter,
    "kind": "repair",
    "title": "Repair",
    "title_zh": "报修",
    "text": "异地路灯不亮",
    "reported_by": "window",
}


def _duty(community: UUID, account: UUID, now: datetime) -> list[tuple[type[Any], dict[str, Any]]]:
    """A centre with somebody who works there, a roster, and a handover that nobody has accepted."""
    centre, roster = UUID(FOREIGN.centre), new_id()
    shift = {"name": "day", "begins": "00:00:00", "ends": "00:00:00", "members": ["foreign"]}
    plan = {"since": "2026-01-01", "shifts": [shift]}
    written = {"written_at": now, "written_by": account}
    left = {"accept_by": now, "note": "异地", "special": "", "open_items": [], "more": False}
    return [
        (tables.Centre, {"id": centre, "place_id": community, "level": 1, "name": "异地综治中心"}),
        (
            tables.CentrePost,
            {"id": UUID(FOREIGN.centre_post), "centre_id": centre, "account_id": account}
            | {"function": "异地", "since": given.LONG_AGO},
        ),
        (tables.DutyRosterName, {"id": roster, "centre_id": centre, "code": "desk"}),
        (
            tables.DutyRosterVersion,
            {"roster_id": roster, "number": 1, "since": given.LONG_AGO.date(), "plan": plan, **written},
        ),
        (tables.Handover, {"id": UUID(FOREIGN.handover), "centre_id": centre, **written, **left}),
    ]


def _order(now: datetime) -> dict[str, Any]:
    """To a member whom nobody knows, due in a week."""
    times = {"given_at": now, "due_at": now + 7 * _DAY}
    who = {"assignee_id": new_id(), "given_by": new_id(), "what": "异地", "state": "given", "revision": 1}
    return {"id": UUID(FOREIGN.order), "alarm_id": UUID(FOREIGN.alarm), **times, **who}


def _credential(identifier: UUID, person: UUID, number: str) -> dict[str, Any]:
    box = given.vault()
    return {
        "id": identifier,
        "person_id": person,
        "number_sealed": box.seal(number.encode(), NUMBER),
        "number_index": box.index(number, NUMBER),
        "since": given.LONG_AGO,
    }
