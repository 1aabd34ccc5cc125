"""Which numbers of the stream this process has sent, so that a receipt deletes nothing that was never sent.

Whoever restores an older copy of the state folder makes the gateway use numbers again that the hub has seen in other
events; a mark of the hub then covers events that it never got. What was not sent yet is sent, whatever a receipt says.
"""

from collections.abc import Iterable
from uuid import UUID

from edge.outbox.ranges import Range, merged
from protocols.receipts import MAX_RANGES, Receipt

MAX_KEPT = 4096
"""Ranges that are remembered. Policy when full: the lowest is forgotten, and its events are sent once more."""


class SentNumbers:
    """Numbers of one stream at a time; one thread."""

    def __init__(self) -> None:
        self._stream: UUID | None = None
        self._ranges: list[Range] = []

    def note(self, stream: UUID | None, numbers: Iterable[int]) -> None:
        """These were sent. Another stream than before begins with nothing."""
        if stream != self._stream:
            self._stream, self._ranges = stream, []
        self._ranges = merged([*self._ranges, *((number, number) for number in numbers)])[-MAX_KEPT:]

    def part_of(self, receipt: Receipt) -> Receipt:
        """The part of a receipt that was sent; it may leave out more, which is then asked for again by a resend."""
        if receipt.stream != self._stream:
            return Receipt(stream=receipt.stream, upto=0)
        covered = [(1, receipt.upto), *receipt.also] if receipt.upto else list(receipt.also)
        both = [
            (max(first, since), min(last, until))
            for first, last in self._ranges
            for since, until in covered
            if max(first, since) <= min(last, until)
        ]
        return Receipt(stream=receipt.stream, upto=0, also=tuple(both[:MAX_RANGES]))
