"""Commands from the hub: checked, executed once, answered. Never one that is old, retained, repeated or unsigned.

The uplink's thread checks; threads of their own execute, so that a slow door holds up no event, a door whose device
fetches its commands no release of another, and no release a lockdown. Answers are `accepted`, then exactly one of
`done`, `failed`, `expired`; a command seen again gets its last answer again. A lockdown begins only if two people
wanted it: the one who issued it, and another who confirmed.
"""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

from edge.clock import Clock
from edge.counters import Counters
from edge.identity import HubKey
from edge.uplink.connection import Incoming
from edge.uplink.nonces import CommandLedger
from edge.worker import Worker
from protocols import topics
from protocols.access_events import DoorMode
from protocols.base import ProtocolError
from protocols.commands import (
    ACCEPTED_SKEW_S,
    MAX_LIFETIME_S,
    Command,
    DoorModeSet,
    DoorRelease,
    EvidenceHold,
    FailureCode,
    Forgive,
    Lockdown,
    Reply,
    ReplyState,
)
from protocols.sealing import BadSeal, open_with_signature

_log = logging.getLogger(__name__)
MAX_WAITING_COMMANDS = 16
"""Releases, and as many of all others. Policy when full: the new command is answered `failed`, and counted."""
RELEASES_AT_ONCE = 4
_IDLE_S = 0.5


