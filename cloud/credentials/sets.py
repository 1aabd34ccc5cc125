"""The credential sets that gateways were sent: their versions, their rows, and the deltas kept for late comers.

A version rises by one with each delta. When more changed than a tenth of a set (and more than fifty rows), no delta is
made: the log starts anew and gateways fetch the whole set.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from cloud.database.tables import CredentialChange, GatewayCredentialRow, GatewayCredentials
from protocols.credentials import CredentialRow, Delta, Head, moved_digest, total_digest
from protocols.rules import Rules

KEPT_CHANGES = 200
"""Deltas kept for each gateway; one that was away for longer fetches the whole set."""
_SMALL_CHANGE = 50
_DELTA_ROWS = 400
"""Rows of some 250 bytes; a full delta stays well under the largest message."""
_MAX_DELTA_BYTES = 200_000
APPROXIMATE_ROW_BYTES = 250
"""What a row adds to a snapshot: a chain of deltas larger than the snapshot is not sent."""
APPROXIMATE_HEAD_BYTES = 4096
"""What a snapshot holds beside its rows."""
_WRITE_ROWS = 1000
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class ChangedRow:
    """One credential whose row differs from what the gateway has. `text` is empty if the row goes."""

    ref: UUID
    text: str
    gone: int
    """The former row's share of the digest, 0 if it is new."""
    come: int


@dataclass
class Difference:
    """What leads from the stored set to the compiled one."""

    rows: list[ChangedRow] = field(default_factory=list)
    rules: Rules | None = None

    def __bool__(self) -> bool:
        return bool(self.rows) or self.rules is not None


@dataclass(frozen=True)
class Published:
    """What is to be sent after a change: the deltas, none if the set must be fetched whole, and the new head."""

    gateway: str
    deltas: tuple[str, ...]
    head: Head


def changed(former: str | None, row: CredentialRow | None) -> ChangedRow | None:
    """Compare a stored row's JSON with the row as it should be; None if they are alike, however they are spelt."""
    text = row.model_dump_json(exclude_defaults=True) if row else ""
    if (former or "") == text:
        return None
    before = CredentialRow.model_validate_json(former) if former else None
    if before is not None and row is not None and before.digest() == row.digest():
        return None  # an older hub wrote the fields that say nothing
    ref = row.ref if row else before.ref if before else None
    assert ref is not None  # noqa: S101 (two missing rows are alike)
    return ChangedRow(ref, text, before.digest() if before else 0, row.digest() if row else 0)


def stored_rows(connection: Connection, gateway: str) -> dict[UUID, str]:
    """The rows that a gateway was sent, as JSON."""
    query = select(GatewayCredentialRow.ref, GatewayCredentialRow.row).where(GatewayCredentialRow.gateway_id == gateway)
    return dict(connection.execute(query).all())


def stored_for(connection: Connection, credentials: Collection[UUID]) -> dict[tuple[str, UUID], str]:
    """The rows that any gateway was sent of these credentials."""
    query = select(GatewayCredentialRow.gateway_id, GatewayCredentialRow.ref, GatewayCredentialRow.row)
    found = connection.execute(query.where(GatewayCredentialRow.ref.in_(credentials)))
    return {(gateway, ref): text for gateway, ref, text in found}


def compare(former: dict[UUID, str], rows: Iterable[CredentialRow]) -> list[ChangedRow]:
    """All differences of a whole set; `former` is used up."""
    found = [difference for row in rows if (difference := changed(former.pop(row.ref, None), row))]
    found += [difference for text in former.values() if (difference := changed(text, None))]
    return found


def head(connection: Connection, gateway: str) -> Head | None:
    """The newest version, None before the first."""
    stored = connection.execute(_set_of(gateway)).first()
    return Head(version=stored.version, digest=stored.digest, rows=stored.row_count) if stored else None


def stored_rules(connection: Connection, gateway: str) -> Rules | None:
    stored = connection.execute(_set_of(gateway)).first()
    return Rules.model_validate(stored.rules) if stored else None


def apply(connection: Connection, gateway: str, difference: Difference) -> Published:
    """Store a difference as one or more new versions, within the caller's transaction."""
    former = head(connection, gateway)
    rules = stored_rules(connection, gateway)
    if former is None:
        former = Head(version=0, digest=total_digest([]), rows=0)
    deltas = list(_deltas(former, rules, difference)) if former.version else []
    if former.version and _as_deltas(former, difference, deltas):
        version, kept = deltas[-1].version, tuple(map(_text, deltas))
    else:
        version, kept, deltas = former.version + 1, (), []
        connection.execute(delete(CredentialChange).where(CredentialChange.gateway_id == gateway))
    rules_now = difference.rules or rules or Rules()
    newest = Head(
        version=version,
        digest=deltas[-1].digest if deltas else _digest_after(former, rules, difference),
        rows=former.rows + sum((1 if row.text else 0) - (1 if row.gone else 0) for row in difference.rows),
    )
    _store_rows(connection, gateway, difference.rows)
    _store_head(connection, gateway, newest, rules_now, is_new=former.version == 0)
    _store_changes(connection, gateway, deltas, kept)
    return Published(gateway, kept, newest)


