"""Numbers as closed ranges: how a gap names what was dropped."""

from collections.abc import Iterable, Iterator, Sequence

Range = tuple[int, int]


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same numbers as the fewest rising ranges.

    >>> merged([(5, 5), (1, 3), (4, 4)])
    [(1, 5)]
    """
    result: list[Range] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result


def in_parts(ranges: Sequence[Range], largest: int) -> Iterator[tuple[Range, ...]]:
    """Split into parts of at most `largest` ranges; one empty part if there are none."""
    for start in range(0, max(len(ranges), 1), largest):
        yield tuple(ranges[start : start + largest])
