"""One bounded queue for each open page. A page that reads too slowly loses its queue and is told to read again.

Lives on one event loop and is not thread-safe: `cloud.live.feed` brings everything onto that loop.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud.accounts.scope import WHOLE, Scope

QUEUE_MESSAGES = 256
MAX_SUBSCRIBERS = 200
REREAD = '"kind":"reread"'


class TooManyPages(Exception):
    """More pages are open than the hub serves."""


@dataclass(eq=False)
class Subscriber:
    """An open page. Messages are numbered from 1; a number that is missing tells the page to read again."""

    session: str
    scope: Scope = WHOLE
    """What of the hub the page is told of."""
    queue: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_MESSAGES))
    number: int = 0
    rereads: int = 0

    def offer(self, content: str) -> None:
        """Queue a message, `content` being the inside of a JSON object. A full queue is emptied: read again."""
        self.number += 1
        if self.queue.full():
            self._empty()
            self.rereads += 1
            content = REREAD
        self.queue.put_nowait(f'{{"n":{self.number},{content}}}')

    def end(self) -> None:
        """Nothing more will come; the page is to log in again."""
        self._empty()
        self.queue.put_nowait(None)

    def _empty(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()


class Fanout:
    """The open pages."""

    def __init__(self, max_subscribers: int = MAX_SUBSCRIBERS) -> None:
        self._max_subscribers = max_subscribers
        self._subscribers: set[Subscriber] = set()

    def __len__(self) -> int:
        return len(self._subscribers)

    @property
    def scopes(self) -> frozenset[Scope]:
        """Those of the open pages."""
        return frozenset(subscriber.scope for subscriber in self._subscribers)

    def join(self, session: str, scope: Scope = WHOLE) -> Subscriber:
        """Begin to receive.

        Raises:
            TooManyPages: if too many do already.
        """
        if len(self._subscribers) >= self._max_subscribers:
            raise TooManyPages(f"{self._max_subscribers} pages are open already")
        subscriber = Subscriber(session, scope)
        self._subscribers.add(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)

    def send(self, contents: Mapping[Scope, str]) -> None:
        """Queue for every page what is for its scope; nothing for one whose scope has none."""
        for subscriber in self._subscribers:
            content = contents.get(subscriber.scope)
            if content is not None:
                subscriber.offer(content)

    def end_session(self, session: str) -> None:
        """Close the pages of a session that was logged out."""
        for subscriber in self._subscribers:
            if subscriber.session == session:
                subscriber.end()
