"""Holds that the hub orders: begun and ended for a command, in the command's thread."""

import sqlite3
from dataclasses import dataclass

from edge.clock import Clock
from edge.keeping.errors import KeepingError
from edge.keeping.index import Hold
from edge.keeping.service import Keeping
from protocols.commands import EvidenceHold, FailureCode


@dataclass(frozen=True)
class HoldOutcome:
    """What became of an order."""

    done: bool
    reason: str = ""
    code: FailureCode | None = None


class HoldOrders:
    """Carries out `evidence.hold` (`edge.uplink.commands.EvidenceCommands`)."""

    def __init__(self, keeping: Keeping, clock: Clock) -> None:
        self._keeping, self._clock = keeping, clock

    def hold(self, args: EvidenceHold) -> HoldOutcome:
        """Begin or end a hold; it is on disk when this returns."""
        if args.camera is not None and self._keeping.sink(args.camera) is None:
            why = f"there is no camera {args.camera} here of which anything is kept"
            return HoldOutcome(False, why, FailureCode.UNKNOWN_CAMERA)
        try:
            if not args.active:
                return self._ended(str(args.hold))
            since_ms, until_ms = round(args.since.timestamp() * 1000), round(args.until.timestamp() * 1000)
            made_ms = round(self._clock.wall_s() * 1000)
            self._keeping.hold(Hold(str(args.hold), args.camera, since_ms, until_ms, "ordered by the hub", made_ms))
        except (KeepingError, sqlite3.Error) as error:
            return HoldOutcome(False, str(error)[:300], FailureCode.KEEPING_STOPPED)
        return HoldOutcome(True)

    def _ended(self, hold: str) -> HoldOutcome:
        if self._keeping.end_hold(hold):
            return HoldOutcome(True)
        return HoldOutcome(False, "there is no such hold here", FailureCode.UNKNOWN_HOLD)
