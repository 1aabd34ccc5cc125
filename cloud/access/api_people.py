"""Routes of credentials, passes and leases: what persons hold, and for how long."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from cloud.access import credentials, leases, passes, people
from cloud.access.office import DoorOffice
from cloud.access.problems import documented
from cloud.access.routes import Admission, Identifier, Listing, Made, new_router
from cloud.access.values.leases import DealtWith, GraceChange, LeaseNotices, LeaseValue
from cloud.access.values.passes import IssuedPass, PassRequest, PassValue, QrCode
from cloud.access.values.people import CredentialChange, CredentialValue, NewCredential, PersonValue
from cloud.accounts import SignedIn

_CHANGES = documented(403, 404, 409, 422, 503)
_READS = documented(403, 404, 422, 503)
_PERSON = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


def credential_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Residents of a dwelling, and their cards, PINs and plates. For administrators."""
    router = new_router("credentials", may.see_people)
    viewer, manager = Depends(may.see_people), Depends(may.give)

    @router.get("/residents", responses=_READS)
    def list_residents(
        by: Annotated[SignedIn, viewer], dwelling: Annotated[str, Query(max_length=64, examples=["aj-3-2-501"])]
    ) -> Listing[PersonValue]:
        """Who lives in a dwelling now or will, with masked names: to find the person that a credential is for."""
        with office.database.read() as connection:
            return Listing(items=tuple(people.residents(connection, dwelling, office.now(), by.scope)))

    @router.get("/credentials", responses=_READS)
    def list_credentials(
        by: Annotated[SignedIn, viewer], person: Annotated[UUID, Query(examples=[_PERSON])]
    ) -> Listing[CredentialValue]:
        """What a person holds, without numbers and PINs."""
        with office.database.read() as connection:
            found = credentials.credentials_of(connection, office.vault, person, office.reach(by))
        return Listing(items=tuple(found))

    @router.get("/credentials/{credential}", responses=_READS)
    def show_credential(credential: Identifier, by: Annotated[SignedIn, viewer]) -> CredentialValue:
        """One credential, without number and PINs."""
        with office.database.read() as connection:
            return credentials.credential(connection, office.vault, credential, office.reach(by))

    @router.post("/credentials", status_code=201, responses=_CHANGES)
    def add_credential(new: NewCredential, by: Annotated[SignedIn, manager]) -> Made:
        """Give a person a card, a PIN that opens by itself, or a plate."""
        with office.database.write() as connection:
            made = credentials.add_credential(connection, office.vault, office.make_id, new, office.reach(by))
        office.changed(by.account_id, "credential.add", credential=str(made), kind=new.kind)
        return Made(id=made)

    @router.put("/credentials/{credential}", responses=_CHANGES)
    def change_credential(
        credential: Identifier, change: CredentialChange, by: Annotated[SignedIn, manager]
    ) -> CredentialValue:
        """Change groups, validity, uses and PINs. What is left out takes its default; PINs stay as they are."""
        with office.database.write() as connection:
            credentials.change_credential(connection, office.vault, credential, change, office.reach(by))
            found = credentials.credential(connection, office.vault, credential, office.reach(by))
        groups = " ".join(found.groups)
        office.changed(by.account_id, "credential.change", credential=str(credential), groups=groups)
        return found

    @router.delete("/credentials/{credential}", status_code=204, responses=_CHANGES)
    def revoke_credential(credential: Identifier, by: Annotated[SignedIn, manager]) -> None:
        """Revoke a credential at every door, within seconds where the gateway is connected."""
        with office.database.write() as connection:
            credentials.remove_credential(connection, credential, office.now(), office.reach(by))
        office.changed(by.account_id, "credential.revoke", credential=str(credential))

    return router


