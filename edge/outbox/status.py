"""The outbox's bounds, and what it tells about itself: frozen values for health, metrics and the console."""

from dataclasses import dataclass
from uuid import UUID

STATES = ("ok", "disk_full", "failed", "stopped")
"""disk_full and failed: the disk takes no events now, for want of room or for another fault."""


@dataclass(frozen=True)
class OutboxLimits:
    """Bounds of the outbox. `queue_events` bounds what waits in memory for the disk."""

    quota_bytes: int = 256 * 1024 * 1024
    ballast_bytes: int = 8 * 1024 * 1024
    queue_events: int = 10_000


@dataclass(frozen=True)
class OutboxStatus:
    """What the console and `/metrics` show.

    `state` is one of `STATES`; while it is disk_full or failed, `reason` says why. `stream` is None, and the counts
    are 0, while the file cannot be opened.
    """

    state: str
    reason: str
    stream: UUID | None
    rows: int
    last_seq: int
    waiting: int
    size_bytes: int
    dropped_in_memory: int
