"""Events with what they were linked to, the state of devices, pictures and clips."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base

PASSAGE = "household_id IS NOT NULL AND person_id IS NOT NULL AND type = 'access.granted.v1'"
"""Somebody of a household, and no guest of theirs, passed a door."""

OF_CLIPS = "type IN ('clip.kept.v1', 'clip.lost.v1')"
"""A gateway tells of a clip. Queries have it word for word: no index of some rows is found by values that are bound."""


def _partial(name: str, columns: tuple[str, ...], condition: str) -> Index:
    """An index of the rows that meet a condition: others cost it nothing."""
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


def _of_some(column: str) -> Index:
    """An index of a column and the time, with the id, so that a list of ids needs no row; of rows that have it."""
    return _partial(f"ix_event_{column}_time", (column, "time", "id"), f"{column} IS NOT NULL")


class EventRecord(Base):
    """An event with what it was linked to at its own time. `body` is the event as it came."""

    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_received_at", "received_at", "id", "type"),
        Index("ix_event_gateway_id_subject_time", "gateway_id", "subject", "time", "id"),
        Index("ix_event_place_id_time", "place_id", "time", "id"),
        *(_of_some(f"{name}_id") for name in ("credential", "person", "dwelling")),
        _of_some("denied_for"),
        _partial("ix_event_passage", ("household_id", "time"), PASSAGE),
        _partial("ix_event_clips", ("received_at", "id"), OF_CLIPS),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[str] = mapped_column(String(39))
    stream: Mapped[UUID]
    seq: Mapped[int]
    type: Mapped[str] = mapped_column(String(80))
    subject: Mapped[str] = mapped_column(String(63))
    time: Mapped[datetime]
    received_at: Mapped[datetime]
    place_id: Mapped[UUID | None]
    credential_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    dwelling_id: Mapped[UUID | None]
    household_id: Mapped[UUID | None]
    grid_id: Mapped[UUID | None]
    """Of the dwelling, else of the place."""
    joint_unit_id: Mapped[UUID | None]
    denied_for: Mapped[str | None] = mapped_column(String(40))
    """Why a door stayed shut (`protocols.access_events.DenialReason`); empty for what is no denial."""
    body: Mapped[str] = mapped_column(Text)


class DeadLetter(Base):
    """A message or event that could not be read, kept for a person to look at."""

    __tablename__ = "dead_letter"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[str | None] = mapped_column(String(39))
    topic: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(String(300))
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(index=True)


class StreamCursor(Base):
    """Which numbers of a gateway's stream are stored: all up to `upto`, and the closed `ranges` beyond."""

    __tablename__ = "stream_cursor"
    gateway_id: Mapped[str] = mapped_column(String(39), primary_key=True)
    stream: Mapped[UUID] = mapped_column(primary_key=True)
    upto: Mapped[int]
    ranges: Mapped[list[Any]]


class DeviceState(Base):
    """A projection of events: only a later (stream, seq) of the same gateway may move it; streams are UUIDv7."""

    __tablename__ = "device_state"
    gateway_id: Mapped[str] = mapped_column(String(39), primary_key=True)
    device: Mapped[str] = mapped_column(String(63), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    """door, reader or camera."""
    state: Mapped[str] = mapped_column(String(16))
    since: Mapped[datetime]
    stream: Mapped[UUID]
    seq: Mapped[int]


class Picture(Base):
    """A JPEG that a gateway sent; the file lies in the hub's pictures folder under its SHA-256."""

    __tablename__ = "picture"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    gateway_id: Mapped[str] = mapped_column(String(39))
    size_bytes: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(index=True)


class Clip(Base):
    """A clip of video that a gateway sent; the file lies in the hub's clips folder under its SHA-256."""

    __tablename__ = "clip"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    gateway_id: Mapped[str] = mapped_column(String(39))
    size_bytes: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(index=True)
