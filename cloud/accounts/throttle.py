"""Slows down guessing: after a few wrong passwords each further try must wait, twice as long every time.

Counted for an account from one address (so that a stranger cannot lock a guard out from elsewhere) and for an address
over all accounts (so that one machine cannot try one password on every account). The tables are bounded: the entry
unused for longest goes first.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_TRIES = 5
FREE_TRIES_OF_ADDRESS = 30
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 900.0
FORGET_AFTER_S = 3600.0
MAX_ENTRIES = 10_000


class Throttled(Exception):
    """Too many wrong passwords; `retry_after_s` says how long to wait."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many wrong passwords: wait {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class _Failures:
    count: int
    last_s: float


_Key = tuple[str, str]


class LoginThrottle:
    """Thread-safe.

    Args:
        monotonic_s: a clock that never goes back, in seconds.
    """

    def __init__(self, monotonic_s: Callable[[], float], max_entries: int = MAX_ENTRIES) -> None:
        self._monotonic_s = monotonic_s
        self._max_entries = max_entries
        self._failures: OrderedDict[_Key, _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, username: str, address: str) -> None:
        """Count a try as failed until `succeeded` takes it back, so that tries at once cannot slip through.

        Raises:
            Throttled: if this account from this address, or this address, must wait.
        """
        now = self._monotonic_s()
        keys = self._keys(username, address)
        with self._lock:
            waits = [self._wait_s(key, free, now) for key, free in keys]
            if max(waits) > 0:
                raise Throttled(max(waits))
            for key, _ in keys:
                known = self._known(key, now)
                self._failures[key] = _Failures((known.count if known else 0) + 1, now)
                self._failures.move_to_end(key)
            while len(self._failures) > self._max_entries:
                self._failures.popitem(last=False)

    def succeeded(self, username: str, address: str) -> None:
        """Forget the failures of this account from this address, and this one try of the address."""
        with self._lock:
            (account_key, _), (address_key, _) = self._keys(username, address)
            self._failures.pop(account_key, None)
            known = self._failures.get(address_key)
            if known is not None:
                self._failures[address_key] = _Failures(max(known.count - 1, 0), known.last_s)

    @staticmethod
    def _keys(username: str, address: str) -> tuple[tuple[_Key, int], tuple[_Key, int]]:
        return ((username.casefold(), address), FREE_TRIES), (("", address), FREE_TRIES_OF_ADDRESS)

    def _known(self, key: _Key, now: float) -> _Failures | None:
        known = self._failures.get(key)
        return None if known is None or now - known.last_s > FORGET_AFTER_S else known

    def _wait_s(self, key: _Key, free_tries: int, now: float) -> float:
        known = self._known(key, now)
        if known is None or known.count < free_tries:
            return 0.0
        wait_s: float = min(FIRST_WAIT_S * 2.0 ** min(known.count - free_tries, 30), LONGEST_WAIT_S)
        return max(known.last_s + wait_s - now, 0.0)
