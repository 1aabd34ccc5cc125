"""Routes of doors, readers, areas, groups, schedules and holidays."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from cloud.access import areas, doors, groups, holidays, schedules
from cloud.access.office import DoorOffice
from cloud.access.problems import documented
from cloud.access.routes import (
    Admission,
    Changed,
    Code,
    Day,
    DeviceName,
    GatewayName,
    Imported,
    Listing,
    ReaderName,
    new_router,
)
from cloud.access.values.doors import AreaChange, AreaValue, DoorChange, DoorValue, ReaderValue, RuleValue
from cloud.access.values.weeks import (
    GroupChange,
    GroupValue,
    HolidayChange,
    HolidayValue,
    ScheduleChange,
    ScheduleValue,
)
from cloud.accounts import SignedIn
from cloud.register.change import Change
from cloud.register.doors import DoorKey

_READ, _READ_ONE = documented(503), documented(404, 422, 503)
_PUT, _REMOVE = documented(403, 404, 409, 422, 503), documented(403, 404, 409, 422, 503)


def door_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Doors, their rules and their readers."""
    router = new_router("doors", may.read)
    manager, viewer = Depends(may.set_doors), Depends(may.read)

    @router.get("/doors", responses=_READ)
    def list_doors(by: Annotated[SignedIn, viewer]) -> Listing[DoorValue]:
        """Every door with its rule, readers and groups."""
        with office.database.read() as connection:
            return Listing(items=tuple(doors.list_doors(connection, within=by.scope)))

    @router.get("/doors/{gateway}/{device}", responses=_READ_ONE)
    def show_door(gateway: GatewayName, device: DeviceName, by: Annotated[SignedIn, viewer]) -> DoorValue:
        """One door with its rule, readers and groups."""
        with office.database.read() as connection:
            return doors.door(connection, DoorKey(gateway, device), by.scope)

    @router.put("/doors/{gateway}/{device}", responses=_PUT)
    def put_door(
        gateway: GatewayName, device: DeviceName, change: DoorChange, by: Annotated[SignedIn, manager]
    ) -> Changed:
        """Add a door that the gateway's configuration names, or change where it is and what it is called."""
        with office.database.write() as connection:
            done = doors.put_door(connection, office.make_id, DoorKey(gateway, device), change, by.scope)
        return _told(office, by, done, "door.put", gateway=gateway, door=device)

    @router.delete("/doors/{gateway}/{device}", status_code=204, responses=_REMOVE)
    def remove_door(gateway: GatewayName, device: DeviceName, by: Annotated[SignedIn, manager]) -> None:
        """Take a door out of the register, with its rule and readers. A group must not hold it any more."""
        with office.database.write() as connection:
            doors.remove_door(connection, DoorKey(gateway, device), by.scope)
        office.changed(by.account_id, "door.remove", gateway=gateway, door=device)

    @router.put("/doors/{gateway}/{device}/rule", responses=_PUT)
    def put_rule(
        gateway: GatewayName, device: DeviceName, rule: RuleValue, by: Annotated[SignedIn, manager]
    ) -> Changed:
        """Set what a door asks for, in force at a connected gateway within seconds."""
        with office.database.write() as connection:
            done = doors.put_rule(connection, DoorKey(gateway, device), rule, by.scope)
        return _told(office, by, done, "door.rule.put", gateway=gateway, door=device, rule=rule.model_dump_json())

    @router.delete("/doors/{gateway}/{device}/rule", status_code=204, responses=_REMOVE)
    def remove_rule(gateway: GatewayName, device: DeviceName, by: Annotated[SignedIn, manager]) -> None:
        """Let a door take any credential that has a right there."""
        with office.database.write() as connection:
            doors.remove_rule(connection, DoorKey(gateway, device), by.scope)
        office.changed(by.account_id, "door.rule.remove", gateway=gateway, door=device)

    @router.put("/doors/{gateway}/{device}/readers/{reader}", responses=_PUT)
    def put_reader(
        gateway: GatewayName,
        device: DeviceName,
        reader: ReaderName,
        change: ReaderValue,
        by: Annotated[SignedIn, manager],
    ) -> Changed:
        """Add a reader to a door, or change where it leads. The path names it; `device` in the body is overruled."""
        value = change.model_copy(update={"device": reader})
        with office.database.write() as connection:
            done = doors.put_reader(connection, DoorKey(gateway, device), value, by.scope)
        return _told(office, by, done, "reader.put", gateway=gateway, door=device, reader=reader, leads=value.leads)

    @router.delete("/doors/{gateway}/{device}/readers/{reader}", status_code=204, responses=_REMOVE)
    def remove_reader(
        gateway: GatewayName, device: DeviceName, reader: ReaderName, by: Annotated[SignedIn, manager]
    ) -> None:
        """Take a reader out of the register."""
        with office.database.write() as connection:
            doors.remove_reader(connection, DoorKey(gateway, device), reader, by.scope)
        office.changed(by.account_id, "reader.remove", gateway=gateway, door=device, reader=reader)

    return router


