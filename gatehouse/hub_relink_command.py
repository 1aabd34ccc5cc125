"""`gatehouse hub relink`: link events anew from the register as it is now, with a record of what changed."""

import getpass
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.hub_shell import opened_foundation, told_faults

if TYPE_CHECKING:
    from cloud.linking.relinking import Relinker

_MAX_WHY = 200


def relink(
    context: typer.Context,
    since: Annotated[str, typer.Option("--since", help="Events received from then on: 2026-05-01, or with a time.")],
    until: Annotated[str | None, typer.Option("--until", help="And before then; none: up to now.")] = None,
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would change.")] = False,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The hub's configuration (TOML).")] = None,
) -> None:
    """Link events anew to the place, person, dwelling, household, grid and unit of their own time.

    The hub does so by itself when its register is changed. This is for what it cannot notice: a database that was
    restored, or a register that was changed around it. It may run beside the hub; what it leaves
    when it is interrupted, a running hub goes on with. A moment without a zone is in UTC.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now
        from cloud.linking.relinking import Relinker

        first, last = _moment("--since", since), _moment("--until", until) if until else None
        relinker = Relinker(foundation.database, utc_now)
        if dry_run:
            _preview(relinker, first, last)
            return
        if len(why) > _MAX_WHY:
            raise ValueError(f"--why: at most {_MAX_WHY} characters")
        audit = AuditLog(foundation.database, utc_now)
        user = getpass.getuser()
        number = relinker.ask(first, last, why, user)
        audit.append("relink", None, {"number": number, "since": first.isoformat(), "by": user, "why": why})
        _go_through(relinker, number, relinker.count(first, last))


def _preview(relinker: "Relinker", first: datetime, last: datetime | None) -> None:
    total, examined, changed = relinker.count(first, last), 0, 0
    columns: Counter[str] = Counter()
    tell = _Progress(total)
    for page in relinker.preview(first, last):
        examined, changed = examined + page.examined, changed + len(page.changed)
        columns.update(name for each in page.changed for name in each.difference[1])
        tell(examined)
    tell.end()
    typer.echo(f"{changed} of {examined} events would be linked otherwise")
    for name, count in sorted(columns.items()):
        typer.echo(f"  {name.removesuffix('_id')}: {count}")


def _go_through(relinker: "Relinker", number: int, total: int) -> None:
    tell = _Progress(total)
    examined = corrected = 0
    while (done := relinker.step(number)) is not None:
        examined, corrected = examined + done.examined, corrected + done.corrected
        tell(examined)
    tell.end()
    typer.echo(f"{corrected} of {examined} events are linked otherwise; the record is number {number}")


class _Progress:
    """A line on stderr that is written over, where that is a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._write: Callable[[str], object] | None = sys.stderr.write if sys.stderr.isatty() else None

    def __call__(self, examined: int) -> None:
        if self._write is not None:
            self._write(f"\r{examined:,} of some {self._total:,} events")
            sys.stderr.flush()

    def end(self) -> None:
        if self._write is not None:
            self._write("\n")


def _moment(option: str, value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{option} {value!r} is no moment: write 2026-05-01 or 2026-05-01T08:00+08:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
