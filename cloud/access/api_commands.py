"""Routes of commands: open, free and lock doors, forgive anti-passback, hold evidence, lock down with two people."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy import select

from cloud.access import areas, lockdown
from cloud.access.doors import door_id
from cloud.access.errors import NotThere
from cloud.access.office import DoorOffice
from cloud.access.problems import documented
from cloud.access.routes import Admission, Code, DeviceName, GatewayName, Identifier, Listing, Sent, new_router
from cloud.access.values.commands import Asked, HoldRequest, HoldSent, LockdownRequest, LockdownValue, ModeChange
from cloud.accounts import SignedIn
from cloud.database.tables import Gateway
from cloud.register.doors import DoorKey
from cloud.register.errors import RegisterError
from protocols.commands import DoorModeSet, DoorRelease, EvidenceHold, Forgive, Lockdown

_ACTS = documented(403, 404, 409, 422, 503)
_HOLDS = documented(403, 404, 422, 503)


def command_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Commands to single doors and areas."""
    router = new_router("commands", may.act)
    operator = Depends(may.act)

    @router.post("/doors/{gateway}/{device}/release", status_code=202, responses=_ACTS)
    def release_door(gateway: GatewayName, device: DeviceName, asked: Asked, by: Annotated[SignedIn, operator]) -> Sent:
        """Open a door once. The command lives for eight seconds; who, why and how it ended are in the audit."""
        _check_door(office, gateway, device, by)
        args = DoorRelease(door=device)
        return Sent(commands=(office.command(gateway, args, by.account_id, asked.why, {"door": device}),))

    @router.post("/doors/{gateway}/{device}/mode", status_code=202, responses=_ACTS)
    def set_mode(
        gateway: GatewayName, device: DeviceName, change: ModeChange, by: Annotated[SignedIn, operator]
    ) -> Sent:
        """Let a door stand free, lock it, or give it back to its rules. A way out is never blocked."""
        _check_door(office, gateway, device, by)
        if change.until is not None and change.until <= office.now():
            raise RegisterError("until", "it is past", "leave it out, or name a later moment")
        args = DoorModeSet(door=device, mode=change.mode, until=change.until)
        detail = {"door": device, "mode": change.mode.value, "until": change.until.isoformat() if change.until else ""}
        return Sent(commands=(office.command(gateway, args, by.account_id, change.why, detail),))

    @router.post("/areas/{code}/forgive", status_code=202, responses=_ACTS)
    def forgive(code: Code, asked: Asked, by: Annotated[SignedIn, operator]) -> Sent:
        """Forget who is in an area, at every gateway with a reader that leads into it."""
        with office.database.read() as connection:
            areas.own_area(connection, code, by.scope)
            gateways = areas.gateways_of(connection, code)
        args, detail = Forgive(area=code), {"area": code}
        return Sent(commands=tuple(office.command(each, args, by.account_id, asked.why, detail) for each in gateways))

    return router


