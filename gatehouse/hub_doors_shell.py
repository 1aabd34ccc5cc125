"""What the sub-commands of `gatehouse hub doors` share: transactions that can be taken back, output, and words."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from gatehouse.hub_shell import opened_foundation, print_table, told_faults

if TYPE_CHECKING:
    from pydantic import BaseModel
    from sqlalchemy import Connection

    from cloud.access.values.base import DoorKeyValue
    from cloud.access.values.weeks import IntervalValue
    from cloud.foundation import Foundation
    from cloud.register.doors import DoorKey

Config = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="GATEHOUSE_HUB_CONFIG", help="The hub's configuration (TOML).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only check it, and say what would be done.")]
DoorName = Annotated[str, typer.Argument(metavar="GATEWAY/DOOR", help="For example gw-east/d-lobby.")]
Name = Annotated[str, typer.Option("--name", help="What people call it.")]
Code = Annotated[str, typer.Argument(help="Small letters, digits, - and _, for example residents.")]

_CHANGED = {"added": "is added", "updated": "is changed", "unchanged": "was so already"}
_Model = TypeVar("_Model", bound="BaseModel")
_INTERVAL = re.compile(r"\s*(\S+)\s+([0-9:]+)\s*-\s*([0-9:]+)\s*")


def group(text: str) -> typer.Typer:
    """A group of sub-commands that explains itself when nothing follows."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)


class Change:
    """A transaction of one sub-command: audited when it stays, taken back by a dry run."""

    def __init__(self, foundation: "Foundation", connection: "Connection", dry_run: bool) -> None:
        self.foundation, self.connection, self._dry_run = foundation, connection, dry_run
        self._entries: list[tuple[str, dict[str, str | int], tuple[UUID, ...]]] = []
        self._said: list[str] = []
        self.said_aside = False
        """Whether what was done is told on stderr, because stdout has JSON."""

    def note(self, said: str, action: str, subjects: Sequence[UUID] = (), /, **detail: str | int) -> None:
        """What was done, for the user and for the audit; `subjects`: the persons whom it is about."""
        self._said.append(said)
        self._entries.append((action, detail, tuple(subjects)))

    def put(self, what: str, change: str, action: str, **detail: str | int) -> None:
        """As `note`, for an entry that may have been so already, which is not audited."""
        self._said.append(f"{what} {_CHANGED[change]}")
        if change != "unchanged":
            self._entries.append((action, detail, ()))

    def finish(self) -> None:
        """Audit and tell, once the transaction is over."""
        from cloud.audit import AuditLog
        from cloud.foundation import utc_now

        if not self._dry_run:
            for action, detail, subjects in self._entries:
                AuditLog(self.foundation.database, utc_now).append(action, None, detail, subjects)
        for line in self._said:
            typer.echo(line, err=self.said_aside)
        if self._dry_run:
            typer.echo("nothing was changed: this was a dry run", err=True)


class _TakenBack(Exception):
    """Ends the transaction of a dry run."""


@contextlib.contextmanager
def changing(context: typer.Context, config: Path | None, dry_run: bool = False) -> Iterator[Change]:
    """One transaction on the hub's database; faults are told in a sentence."""
    with told_faults(), opened_foundation(context, config) as foundation:
        with contextlib.suppress(_TakenBack), foundation.database.write() as connection:
            change = Change(foundation, connection, dry_run)
            yield change
            if dry_run:
                raise _TakenBack
        change.finish()


@contextlib.contextmanager
def reading(context: typer.Context, config: Path | None) -> Iterator[tuple["Foundation", "Connection"]]:
    """A view of the hub's database; faults are told in a sentence."""
    with (
        told_faults(),
        opened_foundation(context, config) as foundation,
        foundation.database.read() as connection,
    ):
        yield foundation, connection


def value_of(model: type[_Model], fields: Mapping[str, Any]) -> _Model:
    """A value made of a command's words.

    Raises:
        ValueError: naming each field at fault.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors(include_input=False)]
        told = [f"{where}: {text}" if where else text for where, text in faults]
        raise ValueError("; ".join(told).replace("Value error, ", "")) from error


def show(
    items: "Sequence[BaseModel]", as_json: bool, columns: Mapping[str, Callable[[Any], object]], single: bool = False
) -> None:
    """Print values as a table, or as JSON: one object if `single`, else a list."""
    if as_json:
        told = [item.model_dump(mode="json") for item in items]
        typer.echo(json.dumps(told[0] if single else told, indent=2, ensure_ascii=False))
        return
    lines = [tuple(columns)]
    lines += [tuple(_cell(read(item)) for read in columns.values()) for item in items]
    print_table(lines)


def _cell(value: object) -> str:
    return "-" if value is None or value in ("", (), []) else str(value)


def door_key(text: str) -> "DoorKey":
    """`gw-east/d-lobby`.

    Raises:
        ValueError: if it is not so written.
    """
    from cloud.register.doors import DoorKey

    gateway, slash, device = text.partition("/")
    if not slash or not gateway or not device or "/" in device:
        raise ValueError(f"{text!r} is no door: write GATEWAY/DOOR, for example gw-east/d-lobby")
    return DoorKey(gateway, device)


def door_values(texts: Sequence[str]) -> "list[DoorKeyValue]":
    """Several doors, each as `door_key` takes it."""
    from cloud.access.values.base import DoorKeyValue

    keys = [door_key(text) for text in texts]
    return [value_of(DoorKeyValue, {"gateway": key.gateway, "device": key.device}) for key in keys]


def intervals_of(texts: Sequence[str]) -> "list[IntervalValue]":
    """`mon-fri 08:00-22:00`, `holiday 00:00-24:00`.

    Raises:
        ValueError: if one is not so written.
    """
    from cloud.access.values.weeks import IntervalValue
    from cloud.register.cells import minute_of_day, weekdays
    from protocols.rules import Weekday

    found: list[IntervalValue] = []
    for text in texts:
        match = _INTERVAL.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no interval: write 'mon-fri 08:00-22:00' or 'holiday 00:00-24:00'")
        days, since, until = match[1], minute_of_day(match[2], "from"), minute_of_day(match[3], "until")
        for day in [Weekday.HOLIDAY] if days in ("holiday", "节假日") else weekdays(days, "days"):
            found.append(value_of(IntervalValue, {"weekday": int(day), "since": since, "until": until}))
    return found


def interval_texts(intervals: "Sequence[IntervalValue]") -> str:
    """As a person reads them."""
    from protocols.rules import Weekday

    def clock(minute: int) -> str:
        return f"{minute // 60:02d}:{minute % 60:02d}"

    return ", ".join(
        f"{Weekday(each.weekday).name.lower()[:3]} {clock(each.since)}-{clock(each.until)}" for each in intervals
    )


def code_of(text: str) -> str:
    """A code of a group, schedule or area.

    Raises:
        ValueError: if gateways do not take it.
    """
    from pydantic import TypeAdapter, ValidationError

    from protocols.rules import RuleId

    try:
        return TypeAdapter(RuleId).validate_python(text)
    except ValidationError as error:
        raise ValueError(f"{text!r} is no code: use small letters, digits, - and _") from error
