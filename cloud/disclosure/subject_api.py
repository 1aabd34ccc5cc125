"""Routes for what a person asks of the data about him, and for holds of it. Two accounts take part in each request."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from cloud.access.office import DoorOffice
from cloud.access.problems import ProblemRoute, documented
from cloud.access.routes import Identifier, Listing, Made
from cloud.accounts import Permission, SignedIn
from cloud.console.guard import Guard
from cloud.disclosure import requests
from cloud.disclosure.collecting import Breadth, collect
from cloud.disclosure.erasing import Plan, erase, plan, proof
from cloud.disclosure.requests import RequestKind
from cloud.disclosure.reveal import check_person
from cloud.disclosure.values import (
    ErasureLine,
    ErasurePlan,
    HoldValue,
    HoldWanted,
    PersonExport,
    SubjectRequestValue,
    SubjectWanted,
)

_LISTS, _ACTS = documented(403, 503), documented(403, 404, 409, 422, 503)


def subject_router(office: DoorOffice, guard: Guard) -> APIRouter:
    """Below `/api/v1`; every error is a problem detail."""
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["requests of persons"]}
    router = APIRouter(prefix="/api/v1", **options)
    reader = Depends(guard.may(Permission.ANSWER_REQUESTS))
    clerk = Depends(guard.may_change(Permission.ANSWER_REQUESTS))

    @router.post("/people/{identifier}/requests", status_code=201, responses=_ACTS)
    def ask_for_person(
        identifier: Identifier, wanted: SubjectWanted, by: Annotated[SignedIn, clerk]
    ) -> SubjectRequestValue:
        """Ask, for a person, for all that the hub holds of him, or to erase it. Another account confirms it."""
        with office.database.read() as connection:
            requests.check_whole_person(connection, identifier, office.reach(by))
        detail = {"person": str(identifier), "purpose": wanted.purpose, "case": wanted.case_number}
        office.audit.append(f"person.{wanted.kind}.ask", by.account_id, detail, subjects=(identifier,))
        with office.database.write() as connection:
            return requests.ask(connection, office.make_id, identifier, wanted, by.account_id, office.now())

    @router.get("/subject-requests", responses=_LISTS)
    def list_requests(by: Annotated[SignedIn, reader]) -> Listing[SubjectRequestValue]:
        """The requests that wait for another account, that are open, or of which something is left."""
        with office.database.read() as connection:
            return Listing(items=tuple(requests.waiting(connection, office.reach(by))))

    @router.post("/subject-requests/{identifier}/confirm", responses=_ACTS)
    def confirm_request(identifier: Identifier, by: Annotated[SignedIn, clerk]) -> SubjectRequestValue:
        """Agree to another account's request."""
        with office.database.write() as connection:
            confirmed = requests.confirm(connection, identifier, by.account_id, office.reach(by))
        _note(office, f"person.{confirmed.kind}.confirm", by, confirmed)
        return confirmed

    @router.get("/subject-requests/{identifier}/plan", responses=_ACTS)
    def show_plan(identifier: Identifier, by: Annotated[SignedIn, reader]) -> ErasurePlan:
        """What an erasure would do now: what goes, what stays, and why. Nothing is changed."""
        with office.database.read() as connection:
            found = requests.find(connection, identifier, office.reach(by))
            return told(plan(connection, found.person))

    @router.post("/subject-requests/{identifier}/export", responses=_ACTS)
    def export_person(identifier: Identifier, by: Annotated[SignedIn, clerk]) -> PersonExport:
        """All that the hub holds of the person, for who asked, once another account has confirmed it. Service
        categories are told by an officer for categories, and events by whose part of the hub they happened in."""
        with office.database.read() as connection:
            found = requests.opened(connection, identifier, RequestKind.EXPORT, by.account_id, office.reach(by))
        _note(office, "person.export", by, found)
        with office.database.read() as connection:
            breadth = Breadth(by.scope, with_categories=Permission.CATEGORIES in by.permissions)
            answer = collect(connection, office.vault, found.person, breadth)
        with office.database.write() as connection:
            requests.close(connection, identifier, office.now())
        return answer

    @router.post("/subject-requests/{identifier}/erase", responses=_ACTS)
    def erase_person(identifier: Identifier, by: Annotated[SignedIn, clerk]) -> ErasurePlan:
        """Erase the person, for who asked, once another account has confirmed it. What a case needs stays until it is
        over, and goes by itself then."""
        with office.database.read() as connection:
            found = requests.opened(connection, identifier, RequestKind.ERASE, by.account_id, office.reach(by))
        _note(office, "person.erase", by, found)
        with office.database.write() as connection:
            done = erase(connection, found.person, office.now())
            requests.close(connection, identifier, office.now(), is_left=not done.is_whole)
        office.audit.append("person.erased", by.account_id, proof(done), subjects=(found.person,))
        return told(done)

    _add_holds(router, office, guard)
    return router


def _add_holds(router: APIRouter, office: DoorOffice, guard: Guard) -> None:
    reader = Depends(guard.may(Permission.HOLD_EVIDENCE))
    holder = Depends(guard.may_change(Permission.HOLD_EVIDENCE))

    @router.get("/person-holds", responses=_LISTS)
    def list_holds(by: Annotated[SignedIn, reader]) -> Listing[HoldValue]:
        """The cases that hold the data of people within the account's part of the hub."""
        with office.database.read() as connection:
            return Listing(items=tuple(requests.holds(connection, office.reach(by))))

    @router.post("/people/{identifier}/holds", status_code=201, responses=_ACTS)
    def hold_person(identifier: Identifier, wanted: HoldWanted, by: Annotated[SignedIn, holder]) -> Made:
        """Let nothing of a person's data go while a case needs it: neither by its days nor by an erasure."""
        with office.database.read() as connection:
            check_person(connection, identifier, office.reach(by))
        detail = {"person": str(identifier), "purpose": wanted.purpose, "case": wanted.case_number}
        office.audit.append("person.hold", by.account_id, detail, subjects=(identifier,))
        with office.database.write() as connection:
            asked = (wanted.purpose, wanted.case_number, by.account_id, office.now())
            return Made(id=requests.hold(connection, office.make_id, identifier, *asked))

    @router.post("/person-holds/{identifier}/end", responses=_ACTS)
    def end_hold(identifier: Identifier, by: Annotated[SignedIn, holder]) -> HoldValue:
        """End a hold: what waited for it goes by itself."""
        with office.database.write() as connection:
            ended = requests.end_hold(connection, identifier, by.account_id, office.reach(by))
        detail = {"person": str(ended.person), "case": ended.case_number}
        office.audit.append("person.hold.end", by.account_id, detail, subjects=(ended.person,))
        return ended


def told(done: Plan) -> ErasurePlan:
    """A plan as the API tells it."""
    lines = tuple(ErasureLine(what=e.what, goes=e.goes, stays=e.stays, why=e.why) for e in done.lines)
    return ErasurePlan(lines=lines, held_by=done.held_by, is_whole=done.is_whole)


def _note(office: DoorOffice, action: str, by: SignedIn, request: SubjectRequestValue) -> None:
    detail = {"person": str(request.person), "purpose": request.purpose, "case": request.case_number}
    office.audit.append(action, by.account_id, {**detail, "request": str(request.id)}, subjects=(request.person,))
