"""Routes that tell more of a person than the mask does, and the auditor's: who looked at whom."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends

from cloud.access.office import DoorOffice
from cloud.access.problems import ProblemRoute, documented
from cloud.access.routes import Identifier, Listing
from cloud.accounts import Permission, SignedIn
from cloud.audit import looks_at
from cloud.console.guard import Guard
from cloud.disclosure import histories
from cloud.disclosure.histories import Histories
from cloud.disclosure.reveal import check_person, reveal
from cloud.disclosure.values import HistoryAnswer, HistoryRequest, HistoryValue, Look, Revealed, RevealRequest

_ONE = documented(403, 404, 422, 503)
_ACTS = documented(403, 404, 409, 422, 503)


def disclosure_router(office: DoorOffice, guard: Guard, requests: Histories) -> APIRouter:
    """Below `/api/v1`; every error is a problem detail."""
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["people"]}
    router = APIRouter(prefix="/api/v1", **options)
    reader, asker = Depends(guard.may(Permission.READ_HISTORY)), Depends(guard.may_change(Permission.READ_HISTORY))

    @router.post("/people/{identifier}/reveal", responses=_ONE)
    def reveal_person(
        identifier: Identifier,
        wanted: RevealRequest,
        by: Annotated[SignedIn, Depends(guard.may_change(Permission.REVEAL))],
    ) -> Revealed:
        """Name, phone number or the end of the ID number, unmasked. Who saw what, and why, is written down first."""
        with office.database.read() as connection:
            check_person(connection, identifier, office.reach(by))
        fields = " ".join(sorted(wanted.fields))
        detail = {"person": str(identifier), "fields": fields, "purpose": wanted.purpose}
        office.audit.append("person.reveal", by.account_id, detail, subjects=(identifier,))
        with office.database.read() as connection:
            return reveal(connection, office.vault, identifier, wanted)

    @router.post("/people/{identifier}/histories", status_code=201, responses=_ONE)
    def ask_for_history(identifier: Identifier, wanted: HistoryRequest, by: Annotated[SignedIn, asker]) -> HistoryValue:
        """Ask where a person went, for a case. Above the daily limit another person has to confirm it."""
        with office.database.read() as connection:
            check_person(connection, identifier, office.reach(by))
        _note(office, "person.history.ask", by, identifier, purpose=wanted.purpose, case=wanted.case_number)
        with office.database.write() as connection:
            return requests.ask(connection, identifier, wanted, by.account_id, office.now())

    @router.get("/histories/waiting", responses=documented(403, 503))
    def list_waiting(by: Annotated[SignedIn, reader]) -> Listing[HistoryValue]:
        """The requests that wait for another person."""
        with office.database.read() as connection:
            return Listing(items=tuple(histories.waiting(connection, office.reach(by))))

    @router.post("/histories/{identifier}/confirm", responses=_ACTS)
    def confirm_history(identifier: Identifier, by: Annotated[SignedIn, asker]) -> HistoryValue:
        """Agree to another person's request."""
        with office.database.write() as connection:
            confirmed = histories.confirm(connection, identifier, by.account_id, office.reach(by))
        _note(office, "person.history.confirm", by, confirmed.person, request=str(identifier))
        return confirmed

    @router.get("/histories/{identifier}/events", responses=_ACTS)
    def read_history(identifier: Identifier, by: Annotated[SignedIn, reader]) -> HistoryAnswer:
        """The history that one asked for, within a day. Each time it is read is written down first."""
        with office.database.read() as connection:
            found = histories.opened(connection, identifier, by.account_id, office.reach(by))
        _note(office, "person.history", by, found.person, purpose=found.purpose, case=found.case_number)
        with office.database.read() as connection:
            return histories.read(connection, found, by.scope)

    _add_audit(router, office, guard)
    return router


def _add_audit(router: APIRouter, office: DoorOffice, guard: Guard) -> None:
    auditor: Callable[..., SignedIn] = guard.may(Permission.READ_AUDIT)

    @router.get("/audit/subjects/{identifier}", responses=_ONE)
    def who_looked(identifier: Identifier, by: Annotated[SignedIn, Depends(auditor)]) -> Listing[Look]:
        """Who saw what of a person beyond the mask, when and what for: what the person may ask to know. Newest first,
        a thousand at the most; to ask this is written down too."""
        with office.database.read() as connection:
            check_person(connection, identifier, office.reach(by))
        _note(office, "person.looks", by, identifier)
        return Listing(items=tuple(Look(**found._asdict()) for found in looks_at(office.database, identifier)))


def _note(office: DoorOffice, action: str, by: SignedIn, person: UUID, **detail: str) -> None:
    office.audit.append(action, by.account_id, {"person": str(person), **detail}, subjects=(person,))
