"""Hands gateways' answers, questions and presence to the rest of the hub, on a thread of its own.

A handler that is slow or fails never delays the storing of events: the queue is bounded, the oldest is dropped when it
is full, and exceptions are counted and logged.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cloud.ingest.batch import Answer, Presence, Question
from cloud.ingest.counters import IngestCounters
from protocols.commands import Ask, Reply
from protocols.presence import GatewayState

MAX_WAITING = 10_000
_STOP_S = 10.0
_logger = logging.getLogger(__name__)


def _nothing(_gateway: str, _message: object) -> None:
    """The handler of what nobody listens to."""


@dataclass(frozen=True)
class IngestHandlers:
    """Who is told; each is called with the gateway's id, one call at a time, after its message's seal was checked."""

    on_reply: Callable[[str, Reply], None] = _nothing
    on_ask: Callable[[str, Ask], None] = _nothing
    on_state: Callable[[str, GatewayState], None] = _nothing
    """After the presence was stored; not called for an older session's."""


class HandlerThread:
    """Calls the handlers in the order of `put`."""

    def __init__(self, handlers: IngestHandlers, counters: IngestCounters, max_waiting: int = MAX_WAITING) -> None:
        self._handlers = handlers
        self._counters = counters
        self._max_waiting = max_waiting
        self._waiting: deque[Answer | Question | Presence] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ingest-handlers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the call that runs, and leave the rest."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(_STOP_S)

    def put(self, item: Answer | Question | Presence) -> None:
        """Queue one call; drops the oldest when the queue is full."""
        with self._changed:
            if len(self._waiting) >= self._max_waiting:
                self._waiting.popleft()
                self._counters.handler_dropped.inc()
            self._waiting.append(item)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                item = self._waiting.popleft()
            self._call(item)

    def _call(self, item: Answer | Question | Presence) -> None:
        name = type(item).__name__.lower()
        try:
            match item:
                case Answer(gateway, reply):
                    self._handlers.on_reply(gateway, reply)
                case Question(gateway, ask):
                    self._handlers.on_ask(gateway, ask)
                case Presence(gateway, state):
                    self._handlers.on_state(gateway, state)
        except Exception:  # a fault of one answer must not end those of every gateway
            self._counters.handler_errors.labels(name).inc()
            _logger.exception("the handler of a gateway's %s failed (gateway %s)", name, item.gateway)
