"""The register as a file, over HTTP: of the account's part of the hub, masked unless a purpose is stated."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, model_validator
from starlette.background import BackgroundTask

from cloud.access.errors import NotNow
from cloud.access.office import DoorOffice
from cloud.access.problems import ProblemRoute, documented
from cloud.access.values.base import example
from cloud.accounts import Permission, SignedIn
from cloud.console.guard import Guard
from cloud.disclosure.values import Purpose
from cloud.register.exporting import sheets_named, write_workbook, write_zip
from cloud.register.importing import CHINA
from cloud.register.layout import SHEETS
from cloud.register.rows import RegisterRows

SheetName = StrEnum("SheetName", {sheet.key: sheet.key for sheet in SHEETS})  # type: ignore[misc]  # made of the layout


class ExportFormat(StrEnum):
    XLSX = "xlsx"
    CSV = "csv"
    """An archive (.zip) of CSV files."""


_MEDIA = {
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.CSV: "application/zip",
}


class ExportWanted(BaseModel):
    """What is to be in the file. `masked` false: names and numbers as they are, which needs a purpose."""

    model_config = example(format="xlsx", sheets=["places", "residents"], masked=True, purpose=None)
    format: ExportFormat = ExportFormat.XLSX
    sheets: Annotated[frozenset[SheetName], Field(max_length=len(SHEETS))] = frozenset()
    """None: all."""
    masked: bool = True
    purpose: Purpose | None = None

    @model_validator(mode="after")
    def _purposeful(self) -> Self:
        if not self.masked and self.purpose is None:
            raise ValueError("purpose: say what it is for, to have it without the mask")
        return self


def register_router(office: DoorOffice, guard: Guard) -> APIRouter:
    """Below `/api/v1/register`; every error is a problem detail."""
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["register"]}
    router = APIRouter(prefix="/api/v1/register", **options)
    one_at_a_time = threading.Lock()
    clerk = Depends(guard.may_change(Permission.EXPORT_REGISTER))
    content = {media: {"schema": {"type": "string", "format": "binary"}} for media in _MEDIA.values()}
    told: dict[int | str, dict[str, Any]] = {200: {"content": content, "description": "The file"}}

    @router.post("/export", response_class=FileResponse, responses=told | documented(403, 409, 422, 503))
    def export_register(wanted: ExportWanted, by: Annotated[SignedIn, clerk]) -> FileResponse:
        """The register of the account's part of the hub as a file; what it holds unmasked is written down first, under
        each person. One file is made at a time."""
        with _alone(one_at_a_time), office.database.read() as connection:
            rows = RegisterRows(connection, office.vault, office.reach(by), CHINA, wanted.masked)
            path = _written(rows, wanted)
        try:
            _note(office, by, wanted, rows)
        except BaseException:  # no file is told of that is not written down, and none is left behind; raised on
            path.unlink()
            raise
        name = f"register.{'zip' if wanted.format is ExportFormat.CSV else 'xlsx'}"
        return FileResponse(path, 200, media_type=_MEDIA[wanted.format], filename=name, background=_removal(path))

    return router


@contextmanager
def _alone(turn: threading.Lock) -> Iterator[None]:
    if not turn.acquire(blocking=False):
        raise NotNow("register", "another file is being made", "try again in a minute")
    try:
        yield
    finally:
        turn.release()


def _written(rows: RegisterRows, wanted: ExportWanted) -> Path:
    sheets = sheets_named([sheet.value for sheet in wanted.sheets])
    with tempfile.NamedTemporaryFile(prefix="gatehouse-", delete=False) as file:  # mode 600
        path = Path(file.name)
        try:
            (write_zip if wanted.format is ExportFormat.CSV else write_workbook)(rows, file, sheets)
        except BaseException:  # half a file of people is not left behind, whatever stopped it; raised on
            path.unlink()
            raise
    return path


def _note(office: DoorOffice, by: SignedIn, wanted: ExportWanted, rows: RegisterRows) -> None:
    detail: dict[str, str | int] = {"sheets": " ".join(sorted(sheet.value for sheet in wanted.sheets)) or "all"}
    if rows.persons:
        detail |= {"purpose": wanted.purpose or "", "persons": len(rows.persons)}
        office.audit.append("person.register_export", by.account_id, detail, subjects=rows.persons)
    else:
        office.audit.append("register.export", by.account_id, detail)


def _removal(path: Path) -> BackgroundTask:
    return BackgroundTask(path.unlink, missing_ok=True)
