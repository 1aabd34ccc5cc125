"""Paths of places: what lies below a place is one range of paths, on any database and without recursion.

A path is the parent's followed by the last 8 bytes of the place's own id, which a UUIDv7 draws at random.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import InstrumentedAttribute

SEGMENT_BYTES = 8


class PathRange(NamedTuple):
    """The paths of a place and of all below it: `first` <= path < `beyond`."""

    first: bytes
    beyond: bytes

    def holds(self, path: InstrumentedAttribute[bytes] | ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition on a column of paths."""
        return and_(path >= self.first, path < self.beyond)


def child_path(parent: bytes | None, place: UUID) -> bytes:
    """The path of a place under that parent; None: under nothing."""
    return (parent or b"") + place.bytes[-SEGMENT_BYTES:]


def subtree(path: bytes) -> PathRange:
    """The range of a place and all below it."""
    own = int.from_bytes(path[-SEGMENT_BYTES:], "big")  # below 2**63 * 1.5, as its first bits are the variant's, 10
    return PathRange(path, path[:-SEGMENT_BYTES] + (own + 1).to_bytes(SEGMENT_BYTES, "big"))


def moved_path(path: bytes, old: bytes, new: bytes) -> bytes:
    """The path of a place below one that moved from path `old` to `new`."""
    return new + path[len(old) :]
