"""The rules that are in force, as the database has them; each change is a version with its author and date."""

import tomllib
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from cloud.access.errors import NotThere
from cloud.database.tables import Base, RuleEventType, RuleVersion
from cloud.rules.definition import Rule, event_types_of


class WrittenRule(BaseModel):
    """A version of a rule, who wrote it, and when."""

    model_config = ConfigDict(frozen=True)

    version: int
    written_at: datetime
    account_id: UUID | None
    rule: Rule


def shipped_rules() -> tuple[Rule, ...]:
    """The rules that come with Gatehouse."""
    text = files("cloud.rules").joinpath("defaults.toml").read_text(encoding="utf-8")
    return tuple(Rule.model_validate(each) for each in tomllib.loads(text)["rule"])


def prepare_rules(connection: Connection, now: datetime) -> None:
    """Write the shipped rules that the database does not have in any version, and note which events are wanted.

    A rule that a site has changed stays as the site wrote it. Safe when several processes do it at once.
    """
    known = set(connection.execute(select(RuleVersion.code)).scalars())
    for rule in shipped_rules():
        if rule.code not in known:
            values = {"code": rule.code, "version": 1, "written_at": now, "definition": _plain(rule)}
            _insert_missing(connection, RuleVersion, values)
    _note_event_types(connection)


def write_rule(connection: Connection, rule: Rule, account: UUID | None, now: datetime) -> int:
    """Add a version of a rule, which is in force from the commit on; its number. The same again writes nothing.

    Raises:
        IntegrityError: if somebody else writes this rule at the same moment.
    """
    newest = _newest(connection, rule.code)
    if newest is not None and newest.rule == rule:
        return newest.version
    version = 1 if newest is None else newest.version + 1
    values = {"code": rule.code, "version": version, "written_at": now, "account_id": account}
    connection.execute(insert(RuleVersion).values(**values, definition=_plain(rule)))
    _note_event_types(connection)
    return version


def read_rules(connection: Connection) -> tuple[WrittenRule, ...]:
    """The newest version of each rule, by code; those that are switched off too."""
    newest = select(RuleVersion.code, func.max(RuleVersion.version).label("version")).group_by(RuleVersion.code)
    last = newest.subquery()
    query = select(RuleVersion.__table__).join(
        last, (last.c.code == RuleVersion.code) & (last.c.version == RuleVersion.version)
    )
    return tuple(_written(row) for row in connection.execute(query.order_by(RuleVersion.code)))


def read_titles(connection: Connection) -> dict[str, tuple[str, str]]:
    """Each rule's newest titles, in English and in Chinese, by code. It validates nothing, as a list needs it often."""
    query = select(RuleVersion.code, RuleVersion.definition).order_by(RuleVersion.code, RuleVersion.version)
    return {code: (rule["title"], rule["title_zh"]) for code, rule in connection.execute(query).all()}


def find_rule(connection: Connection, code: str) -> WrittenRule:
    """The newest version of a rule.

    Raises:
        NotThere: if there is none of that code.
    """
    found = _newest(connection, code)
    if found is None:
        raise NotThere("rule", f"there is no rule {code!r}", "the list of rules shows those there are")
    return found


def versions(connection: Connection, code: str) -> Sequence[WrittenRule]:
    """Every version of a rule, the newest first."""
    query = select(RuleVersion.__table__).where(RuleVersion.code == code).order_by(RuleVersion.version.desc())
    return [_written(row) for row in connection.execute(query)]


def _newest(connection: Connection, code: str) -> WrittenRule | None:
    found = versions(connection, code)
    return found[0] if found else None


def _note_event_types(connection: Connection) -> None:
    wanted = event_types_of([written.rule for written in read_rules(connection)])
    known = set(connection.execute(select(RuleEventType.type)).scalars())
    if gone := known - wanted:
        connection.execute(delete(RuleEventType).where(RuleEventType.type.in_(gone)))
    for name in sorted(wanted - known):
        _insert_missing(connection, RuleEventType, {"type": name})


def _insert_missing(connection: Connection, table: type[Base], values: dict[str, Any]) -> None:
    """Insert a row unless it is there, whoever else does so at the same moment."""
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(table).values(**values).on_conflict_do_nothing())
    else:
        connection.execute(sqlite.insert(table).values(**values).on_conflict_do_nothing())


def _plain(rule: Rule) -> dict[str, object]:
    return rule.model_dump(mode="json")


def _written(row: object) -> WrittenRule:
    values = row._mapping  # type: ignore[attr-defined]
    return WrittenRule(
        version=values["version"],
        written_at=values["written_at"],
        account_id=values["account_id"],
        rule=Rule.model_validate(values["definition"]),
    )
