"""Keeping the credential store in step with the hub: deltas over MQTT, the whole set over HTTP when they do not fit.

Every head, delta and snapshot carries the hub's signature; a version never goes down. Doors decide from what is
stored, so nothing here is on a door's path, and the last good set stays in force whatever fails.
"""

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable

from edge.access.snapshot import WholeSet, read_snapshot
from edge.access.store import CredentialStore, NeedSnapshot, SetRefused
from edge.backoff import Backoff
from edge.clock import Clock
from edge.counters import Counters
from edge.hub_http import HubHttp, HubUnavailable
from edge.identity import Identity
from edge.uplink.connection import Incoming
from edge.worker import Worker
from protocols import topics
from protocols.base import ProtocolError
from protocols.commands import Ask, Want
from protocols.credentials import MAX_SNAPSHOT_BYTES, Delta, Head
from protocols.presence import CredentialsApplied
from protocols.sealing import open_with_signature

_log = logging.getLogger(__name__)

SNAPSHOT_PATH = "/api/v1/gateway/credentials"
MAX_WAITING = 64
"""Heads and deltas that wait. Policy when full: the new one is dropped, counted, and the hub is asked again."""
_DELTA_WAIT_S = 0.5
"""How long after a newer head its delta may take to come before the hub is asked for it."""
_ANSWER_WAIT_S = 1.5
"""How long the hub may take to answer before the whole set is fetched."""
_SETTLE_EVERY_S = 2.0
"""How often the disk is tried while it refuses the set."""
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0


class CredentialSync:
    """Applies what the hub says, in a thread of its own.

    Args:
        http: the hub's HTTP side.
        jitter: a number in [0, 1) for each call.
    """

    def __init__(
        self,
        identity: Identity,
        store: CredentialStore,
        http: HubHttp,
        clock: Clock,
        jitter: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._identity, self._store, self._http, self._clock = identity, store, http, clock
        self._counters = counters
        self._waiting: queue.Queue[Head | Delta] = queue.Queue(MAX_WAITING)
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S, jitter)
        self._applied = _applied(store)
        self._wanted: Head | None = None
        self._ask_at_s: float | None = None
        self._fetch_at_s: float | None = None
        self._settle_at_s = 0.0
        self._ask: Callable[[Ask], None] = lambda _question: None
        self._changed: Callable[[], None] = lambda: None
        self._worker = Worker("credentials", self._run)

    def ask_with(self, ask: Callable[[Ask], None], changed: Callable[[], None]) -> None:
        """How to ask the hub, and whom to tell when another set is in force; set once, before `start`."""
        self._ask, self._changed = ask, changed

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 3.0) -> bool:
        return self._worker.stop(timeout_s)

    @property
    def failure(self) -> str | None:
        return self._worker.failure

    def applied(self) -> CredentialsApplied:
        """The set that decides now; never waits for one that is being stored."""
        return self._applied

    def ask_now(self) -> None:
        """Ask the hub for what follows the version here: after every birth."""
        self._ask(Ask(want=Want.CREDENTIALS, have=self._applied.version))

    def on_head(self, message: Incoming) -> None:
        """Take a head from the broker.

        Raises:
            ProtocolError: if the hub did not sign it.
        """
        self._put(Head.model_validate_json(self._opened(message)))

    def on_delta(self, message: Incoming) -> None:
        """Take a delta from the broker.

        Raises:
            ProtocolError: if the hub did not sign it.
        """
        self._put(Delta.model_validate_json(self._opened(message)))

    def _opened(self, message: Incoming) -> bytes:
        return open_with_signature(message.topic, message.payload, self._identity.hub_key.verify)

    def _put(self, item: Head | Delta) -> None:
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            self._counters.add("credentials_dropped")

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                item = self._waiting.get(timeout=0.1)
            except queue.Empty:
                pass
            else:
                self._take(item)
            now_s = self._clock.monotonic_s()
            self._settle(now_s)
            if self._ask_at_s is not None and now_s >= self._ask_at_s:
                self._ask_at_s = None
                self.ask_now()
            if self._fetch_at_s is not None and now_s >= self._fetch_at_s:
                self._fetch()

    def _settle(self, now_s: float) -> None:
        """Bring the set back to the disk as soon as it takes it."""
        if self._store.off_disk is None or now_s < self._settle_at_s:
            return
        self._settle_at_s = now_s + _SETTLE_EVERY_S
        if self._store.settle():
            _log.warning("credentials are on disk again")
            if self._applied != _applied(self._store):
                self._note_applied()

    def _take(self, item: Head | Delta) -> None:
        if isinstance(item, Head):
            self._compare(item)
            return
        try:
            before = self._store.head().version
            self._store.apply(item)
        except NeedSnapshot as error:
            self._counters.add("credentials_need_snapshot")
            _log.info("whole credential set needed", extra={"reason": str(error)})
            self._fetch_at_s = self._clock.monotonic_s()
        except sqlite3.Error as error:
            self._failed("credentials_not_stored", str(error))
        else:
            if item.version > before:
                self._counters.add("credential_deltas")
                self._note_applied()

    def _compare(self, head: Head) -> None:
        have = self._store.head()
        now_s = self._clock.monotonic_s()
        if head.version < have.version:
            self._counters.add("credentials_lower_version")
            _log.warning("lower credential version refused", extra={"have": have.version, "offered": head.version})
        elif head.version == have.version and head.digest != have.digest:
            self._counters.add("credentials_digest_differs")
            self._fetch_at_s = now_s
        elif head.version > have.version and self._has_asked_for(head):
            self._fetch_at_s = now_s  # the hub answered with the head alone: it has no deltas that lead there
        elif head.version > have.version:
            self._wanted = head
            self._ask_at_s = now_s + _DELTA_WAIT_S
            self._fetch_at_s = now_s + _ANSWER_WAIT_S

    def _has_asked_for(self, head: Head) -> bool:
        """Whether the question that followed this head has been put already."""
        return self._wanted is not None and head.version <= self._wanted.version and self._ask_at_s is None

    def _note_applied(self) -> None:
        self._backoff.reset()
        self._applied = _applied(self._store)
        version = self._applied.version
        if self._wanted is None or version >= self._wanted.version:
            self._wanted = self._ask_at_s = self._fetch_at_s = None
        _log.info("credentials in force", extra={"version": version})
        self._changed()

    def _fetch(self) -> None:
        try:
            self._store.replace(self._snapshot())
        except HubUnavailable as error:
            self._failed("snapshot_unavailable", str(error))
        except (ProtocolError, SetRefused) as error:
            self._failed("snapshot_refused", str(error)[:200])
        except sqlite3.Error as error:
            self._failed("credentials_not_stored", str(error))
        else:
            self._fetch_at_s = None
            self._counters.add("credential_snapshots")
            self._note_applied()

    def _snapshot(self) -> WholeSet:
        topic = topics.credential_snapshot(self._identity.gateway)
        payload = self._http.get(SNAPSHOT_PATH, MAX_SNAPSHOT_BYTES)
        return read_snapshot(open_with_signature(topic, payload, self._identity.hub_key.verify, MAX_SNAPSHOT_BYTES))

    def _failed(self, counter: str, reason: str) -> None:
        self._counters.add(counter)
        _log.warning("credentials not updated", extra={"reason": reason})
        self._fetch_at_s = self._clock.monotonic_s() + self._backoff.next_s()


def _applied(store: CredentialStore) -> CredentialsApplied:
    head = store.head()
    return CredentialsApplied(version=head.version, digest=head.digest)
