"""Notices what changes without anybody coming: another policy, and the hub's being silent for too long."""

import math
from datetime import UTC, datetime

from edge.access.decision import Decider
from edge.access.store import CredentialStore
from edge.access.telling import Teller
from edge.clock import Clock
from protocols.access_events import PolicyStale

LOOK_EVERY_S = 1.0


class PolicyWatch:
    """One thread; `stale` is for any."""

    def __init__(self, store: CredentialStore, decider: Decider, teller: Teller, clock: Clock) -> None:
        self._store, self._decider, self._teller, self._clock = store, decider, teller, clock
        self._version = -1
        self._stale_since: datetime | None = None
        self.due_s = -math.inf
        """When `look` is due, by the monotonic clock."""
        self.interlocks: dict[str, str] = {}
        """The interlock of each door that has one."""

    @property
    def stale(self) -> bool:
        """Whether some credentials are not taken, the hub being silent."""
        return self._stale_since is not None

    def look(self) -> bool:
        """Look, and tell if the policy became stale or fresh; whether another policy is in force."""
        self.due_s = self._clock.monotonic_s() + LOOK_EVERY_S
        self._look_at_staleness()
        version = self._store.policy[0]
        if version == self._version:
            return False
        self._version = version
        self.interlocks = {rule.door: rule.interlock for rule in self._store.rules.doors if rule.interlock}
        return True

    def _look_at_staleness(self) -> None:
        stale_since_s = self._decider.stale_since(self._clock.wall_s())
        before = self._stale_since
        if (stale_since_s is None) == (before is None):
            return
        since = None if stale_since_s is None else datetime.fromtimestamp(stale_since_s, UTC)
        self._stale_since = since
        told = since or before
        if told is not None:
            self._teller.tell_own(PolicyStale(stale=since is not None, since=told))
