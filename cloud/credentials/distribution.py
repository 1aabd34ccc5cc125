"""Sends each gateway what it decides with, as soon as the register changes: one thread, some seconds at the most.

Every half second it takes the marks that the database's triggers left. One changed credential is compiled alone, so a
revocation costs a row and not a register. Changed doors, groups, schedules and rules are sent at once, without a look
at the rows; only where they change which groups have doors there (or the gateway was enrolled anew, or reads another
format) is its whole set compiled, as every gateway's is after a change of holidays or days of grace: one after the
other, and single changes go between them. It starts by compiling everything, so nothing is missed that happened while
the hub was down.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from cloud.credentials import compiler, sets
from cloud.credentials.marks import take_marks
from cloud.credentials.rules import rules_of
from cloud.database.engine import Database
from cloud.vault import Vault, VaultError
from protocols import topics
from protocols.base import ProtocolError
from protocols.credentials import MAX_SNAPSHOT_BYTES
from protocols.rules import Rules

POLL_S = 0.5
_RETRY_S = 2.0
_STOP_S = 10.0

Seal = Callable[[str, bytes], bytes]
"""(topic, body) -> the body under the hub's signature."""
Publish = Callable[[str, bytes, bool], None]
"""(topic, sealed message, retained)."""

log = logging.getLogger(__name__)


class Distribution:
    """Keeps every gateway's credential set that of the register."""

    def __init__(self, database: Database, vault: Vault, seal: Seal, publish: Publish) -> None:
        self._database = database
        self._vault = vault
        self._seal = seal
        self._publish = publish
        self._whole: deque[str] = deque()
        self._made_with: dict[str, compiler.Target] = {}
        """What each gateway's rows were last made with: while it is the same, rules alone can have changed."""
        self._all_due = True
        self._heads_due = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="credential distribution", daemon=True)
        self.counts: Counter[str] = Counter()
        """compiled (whole sets), deltas, snapshots (served), failures."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def connected(self) -> None:
        """The hub has (again) a connection to the broker, which may have lost what it retained."""
        self._heads_due = True
        self._wake.set()

    def snapshot(self, gateway: str) -> bytes | None:
        """The whole set, sealed for `topics.credential_snapshot`; None before the first was compiled."""
        with self._database.read() as connection:
            body = sets.snapshot_json(connection, gateway)
        if body is None:
            return None
        if len(body) > MAX_SNAPSHOT_BYTES:
            log.error("the credential set of gateway %s has %d bytes, more than a gateway reads", gateway, len(body))
        self.counts["snapshots"] += 1
        return self._seal(topics.credential_snapshot(gateway), body)

    def round(self) -> bool:
        """One step of the work; whether more is waiting.

        Raises:
            SQLAlchemyError, VaultError, ProtocolError: what was taken up is then due again, as a whole.
        """
        try:
            changes = take_marks(self._database)
            if changes.everything or self._all_due:
                self._all_due = False
                self._plan_everything()
                self._compile_rules(self._whole)
            else:
                if changes.credentials:
                    self._compile_some(changes.credentials)
                if changes.gateways:
                    self._compile_rules(sorted(changes.gateways))
                    self._plan_changed(changes.gateways)
            if self._whole:
                self._compile_whole(self._whole[0])
                self._whole.popleft()
            self._send_heads()
        except BaseException:  # the marks are taken: whatever happened, everything is due again; raised on
            self._all_due = self._heads_due = True
            raise
        return bool(self._whole)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait_s = POLL_S
            try:
                if self.round():
                    wait_s = 0.0
            except (SQLAlchemyError, VaultError, ProtocolError, ValueError) as error:
                self.counts["failures"] += 1
                log.error("credentials could not be distributed, trying again: %s", error)
                wait_s = _RETRY_S
            self._wake.wait(wait_s)
            self._wake.clear()

    def _plan_everything(self) -> None:
        with self._database.read() as connection:
            self._whole = deque(sorted(compiler.card_keys(connection, self._vault)))

    def _plan_changed(self, gateways: Collection[str]) -> None:
        """Have those compiled whole whose rows are to be made with something else than before."""
        with self._database.read() as connection:
            targets = compiler.targets(connection, self._vault)
        for gateway in sorted(gateways):
            if gateway not in self._whole and targets.get(gateway) != self._made_with.get(gateway):
                self._whole.append(gateway)

    def _compile_rules(self, gateways: Collection[str]) -> None:
        """Bring the rules up to date of those that have a set."""
        changed: dict[str, Rules] = {}
        with self._database.read() as connection:
            targets = compiler.targets(connection, self._vault)
            for gateway in gateways:
                known = sets.stored_rules(connection, gateway)
                if gateway in targets and known is not None:
                    rules = rules_of(connection, gateway, targets[gateway].policy_format)
                    if rules != known:
                        changed[gateway] = rules
        for gateway, rules in changed.items():
            self._commit(gateway, sets.Difference(rules=rules))

    def _compile_whole(self, gateway: str) -> None:
        with self._database.read() as connection:
            target = compiler.targets(connection, self._vault).get(gateway)
            if target is None:
                return
            rules = rules_of(connection, gateway, target.policy_format)
            known = sets.stored_rules(connection, gateway)
            rows = compiler.all_rows(connection, self._vault, gateway, target)
            changed = sets.compare(sets.stored_rows(connection, gateway), rows)
        self.counts["compiled"] += 1
        self._commit(gateway, sets.Difference(changed, rules if known is None or rules != known else None))
        self._made_with[gateway] = target

    def _compile_some(self, credentials: Collection[UUID]) -> None:
        with self._database.read() as connection:
            targets = compiler.targets(connection, self._vault)
            now = compiler.rows_of(connection, self._vault, targets, credentials)
            before = sets.stored_for(connection, credentials)
            ready = {gateway for gateway in targets if sets.head(connection, gateway) is not None}
        differences: dict[str, sets.Difference] = {}
        for gateway, ref in sorted(now.keys() | before.keys()):
            row = sets.changed(before.get((gateway, ref)), now.get((gateway, ref)))
            if row is not None and gateway in ready:  # one without a set yet is waiting for its whole
                differences.setdefault(gateway, sets.Difference()).rows.append(row)
        for gateway, difference in differences.items():
            self._commit(gateway, difference)

    def _commit(self, gateway: str, difference: sets.Difference) -> None:
        if not difference:
            return
        with self._database.write() as connection:
            published = sets.apply(connection, gateway, difference)
        for delta in published.deltas:
            self._send(topics.credential_delta(gateway), delta, retained=False)
            self.counts["deltas"] += 1
        self._send(topics.credential_head(gateway), published.head.model_dump_json(), retained=True)
        log.info("gateway %s: credential set %d, %d rows", gateway, published.head.version, published.head.rows)

    def _send_heads(self) -> None:
        if not self._heads_due:
            return
        self._heads_due = False
        with self._database.read() as connection:
            gateways = compiler.card_keys(connection, self._vault)
            heads = {gateway: sets.head(connection, gateway) for gateway in gateways}
        for gateway, newest in heads.items():
            if newest is not None:
                self._send(topics.credential_head(gateway), newest.model_dump_json(), retained=True)

    def _send(self, topic: str, text: str, retained: bool) -> None:
        self._publish(topic, self._seal(topic, text.encode()), retained)
