"""What became of an entry of the register: who changed it, when, what it was before and after."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from cloud.database.tables import Account, RegisterHistory
from cloud.register.sealed import HISTORY
from cloud.register.writer import Act
from cloud.vault import Vault


@dataclass(frozen=True)
class PastChange:
    """A change of an entry. `repr` shows no values.

    Attributes:
        account: the user name; None for a command on the hub's own machine.
        kind: the entry's table.
        before, after: the columns that changed, with their sealed fields opened: mask them before they are shown.
    """

    at: datetime
    account: str | None
    source: str
    kind: str
    act: Act
    before: dict[str, Any] | None = field(repr=False)
    after: dict[str, Any] | None = field(repr=False)


def history_of(connection: Connection, vault: Vault, entry: UUID) -> list[PastChange]:
    """The changes of one entry, the first one first.

    The caller has checked that whoever asks may see the entry.
    """
    query = (
        select(RegisterHistory.__table__, Account.username)
        .outerjoin(Account, Account.id == RegisterHistory.account_id)
        .where(RegisterHistory.entry_id == entry)
        .order_by(RegisterHistory.at, RegisterHistory.id)
    )
    return [
        PastChange(
            row["at"],
            row["username"],
            row["source"],
            row["kind"],
            Act(row["act"]),
            _opened(vault, row["before_sealed"]),
            _opened(vault, row["after_sealed"]),
        )
        for row in connection.execute(query).mappings()
    ]


def _opened(vault: Vault, sealed: bytes | None) -> dict[str, Any] | None:
    if sealed is None:
        return None
    values: dict[str, Any] = json.loads(vault.open(sealed, HISTORY))
    return values
