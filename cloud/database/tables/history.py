"""What became of the register's entries, and under which key they are sealed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class RegisterHistory(Base):
    """A change of one entry. An addition keeps no values: the entry has them, or its first change's `before`."""

    __tablename__ = "register_history"
    __table_args__ = (Index("ix_register_history_entry_id_at", "entry_id", "at"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    account_id: Mapped[UUID | None]
    """None: a command on the hub's own machine."""
    source: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(40))
    """The entry's table."""
    entry_id: Mapped[UUID]
    """The entry's own id; for what a place belongs to, the place's."""
    act: Mapped[str] = mapped_column(String(8))
    """`cloud.register.writer.Act`."""
    before_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    after_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """JSON of the columns that changed, sealed as a whole, with sealed fields opened in it."""


class VaultState(Base):
    """Under which master key the database is sealed, and how far a change of the key has come; one row."""

    __tablename__ = "vault_state"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key_check: Mapped[str] = mapped_column(String(64))
    """`Vault.key_check` of the master key; during a rotation still the old one's."""
    next_key_check: Mapped[str | None] = mapped_column(String(64))
    """That of the key to which a rotation goes that has not ended."""
    done: Mapped[str] = mapped_column(String(200), default="")
    """The table and the last row that are sealed under the next key."""
