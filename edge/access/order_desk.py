"""Carries out what operators order, and answers each order once."""

from collections.abc import Mapping

from edge.access.counts import Counts
from edge.access.decision import Decider
from edge.access.door import Release
from edge.access.door_at_work import DoorAtWork
from edge.access.driving import Driving
from edge.access.mode_keeper import ModeKeeper
from edge.access.modes import Commanded
from edge.access.orders import ForgiveOrder, LockdownOrder, ModeOrder, ReleaseOrder
from edge.access.reader_book import ReaderBook
from edge.access.status import Outcome
from edge.access.store import CredentialStore
from edge.access.telling import Teller
from edge.clock import Clock
from protocols.access_events import LockdownChanged, ReleaseCause
from protocols.commands import FailureCode


class OrderDesk:
    """One thread."""

    def __init__(
        self,
        doors: Mapping[str, DoorAtWork],
        driving: Driving,
        modes: ModeKeeper,
        readers: ReaderBook,
        decider: Decider,
        store: CredentialStore,
        teller: Teller,
        clock: Clock,
        counts: Counts,
    ) -> None:
        self._doors, self._driving, self._modes, self._readers = doors, driving, modes, readers
        self._decider, self._store, self._teller = decider, store, teller
        self._clock, self._counts = clock, counts

    def release(self, order: ReleaseOrder) -> None:
        """An operator's own decision: it opens a locked door too, also in a lockdown."""
        door = self._doors.get(order.door)
        if door is None:
            order.answer(_unknown_door(order.door))
        elif not self._readers.is_online(door.strike_reader):
            self._counts.add("strike_failures")
            order.answer(Outcome(False, self._offline(door), FailureCode.READER_OFFLINE))
        else:
            self._driving.drive(door, Release(ReleaseCause.COMMAND, order.corr), answer=order.answer)

    def mode(self, order: ModeOrder) -> None:
        """Put a door into a mode; one that cannot follow at once does so later, which the answer says."""
        door = self._doors.get(order.door)
        if door is None:
            order.answer(_unknown_door(order.door))
        elif order.until_s is not None and order.until_s <= self._clock.wall_s():
            order.answer(Outcome(False, "it would end before it began", FailureCode.EXPIRED))
        else:
            self._modes.command(door, Commanded(order.mode, order.until_s, order.corr))
            order.answer(Outcome(True, self._later(door)))

    def _later(self, door: DoorAtWork) -> str:
        """Why a door does not follow an order at once, though it was taken."""
        if self._modes.lockdown:
            return "a lockdown is in force; the door follows when it has ended"
        if not self._readers.is_online(door.strike_reader):
            return f"the door follows when it can: {self._offline(door)}"
        return ""

    def _offline(self, door: DoorAtWork) -> str:
        reader = door.strike_reader
        return f'reader "{reader}", which drives the strike, is offline: {self._readers.why_offline(reader)}'

    def lockdown(self, order: LockdownOrder) -> None:
        """Begin or end the lockdown. That two people wanted it has been seen to (`edge.uplink.commands`)."""
        if self._modes.lock_down(active=order.active, corr=order.corr):
            self._teller.tell_own(LockdownChanged(active=order.active, corr=order.corr))
            order.answer(Outcome(True))
        else:
            order.answer(Outcome(True, "it was so already"))

    def forgive(self, order: ForgiveOrder) -> None:
        """Forget who is in an area."""
        if order.area is not None and all(area.id != order.area for area in self._store.rules.areas):
            why = f'there is no area "{order.area}" in the rules of this gateway'
            order.answer(Outcome(False, why, FailureCode.UNKNOWN_AREA))
            return
        self._decider.forgive(order.area)
        order.answer(Outcome(True))


def _unknown_door(door: str) -> Outcome:
    return Outcome(False, f'there is no door "{door}" at this gateway', FailureCode.UNKNOWN_DOOR)
