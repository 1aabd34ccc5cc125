"""Matters for tests: the city of `tests.support.alarms` with two grids and their members in the east."""

from uuid import UUID

from sqlalchemy import Row, insert, select, update

from cloud.accounts.scope import WHOLE
from cloud.alarms.orders import OrderDesk
from cloud.alarms.roster import Roster
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, Grid, GridPlace, Matter, WorkOrder
from cloud.matters.desk import Enterer, MatterDesk
from cloud.matters.values import MatterRequest, ReportedBy, Reporter
from tests.support.alarms import START, City, Clock
from tests.support.events import new_id
from tests.support.register import vault

REPORTER = Reporter(name="欧阳娜娜", phone="138 0000 0042")


class Town(City):
    """`grid-1` holds east-501, `grid-2` the eastern gate; li and wang are the members; `grid-west` is elsewhere's."""

    def __init__(self, database: Database, roster: Roster | None = None, clock: Clock | None = None) -> None:
        super().__init__(database, clock or Clock(), **({} if roster is None else {"roster": roster}))
        self.grids: dict[str, UUID] = {}
        for name, side, place in (
            ("grid-1", "east", "east-501"),
            ("grid-2", "east", "gate-east"),
            ("grid-west", "west", "gate-west"),
        ):
            self._add_grid(name, side, place)
        for name, grid, side in (("li", "grid-1", "east"), ("wang", "grid-2", "east"), ("west", "grid-west", "west")):
            self.add_account(name, AccountRole.GRID_MEMBER, f"{side}-village")
            with database.write() as connection:
                bound = update(Account).where(Account.username == name).values(grid_id=self.grids[grid])
                connection.execute(bound)
        self.open_desks()

    def open_desks(self) -> None:
        """As a hub makes them at its start."""
        self.matters = MatterDesk(self.database, vault(), self.clock, new_id, self.limits, self.roster)
        self.orders = OrderDesk(self.database, self.clock, new_id)

    def enter(
        self,
        name: str = "centre-east",
        place: str | None = "east-501",
        grid: str | None = None,
        kind: str = "repair",
        text: str = "the lamp on the stairs is out",
        request: UUID | None = None,
        reporter: Reporter | None = REPORTER,
    ) -> str:
        """Its number."""
        wanted = MatterRequest(
            kind=kind,
            text=text,
            place=self.places[place] if place else None,
            grid=self.grids[grid] if grid else None,
            reported_by=ReportedBy.RESIDENT,
            reporter=reporter,
            request=request,
        )
        actor = self.actor(name)
        return self.matters.enter(wanted, Enterer(actor.account_id, actor.scope, actor.origin))

    def id_of(self, number: str) -> UUID:
        return self.matters.show(number, WHOLE).alarm.alarm.id

    def row(self, number: str) -> Row:
        """The row of `alarm`."""
        found = self.id_of(number)
        return next(alarm for alarm in self.alarms() if alarm.id == found)

    def rows(self) -> list[Row]:
        """Those of `matter`."""
        with self.database.read() as connection:
            return list(connection.execute(select(Matter.__table__).order_by(Matter.number)))

    def order(self, order: UUID) -> Row:
        with self.database.read() as connection:
            return connection.execute(select(WorkOrder.__table__).where(WorkOrder.id == order)).one()

    def _add_grid(self, name: str, side: str, place: str) -> None:
        self.grids[name] = new_id()
        values = {"name": name, "level": 1, "place_id": self.places[f"{side}-village"], "since": START}
        with self.database.write() as connection:
            connection.execute(insert(Grid).values(id=self.grids[name], code=name, **values))
            lies = {"place_id": self.places[place], "since": START, "grid_id": self.grids[name]}
            connection.execute(insert(GridPlace).values(**lies))
