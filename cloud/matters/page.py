"""The form page for windows and grid members: enters a matter without any script, in Chinese or English."""

from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from sqlalchemy import Connection, select

from cloud.accounts import Permission, SignedIn
from cloud.accounts.scope import Scope
from cloud.alarms.api import AlarmOffice
from cloud.console.guard import Guard
from cloud.console.language import Language, look_of
from cloud.console.pages import Pages
from cloud.database.tables import Grid, Place
from cloud.matters.desk import Enterer, MatterDesk
from cloud.matters.values import MAX_TEXT, NUMBER_PATTERN, MatterRequest, ReportedBy
from cloud.register.errors import RegisterError

MAX_GRIDS = 1000
"""More are not offered; the place's own grid is taken then."""
_PATH = "/matters/new"
_FIELDS = ("kind", "text", "grid", "place", "name", "phone", "reported_by")
_Short = Annotated[str, Form(max_length=200)]
_Long = Annotated[str, Form(max_length=2 * MAX_TEXT)]


def matter_pages(office: AlarmOffice, matters: MatterDesk, guard: Guard) -> APIRouter:
    """`/matters/new`."""
    router, pages = APIRouter(), Pages()

    def shown(request: Request, by: SignedIn, status: int = 200, **values: Any) -> Response:
        is_chinese = look_of(request.cookies).language is Language.CHINESE
        kinds = [(code, kind.title_zh if is_chinese else kind.title) for code, kind in matters.kinds.items()]
        with office.database.read() as connection:
            grids = _grids(connection, by.scope)
        empty = dict.fromkeys(_FIELDS, "") | {"request": str(uuid4())}
        page: dict[str, Any] = {"wrong": None, "entered": None, "given": empty} | values
        lists = {"kinds": kinds, "grids": grids, "sources": [each.value for each in ReportedBy], "most": MAX_TEXT}
        token = guard.page_token(request)
        return pages.render(request, "matter.html", status, username=by.username, page_token=token, **lists, **page)

    def may_enter(by: SignedIn) -> None:
        if Permission.ENTER_MATTERS not in by.permissions:
            raise HTTPException(403, f"the role {by.role} may not do this ({Permission.ENTER_MATTERS})")

    @router.get(_PATH)
    def form(request: Request, entered: Annotated[str | None, Query(pattern=NUMBER_PATTERN)] = None) -> Response:
        by = guard.find(request)
        if by is None:
            return RedirectResponse("/login", 303)
        may_enter(by)
        return shown(request, by, entered=entered)

    @router.post(_PATH)
    def send(
        request: Request,
        page_token: _Short,
        kind: _Short = "",
        text: _Long = "",
        grid: _Short = "",
        place: _Short = "",
        reported_by: _Short = "",
        name: _Short = "",
        phone: _Short = "",
        form_id: Annotated[str, Form(alias="request", max_length=36)] = "",
    ) -> Response:
        by = guard.sender_of(request, page_token)
        if by is None:
            return RedirectResponse("/login", 303)
        may_enter(by)
        values = (kind, text, grid, place, name, phone, reported_by)
        given = dict(zip(_FIELDS, values, strict=True)) | {"request": form_id}
        try:
            number = _enter(office, matters, by, given, request.client.host if request.client else "unknown")
        except _Wrong as error:
            return shown(request, by, 422, wrong=error.field, given=given)
        return RedirectResponse(f"{_PATH}?entered={number}", 303)

    return router


class _Wrong(Exception):
    """A field of the form cannot be taken."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field if field in (*_FIELDS, "request") else "place"


def _enter(office: AlarmOffice, matters: MatterDesk, by: SignedIn, given: dict[str, str], address: str) -> str:
    """The number of the matter that the form makes.

    Raises:
        _Wrong: with the field that is at fault; `place` for a form that names neither place nor grid.
    """
    with office.database.read() as connection:
        place = _place(connection, by.scope, given["place"].strip())
    if given["place"].strip() and place is None:
        raise _Wrong("place")
    reporter = {"name": given["name"] or None, "phone": given["phone"] or None}
    same = {key: given[key] or None for key in ("kind", "text", "grid", "reported_by", "request")}
    try:
        wanted = MatterRequest.model_validate({**same, "place": place, "reporter": reporter})
        number = matters.enter(wanted, Enterer(by.account_id, by.scope, address))
    except ValidationError as error:
        where = error.errors()[0]["loc"]
        raise _Wrong(str(where[-1]) if where else "place") from error
    except RegisterError as error:
        raise _Wrong(error.field) from error
    office.changed()
    office.audit.append("matter.enter", by.account_id, {"matter": number, "kind": wanted.kind})
    return number


def _place(connection: Connection, scope: Scope, code: str) -> UUID | None:
    query = select(Place.id).where(Place.code == code, scope.covers_place(Place.id))
    found: UUID | None = connection.execute(query).scalar()
    return found


def _grids(connection: Connection, scope: Scope) -> list[tuple[str, str]]:
    """Ids and names of the grids of a scope."""
    query = select(Grid.id, Grid.name, Grid.code).where(Grid.until.is_(None), scope.covers_grid(Grid.id))
    rows = connection.execute(query.order_by(Grid.code).limit(MAX_GRIDS))
    return [(str(row.id), f"{row.name} ({row.code})") for row in rows]
