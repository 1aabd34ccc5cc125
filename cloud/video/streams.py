"""One stream as the hub has it, and the bounded queues of those who watch it. Lives on one event loop."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from cloud.accounts.scope import WHOLE, Scope
from protocols.live import Kind, Quality

GROUP_BYTES = 8 << 20
QUEUE_BYTES = 4 << 20
QUEUE_MESSAGES = 600


@dataclass(frozen=True, slots=True)
class Key:
    """Which stream of which camera."""

    gateway: str
    camera: str
    quality: Quality


@dataclass(frozen=True, slots=True)
class Ending:
    """The last that a viewer is told; the connection is closed after it."""

    text: str


Message = str | bytes | Ending


@dataclass(eq=False)
class Viewer:
    """An open page that watches one stream. A queue that is full is emptied: the next key frame goes on."""

    session: str
    ticket: str
    scope: Scope = WHOLE
    queue: deque[Message] = field(default_factory=deque)
    size_bytes: int = 0
    needs_key: bool = True
    cuts: int = 0
    """How often the queue was emptied."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, text: str) -> None:
        """Queue a text about the stream."""
        if len(self.queue) < QUEUE_MESSAGES:
            self._put(text)

    def end(self, text: str) -> None:
        """Nothing more will come."""
        self.queue.clear()
        self.size_bytes = 0
        self._put(Ending(text))

    def offer(self, kind: Kind, message: bytes, head: "tuple[Message, ...]") -> None:
        """Queue a frame, or not: at the beginning and after a cut a key frame comes first, the head before it."""
        if self.queue and (self.size_bytes + len(message) > QUEUE_BYTES or len(self.queue) >= QUEUE_MESSAGES):
            self.queue.clear()
            self.size_bytes = 0
            self.needs_key = True
            self.cuts += 1
        if self.needs_key:
            if kind is not Kind.KEY:
                return
            self.needs_key = False
            for part in head:
                self._put(part)
        self._put(message)

    def take(self) -> Message | None:
        """What is to be sent next; None if there is nothing."""
        if not self.queue:
            self.news.clear()
            return None
        message = self.queue.popleft()
        self.size_bytes -= len(message) if isinstance(message, bytes) else 0
        return message

    def _put(self, message: Message) -> None:
        self.queue.append(message)
        self.size_bytes += len(message) if isinstance(message, bytes) else 0
        self.news.set()


@dataclass(eq=False)
class Stream:
    """A stream that is, or is to be, sent by its gateway under `number`."""

    key: Key
    number: int
    ticket: str
    viewers: set[Viewer] = field(default_factory=set)
    unwatched_since_s: float | None = None
    waiting: str | None = None
    """Why nothing comes, as viewers are told; None while something does."""
    _started: str | None = None
    _init: bytes | None = None
    _group: list[tuple[Kind, bytes]] = field(default_factory=list)
    _group_bytes: int = 0

    def join(self, viewer: Viewer) -> None:
        """Watch: what came since the last key frame first."""
        self.viewers.add(viewer)
        self.unwatched_since_s = None
        if self.waiting is not None:
            viewer.tell(self.waiting)
        for kind, message in self._group:
            viewer.offer(kind, message, self._head)

    def leave(self, viewer: Viewer, now_s: float) -> None:
        """Watch no more."""
        self.viewers.discard(viewer)
        if not self.viewers:
            self.unwatched_since_s = now_s

    def begin(self, started: str) -> None:
        """The gateway describes what follows; what came before is of no use any more."""
        self.waiting = None
        self._started, self._init = started, None
        self._forget()
        for viewer in self.viewers:
            viewer.needs_key = True

    def wait(self, text: str) -> None:
        """Nothing comes just now."""
        self.waiting = text
        self._forget()
        for viewer in self.viewers:
            viewer.tell(text)

    def take(self, kind: Kind, message: bytes) -> None:
        """A frame came."""
        if kind is Kind.INIT:
            self._init = message
            return
        if self._init is None:
            return
        if kind is Kind.KEY:
            self._forget()
        if kind is Kind.KEY or self._group:
            self._group.append((kind, message))
            self._group_bytes += len(message)
            if self._group_bytes > GROUP_BYTES:
                self._forget()
        for viewer in self.viewers:
            viewer.offer(kind, message, self._head)

    @property
    def _head(self) -> tuple[Message, ...]:
        if self._started is None or self._init is None:
            return ()
        return (self._started, self._init)

    def _forget(self) -> None:
        self._group, self._group_bytes = [], 0
