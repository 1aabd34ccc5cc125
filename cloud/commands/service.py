"""Sends signed commands to gateways and keeps each command's outcome in the database.

A command lives for eight seconds; it is never retained, and no broker can forge, alter or repeat one with effect. An
answer may reach any process of the hub: the state moves in the database, by the table in `cloud.commands.states`.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from cloud.broker.mirror import Mirror, mirror_of
from cloud.commands.states import FINAL, CommandState, HubCode, before
from cloud.database.engine import Database
from cloud.database.tables import CommandRecord, Gateway
from protocols import topics
from protocols.commands import Action, Command, DoorModeSet, DoorRelease, EvidenceHold, Forgive, Lockdown, Reply
from protocols.presence import Presence

LIFETIME = timedelta(seconds=8)
ANSWER_GRACE = timedelta(seconds=2)
"""How long after its end an unanswered command is waited for."""
TICK_S = 0.5
_NONCE_BYTES = 16
_WHY_CHARACTERS = 200
_NEWER_FORMAT = 2
"""The policy format from which on a gateway knows commands beside `door.release`."""
THE_HUB = UUID(int=0)
"""In a command's `issued_by`: no account's, the hub itself gave it."""
_STOP_S = 5.0
_SETTLED = FINAL | {CommandState.NO_ANSWER}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Why:
    """The reason of an end: a sentence in English, and a code for the reader's own language. Empty if there is none."""

    reason: str = ""
    code: str = ""


Args = DoorRelease | DoorModeSet | Lockdown | Forgive | EvidenceHold

_ACTIONS: dict[type[Args], Action] = {
    DoorRelease: Action.DOOR_RELEASE,
    DoorModeSet: Action.DOOR_MODE,
    Lockdown: Action.LOCKDOWN,
    Forgive: Action.FORGIVE,
    EvidenceHold: Action.EVIDENCE_HOLD,
}


@dataclass(frozen=True)
class CommandOutcome:
    """A command as it stands. `door` is empty for one that concerns none; `account_id` is who gave it, None the hub."""

    corr: UUID
    gateway: str
    door: str
    state: CommandState
    reason: str
    code: str
    action: str
    account_id: UUID | None


Listener = Callable[[CommandOutcome], None]
"""Called in the thread that moved the state; must not block."""


def _nobody(_outcome: CommandOutcome) -> None:
    """Hears of nothing."""