def chain(connection: Connection, gateway: str, have: int, newest: Head) -> list[str]:
    """The kept deltas that lead from version `have` to the newest; none if they were not all kept."""
    query = (
        select(CredentialChange.since_version, CredentialChange.version, CredentialChange.delta)
        .where(CredentialChange.gateway_id == gateway, CredentialChange.since_version >= have)
        .order_by(CredentialChange.version)
    )
    steps = connection.execute(query).all()
    whole = bool(steps) and steps[0].since_version == have and steps[-1].version == newest.version
    if not whole or any(one.version != other.since_version for one, other in pairwise(steps)):
        return []
    return [step.delta for step in steps]


def snapshot_json(connection: Connection, gateway: str) -> bytes | None:
    """The whole set as `protocols.credentials.CredentialSet` in JSON, without parsing a single row."""
    stored = connection.execute(_set_of(gateway)).first()
    if stored is None:
        return None
    rows = connection.execute(
        select(GatewayCredentialRow.row)
        .where(GatewayCredentialRow.gateway_id == gateway)
        .order_by(GatewayCredentialRow.ref)
    ).scalars()
    rules = Rules.model_validate(stored.rules).model_dump_json()
    start = f'{{"v":1,"version":{stored.version},"digest":"{stored.digest}","rules":{rules},"rows":['
    return (start + ",".join(rows) + "]}").encode()


def _set_of(gateway: str) -> Select[int, str, int, dict[str, Any]]:
    return select(
        GatewayCredentials.version, GatewayCredentials.digest, GatewayCredentials.row_count, GatewayCredentials.rules
    ).where(GatewayCredentials.gateway_id == gateway)


def _parts(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _as_deltas(former: Head, difference: Difference, deltas: list[Delta]) -> bool:
    few = len(difference.rows) <= max(_SMALL_CHANGE, former.rows // 10)
    return few and all(len(_text(delta)) <= _MAX_DELTA_BYTES for delta in deltas)


def _text(delta: Delta) -> str:
    """As it is sent: what says nothing is left out, which readers of any format take."""
    return delta.model_dump_json(exclude_none=True)


def _rules_move(rules: Rules | None, difference: Difference) -> tuple[list[int], list[int]]:
    if difference.rules is None:
        return [], []
    return ([rules.digest()] if rules else []), [difference.rules.digest()]


def _digest_after(former: Head, rules: Rules | None, difference: Difference) -> str:
    gone, come = _rules_move(rules, difference)
    return moved_digest(
        former.digest, gone + [row.gone for row in difference.rows], come + [row.come for row in difference.rows]
    )


def _deltas(former: Head, rules: Rules | None, difference: Difference) -> Iterator[Delta]:
    gone, come = _rules_move(rules, difference)
    version, digest, new_rules = former.version, former.digest, difference.rules
    for rows in list(_parts(difference.rows, _DELTA_ROWS)) or [[]]:
        digest = moved_digest(digest, gone + [row.gone for row in rows], come + [row.come for row in rows])
        yield Delta(
            since=version,
            version=version + 1,
            digest=digest,
            upsert=tuple(CredentialRow.model_validate_json(row.text) for row in rows if row.text),
            remove=tuple(row.ref for row in rows if not row.text),
            rules=new_rules,
        )
        version, gone, come, new_rules = version + 1, [], [], None


def _store_rows(connection: Connection, gateway: str, rows: list[ChangedRow]) -> None:
    away = delete(GatewayCredentialRow).where(
        GatewayCredentialRow.gateway_id == gateway, GatewayCredentialRow.ref == bindparam("gone_ref")
    )
    for part in _parts([{"gone_ref": row.ref} for row in rows if row.gone], _WRITE_ROWS):
        connection.execute(away, part)
    new = [{"gateway_id": gateway, "ref": row.ref, "row": row.text} for row in rows if row.text]
    for part_of_new in _parts(new, _WRITE_ROWS):
        connection.execute(insert(GatewayCredentialRow), part_of_new)


def _store_head(connection: Connection, gateway: str, newest: Head, rules: Rules, is_new: bool) -> None:
    values = {
        "version": newest.version,
        "digest": newest.digest,
        "row_count": newest.rows,
        "rules": rules.model_dump(mode="json"),
    }
    if is_new:
        connection.execute(insert(GatewayCredentials).values(gateway_id=gateway, **values))
    else:
        connection.execute(update(GatewayCredentials).where(GatewayCredentials.gateway_id == gateway).values(**values))


def _store_changes(connection: Connection, gateway: str, deltas: list[Delta], texts: tuple[str, ...]) -> None:
    for delta_made, text in zip(deltas, texts, strict=True):
        connection.execute(
            insert(CredentialChange).values(
                gateway_id=gateway, version=delta_made.version, since_version=delta_made.since, delta=text
            )
        )
    newest = select(func.max(CredentialChange.version)).where(CredentialChange.gateway_id == gateway).scalar_subquery()
    connection.execute(
        delete(CredentialChange).where(
            CredentialChange.gateway_id == gateway, CredentialChange.version <= newest - KEPT_CHANGES
        )
    )