def pass_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Passes of guests, helpers and couriers."""
    router = new_router("passes", may.see_passes)
    viewer, manager = Depends(may.see_passes), Depends(may.give)

    @router.get("/passes", responses=documented(422, 503))
    def list_passes(
        by: Annotated[SignedIn, viewer],
        host: Annotated[UUID | None, Query(examples=[_PERSON])] = None,
        running: Annotated[bool, Query(description="Only those that are not over.", examples=[True])] = True,
    ) -> Listing[PassValue]:
        """Passes, newest first, a thousand at the most; without their codes."""
        with office.database.read() as connection:
            found = passes.list_passes(connection, host, office.now() if running else None, office.reach(by))
        return Listing(items=tuple(found))

    @router.get("/passes/{identifier}", responses=documented(404, 422, 503))
    def show_pass(identifier: Identifier, by: Annotated[SignedIn, viewer]) -> PassValue:
        """One pass, without its codes."""
        with office.database.read() as connection:
            return passes.find(connection, identifier, office.reach(by))

    @router.post("/passes", status_code=201, responses=_CHANGES)
    def make_pass(wanted: PassRequest, by: Annotated[SignedIn, manager]) -> IssuedPass:
        """Make a pass and hand out its QR codes, or a courier's one-time code, which is shown this once."""
        with office.database.write() as connection:
            issued = office.passes.create(connection, wanted, by.account_id, office.now(), office.reach(by))
        office.changed(by.account_id, "pass.make", access_pass=str(issued.id), kind=wanted.kind, host=str(wanted.host))
        return issued

    @router.post("/passes/{identifier}/codes", responses=_CHANGES)
    def issue_codes(identifier: Identifier, by: Annotated[SignedIn, manager]) -> Listing[QrCode]:
        """New QR codes for a pass whose first have run out (31 days) or were lost."""
        with office.database.write() as connection:
            codes = office.passes.issue(connection, identifier, office.now(), office.reach(by))
        office.changed(by.account_id, "pass.issue", access_pass=str(identifier))
        return Listing(items=codes)

    @router.delete("/passes/{identifier}", status_code=204, responses=_CHANGES)
    def revoke_pass(identifier: Identifier, by: Annotated[SignedIn, manager]) -> None:
        """End a pass at once; a gateway that cannot be reached takes its QR code until it hears of it or `offline_s`
        is over."""
        with office.database.write() as connection:
            passes.revoke(connection, identifier, office.now(), office.reach(by))
        office.changed(by.account_id, "pass.revoke", access_pass=str(identifier))

    return router


def lease_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """Leases that end, and the days of grace. For administrators."""
    router = new_router("leases", may.see_people)
    viewer = Depends(may.see_people)

    @router.get("/leases", responses=documented(403, 422, 503))
    def list_leases(
        by: Annotated[SignedIn, viewer], days: Annotated[int, Query(ge=1, le=366, examples=[7])] = 7
    ) -> Listing[LeaseValue]:
        """The leases that end within so many days and end their tenant's access, and those in grace, with the warnings
        told (7, 3, 1) and who dealt with them."""
        with office.database.read() as connection:
            within = timedelta(days=days)
            found = leases.ending_leases(connection, office.now(), within, grace=True, scope=by.scope)
        return Listing(items=tuple(found))

    @router.get("/leases/grace", responses=documented(403, 503))
    def show_grace() -> GraceChange:
        """For how long access goes on after a residency's end, by role."""
        with office.database.read() as connection:
            return leases.grace(connection)

    @router.put("/leases/grace", responses=documented(403, 422, 503))
    def set_grace(change: GraceChange, by: Annotated[SignedIn, Depends(may.set_all)]) -> GraceChange:
        """Replace the policy of grace; every gateway is told the new ends."""
        with office.database.write() as connection:
            leases.set_grace(connection, change)
        office.changed(by.account_id, "lease.grace", **{str(role): value for role, value in change.grace_s.items()})
        return change

    return router


def notice_routes(office: DoorOffice, may: Admission) -> APIRouter:
    """What the desk is told of leases that end: masked names alone, and a mark for what somebody dealt with."""
    router = new_router("lease notices", may.see_notices)

    @router.get("/lease-notices", responses=documented(503))
    def list_notices(by: Annotated[SignedIn, Depends(may.see_notices)]) -> LeaseNotices:
        """The leases that end within 7 days or are in grace, those first whose access ends first; 100 at the most."""
        with office.database.read() as connection:
            return leases.notices(connection, office.now(), by.scope)

    @router.post("/lease-notices/{identifier}/dealt-with", status_code=204, responses=_CHANGES)
    def deal_with(identifier: Identifier, lease: DealtWith, by: Annotated[SignedIn, Depends(may.deal)]) -> None:
        """Mark the warnings of a residency's end as dealt with, in the account's name; the first mark stays. The next
        warning is shown anew."""
        with office.database.write() as connection:
            now = office.now()
            marked = leases.deal_with(connection, identifier, lease.until, by.account_id, now, by.scope)
        if marked:
            office.changed(by.account_id, "lease.dealt_with", residency=str(identifier), until=lease.until.isoformat())

    return router
