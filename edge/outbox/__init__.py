"""The outbox: what was seen, committed to disk and numbered, until the hub's signed receipt covers it.

Once an event has a number it is lost only by a stated drop, which is itself an event (`outbox.gap.v1`).
"""

from edge.outbox.file import OutboxFull
from edge.outbox.outbox import Outbox
from edge.outbox.rows import OutboxRow
from edge.outbox.status import STATES, OutboxLimits, OutboxStatus

__all__ = ["STATES", "Outbox", "OutboxFull", "OutboxLimits", "OutboxRow", "OutboxStatus"]
