"""Keeps one device's list what the roster says: plans it anew when the roster, the device or the time asks for it."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from edge.access.drivers.interface import Roster
from edge.access.drivers.zkteco.roster import Layout, RosterPlanner, RosterSync
from edge.access.drivers.zkteco.state import DeviceState
from edge.clock import Clock
from edge.counters import Counters
from protocols.zk_push import Dialect

_LOG = logging.getLogger(__name__)


class ListKeeper:
    """One thread at a time, but for `set_roster`.

    Args:
        doors: door number by reader.
        zone: of the device's clock.
        dialect: as the device last spoke.
        next_id: numbers commands.
        counters: gets `roster_left_out`, and those of `RosterSync`.
    """

    def __init__(
        self,
        name: str,
        doors: Mapping[str, int],
        state: DeviceState,
        zone: ZoneInfo,
        clock: Clock,
        dialect: Callable[[], Dialect],
        next_id: Callable[[], str],
        counters: Counters,
    ) -> None:
        self._name, self._doors, self._state, self._zone = name, doors, state, zone
        self._clock, self._dialect, self._next_id, self._counters = clock, dialect, next_id, counters
        self._lock = threading.Lock()
        self._roster: Roster | None = None
        self._is_new = False
        self._replan_at: datetime | None = None
        self._sync = self._new_sync()

    @property
    def is_settled(self) -> bool:
        return self._sync.is_settled and not self._is_new

    def set_roster(self, roster: Roster) -> None:
        """The list is to be this one; planned at the next tick."""
        with self._lock:
            self._roster, self._is_new = roster, True

    def plan_again(self) -> None:
        """The device keeps its list in another way than was thought."""
        with self._lock:
            self._is_new = self._roster is not None

    def begin_anew(self) -> None:
        """The device is another than was thought: nothing is known of its list."""
        self._sync.forget()
        self._sync = self._new_sync()
        self.plan_again()

    def reconnected(self) -> None:
        """The device began anew: what it has not answered it may have lost."""
        self._sync.reconnected()

    def take(self) -> list[tuple[str, str]]:
        """The next commands for the device, (id, text)."""
        return self._sync.take(self._clock.monotonic_s())

    def answered(self, results: Iterable[tuple[str, int]]) -> None:
        """What became of commands; those of others are left alone."""
        self._sync.answered(results, self._clock.monotonic_s())

    def tick(self) -> None:
        """Plan what is due, and send again what is overdue."""
        self._plan()
        self._sync.tick(self._clock.monotonic_s())

    def _new_sync(self) -> RosterSync:
        return RosterSync(self._state, self._dialect(), self._next_id, self._counters)

    def _plan(self) -> None:
        with self._lock:
            roster, is_new = self._roster, self._is_new
        now = datetime.fromtimestamp(self._clock.wall_s(), UTC)
        if roster is None or not (is_new or (self._replan_at is not None and now >= self._replan_at)):
            return
        try:
            self._aim(roster, now)
        finally:
            with self._lock:
                self._is_new = self._roster is not roster

    def _aim(self, roster: Roster, now: datetime) -> None:
        dialect = self._dialect()
        to_the_second = dialect is Dialect.ACCESS and self._state.fact("dates") == "1"
        planner = RosterPlanner(self._state, Layout(dialect, self._doors, self._zone, to_the_second))
        with self._state.writing():
            wanted = planner.plan(roster, now)
        self._replan_at = wanted.changes_at
        if wanted.left_out:
            self._counters.add("roster_left_out", wanted.left_out)
            _LOG.warning(
                "zkteco: the device cannot hold some of its list",
                extra={"device": self._name, "left_out": wanted.left_out},
            )
        self._sync.aim(wanted.entries)