class Outcome(Protocol):
    """What became of a command (`edge.access.status.Outcome`)."""

    @property
    def done(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def code(self) -> FailureCode | None: ...


class DoorCommands(Protocol):
    """What the doors do when told to (`edge.devices.Doors`): within two seconds, or some more to release a door whose
    device fetches its commands."""

    def release(self, door: str, corr: UUID) -> Outcome:
        """Release a door's strike once, for its time."""
        ...

    def set_mode(self, door: str, mode: DoorMode, until_s: float | None, corr: UUID) -> Outcome:
        """Put a door into a mode until a moment (seconds since the epoch), or until the next such command."""
        ...

    def lock_down(self, corr: UUID, *, active: bool) -> Outcome:
        """Begin or end the lockdown of every door."""
        ...

    def forgive(self, area: str | None) -> Outcome:
        """Forget who is in an area; None: in every area."""
        ...


class EvidenceCommands(Protocol):
    """What keeps video (`edge.keeping.orders.HoldOrders`)."""

    def hold(self, args: EvidenceHold) -> Outcome:
        """Begin or end a hold."""
        ...


@dataclass(frozen=True)
class _Refusal:
    """What is not even handed to the doors."""

    reason: str
    code: FailureCode
    done: bool = False


_NO_VIDEO = _Refusal("this gateway keeps no video", FailureCode.KEEPING_STOPPED)
_NOT_CONFIRMED = _Refusal("a lockdown takes two people: nobody else confirmed it", FailureCode.NOT_CONFIRMED)


class CommandRefused(ProtocolError):
    """A command that is not executed, and why; `counter` names the count."""

    def __init__(self, counter: str, reason: str) -> None:
        super().__init__(reason)
        self.counter = counter


class Commands:
    """Checks in the caller's thread, executes in its own: releases beside each other, all others one after another.

    Args:
        doors: carries them out; called from several threads.
        evidence: likewise, from one thread, for kept video; None: this gateway keeps none.
    """

    def __init__(
        self,
        gateway: str,
        hub_key: HubKey,
        doors: DoorCommands,
        ledger: CommandLedger,
        clock: Clock,
        counters: Counters,
        evidence: EvidenceCommands | None = None,
    ) -> None:
        self._evidence = evidence
        self._gateway, self._hub_key, self._doors = gateway, hub_key, doors
        self._ledger, self._clock, self._counters = ledger, clock, counters
        self._ledger_lock = threading.Lock()
        self._answer: Callable[[Reply], None] = lambda _reply: None
        self._releases: queue.Queue[Command] = queue.Queue(MAX_WAITING_COMMANDS)
        self._others: queue.Queue[Command] = queue.Queue(MAX_WAITING_COMMANDS)
        names = [f"releases-{number}" for number in range(RELEASES_AT_ONCE)]
        self._workers = [Worker(name, partial(self._run, self._releases)) for name in names]
        self._workers.append(Worker("commands", partial(self._run, self._others)))

    def answer_with(self, answer: Callable[[Reply], None]) -> None:
        """Where answers go; set once, before `start`."""
        self._answer = answer

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self, timeout_s: float = 3.0) -> bool:
        for worker in self._workers:
            worker.ask_to_stop()
        end_s = self._clock.monotonic_s() + timeout_s
        ended = [worker.stop(max(0.0, end_s - self._clock.monotonic_s())) for worker in self._workers]
        return all(ended)

    @property
    def failure(self) -> str | None:
        return next((worker.failure for worker in self._workers if worker.failure is not None), None)

    def receive(self, message: Incoming) -> None:
        """Take a command from the broker.

        Raises:
            ProtocolError: if it is refused; nothing was executed.
        """
        try:
            command = self._checked(message)
        except CommandRefused as error:
            self._counters.add(error.counter)
            raise
        except BadSeal:
            self._counters.add("commands_badly_sealed")
            raise
        with self._ledger_lock:
            if self._is_known(command):
                return
            self._ledger.remember(command)
        self._queue(command)

    def _checked(self, message: Incoming) -> Command:
        if message.retained:
            raise CommandRefused("commands_retained", "a retained command is never executed")
        command = Command.model_validate_json(open_with_signature(message.topic, message.payload, self._hub_key.verify))
        if message.topic != topics.command(self._gateway, command.corr):
            raise CommandRefused("commands_misplaced", "the command's corr is not its topic's")
        if command.reply_to != topics.response(self._gateway, command.corr):
            raise CommandRefused("commands_misplaced", "the command wants its answer elsewhere")
        if command.expires - command.issued > timedelta(seconds=MAX_LIFETIME_S):
            raise CommandRefused("commands_too_long_lived", f"a command lives at most {MAX_LIFETIME_S:.0f} s")
        now = self._now()
        if command.issued > now + timedelta(seconds=ACCEPTED_SKEW_S):
            raise CommandRefused("commands_from_the_future", "issued later than this gateway's clock allows")
        if command.expires <= now:
            self._reply(command.corr, ReplyState.EXPIRED, "expired by the gateway's clock", FailureCode.EXPIRED)
            raise CommandRefused("commands_expired", "expired by this gateway's clock")
        return command

    def _is_known(self, command: Command) -> bool:
        """Whether it was seen; then its last answer is sent again. A used nonce under another corr is refused."""
        self._ledger.forget_old(self._clock.wall_s())
        if self._ledger.knows(command.corr):
            self._counters.add("commands_repeated")
            reply = self._ledger.reply_of(command.corr)
            if reply is not None:
                self._answer(reply)
            return True
        if self._ledger.knows_nonce(command.nonce):
            self._counters.add("commands_replayed")
            raise ProtocolError("the command's nonce was used before")
        if self._ledger.is_full:
            self._counters.add("commands_too_many")
            raise ProtocolError("more commands than the gateway can remember")
        return False

    def _queue(self, command: Command) -> None:
        waiting = self._releases if isinstance(command.args, DoorRelease) else self._others
        if waiting.full():  # only this thread puts, so it stays true or becomes false
            self._counters.add("commands_too_many")
            why = "too many commands wait at this gateway"
            self._conclude(command.corr, ReplyState.FAILED, why, FailureCode.OVERLOADED)
            return
        self._conclude(command.corr, ReplyState.ACCEPTED, "")
        waiting.put_nowait(command)

    def _run(self, waiting: queue.Queue[Command], stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                command = waiting.get(timeout=_IDLE_S)
            except queue.Empty:
                if waiting is self._others:
                    with self._ledger_lock:
                        self._ledger.settle()
                continue
            self._execute(command)

    def _execute(self, command: Command) -> None:
        if command.expires <= self._now():
            self._counters.add("commands_expired")
            why = "expired while it waited at the gateway"
            self._conclude(command.corr, ReplyState.EXPIRED, why, FailureCode.EXPIRED)
            return
        try:
            outcome = self._carried_out(command)
        except Exception as error:  # noqa: BLE001 - whatever the doors raise, the guard gets an answer
            self._counters.add("commands_crashed")
            _log.exception("a command failed", extra={"corr": str(command.corr)})
            why = f"fault in the gateway: {type(error).__name__}"
            self._conclude(command.corr, ReplyState.FAILED, why, FailureCode.FAULT)
            return
        self._counters.add("commands_done" if outcome.done else "commands_failed")
        state = ReplyState.DONE if outcome.done else ReplyState.FAILED
        self._conclude(command.corr, state, outcome.reason, outcome.code)

    def _carried_out(self, command: Command) -> Outcome:
        match command.args:
            case DoorRelease(door=door):
                return self._doors.release(door, command.corr)
            case DoorModeSet(door=door, mode=mode, until=until):
                until_s = None if until is None else until.timestamp()
                return self._doors.set_mode(door, mode, until_s, command.corr)
            case Forgive(area=area):
                return self._doors.forgive(area)
            case EvidenceHold():
                return _NO_VIDEO if self._evidence is None else self._evidence.hold(command.args)
            case Lockdown(active=active, confirmed_by=second):
                if active and second in (None, command.issued_by):
                    self._counters.add("lockdowns_not_confirmed")
                    return _NOT_CONFIRMED
                return self._doors.lock_down(command.corr, active=active)

    def _conclude(self, corr: UUID, state: ReplyState, reason: str, code: FailureCode | None = None) -> None:
        with self._ledger_lock:
            self._ledger.note(self._reply(corr, state, reason, code))

    def _reply(self, corr: UUID, state: ReplyState, reason: str, code: FailureCode | None) -> Reply:
        reply = Reply(corr=corr, state=state, time=self._now(), reason=reason[:300], code=code)
        self._answer(reply)
        return reply

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_s(), UTC)
