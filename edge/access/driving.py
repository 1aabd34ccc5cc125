"""Drives the doors' machines: gives them what happened, and does what they answer, the strike first."""

import math
from collections.abc import Mapping

from edge.access.decision import Decider
from edge.access.door import OPENING_GRACE_S, DoorInput, ModeSet, StrikeSet, Tick, Told, WarnHeld
from edge.access.door_at_work import DoorAtWork
from edge.access.drivers.interface import Feedback, OutputsForgotten
from edge.access.outcome import Decision
from edge.access.outputs import Answer
from edge.access.passages import Passage
from edge.access.strikes import Strikes
from edge.access.telling import Teller
from edge.clock import Clock
from protocols.access_events import DoorOpened
from protocols.event_data import EventData


class Driving:
    """One thread.

    Args:
        decider: is told who passed, and who did not.
    """

    def __init__(
        self, doors: Mapping[str, DoorAtWork], strikes: Strikes, decider: Decider, teller: Teller, clock: Clock
    ) -> None:
        self._doors, self._strikes, self._decider = doors, strikes, decider
        self._teller, self._clock = teller, clock
        self._due_s: dict[str, float] = {}

    @property
    def deadline_s(self) -> float:
        """When `run_timers` has something to do, by the monotonic clock."""
        return min(self._due_s.values(), default=math.inf)

    def run_timers(self, now_s: float) -> None:
        for door in [door for door, due_s in self._due_s.items() if due_s <= now_s]:
            self.drive(self._doors[door], Tick())

    def drive(self, door: DoorAtWork, given: DoorInput, *, answer: Answer | None = None) -> None:
        """Give a door an input and do what comes of it; `answer` learns what became of the strike."""
        self.tell(door, self.drive_untold(door, given, answer=answer))

    def drive_untold(
        self, door: DoorAtWork, given: DoorInput, *, read_ns: int | None = None, answer: Answer | None = None
    ) -> list[EventData]:
        """The same for somebody who tells of it later; returns what there is to tell."""
        effects = door.machine.receive(given, self._clock.monotonic_s())
        self._due_s[door.id] = door.deadline_s  # whatever fails below, no timer falls due twice
        told: list[EventData] = []
        for effect in effects:
            match effect:
                case StrikeSet():
                    self._strikes.set(door, effect.for_s, read_ns, answer if effect.for_s else None)
                case WarnHeld():
                    for reader in door.config.readers:
                        self._strikes.show(reader, Feedback.HELD_SOON)
                case Told():
                    told.append(effect.data)
        self._note_passing(door, opened=any(isinstance(data, DoorOpened) for data in told))
        return told

    def tell(self, door: DoorAtWork, told: list[EventData]) -> None:
        for data in told:
            self._teller.tell(door.id, door.config.place, data)

    def expect(self, door: DoorAtWork, reader: str, decision: Decision, *, shows_passing: bool) -> None:
        """Somebody was let in: has passed once the door opens in time, or now if nothing will show it."""
        if not shows_passing:
            self._decider.passed(door.id, reader, decision)
            return
        until_s = self._clock.monotonic_s() + door.config.release_s + OPENING_GRACE_S
        door.passages.expect(Passage(reader, decision, until_s))
        self._due_s[door.id] = door.deadline_s

    def go_over(self, door: DoorAtWork, mode: ModeSet) -> None:
        """The door is in another mode from now on."""
        self.drive(door, mode)

    def say_outputs(self, forgotten: OutputsForgotten) -> None:
        """Say to a reader that has just come (back) what each strike on it is to be."""
        now_s = self._clock.monotonic_s()
        for door in self._doors.values():
            if door.strike_reader == forgotten.reader:
                self._strikes.set(door, door.machine.strike_left_s(now_s) or None)

    def _note_passing(self, door: DoorAtWork, *, opened: bool) -> None:
        passed = door.passages.opened() if opened else []
        gone = door.passages.given_up(self._clock.monotonic_s())
        self._due_s[door.id] = door.deadline_s
        for passage in passed:
            self._decider.passed(door.id, passage.reader, passage.decision)
        for passage in gone:
            self._decider.not_used(door.id, passage.reader, passage.decision)