def hold_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Holds of evidence at gateways, for a case. They outlive the days of retention."""
    router = new_router("holds", may.hold)
    holder = Depends(may.hold)

    @router.post("/gateways/{gateway}/holds", status_code=202, responses=_HOLDS)
    def hold_evidence(gateway: GatewayName, wanted: HoldRequest, by: Annotated[SignedIn, holder]) -> HoldSent:
        """Keep what was filmed, whatever its days and the disk say, until the hold is ended."""
        _check_gateway(office, gateway, by)
        if wanted.until <= wanted.since:
            raise RegisterError("until", "it is not after since", "name a later moment")
        hold = office.make_id()
        args = EvidenceHold(hold=hold, active=True, camera=wanted.camera, since=wanted.since, until=wanted.until)
        detail = {
            "hold": str(hold),
            "camera": wanted.camera or "",
            "since": wanted.since.isoformat(),
            "until": wanted.until.isoformat(),
        }
        return HoldSent(hold=hold, command=office.command(gateway, args, by.account_id, wanted.why, detail))

    @router.post("/gateways/{gateway}/holds/{identifier}/end", status_code=202, responses=_HOLDS)
    def end_hold(gateway: GatewayName, identifier: Identifier, asked: Asked, by: Annotated[SignedIn, holder]) -> Sent:
        """End a hold: what it kept goes when its own time is over."""
        _check_gateway(office, gateway, by)
        now = office.now()
        args = EvidenceHold(hold=identifier, active=False, since=now, until=now + timedelta(seconds=1))
        corr = office.command(gateway, args, by.account_id, asked.why, {"hold": str(identifier), "end": "yes"})
        return Sent(commands=(corr,))

    return router


def lockdown_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Lockdowns: one person asks, another confirms."""
    router = new_router("lockdowns", may.read)
    operator, viewer = Depends(may.lock_down), Depends(may.read)

    @router.get("/lockdowns", responses=documented(503))
    def list_lockdowns(by: Annotated[SignedIn, viewer]) -> Listing[LockdownValue]:
        """The newest hundred."""
        with office.database.read() as connection:
            return Listing(items=tuple(lockdown.list_lockdowns(connection, within=by.scope)))

    @router.get("/lockdowns/{identifier}", responses=documented(404, 422, 503))
    def show_lockdown(identifier: Identifier, by: Annotated[SignedIn, viewer]) -> LockdownValue:
        """One lockdown."""
        with office.database.read() as connection:
            return lockdown.find(connection, identifier, by.scope)

    @router.post("/lockdowns", status_code=201, responses=documented(403, 422, 503))
    def ask_for_lockdown(wanted: LockdownRequest, by: Annotated[SignedIn, operator]) -> LockdownValue:
        """Ask for a lockdown. Nothing happens at the doors until another person confirms, within five minutes."""
        with office.database.write() as connection:
            asked = lockdown.ask(connection, office.make_id, wanted, by.account_id, office.now(), by.scope)
        office.changed(by.account_id, "lockdown.ask", lockdown=str(asked.id), why=asked.why)
        return asked

    @router.post("/lockdowns/{identifier}/confirm", responses=_ACTS)
    def confirm_lockdown(identifier: Identifier, by: Annotated[SignedIn, operator]) -> LockdownValue:
        """Agree to another person's lockdown: the doors are locked at once. Ways out stay open."""
        _check_lockdown(office, identifier, by)
        office.changed(by.account_id, "lockdown.confirm", lockdown=str(identifier))
        with office.database.write() as connection:
            active = lockdown.confirm(connection, identifier, by.account_id, office.now())
        return send_lockdown(office, active)

    @router.post("/lockdowns/{identifier}/repeat", responses=_ACTS)
    def repeat_lockdown(identifier: Identifier, by: Annotated[SignedIn, operator]) -> LockdownValue:
        """Send the commands of an active lockdown again, for a gateway that was away."""
        _check_lockdown(office, identifier, by)
        with office.database.read() as connection:
            active = lockdown.active(connection, identifier)
        office.changed(by.account_id, "lockdown.repeat", lockdown=str(identifier))
        return send_lockdown(office, active)

    @router.post("/lockdowns/{identifier}/end", responses=_ACTS)
    def end_lockdown(identifier: Identifier, by: Annotated[SignedIn, operator]) -> LockdownValue:
        """End a lockdown, or take one back that waits. A gateway that another lockdown holds stays locked."""
        _check_lockdown(office, identifier, by)
        office.changed(by.account_id, "lockdown.end", lockdown=str(identifier))
        return end_and_send(office, identifier, by.account_id)

    return router


def send_lockdown(office: DoorOffice, active: LockdownValue) -> LockdownValue:
    """Send the commands of an active lockdown, in the name of who asked and who confirmed."""
    args = Lockdown(active=True, confirmed_by=str(active.confirmed_by))
    return active.model_copy(update={"commands": _send(office, active, args, active.asked_by, set())})


def end_and_send(office: DoorOffice, identifier: UUID, account: UUID) -> LockdownValue:
    """End a lockdown and let its doors go, but for those that another one holds.

    Raises:
        NotThere, NotNow: as `lockdown.end`.
    """
    with office.database.write() as connection:
        ended, was_active = lockdown.end(connection, identifier, account, office.now())
        held = lockdown.held_by_others(connection, ended) if was_active else set(ended.gateways)
    commands = _send(office, ended, Lockdown(active=False), account, held)
    return ended.model_copy(update={"commands": commands})


def _send(
    office: DoorOffice, value: LockdownValue, args: Lockdown, account: UUID, without: set[str]
) -> tuple[UUID, ...]:
    detail = {"lockdown": str(value.id), "active": str(args.active).lower()}
    gateways = [each for each in value.gateways if each not in without]
    return tuple(office.command(each, args, account, value.why, detail) for each in gateways)


def _check_lockdown(office: DoorOffice, identifier: UUID, by: SignedIn) -> None:
    with office.database.read() as connection:
        lockdown.find(connection, identifier, by.scope)


def _check_gateway(office: DoorOffice, gateway: str, by: SignedIn) -> None:
    query = select(Gateway.id).where(Gateway.id == gateway, by.scope.holds_gateway(Gateway.id))
    with office.database.read() as connection:
        if connection.execute(query).first() is None:
            raise NotThere("gateway", f"there is no gateway {gateway}", "see: gatehouse hub gateways list")


def _check_door(office: DoorOffice, gateway: str, device: str, by: SignedIn) -> None:
    with office.database.read() as connection:
        door_id(connection, DoorKey(gateway, device), by.scope)
