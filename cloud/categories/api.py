"""Routes of service categories, for officers for categories alone. Each look-up states a purpose and is written down.

What is written says which entry and whose, and what for, and not which category: the audit is never deleted.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from cloud.access.office import DoorOffice
from cloud.access.problems import ProblemRoute, documented
from cloud.access.routes import Identifier, Listing
from cloud.accounts import Permission, SignedIn
from cloud.categories.entries import CategoryOffice
from cloud.categories.kinds import CategoryKinds
from cloud.categories.values import (
    CategoryEnd,
    CategoryFound,
    CategoryNotice,
    CategoryQuery,
    CategoryReview,
    CategoryValue,
    KindValue,
    NewCategory,
)
from cloud.console.guard import Guard

_LISTS, _CHANGES = documented(403, 422, 503), documented(403, 404, 409, 422, 503)


def category_router(office: DoorOffice, guard: Guard, kinds: CategoryKinds) -> APIRouter:
    """Below `/api/v1`; every error is a problem detail."""
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["categories"]}
    router = APIRouter(prefix="/api/v1", **options)
    reader, officer = Depends(guard.may(Permission.CATEGORIES)), Depends(guard.may_change(Permission.CATEGORIES))
    entries = CategoryOffice(office.vault, kinds, office.make_id)

    @router.get("/categories/kinds", responses=documented(403, 503), dependencies=[reader])
    def list_kinds() -> Listing[KindValue]:
        """Which categories there are: those that come with Gatehouse, and those that this hub is configured with."""
        found = (KindValue(code=code, name=kind.name, name_zh=kind.name_zh) for code, kind in kinds.known.items())
        return Listing(items=tuple(found))

    @router.get("/categories/notices", responses=documented(403, 503))
    def list_notices(by: Annotated[SignedIn, reader]) -> Listing[CategoryNotice]:
        """The entries that lapse within 30 days, or lapsed: neither whose they are nor which category."""
        with office.database.read() as connection:
            return Listing(items=tuple(entries.notices(connection, by.account_id, office.reach(by))))

    @router.post("/categories/look", responses=_LISTS)
    def look_up(query: CategoryQuery, by: Annotated[SignedIn, officer]) -> CategoryFound:
        """Look entries up. It is written down for each person found, and for one who is asked for, before it is told.
        Nothing is found of a person who has none, lives elsewhere or is not registered."""
        reach = office.reach(by)
        with office.database.read() as connection:
            found = entries.look(connection, query, reach)
        _note_looks(office, by, query.purpose, found.items)
        return found

    @router.post("/people/{identifier}/categories", status_code=201, responses=_CHANGES)
    def add_category(identifier: Identifier, wanted: NewCategory, by: Annotated[SignedIn, officer]) -> CategoryValue:
        """Put a person into a category, until a review date a year ahead at the most."""
        with office.database.write() as connection:
            made = entries.add(connection, identifier, wanted, by.account_id, office.reach(by))
        _note(office, "add", by, made, wanted.purpose)
        return made

    @router.post("/categories/{identifier}/review", responses=_CHANGES)
    def review_category(
        identifier: Identifier, review: CategoryReview, by: Annotated[SignedIn, officer]
    ) -> CategoryValue:
        """Let an entry go on after it was reviewed, for another year at the most."""
        with office.database.write() as connection:
            changed = entries.review(connection, identifier, review, by.account_id, office.reach(by))
        _note(office, "review", by, changed, review.purpose)
        return changed

    @router.post("/categories/{identifier}/end", responses=_CHANGES)
    def end_category(identifier: Identifier, end: CategoryEnd, by: Annotated[SignedIn, officer]) -> CategoryValue:
        """End an entry at once."""
        with office.database.write() as connection:
            ended = entries.end(connection, identifier, by.account_id, office.reach(by))
        _note(office, "end", by, ended, end.purpose)
        return ended

    return router


def _note_looks(office: DoorOffice, by: SignedIn, purpose: str, found: Iterable[CategoryValue]) -> None:
    persons = {each.person for each in found}
    detail: dict[str, str | int] = {"purpose": purpose, "persons": len(persons)}
    if persons:
        office.audit.append("person.category.look", by.account_id, detail, subjects=persons)
    else:
        office.audit.append("category.look", by.account_id, detail)


def _note(office: DoorOffice, act: str, by: SignedIn, entry: CategoryValue, purpose: str) -> None:
    detail = {"person": str(entry.person), "entry": str(entry.id), "purpose": purpose}
    office.audit.append(f"person.category.{act}", by.account_id, detail, subjects=(entry.person,))
