"""Which numbers of a stream are stored: a contiguous mark and the ranges beyond it. Pure arithmetic on integers."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from protocols.receipts import MAX_RANGES, Receipt

Range = tuple[int, int]
"""A closed range of numbers."""


@dataclass(frozen=True)
class Coverage:
    """All numbers up to `upto`, and the closed `ranges` beyond, rising and apart from each other and from `upto`.

    At most `MAX_RANGES` ranges are kept, the lowest. What is forgotten is not receipted, so its gateway sends it again;
    it is stored already, and by then the gaps before it are fewer.
    """

    upto: int = 0
    ranges: tuple[Range, ...] = ()

    def plus(self, more: Iterable[Range]) -> "Coverage":
        """With these ranges too; one that is empty or below 1 is left out."""
        upto = self.upto
        merged: list[list[int]] = []
        for first, last in sorted([*self.ranges, *((max(first, 1), last) for first, last in more)]):
            if last < first or last <= upto:
                continue
            if first <= upto + 1:
                upto = last
            elif merged and first <= merged[-1][1] + 1:
                merged[-1][1] = max(merged[-1][1], last)
            else:
                merged.append([first, last])
        return Coverage(upto, tuple((first, last) for first, last in merged[:MAX_RANGES]))

    def receipt(self, stream: UUID) -> Receipt:
        """What the gateway is told."""
        return Receipt(stream=stream, upto=self.upto, also=self.ranges)


def runs(numbers: Iterable[int]) -> list[Range]:
    """The closed ranges that hold exactly these numbers."""
    found: list[Range] = []
    for number in sorted(numbers):
        if found and number <= found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
