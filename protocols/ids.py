"""UUIDv7 (RFC 9562, section 5.7): ids that sort by the time they were made, which keeps inserts cheap.

Random ids make a large table's inserts several times slower (docs/contract.md, "Ids"). The clock and the randomness are
passed in. Ids of one maker rise strictly, also when its clock stands still or goes back (method 1 of section 6.2: the
12 bits of `rand_a` count within a millisecond, and the millisecond is carried forward when they run out).
"""

from collections.abc import Callable
from uuid import UUID

_COUNTER_BITS = 12


class UuidV7Maker:
    """Makes strictly rising UUIDv7. Not safe to call from several threads at once: the owner serialises.

    Args:
        wall_clock_s: seconds since the Unix epoch, UTC.
        random_bytes: a CSPRNG: n -> n bytes (`os.urandom`).
    """

    def __init__(self, wall_clock_s: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        self._wall_clock_s = wall_clock_s
        self._random_bytes = random_bytes
        self._last_ms = 0
        self._counter = 0

    def __call__(self) -> UUID:
        tail = int.from_bytes(self._random_bytes(8), "big")
        now_ms = int(self._wall_clock_s() * 1000)
        if now_ms > self._last_ms:
            self._last_ms, self._counter = now_ms, tail >> 53  # 11 random bits: room to count upwards
        else:
            self._counter += 1
            if self._counter >> _COUNTER_BITS:
                self._last_ms, self._counter = self._last_ms + 1, 0
        ms = self._last_ms & (1 << 48) - 1
        return UUID(int=ms << 80 | 7 << 76 | self._counter << 64 | 2 << 62 | tail & (1 << 62) - 1)


def unix_ms(value: UUID) -> int:
    """The milliseconds since the Unix epoch that a UUIDv7 carries.

    Raises:
        ValueError: if it is a UUID of another version.
    """
    if value.version != 7:
        raise ValueError(f"{value} is a UUID of version {value.version}, not 7")
    return value.int >> 80
