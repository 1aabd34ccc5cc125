"""Alarms for tests: a small city with accounts, a clock that is moved by hand, rules, an engine and a desk."""

from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry
from sqlalchemy import Row, insert, select

from cloud.accounts.scope import scope_of
from cloud.alarms.desk import Actor, AlarmDesk
from cloud.alarms.engine import AlarmEngine
from cloud.alarms.limits import Limits
from cloud.alarms.roster import Roster
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, Alarm, AlarmStep, AlarmTold, Door, Gateway, Person, PlaceKind
from cloud.duty.roster import DutyRoster
from cloud.ingest.batch import Batch
from cloud.ingest.writer import EventWriter
from protocols.events import Event
from tests.support.events import FakeGateway, arrivals, new_id
from tests.support.register import add_place

SHANGHAI = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """The hub's wall clock."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class City:
    """A district with two townships, each with a community, a compound, a gate and a gateway with a door there."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    limits: Limits = field(default_factory=Limits)
    roster: Roster = field(default_factory=lambda: DutyRoster(SHANGHAI))

    def __post_init__(self) -> None:
        self.places: dict[str, UUID] = {}
        self.accounts: dict[str, UUID] = {}
        self.gateways: dict[str, FakeGateway] = {}
        self._add_place("xixiu", PlaceKind.DISTRICT, None)
        for side in ("east", "west"):
            self._add_place(f"{side}-town", PlaceKind.TOWNSHIP, "xixiu")
            self._add_place(f"{side}-village", PlaceKind.COMMUNITY, f"{side}-town")
            self._add_place(f"{side}-garden", PlaceKind.COMPOUND, f"{side}-village")
            self._add_place(f"{side}-501", PlaceKind.DWELLING, f"{side}-garden")
            self._add_place(f"gate-{side}", PlaceKind.ENTRANCE, f"{side}-garden")
            self._add_gateway(side)
            self.add_account(f"guard-{side}", AccountRole.GUARD, f"{side}-garden")
            self.add_account(f"centre-{side}", AccountRole.COMMUNITY, f"{side}-village")
            self.add_account(f"town-{side}", AccountRole.TOWNSHIP, f"{side}-town")
        self.add_account("district", AccountRole.DISTRICT, "xixiu")
        self.engine = self.new_engine()
        self.engine.prepare()
        self.desk = AlarmDesk(self.database, self.clock, self.limits, self.roster)

    def on(self, database: Database) -> "City":
        """The same city in a copy of its database, at the same moment."""
        other = copy(self)
        other.database, other.clock = database, Clock(self.clock.at)
        other.gateways = {side: replace(gateway) for side, gateway in self.gateways.items()}
        other.engine = other.new_engine()
        other.desk = AlarmDesk(database, other.clock, self.limits, self.roster)
        return other

    def new_engine(self) -> AlarmEngine:
        """As a hub makes one at its start."""
        return AlarmEngine(self.database, self.clock, new_id, self.limits, self.roster, CollectorRegistry())

    def add_account(self, name: str, role: AccountRole, place: str | None) -> UUID:
        self.accounts[name] = new_id()
        values = {"id": self.accounts[name], "username": name, "password_hash": "-", "role": role, "created_at": START}
        with self.database.write() as connection:
            connection.execute(insert(Account).values(**values, place_id=self.places[place] if place else None))
        return self.accounts[name]

    def add_person(self) -> UUID:
        person = new_id()
        with self.database.write() as connection:
            connection.execute(insert(Person).values(id=person, name="张伟"))
        return person

    def actor(self, name: str) -> Actor:
        """An account with what it may see now."""
        account = self.accounts[name]
        with self.database.read() as connection:
            role = connection.execute(select(Account.role).where(Account.id == account)).scalar_one()
            return Actor(account, AccountRole(role), scope_of(connection, account), "127.0.0.1")

    def store(self, *events: Event, received_at: datetime | None = None) -> None:
        """Store events as an ingest worker does."""
        writer = EventWriter(self.database)
        try:
            writer.store(Batch(received_at or self.clock(), arrivals(events)))
        finally:
            writer.close()

    def tick(self, seconds: float = 0) -> None:
        """Let time pass, then let the hub look."""
        self.clock.forward(seconds)
        self.engine.run_once()

    def alarms(self, rule: str | None = None) -> list[Row[*tuple[Any, ...]]]:
        query = select(Alarm.__table__).order_by(Alarm.raised_at, Alarm.id)
        with self.database.read() as connection:
            return list(connection.execute(query if rule is None else query.where(Alarm.rule == rule)).all())

    def alarm(self, rule: str | None = None) -> Row[*tuple[Any, ...]]:
        """The only one."""
        (found,) = self.alarms(rule)
        return found

    def steps(self, alarm: UUID) -> list[Row[*tuple[Any, ...]]]:
        query = select(AlarmStep.__table__).where(AlarmStep.alarm_id == alarm).order_by(AlarmStep.number)
        with self.database.read() as connection:
            return list(connection.execute(query).all())

    def told(self, alarm: UUID) -> list[tuple[int, str]]:
        """The step and the name of each account that was told."""
        query = select(AlarmTold.step, Account.username).join(Account, Account.id == AlarmTold.account_id)
        with self.database.read() as connection:
            rows = connection.execute(query.where(AlarmTold.alarm_id == alarm)).all()
        return sorted((row.step, row.username) for row in rows)

    def _add_place(self, code: str, kind: PlaceKind, above: str | None) -> None:
        self.places[code] = new_id()
        values = {"id": self.places[code], "kind": kind, "code": code, "name": code}
        with self.database.write() as connection:
            add_place(connection, values, self.places[above] if above else None)

    def _add_gateway(self, side: str) -> None:
        name = f"gw-{side}"
        self.gateways[side] = FakeGateway(name)
        online = {"presence": "online", "presence_at": START}
        with self.database.write() as connection:
            connection.execute(insert(Gateway).values(id=name, created_at=START, enrolled_at=START, **online))
            place = self.places[f"gate-{side}"]
            values = {"id": new_id(), "gateway_id": name, "device": f"d-{side}", "place_id": place, "name": side}
            connection.execute(insert(Door).values(**values))
