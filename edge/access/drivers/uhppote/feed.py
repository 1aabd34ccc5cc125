"""A board's events by their index: each once, in order, also after an outage, a restart, or a ring that overran."""

import logging
from collections.abc import Callable

from edge.access.drivers.uhppote.board import Board, Overwritten
from edge.access.drivers.uhppote.position import Position
from edge.counters import Counters
from protocols.uhppote import Record

BATCH = 32
"""So many events are fetched before the doors' commands and the clock are looked at again."""
SKIP_AFTER = 3
"""An event that the board says it has, but does not give when asked so often, is passed over."""

_LOG = logging.getLogger(__name__)


class EventFeed:
    """The events of one board. Not safe to use from several threads.

    A board that is seen for the first time begins with what happens from now on.
    """

    def __init__(self, name: str, board: Board, position: Position, counters: Counters) -> None:
        self._name, self._board, self._position, self._counters = name, board, position, counters
        self.begin()

    def begin(self) -> None:
        """Come (back) to the board, knowing nothing of what happened there."""
        self.behind = True
        """Whether there may be events to fetch."""
        self.caught_up = False
        """Whether everything from before the connection was fetched."""
        self._newest = self._absences = 0

    def place(self, newest: int) -> None:
        """Take note of the board's newest index (0: it has none)."""
        self._newest = newest
        following = self._position.next
        if following is None:
            self._move_to(newest + 1)
        elif newest < following - 1:
            self._counters.add("event_rings_begun_anew")
            _LOG.warning("a board's events begin anew; was it reset?", extra={"device": self._name})
            self._move_to(1)
        if newest >= self._following and not self.behind:
            self.behind = True
            self._counters.add("events_not_pushed")

    def fetch(self, tell: Callable[[Record], bool]) -> None:
        """Fetch the next events, at most `BATCH`.

        Args:
            tell: delivers an event; returns whether to go on at once.
        """
        for _ in range(BATCH):
            following = self._following
            try:
                record = self._board.record(following)
            except Overwritten:
                self._find_oldest(following)
                continue
            if record is None:
                self._none_there(following)
                return
            self._absences = 0
            go_on = tell(record)
            self._move_to(following + 1)
            if not go_on:
                return

    def make_durable(self) -> None:
        """Have the position on the disk itself."""
        try:
            self._position.make_durable()
        except OSError as error:
            self._not_kept(error)

    @property
    def _following(self) -> int:
        return self._position.next or 1

    def _none_there(self, following: int) -> None:
        self.behind, self.caught_up = False, True
        self._absences = self._absences + 1 if following <= self._newest else 0
        if self._absences >= SKIP_AFTER:
            self._absences = 0
            self._lose(following, following + 1)

    def _find_oldest(self, following: int) -> None:
        oldest = self._board.record(0)
        known = 0 if oldest is None else oldest.index
        self._lose(following, known if known > following else max(self._newest, following) + 1)

    def _lose(self, first: int, following: int) -> None:
        self._counters.add("events_lost", following - first)
        extra = {"device": self._name, "events": following - first}
        _LOG.warning("a board had overwritten events before they could be fetched", extra=extra)
        self._move_to(following)

    def _move_to(self, following: int) -> None:
        try:
            self._position.save(following)
        except OSError as error:
            self._not_kept(error)

    def _not_kept(self, error: OSError) -> None:
        if not self._counters["positions_not_kept"]:
            extra = {"device": self._name, "reason": error.strerror}
            _LOG.warning("how far a board's events were fetched cannot be kept; a restart may repeat some", extra=extra)
        self._counters.add("positions_not_kept")