def area_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Areas and their anti-passback."""
    router = new_router("areas", may.read)
    manager, viewer = Depends(may.set_all), Depends(may.read)

    @router.get("/areas", responses=_READ)
    def list_areas(by: Annotated[SignedIn, viewer]) -> Listing[AreaValue]:
        """Every area."""
        with office.database.read() as connection:
            return Listing(items=tuple(areas.list_areas(connection, by.scope)))

    @router.get("/areas/{code}", responses=_READ_ONE)
    def show_area(code: Code, by: Annotated[SignedIn, viewer]) -> AreaValue:
        """One area."""
        with office.database.read() as connection:
            return areas.area(connection, code, by.scope)

    @router.put("/areas/{code}", responses=_PUT)
    def put_area(code: Code, change: AreaChange, by: Annotated[SignedIn, manager]) -> Changed:
        """Add an area, or change its anti-passback."""
        with office.database.write() as connection:
            done = areas.put_area(connection, code, change)
        return _told(office, by, done, "area.put", area=code, anti_passback=change.anti_passback)

    @router.delete("/areas/{code}", status_code=204, responses=_REMOVE)
    def remove_area(code: Code, by: Annotated[SignedIn, manager]) -> None:
        """Take an area away that no reader leads into."""
        with office.database.write() as connection:
            areas.remove_area(connection, code)
        office.changed(by.account_id, "area.remove", area=code)

    return router


def group_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Door groups."""
    router = new_router("groups", may.read)
    manager, viewer = Depends(may.set_all), Depends(may.read)

    @router.get("/groups", responses=_READ)
    def list_groups(by: Annotated[SignedIn, viewer]) -> Listing[GroupValue]:
        """Every door group with its doors and how many credentials have it."""
        with office.database.read() as connection:
            return Listing(items=tuple(groups.list_groups(connection, within=by.scope, now=office.now())))

    @router.get("/groups/{code}", responses=_READ_ONE)
    def show_group(code: Code, by: Annotated[SignedIn, viewer]) -> GroupValue:
        """One door group."""
        with office.database.read() as connection:
            return groups.group(connection, code, by.scope, office.now())

    @router.put("/groups/{code}", responses=_PUT)
    def put_group(code: Code, change: GroupChange, by: Annotated[SignedIn, manager]) -> Changed:
        """Add a group, or change the one with this code; it then holds exactly these doors."""
        with office.database.write() as connection:
            done = groups.put_group(connection, code, change)
        named = " ".join(f"{each.gateway}/{each.device}" for each in change.doors)
        return _told(office, by, done, "group.put", group=code, schedule=change.schedule, doors=named)

    @router.delete("/groups/{code}", status_code=204, responses=_REMOVE)
    def remove_group(code: Code, by: Annotated[SignedIn, manager]) -> None:
        """Take a group away that no credential ever had."""
        with office.database.write() as connection:
            groups.remove_group(connection, code)
        office.changed(by.account_id, "group.remove", group=code)

    return router


def schedule_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Schedules."""
    router = new_router("schedules", may.read)
    manager = Depends(may.set_all)

    @router.get("/schedules", responses=_READ)
    def list_schedules() -> Listing[ScheduleValue]:
        """Every week."""
        with office.database.read() as connection:
            return Listing(items=tuple(schedules.list_schedules(connection)))

    @router.get("/schedules/{code}", responses=_READ_ONE)
    def show_schedule(code: Code) -> ScheduleValue:
        """One week."""
        with office.database.read() as connection:
            return schedules.schedule(connection, code)

    @router.put("/schedules/{code}", responses=_PUT)
    def put_schedule(code: Code, change: ScheduleChange, by: Annotated[SignedIn, manager]) -> Changed:
        """Add a week, or change the one with this code."""
        with office.database.write() as connection:
            done = schedules.put_schedule(connection, code, change)
        week = ScheduleChange.model_dump_json(change, include={"intervals", "heeds_holidays"})
        return _told(office, by, done, "schedule.put", schedule=code, week=week)

    @router.delete("/schedules/{code}", status_code=204, responses=_REMOVE)
    def remove_schedule(code: Code, by: Annotated[SignedIn, manager]) -> None:
        """Take a week away that no group and no rule names."""
        with office.database.write() as connection:
            schedules.remove_schedule(connection, code)
        office.changed(by.account_id, "schedule.remove", schedule=code)

    return router


def holiday_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """The holiday calendar."""
    router = new_router("holidays", may.read)
    manager = Depends(may.set_all)

    @router.get("/holidays", responses=documented(422, 503))
    def list_holidays(
        year: Annotated[int | None, Query(ge=2000, le=2200, examples=[2026])] = None,
    ) -> Listing[HolidayValue]:
        """The special days, of a year or of all."""
        with office.database.read() as connection:
            return Listing(items=tuple(holidays.list_holidays(connection, year)))

    @router.put("/holidays/{day}", responses=_PUT)
    def put_holiday(day: Day, change: HolidayChange, by: Annotated[SignedIn, manager]) -> Changed:
        """Set what a day counts as."""
        with office.database.write() as connection:
            done = holidays.put_holiday(connection, day, change)
        return _told(office, by, done, "holiday.put", day=day.isoformat(), counts_as=change.counts_as)

    @router.delete("/holidays/{day}", status_code=204, responses=_REMOVE)
    def remove_holiday(day: Day, by: Annotated[SignedIn, manager]) -> None:
        """Make a day a day as others."""
        with office.database.write() as connection:
            holidays.remove_holiday(connection, day)
        office.changed(by.account_id, "holiday.remove", day=day.isoformat())

    @router.post("/holidays/import", responses=documented(403, 422, 503))
    def import_holidays(days: Listing[HolidayValue], by: Annotated[SignedIn, manager]) -> Imported:
        """Take many days in, all or none; days that are not named stay as they are."""
        with office.database.write() as connection:
            counts = holidays.put_holidays(connection, days.items)
        office.changed(by.account_id, "holiday.import", added=counts[Change.ADDED], updated=counts[Change.UPDATED])
        return Imported(**{change.value: count for change, count in counts.items()})

    return router


def _told(office: DoorOffice, by: SignedIn, change: Change, action: str, **detail: str | int) -> Changed:
    """Audit what changed something, and answer."""
    if change is not Change.UNCHANGED:
        office.changed(by.account_id, action, **detail)
    return Changed(change=change)
