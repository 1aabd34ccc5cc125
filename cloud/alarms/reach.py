"""What an account sees of alarms, matters and work orders, as conditions in the query."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, true

from cloud.accounts.permissions import PERMISSIONS, Permission
from cloud.accounts.scope import Scope
from cloud.accounts.sessions import SignedIn
from cloud.alarms.states import ORDER_MOVES, Source
from cloud.database.tables import AccountRole, Alarm, AlarmStep, WorkOrder

SEE_OWN_ORDERS = frozenset({AccountRole.GUARD, AccountRole.GRID_MEMBER})
"""Roles that see no work orders but those given to the account."""


@dataclass(frozen=True)
class Sees:
    """What of the alarms' table an account sees within its scope.

    Attributes:
        matters: matters too.
        only_orders_of: of work orders only those given to this account; None: all.
    """

    matters: bool = True
    only_orders_of: UUID | None = None

    @classmethod
    def of(cls, account: UUID, role: AccountRole, permissions: frozenset[Permission] | None = None) -> Self:
        """What an account sees; `permissions` of a program's token may be fewer than the role's."""
        held = PERMISSIONS[role] if permissions is None else permissions
        return cls(Permission.SEE_MATTERS in held, account if role in SEE_OWN_ORDERS else None)

    @classmethod
    def by(cls, signed_in: SignedIn) -> Self:
        """What the account behind a request sees."""
        return cls.of(signed_in.account_id, signed_in.role, signed_in.permissions)

    def alarm(self, scope: Scope) -> ColumnElement[bool]:
        """The condition on `Alarm`."""
        return covers(scope) if self.matters else and_(covers(scope), Alarm.source == Source.RULE)

    def order(self) -> ColumnElement[bool]:
        """The condition on `WorkOrder`, beside that on its alarm."""
        return true() if self.only_orders_of is None else WorkOrder.assignee_id == self.only_orders_of

    def step(self) -> ColumnElement[bool]:
        """The condition on `AlarmStep`: those of others' work orders are not shown."""
        if self.only_orders_of is None:
            return true()
        own = select(WorkOrder.id).where(WorkOrder.assignee_id == self.only_orders_of)
        return or_(AlarmStep.move.not_in(ORDER_MOVES), AlarmStep.order_id.in_(own))


EVERYTHING = Sees()


def covers(scope: Scope) -> ColumnElement[bool]:
    """The condition that an alarm lies in a scope: by its place, or by the grid that it was raised in."""
    by_place = scope.covers_place(Alarm.place_id)
    return by_place if scope.grid_id is None else or_(by_place, scope.covers_grid(Alarm.grid_id))
