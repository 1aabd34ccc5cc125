"""Centres and rosters for tests, on the city of `tests.support.alarms`."""

from datetime import date, time
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from cloud.accounts.scope import WHOLE, Scope
from cloud.alarms.states import Level
from cloud.database.tables import Account, AccountPerson, AccountRole, JointUnit, JointUnitPlace, Post, PostKind
from cloud.duty.desk import Planner, put_centre, put_exception, put_roster
from cloud.duty.plan import RosterPlan, Shift
from cloud.register.change import Change
from tests.support.alarms import START, City
from tests.support.events import new_id

SINCE = date(2026, 11, 1)
"""Three weeks before the city's clock begins."""


def shift(name: str, begins: int, ends: int, *members: str) -> Shift:
    """From hour to hour."""
    return Shift(name=name, begins=time(begins), ends=time(ends), members=members)


def plan(*shifts: Shift, **values: Any) -> RosterPlan:
    return RosterPlan(shifts=shifts, **{"since": SINCE, **values})


class Duties:
    """Sets duties up in a city, at the moment of its clock."""

    def __init__(self, city: City) -> None:
        self.city = city

    def planner(self, scope: Scope = WHOLE) -> Planner:
        return Planner(None, scope, self.city.clock(), new_id)

    def centre(self, place: str, level: Level, *, closed: bool = False) -> UUID:
        """Its id."""
        with self.city.database.write() as connection:
            where = self.city.places[place]
            made, _ = put_centre(connection, self.planner(), where, level, f"{place} {level.name}", closed=closed)
        return made

    def write(self, centre: UUID, *plans: RosterPlan, code: str = "desk") -> Change:
        with self.city.database.write() as connection:
            return put_roster(connection, self.planner(), centre, code, plans)

    def swap(self, centre: UUID, day: date, shift: str, *members: str, code: str = "desk") -> Change:
        with self.city.database.write() as connection:
            return put_exception(connection, self.planner(), centre, code, day, shift, members, "swapped")

    def colleagues(self, place: str, role: AccountRole, *names: str) -> None:
        for name in names:
            self.city.add_account(name, role, place)

    def disable(self, name: str) -> None:
        with self.city.database.write() as connection:
            gone = update(Account).where(Account.username == name).values(disabled_at=self.city.clock())
            connection.execute(gone)

    def unit_head(self, dwelling: str, community: str) -> UUID:
        """The person who heads the unit of a dwelling."""
        person, unit, since = self.city.add_person(), new_id(), {"since": START}
        with self.city.database.write() as connection:
            values = {"code": f"u-{dwelling}", "name": "u", "place_id": self.city.places[community]}
            connection.execute(insert(JointUnit).values(id=unit, **values, **since))
            lies = {"place_id": self.city.places[dwelling], "joint_unit_id": unit}
            connection.execute(insert(JointUnitPlace).values(**lies, **since))
            post = {"id": new_id(), "kind": PostKind.UNIT_HEAD, "person_id": person, "joint_unit_id": unit}
            connection.execute(insert(Post).values(**post, **since))
        return person

    def tie(self, name: str, person: UUID) -> None:
        with self.city.database.write() as connection:
            account = connection.execute(select(Account.id).where(Account.username == name)).scalar_one()
            connection.execute(insert(AccountPerson).values(id=new_id(), account_id=account, person_id=person))
