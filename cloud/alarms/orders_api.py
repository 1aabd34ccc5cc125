"""The routes of work orders. An order is seen by the member that it was given to, and by centres above."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from cloud.access.problems import ProblemRoute, documented
from cloud.access.routes import Identifier, Listing
from cloud.accounts import Permission, SignedIn
from cloud.alarms.api import AlarmOffice
from cloud.alarms.desk import Actor
from cloud.alarms.orders import OrderDesk, read_order, read_orders
from cloud.alarms.reach import Sees
from cloud.alarms.values import AcknowledgeRequest, NoteRequest, OrderRequest, OrderRow
from cloud.console.guard import Guard

_ACTS = documented(403, 404, 409, 422, 503)


def order_router(office: AlarmOffice, orders: OrderDesk, guard: Guard) -> APIRouter:
    """Every route of work orders."""
    see = guard.may(Permission.SEE_ALARMS)
    handle, give = guard.may_change(Permission.HANDLE_ALARMS), guard.may_change(Permission.GIVE_ORDERS)
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["work orders"]}
    router = APIRouter(prefix="/api/v1", **options)

    def done(actor: Actor, what: str, order: Any) -> OrderRow:
        office.changed()
        office.audit.append(f"order.{what}", actor.account_id, {"order": str(order)})
        with office.database.read() as connection:
            return read_order(connection, actor.scope, actor.sees, order)

    @router.get("/orders", responses=documented(403, 422, 503))
    def list_orders(by: Annotated[SignedIn, Depends(see)], running: bool = True) -> Listing[OrderRow]:
        """One's own orders, or those of one's part of the hub, those due first; `running=false`: ended ones too."""
        with office.database.read() as connection:
            return Listing(items=tuple(read_orders(connection, by.scope, Sees.by(by), running=running)))

    @router.get("/orders/{identifier}", responses=documented(403, 404, 422, 503))
    def one(identifier: Identifier, by: Annotated[SignedIn, Depends(see)]) -> OrderRow:
        """One order; its steps are among those of its alarm."""
        with office.database.read() as connection:
            return read_order(connection, by.scope, Sees.by(by), identifier)

    @router.post("/alarms/{identifier}/orders", status_code=201, responses=_ACTS)
    def give_order(
        identifier: Identifier, wanted: OrderRequest, request: Request, by: Annotated[SignedIn, Depends(give)]
    ) -> OrderRow:
        """Ask a grid member, whose grid the alarm or matter lies in, to do something until a moment."""
        actor = office.actor(request, by)
        order = orders.give(identifier, actor, wanted.assignee, wanted.what, wanted.due)
        return done(actor, "give", order)

    @router.post("/orders/{identifier}/accept", responses=_ACTS)
    def accept(
        identifier: Identifier, wanted: AcknowledgeRequest, request: Request, by: Annotated[SignedIn, Depends(handle)]
    ) -> OrderRow:
        """Say that one will do it."""
        actor = office.actor(request, by)
        orders.accept(identifier, actor, wanted.note)
        return done(actor, "accept", identifier)

    @router.post("/orders/{identifier}/refuse", responses=_ACTS)
    def refuse(
        identifier: Identifier, wanted: NoteRequest, request: Request, by: Annotated[SignedIn, Depends(handle)]
    ) -> OrderRow:
        """Say why one will not."""
        actor = office.actor(request, by)
        orders.refuse(identifier, actor, wanted.note)
        return done(actor, "refuse", identifier)

    @router.post("/orders/{identifier}/done", responses=_ACTS)
    def finish(
        identifier: Identifier, wanted: NoteRequest, request: Request, by: Annotated[SignedIn, Depends(handle)]
    ) -> OrderRow:
        """Say what was done."""
        actor = office.actor(request, by)
        orders.finish(identifier, actor, wanted.note)
        return done(actor, "done", identifier)

    @router.post("/orders/{identifier}/withdraw", responses=_ACTS)
    def withdraw(
        identifier: Identifier, wanted: NoteRequest, request: Request, by: Annotated[SignedIn, Depends(give)]
    ) -> OrderRow:
        """Take it back."""
        actor = office.actor(request, by)
        orders.withdraw(identifier, actor, wanted.note)
        return done(actor, "withdraw", identifier)

    return router