class CommandService:
    """Sends commands and follows them.

    Args:
        seal: (topic, body) -> the body under the hub's signature.
        send: (topic, message, what MQTT 5 repeats of it) hands a message to the broker; False if the hub has no
            connection to it now.
        tell: hears of every new state, also of those that another process moved.
        ended: hears once of every end, in the process that moved it: for the audit.
    """

    def __init__(
        self,
        database: Database,
        seal: Callable[[str, bytes], bytes],
        send: Callable[[str, bytes, Mirror], bool],
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        random_bytes: Callable[[int], bytes],
        tell: Listener,
        ended: Listener = _nobody,
    ) -> None:
        self._database = database
        self._seal = seal
        self._send = send
        self._now = now
        self._make_id = make_id
        self._random_bytes = random_bytes
        self._tell = tell
        self._ended = ended
        self._lock = threading.Lock()
        self._open: dict[UUID, CommandOutcome] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="commands", daemon=True)
        self.counts: Counter[str] = Counter()
        """How often each state was reached, `stray` answers, and `failures` of the watch."""

    def start(self) -> None:
        """Watch for commands that nobody answers."""
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def release_door(self, gateway_id: str, door: str, account_id: UUID, why: str = "") -> UUID:
        """Send the command to release a door's strike once; as `send`.

        Raises:
            ValueError: if `door` is no device's name.
        """
        return self.send(gateway_id, DoorRelease(door=door), account_id, why)

    def send(self, gateway_id: str, args: Args, account_id: UUID | None, why: str = "") -> UUID:
        """Send a command; the outcome comes later, by `corr`. `why` is the operator's own reason.

        Account None: the hub itself gives it.

        A gateway that is unknown, revoked, offline or too old for it gets none: the command then is `failed` at once,
        with the reason.
        """
        with self._lock:
            corr = self._make_id()
        hindrance = self._hindrance(gateway_id, args)
        if hindrance is not None:
            self._record(corr, gateway_id, args, account_id, why, CommandState.FAILED, hindrance)
            return corr
        issued = self._record(corr, gateway_id, args, account_id, why, CommandState.SENT, Why())
        command = Command(
            corr=corr,
            nonce=self._random_bytes(_NONCE_BYTES).hex(),
            issued=issued,
            expires=issued + LIFETIME,
            issued_by=str(account_id or THE_HUB),
            reply_to=topics.response(gateway_id, corr),
            action=_ACTIONS[type(args)],
            args=args,
        )
        topic = topics.command(gateway_id, corr)
        sealed = self._seal(topic, command.model_dump_json().encode())
        if not self._send(topic, sealed, mirror_of(command)):
            away = Why("the hub has no connection to its broker", HubCode.BROKER_AWAY)
            self._move(corr, gateway_id, CommandState.FAILED, away)
        return corr

    def answered(self, gateway: str, reply: Reply) -> None:
        """Take a gateway's answer, whose seal was checked. One to another gateway's command changes nothing."""
        why = Why(reply.reason, reply.code or "")
        if not self._move(reply.corr, gateway, CommandState(reply.state.value), why):
            self.counts["stray"] += 1
            log.warning("gateway %s answered %s to a command that is not waiting for it", gateway, reply.state)

    def outcome(self, corr: UUID) -> CommandOutcome | None:
        """How a command stands; None if there is none."""
        with self._database.read() as connection:
            row = connection.execute(_OUTCOME.where(CommandRecord.corr == corr)).first()
        return _outcome(row) if row else None

    def expire(self) -> None:
        """Give up on the commands whose time for an answer is over."""
        waiting = (CommandState.SENT, CommandState.ACCEPTED)
        overdue = select(CommandRecord.corr, CommandRecord.gateway_id).where(
            CommandRecord.state.in_(waiting), CommandRecord.expires_at < self._now() - ANSWER_GRACE
        )
        with self._database.read() as connection:
            rows = connection.execute(overdue).all()
        why = Why("the gateway did not answer in time", HubCode.NO_ANSWER)
        for corr, gateway in rows:
            self._move(corr, gateway, CommandState.NO_ANSWER, why)

    def see_others(self) -> None:
        """Tell what other processes of the hub made of the commands that this one sent."""
        with self._lock:
            before = dict(self._open)
        if not before:
            return
        with self._database.read() as connection:
            rows = connection.execute(_OUTCOME.where(CommandRecord.corr.in_(before))).all()
        for row in rows:
            if row.state != before[row.corr].state:
                self._told(_outcome(row), before[row.corr])

    def _hindrance(self, gateway: str, args: Args) -> Why | None:
        columns = (Gateway.enrolled_at, Gateway.revoked_at, Gateway.presence, Gateway.reported)
        query = select(*columns).where(Gateway.id == gateway)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None or row.enrolled_at is None:
            return Why(f"gateway {gateway} is not enrolled", HubCode.GATEWAY_UNKNOWN)
        if row.revoked_at is not None:
            return Why(f"gateway {gateway} was revoked", HubCode.GATEWAY_REVOKED)
        if row.presence != Presence.ONLINE:
            return Why(f"gateway {gateway} is offline", HubCode.GATEWAY_OFFLINE)
        if not isinstance(args, DoorRelease) and not knows_newer(row.reported):
            return Why(f"the program of gateway {gateway} is too old for this command", HubCode.GATEWAY_TOO_OLD)
        return None

    def _record(
        self, corr: UUID, gateway: str, args: Args, account_id: UUID | None, given: str, state: CommandState, why: Why
    ) -> datetime:
        now = self._now()
        door, action = str(getattr(args, "door", "")), _ACTIONS[type(args)]
        with self._database.write() as connection:
            connection.execute(
                insert(CommandRecord).values(
                    corr=corr,
                    gateway_id=gateway,
                    door=door,
                    account_id=account_id,
                    issued_at=now,
                    expires_at=now + LIFETIME,
                    state=state,
                    reason=why.reason,
                    code=why.code,
                    action=action,
                    args=args.model_dump(mode="json"),
                    why=given[:_WHY_CHARACTERS],
                    updated_at=now,
                )
            )
        self._moved(CommandOutcome(corr, gateway, door, state, why.reason, why.code, action, account_id))
        return now

    def _move(self, corr: UUID, gateway: str, state: CommandState, why: Why) -> bool:
        change = (
            update(CommandRecord)
            .where(
                CommandRecord.corr == corr,
                CommandRecord.gateway_id == gateway,
                CommandRecord.state.in_(before(state)),
            )
            .values(state=state, reason=why.reason[:300], code=why.code, updated_at=self._now())
            .returning(CommandRecord.door, CommandRecord.action, CommandRecord.account_id)
        )
        with self._database.write() as connection:
            row = connection.execute(change).first()
        if row is None:
            return False
        reason = why.reason[:300]
        self._moved(CommandOutcome(corr, gateway, row.door, state, reason, why.code, row.action, row.account_id))
        return True

    def _moved(self, outcome: CommandOutcome) -> None:
        """Tell of a state that this process itself moved the command to."""
        self._told(outcome)
        if outcome.state in _SETTLED:
            self._ended(outcome)

    def _told(self, outcome: CommandOutcome, seen: CommandOutcome | None = None) -> None:
        """Tell of a new state; if it was `seen` in the database, only when nobody in this process told it meanwhile."""
        with self._lock:
            if seen is not None and self._open.get(outcome.corr) != seen:
                return
            if outcome.state in _SETTLED:
                self._open.pop(outcome.corr, None)
            else:
                self._open[outcome.corr] = outcome
            self.counts[outcome.state] += 1
        self._tell(outcome)

    def _watch(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                self.expire()
                self.see_others()
            except SQLAlchemyError as error:
                self.counts["failures"] += 1
                log.error("unanswered commands could not be looked for, trying again: %s", error)


def knows_newer(reported: Mapping[str, Any] | None) -> bool:
    """Whether a gateway that was born so knows the commands beside `door.release`."""
    return ((reported or {}).get("policy_format") or 1) >= _NEWER_FORMAT


_OUTCOME = select(
    CommandRecord.corr,
    CommandRecord.gateway_id,
    CommandRecord.door,
    CommandRecord.state,
    CommandRecord.reason,
    CommandRecord.code,
    CommandRecord.action,
    CommandRecord.account_id,
)


def _outcome(row: Row[UUID, str, str, str, str, str, str, UUID | None]) -> CommandOutcome:
    return CommandOutcome(
        row.corr,
        row.gateway_id,
        row.door,
        CommandState(row.state),
        row.reason,
        row.code,
        row.action,
        row.account_id,
    )
